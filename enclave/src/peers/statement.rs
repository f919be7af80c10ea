//! Upgrade statements: operators allow a measurement that no boot configuration names yet.
//!
//! What is signed is the text itself, in exactly one form, whose first line says what it is for:
//!
//! ```text
//! sekisho upgrade statement v1
//! id 6f0c…                      (32 hexadecimal digits)
//! account 111122223333
//! expires 1790000000            (seconds since 1970)
//! measurement 0=…,1=…,2=…
//! ```
//!
//! Signatures: ECDSA with P-384 and SHA-384, DER (RFC 3279 §2.2.3), as `openssl dgst -sha384 -sign`
//! makes them of a file with this text.

use super::measurement::Measurement;
use crate::hpke::P384_SPKI;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

const TITLE: &str = "sekisho upgrade statement v1";
/// The longest text, bytes: 32 registers and the rest.
const MAX_TEXT: usize = 4096;
/// Signatures below one statement at the most.
const MAX_SIGNATURES: usize = 32;
/// A SubjectPublicKeyInfo of P-384, or a signature, in base64, with room.
const MAX_FIELD: usize = 256;

/// That a measurement may have the root key of an account's service, until an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeStatement {
    /// Random: what the audit log names it by.
    pub id: [u8; 16],
    /// Twelve digits.
    pub account: String,
    /// Seconds since 1970; it counts before that instant.
    pub expires: u64,
    /// The new image, and where it has PCR16 also its configuration.
    pub measurement: Measurement,
}

/// A statement and signatures under it; what `sekisho upgrade sign` writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// The text.
    pub statement: String,
    /// Of operators, in any order.
    pub signatures: Vec<OperatorSignature>,
}

/// One operator's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorSignature {
    /// The operator's public key: P-384, DER SubjectPublicKeyInfo, in base64.
    pub key: String,
    /// DER, in base64.
    pub signature: String,
}

impl fmt::Display for UpgradeStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, account, expires, measurement } = self;
        writeln!(f, "{TITLE}")?;
        writeln!(f, "id {}", hex::encode(id))?;
        writeln!(f, "account {account}")?;
        writeln!(f, "expires {expires}")?;
        writeln!(f, "measurement {measurement}")
    }
}

impl FromStr for UpgradeStatement {
    type Err = InvalidStatement;

    /// Reads the one form that a statement has.
    fn from_str(text: &str) -> Result<Self, InvalidStatement> {
        if text.len() > MAX_TEXT {
            return Err(InvalidStatement);
        }
        let mut lines = text.lines();
        let mut field = |name: &str| {
            let line = lines.next().ok_or(InvalidStatement)?;
            let rest = line.strip_prefix(name).ok_or(InvalidStatement)?;
            if name == TITLE { Ok(rest) } else { rest.strip_prefix(' ').ok_or(InvalidStatement) }
        };
        field(TITLE)?;
        let id = hex::decode(field("id")?).map_err(|_| InvalidStatement)?;
        let account = field("account")?.to_owned();
        let expires = field("expires")?.parse().map_err(|_| InvalidStatement)?;
        let measurement = field("measurement")?.parse().map_err(|_| InvalidStatement)?;
        let id = id.try_into().map_err(|_| InvalidStatement)?;
        let statement = Self { id, account, expires, measurement };
        let digits = statement.account.bytes().all(|byte| byte.is_ascii_digit());
        if statement.account.len() != 12 || !digits {
            return Err(InvalidStatement);
        }
        // No blanks, signs, capitals or lines beside these: one statement has one form.
        if statement.to_string() == text { Ok(statement) } else { Err(InvalidStatement) }
    }
}

