//! Other holders for the same root key, one test for each rule.

use super::*;
use crate::hpke::HpkePair;
use crate::storage::opponent::Opponent;

const ACCOUNT: &str = "111122223333";

/// Two of three held shares; three of four others are to.
struct World {
    opponent: Opponent,
    former: Vec<HpkePair>,
    next: Vec<HpkePair>,
    shares: Vec<OperatorShare>,
    root: [u8; 32],
}

fn holders(pairs: &[HpkePair]) -> Vec<Vec<u8>> {
    pairs.iter().map(|pair| pair.public_key().to_vec()).collect()
}

fn shares(answer: &Value, pairs: &[HpkePair]) -> Vec<OperatorShare> {
    let encrypted = answer["encrypted_shares"].as_array().unwrap();
    let open = |(share, pair): (&Value, &HpkePair)| {
        let encrypted = BASE64.decode(share["encrypted"].as_str().unwrap()).unwrap();
        OperatorShare::open(pair, &encrypted).unwrap()
    };
    assert_eq!(encrypted.len(), pairs.len());
    encrypted.iter().zip(pairs).map(open).collect()
}

fn request(holder: &HpkePair, message: &[u8]) -> Vec<u8> {
    let holder = hex::encode(holder.identifier());
    json!({ "holder_key_sha256": holder, "message": BASE64.encode(message) })
        .to_string()
        .into_bytes()
}

async fn root(ceremony: &Ceremony) -> [u8; 32] {
    *ceremony.root_key().await.keyring.newest().1.unwrap().expose()
}

impl World {
    async fn new() -> Self {
        let pairs = |number| (0..number).map(|_| HpkePair::generate().unwrap()).collect();
        let (opponent, former, next) = (Opponent::default(), pairs(3), pairs(4));
        let mut world = Self { opponent, former, next, shares: Vec::new(), root: [0; 32] };
        let ceremony = world.start(&world.before());
        world.shares = shares(&ceremony.init(b"{}").await.unwrap(), &world.former);
        for index in [0, 1] {
            world.unseal(&ceremony, &world.former, &world.shares, index).await.unwrap();
        }
        world.root = root(&ceremony).await;
        world
    }

    fn before(&self) -> OperatorShares {
        OperatorShares { holders: holders(&self.former), threshold: 2, former: None }
    }

    fn after(&self) -> OperatorShares {
        OperatorShares { holders: holders(&self.next), threshold: 3, former: None }
    }

    fn rekeying(&self) -> OperatorShares {
        let former = FormerHolders { holders: holders(&self.former), threshold: 2 };
        OperatorShares { former: Some(former), ..self.after() }
    }

    fn start(&self, provider: &OperatorShares) -> Ceremony {
        Ceremony::new(provider, ACCOUNT, self.opponent.client()).unwrap()
    }

    fn next_holders(&self) -> NextHolders {
        let keys: Vec<_> = self.next.iter().map(|pair| *pair.identifier()).collect();
        NextHolders::new(&keys, 3)
    }

    fn message(&self, ceremony: &Ceremony, index: usize) -> Vec<u8> {
        let (pair, share) = (&self.former[index], &self.shares[index]);
        let next = self.next_holders();
        let message = share.for_rekeying(pair, ceremony.pair.public_key(), &next).unwrap();
        request(pair, &message)
    }

    async fn unseal(
        &self,
        ceremony: &Ceremony,
        pairs: &[HpkePair],
        shares: &[OperatorShare],
        index: usize,
    ) -> Result<Value, Refused> {
        let message = shares[index].for_worker(&pairs[index], ceremony.pair.public_key()).unwrap();
        ceremony.give(&request(&pairs[index], &message)).await
    }

    /// The former holders have given theirs; the new shares.
    async fn rekeyed(&self, ceremony: &Ceremony) -> Vec<OperatorShare> {
        for index in [2, 0] {
            ceremony.give(&self.message(ceremony, index)).await.unwrap();
        }
        shares(&ceremony.init(b"{}").await.unwrap(), &self.next)
    }

    fn slot(&self) -> Vec<u8> {
        self.opponent.held().slots.get(&SLOT).unwrap().clone()
    }
}

