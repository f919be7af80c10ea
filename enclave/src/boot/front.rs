//! What callers reach: an identity, and behind it a sealed worker or the service.

use super::BootError;
use crate::attested::{Attester, Budget};
use crate::bounds::Bounds;
use crate::clock::milliseconds;
use crate::configuration::BootConfiguration;
use crate::http::{self, Draining, Worker};
use crate::log::{Event, log};
use crate::service::Service;
use crate::storage::journal::Journal;
use crate::tls::{Identity, ServiceAuthority, Terms};
use crate::unseal::{Ceremony, Unsealed};
use crate::upkeep;
use sekisho_nsm::Nsm;
use sekisho_wire::Listener;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use time::OffsetDateTime;

/// What stands before the service, sealed or not.
pub(super) struct Front<'a> {
    pub(super) nsm: Arc<dyn Nsm>,
    pub(super) bounds: Bounds,
    pub(super) configuration: &'a BootConfiguration,
}

impl Front<'_> {
    /// With an authority of the moment, and no service behind it.
    pub(super) fn sealed(
        &self,
        ceremony: Option<Arc<Ceremony>>,
        now: OffsetDateTime,
    ) -> Result<Serving, BootError> {
        self.serving(ServiceAuthority::generate(now)?, None, None, ceremony, now)
    }

    /// Serves sealed until there is a root key and the storage is open under it, and then unsealed.
    pub(super) async fn serve_until_opened<F>(
        &self,
        sealed: Serving,
        listener: &Listener,
        root: impl Future<Output = Unsealed>,
        opening: impl FnOnce(Unsealed) -> F,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), BootError>
    where
        F: Future<Output = Result<(ServiceAuthority, Arc<Journal>, Service), BootError>>,
    {
        let mut opened = None;
        let until_opened = async {
            let opening = async {
                let root = root.await;
                log(Event::Unsealed);
                opening(root).await
            };
            tokio::select! {
                () = shutdown.as_mut() => {}
                unsealed = opening => opened = Some(unsealed),
            }
        };
        let draining = sealed.serve(listener, until_opened).await;
        match opened {
            None => draining.finish().await,
            Some(unsealed) => {
                // Who asked while it was sealed connects again.
                tokio::spawn(draining.finish());
                let (authority, journal, service) = unsealed?;
                let now = OffsetDateTime::now_utc();
                let front = self.open(authority, journal, service, now)?;
                log(Event::Serving);
                front.serve_to_the_end(listener, shutdown).await;
            }
        }
        Ok(())
    }

    pub(super) fn open(
        &self,
        authority: ServiceAuthority,
        journal: Arc<Journal>,
        service: Service,
        now: OffsetDateTime,
    ) -> Result<Serving, BootError> {
        self.serving(authority, Some(journal), Some(service), None, now)
    }

    fn serving(
        &self,
        authority: ServiceAuthority,
        journal: Option<Arc<Journal>>,
        service: Option<Service>,
        ceremony: Option<Arc<Ceremony>>,
        now: OffsetDateTime,
    ) -> Result<Serving, BootError> {
        let names = self.configuration.names.clone();
        let identity = Identity::new(authority, journal.clone(), names, Terms::DEFAULT, now)?;
        let attester = Attester {
            nsm: self.nsm.clone(),
            unseal: self.configuration.unseal.name(),
            boot_configuration_sha384: self.configuration.sha384()?,
            journal,
            audit: service.as_ref().map(|service| service.audit.clone()),
            budget: Budget::new(milliseconds(now)),
        };
        let worker = Arc::new(Worker { attester, service, ceremony, bounds: self.bounds });
        Ok(Serving { identity: Arc::new(identity), worker })
    }
}

/// A front that is ready to be connected to.
pub(super) struct Serving {
    identity: Arc<Identity>,
    worker: Arc<Worker>,
}

impl Serving {
    pub(super) async fn serve(
        self,
        listener: &Listener,
        shutdown: impl Future<Output = ()>,
    ) -> Draining {
        let renewing = tokio::spawn(self.identity.clone().keep_renewed());
        let draining = http::serve(listener, self.identity, self.worker, shutdown).await;
        renewing.abort();
        draining
    }

    /// With the requests that are open at the shutdown, and what only memory knew until then.
    pub(super) async fn serve_to_the_end(
        self,
        listener: &Listener,
        shutdown: impl Future<Output = ()>,
    ) {
        let service = self.worker.service.as_ref();
        let noted = service.map(|service| (service.keys.clone(), service.started));
        let tenure = service.map(|service| service.tenure.clone());
        let superseded = async {
            match tenure {
                Some(tenure) => tenure.ended().await,
                None => std::future::pending().await,
            }
            log(Event::Superseded);
        };
        let stopped = async {
            tokio::select! {
                () = shutdown => {}
                () = superseded => {}
            }
        };
        self.serve(listener, stopped).await.finish().await;
        if let Some((keys, started)) = noted {
            upkeep::store_last_usages(&keys, started).await;
        }
    }
}
