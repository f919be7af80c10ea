//! Where the AWS credentials come from that the worker signs its requests to the KMS with.
//!
//! They may pass the host: they let nobody have the root key, since the KMS gives that to the
//! worker's measurement alone. Each request reads them again, so that a rotation needs no restart.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sekisho_wire::egress::AwsCredentials;
use serde::Deserialize;

use super::metadata;

/// The longest file: an AWS shared credentials file with a hundred profiles.
const MAX_FILE: u64 = 256 * 1024;

/// Where credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialsSource {
    /// A file: JSON as `aws configure export-credentials --format process` prints it, or an AWS
    /// shared credentials file.
    File {
        /// The file.
        path: PathBuf,
        /// The profile in a shared credentials file.
        profile: String,
    },
    /// The role of the EC2 instance, from its metadata service (IMDSv2).
    InstanceMetadata {
        /// Where the service listens, such as `http://169.254.169.254`.
        endpoint: String,
    },
}

impl fmt::Display for CredentialsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => path.display().fmt(f),
            Self::InstanceMetadata { endpoint } => f.write_str(endpoint),
        }
    }
}

impl CredentialsSource {
    /// Reads them.
    ///
    /// # Errors
    /// [`NoCredentials`], which has nothing of what was read.
    pub(crate) async fn read(&self) -> Result<AwsCredentials, NoCredentials> {
        match self {
            Self::File { path, profile } => {
                let text = read_file(path).await?;
                match text.trim_start().starts_with('{') {
                    true => process_credentials(&text),
                    false => shared_credentials(&text, profile),
                }
            }
            Self::InstanceMetadata { endpoint } => metadata::credentials(endpoint).await,
        }
    }
}

/// A disk that hangs must not hold the relay up, whose thread this is.
async fn read_file(path: &Path) -> Result<String, NoCredentials> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
        Ok(text)
    });
    reading.await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

/// "Process credential provider" in the AWS SDKs and Tools reference guide.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessCredentials {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

fn process_credentials(text: &str) -> Result<AwsCredentials, NoCredentials> {
    let read: ProcessCredentials =
        serde_json::from_str(text).map_err(|_| NoCredentials::Malformed)?;
    if read.version != 1 {
        return Err(NoCredentials::Malformed);
    }
    Ok(AwsCredentials {
        access_key_id: read.access_key_id,
        secret_access_key: read.secret_access_key,
        session_token: read.session_token,
    })
}

/// "Shared config and credentials files" in the AWS SDKs and Tools reference guide.
fn shared_credentials(text: &str, profile: &str) -> Result<AwsCredentials, NoCredentials> {
    let (mut inside, mut found) = (false, false);
    let (mut id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.trim() == profile;
            found |= inside;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| inside) {
            let value = Some(value.trim().to_owned());
            match name.trim() {
                "aws_access_key_id" => id = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    match (id, secret) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Ok(AwsCredentials { access_key_id, secret_access_key, session_token: token })
        }
        _ if found => Err(NoCredentials::Malformed),
        _ => Err(NoCredentials::NoProfile),
    }
}

/// Why there are no credentials; none of it quotes what was read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoCredentials {
    /// The file, or the connection to the metadata service.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Neither JSON of version 1 nor a profile with an access key.
    #[error("there is no access key in the form that is expected")]
    Malformed,
    /// No such profile.
    #[error("there is no such profile")]
    NoProfile,
    /// The metadata service's answer.
    #[error("the instance metadata service answers with status {0}")]
    Status(u16),
    /// The metadata service's endpoint.
    #[error("the endpoint of the instance metadata service is not like http://169.254.169.254")]
    Endpoint,
    /// The metadata service's silence.
    #[error("the instance metadata service does not answer in time")]
    Late,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(credentials: Result<AwsCredentials, NoCredentials>) -> String {
        match credentials {
            Ok(AwsCredentials { access_key_id: id, secret_access_key: secret, session_token }) => {
                format!("{id} {secret} {}", session_token.unwrap_or_default())
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn json_of_a_process() {
        let text = r#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S",
            "SessionToken": "T", "Expiration": "2026-11-22T15:00:00+00:00"}"#;
        assert_eq!(words(process_credentials(text)), "A S T");
        let no_token = r#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S"}"#;
        assert_eq!(words(process_credentials(no_token)), "A S ");
        for malformed in ["{}", &text.replace('1', "2"), "{\"Version\": 1}", "{MARKER"] {
            let error = process_credentials(malformed).unwrap_err();
            assert!(matches!(error, NoCredentials::Malformed));
            assert!(!error.to_string().contains("MARKER"));
        }
    }

    #[test]
    fn a_profile_of_a_shared_file() {
        let text = "# comment\n[default]\naws_access_key_id = A\naws_secret_access_key=S\n\n\
                    [other]\naws_access_key_id = B\naws_secret_access_key = R=/+\n\
                    aws_session_token = T\n[empty]\n";
        assert_eq!(words(shared_credentials(text, "default")), "A S ");
        assert_eq!(words(shared_credentials(text, "other")), "B R=/+ T");
        let error = |profile| shared_credentials(text, profile).unwrap_err();
        assert!(matches!(error("empty"), NoCredentials::Malformed));
        assert!(matches!(error("missing"), NoCredentials::NoProfile));
    }

    #[tokio::test]
    async fn a_file_is_read_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        let source = CredentialsSource::File { path: path.clone(), profile: "default".into() };
        assert!(matches!(source.read().await, Err(NoCredentials::Io(_))));
        for id in ["FIRST", "SECOND"] {
            let file = format!("[default]\naws_access_key_id={id}\naws_secret_access_key=S\n");
            std::fs::write(&path, file).unwrap();
            assert_eq!(words(source.read().await), format!("{id} S "));
        }
    }
}
