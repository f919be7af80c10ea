//! Stock policy `attested`: a key that is used by listed measurements alone.
//!
//! ```json
//! {
//!   "measurements": [
//!     { "name": "pipeline-v3", "pcrs": { "0": "<96 hex digits>", "8": "<96 hex digits>" } },
//!     { "name": "batch-v1", "kind": "nitro-tpm", "pcrs": { "4": "<96 hex digits>" } }
//!   ],
//!   "actions": ["kms:Decrypt"],
//!   "encryptors": ["arn:aws:iam::111122223333:user/ingest"],
//!   "administrators": ["arn:aws:iam::111122223333:root"]
//! }
//! ```
//!
//! | action | who may |
//! |---|---|
//! | one of `actions` (default: every operation that takes a `Recipient`) | a caller whose verified attestation holds all registers of one listed measurement, whatever its principal; for what `encryptors` or `administrators` may do, one of them with such an attestation |
//! | an operation that puts data in but no plaintext out ([`Kind::Protect`]) | `encryptors`, without attestation |
//! | an administrative operation ([`Kind::Administer`]) | `administrators`, without attestation |
//! | anything else: `ReplicateKey`, `Sign` or an operation that takes a `Recipient` where it is not in `actions`, an action this version does not know | nobody |
//!
//! So `"actions": ["kms:Sign"]` makes a key that signs for measured code alone, and with
//! `kms:PutKeyPolicy` among them its policy is changed only by an administrator inside such code. What
//! takes no `Recipient` brings its document in the header `X-Sekisho-Attestation`
//! (`docs/attested-requests.md`). `actions` takes the place of the default: a list with `kms:Sign`
//! alone allows no `Decrypt`.
//!
//! Every refusal is a deny with a reason, never "no opinion": no grant and no other
//! policy can open what this one closes. An administrator can still replace the
//! policy; whoever wants a key that nobody can reopen leaves `administrators` out.
//!
//! A measurement needs at least one register, and one that is all zeros in PCR0 to
//! PCR2 is refused: that is what an enclave in debug mode shows. Principals are
//! whole ARNs; there are no wildcards, and `arn:aws:iam::<account>:root` is the root
//! principal alone, not the account.

mod action;
mod configuration;
mod measurement;

pub use action::Kind;

use action::{Action, Actions};
use configuration::Configuration;
use sekisho_policy::{
    Answer, ConfigurationError, Policy, Principal, Request, allow, annotate, deny, state::Reader,
};

/// The policy.
#[derive(Debug)]
pub struct Attested;

sekisho_policy::export!(Attested);

impl Policy for Attested {
    type State = Vec<u8>;

    fn configure(configuration: &[u8]) -> Result<Vec<u8>, ConfigurationError> {
        Ok(Configuration::parse(configuration)?.encode())
    }

    fn evaluate(state: &Vec<u8>, request: &Request) -> Answer {
        decide(Reader::new(state), request)
            .unwrap_or_else(|| deny("the policy cannot read its own state"))
    }
}

/// Reads the parts of the state in the order in which [`Configuration::encode`]
/// writes them; `None` where it is not such a state.
fn decide(mut state: Reader<'_>, request: &Request) -> Option<Answer> {
    let attested = Actions::decode(&mut state)?;
    let measurements = state.block()?;
    let encryptors = state.block()?;
    let administrators = state.block()?;

    let Some(action) = Action::named(&request.action) else {
        return Some(deny("this policy does not know the operation"));
    };
    let needs_attestation = attested.contains(action);
    match action.kind {
        Kind::Release | Kind::Use if !needs_attestation => {
            return Some(deny("this operation is not among the policy's actions"));
        }
        Kind::Release | Kind::Use => {}
        Kind::Protect if lists(encryptors, &request.principal)? => {}
        Kind::Protect => return Some(deny("the principal is not an encryptor")),
        Kind::Administer if lists(administrators, &request.principal)? => {}
        Kind::Administer => return Some(deny("the principal is not an administrator")),
    }
    match needs_attestation {
        true => measured(measurements, request),
        false => Some(allow()),
    }
}

fn measured(measurements: Reader<'_>, request: &Request) -> Option<Answer> {
    let Some(attestation) = &request.attestation else {
        return Some(deny("the request carries no attestation"));
    };
    Some(match measurement::find(measurements, attestation)? {
        Some(name) => annotate(allow(), "measurement", name),
        None => deny("the attestation matches no listed measurement"),
    })
}

fn lists(mut principals: Reader<'_>, principal: &Principal) -> Option<bool> {
    while !principals.is_empty() {
        if principals.bytes()? == principal.arn.as_bytes() {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests;
