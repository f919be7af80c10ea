//! The AWS CLI, unmodified: found, or installed beside the user's other caches; and what it says.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// What is installed where there is no AWS CLI: the version that the tests run too.
const PACKAGE: &str = "awscli==1.46.3";
/// A first start from a cold disk takes seconds, an answer of the service milliseconds.
const CALL_LIMIT: Duration = Duration::from_secs(120);
const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// The AWS CLI and the environment in which it runs.
#[derive(Debug)]
pub(crate) struct Aws {
    program: PathBuf,
    /// `aws-cli/…`, as it calls itself.
    pub(crate) version: String,
    environment: Vec<(OsString, OsString)>,
}

impl Aws {
    /// The AWS CLI at `program`; else the one in `PATH`; else one that is installed now.
    pub(crate) async fn find(
        program: Option<PathBuf>,
        say: impl Fn(&str),
    ) -> Result<Self, NoAwsCli> {
        if let Some(program) = program {
            let version = version(&program).await?;
            return Ok(Self::new(program, version));
        }
        let in_path = PathBuf::from("aws");
        if let Ok(version) = version(&in_path).await {
            return Ok(Self::new(in_path, version));
        }
        let folder = cache().ok_or(NoAwsCli::NoCache)?.join(PACKAGE.replace("==", "-"));
        let program = folder.join("bin/aws");
        if let Ok(version) = version(&program).await {
            return Ok(Self::new(program, version));
        }
        say(&format!(
            "no AWS CLI in PATH: installing {PACKAGE} from PyPI into {}",
            folder.display()
        ));
        install(&folder).await?;
        let version = version(&program).await?;
        Ok(Self::new(program, version))
    }

    fn new(program: PathBuf, version: String) -> Self {
        Self { program, version, environment: Vec::new() }
    }

    /// Points the CLI at a service, and at nothing else.
    pub(crate) fn at(mut self, folder: &Path, environment: Vec<(&'static str, String)>) -> Self {
        self.environment =
            environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        for (name, value) in [
            // The user's own configuration could name another endpoint or region.
            ("AWS_CONFIG_FILE", folder.join("no-config").into_os_string()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AWS_DEFAULT_OUTPUT", "json".into()),
            ("AWS_PAGER", "".into()),
            ("AWS_MAX_ATTEMPTS", "1".into()),
            ("NO_PROXY", "*".into()),
            ("no_proxy", "*".into()),
        ] {
            self.environment.push((name.into(), value));
        }
        self
    }

    /// `aws kms <arguments>`, signed with the access key of `signer`.
    pub(crate) async fn kms(
        &self,
        signer: &Signer<'_>,
        arguments: &[&str],
    ) -> Result<Value, AwsError> {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command.arg("kms").args(arguments).envs(self.environment.iter().cloned());
        match signer {
            Signer::Profile(profile) => command.env("AWS_PROFILE", profile),
            Signer::Keys { access_key_id, secret_access_key } => command
                .env("AWS_ACCESS_KEY_ID", access_key_id)
                .env("AWS_SECRET_ACCESS_KEY", secret_access_key),
        };
        let output = run(command, CALL_LIMIT).await.map_err(AwsError::Run)?;
        if output.status.success() {
            return match output.stdout.trim_ascii() {
                [] => Ok(Value::Null),
                json => serde_json::from_slice(json).map_err(|_| AwsError::Output),
            };
        }
        Err(AwsError::refused(&String::from_utf8_lossy(&output.stderr)))
    }
}

/// Whose access key signs.
#[derive(Debug)]
pub(crate) enum Signer<'a> {
    /// A profile of the credentials file.
    Profile(&'a str),
    Keys {
        access_key_id: &'a str,
        secret_access_key: &'a str,
    },
}

async fn version(program: &Path) -> Result<String, NoAwsCli> {
    let unusable = |reason: String| NoAwsCli::Unusable { program: program.to_owned(), reason };
    let mut command = Command::new(program);
    command.arg("--version");
    let output = run(command, CALL_LIMIT).await.map_err(|error| unusable(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.split_whitespace().next() {
        Some(version) if output.status.success() && version.starts_with("aws-cli/") => {
            Ok(version.to_owned())
        }
        _ => Err(unusable("it does not answer to --version as the AWS CLI does".to_owned())),
    }
}

fn cache() -> Option<PathBuf> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("sekisho"))
}

async fn install(folder: &Path) -> Result<(), NoAwsCli> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    step(venv, "python3 -m venv (Debian: apt install python3-venv)").await?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", PACKAGE]);
    step(pip, "pip install awscli").await
}

async fn step(command: Command, what: &'static str) -> Result<(), NoAwsCli> {
    let failed = |reason: String| NoAwsCli::Install { what, reason };
    let output = run(command, INSTALL_LIMIT).await.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(said.lines().last().unwrap_or("it said nothing").to_owned()))
}

async fn run(mut command: Command, limit: Duration) -> io::Result<Output> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(limit, command.output())
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it takes too long"))?
}

/// Why a call of the AWS CLI gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AwsError {
    #[error("the AWS CLI cannot be run: {0}")]
    Run(io::Error),
    #[error("the AWS CLI printed something else than JSON")]
    Output,
    /// An error of the service, as the CLI tells it.
    #[error("{code}: {message}")]
    Service { code: String, message: String },
    #[error("the AWS CLI failed: {0}")]
    Client(String),
}

impl AwsError {
    /// `An error occurred (<code>) when calling the <operation> operation: <message>`
    fn refused(stderr: &str) -> Self {
        let said = stderr.trim();
        let parsed = said
            .split_once("An error occurred (")
            .and_then(|(_, rest)| rest.split_once(')'))
            .map(|(code, rest)| {
                let message = rest.split_once("operation: ").map_or("", |(_, message)| message);
                Self::Service { code: code.to_owned(), message: message.trim().to_owned() }
            });
        parsed.unwrap_or_else(|| Self::Client(said.lines().last().unwrap_or_default().to_owned()))
    }
}

/// Why there is no AWS CLI.
#[derive(Debug)]
pub(crate) enum NoAwsCli {
    Unusable { program: PathBuf, reason: String },
    NoCache,
    Install { what: &'static str, reason: String },
}

impl fmt::Display for NoAwsCli {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { program, reason } => {
                write!(formatter, "{}: {reason}", program.display())
            }
            Self::NoCache => formatter.write_str(
                "no AWS CLI in PATH, and neither XDG_CACHE_HOME nor HOME says where one could be installed; \
                 name one with --aws",
            ),
            Self::Install { what, reason } => write!(
                formatter,
                "no AWS CLI in PATH, and it cannot be installed: {what}: {reason}; name one with --aws",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_service_is_read_from_what_the_cli_says() {
        let said = "\n\nAn error occurred (AccessDeniedException) when calling the Decrypt operation: User: x is not\n";
        match AwsError::refused(said) {
            AwsError::Service { code, message } => {
                assert_eq!(code, "AccessDeniedException");
                assert_eq!(message, "User: x is not");
            }
            other => panic!("{other}"),
        }
        assert!(matches!(
            AwsError::refused("\nSSL validation failed for https://127.0.0.1"),
            AwsError::Client(said) if said.starts_with("SSL")
        ));
    }
}
