//! Who is let in, and as whom: one row for each rule.

use super::*;
use crate::principals::{AccessKey, KeyStatus, Principal};
use crate::secret::{RootKey, Subkeys};
use crate::signature::tests::sign;
use crate::storage::journal::{Cadence, Journal};
use crate::storage::opponent::Opponent;
use time::Duration;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-22 04:00:00 UTC);
const REGION: &str = "eu-central-1";
const REGIONS: [&str; 2] = [REGION, "us-east-1"];
const BOOT: (&str, &str) = ("AKIABOOT", "boot secret");

struct World {
    credentials: Credentials,
    key: AccessKey,
}

impl World {
    /// The root of the start, and alice with one access key that expires in an hour.
    async fn new() -> Self {
        let subkeys = Subkeys::derive(&RootKey::from_bytes(&[1; 32]));
        let client = Opponent::default().client();
        let journal =
            Arc::new(Journal::open(client, subkeys.journal, Cadence::DEFAULT).await.unwrap());
        let place = Place { region: REGION.into(), account: "111122223333".into() };
        let boot = BootCredential {
            access_key_id: BOOT.0.into(),
            secret_access_key: Zeroizing::new(BOOT.1.into()),
            principal_arn: place.root_arn(),
        };
        let principals = PrincipalStore::new(journal);
        let tags = vec![("team".into(), "kiosk".into())];
        let alice = Principal { name: "alice".into(), created: 0, tags, keys: Vec::new() };
        principals.create(alice).await.unwrap();
        let expires = milliseconds(NOW + Duration::hours(1));
        let key = principals.create_access_key("alice", 0, Some(expires)).await.unwrap();
        let sessions = Sessions::new(subkeys.sessions);
        let credentials = Credentials::new(
            place,
            REGIONS.map(String::from).into(),
            vec![boot],
            principals,
            sessions,
        );
        Self { credentials, key }
    }

