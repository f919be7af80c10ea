//! Unsealing by operators: m of n of them give the worker their shares.
//!
//! The holders' public keys and the threshold are in the boot configuration, and so in PCR16. A new
//! service waits until somebody has its shares made (`sekisho init`); each is encrypted to its holder,
//! so it does not matter who asks. Then, and at every later start, each holder verifies the worker's
//! attestation and gives the share, encrypted to a key of this one start and authenticated by the
//! holder's own. With enough of them the worker has the key that wraps the root key
//! (docs/unsealing.md).

mod provider;
mod refused;
mod shamir;
mod share;
mod slot;

pub use provider::{FormerHolders, InvalidShares, MAX_HOLDERS, OperatorShares};
pub(crate) use refused::Refused;
pub use share::{NextHolders, OperatorShare, ShareError};
pub(crate) use slot::{RewrapFailed, SharedKey};

use super::slot::Slot;
use super::{Keeper, Unsealed};
use crate::hpke::{HpkeKey, HpkePair};
use crate::log::{Event, log};
use crate::secret::RootKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_wire::{RecordKey, Store, StoreClient};
use serde::Deserialize;
use serde_json::{Value, json};
use shamir::Bytes;
use slot::ShareSlot;
use std::collections::{BTreeMap, BTreeSet};
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex, MutexGuard, Notify};

/// Where the wrapped key lies in the store.
const SLOT: RecordKey = RecordKey(*b"root-key shares ");

/// A worker that waits for its operators.
pub(crate) struct Ceremony {
    provider: OperatorShares,
    holders: Vec<HpkeKey>,
    /// With their threshold.
    former: Option<(Vec<HpkeKey>, u8)>,
    account: String,
    store: StoreClient,
    /// Of this start: what was given to an earlier one does not open.
    pair: HpkePair,
    state: Mutex<State>,
    unsealed: Notify,
}

#[derive(Default)]
struct State {
    /// As it was read; the host cannot exchange it between two shares.
    slot: Option<ShareSlot>,
    /// What this start has made for the slot. Only its shares go out: what lies in the slot without
    /// that could be a host's, with shares for the holders of a root key that the host knows.
    made: Option<Vec<u8>>,
    /// By index: a share that comes again counts once.
    given: BTreeMap<u8, Bytes>,
    /// Whose shares have come, also when they are wiped.
    counted: BTreeSet<u8>,
    /// What lies beside it, sealed under the root key.
    beside: Option<Slot>,
    root: Option<Unsealed>,
    /// The root key is there, or was.
    complete: bool,
    stage: Stage,
    /// The slot as the host gave it.
    held: Vec<u8>,
}

/// Whose shares are waited for.
#[derive(Default)]
enum Stage {
    /// Those of the boot configuration.
    #[default]
    Holders,
    /// The former ones', so that others get new ones.
    Former,
    /// The new ones, made at this start: until they have unwrapped this once, the slot stays as it is.
    Confirming(RootKey),
}

/// `POST /unseal/init`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InitRequest {
    shares: Option<usize>,
    threshold: Option<u8>,
}

/// `POST /unseal`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareRequest {
    /// SHA-256 of the holder's public key, hexadecimal.
    holder_key_sha256: String,
    /// base64
    message: String,
}

impl Ceremony {
    pub(crate) fn new(
        provider: &OperatorShares,
        account: &str,
        store: StoreClient,
    ) -> Result<Self, InvalidShares> {
        let (holders, former) = (provider.keys()?, provider.former_keys()?);
        // The generator that fails here has failed everywhere.
        let pair = HpkePair::generate().map_err(|_| InvalidShares::Key)?;
        Ok(Self {
            provider: provider.clone(),
            holders,
            former,
            account: account.to_owned(),
            store,
            pair,
            state: Mutex::default(),
            unsealed: Notify::new(),
        })
    }

    /// The root key, once enough shares are there.
    pub(crate) async fn root_key(&self) -> Unsealed {
        loop {
            let unsealed = self.unsealed.notified();
            if let Some(root) = self.state.lock().await.root.take() {
                return root;
            }
            unsealed.await;
        }
    }

    /// Where it stands, for everybody: `GET /unseal`.
    pub(crate) async fn status(&self) -> Result<Value, Refused> {
        let state = self.loaded().await?;
        Ok(self.describe(&state))
    }

