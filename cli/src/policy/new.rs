//! `sekisho policy new`: a project to start from.

use std::fs;
use std::path::{Path, PathBuf};

use super::other_languages::PYTHON_TOOL;
use super::project::{Language, is_name};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  sekisho policy new backup
  cd backup
  sekisho policy build && sekisho policy test

  sekisho policy new backup --lang js

The project needs nothing of Sekisho but what is in it: the contract in wit/ and, in Rust, the crate
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

fn name(text: &str) -> Result<String, String> {
    is_name(text).then(|| text.to_owned()).ok_or_else(|| {
        "lower-case letters, digits and hyphens, a letter first, at most 64; not sekisho-policy"
            .into()
    })
}

/// The files of a project: where, and what. `@name@` is the policy's name.
const RUST: &[(&str, &str)] = &[
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

const C: &[(&str, &str)] = &[
    ("policy.c", include_str!("c/policy.c")),
    ("policy.json", "{ \"name\": \"@name@\", \"language\": \"c\" }\n"),
    ("README.md", include_str!("c/README.md")),
    ("bindings/key_policy.c", include_str!("c/bindings/key_policy.c")),
    ("bindings/key_policy.h", include_str!("c/bindings/key_policy.h")),
    ("freestanding/freestanding.c", include_str!("c/freestanding/freestanding.c")),
    ("freestanding/stdlib.h", include_str!("c/freestanding/stdlib.h")),
    ("freestanding/string.h", include_str!("c/freestanding/string.h")),
    ("tests/cases.json", include_str!("rust/cases.json")),
    ("wit/policy.wit", include_str!("../../../policies/wit/policy.wit")),
];

const JAVASCRIPT: &[(&str, &str)] = &[
    ("policy.js", include_str!("js/policy.js")),
    ("policy.json", "{ \"name\": \"@name@\", \"language\": \"js\" }\n"),
    ("package.json", include_str!("js/package.json")),
    ("README.md", include_str!("js/README.md")),
    (".gitignore", "/node_modules\n"),
    ("tests/cases.json", include_str!("rust/cases.json")),
    ("wit/policy.wit", include_str!("../../../policies/wit/policy.wit")),
];

const PYTHON: &[(&str, &str)] = &[
    ("src/policy.py", include_str!("python/policy.py")),
    ("policy.json", "{ \"name\": \"@name@\", \"language\": \"python\" }\n"),
    ("README.md", include_str!("python/README.md")),
    (".gitignore", "/.venv\n__pycache__/\n"),
    ("tests/cases.json", include_str!("rust/cases.json")),
    ("wit/policy.wit", include_str!("../../../policies/wit/policy.wit")),
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
        Language::C => C,
        Language::Js => JAVASCRIPT,
        Language::Python => PYTHON,
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
    match arguments.lang {
        Language::Rust | Language::C => {}
        Language::Js => println!("  npm install"),
        Language::Python => println!("  {PYTHON_TOOL}"),
    }
    println!("  sekisho policy build && sekisho policy test");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bindings are committed: whoever changes the contract has to make them again.
    #[test]
    fn bindings_for_c_are_of_the_contract() {
        let text = |files: &[(&str, &'static str)], name: &str| -> &'static str {
            files.iter().find(|(path, _)| *path == name).map_or("", |(_, text)| text)
        };
        let wit = text(C, "wit/policy.wit");
        let version = wit.lines().find_map(|line| line.strip_prefix("package ")).unwrap_or("?");
        let interface =
            version.trim_end_matches(';').replace("sekisho:policy@", "sekisho:policy/policy@");
        assert!(
            text(C, "bindings/key_policy.h").contains(&format!("`{interface}`")),
            "{interface}"
        );
        assert!(text(C, "bindings/key_policy.c").contains(&format!("{interface}#evaluate")));
    }
}
