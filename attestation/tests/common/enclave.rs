//! An enclave whose documents a test spoils, and what the verifier says to them.

use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sekisho_attestation::backend::{PureRust, SignatureAlgorithms};
use sekisho_attestation::{
    Expectation, Rejection, Timestamp, TrustAnchors, VerifiedDocument, Verifier,
};
use sekisho_devkit::certificate::{Extension, Template, Validity, usage};
use sekisho_devkit::{
    Chain, DevelopmentPki, Document, EmulatedNsm, Leaf, Measurements, Options, sign_payload,
};
use sekisho_nsm::AttestationRequest;

use super::cbor;

/// 2026-01-15T12:00:00Z
pub(crate) const NOW: Duration = Duration::from_secs(1_768_478_400);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct Enclave {
    pub(crate) pki: DevelopmentPki,
    pub(crate) chain: Chain,
    pub(crate) leaf: Leaf,
    /// A good document's fields.
    pub(crate) document: Document,
}

impl Enclave {
    pub(crate) fn new() -> Self {
        let pki = DevelopmentPki::generate(now());
        let options = Options { clock: Box::new(now), ..Options::default() };
        let nsm = EmulatedNsm::new(pki.clone(), &Measurements::of(b"test"), options);
        let request = AttestationRequest {
            user_data: Some(b"data".to_vec()),
            nonce: Some(b"nonce".to_vec()),
            public_key: Some(b"key".to_vec()),
        };
        let (document, _) = nsm.document(request);
        let chain = pki.chain(now());
        let leaf = chain.leaf(&document.module_id, now());
        let mut enclave = Self { pki, chain, leaf, document };
        enclave.document.certificate = enclave.leaf.certificate.clone();
        enclave.document.cabundle = enclave.chain.cabundle();
        enclave
    }

    /// The verifier's answer, which is the same under every backend, cached and not.
    pub(crate) fn verify(
        &self,
        document: &[u8],
        expectation: &Expectation,
    ) -> Result<VerifiedDocument, Rejection> {
        let answer = self.verify_with(PureRust, document, expectation);
        #[cfg(feature = "aws-lc-rs")]
        assert_eq!(
            answer,
            self.verify_with(sekisho_attestation::backend::AwsLc, document, expectation)
        );
        answer
    }

    fn verify_with<B: SignatureAlgorithms + Copy>(
        &self,
        backend: B,
        document: &[u8],
        expectation: &Expectation,
    ) -> Result<VerifiedDocument, Rejection> {
        let anchors = TrustAnchors::from_der([self.pki.root_der()]).unwrap();
        let plain = Verifier::with_backend(anchors.clone(), backend);
        let cached = Verifier::with_backend(anchors, backend).with_cache(NonZeroUsize::MIN);
        let answer = plain.verify(document, at(NOW), expectation);
        for _ in 0..2 {
            assert_eq!(cached.verify(document, at(NOW), expectation), answer);
        }
        answer
    }