#[tokio::test]
async fn other_holders_and_another_threshold_have_the_same_root_key() {
    let world = World::new().await;
    let ceremony = world.start(&world.rekeying());
    let status = ceremony.status().await.unwrap();
    assert_eq!(
        (&status["state"], &status["threshold"]),
        (&json!("waits for former holders"), &json!(2))
    );
    assert_eq!(status["next"]["threshold"], 3);
    assert_eq!(ceremony.init(b"{}").await.unwrap_err(), Refused::NotRekeyed);
    let new = world.rekeyed(&ceremony).await;
    let former = world.slot();
    for index in [3, 1] {
        let given = world.unseal(&ceremony, &world.next, &new, index).await.unwrap();
        assert_eq!(given["state"], "waits for shares");
    }
    // As long as the new shares have not unwrapped it, the slot is the former holders'.
    assert_eq!(world.slot(), former);
    let last = world.unseal(&ceremony, &world.next, &new, 0).await.unwrap();
    assert_eq!(last["state"], "unsealing");
    assert_eq!(root(&ceremony).await, world.root);
    assert_ne!(world.slot(), former);
    // With the former holders still named, and without.
    for provider in [world.rekeying(), world.after()] {
        let ceremony = world.start(&provider);
        for index in [0, 2, 3] {
            world.unseal(&ceremony, &world.next, &new, index).await.unwrap();
        }
        assert_eq!(root(&ceremony).await, world.root);
    }
}

#[tokio::test]
async fn former_shares_do_not_unseal_the_new_slot() {
    let world = World::new().await;
    let ceremony = world.start(&world.rekeying());
    let new = world.rekeyed(&ceremony).await;
    for index in [0, 1, 2] {
        world.unseal(&ceremony, &world.next, &new, index).await.unwrap();
    }
    let before = world.start(&world.before());
    assert_eq!(before.status().await.unwrap_err(), Refused::OtherHolders);
    for provider in [world.after(), world.rekeying()] {
        let after = world.start(&provider);
        let refused = world.unseal(&after, &world.former, &world.shares, 0).await.unwrap_err();
        assert_eq!(refused, Refused::UnknownHolder);
        assert_eq!(
            after.give(&world.message(&after, 0)).await.unwrap_err(),
            Refused::UnknownHolder
        );
    }
}

/// What a former holder has given for other holders does not count at another start, nor twice.
#[tokio::test]
async fn a_replayed_message_of_a_former_holder_is_refused_or_counts_once() {
    let world = World::new().await;
    let earlier = world.start(&world.rekeying());
    let message = world.message(&earlier, 0);
    assert_eq!(earlier.give(&message).await.unwrap()["counted"], true);
    assert_eq!(earlier.give(&message).await.unwrap()["counted"], false);
    assert_eq!(earlier.status().await.unwrap()["given"], 1);
    let ceremony = world.start(&world.rekeying());
    assert_eq!(ceremony.give(&message).await.unwrap_err(), Refused::NotOpened);
}

/// A share that is given to unseal does not make shares for others, nor one for these others' shares
/// for still others.
#[tokio::test]
async fn a_share_counts_for_what_it_was_given() {
    let world = World::new().await;
    let ceremony = world.start(&world.rekeying());
    let refused = world.unseal(&ceremony, &world.former, &world.shares, 0).await.unwrap_err();
    assert_eq!(refused, Refused::NotOpened);
    for other in [NextHolders::new(&[], 3), NextHolders::new(&[[1; 32]; 4], 3)] {
        let key = ceremony.pair.public_key();
        let message = world.shares[0].for_rekeying(&world.former[0], key, &other).unwrap();
        let refused = ceremony.give(&request(&world.former[0], &message)).await.unwrap_err();
        assert_eq!(refused, Refused::NotOpened);
    }
    let before = world.start(&world.before());
    assert_eq!(before.give(&world.message(&before, 0)).await.unwrap_err(), Refused::NotOpened);
}

