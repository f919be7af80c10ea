//! The operations, one file for each family. Every one needs a [`Permit`].

pub(crate) mod access_keys;
mod agreement;
pub(crate) mod aliases;
mod approvals;
mod data_key_pairs;
pub(crate) mod data_keys;
mod encapsulation;
pub(crate) mod encryption;
mod grants;
mod guardrail;
mod imports;
pub(crate) mod keys;
pub(crate) mod lifecycle;
mod mac;
mod modules;
mod multi_region;
pub(crate) mod policies;
mod principal_policies;
pub(crate) mod principals;
mod random;
mod root_key;
mod rotation;
mod signing;
mod stores;
mod tags;
mod usage;

use crate::api::{ApiError, Facts, Fields, Operation, Pattern, Text, for_each_operation};
use crate::authorize::Permit;
use crate::keys::Key;
use crate::keys::spec::KeyUsage;
use crate::keys::store::HeldKey;
use crate::service::Service;
use access_keys::{
    CreateAccessKey, CreateSession, DeleteAccessKey, ListAccessKeys, UpdateAccessKey,
};
use agreement::DeriveSharedSecret;
use aliases::{CreateAlias, DeleteAlias, ListAliases, UpdateAlias};
use approvals::{Approve, Deny, ListApprovals};
use data_key_pairs::{GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext};
use data_keys::{GenerateDataKey, GenerateDataKeyWithoutPlaintext};
use encapsulation::{Decapsulate, Encapsulate};
use encryption::{Decrypt, Encrypt, ReEncrypt};
use grants::{CreateGrant, ListGrants, ListRetirableGrants, RetireGrant, RevokeGrant};
use guardrail::{DeleteGuardrail, GetGuardrail, PutGuardrail};
use imports::{DeleteImportedKeyMaterial, GetParametersForImport, ImportKeyMaterial};
use keys::{CreateKey, DescribeKey, ListKeys, UpdateKeyDescription};
use lifecycle::{CancelKeyDeletion, DisableKey, EnableKey, ScheduleKeyDeletion};
use mac::{GenerateMac, VerifyMac};
use modules::{DeletePolicyModule, ListPolicyModules, RegisterPolicyModule};
use multi_region::{ReplicateKey, UpdatePrimaryRegion};
use policies::{GetKeyPolicy, ListKeyPolicies, PutKeyPolicy};
use principal_policies::{
    DeletePrincipalPolicy, GetPrincipalPolicy, ListPrincipalPolicies, PutPrincipalPolicy,
};
use principals::{CreatePrincipal, DeletePrincipal, ListPrincipals};
use random::GenerateRandom;
use root_key::{GetRootKeyStatus, RotateRootKey};
use rotation::{
    DisableKeyRotation, EnableKeyRotation, GetKeyRotationStatus, ListKeyRotations,
    RotateKeyOnDemand,
};
use serde_json::{Value, json};
use signing::{GetPublicKey, Sign, Verify};
use stores::{
    ConnectCustomKeyStore, CreateCustomKeyStore, DeleteCustomKeyStore, DescribeCustomKeyStores,
    DisconnectCustomKeyStore, UpdateCustomKeyStore,
};
use tags::{ListResourceTags, TagResource, UntagResource};
use usage::GetKeyLastUsage;

/// The input of an operation: read, told about, carried out.
pub(crate) trait Input: Sized {
    fn read(fields: &mut Fields) -> Result<Self, ApiError>;

    /// Rules between members, after each member was read.
    fn check(&self) -> Result<(), ApiError> {
        Ok(())
    }

    fn facts(&self) -> Facts<'_>;

    /// Whether the permitted key is of a kind that the operation works on; also before a dry run.
    fn suits(&self, _: &Permit) -> Result<(), ApiError> {
        Ok(())
    }

    /// Carries out what was permitted. The answer may not leave before it is recorded.
    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError>;
}

macro_rules! declare {
    ($($service:literal $is_own:literal $target:literal {
        $($name:ident: $state:ident),+ $(,)?
    })+) => {
        /// What an authenticated request asks for, its input validated.
        pub(crate) enum Action {
            $($($name($name),)+)+
        }

        impl Action {
            /// Reads the body of a request for `operation`.
            pub(crate) fn parse(operation: Operation, body: &[u8]) -> Result<Self, ApiError> {
                let mut fields = Fields::parse(body)?;
                let action = match operation {
                    $($(Operation::$name => Self::$name($name::read(&mut fields)?),)+)+
                };
                fields.finish()?;
                match &action { $($(Self::$name(input) => input.check()?,)+)+ }
                Ok(action)
            }

            pub(crate) fn facts(&self) -> Facts<'_> {
                match self { $($(Self::$name(input) => input.facts(),)+)+ }
            }

            fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
                match self { $($(Self::$name(input) => input.suits(permit),)+)+ }
            }

            async fn carry_out(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
                match self { $($(Self::$name(input) => input.perform(service, permit).await,)+)+ }
            }
        }
    };
}

for_each_operation!(declare);

