//! Rules 11 to 16 and 36 of the checklist: the certificates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[macro_use]
mod common;

use common::enclave::{Enclave, HOUR, NOW, validity};
use sekisho_devkit::certificate::{
    ECDSA_WITH_SHA256, Extension, Template, extension, public_key_info, usage,
};
use sekisho_devkit::der::{self, tlv};
use sekisho_devkit::{DevelopmentPki, random_key};

#[test]
fn the_templates_make_good_documents() {
    let enclave = Enclave::new();
    assert_eq!(enclave.rule_with(|_| ()), "accepted");
    assert_eq!(enclave.rule_with_leaf(|_| ()), "accepted");
    for level in 1..=3 {
        assert_eq!(enclave.rule_with_authority(level, |_| ()), "accepted");
    }
}

#[test]
fn rule_11_keys_of_other_curves_and_kinds() {
    let enclave = Enclave::new();
    let ec = |curve: &[u8], point: &[u8]| {
        let algorithm =
            tlv(der::SEQUENCE, &[&der::oid(b"\x2a\x86\x48\xce\x3d\x02\x01"), &der::oid(curve)]);
        tlv(der::SEQUENCE, &[&algorithm, &tlv(der::BIT_STRING, &[&[0], point])])
    };
    let p256 = ec(b"\x2a\x86\x48\xce\x3d\x03\x01\x07", &[4; 65]);
    let p521 = ec(b"\x2b\x81\x04\x00\x23", &[4; 133]);
    let rsa = tlv(
        der::SEQUENCE,
        &[
            &tlv(der::SEQUENCE, &[&der::oid(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), &[5, 0]]),
            &tlv(der::BIT_STRING, &[&[0], &[1; 256]]),
        ],
    );
    let p384 = b"\x2b\x81\x04\x00\x22";
    let not_on_the_curve = ec(p384, &[4; 97]);
    let compressed = ec(p384, &[2; 49]);
    let infinity = ec(p384, &[0]);
    for key in [p256, p521, rsa, not_on_the_curve, compressed, infinity] {
        let leaf = enclave.rule_with_leaf(|template| template.public_key = key.clone());
        assert_eq!(leaf, "certificate-public-key");
        let authority = enclave.rule_with_authority(2, |template| template.public_key = key);
        assert_eq!(authority, "certificate-public-key");
    }
}

#[test]
fn rule_12_roots_of_someone_else() {
    let enclave = Enclave::new();
    let other = DevelopmentPki::generate(common::enclave::now());
    let chain = other.chain(common::enclave::now());
    let leaf = chain.leaf(&enclave.document.module_id, common::enclave::now());
    let mut document = enclave.document.clone();
    document.certificate = leaf.certificate.clone();
    document.cabundle = chain.cabundle();
    // Its name is that of the trusted root.
    assert_eq!(enclave.rule(&document.sign(&leaf.key)), "root-not-trusted");
    document.cabundle[0] = enclave.pki.root_der().to_vec();
    assert_eq!(enclave.rule(&document.sign(&leaf.key)), "certificate-signature");
    // Both roots, the trusted one first.
    document.cabundle.insert(1, other.root_der().to_vec());
    assert_eq!(enclave.rule(&document.sign(&leaf.key)), "certificate-self-issued");

    let key = random_key();
    let name = enclave.chain.instance().name.clone();
    let self_signed = Template::new(&name, &name, &key, validity(NOW, NOW + HOUR))
        .with(Extension::basic_constraints(false, None))
        .with(Extension::key_usage(false, usage::DIGITAL_SIGNATURE))
        .sign(&key);
    document.certificate = self_signed.clone();
    document.cabundle = vec![self_signed.clone()];
    assert_eq!(enclave.rule(&document.sign(&key)), "root-not-trusted");
    document.cabundle = enclave.chain.cabundle();
    assert_eq!(enclave.rule(&document.sign(&key)), "certificate-self-issued");
}

