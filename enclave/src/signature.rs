//! AWS Signature Version 4, verified over the bytes that arrived.
//!
//! Source: "Signature Version 4 signing process" in the AWS IAM user guide. Only the header form
//! is taken (KMS clients use no other), and only for `POST /`.

pub(crate) mod sign;

use crate::api::{ATTESTATION_HEADER, ApiError, Operation};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use zeroize::Zeroizing;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "kms";
const TERMINATOR: &str = "aws4_request";
const SESSION_TOKEN: &str = "x-amz-security-token";
/// How far a request's time may be from the worker's clock (AWS's own tolerance is five minutes;
/// the signing documentation allows up to fifteen), in seconds.
const TOLERANCE: i64 = 15 * 60;
/// More signed headers than any SDK sends.
const MAX_SIGNED_HEADERS: usize = 64;

const DATE_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// A request as HTTP brought it, nothing believed yet.
pub(crate) struct SignedRequest {
    pub(crate) operation: Operation,
    /// Name (lower case) and value of every header, in order of arrival; `host` among them.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A request's claim to come from the holder of an access key: read and current, not verified.
pub(crate) struct Claim<'a> {
    authorization: Authorization<'a>,
    session_token: Option<&'a str>,
    string_to_sign: String,
}

/// Proof that a claim was signed with the secret of its access key. Only [`Claim::verify`] makes
/// one.
pub(crate) struct Verified(());

impl<'a> Claim<'a> {
    /// Reads what `request` says about its signature; its scope and its time must fit.
    pub(crate) fn read(
        request: &'a SignedRequest,
        regions: &[String],
        now: OffsetDateTime,
    ) -> Result<Self, ApiError> {
        let header = |name: &str| {
            let mut found = request.headers.iter().filter(|(known, _)| known == name);
            found.next().map(|(_, value)| value.as_str()).filter(|_| found.next().is_none())
        };
        let authorization = header("authorization").ok_or(ApiError::MissingAuthenticationToken)?;
        let authorization = Authorization::parse(authorization)?;
        let date_time = header("x-amz-date").ok_or_else(|| {
            incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        })?;
        authorization.check_scope(regions, date_time)?;
        check_time(date_time, now)?;

        let canonical = authorization.canonical_request(&request.headers, &request.body)?;
        let scope = authorization.scope();
        let string_to_sign =
            format!("{ALGORITHM}\n{date_time}\n{scope}\n{}", hex_sha256(canonical.as_bytes()));
        Ok(Self { authorization, session_token: header(SESSION_TOKEN), string_to_sign })
    }

    pub(crate) fn access_key_id(&self) -> &str {
        self.authorization.access_key_id
    }

    /// The Region that it is scoped to, one of those that it may be.
    pub(crate) fn region(&self) -> &str {
        self.authorization.region
    }

    pub(crate) fn session_token(&self) -> Option<&str> {
        self.session_token
    }

