//! Samples of AWS KMS (from `SEKISHO_VECTORS`), what we write ourselves, and each malformation.

use super::super::{OaepKey, element};
use super::*;
use aws_lc_rs::cipher::{EncryptionContext, PaddedBlockEncryptingKey};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OaepAlgorithm, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey,
    PublicEncryptingKey,
};
use sekisho_devkit::{published_rsa_key, published_vectors};
use std::sync::LazyLock;

static KEY: LazyLock<EphemeralKey> = LazyLock::new(|| EphemeralKey::generate().unwrap());
const CONTENT: &[u8; 32] = b"thirty-two bytes of a root key!!";

fn refused(envelope: &[u8], what: &str) {
    assert_eq!(KEY.try_open(envelope).err(), Some(NotOpened), "{what}");
}

#[test]
fn samples_of_aws_kms_are_opened_by_their_key_alone() {
    let Some(folder) = published_vectors("cms") else { return };
    let names = ["edgebit", "rust_hello", "mbedtls_c"];
    let key = |name: &str| {
        let pkcs8 = published_rsa_key(&folder.join(format!("{name}_rsa_key.json"))).unwrap();
        EphemeralKey::of(PrivateDecryptingKey::from_pkcs8(&pkcs8).unwrap()).unwrap()
    };
    let sample = |name: &str| {
        std::fs::read(folder.join(format!("{name}_ciphertext_for_recipient.ber"))).unwrap()
    };
    let plaintexts = names.map(|name| key(name).open(&sample(name)).unwrap());
    let edgebit = std::fs::read(folder.join("edgebit_plaintext.bin")).unwrap();
    assert_eq!(plaintexts[0].as_slice(), edgebit);
    assert_eq!(plaintexts[1].as_slice(), b"Hello, World");
    assert_eq!(plaintexts[2].len(), 32);
    for (one, other) in [(0, 1), (1, 2), (2, 0)] {
        assert!(key(names[one]).open(&sample(names[other])).is_err());
    }
}

#[test]
fn every_sample_of_aws_kms_has_the_shape_and_no_part_of_one_has() {
    let Some(folder) = published_vectors("cms") else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    for name in [
        "edgebit_ciphertext_for_recipient.ber",
        "rust_hello_ciphertext_for_recipient.ber",
        "mbedtls_c_ciphertext_for_recipient.ber",
        "rust_storage_ciphertext_for_recipient_nokey.ber",
        "aws_sdk_c_input_ber.bin",
        "aws_sdk_c_input_ber_w_ctx.bin",
    ] {
        let sample = read(name);
        let parts = Envelope::parse(&sample).ok().unwrap_or_else(|| panic!("{name}"));
        assert_eq!((parts.key_identifier.len(), parts.encrypted_key.len()), (32, 256), "{name}");
        for end in 0..sample.len() {
            assert!(Envelope::parse(&sample[..end]).is_err(), "{name} {end}");
        }
        assert!(Envelope::parse(&[&sample[..], &[0]].concat()).is_err(), "{name}");
    }
    for suffix in ["", "_w_ctx"] {
        let sample = read(&format!("aws_sdk_c_input_ber{suffix}.bin"));
        let parts = Envelope::parse(&sample).ok().unwrap();
        let part = |name: &str| read(&format!("aws_sdk_c_{name}_out{suffix}.bin"));
        assert_eq!(parts.encrypted_key, part("encrypted_key"));
        assert_eq!(parts.iv[..], part("iv"));
        assert_eq!(parts.encrypted_content.as_slice(), part("ciphertext"));
    }
}

#[test]
fn opens_what_the_worker_itself_writes() {
    let recipient = OaepKey::from_spki(KEY.public_key()).unwrap();
    for length in [0, 1, 15, 16, 32, 4096] {
        let content = vec![7; length];
        let envelope = recipient.envelop(&content).unwrap();
        assert_eq!(KEY.try_open(&envelope).unwrap().as_slice(), content);
    }
    let other = EphemeralKey::generate().unwrap();
    assert_eq!(other.open(&recipient.envelop(CONTENT).unwrap()).err(), Some(NotOpened));
}

