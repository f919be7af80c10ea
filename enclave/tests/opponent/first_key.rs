//! Attacks on the first access key of a service, which waits for its administrator.

use super::client::Client;
use super::host::Attack;
use super::scene::{REGION, Scene, bounds, configuration, nsm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_devkit::Signer;
use sekisho_enclave::{
    BootConfiguration, BootError, HpkePair, JournalError, open_first_access_key,
};
use serde_json::{Value, json};

const PATH: &str = "/first-access-key";

/// What a host makes of the own record and another service's.
type Swap = fn(&[u8], &[u8]) -> Option<Vec<u8>>;

/// A new service, its administrator, and what waits for her.
async fn administered() -> (Scene, HpkePair) {
    let pair = HpkePair::generate().unwrap();
    let administrator_key = Some(pair.public_key().to_vec());
    let configuration = BootConfiguration { administrator_key, ..configuration() };
    (Scene::start_as(bounds(), configuration).await, pair)
}

async fn encrypted(scene: &Scene) -> Vec<u8> {
    let answer = scene.client.get(PATH).await.unwrap();
    assert_eq!(answer.status, 200);
    BASE64.decode(answer.json()["encrypted"].as_str().unwrap()).unwrap()
}

/// A caller with the access key that the administrator has opened.
fn administrator(scene: &Scene, pair: &HpkePair, encrypted: &[u8]) -> Client {
    let opened = open_first_access_key(pair, encrypted).unwrap();
    let opened: Value = serde_json::from_slice(&opened).unwrap();
    let text = |name: &str| opened["AccessKey"][name].as_str().unwrap().to_owned();
    let signer = Signer {
        access_key_id: text("AccessKeyId"),
        secret_access_key: text("SecretAccessKey"),
        session_token: None,
        region: REGION.into(),
    };
    let mut client = scene.client.clone();
    client.signer = signer;
    client
}

#[tokio::test]
async fn it_is_the_roots_until_it_has_signed() {
    let (mut scene, pair) = administered().await;
    let waiting = encrypted(&scene).await;
    scene.restart().await.unwrap();
    assert_eq!(encrypted(&scene).await, waiting, "a second start makes no other");
    let client = administrator(&scene, &pair, &waiting);
    // A signature by its id alone does not end the waiting.
    let mut forged = client.clone();
    forged.signer.secret_access_key = "bm90IHRoZSBzZWNyZXQ".into();
    forged.call("ListKeys", json!({})).await.unwrap_err();
    assert_eq!(encrypted(&scene).await, waiting);

    let listed = client.call("Sekisho.ListPrincipals", json!({})).await.unwrap();
    assert_eq!(listed["Principals"][0]["Arn"], "arn:aws:iam::111122223333:root");
    assert_eq!(scene.client.get(PATH).await.unwrap().status, 404);
    scene.restart().await.unwrap();
    assert_eq!(scene.client.get(PATH).await.unwrap().status, 404);
    let client = administrator(&scene, &pair, &waiting);
    client.call("DescribeKey", json!({ "KeyId": scene.key })).await.unwrap();
    scene.recovers().await;
}

/// What was deleted is served again: it is not in the journal's index, and nobody reads it.
#[tokio::test]
async fn a_host_that_puts_a_claimed_key_back() {
    let (mut scene, pair) = administered().await;
    let first = scene.opponent.commits().first().unwrap().clone();
    assert_eq!(first.puts.len(), 3, "the principal, its access key, and the encrypted copy");
    let waiting = encrypted(&scene).await;
    administrator(&scene, &pair, &waiting).call("ListKeys", json!({})).await.unwrap();
    scene.attack(Attack::default().on_get(move |key, honest| {
        let kept = first.puts.iter().find(|(kept, _)| *kept == key);
        honest.or_else(|| kept.map(|(_, blob)| blob.clone()))
    }));
    assert_eq!(scene.client.get(PATH).await.unwrap().status, 404);
    scene.restart().await.unwrap();
    assert_eq!(scene.client.get(PATH).await.unwrap().status, 404);
    scene.recovers_and_restarts().await;
}

/// One of another service, whose administrator the host is; and any other change.
#[tokio::test]
async fn a_host_that_swaps_a_waiting_key() {
    let (mut scene, pair) = administered().await;
    let (other, _) = administered().await;
    let theirs = other.opponent.commits().first().unwrap().clone();
    let waiting = encrypted(&scene).await;
    let ours = scene.opponent.commits().first().unwrap().clone();
    let swaps: [Swap; 3] = [
        |_, theirs| Some(theirs.to_vec()),
        |ours, _| {
            let mut changed = ours.to_vec();
            changed[ours.len() / 2] ^= 1;
            Some(changed)
        },
        |_, _| None,
    ];
    for swap in swaps {
        // Principal, access key, encrypted copy: in the order in which they were written.
        let ((name, ours), (_, theirs)) = (ours.puts[2].clone(), theirs.puts[2].clone());
        scene.stop().await;
        scene.attack(
            Attack::default().on_get(
                move |key, honest| {
                    if key == name { swap(&ours, &theirs) } else { honest }
                },
            ),
        );
        let error = scene.boot().await.expect_err("the worker does not start");
        assert!(
            matches!(
                error,
                BootError::FirstKey(sekisho_enclave::FirstKeyError::Journal(
                    JournalError::RecordNotCurrent | JournalError::RecordMissing
                ))
            ),
            "{error:?}"
        );
        scene.opponent.behave();
        scene.boot().await.unwrap();
        assert_eq!(encrypted(&scene).await, waiting);
    }
    administrator(&scene, &pair, &waiting).call("ListKeys", json!({})).await.unwrap();
    other.recovers().await;
    scene.recovers().await;
}

/// The host starts the same image with an administrator's key of its own.
#[tokio::test]
async fn a_host_that_names_another_administrator() {
    let (mut scene, pair) = administered().await;
    let waiting = encrypted(&scene).await;
    let (before, _) = scene.attested().await;
    scene.stop().await;
    let thief = HpkePair::generate().unwrap();
    let administrator_key = Some(thief.public_key().to_vec());
    let other = BootConfiguration { administrator_key, ..configuration() };
    scene.boot_with(scene.parameters(nsm(), other)).await.unwrap();
    // It is another measurement, and no key is made for the thief.
    let (after, _) = scene.attested().await;
    assert_ne!(after.boot_configuration_sha384, before.boot_configuration_sha384);
    assert_eq!(encrypted(&scene).await, waiting);
    assert!(open_first_access_key(&thief, &waiting).is_err());
    administrator(&scene, &pair, &waiting).call("ListKeys", json!({})).await.unwrap();
    scene.recovers().await;
}