#[test]
fn rule_13_ca_bundles_in_disorder() {
    let enclave = Enclave::new();
    let rule = |change: fn(&mut Vec<Vec<u8>>)| {
        enclave.rule_with(|document| change(&mut document.cabundle))
    };
    assert_eq!(rule(|bundle| bundle.clear()), "cabundle-count");
    assert_eq!(rule(|bundle| bundle.reverse()), "root-not-trusted");
    assert_eq!(rule(|bundle| bundle.swap(1, 2)), "certificate-issuer");
    assert_eq!(rule(|bundle| drop(bundle.remove(2))), "certificate-issuer", "a gap");
    assert_eq!(rule(|bundle| drop(bundle.remove(3))), "certificate-issuer", "a gap at the end");
    assert_eq!(rule(|bundle| drop(bundle.remove(0))), "root-not-trusted", "policy: no root");
    assert_eq!(rule(|bundle| bundle.insert(1, bundle[0].clone())), "certificate-self-issued");
    assert_eq!(rule(|bundle| bundle.push(bundle[3].clone())), "certificate-path-length");
    assert_eq!(rule(|bundle| bundle.resize(9, bundle[3].clone())), "cabundle-count");
    assert_eq!(rule(|bundle| bundle[2] = b"garbage".to_vec()), "certificate-der");
    assert_eq!(rule(|bundle| bundle[2].push(0)), "certificate-der");
    assert_eq!(rule(|bundle| bundle[0].push(0)), "root-not-trusted");
    assert_eq!(rule(|bundle| bundle[1].clear()), "field-size");
    assert_eq!(rule(|bundle| bundle[1].resize(1025, 0)), "field-size");
    assert_eq!(enclave.rule_with(|d| d.certificate.clear()), "field-size");
    assert_eq!(enclave.rule_with(|d| d.certificate.resize(1025, 0)), "field-size");
    assert_eq!(enclave.rule_with(|d| d.certificate.push(0)), "certificate-der");
}

#[test]
fn rule_14_certificates_outside_their_time() {
    let enclave = Enclave::new();
    let second = std::time::Duration::from_secs(1);
    for (from, to, rule) in [
        (NOW - HOUR, NOW - second, "certificate-expired"),
        (NOW + second, NOW + HOUR, "certificate-not-yet-valid"),
        (NOW, NOW, "accepted"),
    ] {
        let times = |template: &mut Template| {
            let (key, name) = (random_key(), template.subject.clone());
            template.validity = Template::new(&name, &name, &key, validity(from, to)).validity;
        };
        assert_eq!(enclave.rule_with_leaf(times), rule);
        for level in 1..=3 {
            assert_eq!(enclave.rule_with_authority(level, times), rule, "{level}");
        }
    }
}

#[test]
fn rule_14_the_root_too_is_valid_in_its_time_only() {
    let enclave = Enclave::new();
    let anchors = sekisho_attestation::TrustAnchors::from_der([enclave.pki.root_der()]).unwrap();
    let verifier = sekisho_attestation::Verifier::new(anchors);
    let document = enclave.document.sign(&enclave.leaf.key);
    let before = common::enclave::at(NOW - HOUR);
    let rejection = verifier
        .verify(&document, before, &sekisho_attestation::Expectation::any_measurement())
        .unwrap_err();
    assert_eq!(rejection.to_string(), "cabundle[0]: not yet valid");
}

#[test]
fn rule_15_authorities_that_are_none() {
    let enclave = Enclave::new();
    let without = |level, id: &'static [u8]| {
        enclave.rule_with_authority(level, |t| *t = t.clone().without(id))
    };
    for level in 1..=3 {
        assert_eq!(without(level, extension::BASIC_CONSTRAINTS), "certificate-basic-constraints");
        assert_eq!(without(level, extension::KEY_USAGE), "certificate-key-usage");
        let with = |extension: Extension| {
            enclave.rule_with_authority(level, |template| {
                *template = template.clone().without(&extension.id).with(extension);
            })
        };
        let not_an_authority = Extension::basic_constraints(false, None);
        assert_eq!(with(not_an_authority), "certificate-basic-constraints");
        let mut uncritical = Extension::basic_constraints(true, None);
        uncritical.critical = false;
        assert_eq!(with(uncritical), "certificate-basic-constraints", "policy");
        let usage = usage::DIGITAL_SIGNATURE | usage::CRL_SIGN;
        assert_eq!(with(Extension::key_usage(true, usage)), "certificate-key-usage");
        let enough = Extension::basic_constraints(true, Some(3 - level as u8));
        assert_eq!(with(enough), "accepted");
        if level < 3 {
            let too_few = Extension::basic_constraints(true, Some(2 - level as u8));
            assert_eq!(with(too_few), "certificate-path-length");
        }
    }
}

