//! A request's values for a condition key. All of them are text.

use super::{Key, Source};
use crate::principal::Identity;
use crate::values::date;
use sekisho_policy::{AttestationKind, Pair, Request, bytes};

/// Takes each value that a request has for a key.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&[u8]);

/// The prefix of parameters that are tags of the request.
const TAGS: &str = "Tags/";

/// Hands out the values that a request has for the key with this suffix; none where the
/// request does not have the key.
pub(crate) fn visit(key: &Key, suffix: &[u8], request: &Request, visit: Visit<'_>) {
    match key.source {
        Source::Absent => {}
        Source::Always(value) => visit(value.as_bytes()),
        Source::Parameter(name) => parameters(request, name, visit),
        Source::KeySpec => match &request.key {
            Some(key) => visit(key.spec.as_bytes()),
            None => parameters(request, "KeySpec", visit),
        },
        Source::KeyUsage => match &request.key {
            Some(key) => visit(key.usage.as_bytes()),
            None => parameters(request, "KeyUsage", visit),
        },
        Source::KeyOrigin => match &request.key {
            Some(key) => visit(key.origin.as_bytes()),
            None => parameters(request, "Origin", visit),
        },
        Source::MultiRegion => multi_region(request, visit),
        Source::RequestAlias => request_alias(request, visit),
        Source::ResourceAliases => {
            let aliases = request.key.iter().flat_map(|key| &key.aliases);
            aliases.for_each(|alias| visit(alias.as_bytes()));
        }
        Source::ResourceTag => {
            request.key.iter().for_each(|key| pairs(&key.tags, suffix, visit));
        }
        Source::ResourceAccount => arn_part(&request.resource, 4, visit),
        Source::RequestedRegion => requested_region(request, visit),
        Source::RequestTag => request_tags(request)
            .filter(|(name, _)| name.as_bytes().eq_ignore_ascii_case(suffix))
            .for_each(|(_, value)| visit(value.as_bytes())),
        Source::TagKeys => {
            request_tags(request).for_each(|(name, _)| visit(name.as_bytes()));
            parameters(request, "TagKeys", visit);
        }
        Source::EncryptionContext => pairs(&request.encryption_context, suffix, visit),
        Source::EncryptionContextKeys => {
            request.encryption_context.iter().for_each(|pair| visit(pair.name.as_bytes()));
        }
        Source::GrantIsForAwsResource => {
            if let "kms:CreateGrant" | "kms:ListGrants" | "kms:RevokeGrant" = &*request.action {
                visit(b"false");
            }
        }
        Source::PrincipalAccount => visit(request.principal.account.as_bytes()),
        Source::PrincipalArn => principal_arn(request, visit),
        Source::PrincipalTag => pairs(&request.principal.tags, suffix, visit),
        Source::PrincipalType => {
            if let Some(identity) = Identity::of(&request.principal) {
                visit(identity.principal_type().as_bytes());
            }
        }
        Source::Username => {
            if let Some(Identity::User { name }) = Identity::of(&request.principal) {
                visit(name.as_bytes());
            }
        }
        Source::ImageSha384 => register(request, AttestationKind::Enclave, 0, visit),
        Source::Register(kind) => {
            if let [index] = suffix {
                register(request, kind, *index, visit);
            }
        }
        Source::CurrentTime => visit(date::format(request.time).as_bytes()),
        Source::EpochTime => visit((request.time / 1000).to_string().as_bytes()),
        Source::SourceIp => {
            request.source_ip.iter().for_each(|address| visit(address.as_bytes()));
        }
    }
}

/// The one value that a request has for a key; `None` where it has none or several.
pub(crate) fn single(key: &Key, suffix: &[u8], request: &Request) -> Option<Vec<u8>> {
    let (mut count, mut found) = (0_usize, None);
    visit(key, suffix, request, &mut |value| {
        count = count.saturating_add(1);
        found = Some(value.to_vec());
    });
    found.filter(|_| count == 1)
}

/// The values of every pair with this name, in any case.
fn pairs(pairs: &[Pair], name: &[u8], visit: Visit<'_>) {
    for pair in pairs {
        if bytes::equal_any_case(pair.name.as_bytes(), name) {
            visit(pair.value.as_bytes());
        }
    }
}

fn parameters(request: &Request, name: &str, visit: Visit<'_>) {
    for pair in &request.parameters {
        if pair.name == name {
            visit(pair.value.as_bytes());
        }
    }
}

fn request_tags(request: &Request) -> impl Iterator<Item = (&str, &str)> {
    request
        .parameters
        .iter()
        .filter_map(|pair| Some((pair.name.strip_prefix(TAGS)?, pair.value.as_str())))
}

fn register(request: &Request, kind: AttestationKind, index: u8, visit: Visit<'_>) {
    let Some(attestation) = request.attestation.as_ref().filter(|found| found.kind == kind) else {
        return;
    };
    for pcr in &attestation.pcrs {
        if pcr.index == index {
            visit(pcr.value.as_bytes());
        }
    }
}

/// One of the first five parts of an ARN, if it is not empty.
fn arn_part(arn: &str, part: usize, visit: Visit<'_>) {
    match arn.splitn(6, ':').nth(part) {
        Some(part) if !part.is_empty() => visit(part.as_bytes()),
        _ => {}
    }
}

/// What belongs to no key (`*`, a principal) names no region: the worker tells it.
fn requested_region(request: &Request, visit: Visit<'_>) {
    let mut is_named = false;
    arn_part(&request.resource, 3, &mut |region| {
        is_named = true;
        visit(region);
    });
    if !is_named {
        parameters(request, "RequestedRegion", visit);
    }
}

/// AWS names the role in place of its session.
fn principal_arn(request: &Request, visit: Visit<'_>) {
    match Identity::of(&request.principal) {
        Some(Identity::AssumedRole { partition, role, .. }) => {
            let account = &request.principal.account;
            visit(["arn:", partition, ":iam::", account, ":role/", role].concat().as_bytes());
        }
        _ => visit(request.principal.arn.as_bytes()),
    }
}

/// A key in several regions has an id that starts with `mrk-`.
fn multi_region(request: &Request, visit: Visit<'_>) {
    match &request.key {
        Some(key) => {
            let id = key.arn.rsplit('/').next().unwrap_or_default();
            visit(if id.starts_with("mrk-") { b"true" } else { b"false" });
        }
        None => parameters(request, "MultiRegion", visit),
    }
}

/// The alias by which the caller named the key: the parameter `KeyId`, if it is an
/// alias or an alias's ARN.
fn request_alias(request: &Request, visit: Visit<'_>) {
    parameters(request, "KeyId", &mut |key_id| {
        let name = match key_id.starts_with(b"arn:") {
            true => key_id.splitn(6, |byte| *byte == b':').nth(5).unwrap_or_default(),
            false => key_id,
        };
        if name.starts_with(b"alias/") {
            visit(name);
        }
    });
}