/// Carries out what was permitted, if the key is in a state and of a kind for it. The answer may not
/// leave before it is recorded.
pub(crate) async fn perform(
    service: &Service,
    action: Action,
    permit: Permit,
    dry_run: bool,
) -> Result<Value, ApiError> {
    permit.check_state()?;
    action.suits(&permit)?;
    if dry_run {
        return Err(ApiError::DryRun);
    }
    action.carry_out(service, permit).await
}

/// `KeyIdType` of AWS's service model; the pattern is in AWS's answers alone.
const KEY_ID: Text = Text {
    min: 1,
    max: 2048,
    pattern: Some(Pattern { text: "^\\p{ASCII}+$", allows: |letter| letter.is_ascii() }),
};
/// `PlaintextType` and `CiphertextType` of AWS's service model, bytes.
const MAX_PLAINTEXT: usize = 4096;
const MAX_CIPHERTEXT: usize = 6144;
/// `MarkerType` of AWS's service model.
const MARKER: Text = Text {
    min: 1,
    max: 1024,
    pattern: Some(Pattern {
        text: "[\\u0020-\\u00FF]*",
        allows: |letter| matches!(letter, '\u{20}'..='\u{ff}'),
    }),
};
/// `PolicyType` of AWS's service model; AWS's own limit of 32 KiB is below its maximum.
const POLICY: Text = Text {
    min: 1,
    max: 131_072,
    pattern: Some(Pattern {
        text: "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+",
        allows: |letter| matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}'),
    }),
};

/// Whether a key is there for what is asked of it, and works with the algorithm.
fn suits(
    permit: &Permit,
    held: &HeldKey,
    usage: KeyUsage,
    algorithm: &str,
) -> Result<(), ApiError> {
    let key = &held.key;
    if key.usage != usage {
        return Err(ApiError::InvalidKeyUsage(format!(
            "{} key usage is {} which is not valid for {}.",
            held.arn,
            key.usage.name(),
            permit.operation().name()
        )));
    }
    if !key.algorithms().contains(&algorithm) {
        return Err(ApiError::InvalidKeyUsage(format!(
            "Algorithm {algorithm} is incompatible with key spec {}.",
            key.spec.name()
        )));
    }
    Ok(())
}

/// Changes the permitted key. Between the permit and this another request may have changed it, so
/// that its state is looked at again.
async fn change(
    service: &Service,
    permit: &Permit,
    edit: impl FnOnce(&mut Key) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let held = permit.key()?;
    let needed = permit.operation().needed_state();
    service
        .keys
        .change(held.key.id, |key| {
            key.state_at(permit.time()).check(needed, &held.arn)?;
            edit(key)
        })
        .await
}

/// A `Limit` as the service model has it, cut to the largest page that is given.
fn limit(fields: &mut Fields, default: i64, largest: i64) -> Result<usize, ApiError> {
    let limit = fields.integer("Limit", 1, 1000)?.unwrap_or(default);
    Ok(usize::try_from(limit.min(largest)).unwrap_or_default())
}

/// A `Marker` that is the number of items before the page.
fn offset(fields: &mut Fields) -> Result<usize, ApiError> {
    let marker = fields.text("Marker", MARKER)?;
    let number = marker.map(|text| text.parse().map_err(|_| ApiError::InvalidMarker));
    Ok(fields.understood(number.transpose()).unwrap_or_default())
}

/// One page of a listing that is at hand as a whole.
fn page_from<T>(
    all: impl IntoIterator<Item = T>,
    offset: usize,
    limit: usize,
    member: &str,
    item: impl Fn(&T) -> Value,
) -> Value {
    let found = all.into_iter().skip(offset).take(limit.saturating_add(1)).collect();
    page(found, limit, member, |_| offset.saturating_add(limit).to_string(), item)
}

/// One page of a listing: asked for one more than `limit`, so as to know whether there are more.
fn page<T>(
    mut found: Vec<T>,
    limit: usize,
    member: &str,
    marker: impl Fn(&T) -> String,
    item: impl Fn(&T) -> Value,
) -> Value {
    let truncated = found.len() > limit;
    found.truncate(limit);
    let items: Vec<Value> = found.iter().map(item).collect();
    let mut answer = json!({ member: items, "Truncated": truncated });
    if let (true, Some(last), Some(members)) = (truncated, found.last(), answer.as_object_mut()) {
        members.insert("NextMarker".into(), marker(last).into());
    }
    answer
}

/// AWS gives times as seconds since 1970 with milliseconds behind the point.
fn seconds(milliseconds: u64) -> Value {
    // Exact: a time of this age has far fewer than 53 bits of milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit in 53 bits")]
    let seconds = milliseconds as f64 / 1000.0;
    json!(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_needs_both_its_members() {
        let error = Action::parse(
            Operation::Decrypt,
            br#"{"CiphertextBlob":"AA==","Recipient":{"KeyEncryptionAlgorithm":"X"}}"#,
        );
        let message = error.err().unwrap().message();
        assert!(message.starts_with("2 validation errors detected"), "{message}");
        assert!(message.contains("'recipient.keyEncryptionAlgorithm'"), "{message}");
        assert!(message.contains("Value null at 'recipient.attestationDocument'"), "{message}");
    }
}
