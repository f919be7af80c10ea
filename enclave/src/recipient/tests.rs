//! Documents that came with a request, each with one thing wrong.

use super::*;
use sekisho_devkit::{DevelopmentPki, EmulatedNsm, Forgery, Measurements, Options};
use sekisho_nsm::AttestationRequest;
use std::time::SystemTime;

const ALICE: &str = "arn:aws:iam::000000000000:user/alice";
const BODY: &[u8] = br#"{"KeyId":"alias/a","Message":"aGVsbG8="}"#;

struct World {
    pki: DevelopmentPki,
    verifier: RecipientVerifier,
}

impl World {
    fn new() -> Self {
        let pki = DevelopmentPki::generate(SystemTime::now());
        let anchors = TrustAnchors::from_der([pki.root_der()]).unwrap();
        Self { verifier: RecipientVerifier::new(anchors), pki }
    }

    fn enclave(&self, code: &[u8], debug: bool) -> EmulatedNsm {
        let options = Options { debug, ..Options::default() };
        EmulatedNsm::new(self.pki.clone(), &Measurements::of(code), options)
    }

    /// What an enclave with this code gives for a nonce, made `age` seconds ago.
    fn document(&self, code: &[u8], nonce: Option<&[u8]>, key: bool, age: i64) -> Vec<u8> {
        let (mut document, leaf) = self.enclave(code, false).document(asking(nonce, key));
        let off = Duration::from_secs(age.unsigned_abs());
        let stamped = document.timestamp;
        document.timestamp = if age < 0 { stamped + off } else { stamped - off };
        document.sign(&leaf.key)
    }

    async fn verify(
        &self,
        operation: Operation,
        recipient: Option<&Recipient>,
        document: Option<Vec<u8>>,
    ) -> Result<Option<Papers>, String> {
        let header: Vec<String> = document.iter().map(|bytes| BASE64.encode(bytes)).collect();
        let request = RequestDocument::read(&header, BODY).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let now = Timestamp::from_millis(u64::try_from(now).unwrap());
        self.verifier.verify(operation, recipient, request, ALICE, now).await.map_err(|error| {
            assert_eq!((error.code(), error.status()), ("ValidationException", 400));
            error.message()
        })
    }
}

fn asking(nonce: Option<&[u8]>, key: bool) -> AttestationRequest {
    let public_key = key.then(|| crate::probe::auditor().unwrap().public_key().to_vec());
    AttestationRequest { public_key, user_data: None, nonce: nonce.map(<[u8]>::to_vec) }
}

fn digest(bytes: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).to_vec()
}

#[tokio::test]
async fn a_document_for_the_body_attests_the_caller() {
    let world = World::new();
    for key in [false, true] {
        let document = world.document(b"signer", Some(&digest(BODY)), key, 0);
        let papers = world.verify(Operation::Sign, None, Some(document)).await.unwrap().unwrap();
        assert!(papers.recipient().is_none());
        let seen = papers.attestation().to_policy();
        assert!(seen.nonce_fresh);
        assert_eq!(seen.nonce, Some(digest(BODY)));
        assert_eq!(seen.public_key_sha256.is_some(), key);
        assert_eq!(seen.pcrs[0].value, hex::encode(Measurements::of(b"signer").pcr0));
        let audited = papers.attestation().to_audit();
        assert!(audited.for_request);
    }
    assert!(world.verify(Operation::Sign, None, None).await.unwrap().is_none());
}

#[tokio::test]
async fn a_document_that_is_not_for_this_request_is_refused_by_name() {
    let world = World::new();
    let own = digest(BODY);
    let request = || asking(Some(&own), false);
    let enclave = world.enclave(b"signer", false);
    let other_root = World::new();
    let whole = world.document(b"signer", Some(&own), false, 0);
    let cut = whole[..whole.len() - 1].to_vec();
    for (document, rule) in [
        (world.document(b"signer", Some(&digest(b"{}")), false, 0), "(nonce)"),
        (world.document(b"signer", Some(BODY), false, 0), "(nonce)"),
        (world.document(b"signer", None, false, 0), "(nonce)"),
        (world.document(b"signer", Some(&own), false, 301), "older than allowed"),
        (world.document(b"signer", Some(&own), false, -70), "in the future"),
        (enclave.forge(request(), Forgery::SignedByAnotherKey), "signature"),
        (enclave.forge(request(), Forgery::ChangedMeasurement), "signature"),
        (enclave.forge(request(), Forgery::OtherRoot), "root"),
        (other_root.document(b"signer", Some(&own), false, 0), "root"),
        (b"hello".to_vec(), "refused ("),
        (cut, "refused ("),
    ] {
        let message = world.verify(Operation::Sign, None, Some(document)).await.err().unwrap();
        assert!(message.starts_with("X-Sekisho-Attestation: "), "{message}");
        assert!(message.contains(rule), "{rule}: {message}");
        let hint = message.contains("it has to be the SHA-256 of this request's body");
        assert_eq!(hint, rule == "(nonce)", "{message}");
    }
    let (debug, leaf) = world.enclave(b"signer", true).document(request());
    let refused = world.verify(Operation::Sign, None, Some(debug.sign(&leaf.key))).await;
    assert!(refused.err().unwrap().contains("debug"));
}

/// A secret leaves encrypted to whoever is attested, or it leaves to nobody for being attested.
#[tokio::test]
async fn beside_a_recipient_the_header_is_of_the_same_enclave() {
    let world = World::new();
    let recipient = |document| Recipient { algorithm: KeyEncryptionAlgorithm::HpkeP384, document };
    let claimed = recipient(world.document(b"reader", None, true, 0));
    let own = digest(BODY);

    let alone = world.document(b"reader", Some(&own), true, 0);
    for operation in [
        Operation::Decrypt,
        Operation::DeriveSharedSecret,
        Operation::GenerateDataKey,
        Operation::GenerateDataKeyPair,
        Operation::GenerateRandom,
    ] {
        let refused = world.verify(operation, None, Some(alone.clone())).await.err().unwrap();
        assert!(refused.contains("takes an attestation document as Recipient"), "{refused}");
    }
    let unbound = world.verify(Operation::Decrypt, Some(&claimed), None).await.unwrap().unwrap();
    assert!(unbound.recipient().is_some() && !unbound.attestation().to_policy().nonce_fresh);
    let both = world.verify(Operation::Decrypt, Some(&claimed), Some(alone)).await.unwrap();
    let both = both.unwrap();
    assert!(both.recipient().is_some() && both.attestation().to_policy().nonce_fresh);

    for other in [
        world.document(b"another", Some(&own), true, 0),
        world.document(b"reader", Some(&own), false, 0),
    ] {
        let refused = world.verify(Operation::Decrypt, Some(&claimed), Some(other)).await;
        assert!(refused.err().unwrap().contains("differ in module id"));
    }
    let stale = world.document(b"reader", Some(&digest(b"{}")), true, 0);
    let refused = world.verify(Operation::Decrypt, Some(&claimed), Some(stale)).await;
    assert!(refused.err().unwrap().contains("(nonce)"));
}
