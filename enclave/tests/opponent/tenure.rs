//! Two workers of a service without peers at one store: a second one that was started by mistake or
//! by the host, the late messages of one that was killed, and a host that gives each its own copy.

use super::client::Client;
use super::entries::copy;
use super::fleet::describes;
use super::host::{Attack, Opponent, Write};
use super::scene::{PLAINTEXT, Scene, bounds, nsm, refused};
use super::worker::{Log, Worker};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_enclave::{Boot, Bounds};
use sekisho_wire::{Address, Commit, Store, StoreError};
use serde_json::json;

const DEPENDENCY: &str = "DependencyTimeoutException";
const TAKEN: &str = "has taken over the store";

/// Another worker of the scene's service, beside the scene's own.
struct Second {
    worker: Worker,
    log: Log,
    client: Client,
}

impl Second {
    /// From the same image and configuration, with the same root key, at the same store.
    async fn start(scene: &Scene) -> Self {
        Self::start_with(scene, |_| {}).await
    }

    async fn start_with(scene: &Scene, change: impl FnOnce(&mut Boot)) -> Self {
        let socket = scene.folder.path().join("second.sock");
        let mut boot = scene.parameters(nsm(), scene.configuration.clone());
        boot.listen = Address::Unix { path: socket.clone() };
        change(&mut boot);
        let log = Log::default();
        let worker = Worker::start(boot, log.clone()).await.expect("it serves");
        let client = Client::new(socket, scene.opponent.clone(), scene.client.signer.clone());
        Self { worker, log, client }
    }

    async fn decrypts(&self, blob: &str) {
        let answer = self.client.call("Decrypt", json!({ "CiphertextBlob": blob })).await;
        assert_eq!(answer.unwrap()["Plaintext"], BASE64.encode(PLAINTEXT));
    }

    /// It serves to its own end, and the scene's next worker finds all of it.
    async fn stops(self) {
        assert!(!self.log.text().contains(TAKEN), "{}", self.log.text());
        self.worker.stop().await;
    }
}

/// The store keeps a late commit, and then takes the next one as it always would.
fn before_the_next_commit(opponent: &Opponent, late: Commit) -> Attack {
    let (opponent, mut late) = (opponent.clone(), Some(late));
    Attack::default().on_commit(move |_| {
        if let Some(late) = late.take() {
            let store = opponent.store();
            deliver(async move { store.commit(late).await.unwrap() });
        }
        Write::Honest
    })
}

/// The same of the audit log.
fn before_the_next_block(opponent: &Opponent, late: (u64, Vec<u8>)) -> Attack {
    let (opponent, mut late) = (opponent.clone(), Some(late));
    Attack::default().on_append(move |_| {
        if let Some((sequence, block)) = late.take() {
            let store = opponent.store();
            deliver(async move { store.append_audit(sequence, block).await.unwrap() });
        }
        Write::Honest
    })
}

/// The scene's own worker, asked once more.
async fn ends_without_an_answer(scene: &mut Scene) {
    // Withheld, or it has ended: both are no answer.
    let asked = json!({ "CiphertextBlob": scene.blob });
    let reply = scene.client.send(&scene.client.signed("Decrypt", &asked)).await;
    assert!(!reply.is_ok_and(|reply| reply.status == 200), "answered from memory");
    scene.ended().await;
    scene.logged(TAKEN);
}

/// The end of a scene whose first worker is gone.
async fn goes_on(mut scene: Scene, second: Second) {
    second.stops().await;
    scene.boot().await.expect("the next worker starts");
    scene.recovers().await;
}

/// A scene whose workers look for others by themselves.
async fn looking() -> Scene {
    Scene::start_with(Bounds { watch: Bounds::default().watch, ..bounds() }).await
}

/// What the first one has in memory is of the past: it must not answer from there.
#[tokio::test]
async fn a_second_worker_ends_the_first_before_it_answers_again() {
    let mut scene = Scene::start().await;
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    let second = Second::start(&scene).await;
    second.decrypts(&scene.blob).await;
    second.client.call("DisableKey", json!({ "KeyId": scene.key })).await.unwrap();
    ends_without_an_answer(&mut scene).await;
    second.client.call("EnableKey", json!({ "KeyId": scene.key })).await.unwrap();
    goes_on(scene, second).await;
}

/// The first has recorded nothing yet, so that no block of its own shows it the other's.
#[tokio::test]
async fn a_second_worker_ends_one_that_has_answered_nothing() {
    let mut scene = Scene::start().await;
    scene.restart().await.unwrap();
    let second = Second::start(&scene).await;
    second.client.call("DisableKey", json!({ "KeyId": scene.key })).await.unwrap();
    ends_without_an_answer(&mut scene).await;
    second.client.call("EnableKey", json!({ "KeyId": scene.key })).await.unwrap();
    goes_on(scene, second).await;
}

/// A change of the first is refused, and nothing of it is kept.
#[tokio::test]
async fn a_second_worker_ends_the_first_at_its_next_change() {
    let mut scene = Scene::start().await;
    let second = Second::start(&scene).await;
    let entries = scene.opponent.store().head().await.unwrap();
    let reply = scene.client.send(&scene.client.signed("CreateKey", &json!({}))).await;
    assert!(!reply.is_ok_and(|reply| reply.status == 200), "acknowledged");
    assert_eq!(scene.opponent.store().head().await.unwrap(), entries);
    scene.ended().await;
    scene.logged(TAKEN);
    goes_on(scene, second).await;
}

