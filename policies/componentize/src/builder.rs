//! From a policy crate to a component, reproducibly.

use crate::{ComponentizeError, componentize};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The only target whose modules import nothing.
const TARGET: &str = "wasm32-unknown-unknown";

/// Where a policy's stack and data lie in its memory.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    stack: u32,
    /// Where data begins; right after the stack if there is none.
    data: Option<u32>,
}

impl Layout {
    /// Stack and data together stay well below the one page that an instance starts with, and the rest
    /// of the page is the heap.
    pub const USUAL: Self = Self { stack: 16 * 1024, data: None };

    /// With a stack for a parser, and beside it room for a snapshot of at most the 64 KiB that a state
    /// may have (`policies/sdk`), and for what a decision allocates.
    pub const WITH_ROOM: Self = Self { stack: 512 * 1024, data: Some(704 * 1024) };
}

/// Why a policy could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A program of the Rust toolchain does not start.
    #[error("{program} does not start: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program of the Rust toolchain failed; it has said why on standard error.
    #[error("{program} failed")]
    Failed {
        /// The program.
        program: String,
    },
    /// The toolchain has no standard library for WebAssembly.
    #[error("the Rust toolchain lacks {TARGET}: run `rustup target add {TARGET}`")]
    TargetMissing,
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The module that was built does not make a component.
    #[error(transparent)]
    Componentize(#[from] ComponentizeError),
}

/// Builds policy crates of one workspace.
#[derive(Debug)]
pub struct Builder {
    workspace: PathBuf,
    target_folder: PathBuf,
    rustc: Rustc,
}

/// What matters of the compiler for the bytes it makes.
#[derive(Debug)]
struct Rustc {
    version: String,
    commit: String,
    sysroot: PathBuf,
}

impl Builder {
    /// A builder for the workspace at `workspace`, which keeps its intermediate files
    /// in `target_folder`.
    ///
    /// `target_folder` must not be the folder of a Cargo command that waits for this
    /// one (a test, `cargo run`): Cargo locks it.
    ///
    /// # Errors
    ///
    /// The toolchain does not start, or lacks the WebAssembly target.
    pub fn new(workspace: &Path, target_folder: &Path) -> Result<Self, BuildError> {
        let rustc = Rustc::find()?;
        let library = rustc.sysroot.join("lib/rustlib").join(TARGET);
        if !library.is_dir() {
            return Err(BuildError::TargetMissing);
        }
        Ok(Self { workspace: workspace.into(), target_folder: target_folder.into(), rustc })
    }

    /// The compiler, as `rustc --version` says it. Another version makes other bytes.
    pub fn rustc_version(&self) -> &str {
        &self.rustc.version
    }

    /// Builds `package` and wraps it into a component.
    ///
    /// The same source, lock file and compiler give the same bytes, wherever the
    /// workspace, Cargo's home and the toolchain lie: their paths are mapped to fixed
    /// ones, and flags from the environment are not let through.
    ///
    /// # Errors
    ///
    /// Cargo fails, or the module does not make a component.
    pub fn build(&self, package: &str) -> Result<Vec<u8>, BuildError> {
        self.build_in(&self.workspace, package, Layout::USUAL)
    }