    /// The rule by which a document is refused whatever is expected of it.
    pub(crate) fn rule(&self, document: &[u8]) -> &'static str {
        match self.verify(document, &Expectation::any_measurement()) {
            Ok(_) => "accepted",
            Err(rejection) => rejection.rule(),
        }
    }

    /// The rule for a document with one field changed.
    pub(crate) fn rule_with(&self, change: impl FnOnce(&mut Document)) -> &'static str {
        let mut document = self.document.clone();
        change(&mut document);
        self.rule(&document.sign(&self.leaf.key))
    }

    /// The rule for a document whose payload is these bytes, rightly signed.
    pub(crate) fn rule_of_payload(&self, payload: &[u8]) -> &'static str {
        self.rule(&sign_payload(payload, &self.leaf.key))
    }

    /// The rule for a document whose leaf certificate is changed and signed again.
    pub(crate) fn rule_with_leaf(&self, change: impl FnOnce(&mut Template)) -> &'static str {
        let validity = validity(NOW, NOW + 3 * HOUR);
        let mut template =
            self.chain.leaf_template(&self.document.module_id, &self.leaf.key, validity);
        change(&mut template);
        self.rule_with(|document| document.certificate = template.sign(&self.chain.instance().key))
    }

    /// The rule for a document one of whose intermediates (1 to 3) is changed and signed again.
    pub(crate) fn rule_with_authority(
        &self,
        level: usize,
        change: impl FnOnce(&mut Template),
    ) -> &'static str {
        let issuer = &self.chain.authorities[level - 1];
        let mut template = self.authority_template(level);
        change(&mut template);
        self.rule_with(|document| document.cabundle[level] = template.sign(&issuer.key))
    }

    /// What an intermediate looks like.
    pub(crate) fn authority_template(&self, level: usize) -> Template {
        let issuer = &self.chain.authorities[level - 1];
        let authority = &self.chain.authorities[level];
        let validity = validity(NOW, NOW + 24 * HOUR);
        Template::new(&issuer.name, &authority.name, &authority.key, validity)
            .with(Extension::basic_constraints(true, Some(3 - level as u8)))
            .with(Extension::key_usage(true, usage::KEY_CERT_SIGN))
    }

    /// The payload's fields as CBOR, in AWS's order, to be changed one by one.
    pub(crate) fn fields(&self) -> Fields {
        let d = &self.document;
        let option = |value: &Option<Vec<u8>>| {
            value.as_deref().map(cbor::bytes).unwrap_or(cbor::NULL.to_vec())
        };
        let pcrs: Vec<_> =
            d.pcrs.iter().map(|(k, v)| (cbor::unsigned(*k), cbor::bytes(v))).collect();
        let cabundle: Vec<_> = d.cabundle.iter().map(|der| cbor::bytes(der)).collect();
        Fields(vec![
            ("module_id".to_owned(), cbor::text(&d.module_id)),
            ("digest".to_owned(), cbor::text(&d.digest)),
            ("timestamp".to_owned(), cbor::unsigned(NOW.as_millis() as u64)),
            ("pcrs".to_owned(), cbor::map(&pcrs)),
            ("certificate".to_owned(), cbor::bytes(&d.certificate)),
            ("cabundle".to_owned(), cbor::array(&cabundle)),
            ("public_key".to_owned(), option(&d.public_key)),
            ("user_data".to_owned(), option(&d.user_data)),
            ("nonce".to_owned(), option(&d.nonce)),
        ])
    }

    /// The rule for a document one field of which has another value, given as CBOR.
    pub(crate) fn rule_with_field(&self, name: &str, value: &[u8]) -> &'static str {
        self.rule_of_payload(&self.fields().with(name, value).definite())
    }
}

/// Keys and values of a payload.
#[derive(Clone)]
pub(crate) struct Fields(pub(crate) Vec<(String, Vec<u8>)>);

impl Fields {
    pub(crate) fn with(mut self, name: &str, value: &[u8]) -> Self {
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value.to_vec(),
            None => self.0.push((name.to_owned(), value.to_vec())),
        }
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(key, _)| key != name);
        self
    }

    pub(crate) fn and(mut self, name: &str, value: &[u8]) -> Self {
        self.0.push((name.to_owned(), value.to_vec()));
        self
    }

    pub(crate) fn definite(&self) -> Vec<u8> {
        [cbor::head(5, self.0.len() as u64), self.pairs()].concat()
    }

    pub(crate) fn indefinite(&self) -> Vec<u8> {
        [vec![0xbf], self.pairs(), cbor::BREAK.to_vec()].concat()
    }

    fn pairs(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(key, value)| [cbor::text(key), value.clone()].concat()).collect()
    }
}

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + NOW
}

pub(crate) fn at(since_1970: Duration) -> Timestamp {
    Timestamp::from_millis(since_1970.as_millis() as u64)
}

pub(crate) fn validity(from: Duration, to: Duration) -> Validity {
    Validity { not_before: UNIX_EPOCH + from, not_after: UNIX_EPOCH + to }
}