/// Who is asked for nothing looks from time to time.
#[tokio::test]
async fn a_second_worker_ends_one_that_nobody_asks() {
    let mut scene = looking().await;
    let second = Second::start(&scene).await;
    scene.ended().await;
    scene.logged(TAKEN);
    second.decrypts(&scene.blob).await;
    goes_on(scene, second).await;
}

/// One after the other ends the one before: the last goes on.
#[tokio::test]
async fn each_start_ends_the_worker_before_it() {
    let mut scene = looking().await;
    let second = Second::start(&scene).await;
    scene.ended().await;
    scene.boot().await.expect("the third starts");
    second.worker.ended().await.expect("it ends in order");
    assert!(second.log.text().contains(TAKEN), "{}", second.log.text());
    scene.recovers_and_restarts().await;
}

/// Delivers what was held back, on a thread of its own: the host's is in the middle of an answer.
fn deliver(late: impl Future<Output = ()> + Send) {
    let delivering = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(late);
    };
    std::thread::scope(|scope| scope.spawn(delivering).join().unwrap());
}

/// A commit that the host does not keep and does not answer, of a worker that ends over it.
async fn commit_on_its_way(scene: &mut Scene) -> Commit {
    scene.attack(Attack::default().on_commit(|_| Write::Ignore));
    refused(scene.try_create_key().await, DEPENDENCY);
    let late = scene.opponent.commits().last().unwrap().clone();
    // Killed, as far as the store can tell: what it would write at an orderly stop is lost as well.
    scene.stop().await;
    scene.opponent.behave();
    late
}

#[tokio::test]
async fn a_killed_workers_entry_that_comes_before_the_next_ones_first() {
    let mut scene = Scene::start().await;
    let late = commit_on_its_way(&mut scene).await;
    // The next worker has read the journal, and its first entry is on its way.
    scene.attack(before_the_next_commit(&scene.opponent, late));
    scene.boot().await.expect("it starts");
    // The key that nobody was told of is there, and the worker goes on.
    let listed = scene.call("ListKeys", json!({})).await.unwrap();
    assert_eq!(listed["Keys"].as_array().unwrap().len(), 2);
    scene.stays().await;
    scene.recovers_and_restarts().await;
}

#[tokio::test]
async fn a_killed_workers_entry_that_comes_after_the_next_ones_first() {
    let mut scene = Scene::start().await;
    let late = commit_on_its_way(&mut scene).await;
    scene.boot().await.expect("it starts");
    let refused = scene.opponent.store().commit(late).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { .. }), "{refused}");
    scene.stays().await;
    scene.recovers_and_restarts().await;
}

#[tokio::test]
async fn a_killed_workers_block_that_comes_before_the_next_ones_first() {
    let mut scene = Scene::start().await;
    scene.attack(Attack::default().on_append(|_| Write::Ignore));
    refused(scene.decrypt(&scene.blob).await, DEPENDENCY);
    let late = scene.opponent.appended().last().unwrap().clone();
    scene.stop().await;
    scene.opponent.behave();
    scene.boot().await.expect("it starts");
    scene.attack(before_the_next_block(&scene.opponent, late));
    // Whose block was taken by the late one: it is not released, and the next one is.
    refused(scene.decrypt(&scene.blob).await, DEPENDENCY);
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    scene.audited().await.expect("the log is whole");
    scene.stays().await;
    scene.recovers_and_restarts().await;
}

/// Its own message of before, which the host keeps when the worker has given it up.
#[tokio::test]
async fn a_workers_own_entry_and_block_that_come_late() {
    let scene = Scene::start().await;
    scene.attack(Attack::default().on_commit(|_| Write::Ignore));
    refused(scene.try_create_key().await, DEPENDENCY);
    let entry = scene.opponent.commits().last().unwrap().clone();
    // The worker has looked, and has not found it, when its next change meets it.
    scene.attack(before_the_next_commit(&scene.opponent, entry));
    refused(scene.try_create_key().await, DEPENDENCY);
    scene.create_key().await;
    let listed = scene.call("ListKeys", json!({})).await.unwrap();
    assert_eq!(listed["Keys"].as_array().unwrap().len(), 3);

    scene.attack(Attack::default().on_append(|_| Write::Ignore));
    refused(scene.decrypt(&scene.blob).await, DEPENDENCY);
    let block = scene.opponent.appended().last().unwrap().clone();
    scene.attack(before_the_next_block(&scene.opponent, block));
    refused(scene.decrypt(&scene.blob).await, DEPENDENCY);
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    scene.audited().await.expect("the log is whole");
    scene.stays().await;
    scene.recovers_and_restarts().await;
}

/// What no worker can notice: each has a store of its own, and both serve. Whoever compares what
/// they attest does.
#[tokio::test]
async fn two_workers_at_once_on_two_copies() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let fork = scene.folder.path().join("fork");
    scene.opponent.with_folder(|folder| copy(folder, &fork.join("data"))).await;
    let _forked = Opponent::start(&fork).await;
    scene.boot().await.unwrap();
    let second = Second::start_with(&scene, |boot| boot.store = Opponent::address(&fork)).await;

    // What one has changed, the other does not know.
    let made = scene.create_key().await;
    let alias = json!({ "AliasName": "alias/fork", "TargetKeyId": scene.key });
    second.client.call("CreateAlias", alias).await.unwrap();
    assert!(!describes(&second.client, &made).await);
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    second.decrypts(&scene.blob).await;
    let (one, _) = scene.attested().await;
    let other = super::fleet::attested(&second.client).await;
    assert_eq!(one.service_ca_sha256, other.service_ca_sha256);
    assert_eq!(one.journal_sequence, other.journal_sequence);
    assert_ne!(one.journal_hash, other.journal_hash);
    scene.stays().await;
    second.stops().await;
    scene.recovers().await;
}
