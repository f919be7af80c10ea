//! A ceremony, one test for each rule.

use super::*;
use crate::secret::Subkeys;
use crate::storage::journal::{Cadence, Journal, Write};
use crate::storage::opponent::Opponent;
use crate::storage::record::RecordId;

const ACCOUNT: &str = "111122223333";

/// Five holders, any three of whom unseal.
struct World {
    opponent: Opponent,
    pairs: Vec<HpkePair>,
    provider: OperatorShares,
}

impl World {
    fn new() -> Self {
        let pairs: Vec<_> = (0..5).map(|_| HpkePair::generate().unwrap()).collect();
        let holders = pairs.iter().map(|pair| pair.public_key().to_vec()).collect();
        let provider = OperatorShares { holders, threshold: 3, former: None };
        Self { opponent: Opponent::default(), pairs, provider }
    }

    /// A start of the worker.
    fn start(&self) -> Ceremony {
        Ceremony::new(&self.provider, ACCOUNT, self.opponent.client()).unwrap()
    }

    /// The shares, as their holders open them.
    async fn init(&self, ceremony: &Ceremony) -> Vec<OperatorShare> {
        let answer = ceremony.init(br#"{"shares": 5, "threshold": 3}"#).await.unwrap();
        self.open(&answer)
    }

    fn open(&self, answer: &Value) -> Vec<OperatorShare> {
        let encrypted = answer["encrypted_shares"].as_array().unwrap();
        assert_eq!(encrypted.len(), self.pairs.len());
        let of = |(share, pair): (&Value, &HpkePair)| {
            assert_eq!(share["holder_key_sha256"], hex::encode(pair.identifier()));
            let encrypted = BASE64.decode(share["encrypted"].as_str().unwrap()).unwrap();
            OperatorShare::open(pair, &encrypted).unwrap()
        };
        encrypted.iter().zip(&self.pairs).map(of).collect()
    }

    /// What holder `index` sends to give this share.
    fn message(&self, ceremony: &Ceremony, index: u8, share: &OperatorShare) -> Vec<u8> {
        let holder = &self.pairs[usize::from(index) - 1];
        let message = share.for_worker(holder, ceremony.pair.public_key()).unwrap();
        request(holder, &message)
    }

    async fn give(
        &self,
        ceremony: &Ceremony,
        index: u8,
        share: &OperatorShare,
    ) -> Result<Value, Refused> {
        ceremony.give(&self.message(ceremony, index, share)).await
    }

    /// These holders give theirs; the root key, as a subkey tells it.
    async fn unseal(&self, shares: &[OperatorShare], holders: [u8; 3]) -> Vec<u8> {
        let ceremony = self.start();
        for index in holders {
            let share = &shares[usize::from(index) - 1];
            let answer = self.give(&ceremony, index, share).await.unwrap();
            assert_eq!(answer["counted"], true);
        }
        fingerprint(ceremony.root_key().await.keyring.newest().1.unwrap())
    }
}

fn request(holder: &HpkePair, message: &[u8]) -> Vec<u8> {
    let holder = hex::encode(holder.identifier());
    json!({ "holder_key_sha256": holder, "message": BASE64.encode(message) })
        .to_string()
        .into_bytes()
}

fn fingerprint(root: &RootKey) -> Vec<u8> {
    Subkeys::derive(root).sessions.expose().to_vec()
}

#[tokio::test]
async fn any_three_of_five_have_the_same_root_key_at_every_start() {
    let world = World::new();
    let ceremony = world.start();
    assert_eq!(ceremony.status().await.unwrap()["state"], "waits for init");
    let shares = world.init(&ceremony).await;
    let status = ceremony.status().await.unwrap();
    assert_eq!((&status["state"], &status["given"]), (&json!("waits for shares"), &json!(0)));
    let root = world.unseal(&shares, [1, 2, 3]).await;
    for holders in [[5, 4, 3], [2, 5, 1], [3, 1, 4]] {
        assert_eq!(world.unseal(&shares, holders).await, root, "{holders:?}");
    }
    // What is in the store tells nobody the root key, nor a share.
    let held = world.opponent.held();
    let slot = held.slots.get(&SLOT).unwrap();
    for share in &shares {
        assert!(!slot.windows(32).any(|window| window == share.share.as_slice()));
    }
}

#[tokio::test]
async fn progress_is_shown() {
    let world = World::new();
    let ceremony = world.start();
    let shares = world.init(&ceremony).await;
    for (at, index) in [4_u8, 2].into_iter().enumerate() {
        let given = world.give(&ceremony, index, &shares[usize::from(index) - 1]).await.unwrap();
        assert_eq!(given["given"], at + 1);
    }
    let status = ceremony.status().await.unwrap();
    let given: Vec<_> =
        status["holders"].as_array().unwrap().iter().map(|holder| &holder["given"]).collect();
    assert_eq!(given, [false, true, false, true, false]);
    assert_eq!(status["ceremony"], hex::encode(shares[0].ceremony));
    let last = world.give(&ceremony, 1, &shares[0]).await.unwrap();
    assert_eq!(last["state"], "unsealing");
}

#[tokio::test]
async fn a_repeated_or_replayed_share_counts_once() {
    let world = World::new();
    let ceremony = world.start();
    let shares = world.init(&ceremony).await;
    let message = world.message(&ceremony, 1, &shares[0]);
    assert_eq!(ceremony.give(&message).await.unwrap()["counted"], true);
    for _ in 0..3 {
        let replayed = ceremony.give(&message).await.unwrap();
        assert_eq!((&replayed["counted"], &replayed["given"]), (&json!(false), &json!(1)));
        let repeated = world.give(&ceremony, 1, &shares[0]).await.unwrap();
        assert_eq!((&repeated["counted"], &repeated["given"]), (&json!(false), &json!(1)));
    }
    assert_eq!(ceremony.status().await.unwrap()["given"], 1);
}

#[tokio::test]
async fn a_message_for_an_earlier_start_does_not_open() {
    let world = World::new();
    let earlier = world.start();
    let shares = world.init(&earlier).await;
    let message = world.message(&earlier, 1, &shares[0]);
    earlier.give(&message).await.unwrap();
    let later = world.start();
    assert_eq!(later.give(&message).await.unwrap_err(), Refused::NotOpened);
}

#[tokio::test]
async fn a_share_of_another_ceremony_is_refused_by_its_name() {
    let mut world = World::new();
    // The same holders, another service.
    let theirs = world.init(&world.start()).await;
    let ceremony_of_theirs = theirs[0].ceremony;
    world.opponent = Opponent::default();
    let ceremony = world.start();
    let shares = world.init(&ceremony).await;
    let refused = world.give(&ceremony, 1, &theirs[0]).await.unwrap_err();
    let wanted = shares[0].ceremony;
    assert_eq!(refused, Refused::OtherCeremony { given: ceremony_of_theirs, wanted });
    assert!(refused.to_string().contains(&hex::encode(ceremony_of_theirs)));
    // Under this one's name.
    let renamed = OperatorShare { ceremony: wanted, ..share_of(&theirs[0]) };
    assert_eq!(world.give(&ceremony, 1, &renamed).await.unwrap_err(), Refused::Share(1));
}

fn share_of(share: &OperatorShare) -> OperatorShare {
    let OperatorShare { ceremony, index, threshold, share } = share;
    OperatorShare {
        ceremony: *ceremony,
        index: *index,
        threshold: *threshold,
        share: share.clone(),
    }
}

/// Whatever is wrong is named, and the ceremony goes on.
#[tokio::test]
async fn a_bad_share_is_named_and_nothing_is_lost() {
    let world = World::new();
    let ceremony = world.start();
    let shares = world.init(&ceremony).await;
    world.give(&ceremony, 1, &shares[0]).await.unwrap();
    let mut bad = share_of(&shares[1]);
    bad.share[31] ^= 1;
    assert_eq!(world.give(&ceremony, 2, &bad).await.unwrap_err(), Refused::Share(2));
    for index in [0, 6, 255] {
        let bad = OperatorShare { index, ..share_of(&shares[1]) };
        assert_eq!(world.give(&ceremony, 2, &bad).await.unwrap_err(), Refused::Share(index));
    }
    // Another's share, and another's key.
    let others = world.give(&ceremony, 2, &shares[2]).await.unwrap_err();
    assert_eq!(others, Refused::NotTheHolders(3));
    let thief = HpkePair::generate().unwrap();
    let message = shares[1].for_worker(&thief, ceremony.pair.public_key()).unwrap();
    let unknown = ceremony.give(&request(&thief, &message)).await.unwrap_err();
    assert_eq!(unknown, Refused::UnknownHolder);
    let forged = ceremony.give(&request(&world.pairs[1], &message)).await.unwrap_err();
    assert_eq!(forged, Refused::NotOpened);
    for body in ["", "{}", "[]", r#"{"holder_key_sha256": "zz", "message": ""}"#] {
        let refused = ceremony.give(body.as_bytes()).await.unwrap_err();
        assert!(matches!(refused, Refused::Malformed(_)), "{body}");
    }
    assert_eq!(ceremony.status().await.unwrap()["given"], 1);
    world.give(&ceremony, 2, &shares[1]).await.unwrap();
    let last = world.give(&ceremony, 5, &shares[4]).await.unwrap();
    assert_eq!(last["state"], "unsealing");
    ceremony.root_key().await;
}

#[tokio::test]
async fn who_asks_for_the_shares_again_gets_the_same_until_something_is_sealed() {
    let world = World::new();
    let ceremony = world.start();
    let first = world.init(&ceremony).await;
    let again = world.init(&ceremony).await;
    assert_eq!(again[4].ceremony, first[4].ceremony);
    assert_eq!(again[4].share, first[4].share);
    for body in [r#"{"shares": 4}"#, r#"{"threshold": 2}"#] {
        let refused = ceremony.init(body.as_bytes()).await.unwrap_err();
        assert_eq!(refused, Refused::OtherNumbers { shares: 5, threshold: 3 });
    }
    // A later start does not know whether the host has filled the slot.
    assert_eq!(world.start().init(b"{}").await.unwrap_err(), Refused::MadeBefore);
    begin_journal(&world.opponent).await;
    for ceremony in [ceremony, world.start()] {
        assert_eq!(ceremony.init(b"{}").await.unwrap_err(), Refused::Begun);
    }
}

/// A host can make shares for the holders, whose public keys it knows, of a root key that it knows. No
/// worker gives them out.
#[tokio::test]
async fn shares_that_the_host_has_made_are_not_given_out() {
    let (world, theirs) = (World::new(), Opponent::default());
    let host = Ceremony::new(&world.provider, ACCOUNT, theirs.client()).unwrap();
    world.init(&host).await;
    let slot = theirs.held().slots.get(&SLOT).unwrap().clone();
    let ceremony = world.start();
    assert_eq!(ceremony.status().await.unwrap()["state"], "waits for init");
    world.opponent.held().slots.insert(SLOT, slot);
    for ceremony in [ceremony, world.start()] {
        for _ in ["the first time", "again"] {
            assert_eq!(ceremony.init(b"{}").await.unwrap_err(), Refused::MadeBefore);
        }
    }
}

#[tokio::test]
async fn a_lost_answer_of_the_store_loses_no_shares() {
    let world = World::new();
    let ceremony = world.start();
    world.opponent.held().swallow_answer = true;
    let lost = ceremony.init(b"{}").await.unwrap_err();
    assert!(matches!(lost, Refused::Store(_)), "{lost}");
    let shares = world.init(&ceremony).await;
    world.unseal(&shares, [1, 3, 5]).await;
}

async fn begin_journal(opponent: &Opponent) {
    let keys = Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal;
    let journal = Journal::open(opponent.client(), keys, Cadence::DEFAULT).await.unwrap();
    let write = Write { id: RecordId::UsageTracking, plaintext: Some(vec![1].into()) };
    journal.writer().await.unwrap().commit(vec![write]).await.unwrap();
}

#[tokio::test]
async fn no_shares_are_made_over_a_journal_whose_root_key_is_withheld() {
    let world = World::new();
    let ceremony = world.start();
    begin_journal(&world.opponent).await;
    for refused in [ceremony.init(b"{}").await, ceremony.status().await] {
        assert_eq!(refused.unwrap_err(), Refused::SlotMissing);
    }
    assert!(world.opponent.held().slots.is_empty());
}

/// Another boot configuration than the one that the shares were made under.
#[tokio::test]
async fn other_holders_another_threshold_or_another_account() {
    let world = World::new();
    let shares = world.init(&world.start()).await;
    let refused = async |provider: OperatorShares, account: &str| {
        let ceremony = Ceremony::new(&provider, account, world.opponent.client()).unwrap();
        assert_eq!(ceremony.status().await.unwrap_err(), Refused::OtherHolders);
        let given = world.give(&ceremony, 1, &shares[0]).await.unwrap_err();
        assert_eq!(given, Refused::OtherHolders);
    };
    let thief = HpkePair::generate().unwrap().public_key().to_vec();
    let mut holders = world.provider.holders.clone();
    holders[4] = thief;
    refused(OperatorShares { holders, threshold: 3, former: None }, ACCOUNT).await;
    refused(OperatorShares { threshold: 2, ..world.provider.clone() }, ACCOUNT).await;
    let mut holders = world.provider.holders.clone();
    holders.reverse();
    refused(OperatorShares { holders, threshold: 3, former: None }, ACCOUNT).await;
    refused(world.provider.clone(), "999999999999").await;
    world.unseal(&shares, [1, 2, 3]).await;
}

/// Whatever the host changes in the slot keeps the worker sealed, and names no root key of its own.
#[tokio::test]
async fn every_changed_byte_of_the_slot_is_refused() {
    let world = World::new();
    let shares = world.init(&world.start()).await;
    let honest = world.opponent.held().slots.get(&SLOT).unwrap().clone();
    let ceremony = world.start();
    let messages =
        [1, 2, 3].map(|index| world.message(&ceremony, index, &shares[index as usize - 1]));
    // The encrypted copies of the shares are many bytes alike: one in eleven is enough.
    for position in (0..honest.len()).step_by(11) {
        let mut changed = honest.clone();
        changed[position] ^= 1;
        world.opponent.held().slots.insert(SLOT, changed);
        *ceremony.state.lock().await = State::default();
        let mut refused = None;
        for message in &messages {
            refused = ceremony.give(message).await.err().or(refused);
        }
        assert!(refused.is_some(), "byte {position}");
        assert!(ceremony.state.lock().await.root.is_none());
    }
    world.opponent.held().slots.insert(SLOT, honest);
    world.unseal(&shares, [1, 2, 3]).await;
}

/// A damaged slot that is put right is read anew: the same worker is unsealed then.
#[tokio::test]
async fn a_slot_that_is_put_right_unseals_the_same_worker() {
    let world = World::new();
    let ceremony = world.start();
    let shares = world.init(&ceremony).await;
    let ceremony = world.start();
    let honest = world.opponent.held().slots.get(&SLOT).unwrap().clone();
    let mut changed = honest.clone();
    *changed.last_mut().unwrap() ^= 1;
    world.opponent.held().slots.insert(SLOT, changed);
    for index in [1, 2] {
        world.give(&ceremony, index, &shares[usize::from(index) - 1]).await.unwrap();
    }
    let refused = world.give(&ceremony, 3, &shares[2]).await.unwrap_err();
    assert_eq!(refused, Refused::SlotDamaged);
    world.opponent.held().slots.insert(SLOT, honest);
    for index in [1, 2, 3] {
        world.give(&ceremony, index, &shares[usize::from(index) - 1]).await.unwrap();
    }
    ceremony.root_key().await;
}