    /// Has the shares made, once: `POST /unseal/init`. At this start, and until something is sealed
    /// under the root key, who asks again gets the same: an answer may be lost.
    pub(crate) async fn init(&self, body: &[u8]) -> Result<Value, Refused> {
        let asked: InitRequest = serde_json::from_slice(body).map_err(|_| {
            Refused::Malformed("JSON with the members shares and threshold, both of which may miss")
        })?;
        let (shares, threshold) = (self.holders.len(), self.provider.threshold);
        if asked.shares.is_some_and(|asked| asked != shares)
            || asked.threshold.is_some_and(|asked| asked != threshold)
        {
            return Err(Refused::OtherNumbers { shares, threshold });
        }
        let mut state = self.loaded().await?;
        match state.stage {
            Stage::Confirming(_) => return Ok(self.with_shares(&state)),
            Stage::Former => return Err(Refused::NotRekeyed),
            Stage::Holders => {}
        }
        if !self.is_new().await? {
            return Err(if state.slot.is_some() { Refused::Begun } else { Refused::SlotMissing });
        }
        let made = match &state.made {
            Some(made) => made.clone(),
            None if state.slot.is_some() => return Err(Refused::MadeBefore),
            None => ShareSlot::make(&self.provider, &self.holders, &self.account)?.encode()?,
        };
        // Before it is known whether the store has taken it.
        state.made = Some(made.clone());
        // Durable before anybody has a share of it.
        let held = self.store.fill_slot(SLOT, made.clone()).await?;
        if held != made {
            state.made = None;
            return Err(Refused::MadeBefore);
        }
        if state.slot.is_none() {
            self.take_up(&mut state, &made)?;
            log(Event::SharesMade { shares, threshold: threshold.into() });
        }
        Ok(self.with_shares(&state))
    }

    /// With the shares that this start has made.
    fn with_shares(&self, state: &State) -> Value {
        let (shares, threshold) = (self.holders.len(), self.provider.threshold);
        let mut answer = self.describe(state);
        if let (Some(answer), Some(slot)) = (answer.as_object_mut(), &state.slot) {
            let of = |(index, holder): (u8, &slot::Holder)| {
                json!({
                    "version": 1,
                    "ceremony": hex::encode(slot.ceremony()),
                    "index": index,
                    "shares": shares,
                    "threshold": threshold,
                    "holder_key_sha256": hex::encode(holder.key),
                    "encrypted": BASE64.encode(&holder.encrypted),
                })
            };
            let encrypted: Vec<_> = (1..).zip(slot.holders()).map(of).collect();
            answer.insert("encrypted_shares".into(), encrypted.into());
        }
        answer
    }

