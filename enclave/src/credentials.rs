//! Who is asking: the access keys of the start, those of the journal's principals, and sessions.

use crate::api::{ATTESTATION_HEADER, ApiError, Operation, RequestDocument};
use crate::clock::milliseconds;
use crate::keys::arn::Place;
use crate::principals::SecretAccessKey;
use crate::principals::session::Sessions;
use crate::principals::store::PrincipalStore;
use crate::signature::{Claim, SignedRequest, Verified};
use std::collections::HashMap;
use std::sync::Arc;
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// An access key that a worker is started with.
pub struct BootCredential {
    /// `AKIA…`.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: Zeroizing<String>,
    /// `arn:aws:iam::<account>:root` or `…:user/<name>`.
    pub principal_arn: String,
}

impl std::fmt::Debug for BootCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BootCredential")
            .field("access_key_id", &self.access_key_id)
            .field("principal_arn", &self.principal_arn)
            .finish_non_exhaustive()
    }
}

/// Everyone who can sign a request.
pub(crate) struct Credentials {
    place: Place,
    /// The Regions that a request may be signed for.
    regions: Arc<[String]>,
    boot: HashMap<String, BootCredential>,
    pub(crate) principals: PrincipalStore,
    pub(crate) sessions: Sessions,
}

/// Whose signature was verified: a principal, by one of its access keys or by a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    arn: String,
    tags: Vec<(String, String)>,
    access_key_id: String,
    session: Option<String>,
}

impl Caller {
    /// The principal's ARN; a session acts as the principal that made it.
    pub(crate) fn arn(&self) -> &str {
        &self.arn
    }

    /// The principal's tags, by name.
    pub(crate) fn tags(&self) -> &[(String, String)] {
        &self.tags
    }

    /// The access key that signed.
    pub(crate) fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The session's name, where one signed.
    pub(crate) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }
}

/// A request whose signature was verified. Only [`Credentials::authenticate`] makes one.
pub(crate) struct Authenticated {
    _verified: Verified,
    operation: Operation,
    region: String,
    caller: Arc<Caller>,
    body: Zeroizing<Vec<u8>>,
    /// The values of `X-Sekisho-Attestation`, which were signed.
    attestation: Vec<String>,
}

impl Authenticated {
    pub(crate) fn operation(&self) -> Operation {
        self.operation
    }

    /// The Region that it was signed for.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Who signed.
    pub(crate) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The document that was made for this request, not verified.
    pub(crate) fn document(&self) -> Result<Option<RequestDocument>, ApiError> {
        RequestDocument::read(&self.attestation, &self.body)
    }
}

/// An access key that may sign at this moment, and whose it is.
struct Usable<'a> {
    secret: Secret<'a>,
    arn: String,
    tags: Vec<(String, String)>,
}

enum Secret<'a> {
    Boot(&'a str),
    Kept(SecretAccessKey),
}

impl Secret<'_> {
    fn expose(&self) -> &str {
        match self {
            Self::Boot(secret) => secret,
            Self::Kept(secret) => secret.expose(),
        }
    }
}

impl Credentials {
    pub(crate) fn new(
        place: Place,
        regions: Arc<[String]>,
        boot: Vec<BootCredential>,
        principals: PrincipalStore,
        sessions: Sessions,
    ) -> Self {
        let boot = boot.into_iter().map(|key| (key.access_key_id.clone(), key)).collect();
        Self { place, regions, boot, principals, sessions }
    }

    /// Verifies the signature of `request` at `now`.
    ///
    /// An unknown, a disabled and an expired access key are the same to the caller: who cannot
    /// sign is told nothing about who could.
    pub(crate) async fn authenticate(
        &self,
        request: SignedRequest,
        now: OffsetDateTime,
    ) -> Result<Authenticated, ApiError> {
        let claim = Claim::read(&request, &self.regions, now)?;
        let now = milliseconds(now);
        let access_key_id = claim.access_key_id().to_owned();
        let region = claim.region().to_owned();
        let (verified, arn, tags, session) = match claim.session_token() {
            None => {
                let key = self.usable(&access_key_id, now).await?;
                (claim.verify(key.secret.expose())?, key.arn, key.tags, None)
            }
            Some(token) => {
                let session = self.sessions.open(&access_key_id, token);
                let session = session.map_err(|_| ApiError::UnrecognizedClient)?;
                let parent = self.usable(&session.parent, now).await?;
                let verified = claim.verify(session.secret.expose())?;
                if session.expires <= now {
                    return Err(ApiError::ExpiredToken);
                }
                (verified, parent.arn, parent.tags, Some(session.name))
            }
        };
        let caller = Arc::new(Caller { arn, tags, access_key_id, session });
        let SignedRequest { operation, body, headers } = request;
        let body = Zeroizing::new(body);
        let documents = headers.into_iter().filter(|(name, _)| name == ATTESTATION_HEADER);
        let attestation = documents.map(|(_, value)| value).collect();
        Ok(Authenticated { _verified: verified, operation, region, caller, body, attestation })
    }

    /// Whether the worker was started with this principal.
    pub(crate) fn is_of_boot(&self, arn: &str) -> bool {
        self.boot.values().any(|key| key.principal_arn == arn)
    }

    /// The access key with this id, if it signs at `now`.
    async fn usable(&self, id: &str, now: u64) -> Result<Usable<'_>, ApiError> {
        if let Some(key) = self.boot.get(id) {
            return Ok(Usable {
                secret: Secret::Boot(&key.secret_access_key),
                arn: key.principal_arn.clone(),
                tags: Vec::new(),
            });
        }
        let holder = self.principals.by_access_key(id).await?;
        let holder = holder.ok_or(ApiError::UnrecognizedClient)?;
        let key = holder.keys.iter().find(|key| key.id == id && key.is_usable(now));
        let key = key.ok_or(ApiError::UnrecognizedClient)?;
        Ok(Usable {
            secret: Secret::Kept(key.secret.clone()),
            arn: self.place.principal_arn(&holder.name),
            tags: holder.tags.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
