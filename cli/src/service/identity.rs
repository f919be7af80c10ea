//! Who a development service is and whom it knows: region, account, users, access keys.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::folder::write_private;

/// The profile of the account's root.
const ROOT_PROFILE: &str = "default";
/// Every access key of a development service begins so: 20 characters in AWS's form,
/// and nobody takes it for one of AWS's.
const ACCESS_KEY_PREFIX: &str = "AKIASEKISHO";
const ACCESS_KEY_LENGTH: usize = 20;
/// As AWS makes them: 30 random bytes in base64.
const SECRET_BYTES: usize = 30;

const CREDENTIALS_HEADER: &str = "\
# Access keys of a Sekisho development service, in the format of AWS's shared credentials file.
# [default] is the account's root; every other profile is the IAM user of that name.
";

macro_rules! checked_text {
    ($(#[$documentation:meta])* $name:ident, $check:expr, $rule:literal) => {
        $(#[$documentation])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $name(String);

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err($rule.to_owned()) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

checked_text!(
    /// An AWS region's name.
    Region,
    |text| text.len() <= 32 && sekisho_enclave::is_region(text),
    "a region is two or three words of lower-case letters and a number, such as us-east-1"
);
checked_text!(
    /// An AWS account's number.
    Account,
    |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()),
    "an account is twelve digits"
);
checked_text!(
    /// An IAM user's name.
    User,
    |text| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b))
            && text != ROOT_PROFILE
    },
    "a user's name is 1 to 64 letters, digits and any of +=,.@_- (and not 'default', which is the account's root)"
);

impl Default for Region {
    fn default() -> Self {
        Self("us-east-1".to_owned())
    }
}

impl Default for Account {
    fn default() -> Self {
        Self("000000000000".to_owned())
    }
}

/// An access key and whose it is.
#[derive(Clone)]
pub(crate) struct Credential {
    user: Option<User>,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Zeroizing<String>,
}

impl Credential {
    fn make(user: Option<User>) -> Result<Self, RandomUnavailable> {
        const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut letters = [0u8; ACCESS_KEY_LENGTH - ACCESS_KEY_PREFIX.len()];
        random(&mut letters)?;
        let mut access_key_id = ACCESS_KEY_PREFIX.to_owned();
        access_key_id.extend(
            letters
                .iter()
                .filter_map(|byte| BASE32.get(usize::from(byte & 31)))
                .map(|b| char::from(*b)),
        );
        let mut secret = Zeroizing::new([0u8; SECRET_BYTES]);
        random(secret.as_mut())?;
        let secret_access_key = Zeroizing::new(base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            secret.as_ref(),
        ));
        Ok(Self { user, access_key_id, secret_access_key })
    }

    /// `arn:aws:iam::<account>:root` or `arn:aws:iam::<account>:user/<name>`.
    pub(crate) fn principal_arn(&self, account: &Account) -> String {
        match &self.user {
            None => format!("arn:aws:iam::{account}:root"),
            Some(user) => format!("arn:aws:iam::{account}:user/{user}"),
        }
    }

    /// The profile of the credentials file: `default`, or the name of the user.
    pub(crate) fn profile(&self) -> String {
        self.user.as_ref().map_or_else(|| ROOT_PROFILE.to_owned(), User::to_string)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credential")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Reads the credentials of earlier starts and adds the root and the users that have none yet.
pub(crate) fn credentials(
    path: &Path,
    users: &[User],
) -> Result<Vec<Credential>, CredentialsError> {
    let mut known = match std::fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => parse(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let before = known.len();
    for user in std::iter::once(None).chain(users.iter().cloned().map(Some)) {
        if !known.iter().any(|credential| credential.user == user) {
            known.push(Credential::make(user)?);
        }
    }
    if known.len() > before {
        write_private(path, format(&known).as_bytes())?;
    }
    Ok(known)
}

fn format(credentials: &[Credential]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(CREDENTIALS_HEADER.to_owned());
    for credential in credentials {
        text.push_str(&format!(
            "\n[{}]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            credential.profile(),
            credential.access_key_id,
            credential.secret_access_key.as_str(),
        ));
    }
    text
}

fn parse(text: &str) -> Result<Vec<Credential>, CredentialsError> {
    let mut credentials: Vec<Credential> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let malformed = || CredentialsError::Line(index + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(profile) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let user = match profile {
                ROOT_PROFILE => None,
                name => Some(name.parse().map_err(|_| malformed())?),
            };
            credentials.push(Credential {
                user,
                access_key_id: String::new(),
                secret_access_key: Zeroizing::default(),
            });
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(malformed)?;
        let credential = credentials.last_mut().ok_or_else(malformed)?;
        match name.trim() {
            "aws_access_key_id" => credential.access_key_id = value.trim().to_owned(),
            "aws_secret_access_key" => {
                credential.secret_access_key = Zeroizing::new(value.trim().to_owned());
            }
            _ => return Err(malformed()),
        }
    }
    match credentials.iter().find(|c| c.access_key_id.is_empty() || c.secret_access_key.is_empty())
    {
        Some(incomplete) => Err(CredentialsError::Incomplete(incomplete.profile())),
        None => Ok(credentials),
    }
}

/// Fills a buffer with random bytes of the operating system.
pub(crate) fn random(buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
    aws_lc_rs::rand::fill(buffer).map_err(|_| RandomUnavailable)
}

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub(crate) struct RandomUnavailable;

/// Why the credentials file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("line {0} is not one that sekisho writes")]
    Line(usize),
    #[error("profile {0} has no access key")]
    Incomplete(String),
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_keeps_the_keys_of_the_first_and_adds_the_new_users() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        let first = credentials(&path, &["alice".parse().unwrap()]).unwrap();
        let second = credentials(&path, &["bob".parse().unwrap()]).unwrap();
        assert_eq!(second.len(), 3);
        for (before, after) in first.iter().zip(&second) {
            assert_eq!(before.access_key_id, after.access_key_id);
            assert_eq!(*before.secret_access_key, *after.secret_access_key);
        }
        let account = Account::default();
        let arns: Vec<_> = second.iter().map(|c| c.principal_arn(&account)).collect();
        assert_eq!(
            arns,
            [
                "arn:aws:iam::000000000000:root",
                "arn:aws:iam::000000000000:user/alice",
                "arn:aws:iam::000000000000:user/bob"
            ]
        );
        assert_eq!(first[0].access_key_id.len(), ACCESS_KEY_LENGTH);
        assert_eq!(first[0].secret_access_key.len(), 40);
    }

    #[test]
    fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        credentials(&path, &[]).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_debug_line_holds_no_secret() {
        let credential = Credential::make(None).unwrap();
        assert!(!format!("{credential:?}").contains(credential.secret_access_key.as_str()));
    }

    #[test]
    fn what_is_not_ours_is_refused_by_line() {
        assert!(matches!(parse("aws_access_key_id = x"), Err(CredentialsError::Line(1))));
        assert!(matches!(parse("[default]\nregion = mars"), Err(CredentialsError::Line(2))));
        assert!(matches!(parse("[default]"), Err(CredentialsError::Incomplete(_))));
        assert!("default".parse::<User>().is_err());
        assert!("a b".parse::<User>().is_err());
        assert!("12345678901".parse::<Account>().is_err());
    }
}
