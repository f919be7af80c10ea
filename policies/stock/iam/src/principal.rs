//! The elements `Principal` and `NotPrincipal` (IAM user guide, "AWS JSON policy
//! elements: Principal", "… NotPrincipal").

use crate::limits;
use crate::statement::Effect;
use sekisho_policy::json::{Cursor, Value};
use sekisho_policy::state::{Reader, Writer};
use sekisho_policy::{ConfigurationError, Principal, bytes};

const ANYONE: u8 = 0;
const ACCOUNT: u8 = 1;
const ARN: u8 = 2;
const ROLE: u8 = 3;

/// Whom a statement is about.
#[derive(Debug)]
pub(crate) enum Named {
    /// `*`
    Anyone,
    /// An account, by its number or its root's ARN.
    Account(String),
    /// A user, or a session.
    Arn(String),
    /// A role, and with it every session of it.
    Role(String),
    /// A service, an identity provider, a canonical user: nobody who could ask here.
    Nobody,
}

/// How a statement is about a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    No,
    /// An `Allow` for the account that it belongs to, which leaves it to identity policies.
    Account,
    Itself,
}

/// What kind of principal asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity<'a> {
    Root,
    User { name: &'a str },
    AssumedRole { partition: &'a str, role: &'a str },
    FederatedUser,
}

impl<'a> Identity<'a> {
    /// As the principal's ARN says it.
    pub(crate) fn of(principal: &'a Principal) -> Option<Self> {
        let mut parts = principal.arn.splitn(6, ':');
        let partition = parts.nth(1)?;
        let name = parts.nth(3)?;
        if name == "root" {
            return Some(Self::Root);
        }
        let (kind, rest) = name.split_once('/')?;
        match kind {
            "user" => Some(Self::User { name: rest.rsplit('/').next()? }),
            "assumed-role" => Some(Self::AssumedRole { partition, role: rest.split('/').next()? }),
            "federated-user" => Some(Self::FederatedUser),
            _ => None,
        }
    }

    /// The value of `aws:PrincipalType`.
    pub(crate) fn principal_type(&self) -> &'static str {
        match self {
            Self::Root => "Account",
            Self::User { .. } => "User",
            Self::AssumedRole { .. } => "AssumedRole",
            Self::FederatedUser => "FederatedUser",
        }
    }
}

/// Reads `Principal` or `NotPrincipal`.
pub(crate) fn parse(at: &Cursor<'_>) -> Result<Vec<Named>, ConfigurationError> {
    if let Value::String(text) = at.value() {
        return match text.as_str() {
            "*" => Ok(vec![Named::Anyone]),
            _ => Err(at.error("is \"*\" or an object such as {\"AWS\": …}")),
        };
    }
    let mut named = Vec::new();
    for (kind, value) in at.object()? {
        let one: fn(&Cursor<'_>) -> Result<Named, ConfigurationError> = match kind {
            "AWS" => parse_aws,
            "Service" => parse_service,
            "Federated" => parse_federated,
            "CanonicalUser" => parse_canonical_user,
            _ => return Err(value.error("is not a kind of principal")),
        };
        for principal in value.one_or_many() {
            named.push(one(&principal)?);
        }
    }
    limits::check_count(at, named.len(), limits::PRINCIPALS)?;
    Ok(named)
}

fn parse_aws(at: &Cursor<'_>) -> Result<Named, ConfigurationError> {
    let text = limits::string(at)?;
    if text == "*" {
        return Ok(Named::Anyone);
    }
    if is_account(text) {
        return Ok(Named::Account(text.into()));
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, "", account, name] = parts[..] else {
        return Err(at.error("is not an account, a principal's ARN or \"*\""));
    };
    let named = match (service, name.split_once('/')) {
        ("iam", None) if name == "root" => Some(Named::Account(account.into())),
        ("iam", Some(("user", rest))) if !rest.is_empty() => Some(Named::Arn(text.into())),
        ("iam", Some(("role", rest))) if !rest.is_empty() => Some(Named::Role(text.into())),
        ("sts", Some(("assumed-role", rest))) if rest.contains('/') => {
            Some(Named::Arn(text.into()))
        }
        ("sts", Some(("federated-user", rest))) if !rest.is_empty() => {
            Some(Named::Arn(text.into()))
        }
        _ => None,
    };
    if arn != "arn" || !partition.starts_with("aws") || !is_account(account) {
        return Err(at.error("is not the ARN of an account's root, a user, a role or a session"));
    }
    if text.contains(['*', '?']) {
        return Err(
            at.error("a principal's ARN has no wildcards; use a condition on aws:PrincipalArn")
        );
    }
    named
        .ok_or_else(|| at.error("is not the ARN of an account's root, a user, a role or a session"))
}

