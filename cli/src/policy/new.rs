//! `sekisho policy new`: a project to start from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  sekisho policy new backup
  cd backup
  sekisho policy build && sekisho policy test

The project needs nothing of Sekisho but what is in it: the contract in wit/, and the crate
sekisho-policy, which makes a policy of a type with two functions.";

/// Start a policy's project: one rule, a table of tests, and how to go on.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The policy's name: lower-case letters, digits and hyphens, a letter first.
    #[arg(value_parser = name)]
    name: String,

    /// The language to write it in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,

    /// The project's folder, which must not be there yet [default: the name].
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Language {
    Rust,
}

fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(allowed)
        && text != "sekisho-policy";
    is_name.then(|| text.to_owned()).ok_or_else(|| {
        "lower-case letters, digits and hyphens, a letter first, at most 64; not sekisho-policy"
            .into()
    })
}

/// The files of a project: where, and what. `@name@` is the policy's name.
const RUST: [(&str, &str); 15] = [
    ("Cargo.toml", include_str!("rust/Cargo.toml.in")),
    ("README.md", include_str!("rust/README.md")),
    (".gitignore", "/target\n"),
    ("src/lib.rs", include_str!("rust/lib.rs")),
    ("tests/cases.json", include_str!("rust/cases.json")),
    ("wit/policy.wit", include_str!("../../../policies/wit/policy.wit")),
    ("sekisho-policy/Cargo.toml", include_str!("rust/sdk.toml.in")),
    ("sekisho-policy/src/lib.rs", include_str!("../../../policies/sdk/src/lib.rs")),
    ("sekisho-policy/src/allocator.rs", include_str!("../../../policies/sdk/src/allocator.rs")),
    ("sekisho-policy/src/answers.rs", include_str!("../../../policies/sdk/src/answers.rs")),
    ("sekisho-policy/src/bindings.rs", include_str!("../../../policies/sdk/src/bindings.rs")),
    ("sekisho-policy/src/bytes.rs", include_str!("../../../policies/sdk/src/bytes.rs")),
    ("sekisho-policy/src/json.rs", include_str!("../../../policies/sdk/src/json.rs")),
    ("sekisho-policy/src/json/cursor.rs", include_str!("../../../policies/sdk/src/json/cursor.rs")),
    ("sekisho-policy/src/state.rs", include_str!("../../../policies/sdk/src/state.rs")),
];

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let name = &arguments.name;
    let folder = arguments.folder.clone().unwrap_or_else(|| PathBuf::from(name));
    let failed = |path: &Path, error: std::io::Error| {
        Failure::failed(format_args!("{}: {error}", path.display()))
    };
    if let Some(parent) = folder.parent().filter(|parent| *parent != Path::new("")) {
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
    }
    // Fails where something is there already.
    fs::create_dir(&folder).map_err(|error| failed(&folder, error))?;
    let files = match arguments.lang {
        Language::Rust => RUST,
    };
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        }
        fs::write(&path, text.replace("@name@", name)).map_err(|error| failed(&path, error))?;
    }
    println!("{} is a policy's project. Next:", folder.display());
    println!("  cd {}", folder.display());
    println!("  sekisho policy build && sekisho policy test");
    Ok(())
}
