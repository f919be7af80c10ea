//! The leaf that new connections are served with, renewed while the old ones go on.
//!
//! Each leaf has a TLS configuration, and with it a session cache, of its own: a session of an
//! earlier leaf cannot be resumed under a later one. So the leaf that a connection was accepted
//! with is always the one that its client knows, and the one that its attestation must name.

use super::TlsError;
use super::authority::ServiceAuthority;
use crate::attested::CachedDocument;
use crate::log::{Event, log};
use crate::storage::journal::Journal;
use rustls::ServerConfig;
use std::sync::{Arc, PoisonError, RwLock};
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

/// How long leaves live and when the next one takes over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) lifetime: Duration,
    /// What is left of a leaf when it is followed by the next.
    pub(crate) reserve: Duration,
}

impl Terms {
    /// Ninety days as public authorities give, followed up after sixty: a month of failing renewals
    /// shows in the log before it shows to clients.
    pub(crate) const DEFAULT: Self =
        Self { lifetime: Duration::days(90), reserve: Duration::days(30) };
}

/// Between two looks at the clock, which may be set meanwhile: so no sleep until the date itself.
const CHECK_PERIOD: std::time::Duration = std::time::Duration::from_secs(3600);

/// What a connection is served with for all of its life.
pub(crate) struct Leaf {
    pub(crate) config: Arc<ServerConfig>,
    /// DER SubjectPublicKeyInfo, as an attestation binds it.
    pub(crate) public_key: Vec<u8>,
    /// The certificate of the service CA that it was sent with.
    pub(crate) service_ca_pem: String,
    pub(crate) service_ca_sha256: [u8; 32],
    /// For whoever asks without a nonce.
    pub(crate) document: CachedDocument,
    not_after: OffsetDateTime,
}

impl Leaf {
    fn new(
        authority: &ServiceAuthority,
        names: &[String],
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<Self, TlsError> {
        let issued = authority.issue(names, now, lifetime)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(issued.chain, issued.private_key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            public_key: issued.public_key,
            service_ca_pem: authority.pem(),
            service_ca_sha256: authority.sha256(),
            document: CachedDocument::default(),
            not_after: issued.not_after,
        })
    }
}

/// The worker's side of TLS: its authority and the leaf of the moment.
pub(crate) struct Identity {
    /// Held while something is renewed.
    authority: Mutex<ServiceAuthority>,
    /// None while sealed: the authority is in memory only.
    journal: Option<Arc<Journal>>,
    names: Vec<String>,
    terms: Terms,
    current: RwLock<Arc<Leaf>>,
}

/// What [`Identity::renew`] found due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewed {
    Nothing,
    Leaf,
    /// The authority's certificate, and a leaf to be sent with it.
    Authority,
}

impl Identity {
    /// Issues the first leaf.
    pub(crate) fn new(
        authority: ServiceAuthority,
        journal: Option<Arc<Journal>>,
        names: Vec<String>,
        terms: Terms,
        now: OffsetDateTime,
    ) -> Result<Self, TlsError> {
        let leaf = Leaf::new(&authority, &names, now, terms.lifetime)?;
        let current = RwLock::new(Arc::new(leaf));
        Ok(Self { authority: Mutex::new(authority), journal, names, terms, current })
    }

    /// What a connection that is accepted now is served with.
    pub(crate) fn leaf(&self) -> Arc<Leaf> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Renews what is due at `now`. Connections that are open keep their leaf.
    pub(crate) async fn renew(&self, now: OffsetDateTime) -> Result<Renewed, TlsError> {
        let mut authority = self.authority.lock().await;
        // A journal that takes no new authority does not keep the leaf from being renewed.
        let signed = match authority.ends_soon(now) {
            true => authority.sign_again(self.journal.as_deref(), now).await.map(|()| true),
            false => Ok(false),
        };
        let leaf_is_due = self.leaf().not_after - now < self.terms.reserve;
        if leaf_is_due || matches!(signed, Ok(true)) {
            let leaf = Leaf::new(&authority, &self.names, now, self.terms.lifetime)?;
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(leaf);
        }
        Ok(match (signed?, leaf_is_due) {
            (true, _) => Renewed::Authority,
            (false, true) => Renewed::Leaf,
            (false, false) => Renewed::Nothing,
        })
    }

    /// Renews whenever something is due, for as long as the worker runs.
    pub(crate) async fn keep_renewed(self: Arc<Self>) {
        loop {
            match self.renew(OffsetDateTime::now_utc()).await {
                Ok(Renewed::Nothing) => {}
                Ok(Renewed::Leaf) => log(Event::LeafRenewed),
                Ok(Renewed::Authority) => log(Event::AuthorityRenewed),
                Err(error) => log(Event::RenewalFailed { kind: error.kind() }),
            }
            tokio::time::sleep(CHECK_PERIOD).await;
        }
    }
}
