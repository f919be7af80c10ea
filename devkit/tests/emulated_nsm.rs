//! The emulated module behaves as the real one does, and its documents as AWS's do, up to the root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sekisho_attestation::{
    Expectation, PcrValue, Pcrs, Rejection, Timestamp, TrustAnchors, VerifiedDocument, Verifier,
};
use sekisho_devkit::{
    DevelopmentPki, EmulatedNsm, Forgery, Measurements, Options, PayloadForm, Recipient,
};
use sekisho_nsm::{AttestationRequest, Nsm, NsmError};
use sha2::{Digest as _, Sha384};

const NOW: Duration = Duration::from_secs(1_768_478_400);

fn nsm(options: Options) -> (EmulatedNsm, DevelopmentPki) {
    let pki = DevelopmentPki::generate(UNIX_EPOCH + NOW);
    let clock: Box<dyn Fn() -> SystemTime + Send + Sync> = Box::new(|| UNIX_EPOCH + NOW);
    let options = Options { clock, ..options };
    (EmulatedNsm::new(pki.clone(), &Measurements::of(b"test"), options), pki)
}

fn verify(
    pki: &DevelopmentPki,
    document: &[u8],
    expectation: &Expectation,
) -> Result<VerifiedDocument, Rejection> {
    let verifier = Verifier::new(TrustAnchors::from_der([pki.root_der()]).unwrap());
    verifier.verify(document, Timestamp::from_seconds(NOW.as_secs()), expectation)
}

fn request() -> AttestationRequest {
    AttestationRequest {
        user_data: Some(b"data".to_vec()),
        nonce: Some(b"nonce".to_vec()),
        public_key: Some(b"key".to_vec()),
    }
}

#[test]
fn documents_of_both_forms_verify_under_the_development_root_only() {
    for form in [PayloadForm::Definite, PayloadForm::Indefinite] {
        let (nsm, pki) = nsm(Options { form, ..Options::default() });
        let document = nsm.attestation(request()).unwrap();
        let measurements = Measurements::of(b"test");
        let pcrs = [
            (0, PcrValue::new(measurements.pcr0)),
            (1, PcrValue::new(measurements.pcr1)),
            (2, PcrValue::new(measurements.pcr2)),
            (4, PcrValue::new(measurements.pcr4)),
        ];
        let expectation = Expectation::measurements(Pcrs::new(pcrs).unwrap())
            .nonce(*b"nonce")
            .user_data(*b"data")
            .max_age(Duration::from_secs(1));
        let verified = verify(&pki, &document, &expectation).unwrap();
        assert_eq!(verified.public_key(), Some(&b"key"[..]));
        assert_eq!(verified.module_id(), "i-development-enc0000000000000000");
        assert_eq!(verified.pcrs().len(), 16);

        let aws = Verifier::new(TrustAnchors::aws_nitro());
        let at = Timestamp::from_seconds(NOW.as_secs());
        assert_eq!(aws.verify(&document, at, &expectation), Err(Rejection::RootNotTrusted));
    }
}

#[test]
fn debug_mode_shows_zeros_and_is_refused() {
    let (nsm, pki) = nsm(Options { debug: true, ..Options::default() });
    assert_eq!(nsm.describe_pcr(0).unwrap().value, [0; 48]);
    assert_ne!(nsm.describe_pcr(4).unwrap().value, [0; 48]);
    let document = nsm.attestation(request()).unwrap();
    let expectation = Expectation::any_measurement();
    assert_eq!(verify(&pki, &document, &expectation), Err(Rejection::Debug));
    assert!(verify(&pki, &document, &expectation.allow_debug()).unwrap().is_debug());
}

#[test]
fn forgeries_are_refused_each_for_its_reason() {
    let (nsm, pki) = nsm(Options::default());
    for (forgery, rule) in [
        (Forgery::SignedByAnotherKey, "document-signature"),
        (Forgery::ChangedMeasurement, "document-signature"),
        (Forgery::OtherRoot, "root-not-trusted"),
        (Forgery::OtherChainBelowTheRoot, "certificate-signature"),
    ] {
        let document = nsm.forge(request(), forgery);
        let rejection = verify(&pki, &document, &Expectation::any_measurement()).unwrap_err();
        assert_eq!(rejection.rule(), rule, "{forgery:?}");
    }
}