    async fn ask(
        &self,
        (id, secret, token): (&str, &str, Option<&str>),
        now: OffsetDateTime,
    ) -> Result<Arc<Caller>, &'static str> {
        let request = sign((id, secret, token), Operation::ListKeys, REGION, now);
        let asked = self.credentials.authenticate(request, now).await;
        asked.map(|asked| asked.caller().clone()).map_err(|error| error.code())
    }

    async fn alice(&self, now: OffsetDateTime) -> Result<Arc<Caller>, &'static str> {
        self.ask((&self.key.id, self.key.secret.expose(), None), now).await
    }

    async fn set(&self, status: KeyStatus) {
        let principals = &self.credentials.principals;
        principals.update_access_key("alice", &self.key.id, status).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_is_of_the_region_that_it_is_signed_for() {
    let world = World::new().await;
    for (region, served) in [(REGION, true), ("us-east-1", true), ("us-west-1", false)] {
        let request = sign((BOOT.0, BOOT.1, None), Operation::ListKeys, region, NOW);
        match world.credentials.authenticate(request, NOW).await {
            Ok(asked) => assert!(served && asked.region() == region, "{region}"),
            Err(error) => {
                assert!(!served && error.code() == "InvalidSignatureException", "{region}");
                assert!(error.message().ends_with("in 'eu-central-1', 'us-east-1'."));
            }
        }
    }
}

#[tokio::test]
async fn callers_are_who_their_access_key_says() {
    let world = World::new().await;
    let root = world.ask((BOOT.0, BOOT.1, None), NOW).await.unwrap();
    assert_eq!((root.arn(), root.tags()), ("arn:aws:iam::111122223333:root", &[][..]));
    let alice = world.alice(NOW).await.unwrap();
    assert_eq!(alice.arn(), "arn:aws:iam::111122223333:user/alice");
    assert_eq!(alice.tags(), [("team".to_owned(), "kiosk".to_owned())]);
    assert_eq!((alice.access_key_id(), alice.session()), (world.key.id.as_str(), None));
}

#[tokio::test]
async fn an_access_key_signs_only_while_it_is_usable() {
    let world = World::new().await;
    let unrecognized = Some("UnrecognizedClientException");
    let (id, secret) = (world.key.id.as_str(), world.key.secret.expose());
    for (what, key, wanted) in [
        ("right", (id, secret, None), None),
        ("unknown id", ("AKIAUNKNOWN", secret, None), unrecognized),
        ("secret of another", (id, BOOT.1, None), Some("InvalidSignatureException")),
        ("no session, but a token", (id, secret, Some("AAAA")), unrecognized),
    ] {
        assert_eq!(world.ask(key, NOW).await.err(), wanted, "{what}");
    }
    let hour = Duration::hours(1);
    assert!(world.alice(NOW + hour - Duration::SECOND).await.is_ok());
    assert_eq!(world.alice(NOW + hour).await.err(), unrecognized, "expired");
    world.set(KeyStatus::Inactive).await;
    assert_eq!(world.alice(NOW).await.err(), unrecognized, "disabled");
    world.set(KeyStatus::Active).await;
    assert!(world.alice(NOW).await.is_ok());
    world.credentials.principals.delete_access_key("alice", id).await.unwrap();
    assert_eq!(world.alice(NOW).await.err(), unrecognized, "deleted");
}

#[tokio::test]
async fn a_session_is_as_good_as_its_access_key() {
    let world = World::new().await;
    let expires = milliseconds(NOW + Duration::minutes(15));
    let issue =
        |parent: &str| world.credentials.sessions.issue(parent, "deploy".into(), expires).unwrap();
    let session = issue(&world.key.id);
    let other = issue(&world.key.id);
    let orphan = issue("AKIAUNKNOWN");
    let of_root = issue(BOOT.0);
    let (id, secret, token) = (
        session.access_key_id.as_str(),
        session.session.secret.expose(),
        Some(session.token.as_str()),
    );

    let caller = world.ask((id, secret, token), NOW).await.unwrap();
    assert_eq!(caller.arn(), "arn:aws:iam::111122223333:user/alice");
    assert_eq!((caller.access_key_id(), caller.session()), (id, Some("deploy")));
    assert_eq!(caller.tags().len(), 1);
    let root = (of_root.access_key_id.as_str(), of_root.session.secret.expose());
    let root = world.ask((root.0, root.1, Some(&of_root.token)), NOW).await.unwrap();
    assert_eq!(root.arn(), "arn:aws:iam::111122223333:root");

    let unrecognized = Some("UnrecognizedClientException");
    let alone = orphan.session.secret.expose();
    for (what, key, wanted) in [
        ("without its token", (id, secret, None), unrecognized),
        ("another's token", (id, secret, Some(other.token.as_str())), unrecognized),
        (
            "the parent's secret",
            (id, world.key.secret.expose(), token),
            Some("InvalidSignatureException"),
        ),
        ("no parent", (orphan.access_key_id.as_str(), alone, Some(&orphan.token)), unrecognized),
    ] {
        assert_eq!(world.ask(key, NOW).await.err(), wanted, "{what}");
    }
    let late = NOW + Duration::minutes(15);
    assert!(world.ask((id, secret, token), late - Duration::SECOND).await.is_ok());
    let expired = Some("ExpiredTokenException");
    assert_eq!(world.ask((id, secret, token), late).await.err(), expired);

    world.set(KeyStatus::Inactive).await;
    assert_eq!(world.ask((id, secret, token), NOW).await.err(), unrecognized, "disabled");
    world.set(KeyStatus::Active).await;
    assert!(world.ask((id, secret, token), NOW).await.is_ok());
    world.credentials.principals.delete_access_key("alice", &world.key.id).await.unwrap();
    assert_eq!(world.ask((id, secret, token), NOW).await.err(), unrecognized, "deleted");
}

/// A new principal of an old name has nothing to do with the sessions of the old one.
#[tokio::test]
async fn a_name_that_is_given_again_inherits_nothing() {
    let world = World::new().await;
    let expires = milliseconds(NOW + Duration::hours(1));
    let session = world.credentials.sessions.issue(&world.key.id, "old".into(), expires).unwrap();
    let principals = &world.credentials.principals;
    principals.delete_access_key("alice", &world.key.id).await.unwrap();
    principals.delete("alice").await.unwrap();
    let alice = Principal { name: "alice".into(), created: 1, tags: vec![], keys: Vec::new() };
    principals.create(alice).await.unwrap();
    principals.create_access_key("alice", 1, None).await.unwrap();
    let key = (session.access_key_id.as_str(), session.session.secret.expose());
    let asked = world.ask((key.0, key.1, Some(&session.token)), NOW).await;
    assert_eq!(asked.err(), Some("UnrecognizedClientException"));
}
