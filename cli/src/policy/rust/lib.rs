//! A key policy: decryption for one purpose.
//!
//! Its configuration is `{"purpose": "backup"}`. Who decrypts must say this purpose in the
//! encryption context; the account's root may do everything else, and nobody else anything.

use sekisho_policy::{Answer, ConfigurationError, Policy, Request, allow, deny, json, no_opinion};

/// The policy.
pub struct Purpose;

sekisho_policy::export!(Purpose);

impl Policy for Purpose {
    /// The purpose, UTF-8.
    type State = Vec<u8>;

    /// Runs once, when a key gets the policy. What is wrong is told to whom it concerns, with its
    /// place.
    fn configure(configuration: &[u8]) -> Result<Vec<u8>, ConfigurationError> {
        json::with(configuration, |root| {
            let mut purpose = None;
            for (member, value) in root.object()? {
                match member {
                    "purpose" => purpose = Some(value.string()?),
                    _ => return Err(value.error("is not a member of the configuration")),
                }
            }
            let purpose = purpose.filter(|purpose| !purpose.is_empty());
            purpose.map(Into::into).ok_or_else(|| root.error("`purpose` is missing"))
        })
    }

    /// Runs for each request on the key, each time in a fresh instance.
    fn evaluate(purpose: &Vec<u8>, request: &Request) -> Answer {
        if request.action == "kms:Decrypt" {
            let mut context = request.encryption_context.iter();
            return match context.find(|pair| pair.name == "purpose") {
                Some(pair) if pair.value.as_bytes() == purpose.as_slice() => allow(),
                Some(_) => deny("another purpose"),
                None => deny("no purpose in the encryption context"),
            };
        }
        // A key whose policy nobody may change can never get another.
        if request.principal.arn.ends_with(":root") { allow() } else { no_opinion() }
    }
}