/// The parts of a message, each of which a test may spoil.
struct Parts {
    content_info: Vec<u8>,
    version: u8,
    recipient_version: u8,
    identifier: Vec<u8>,
    oaep: Vec<u8>,
    encrypted_key: Vec<u8>,
    recipients: usize,
    before_recipients: Vec<u8>,
    cipher: Vec<u8>,
    iv: Vec<u8>,
    content: Vec<u8>,
    after_content: Vec<u8>,
    after_encrypted: Vec<u8>,
    indefinite: bool,
}

fn algorithm(oid: &[u8], parameters: &[u8]) -> Vec<u8> {
    element(TAG_SEQUENCE, &[&element(TAG_OBJECT_IDENTIFIER, &[oid]), parameters])
}

fn oaep(hash: &[u8], mask: &[u8], more: &[u8]) -> Vec<u8> {
    let hash = element(TAG_CONTEXT_0, &[&algorithm(hash, NULL)]);
    let mask = element(TAG_CONTEXT_1, &[&algorithm(MGF1, &algorithm(mask, NULL))]);
    algorithm(RSAES_OAEP, &element(TAG_SEQUENCE, &[&hash, &mask, more]))
}

fn encrypt_key(algorithm: &'static OaepAlgorithm, key: &[u8], label: Option<&[u8]>) -> Vec<u8> {
    let public = PublicEncryptingKey::from_der(KEY.public_key()).unwrap();
    let public = OaepPublicEncryptingKey::new(public).unwrap();
    let mut room = vec![0; public.ciphertext_size()];
    public.encrypt(algorithm, key, &mut room, label).unwrap().to_vec()
}

impl Parts {
    fn good() -> Self {
        let key = UnboundCipherKey::new(&AES_256, &[9; 32]).unwrap();
        let mut content = CONTENT.to_vec();
        // Always the same: under another key, one vector in 256 leaves what looks like padding.
        let iv = [3; BLOCK];
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).unwrap();
        key.less_safe_encrypt(&mut content, context).unwrap();
        Self {
            content_info: ENVELOPED_DATA.to_vec(),
            version: 2,
            recipient_version: 2,
            identifier: Sha256::digest(KEY.public_key()).to_vec(),
            oaep: oaep(SHA_256, SHA_256, &[]),
            encrypted_key: encrypt_key(&OAEP_SHA256_MGF1SHA256, &[9; 32], None),
            recipients: 1,
            before_recipients: vec![],
            cipher: AES_256_CBC.to_vec(),
            iv: iv.to_vec(),
            content: element(TAG_CONTEXT_0, &[&element(TAG_OCTET_STRING, &[&content])]),
            after_content: vec![],
            after_encrypted: vec![],
            indefinite: false,
        }
    }

    fn container(&self, tag: u8, contents: &[&[u8]]) -> Vec<u8> {
        match self.indefinite {
            true => [&[tag, 0x80], contents.concat().as_slice(), &[0, 0]].concat(),
            false => element(tag, contents),
        }
    }

    fn write(&self) -> Vec<u8> {
        let recipient = element(
            TAG_SEQUENCE,
            &[
                &[2, 1, self.recipient_version],
                &element(TAG_CONTEXT_0_PRIMITIVE, &[&self.identifier]),
                &self.oaep,
                &element(TAG_OCTET_STRING, &[&self.encrypted_key]),
            ],
        );
        let encrypted = self.container(
            TAG_SEQUENCE,
            &[
                &element(TAG_OBJECT_IDENTIFIER, &[DATA]),
                &algorithm(&self.cipher, &element(TAG_OCTET_STRING, &[&self.iv])),
                &self.content,
                &self.after_content,
            ],
        );
        let enveloped = self.container(
            TAG_SEQUENCE,
            &[
                &[2, 1, self.version],
                &self.before_recipients,
                &element(TAG_SET, &[&recipient.repeat(self.recipients)]),
                &encrypted,
                &self.after_encrypted,
            ],
        );
        let content = self.container(TAG_CONTEXT_0, &[&enveloped]);
        let identifier = element(TAG_OBJECT_IDENTIFIER, &[&self.content_info]);
        self.container(TAG_SEQUENCE, &[&identifier, &content])
    }
}

