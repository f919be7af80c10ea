//! Condition keys (AWS KMS developer guide, "Condition keys for AWS KMS"; IAM user
//! guide, "AWS global condition context keys"), one row each.
//!
//! A key whose source is [`Source::Absent`] is known, and no request here ever has it:
//! there are no AWS services, organizations or VPCs around this service. As in AWS,
//! such a key is missing from the request.

mod lookup;

pub(crate) use lookup::{single, visit};

use sekisho_policy::AttestationKind;

/// What values a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A string that somebody chose, such as a tag: it may be meant as a value of any type.
    Free,
    /// A digest in lower-case hexadecimal digits.
    Digest,
    /// `true` or `false`.
    Boolean,
    /// A decimal number.
    Number,
    /// A point in time.
    Date,
    /// A point in time as seconds since 1970.
    Epoch,
    /// An IP address.
    Address,
}

/// What stands after the name in a key such as `kms:EncryptionContext:<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suffix {
    /// Nothing.
    None,
    /// A name, in any case.
    Name,
    /// The number of a register, 0 to 31.
    Register,
}

/// Where a request has a key's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nowhere, in any request.
    Absent,
    /// In every request, this value.
    Always(&'static str),
    /// Parameters of the operation, by AWS's name; one pair for each value.
    Parameter(&'static str),
    /// The KMS key's spec, or the parameter of an operation that makes a key.
    KeySpec,
    /// The KMS key's usage, or the parameter.
    KeyUsage,
    /// The KMS key's origin, or the parameter.
    KeyOrigin,
    /// Whether the parameter, or the KMS key's id, says that it is in several regions.
    MultiRegion,
    /// The alias by which the caller named the KMS key.
    RequestAlias,
    /// The KMS key's aliases.
    ResourceAliases,
    /// The KMS key's tags.
    ResourceTag,
    /// The account in the resource's ARN.
    ResourceAccount,
    /// The region in the resource's ARN; where it names none, the parameter of this name.
    RequestedRegion,
    /// Tags to be put on the KMS key: parameters `Tags/<name>`.
    RequestTag,
    /// The names of tags to be put or taken away: parameters `Tags/<name>`, `TagKeys`.
    TagKeys,
    /// Values of the encryption context.
    EncryptionContext,
    /// Names of the encryption context.
    EncryptionContextKeys,
    /// The operations on grants: `false`, as no AWS service asks.
    GrantIsForAwsResource,
    /// The caller's account.
    PrincipalAccount,
    /// The caller's ARN; of a role's session, the role's.
    PrincipalArn,
    /// The caller's tags.
    PrincipalTag,
    /// `Account`, `User`, `AssumedRole` or `FederatedUser`.
    PrincipalType,
    /// The name of a user.
    Username,
    /// PCR0 of an enclave.
    ImageSha384,
    /// A register of this kind of machine.
    Register(AttestationKind),
    /// The worker's clock, as ISO 8601.
    CurrentTime,
    /// The worker's clock, in seconds since 1970.
    EpochTime,
    /// The peer's address, as the host claims it.
    SourceIp,
}

/// A condition key.
#[derive(Debug)]
pub struct Key {
    /// Its name, in lower case, up to the suffix.
    pub name: &'static str,
    /// What stands after the name.
    pub suffix: Suffix,
    /// What values it has.
    pub kind: Kind,
    /// Whether a request may have several values for it.
    pub many: bool,
    /// Where they are.
    pub source: Source,
}

/// Every key that is understood. The state names a key by its place here.
pub const KEYS: &[Key] = &[
    // What is specific to AWS KMS.
    named("kms:encryptioncontext:", Kind::Free, Source::EncryptionContext),
    many("kms:encryptioncontextkeys", Kind::Free, Source::EncryptionContextKeys),
    plain("kms:recipientattestation:imagesha384", Kind::Digest, Source::ImageSha384),
    register("kms:recipientattestation:pcr", AttestationKind::Enclave),
    register("kms:recipientattestation:nitrotpmpcr", AttestationKind::NitroTpm),
    plain("kms:calleraccount", Kind::Text, Source::PrincipalAccount),
    plain("kms:keyspec", Kind::Text, Source::KeySpec),
    plain("kms:customermasterkeyspec", Kind::Text, Source::KeySpec),
    plain("kms:keyusage", Kind::Text, Source::KeyUsage),
    plain("kms:customermasterkeyusage", Kind::Text, Source::KeyUsage),
    plain("kms:keyorigin", Kind::Text, Source::KeyOrigin),
    plain("kms:requestalias", Kind::Text, Source::RequestAlias),
    many("kms:resourcealiases", Kind::Text, Source::ResourceAliases),
    parameter("kms:encryptionalgorithm", Kind::Text, "EncryptionAlgorithm"),
    parameter("kms:signingalgorithm", Kind::Text, "SigningAlgorithm"),
    parameter("kms:macalgorithm", Kind::Text, "MacAlgorithm"),
    parameter("kms:keyagreementalgorithm", Kind::Text, "KeyAgreementAlgorithm"),
    parameter("kms:messagetype", Kind::Text, "MessageType"),
    parameter("kms:wrappingalgorithm", Kind::Text, "WrappingAlgorithm"),
    parameter("kms:wrappingkeyspec", Kind::Text, "WrappingKeySpec"),
    parameter("kms:datakeypairspec", Kind::Text, "KeyPairSpec"),
    parameter("kms:expirationmodel", Kind::Text, "ExpirationModel"),
    parameter("kms:validto", Kind::Epoch, "ValidTo"),
    parameter("kms:rotationperiodindays", Kind::Number, "RotationPeriodInDays"),
    parameter("kms:schedulekeydeletionpendingwindowindays", Kind::Number, "PendingWindowInDays"),
    parameter(
        "kms:bypasspolicylockoutsafetycheck",
        Kind::Boolean,
        "BypassPolicyLockoutSafetyCheck",
    ),
    parameter("kms:reencryptonsamekey", Kind::Boolean, "ReEncryptOnSameKey"),
    parameter("kms:granteeprincipal", Kind::Text, "GranteePrincipal"),
    parameter("kms:retiringprincipal", Kind::Text, "RetiringPrincipal"),
    parameter("kms:grantconstrainttype", Kind::Text, "GrantConstraintType"),
    many("kms:grantoperations", Kind::Text, Source::Parameter("Operations")),
    plain("kms:grantisforawsresource", Kind::Boolean, Source::GrantIsForAwsResource),
    plain("kms:multiregion", Kind::Boolean, Source::MultiRegion),
    parameter("kms:primaryregion", Kind::Text, "PrimaryRegion"),
    parameter("kms:replicaregion", Kind::Text, "ReplicaRegion"),
    parameter("kms:multiregionkeytype", Kind::Text, "MultiRegionKeyType"),
    plain("kms:viaservice", Kind::Text, Source::Absent),
    // Of the principal.
    plain("aws:principalarn", Kind::Text, Source::PrincipalArn),
    plain("aws:principalaccount", Kind::Text, Source::PrincipalAccount),
    named("aws:principaltag/", Kind::Free, Source::PrincipalTag),
    plain("aws:principaltype", Kind::Text, Source::PrincipalType),
    plain("aws:username", Kind::Text, Source::Username),
    plain("aws:userid", Kind::Text, Source::Absent),
    plain("aws:principalisawsservice", Kind::Boolean, Source::Always("false")),
    plain("aws:principalservicename", Kind::Text, Source::Absent),
    many("aws:principalservicenameslist", Kind::Text, Source::Absent),
    plain("aws:principalorgid", Kind::Text, Source::Absent),
    many("aws:principalorgpaths", Kind::Text, Source::Absent),
    plain("aws:assumedroot", Kind::Boolean, Source::Absent),
    plain("aws:federatedprovider", Kind::Text, Source::Absent),
    plain("aws:multifactorauthpresent", Kind::Boolean, Source::Absent),
    plain("aws:multifactorauthage", Kind::Number, Source::Absent),
    plain("aws:tokenissuetime", Kind::Date, Source::Absent),
    plain("aws:sourceidentity", Kind::Text, Source::Absent),
    // Of the resource.
    named("aws:resourcetag/", Kind::Free, Source::ResourceTag),
    plain("aws:resourceaccount", Kind::Text, Source::ResourceAccount),
    plain("aws:resourceorgid", Kind::Text, Source::Absent),
    many("aws:resourceorgpaths", Kind::Text, Source::Absent),
    // Of the request and where it comes from.
    named("aws:requesttag/", Kind::Free, Source::RequestTag),
    many("aws:tagkeys", Kind::Free, Source::TagKeys),
    plain("aws:currenttime", Kind::Date, Source::CurrentTime),
    plain("aws:epochtime", Kind::Epoch, Source::EpochTime),
    plain("aws:requestedregion", Kind::Text, Source::RequestedRegion),
    plain("aws:sourceip", Kind::Address, Source::SourceIp),
    // TLS ends in the worker; nothing else gets here.
    plain("aws:securetransport", Kind::Boolean, Source::Always("true")),
    plain("aws:viaawsservice", Kind::Boolean, Source::Always("false")),
    many("aws:calledvia", Kind::Text, Source::Absent),
    plain("aws:calledviafirst", Kind::Text, Source::Absent),
    plain("aws:calledvialast", Kind::Text, Source::Absent),
    plain("aws:referer", Kind::Text, Source::Absent),
    plain("aws:useragent", Kind::Text, Source::Absent),
    plain("aws:sourceaccount", Kind::Text, Source::Absent),
    plain("aws:sourcearn", Kind::Text, Source::Absent),
    plain("aws:sourceorgid", Kind::Text, Source::Absent),
    many("aws:sourceorgpaths", Kind::Text, Source::Absent),
    plain("aws:sourcevpc", Kind::Text, Source::Absent),
    plain("aws:sourcevpcarn", Kind::Text, Source::Absent),
    plain("aws:sourcevpce", Kind::Text, Source::Absent),
    plain("aws:vpceaccount", Kind::Text, Source::Absent),
    plain("aws:vpceorgid", Kind::Text, Source::Absent),
    many("aws:vpceorgpaths", Kind::Text, Source::Absent),
    plain("aws:vpcsourceip", Kind::Address, Source::Absent),
    plain("aws:ec2instancesourcevpc", Kind::Text, Source::Absent),
    plain("aws:ec2instancesourceprivateipv4", Kind::Address, Source::Absent),
];

const fn plain(name: &'static str, kind: Kind, source: Source) -> Key {
    Key { name, suffix: Suffix::None, kind, many: false, source }
}

const fn many(name: &'static str, kind: Kind, source: Source) -> Key {
    Key { name, suffix: Suffix::None, kind, many: true, source }
}

const fn named(name: &'static str, kind: Kind, source: Source) -> Key {
    Key { name, suffix: Suffix::Name, kind, many: false, source }
}

const fn parameter(name: &'static str, kind: Kind, parameter: &'static str) -> Key {
    plain(name, kind, Source::Parameter(parameter))
}

const fn register(name: &'static str, kind: AttestationKind) -> Key {
    Key {
        name,
        suffix: Suffix::Register,
        kind: Kind::Digest,
        many: false,
        source: Source::Register(kind),
    }
}

/// A key as a document names it.
pub(crate) struct Named {
    /// Its place in [`KEYS`].
    pub(crate) index: u8,
    pub(crate) key: &'static Key,
    /// What its suffix says, as the state keeps it.
    pub(crate) suffix: Vec<u8>,
}

/// The longest name after `kms:EncryptionContext:` and the like. AWS's tags have at most
/// 128 characters.
const NAME: usize = 255;

/// Finds a key by its name, in any case.
///
/// # Errors
///
/// Why there is none.
pub(crate) fn find(name: &str) -> Result<Named, &'static str> {
    const UNKNOWN: &str = "is not a condition key that is known here";
    let folded = name.to_ascii_lowercase();
    let (index, key) = KEYS
        .iter()
        .enumerate()
        .find(|(_, key)| match (key.suffix, folded.strip_prefix(key.name)) {
            (_, None) => false,
            (Suffix::None, Some(rest)) => rest.is_empty(),
            (Suffix::Name, Some(rest)) => !rest.is_empty(),
            (Suffix::Register, Some(rest)) => register_number(rest).is_some(),
        })
        .ok_or(UNKNOWN)?;
    let suffix = folded.get(key.name.len()..).unwrap_or_default();
    if !suffix.is_ascii() {
        return Err("a name that is not ASCII cannot be compared in any case");
    }
    if suffix.len() > NAME {
        return Err("the name is longer than 255 bytes");
    }
    let suffix = match key.suffix {
        Suffix::None => Vec::new(),
        Suffix::Name => suffix.as_bytes().to_vec(),
        Suffix::Register => register_number(suffix).into_iter().collect(),
    };
    Ok(Named { index: u8::try_from(index).map_err(|_| UNKNOWN)?, key, suffix })
}

/// A register's number in its one spelling.
fn register_number(text: &str) -> Option<u8> {
    let number = text.parse::<u8>().ok()?;
    (number < 32 && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_lower_case_and_stand_once() {
        for (index, key) in KEYS.iter().enumerate() {
            assert_eq!(key.name, key.name.to_ascii_lowercase());
            assert!(KEYS[..index].iter().all(|other| other.name != key.name), "{}", key.name);
        }
        assert!(KEYS.len() < 256);
    }

    #[test]
    fn every_key_is_found_by_its_name() {
        for (index, key) in KEYS.iter().enumerate() {
            let name = match key.suffix {
                Suffix::None => key.name.to_owned(),
                Suffix::Name => [key.name, "Name"].concat(),
                Suffix::Register => [key.name, "31"].concat(),
            };
            let found = find(&name.to_ascii_uppercase()).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(usize::from(found.index), index, "{name}");
        }
    }
}