/// `<service>.amazonaws.com`, with a region, or in another partition.
fn parse_service(at: &Cursor<'_>) -> Result<Named, ConfigurationError> {
    let text = limits::string(at)?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let known = text.ends_with(".amazonaws.com") || text.ends_with(".amazonaws.com.cn");
    match known && text.bytes().all(letter) {
        true => Ok(Named::Nobody),
        false => Err(at.error("is not a service such as \"logs.amazonaws.com\"")),
    }
}

/// The ARN of a SAML or OpenID Connect provider, or the domain of one that AWS knows.
fn parse_federated(at: &Cursor<'_>) -> Result<Named, ConfigurationError> {
    let text = limits::string(at)?;
    let provider = text.starts_with("arn:")
        && (text.contains(":saml-provider/") || text.contains(":oidc-provider/"));
    let domain = !text.contains(':') && text.contains('.');
    match (provider || domain) && !text.contains(['*', '?']) {
        true => Ok(Named::Nobody),
        false => Err(at.error("is not an identity provider")),
    }
}

/// 64 hexadecimal digits.
fn parse_canonical_user(at: &Cursor<'_>) -> Result<Named, ConfigurationError> {
    let text = limits::string(at)?;
    match text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(Named::Nobody),
        false => Err(at.error("is not a canonical user id of 64 hexadecimal digits")),
    }
}

fn same(principal: &str, text: &[u8]) -> bool {
    bytes::equal(principal.as_bytes(), text)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes each principal; those that nobody is are left out.
pub(crate) fn encode(named: &[Named], writer: &mut Writer) {
    for named in named {
        let (kind, text) = match named {
            Named::Anyone => (ANYONE, ""),
            Named::Account(account) => (ACCOUNT, account.as_str()),
            Named::Arn(arn) => (ARN, arn.as_str()),
            Named::Role(arn) => (ROLE, arn.as_str()),
            Named::Nobody => continue,
        };
        writer.byte(kind);
        writer.string(text);
    }
}

/// `Principal`: whether one of the encoded principals is this one.
///
/// An account that is denied is denied with everyone in it. An account that is allowed is its root,
/// and leaves the others to the account's identity policies.
pub(crate) fn matches(
    mut named: Reader<'_>,
    effect: Effect,
    principal: &Principal,
) -> Option<Match> {
    let mut found_account = Match::No;
    while !named.is_empty() {
        let kind = named.byte()?;
        let text = named.bytes()?;
        let found = match kind {
            ANYONE => true,
            ACCOUNT if same(&principal.account, text) => {
                found_account = Match::Account;
                effect == Effect::Deny || principal.arn.ends_with(":root")
            }
            ACCOUNT => false,
            ARN => same(&principal.arn, text),
            ROLE => same(&principal.arn, text) || is_session_of(text, principal),
            _ => return None,
        };
        if found {
            return Some(Match::Itself);
        }
    }
    Some(found_account)
}

/// `NotPrincipal`: whether this principal is in the list, together with all that it
/// belongs to. AWS asks for a user's account beside the user, and for a session's role
/// and account beside the session; what is not named is denied.
pub(crate) fn is_excepted(mut named: Reader<'_>, principal: &Principal) -> Option<bool> {
    let identity = Identity::of(principal);
    let (mut account, mut role, mut itself) = (false, false, identity == Some(Identity::Root));
    if !matches!(identity, Some(Identity::AssumedRole { .. })) {
        role = true;
    }
    while !named.is_empty() {
        let kind = named.byte()?;
        let text = named.bytes()?;
        match kind {
            ANYONE => return Some(true),
            ACCOUNT => account |= same(&principal.account, text),
            ARN => itself |= same(&principal.arn, text),
            ROLE => {
                itself |= same(&principal.arn, text);
                role |= is_session_of(text, principal);
            }
            _ => return None,
        }
    }
    Some(account && role && itself)
}

/// Whether the principal is a session of the role with this ARN. A session's ARN has the
/// role's name without its path.
fn is_session_of(role: &[u8], principal: &Principal) -> bool {
    let Some(Identity::AssumedRole { partition, role: name }) = Identity::of(principal) else {
        return false;
    };
    let mut parts = role.splitn(6, |byte| *byte == b':');
    let same_partition = parts.nth(1) == Some(partition.as_bytes());
    let same_account = parts.nth(2) == Some(principal.account.as_bytes());
    let named = parts.next().and_then(|path| path.rsplit(|byte| *byte == b'/').next());
    same_partition && same_account && named == Some(name.as_bytes())
}