/// The joined ciphertext of a good message.
fn ciphertext(good: &Parts) -> Vec<u8> {
    good.content[4..].to_vec()
}

#[test]
fn definite_and_indefinite_lengths_and_every_form_of_content() {
    for indefinite in [false, true] {
        let good = || Parts { indefinite, ..Parts::good() };
        assert_eq!(KEY.try_open(&good().write()).unwrap().as_slice(), CONTENT);
        let mut parts = good();
        let bytes = ciphertext(&parts);
        let chunk = |bytes: &[u8]| element(TAG_OCTET_STRING, &[bytes]);
        let chunks = [chunk(&bytes[..7]), chunk(&[]), chunk(&bytes[7..])].concat();
        for content in [
            element(TAG_CONTEXT_0_PRIMITIVE, &[&bytes]),
            element(TAG_CONTEXT_0, &[&chunks]),
            [&[TAG_CONTEXT_0, 0x80], chunks.as_slice(), &[0, 0]].concat(),
        ] {
            parts.content = content;
            assert_eq!(KEY.try_open(&parts.write()).unwrap().as_slice(), CONTENT);
        }
        parts.oaep = algorithm(
            RSAES_OAEP,
            &element(
                TAG_SEQUENCE,
                &[
                    &element(TAG_CONTEXT_0, &[&algorithm(SHA_256, &[])]),
                    &element(TAG_CONTEXT_1, &[&algorithm(MGF1, &algorithm(SHA_256, &[]))]),
                ],
            ),
        );
        assert_eq!(KEY.try_open(&parts.write()).unwrap().as_slice(), CONTENT);
    }
}