#[test]
fn registers_0_to_15_are_locked_at_start_and_others_can_be() {
    let (nsm, pki) = nsm(Options::default());
    let description = nsm.describe().unwrap();
    assert_eq!(description.locked_pcrs, (0..16).collect());
    assert_eq!(description.max_pcrs, 32);
    for index in 0..16 {
        assert_eq!(nsm.extend_pcr(index, b"x"), Err(NsmError::ReadOnlyIndex));
        assert_eq!(nsm.lock_pcr(index), Err(NsmError::ReadOnlyIndex));
    }
    for index in [32, 33, u16::MAX] {
        assert_eq!(nsm.describe_pcr(index), Err(NsmError::InvalidIndex));
        assert_eq!(nsm.extend_pcr(index, b"x"), Err(NsmError::InvalidIndex));
        assert_eq!(nsm.lock_pcr(index), Err(NsmError::InvalidIndex));
    }
    assert_eq!(nsm.lock_pcrs(33), Err(NsmError::InvalidIndex));

    let once: [u8; 48] = Sha384::digest([&[0; 48][..], b"boot"].concat()).into();
    let twice: [u8; 48] = Sha384::digest([&once[..], b"more"].concat()).into();
    assert_eq!(nsm.extend_pcr(16, b"boot").unwrap(), once);
    assert_eq!(nsm.extend_pcr(16, b"more").unwrap(), twice);

    let pcr16 = |nsm: &EmulatedNsm| {
        let document = nsm.attestation(request()).unwrap();
        let verified = verify(&pki, &document, &Expectation::any_measurement()).unwrap();
        verified.pcrs().get(16).copied()
    };
    assert_eq!(pcr16(&nsm), None, "not in documents before it is locked");
    nsm.lock_pcr(16).unwrap();
    assert_eq!(pcr16(&nsm), Some(PcrValue::new(twice)));
    assert_eq!(nsm.extend_pcr(16, b"x"), Err(NsmError::ReadOnlyIndex));
    nsm.lock_pcrs(32).unwrap();
    assert_eq!(nsm.describe().unwrap().locked_pcrs.len(), 32);
}

#[test]
fn random_bytes_are_256_and_differ() {
    let (nsm, _) = nsm(Options::default());
    let (one, two) = (nsm.random().unwrap(), nsm.random().unwrap());
    assert_eq!((one.len(), two.len()), (256, 256));
    assert_ne!(one, two);
}

#[test]
fn the_wire_is_the_real_devices() {
    let (nsm, _) = nsm(Options::default());
    // As RULES.md has them: bare text, or a map of one.
    let describe = nsm.process_cbor(b"\x6bDescribeNSM");
    assert!(describe.starts_with(b"\xa1\x6bDescribeNSM\xa7"));
    assert!(nsm.process_cbor(b"\x69GetRandom").starts_with(b"\xa1\x69GetRandom\xa1\x66random\x59"));
    let lock = b"\xa1\x67LockPCR\xa1\x65index\x10";
    assert_eq!(nsm.process_cbor(lock), b"\x67LockPCR");
    assert_eq!(nsm.process_cbor(lock), b"\xa1\x65Error\x6dReadOnlyIndex");
    assert_eq!(nsm.process_cbor(b"\xa1\x68LockPCRs\xa1\x65range\x14"), b"\x68LockPCRs");
    let extend = b"\xa1\x69ExtendPCR\xa2\x65index\x18\x1f\x64data\x41x";
    assert!(nsm.process_cbor(extend).starts_with(b"\xa1\x69ExtendPCR\xa1\x64data\x58\x30"));
    let pcr = nsm.process_cbor(b"\xa1\x6bDescribePCR\xa1\x65index\x00");
    assert!(pcr.starts_with(b"\xa1\x6bDescribePCR\xa2\x64lock\xf5\x64data\x58\x30"));
    let attest = b"\xa1\x6bAttestation\xa3\x69user_data\xf6\x65nonce\x41n\x6apublic_key\xf6";
    assert!(nsm.process_cbor(attest).starts_with(b"\xa1\x6bAttestation\xa1\x68document\x59"));

    assert_eq!(nsm.process_cbor(b"\x64What"), b"\xa1\x65Error\x70InvalidOperation");
    assert_eq!(nsm.process_cbor(b""), b"\xa1\x65Error\x70InvalidOperation");
    assert_eq!(nsm.process_cbor(&[0; 0x1001]), b"\xa1\x65Error\x6dInputTooLarge");
}

#[test]
fn a_leaf_is_reused_and_replaced_before_it_ends() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    let seconds = Arc::new(AtomicU64::new(NOW.as_secs()));
    let clock = Arc::clone(&seconds);
    let pki = DevelopmentPki::generate(UNIX_EPOCH + NOW);
    let clock = move || UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed));
    let options = Options { clock: Box::new(clock), ..Options::default() };
    let nsm = EmulatedNsm::new(pki.clone(), &Measurements::of(b"test"), options);
    let leaf = || nsm.document(request()).0.certificate;
    let first = leaf();
    seconds.fetch_add(2 * 3600, Ordering::Relaxed);
    assert_eq!(leaf(), first);
    seconds.fetch_add(3600, Ordering::Relaxed);
    assert_ne!(leaf(), first);
}

#[test]
fn a_root_survives_its_data_folder() {
    let (_, pki) = nsm(Options::default());
    let read = DevelopmentPki::from_pem(&pki.to_pem()).unwrap();
    assert_eq!(read.root_der(), pki.root_der());
    assert_eq!(read.to_pem(), pki.to_pem());
    assert!(DevelopmentPki::from_pem(&pki.root_pem()).is_err());
    let other = DevelopmentPki::generate(UNIX_EPOCH + NOW).to_pem();
    let (_, other_key) = other.split_at(other.find("-----BEGIN PRIVATE").unwrap());
    assert!(DevelopmentPki::from_pem(&(pki.root_pem() + other_key)).is_err(), "key of another");
}

#[test]
fn a_recipient_reads_back_its_own_key() {
    let recipient = Recipient::generate().unwrap();
    assert_eq!(recipient.public_key_der().len(), 294);
    assert!(recipient.private_key_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(recipient.open(b"").is_err());
}
