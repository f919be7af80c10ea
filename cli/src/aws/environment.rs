//! Where the service is and who is asking: the environment variables and the credentials file of
//! AWS's command line and SDKs ("Configuration and credential file settings", AWS SDKs and Tools
//! reference guide).

use std::env::VarError;
use std::fs;
use std::io;
use std::path::PathBuf;

use sekisho_enclave::AccessKey;
use zeroize::Zeroizing;

use crate::endpoint::{Endpoint, EndpointError};

/// A service, and the access key that requests to it are signed with.
pub(crate) struct Environment {
    pub(crate) endpoint: Endpoint,
    pub(crate) region: String,
    pub(crate) ca: PathBuf,
    pub(crate) key: AccessKey,
}

impl Environment {
    /// Reads what `variable` (such as [`std::env::var`]) says; `profile` goes before AWS_PROFILE.
    pub(crate) fn read(
        profile: Option<&str>,
        variable: impl Fn(&str) -> Result<String, VarError>,
    ) -> Result<Self, EnvironmentError> {
        let set = |name: &str| variable(name).ok().filter(|value| !value.is_empty());
        let either = |one: &'static str, other: &'static str| {
            set(one).or_else(|| set(other)).ok_or(EnvironmentError::Unset { one, other })
        };
        let endpoint = either("AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL")?.parse()?;
        let region = either("AWS_REGION", "AWS_DEFAULT_REGION")?;
        let ca = either("AWS_CA_BUNDLE", "AWS_CA_BUNDLE")?.into();
        // A named profile goes before keys in the environment, as with --profile of the AWS CLI.
        let key = match (profile, set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
            (None, Some(id), Some(secret)) => {
                let session_token = set("AWS_SESSION_TOKEN").map(Zeroizing::new);
                AccessKey { id, secret: Zeroizing::new(secret), session_token }
            }
            _ => {
                let home = || set("HOME").map(|home| PathBuf::from(home).join(".aws/credentials"));
                let path = set("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or_else(home);
                let path = path.ok_or(EnvironmentError::NoCredentials)?;
                let file = fs::read_to_string(&path).map(Zeroizing::new);
                let file = file.map_err(|error| EnvironmentError::File { path, error })?;
                let named = profile.map(str::to_owned).or_else(|| set("AWS_PROFILE"));
                let profile = named.unwrap_or_else(|| "default".to_owned());
                in_file(&file, &profile).ok_or(EnvironmentError::NoProfile { profile })?
            }
        };
        Ok(Self { endpoint, region, ca, key })
    }
}

/// The access key of a profile in a shared credentials file.
fn in_file(file: &str, profile: &str) -> Option<AccessKey> {
    let (mut id, mut secret, mut session_token) = (None, None, None);
    let mut inside = false;
    for line in file.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = section.trim() == profile;
        } else if let (true, Some((name, value))) = (inside, line.split_once('=')) {
            let value = value.trim().to_owned();
            match name.trim() {
                "aws_access_key_id" => id = Some(value),
                "aws_secret_access_key" => secret = Some(Zeroizing::new(value)),
                "aws_session_token" => session_token = Some(Zeroizing::new(value)),
                _ => {}
            }
        }
    }
    Some(AccessKey { id: id?, secret: secret?, session_token })
}

/// The environment does not say where the service is, or who is asking.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error("{one} is not set (nor {other}); `sekisho dev` prints a file that sets what is needed")]
    Unset { one: &'static str, other: &'static str },
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("neither AWS_ACCESS_KEY_ID nor AWS_SHARED_CREDENTIALS_FILE says who is asking")]
    NoCredentials,
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("the credentials file has no access key for the profile {profile:?}")]
    NoProfile { profile: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# a comment
[default]
aws_access_key_id = AKIAROOT
aws_secret_access_key = root/secret=
[alice]
aws_access_key_id=ASIAALICE
aws_secret_access_key=alice
aws_session_token=token
[half]
aws_access_key_id = AKIAHALF
";

    #[test]
    fn a_profile_is_found_by_its_name_alone() {
        let root = in_file(FILE, "default").unwrap();
        assert_eq!((root.id.as_str(), root.secret.as_str()), ("AKIAROOT", "root/secret="));
        assert_eq!(root.session_token, None);
        let alice = in_file(FILE, "alice").unwrap();
        assert_eq!(alice.session_token.unwrap().as_str(), "token");
        assert_eq!(in_file(FILE, "half"), None);
        assert_eq!(in_file(FILE, "bob"), None);
    }

    #[test]
    fn keys_in_the_environment_go_before_the_file_and_a_named_profile_before_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        fs::write(&path, FILE).unwrap();
        let base = [
            ("AWS_ENDPOINT_URL_KMS", "https://127.0.0.1:8443"),
            ("AWS_CA_BUNDLE", "ca.pem"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_SHARED_CREDENTIALS_FILE", path.to_str().unwrap()),
        ];
        let keys = [("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "env")];
        let all = [base.as_slice(), &keys].concat();
        let read = |profile, set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(known, _)| *known == name);
            Environment::read(profile, |name| {
                find(name).map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
            })
        };
        for (profile, set, id) in [
            (None, base.as_slice(), "AKIAROOT"),
            (None, &all, "AKIAENV"),
            (Some("alice"), &all, "ASIAALICE"),
        ] {
            assert_eq!(read(profile, set).unwrap_or_else(|e| panic!("{e}")).key.id, id);
        }
        for missing in 0..3 {
            let mut set = base.to_vec();
            set.remove(missing);
            assert!(matches!(read(None, &set), Err(EnvironmentError::Unset { .. })), "{missing}");
        }
        assert!(matches!(read(Some("bob"), &all), Err(EnvironmentError::NoProfile { .. })));
    }
}
