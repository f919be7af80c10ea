//! Condition keys (AWS KMS developer guide, "Condition keys for AWS KMS"; IAM user
//! guide, "Global condition context keys"), one row each.

use sekisho_policy::{AttestationKind, Pair, Request};

/// What values a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any string.
    Text,
    /// A digest in lower-case hexadecimal digits.
    Digest,
    /// `true` or `false`.
    Boolean,
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

/// Takes each value that a request has for a key.
type Visit<'v> = &'v mut dyn FnMut(&[u8]);

/// A condition key.
pub struct Key {
    /// Its name, in lower case, up to the suffix.
    pub name: &'static str,
    /// What stands after the name.
    pub suffix: Suffix,
    /// What values it has.
    pub kind: Kind,
    /// Whether a request may have several values for it.
    pub many: bool,
    /// Hands out the values a request has for the key with this suffix; none where the
    /// request does not have the key.
    pub(crate) values: fn(&Request, &[u8], Visit<'_>),
}

/// Every key that is understood.
pub const KEYS: [Key; 17] = [
    named("kms:encryptioncontext:", Suffix::Name, |request, name, visit| {
        pairs(&request.encryption_context, name, visit);
    }),
    Key {
        many: true,
        ..plain("kms:encryptioncontextkeys", |request, _, visit| {
            for pair in &request.encryption_context {
                visit(pair.name.as_bytes());
            }
        })
    },
    Key {
        kind: Kind::Digest,
        ..plain("kms:recipientattestation:imagesha384", |request, _, visit| {
            register(request, AttestationKind::Enclave, 0, visit);
        })
    },
    Key {
        kind: Kind::Digest,
        ..named("kms:recipientattestation:pcr", Suffix::Register, |request, suffix, visit| {
            numbered(request, AttestationKind::Enclave, suffix, visit);
        })
    },
    Key {
        kind: Kind::Digest,
        ..named(
            "kms:recipientattestation:nitrotpmpcr",
            Suffix::Register,
            |request, suffix, visit| {
                numbered(request, AttestationKind::NitroTpm, suffix, visit);
            },
        )
    },
    plain("kms:keyspec", |request, _, visit| {
        if let Some(key) = &request.key {
            visit(key.spec.as_bytes());
        }
    }),
    plain("kms:keyusage", |request, _, visit| {
        if let Some(key) = &request.key {
            visit(key.usage.as_bytes());
        }
    }),
    plain("kms:keyorigin", |request, _, visit| {
        if let Some(key) = &request.key {
            visit(key.origin.as_bytes());
        }
    }),
    plain("kms:requestalias", request_alias),
    Key {
        many: true,
        ..plain("kms:resourcealiases", |request, _, visit| {
            for alias in request.key.iter().flat_map(|key| &key.aliases) {
                visit(alias.as_bytes());
            }
        })
    },
    plain("kms:calleraccount", |request, _, visit| {
        visit(request.principal.account.as_bytes());
    }),
    plain("aws:principalarn", |request, _, visit| {
        visit(request.principal.arn.as_bytes());
    }),
    plain("aws:principalaccount", |request, _, visit| {
        visit(request.principal.account.as_bytes());
    }),
    named("aws:principaltag/", Suffix::Name, |request, name, visit| {
        pairs(&request.principal.tags, name, visit);
    }),
    named("aws:resourcetag/", Suffix::Name, |request, name, visit| {
        if let Some(key) = &request.key {
            pairs(&key.tags, name, visit);
        }
    }),
    // TLS ends in the worker; nothing else gets here.
    Key { kind: Kind::Boolean, ..plain("aws:securetransport", |_, _, visit| visit(b"true")) },
    // There are no AWS services among the principals.
    Key {
        kind: Kind::Boolean,
        ..plain("aws:principalisawsservice", |_, _, visit| visit(b"false"))
    },
];

const fn plain(name: &'static str, values: fn(&Request, &[u8], Visit<'_>)) -> Key {
    named(name, Suffix::None, values)
}

const fn named(name: &'static str, suffix: Suffix, values: fn(&Request, &[u8], Visit<'_>)) -> Key {
    Key { name, suffix, kind: Kind::Text, many: false, values }
}

/// The values of every pair with this name, in any case.
fn pairs(pairs: &[Pair], name: &[u8], visit: Visit<'_>) {
    for pair in pairs {
        if pair.name.as_bytes().eq_ignore_ascii_case(name) {
            visit(pair.value.as_bytes());
        }
    }
}

fn numbered(request: &Request, kind: AttestationKind, suffix: &[u8], visit: Visit<'_>) {
    if let [index] = suffix {
        register(request, kind, *index, visit);
    }
}

fn register(request: &Request, kind: AttestationKind, index: u8, visit: Visit<'_>) {
    let attestation = request.attestation.iter().filter(|found| found.kind == kind);
    for pcr in attestation.flat_map(|found| &found.pcrs) {
        if pcr.index == index {
            visit(pcr.value.as_bytes());
        }
    }
}

/// The alias by which the caller named the key: the parameter `KeyId`, if it is an
/// alias or an alias's ARN.
fn request_alias(request: &Request, _: &[u8], visit: Visit<'_>) {
    let Some(key_id) = request.parameters.iter().find(|pair| pair.name == "KeyId") else {
        return;
    };
    let name = match key_id.value.starts_with("arn:") {
        true => key_id.value.splitn(6, ':').nth(5).unwrap_or_default(),
        false => &key_id.value,
    };
    if name.starts_with("alias/") {
        visit(name.as_bytes());
    }
}
