//! Multi-Region keys: keys of several Regions with one id and one material (AWS KMS Developer Guide,
//! "Multi-Region keys in AWS KMS").
//!
//! Each of them is a key of its own, with a record of its own in its Region. What they share stands in
//! each record, and so does who is related to whom: an operation reads one record, and what changes
//! several is one entry of the journal. What AWS does over some seconds, in the states Creating and
//! Updating, is done here when the operation answers.

use super::Key;
use super::grants::retirable_writes;
use super::id::KeyId;
use super::import::Origin;
use super::rotation::DAY;
use super::schedule::due_writes;
use super::state::KeyState;
use super::store::{HeldKey, KeyStore, StoreFault, key_write};
use crate::storage::journal::Write;
use sekisho_wire::codec::CodecError;
use serde::{Deserialize, Serialize};
use std::mem;
use std::sync::Arc;

/// Where a multi-Region key is, and where those are that are related to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MultiRegion {
    /// The Region of the key itself.
    pub(crate) own: String,
    /// The Region of the primary key.
    pub(crate) primary: String,
    /// The Regions of all replica keys, in order.
    pub(crate) replicas: Vec<String>,
}

impl MultiRegion {
    /// A primary key without replicas.
    pub(crate) fn primary(region: &str) -> Self {
        Self { own: region.to_owned(), primary: region.to_owned(), replicas: Vec::new() }
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.own == self.primary
    }

    /// AWS KMS `MultiRegionKeyType`.
    pub(crate) fn key_type(&self) -> &'static str {
        if self.is_primary() { "PRIMARY" } else { "REPLICA" }
    }

    fn relatives(&self) -> impl Iterator<Item = &String> {
        let all = self.replicas.iter().chain([&self.primary]);
        all.filter(|region| **region != self.own)
    }

    fn add(&mut self, region: &str) {
        self.replicas.push(region.to_owned());
        self.replicas.sort();
    }

    fn remove(&mut self, region: &str) {
        self.replicas.retain(|known| known != region);
    }

    /// The primary key and one of its replicas change places.
    fn promote(&mut self, region: &str) {
        self.remove(region);
        let former = mem::replace(&mut self.primary, region.to_owned());
        self.add(&former);
    }
}

impl Key {
    /// A multi-Region primary key in place of one of a single Region.
    pub(crate) fn with_regions(self, multi_region: Option<MultiRegion>) -> Self {
        Self { multi_region, ..self }
    }

    /// A replica of this key in another Region.
    pub(crate) fn replica(
        &self,
        region: &str,
        created: u64,
        description: String,
        tags: Vec<(String, String)>,
    ) -> Self {
        let multi_region = self.multi_region.clone().map(|mut multi_region| {
            multi_region.add(region);
            MultiRegion { own: region.to_owned(), ..multi_region }
        });
        let state = KeyState::Enabled;
        let grants = Vec::new();
        let mut replica =
            Self { created, description, tags, state, grants, multi_region, ..self.clone() };
        if self.origin == Origin::External {
            replica.forget_imported();
        }
        replica
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.multi_region.as_ref().is_some_and(MultiRegion::is_primary)
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.multi_region.as_ref().is_some_and(|multi_region| !multi_region.is_primary())
    }

    /// Whether it is a primary key that cannot be deleted before its replicas.
    pub(crate) fn has_replicas(&self) -> bool {
        let multi_region = self.multi_region.as_ref();
        multi_region.is_some_and(|found| found.is_primary() && !found.replicas.is_empty())
    }

    /// Takes what related keys share from one of them; whether anything was new. Imported material
    /// is brought to each of them.
    fn take_shared(&mut self, from: &Self) -> bool {
        if self.origin == Origin::External {
            return false;
        }
        let ids = |key: &Self| key.materials.iter().map(|one| one.id()).collect::<Vec<_>>();
        if self.rotation == from.rotation && ids(self) == ids(from) {
            return false;
        }
        self.rotation = from.rotation;
        self.materials = from.materials.clone();
        true
    }

    /// What the end of a related key's last replica begins.
    fn lose_replica(&mut self, region: &str, now: u64) {
        if let Some(multi_region) = &mut self.multi_region {
            multi_region.remove(region);
        }
        if let (KeyState::PendingReplicaDeletion { window }, false) =
            (self.state, self.has_replicas())
        {
            let deletion = now.saturating_add(u64::from(window).saturating_mul(DAY));
            self.state = KeyState::PendingDeletion { deletion };
        }
    }
}

/// A key that is about to be changed, in the Region where it is.
struct Member {
    store: KeyStore,
    before: Arc<HeldKey>,
    after: Key,
    changed: bool,
}

impl Member {
    fn writes(&self) -> Result<Vec<Write>, CodecError> {
        let (before, after) = (&self.before.key, &self.after);
        let mut writes = due_writes(before, after);
        writes.extend(retirable_writes(after.id, &before.grants, &after.grants));
        writes.push(key_write(after, &self.before.policy, &self.before.aliases)?);
        Ok(self.store.localized(writes))
    }