impl SignedStatement {
    /// The statement, and which of `operators` (DER) have signed it, each once.
    ///
    /// # Errors
    /// [`InvalidStatement`] where it is not of its form, or a signature of an operator's is wrong.
    pub fn verify<'a>(
        &self,
        operators: &'a [Vec<u8>],
    ) -> Result<(UpgradeStatement, Vec<&'a [u8]>), InvalidStatement> {
        let statement: UpgradeStatement = self.statement.parse()?;
        if self.signatures.len() > MAX_SIGNATURES {
            return Err(InvalidStatement);
        }
        let mut signers: Vec<&[u8]> = Vec::new();
        for OperatorSignature { key, signature } in &self.signatures {
            let (key, signature) = (decoded(key)?, decoded(signature)?);
            // Somebody else's signature takes nothing away.
            let Some(operator) = operators.iter().find(|operator| **operator == key) else {
                continue;
            };
            let point = key.strip_prefix(P384_SPKI).ok_or(InvalidStatement)?;
            UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, point)
                .verify(self.statement.as_bytes(), &signature)
                .map_err(|_| InvalidStatement)?;
            if !signers.contains(&operator.as_slice()) {
                signers.push(operator);
            }
        }
        Ok((statement, signers))
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, InvalidStatement> {
    let short = Some(text).filter(|text| text.len() <= MAX_FIELD);
    short.and_then(|text| BASE64.decode(text).ok()).ok_or(InvalidStatement)
}

/// No statement that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the upgrade statement is malformed, or a signature under it is wrong")]
pub struct InvalidStatement;

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    struct Operator(EcdsaKeyPair);

    impl Operator {
        fn new() -> Self {
            Self(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap())
        }

        fn key(&self) -> Vec<u8> {
            [P384_SPKI, self.0.public_key().as_ref()].concat()
        }

        fn sign(&self, text: &str) -> OperatorSignature {
            let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
            OperatorSignature {
                key: BASE64.encode(self.key()),
                signature: BASE64.encode(signature),
            }
        }
    }

    fn statement() -> UpgradeStatement {
        let ab = "ab".repeat(48);
        UpgradeStatement {
            id: [7; 16],
            account: "111122223333".into(),
            expires: 1_790_000_000,
            measurement: format!("0={ab},1={ab},2={ab}").parse().unwrap(),
        }
    }

    #[test]
    fn a_statement_has_one_form() {
        let text = statement().to_string();
        assert_eq!(text.parse::<UpgradeStatement>().unwrap(), statement());
        for (from, to) in [
            ("v1", "v2"),
            ("id 07", "id 0"),
            ("id 07070707070707070707070707070707", "id AB070707070707070707070707070707"),
            ("account 1", "account  1"),
            ("expires 1", "expires +1"),
            ("expires 1", "expires 01"),
            ("expires", "Expires"),
            ("0=", "00="),
            ("=ab", "=AB"),
            ("\naccount", "\r\naccount"),
            ("account", "extra 1\naccount"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert_eq!(changed.parse::<UpgradeStatement>(), Err(InvalidStatement), "{changed}");
        }
        for end in 0..text.len() {
            assert_eq!(text[..end].parse::<UpgradeStatement>(), Err(InvalidStatement));
        }
        assert_eq!(format!("{text}\n").parse::<UpgradeStatement>(), Err(InvalidStatement));
    }

    #[test]
    fn each_operator_counts_once_and_others_not_at_all() {
        let (one, two, other) = (Operator::new(), Operator::new(), Operator::new());
        let operators = [one.key(), two.key()];
        let text = statement().to_string();
        let signers = |by: &[&Operator]| {
            let signatures = by.iter().map(|operator| operator.sign(&text)).collect();
            let signed = SignedStatement { statement: text.clone(), signatures };
            signed.verify(&operators).unwrap().1.len()
        };
        assert_eq!(signers(&[]), 0);
        assert_eq!(signers(&[&one]), 1);
        assert_eq!(signers(&[&one, &one]), 1);
        assert_eq!(signers(&[&one, &other]), 1);
        assert_eq!(signers(&[&two, &one]), 2);

        let mut changed = SignedStatement {
            statement: text.replace("expires 1", "expires 2"),
            signatures: vec![one.sign(&text)],
        };
        assert_eq!(changed.verify(&operators), Err(InvalidStatement));
        changed.statement.clone_from(&text);
        changed.signatures = vec![one.sign(&text); MAX_SIGNATURES + 1];
        assert_eq!(changed.verify(&operators), Err(InvalidStatement));
        let key = BASE64.encode(one.key());
        changed.signatures = vec![OperatorSignature { key, signature: "x".into() }];
        assert_eq!(changed.verify(&operators), Err(InvalidStatement));
    }
}
