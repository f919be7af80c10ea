//! `sekisho demo`: the whole story by itself, in a temporary folder.

mod aws;
mod overheard;
mod report;
mod scene;
mod story;

use std::path::PathBuf;

use crate::failure::Failure;
use aws::Aws;
use report::Report;
use story::Story;

const EXAMPLES: &str = "\
Examples:
  sekisho demo
  sekisho demo --json
  sekisho demo --keep --aws /usr/local/bin/aws

Exit status: 0 every step came out right, 1 one did not, 2 no AWS CLI.";

/// Show the whole story: seal, attest, decrypt, and everything that must be refused.
///
/// Starts a development service in a temporary folder and drives it with an unmodified AWS CLI.
/// At the end everything that the host carried and stored is searched for the secrets.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The AWS CLI [default: the one in PATH, else one that is installed beside your caches].
    #[arg(long, value_name = "PATH")]
    aws: Option<PathBuf>,

    /// Keep the temporary folder, with all that the host recorded.
    #[arg(long)]
    keep: bool,

    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Tells the story.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut report = Report::new(arguments.json);
    let aws = Aws::find(arguments.aws, |line| report.say(line)).await.map_err(Failure::usage)?;
    let version = aws.version.clone();
    report.say(&format!(
        "An unmodified {version} and a development service, which proves nothing about hardware.\n"
    ));

    let mut folder =
        tempfile::Builder::new().prefix("sekisho-demo-").tempdir().map_err(Failure::failed)?;
    folder.disable_cleanup(arguments.keep);
    if arguments.keep {
        report.say(&format!("Everything is kept in {}\n", folder.path().display()));
    }

    let story = Story::new(aws, folder.path());
    tokio::select! {
        () = story.tell(&mut report) => {}
        _ = tokio::signal::ctrl_c() => return Err(Failure::failed("stopped before the end")),
    }
    report.finish(&version).map_err(Failure::failed)?;
    if report.is_right() {
        Ok(())
    } else {
        Err(Failure::failed("the demo did not come out as it must"))
    }
}