    /// Takes a share: `POST /unseal`. With the last that was missing, the worker is unsealed.
    pub(crate) async fn give(&self, body: &[u8]) -> Result<Value, Refused> {
        const FORM: Refused =
            Refused::Malformed("JSON with holder_key_sha256 (hexadecimal) and message (base64)");
        let asked: ShareRequest = serde_json::from_slice(body).map_err(|_| FORM)?;
        let holder = hex::decode(&asked.holder_key_sha256).map_err(|_| FORM)?;
        let message = BASE64.decode(&asked.message).map_err(|_| FORM)?;
        let mut state = self.loaded().await?;
        let (holders, threshold) = self.waited_for(&state);
        let named = |(_, key): &(u8, &HpkeKey)| key.identifier[..] == holder[..];
        let (index, holder) = (1..).zip(holders).find(named).ok_or(Refused::UnknownHolder)?;
        let slot = state.slot.clone().ok_or(Refused::NotBegun)?;
        // A share that is given to unseal is not one for other holders, nor the other way round.
        let next = matches!(state.stage, Stage::Former).then(|| self.next_holders());
        let share = OperatorShare::given_to(&self.pair, holder, next.as_ref(), &message);
        let share = share.ok_or(Refused::NotOpened)?;
        slot.check(&share)?;
        if share.index != index {
            return Err(Refused::NotTheHolders(share.index));
        }
        let counts = !state.complete && state.counted.insert(index);
        if counts {
            state.given.insert(index, share.share);
            log(Event::ShareGiven { given: state.given.len(), threshold: threshold.into() });
        }
        if !state.complete && state.given.len() >= usize::from(threshold) {
            let given = state.given.iter().map(|(index, share)| (*index, share));
            let unwrapped = slot.unwrap(given);
            match self.go_on(&mut state, unwrapped).await {
                Ok(()) => {}
                // What was given stays: whoever gives theirs once more has it tried again.
                Err(refused @ Refused::Store(_)) => return Err(refused),
                Err(refused) => {
                    // The shares are good ones of what the host gave; it may give the right one yet.
                    *state = State::default();
                    return Err(refused);
                }
            }
        }
        let mut answer = self.describe(&state);
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("counted".into(), counts.into());
        }
        Ok(answer)
    }

    /// With what the store holds, read until it holds something.
    async fn loaded(&self) -> Result<MutexGuard<'_, State>, Refused> {
        let mut state = self.state.lock().await;
        if state.slot.is_none() {
            match self.store.slot(SLOT).await? {
                Some(held) => self.take_up(&mut state, &held)?,
                None if !self.is_new().await? => return Err(Refused::SlotMissing),
                None => {}
            }
        }
        Ok(state)
    }

    fn take_up(&self, state: &mut State, held: &[u8]) -> Result<(), Refused> {
        let beside = Slot::decode(held);
        let decode = |keys: &[HpkeKey], threshold| {
            ShareSlot::decode(&beside.wrapped, threshold, keys, &self.account)
        };
        let (slot, stage) = match (decode(&self.holders, self.provider.threshold), &self.former) {
            (Ok(slot), _) => (slot, Stage::Holders),
            (Err(Refused::OtherHolders), Some((keys, threshold))) => {
                (decode(keys, *threshold)?, Stage::Former)
            }
            (Err(refused), _) => return Err(refused),
        };
        (state.slot, state.stage, state.beside) = (Some(slot), stage, Some(beside));
        state.held = held.to_vec();
        Ok(())
    }

    fn waited_for(&self, state: &State) -> (&[HpkeKey], u8) {
        match (&state.stage, &self.former) {
            (Stage::Former, Some((holders, threshold))) => (holders, *threshold),
            _ => (&self.holders, self.provider.threshold),
        }
    }

    fn next_holders(&self) -> NextHolders {
        let keys: Vec<_> = self.holders.iter().map(|key| key.identifier).collect();
        NextHolders::new(&keys, self.provider.threshold)
    }

    /// With enough shares: unseals, or makes new shares, or puts those into the place of the former.
    async fn go_on(
        &self,
        state: &mut State,
        unwrapped: Result<(RootKey, SharedKey), Refused>,
    ) -> Result<(), Refused> {
        let (root, shared) = unwrapped?;
        match &state.stage {
            Stage::Holders => {}
            Stage::Former => return self.make_again(state, root),
            Stage::Confirming(former) => {
                if !bool::from(former.expose().ct_eq(root.expose())) {
                    return Err(Refused::Internal);
                }
                let (Some(made), Some(beside)) = (&state.made, &state.beside) else {
                    return Err(Refused::Internal);
                };
                let next = Slot { wrapped: made.clone(), keyrings: beside.keyrings.clone() };
                let next = next.encode().map_err(|_| Refused::Internal)?;
                let now =
                    match self.store.replace_slot(SLOT, state.held.clone(), next.clone()).await {
                        Ok(now) => now,
                        // The answer may have been lost alone.
                        Err(error) => match self.store.slot(SLOT).await? {
                            Some(now) if now == next => Some(now),
                            _ => return Err(error.into()),
                        },
                    };
                if now != Some(next) {
                    return Err(Refused::SlotChanged);
                }
                log(Event::Rekeyed);
            }
        }
        state.root = Some(self.unseal(state.beside.take(), (root, shared))?);
        state.complete = true;
        state.given.clear();
        self.unsealed.notify_one();
        Ok(())
    }

    /// The root key, which the former holders' shares have unwrapped, for the new ones. Nothing is in
    /// the store yet.
    fn make_again(&self, state: &mut State, root: RootKey) -> Result<(), Refused> {
        let beside = state.beside.as_ref().ok_or(Refused::Internal)?;
        beside.keyring(&root).map_err(|_| Refused::SlotDamaged)?;
        let slot = ShareSlot::make_for(&self.provider, &self.holders, &self.account, &root)?;
        state.made = Some(slot.encode()?);
        state.slot = Some(slot);
        state.given.clear();
        state.counted.clear();
        state.stage = Stage::Confirming(root);
        let (shares, threshold) = (self.holders.len(), self.provider.threshold.into());
        log(Event::SharesMade { shares, threshold });
        Ok(())
    }

    fn unseal(
        &self,
        beside: Option<Slot>,
        (root, shared): (RootKey, SharedKey),
    ) -> Result<Unsealed, Refused> {
        let keyring = beside.ok_or(Refused::Internal)?.keyring(&root);
        Ok(Unsealed {
            keyring: keyring.map_err(|_| Refused::SlotDamaged)?,
            keeper: Keeper::of_shares(shared, SLOT, self.store.clone()),
            reached: None,
        })
    }

    async fn is_new(&self) -> Result<bool, Refused> {
        Ok(self.store.head().await? == 0 && self.store.audit_tail().await?.is_none())
    }

    fn describe(&self, state: &State) -> Value {
        let word = match (&state.slot, &state.stage, state.complete) {
            (_, _, true) => "unsealing",
            (Some(_), Stage::Former, false) => "waits for former holders",
            (Some(_), _, false) => "waits for shares",
            (None, _, false) => "waits for init",
        };
        let (holders, threshold) = self.waited_for(state);
        let next = matches!(state.stage, Stage::Former).then(|| {
            let keys: Vec<_> = self.holders.iter().map(|key| hex::encode(key.identifier)).collect();
            json!({ "holders": keys, "threshold": self.provider.threshold })
        });
        let of = |(index, key): (u8, &HpkeKey)| {
            json!({
                "index": index,
                "key_sha256": hex::encode(key.identifier),
                "given": state.counted.contains(&index),
            })
        };
        json!({
            "state": word,
            "ceremony": state.slot.as_ref().map(|slot| hex::encode(slot.ceremony())),
            "shares": holders.len(),
            "threshold": threshold,
            "given": state.counted.len(),
            "holders": (1..).zip(holders).map(of).collect::<Vec<_>>(),
            "next": next,
            "rekeyed": matches!(state.stage, Stage::Confirming(_)),
            "worker_key": BASE64.encode(self.pair.public_key()),
        })
    }
}

#[cfg(test)]
mod rekey_tests;
#[cfg(test)]
mod tests;