#[test]
fn rule_15_leaves_that_are_none() {
    let enclave = Enclave::new();
    let with = |extension: Extension| {
        enclave.rule_with_leaf(|template| {
            *template = template.clone().without(&extension.id).with(extension);
        })
    };
    let without = |id: &'static [u8]| enclave.rule_with_leaf(|t| *t = t.clone().without(id));
    assert_eq!(without(extension::BASIC_CONSTRAINTS), "certificate-basic-constraints", "policy");
    assert_eq!(without(extension::KEY_USAGE), "certificate-key-usage");
    let authority = Extension::basic_constraints(true, None);
    assert_eq!(with(authority), "certificate-basic-constraints");
    assert_eq!(with(Extension::basic_constraints(false, Some(0))), "certificate-path-length");
    let usage = |bits| with(Extension::key_usage(false, bits));
    assert_eq!(usage(usage::DIGITAL_SIGNATURE), "accepted");
    assert_eq!(usage(usage::NON_REPUDIATION), "certificate-key-usage");
    assert_eq!(usage(usage::DIGITAL_SIGNATURE | usage::KEY_CERT_SIGN), "certificate-key-usage");

    // An authority as the leaf, and a leaf as an authority.
    let instance = enclave.chain.authorities[3].clone();
    let mut document = enclave.document.clone();
    document.certificate = document.cabundle.pop().unwrap();
    assert_eq!(enclave.rule(&document.sign(&instance.key)), "certificate-basic-constraints");
    let below = random_key();
    let subject = enclave.authority_template(1).subject;
    let leaf =
        enclave.chain.leaf_template("i-x-enc0", &enclave.leaf.key, validity(NOW, NOW + HOUR));
    let mut document = enclave.document.clone();
    document.cabundle.push(leaf.sign(&instance.key));
    document.certificate =
        Template::new(&leaf.subject, &subject, &below, validity(NOW, NOW + HOUR))
            .with(Extension::basic_constraints(false, None))
            .with(Extension::key_usage(false, usage::DIGITAL_SIGNATURE))
            .sign(&enclave.leaf.key);
    // The instance's authority may have none below it.
    assert_eq!(enclave.rule(&document.sign(&below)), "certificate-path-length");
}

#[test]
fn rule_16_extensions_names_and_links() {
    let enclave = Enclave::new();
    let unknown = |critical| Extension::new(&[0x2a, 3, 4], critical, [5, 0]);
    let leaf = |extension: Extension| {
        enclave.rule_with_leaf(|template| *template = template.clone().with(extension))
    };
    assert_eq!(leaf(unknown(true)), "certificate-critical-extension");
    assert_eq!(leaf(unknown(false)), "accepted");
    assert_eq!(leaf(Extension::basic_constraints(false, None)), "certificate-extensions", "twice");
    let many = enclave.rule_with_leaf(|template| {
        for arc in 0..15 {
            template.extensions.push(Extension::new(&[0x2a, 3, arc], false, []));
        }
    });
    assert_eq!(many, "certificate-extensions");
    let constraints = Extension::new(&[0x55, 0x1d, 0x1e], true, [0x30, 0]);
    let named = enclave.rule_with_authority(2, |t| *t = t.clone().with(constraints));
    assert_eq!(named, "certificate-critical-extension", "name constraints are not understood");

    let other = enclave.chain.authorities[1].name.clone();
    assert_eq!(enclave.rule_with_leaf(|t| t.issuer = other.clone()), "certificate-issuer");
    assert_eq!(enclave.rule_with_authority(3, |t| t.issuer = other), "certificate-issuer");
    let by_another = |template: Template| {
        enclave.rule_with(|document| document.certificate = template.sign(&random_key()))
    };
    let validity = validity(NOW, NOW + HOUR);
    let leaf =
        enclave.chain.leaf_template(&enclave.document.module_id, &enclave.leaf.key, validity);
    assert_eq!(by_another(leaf), "certificate-signature");
}

#[test]
fn rule_16_sha_256_in_the_chain() {
    let enclave = Enclave::new();
    let sha256 = |template: &mut Template| {
        template.algorithm = ECDSA_WITH_SHA256.to_vec();
        template.outer_algorithm = ECDSA_WITH_SHA256.to_vec();
    };
    let rule = "certificate-signature-algorithm";
    assert_eq!(enclave.rule_with_leaf(sha256), rule);
    assert_eq!(enclave.rule_with_authority(1, sha256), rule);
    let inner = |t: &mut Template| t.algorithm = ECDSA_WITH_SHA256.to_vec();
    assert_eq!(enclave.rule_with_leaf(inner), rule, "the two fields differ");
    let outer = |t: &mut Template| t.outer_algorithm = ECDSA_WITH_SHA256.to_vec();
    assert_eq!(enclave.rule_with_leaf(outer), rule, "the two fields differ");
    let with_null = tlv(der::SEQUENCE, &[&der::oid(b"\x2a\x86\x48\xce\x3d\x04\x03\x03"), &[5, 0]]);
    let parameters = |t: &mut Template| t.algorithm = with_null.clone();
    assert_eq!(enclave.rule_with_leaf(parameters), rule, "parameters");
}

