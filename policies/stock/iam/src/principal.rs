//! The `Principal` element.

use sekisho_policy::json::{Cursor, Value};
use sekisho_policy::state::{Reader, Writer};
use sekisho_policy::{ConfigurationError, Principal};

const ANYONE: u8 = 0;
const ROOT_OF_ACCOUNT: u8 = 1;
const ARN: u8 = 2;

/// Whom a statement is about.
#[derive(Debug)]
pub(crate) enum Named {
    /// `*`
    Anyone,
    /// An account: its root principal.
    RootOf(String),
    /// One principal.
    Arn(String),
}

/// Reads `Principal`.
pub(crate) fn parse(at: &Cursor<'_>) -> Result<Vec<Named>, ConfigurationError> {
    if let Value::String(text) = at.value() {
        return match text.as_str() {
            "*" => Ok(vec![Named::Anyone]),
            _ => Err(at.error("is \"*\" or an object such as {\"AWS\": …}")),
        };
    }
    let mut named = Vec::new();
    for (kind, value) in at.object()? {
        match kind {
            "AWS" => {
                for principal in value.one_or_many() {
                    named.push(parse_one(&principal)?);
                }
            }
            "Service" | "Federated" | "CanonicalUser" => {
                return Err(value.error("there are no principals of this kind here"));
            }
            _ => return Err(value.error("is not a kind of principal")),
        }
    }
    if named.is_empty() {
        return Err(at.error("at least one principal is needed"));
    }
    Ok(named)
}

fn parse_one(at: &Cursor<'_>) -> Result<Named, ConfigurationError> {
    let text = at.string()?;
    if text == "*" {
        return Ok(Named::Anyone);
    }
    if is_account(text) {
        return Ok(Named::RootOf(text.into()));
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, "", account, name] = parts[..] else {
        return Err(at.error("is not an account, a principal's ARN or \"*\""));
    };
    let known = match service {
        "iam" => name == "root" || name.starts_with("user/") || name.starts_with("role/"),
        "sts" => name.starts_with("assumed-role/") || name.starts_with("federated-user/"),
        _ => false,
    };
    if arn != "arn" || !partition.starts_with("aws") || !is_account(account) || !known {
        return Err(at.error("is not the ARN of an account's root, a user, a role or a session"));
    }
    if text.contains(['*', '?']) {
        return Err(
            at.error("a principal's ARN has no wildcards; use a condition on aws:PrincipalArn")
        );
    }
    Ok(Named::Arn(text.into()))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(crate) fn encode(named: &[Named], writer: &mut Writer) {
    for named in named {
        let (kind, text) = match named {
            Named::Anyone => (ANYONE, ""),
            Named::RootOf(account) => (ROOT_OF_ACCOUNT, account.as_str()),
            Named::Arn(arn) => (ARN, arn.as_str()),
        };
        writer.byte(kind);
        writer.string(text);
    }
}

/// Whether one of the encoded principals is this one.
pub(crate) fn matches(mut named: Reader<'_>, principal: &Principal) -> Option<bool> {
    while !named.is_empty() {
        let kind = named.byte()?;
        let text = named.bytes()?;
        let found = match kind {
            ANYONE => true,
            ROOT_OF_ACCOUNT => {
                principal.account.as_bytes() == text && principal.arn.ends_with(":root")
            }
            ARN => principal.arn.as_bytes() == text,
            _ => return None,
        };
        if found {
            return Some(true);
        }
    }
    Some(false)
}