/// A worker that ends before the new shares were used once leaves the former ones in force.
#[tokio::test]
async fn a_kill_in_between_leaves_one_slot_that_works() {
    let world = World::new().await;
    let slot = world.slot();
    let ceremony = world.start(&world.rekeying());
    let lost = world.rekeyed(&ceremony).await;
    world.unseal(&ceremony, &world.next, &lost, 0).await.unwrap();
    drop(ceremony);
    assert_eq!(world.slot(), slot);
    let before = world.start(&world.before());
    for index in [0, 2] {
        world.unseal(&before, &world.former, &world.shares, index).await.unwrap();
    }
    assert_eq!(root(&before).await, world.root);
    // And again from its beginning; the shares of before the kill are of no use.
    let again = world.start(&world.rekeying());
    let new = world.rekeyed(&again).await;
    let refused = world.unseal(&again, &world.next, &lost, 0).await.unwrap_err();
    assert!(matches!(refused, Refused::OtherCeremony { .. }), "{refused}");
    // The answer to the exchange of the slot is lost.
    for index in [0, 1] {
        world.unseal(&again, &world.next, &new, index).await.unwrap();
    }
    world.opponent.held().swallow_answer = true;
    world.unseal(&again, &world.next, &new, 2).await.unwrap();
    assert_eq!(root(&again).await, world.root);
}

/// Another worker has exchanged the slot first.
#[tokio::test]
async fn two_workers_that_rekey_at_once_leave_one_of_the_two() {
    let world = World::new().await;
    let (one, other) = (world.start(&world.rekeying()), world.start(&world.rekeying()));
    let (ones, others) = (world.rekeyed(&one).await, world.rekeyed(&other).await);
    for index in [0, 1] {
        world.unseal(&one, &world.next, &ones, index).await.unwrap();
        world.unseal(&other, &world.next, &others, index).await.unwrap();
    }
    world.unseal(&one, &world.next, &ones, 2).await.unwrap();
    let refused = world.unseal(&other, &world.next, &others, 2).await.unwrap_err();
    assert_eq!(refused, Refused::SlotChanged);
    let after = world.start(&world.after());
    for index in [0, 1, 2] {
        world.unseal(&after, &world.next, &ones, index).await.unwrap();
    }
    assert_eq!(root(&after).await, world.root);
}

/// A host that puts the slot of before back: the former holders can unseal it as before, and nobody
/// else; what they copied is theirs.
#[tokio::test]
async fn a_host_that_serves_the_former_slot() {
    let world = World::new().await;
    let former = world.slot();
    let ceremony = world.start(&world.rekeying());
    let new = world.rekeyed(&ceremony).await;
    for index in [0, 1, 2] {
        world.unseal(&ceremony, &world.next, &new, index).await.unwrap();
    }
    world.opponent.held().slots.insert(SLOT, former);
    let after = world.start(&world.after());
    assert_eq!(after.status().await.unwrap_err(), Refused::OtherHolders);
    let before = world.start(&world.before());
    for index in [0, 1] {
        world.unseal(&before, &world.former, &world.shares, index).await.unwrap();
    }
    assert_eq!(root(&before).await, world.root);
}

/// Another root key for the same holders: their shares stay as they are, and those of before it too.
#[tokio::test]
async fn a_rotated_root_key_is_unwrapped_by_the_same_shares() {
    let world = World::new().await;
    let unsealed = |provider: OperatorShares| {
        let ceremony = world.start(&provider);
        let world = &world;
        async move {
            for index in [0, 2] {
                world.unseal(&ceremony, &world.former, &world.shares, index).await.unwrap();
            }
            ceremony.root_key().await
        }
    };
    let Unsealed { keyring, keeper, .. } = unsealed(world.before()).await;
    let next = keeper.next(&keyring).await.unwrap();
    let rotating = unsealed(world.before()).await;
    assert!(rotating.keyring.is_rotating());
    assert_ne!(*rotating.keyring.newest().1.unwrap().expose(), world.root);
    keeper.forget_former(&next).await.unwrap();
    let rotated = unsealed(world.before()).await.keyring;
    assert_eq!((rotated.generation(), rotated.is_rotating()), (2, false));
    let (one, other) = (rotated.newest().1.unwrap(), next.newest().1.unwrap());
    assert_eq!(one.expose(), other.expose());
}