#[test]
fn rule_36_der_that_is_not_distinguished() {
    let enclave = Enclave::new();
    let constraints = |value: &[u8]| {
        let extension = Extension::new(extension::BASIC_CONSTRAINTS, true, value);
        enclave.rule_with_authority(3, |template| {
            *template = template.clone().without(&extension.id).with(extension);
        })
    };
    assert_eq!(constraints(&[0x30, 6, 1, 1, 0xff, 2, 1, 0]), "accepted");
    for value in [
        &[0x30, 6, 1, 1, 0x01, 2, 1, 0][..], // a BOOLEAN that is neither 00 nor FF
        &[0x30, 7, 1, 1, 0xff, 2, 2, 0, 0],  // an INTEGER with a zero too many
        &[0x30, 7, 1, 1, 0xff, 2, 2, 1, 0],  // pathLen 256
        &[0x30, 6, 1, 1, 0xff, 2, 1, 0xff],  // pathLen −1
        &[0x30, 10, 1, 1, 0xff, 2, 5, 1, 0, 0, 0, 0], // pathLen 2³²
        &[0x31, 6, 1, 1, 0xff, 2, 1, 0],     // SET for SEQUENCE
        &[0x30, 6, 1, 1, 0xff, 4, 1, 0],     // OCTET STRING for INTEGER
        &[0x30, 0x81, 6, 1, 1, 0xff, 2, 1, 0], // a length not shortest
        &[0x30, 0x80, 1, 1, 0xff, 2, 1, 0, 0, 0], // an indefinite length
        &[0x30, 6, 1, 1, 0xff, 2, 1, 0, 0],  // trailing
        &[0x30, 3, 1, 1, 0],                 // an encoded default
    ] {
        assert_eq!(constraints(value), "certificate-der", "{value:02x?}");
    }
    let key_usage = |value: &[u8]| {
        let extension = Extension::new(extension::KEY_USAGE, true, value);
        enclave.rule_with_authority(3, |template| {
            *template = template.clone().without(&extension.id).with(extension);
        })
    };
    assert_eq!(key_usage(&[3, 2, 2, 4]), "accepted");
    for value in [&[3, 2, 0, 4][..], &[3, 3, 0, 4, 0], &[3, 1, 0], &[3, 2, 3, 4], &[4, 2, 2, 4]] {
        assert_eq!(key_usage(value), "certificate-der", "{value:02x?}");
    }
    let time = |from: &[u8], to: &[u8]| {
        enclave.rule_with_leaf(|t| t.validity = tlv(der::SEQUENCE, &[from, to]))
    };
    let utc = |text: &str| tlv(der::UTC_TIME, &[text.as_bytes()]);
    let generalized = |text: &str| tlv(der::GENERALIZED_TIME, &[text.as_bytes()]);
    let (from, to) = (utc("260115120000Z"), utc("260115150000Z"));
    assert_eq!(time(&from, &to), "accepted");
    for wrong in [
        utc("260230120000Z"),             // 30 February
        utc("261315120000Z"),             // month 13
        utc("260115240000Z"),             // hour 24
        utc("260115126000Z"),             // minute 60
        utc("2601151200Z"),               // no seconds
        utc("260115120000+0000"),         // an offset
        generalized("20260115150000Z"),   // before 2050
        generalized("20510115150000.5Z"), // a fraction
        generalized("20510230150000Z"),   // 30 February
        tlv(der::OCTET_STRING, &[b"260115150000Z"]),
    ] {
        assert_eq!(time(&from, &wrong), "certificate-der", "{wrong:02x?}");
    }
    assert_eq!(time(&from, &generalized("20510115150000Z")), "accepted");
}

#[test]
fn rule_36_versions_serial_numbers_and_unique_identifiers() {
    let enclave = Enclave::new();
    for version in [vec![], vec![0xa0, 3, 2, 1, 1], vec![0xa0, 3, 2, 1, 3]] {
        assert_eq!(enclave.rule_with_leaf(|t| t.version = version), "certificate-version");
    }
    let serial = |value: &[u8]| {
        let serial = tlv(der::INTEGER, &[value]);
        enclave.rule_with_leaf(|template| template.serial = serial)
    };
    assert_eq!(serial(&[1]), "accepted");
    assert_eq!(serial(&[&[0][..], &[0xff; 20]].concat()), "accepted", "as AWS has them");
    for wrong in [&[][..], &[0], &[0xff], &[0, 1], &[1; 21]] {
        assert_eq!(serial(wrong), "certificate-serial-number", "{wrong:02x?}");
    }
    for tag in [0x81, 0x82, 0xa1, 0xa2] {
        let identifier = tlv(tag, &[&[0, 1]]);
        let rule = enclave.rule_with_leaf(|template| template.before_extensions = identifier);
        assert_eq!(rule, "certificate-unique-identifier");
    }
}

#[test]
fn the_key_in_a_certificate_may_be_anyones() {
    // A leaf for another key than signs: the document's signature is what fails.
    let enclave = Enclave::new();
    let other = public_key_info(&random_key());
    assert_eq!(enclave.rule_with_leaf(|t| t.public_key = other), "document-signature");
}