    /// Keeps the key in memory as the entry `version` has made it: who asks for it next, and whoever
    /// waits to change it, need not ask the host and open its record.
    fn remember(self, version: u64) {
        let Self { store, before, after, changed } = self;
        if !changed {
            return;
        }
        let (policy, aliases) = (before.policy.clone(), before.aliases.clone());
        // One that could not be used is read from its record, and that fault reported.
        if let Ok(held) = HeldKey::new(after, &store.place, policy, aliases) {
            store.remember(Arc::new(held), version);
        }
    }
}

/// A key that is about to be changed, with those that are related to it.
pub(crate) struct Family {
    own: Member,
    relatives: Vec<Member>,
}

impl Family {
    /// The key that the family was asked for, as it is changed.
    pub(crate) fn own(&self) -> &Key {
        &self.own.after
    }

    /// The same key, as it was.
    pub(super) fn held(&self) -> &Arc<HeldKey> {
        &self.own.before
    }

    /// Changes the key that the family was asked for. What related keys share they have to share
    /// again ([`Family::share`]).
    pub(crate) fn change(&mut self) -> &mut Key {
        self.own.changed = true;
        &mut self.own.after
    }

    /// The related key in a Region.
    pub(crate) fn relative(&self, region: &str) -> Option<&Arc<HeldKey>> {
        let mut relatives = self.relatives.iter();
        relatives.find(|one| one.store.place.region == region).map(|one| &one.before)
    }

    /// Gives what related keys share of the key to all of them.
    pub(crate) fn share(&mut self) {
        for relative in &mut self.relatives {
            relative.changed |= relative.after.take_shared(&self.own.after);
        }
    }

    fn each(&mut self, edit: impl Fn(&mut Key)) {
        for member in [&mut self.own].into_iter().chain(&mut self.relatives) {
            edit(&mut member.after);
            member.changed = true;
        }
    }

    fn edit_regions(&mut self, edit: impl Fn(&mut MultiRegion)) {
        self.each(|key| key.multi_region.iter_mut().for_each(&edit));
    }

    /// A replica of the key in another Region, which has none.
    pub(crate) fn add(&mut self, region: &str) {
        self.edit_regions(|multi_region| multi_region.add(region));
    }

    /// The replica in a Region becomes the primary key.
    pub(crate) fn promote(&mut self, region: &str) {
        self.edit_regions(|multi_region| multi_region.promote(region));
    }

    /// What the deletion of the key changes of those that are related to it.
    pub(super) fn bereave(&mut self, now: u64) -> Result<Vec<Write>, CodecError> {
        let region = self.own.store.place.region.clone();
        self.each(|key| key.lose_replica(&region, now));
        self.own.changed = false;
        self.writes()
    }

    /// All that was changed.
    pub(super) fn writes(&self) -> Result<Vec<Write>, CodecError> {
        let members = [&self.own].into_iter().chain(&self.relatives);
        let writes = members.filter(|one| one.changed).map(Member::writes);
        Ok(writes.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn remember(self, version: u64) {
        [self.own].into_iter().chain(self.relatives).for_each(|one| one.remember(version));
    }
}

impl KeyStore {
    /// A key with those that are related to it; none where there is no such key here.
    pub(super) async fn family(&self, id: KeyId) -> Result<Option<Family>, StoreFault> {
        let member = |store: KeyStore, before: Arc<HeldKey>| {
            let after = before.key.clone();
            Member { store, before, after, changed: false }
        };
        let Some(held) = self.by_id(id).await? else { return Ok(None) };
        let mut relatives = Vec::new();
        for region in held.key.multi_region.iter().flat_map(MultiRegion::relatives) {
            let store = self.in_region(region);
            let relative = store.by_id(id).await?.ok_or(StoreFault::Inconsistent)?;
            relatives.push(member(store, relative));
        }
        Ok(Some(Family { own: member(self.clone(), held), relatives }))
    }

    /// Reads what is about to be changed. A record that the host withholds is missed here, and not
    /// while everybody waits to write.
    pub(super) async fn read_ahead(&self, id: KeyId) -> Result<(), StoreFault> {
        match self.family(id).await {
            // Somebody changes them at this moment.
            Ok(_) | Err(StoreFault::Inconsistent) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Changes keys that are related to each other, in one entry with the new key that `edit` may give.
    pub(crate) async fn change_family<E: From<StoreFault>>(
        &self,
        id: KeyId,
        edit: impl FnOnce(&mut Family) -> Result<Vec<Write>, E>,
    ) -> Result<(), E> {
        if id.is_multi_region() {
            self.read_ahead(id).await?;
        }
        let writer = self.journal.writer().await.map_err(StoreFault::from)?;
        let mut family = self.family(id).await?.ok_or(StoreFault::Gone(id))?;
        let mut writes = edit(&mut family)?;
        writes.extend(family.writes().map_err(StoreFault::from)?);
        let committed = writer.commit(writes).await.map_err(StoreFault::from)?;
        family.remember(committed.sequence);
        self.rescheduled.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
