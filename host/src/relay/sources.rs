//! How many connections each address has, so that one cannot take them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connections of each address, looked at when one begins and when it ends.
#[derive(Debug)]
pub(super) struct Sources {
    limit: Option<usize>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// Counts as a connection of its address for as long as it lives.
#[derive(Debug)]
pub(super) struct Inside {
    sources: Arc<Sources>,
    address: Option<IpAddr>,
}

impl Sources {
    /// Without a limit nothing is kept.
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self { limit, open: Mutex::default() }
    }

    /// One more connection of an address; `None` if it has as many as it may.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Inside> {
        let Some(limit) = self.limit else {
            return Some(Inside { sources: Arc::clone(self), address: None });
        };
        let address = address.to_canonical();
        let mut open = self.open();
        let connections = open.entry(address).or_default();
        if *connections >= limit.max(1) {
            return None;
        }
        *connections += 1;
        Some(Inside { sources: Arc::clone(self), address: Some(address) })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut open = self.sources.open();
        if let Some(connections) = open.get_mut(&address) {
            *connections = connections.saturating_sub(1);
            if *connections == 0 {
                open.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_limit_and_leaves_nothing_behind() {
        let sources = Arc::new(Sources::new(Some(2)));
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let first = sources.enter(one).unwrap();
        // The same address as a socket for both families tells it.
        let second = sources.enter("::ffff:192.0.2.1".parse().unwrap()).unwrap();
        assert!(sources.enter(one).is_none());
        let elsewhere = sources.enter(other).unwrap();
        drop(first);
        let third = sources.enter(one).unwrap();
        drop((second, third, elsewhere));
        assert!(sources.open().is_empty());
    }

    #[test]
    fn no_limit_keeps_nothing() {
        let sources = Arc::new(Sources::new(None));
        let inside: Vec<_> =
            (0..1000).map(|_| sources.enter(IpAddr::from([127, 0, 0, 1])).unwrap()).collect();
        assert!(sources.open().is_empty());
        drop(inside);
    }
}