    /// Compares the signature, in constant time, with the one that `secret` makes.
    pub(crate) fn verify(&self, secret: &str) -> Result<Verified, ApiError> {
        let key = signing_key(secret, self.authorization.date, self.authorization.region);
        let expected =
            base16ct::lower::encode_string(&*hmac(key.as_slice(), self.string_to_sign.as_bytes()));
        if !bool::from(expected.as_bytes().ct_eq(self.authorization.signature.as_bytes())) {
            return Err(mismatch());
        }
        Ok(Verified(()))
    }
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Result<Self, ApiError> {
        let parameters = header
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| incomplete("Unsupported AWS 'algorithm'; use AWS4-HMAC-SHA256."))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for parameter in parameters.split(',') {
            let Some((name, value)) = parameter.trim().split_once('=') else { continue };
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(incomplete(&format!(
                    "Authorization header has two '{name}' parameters."
                )));
            }
        }
        let missing =
            |name: &str| incomplete(&format!("Authorization header requires '{name}' parameter."));
        let credential = credential.ok_or_else(|| missing("Credential"))?;
        let signed_headers = signed_headers.ok_or_else(|| missing("SignedHeaders"))?;
        let signature = signature.ok_or_else(|| missing("Signature"))?;

        let mut scope = credential.rsplitn(5, '/');
        let (terminator, service, region, date, access_key_id) =
            (scope.next(), scope.next(), scope.next(), scope.next(), scope.next());
        let (Some(terminator), Some(service), Some(region), Some(date), Some(access_key_id)) =
            (terminator, service, region, date, access_key_id)
        else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term.",
            ));
        };
        if terminator != TERMINATOR {
            return Err(ApiError::InvalidSignature(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}'."
            )));
        }
        if service != SERVICE {
            return Err(ApiError::InvalidSignature(format!(
                "Credential should be scoped to correct service: '{SERVICE}'."
            )));
        }
        let signed_headers: Vec<_> =
            signed_headers.split(';').take(MAX_SIGNED_HEADERS.saturating_add(1)).collect();
        let sorted = signed_headers.is_sorted_by(|a, b| a < b);
        if signed_headers.len() > MAX_SIGNED_HEADERS || !sorted {
            return Err(incomplete("'SignedHeaders' must be sorted, without repeats, at most 64."));
        }
        Ok(Self { access_key_id, date, region, signed_headers, signature })
    }

    fn check_scope(&self, regions: &[String], date_time: &str) -> Result<(), ApiError> {
        if !regions.iter().any(|region| region == self.region) {
            return Err(ApiError::InvalidSignature(format!(
                "Credential should be scoped to a valid region. This service is in '{}'.",
                regions.join("', '")
            )));
        }
        if date_time.split_once('T').map(|(date, _)| date) != Some(self.date) {
            return Err(ApiError::InvalidSignature(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP."
                    .into(),
            ));
        }
        Ok(())
    }

    fn scope(&self) -> String {
        format!("{}/{}/{SERVICE}/{TERMINATOR}", self.date, self.region)
    }

    fn canonical_request(
        &self,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<String, ApiError> {
        // What decides the meaning of the request must be signed.
        let is_there = |wanted: &&str| headers.iter().any(|(name, _)| name == wanted);
        let optional = [SESSION_TOKEN, ATTESTATION_HEADER].into_iter().filter(is_there);
        for name in ["host", "x-amz-date", "x-amz-target"].into_iter().chain(optional) {
            if !self.signed_headers.contains(&name) {
                return Err(ApiError::InvalidSignature(format!(
                    "'{name}' must be a 'SignedHeader' in the AWS Authorization."
                )));
            }
        }
        let mut canonical = String::from("POST\n/\n\n");
        for name in &self.signed_headers {
            canonical.push_str(name);
            let mut before = ':';
            for (_, value) in headers.iter().filter(|(known, _)| known == name) {
                canonical.push(before);
                push_trimmed(&mut canonical, value);
                before = ',';
            }
            if before == ':' {
                return Err(mismatch());
            }
            canonical.push('\n');
        }
        canonical.push('\n');
        canonical.push_str(&self.signed_headers.join(";"));
        canonical.push('\n');
        canonical.push_str(&hex_sha256(body));
        Ok(canonical)
    }
}

/// A header's value as it is signed: no space around it, and one where there are several.
fn push_trimmed(canonical: &mut String, value: &str) {
    for (index, word) in value.split_ascii_whitespace().enumerate() {
        if index > 0 {
            canonical.push(' ');
        }
        canonical.push_str(word);
    }
}

fn hex_sha256(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

fn check_time(date_time: &str, now: OffsetDateTime) -> Result<(), ApiError> {
    let signed = time::PrimitiveDateTime::parse(date_time, DATE_TIME)
        .map_err(|_| incomplete("Date must be in ISO-8601 'basic format'."))?
        .assume_utc();
    let clock = now.format(DATE_TIME).unwrap_or_default();
    let minutes = TOLERANCE / 60;
    match (now - signed).whole_seconds() {
        late if late > TOLERANCE => Err(ApiError::InvalidSignature(format!(
            "Signature expired: {date_time} is now earlier than {clock} - {minutes} min."
        ))),
        early if early < -TOLERANCE => Err(ApiError::InvalidSignature(format!(
            "Signature not yet current: {date_time} is still later than {clock} + {minutes} min."
        ))),
        _ => Ok(()),
    }
}

fn signing_key(secret: &str, date: &str, region: &str) -> Zeroizing<[u8; 32]> {
    let start = Zeroizing::new([b"AWS4", secret.as_bytes()].concat());
    let date = hmac(&start, date.as_bytes());
    let region = hmac(date.as_slice(), region.as_bytes());
    let service = hmac(region.as_slice(), SERVICE.as_bytes());
    hmac(service.as_slice(), TERMINATOR.as_bytes())
}

/// HMAC-SHA-256 takes a key of any length, so the fallback is never reached.
fn hmac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    let tag = Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(message).finalize().into_bytes().into());
    Zeroizing::new(tag.unwrap_or_default())
}

fn incomplete(text: &str) -> ApiError {
    ApiError::IncompleteSignature(text.to_owned())
}

fn mismatch() -> ApiError {
    ApiError::InvalidSignature(
        "The request signature we calculated does not match the signature you provided. Check \
         your AWS Secret Access Key and signing method. Consult the service documentation for \
         details."
            .into(),
    )
}

#[cfg(test)]
pub(crate) mod tests;
