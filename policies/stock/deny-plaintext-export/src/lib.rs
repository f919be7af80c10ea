//! Stock policy `deny-plaintext-export`: no secret of a key leaves the service unencrypted.
//!
//! A guardrail: it denies, and has no opinion otherwise. Its configuration is `null`, or left out.
//!
//! | operation | |
//! |---|---|
//! | Decrypt, DeriveSharedSecret, GenerateDataKey, GenerateDataKeyPair, GenerateRandom | denied unless they come with a verified `Recipient`, to whose key the answer is encrypted |
//! | Decapsulate, Encapsulate | denied: their shared secret has no other way out |
//! | everything else | no opinion |

use sekisho_policy::{Answer, ConfigurationError, Policy, Request, deny, json, no_opinion};

/// Operations whose answer is encrypted to an attested caller.
const WITH_RECIPIENT: [&str; 5] = [
    "kms:Decrypt",
    "kms:DeriveSharedSecret",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:GenerateRandom",
];
/// Operations that answer with a secret and take no `Recipient`.
const WITHOUT: [&str; 2] = ["kms:Decapsulate", "kms:Encapsulate"];

/// The policy.
#[derive(Debug)]
pub struct DenyPlaintextExport;

sekisho_policy::export!(DenyPlaintextExport);

impl Policy for DenyPlaintextExport {
    type State = ();

    fn configure(configuration: &[u8]) -> Result<(), ConfigurationError> {
        json::with(configuration, |root| match root.value() {
            json::Value::Null => Ok(()),
            _ => Err(root.error("nothing is configured here: leave `config` out")),
        })
    }

    fn evaluate(_: &(), request: &Request) -> Answer {
        let action = request.action.as_str();
        // With these operations the service takes a document as `Recipient` or not at all.
        if WITH_RECIPIENT.contains(&action) && request.attestation.is_none() {
            return deny("the answer would hold a secret in plaintext");
        }
        if WITHOUT.contains(&action) {
            return deny("the answer holds a secret in plaintext");
        }
        no_opinion()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_policy::{Attestation, AttestationKind, Decision, Principal};

    fn request(action: &str, attested: bool) -> Request {
        let attestation = attested.then(|| Attestation {
            kind: AttestationKind::Enclave,
            module_id: "i-0-enc0".into(),
            timestamp: 0,
            age: 0,
            pcrs: vec![],
            user_data: None,
            nonce: None,
            nonce_fresh: false,
            public_key_sha256: None,
        });
        Request {
            action: action.into(),
            resource: "*".into(),
            principal: Principal { arn: String::new(), account: String::new(), tags: vec![] },
            key: None,
            encryption_context: vec![],
            parameters: vec![],
            attestation,
            grants: vec![],
            time: 0,
            source_ip: None,
        }
    }

    #[test]
    fn secrets_leave_to_an_attested_key_alone() {
        for (action, attested, denied) in [
            ("kms:Decrypt", false, true),
            ("kms:Decrypt", true, false),
            ("kms:GenerateDataKeyPair", false, true),
            ("kms:GenerateDataKeyWithoutPlaintext", false, false),
            ("kms:Decapsulate", true, true),
            ("kms:Encrypt", false, false),
        ] {
            let decision = DenyPlaintextExport::evaluate(&(), &request(action, attested)).decision;
            assert_eq!(matches!(decision, Decision::Deny(_)), denied, "{action} {attested}");
            assert!(denied || decision == Decision::NoOpinion);
        }
    }

    #[test]
    fn there_is_nothing_to_configure() {
        assert!(DenyPlaintextExport::configure(b"null").is_ok());
        assert!(DenyPlaintextExport::configure(b"{}").is_err());
    }
}