#[test]
fn each_malformation_is_refused() {
    const SHA_1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
    const RSA_PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let pkcs1 = {
        let public = PublicEncryptingKey::from_der(KEY.public_key()).unwrap();
        let public = Pkcs1PublicEncryptingKey::new(public).unwrap();
        let mut room = vec![0; public.ciphertext_size()];
        public.encrypt(&[9; 32], &mut room).unwrap().to_vec()
    };
    let oaep_of = |key: &[u8]| encrypt_key(&OAEP_SHA256_MGF1SHA256, key, None);
    let label = element(0xa2, &[&algorithm(&[0x2a], &element(TAG_OCTET_STRING, &[b"label"]))]);
    type Bend<'a> = &'a dyn Fn(&mut Parts);
    let bent: [(&str, Bend<'_>); 24] = [
        ("another content type", &|p| p.content_info = DATA.to_vec()),
        ("version 0", &|p| p.version = 0),
        ("version 3", &|p| p.version = 3),
        ("recipient version 0", &|p| p.recipient_version = 0),
        ("another key identifier", &|p| p.identifier[0] ^= 1),
        ("a short key identifier", &|p| p.identifier.truncate(20)),
        ("no recipient", &|p| p.recipients = 0),
        ("two recipients", &|p| p.recipients = 2),
        ("originatorInfo", &|p| p.before_recipients = element(TAG_CONTEXT_0, &[])),
        ("OAEP with SHA-1", &|p| p.oaep = oaep(SHA_1, SHA_1, &[])),
        ("MGF1 with SHA-1", &|p| p.oaep = oaep(SHA_256, SHA_1, &[])),
        ("OAEP with a label", &|p| p.oaep = oaep(SHA_256, SHA_256, &label)),
        ("default OAEP parameters", &|p| {
            p.oaep = algorithm(RSAES_OAEP, &element(TAG_SEQUENCE, &[]));
        }),
        ("PKCS #1 v1.5", &|p| {
            p.oaep = algorithm(RSA_PKCS1, NULL);
            p.encrypted_key = pkcs1.clone();
        }),
        ("encrypted with a label", &|p| {
            p.encrypted_key = encrypt_key(&OAEP_SHA256_MGF1SHA256, &[9; 32], Some(b"label"));
        }),
        ("encrypted with SHA-1", &|p| {
            p.encrypted_key = encrypt_key(&OAEP_SHA1_MGF1SHA1, &[9; 32], None);
        }),
        ("a content key of 16 bytes", &|p| p.encrypted_key = oaep_of(&[9; 16])),
        ("another content key", &|p| p.encrypted_key = oaep_of(&[8; 32])),
        ("AES-128-CBC", &|p| p.cipher[8] = 2),
        ("a vector of 12 bytes", &|p| p.iv.truncate(12)),
        ("no content", &|p| p.content = element(TAG_CONTEXT_0_PRIMITIVE, &[])),
        ("half a block", &|p| {
            let bytes = ciphertext(p);
            p.content = element(TAG_CONTEXT_0_PRIMITIVE, &[&bytes[..24]]);
        }),
        ("bytes after the content", &|p| p.after_content = NULL.to_vec()),
        ("unprotectedAttrs", &|p| p.after_encrypted = element(TAG_CONTEXT_1, &[])),
    ];
    for indefinite in [false, true] {
        for (what, bend) in &bent {
            let mut parts = Parts { indefinite, ..Parts::good() };
            bend(&mut parts);
            refused(&parts.write(), what);
        }
    }
}

#[test]
fn bad_padding_is_refused_as_everything_else() {
    // Cut to its first block, whose plaintext ends with no padding.
    let mut parts = Parts::good();
    let bytes = ciphertext(&parts);
    parts.content = element(TAG_CONTEXT_0_PRIMITIVE, &[&bytes[..16]]);
    refused(&parts.write(), "no padding");
    // The last byte of the padding, through the ciphertext block before.
    for bit in 0..8 {
        let mut changed = bytes.clone();
        changed[31] ^= 1 << bit;
        parts.content = element(TAG_CONTEXT_0_PRIMITIVE, &[&changed]);
        refused(&parts.write(), "another padding");
    }
}

#[test]
fn lengths_that_lie_or_are_not_the_shortest() {
    let good = Parts::good().write();
    assert_eq!(&good[..2], &[0x30, 0x82]);
    for (what, head) in [
        ("longer than the input", vec![0x30, 0x82, 0xff, 0xff]),
        ("shorter than the input", vec![0x30, 0x82, 0x01, 0x00]),
        ("four bytes of length", vec![0x30, 0x84, 0, 0, good[2], good[3]]),
        ("a length of three bytes", vec![0x30, 0x83, 0, good[2], good[3]]),
        ("primitive", vec![0x10, 0x82, good[2], good[3]]),
        ("no end of contents", vec![0x30, 0x80]),
    ] {
        refused(&[&head, &good[4..]].concat(), what);
    }
    for bomb in [[0x30, 0x80].repeat(4000), [0xa0, 0x80].repeat(4000), vec![0x30; 8192]] {
        refused(&bomb, "depth");
    }
    let long = [Parts::good().write(), vec![0; MAX_ENVELOPE]].concat();
    refused(&long, "too long");
    refused(&[], "nothing");
}

#[test]
fn no_changed_byte_of_the_structure_is_believed() {
    let good = Parts { indefinite: true, ..Parts::good() }.write();
    let content = good.len() - 10 - 48;
    for position in 0..good.len() {
        let mut changed = good.clone();
        changed[position] ^= 0x10;
        let opened = KEY.try_open(&changed);
        // CBC keeps quiet about its own content and vector; TLS and the KMS vouch for those.
        let quiet = (content - 30..content + 48).contains(&position);
        assert!(opened.is_err() || quiet, "byte {position}");
    }
}