    /// The same, for a package of a workspace of its own at `folder`, which lies in this one's.
    ///
    /// # Errors
    ///
    /// As for [`Builder::build`].
    pub fn build_in(
        &self,
        folder: &Path,
        package: &str,
        layout: Layout,
    ) -> Result<Vec<u8>, BuildError> {
        let mut cargo = Command::new(program("CARGO", "cargo"));
        cargo
            .current_dir(folder)
            .args(["rustc", "--lib", "--locked", "--profile", "policy"])
            .args(["--target", TARGET, "--package", package, "--target-dir"])
            .arg(&self.target_folder)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags())
            .arg("--")
            .arg(format!("-Clink-arg=-zstack-size={}", layout.stack))
            .args(layout.data.map(|data| format!("-Clink-arg=--global-base={data}")));
        for (name, _) in std::env::vars_os() {
            if changes_the_bytes(&name) {
                cargo.env_remove(name);
            }
        }
        let status = cargo
            .status()
            .map_err(|source| BuildError::Start { program: "cargo".into(), source })?;
        if !status.success() {
            return Err(BuildError::Failed { program: format!("cargo rustc --package {package}") });
        }
        let module = self
            .target_folder
            .join(TARGET)
            .join("policy")
            .join(package.replace('-', "_"))
            .with_extension("wasm");
        let bytes =
            std::fs::read(&module).map_err(|source| BuildError::File { path: module, source })?;
        Ok(componentize(&bytes)?)
    }

    /// The compiler's flags, in the form of `CARGO_ENCODED_RUSTFLAGS`.
    fn flags(&self) -> OsString {
        let source = self.rustc.sysroot.join("lib/rustlib/src/rust");
        let as_distributed = ["/rustc/", &self.rustc.commit].concat();
        let mut flags = OsString::new();
        for (from, to) in [
            (self.target_folder.as_path(), "/target"),
            (cargo_home().as_path(), "/cargo"),
            (self.workspace.as_path(), "/sekisho"),
            (source.as_path(), &as_distributed),
        ] {
            if !flags.is_empty() {
                flags.push("\x1f");
            }
            flags.push("--remap-path-prefix=");
            flags.push(from);
            flags.push("=");
            flags.push(to);
        }
        flags
    }
}

impl Rustc {
    fn find() -> Result<Self, BuildError> {
        let verbose = run_rustc(&["--version", "--verbose"])?;
        let line = |prefix: &str| {
            verbose
                .lines()
                .find_map(|line| line.strip_prefix(prefix))
                .unwrap_or_default()
                .to_owned()
        };
        Ok(Self {
            version: verbose.lines().next().unwrap_or_default().to_owned(),
            commit: line("commit-hash: "),
            sysroot: run_rustc(&["--print", "sysroot"])?.trim().into(),
        })
    }
}

fn run_rustc(arguments: &[&str]) -> Result<String, BuildError> {
    let program = program("RUSTC", "rustc");
    let output = Command::new(&program).args(arguments).output().map_err(|source| {
        BuildError::Start { program: program.to_string_lossy().into_owned(), source }
    })?;
    if !output.status.success() {
        return Err(BuildError::Failed { program: program.to_string_lossy().into_owned() });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The root of the Cargo workspace that `folder` lies in.
///
/// # Errors
///
/// Cargo does not start, or finds none.
pub fn workspace_of(folder: &Path) -> Result<PathBuf, BuildError> {
    let program = program("CARGO", "cargo");
    let output = Command::new(&program)
        .current_dir(folder)
        .args(["locate-project", "--workspace", "--message-format", "plain"])
        .output()
        .map_err(|source| BuildError::Start {
            program: program.to_string_lossy().into_owned(),
            source,
        })?;
    let manifest = String::from_utf8_lossy(&output.stdout);
    match Path::new(manifest.trim()).parent() {
        Some(workspace) if output.status.success() => Ok(workspace.into()),
        _ => Err(BuildError::Failed { program: "cargo locate-project".into() }),
    }
}

fn program(variable: &str, otherwise: &str) -> OsString {
    std::env::var_os(variable).unwrap_or_else(|| otherwise.into())
}

fn cargo_home() -> PathBuf {
    match std::env::var_os("CARGO_HOME") {
        Some(home) => home.into(),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
    }
}

/// Variables by which a developer's environment would change the module, or which an
/// outer Cargo sets for itself.
fn changes_the_bytes(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let exact = [
        "RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_TARGET_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
    ];
    let prefixes = ["CARGO_PROFILE_", "CARGO_TARGET_WASM32_", "CARGO_PKG_"];
    exact.contains(&&*name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}
