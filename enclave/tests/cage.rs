//! The cage, rule by rule: for each, a process of its own enters it and tries the thing.
//!
//! No test harness: the cage must be entered before a second thread starts, so this program starts
//! itself again for each trial. What a cage denies is first done outside of one, where that is
//! harmless, to show that it is the cage that denies it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use nix::sys::ptrace;
use nix::unistd::Pid;
use rustix::net::{AddressFamily, SocketType, socket_with};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use sekisho_enclave::{Cage, Gap};
use sekisho_wire::Address;
use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What a trial expects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// Denied in the cage, and possible outside of it.
    Denied,
    /// Denied in the cage; not tried outside, because it would harm the machine or the test.
    DeniedUntried,
    /// Denied in the cage where the kernel can: the gap says that it cannot.
    DeniedBut(Gap),
    /// Denied once the cage is closed, possible before.
    DeniedClosed,
    /// The worker needs it.
    Allowed,
}
use Expect::{Allowed, Denied, DeniedBut, DeniedClosed, DeniedUntried};

type Trial = (&'static str, Expect, fn(&Path) -> io::Result<()>);

const TRIALS: &[Trial] = &[
    ("TCP over IPv4", Denied, |_| open_socket(AddressFamily::INET, SocketType::STREAM)),
    ("TCP over IPv6", Denied, |_| open_socket(AddressFamily::INET6, SocketType::STREAM)),
    ("UDP over IPv4", Denied, |_| open_socket(AddressFamily::INET, SocketType::DGRAM)),
    ("UDP over IPv6", Denied, |_| open_socket(AddressFamily::INET6, SocketType::DGRAM)),
    ("raw IP", DeniedUntried, |_| open_socket(AddressFamily::INET, SocketType::RAW)),
    ("packet socket", DeniedUntried, |_| open_socket(AddressFamily::PACKET, SocketType::RAW)),
    ("netlink", Denied, |_| open_socket(AddressFamily::NETLINK, SocketType::RAW)),
    ("vsock", DeniedUntried, |_| open_socket(AddressFamily::VSOCK, SocketType::STREAM)),
    ("read a file", Denied, |_| File::open("/etc/passwd").map(drop)),
    ("read own memory as a file", Denied, |_| File::open("/proc/self/maps").map(drop)),
    ("list a folder", Denied, |_| fs::read_dir("/").map(drop)),
    ("create a file", Denied, |outside| File::create(outside.join("new")).map(drop)),
    ("create a file beside the sockets", Denied, |outside| {
        File::create(outside.join("sockets/new")).map(drop)
    }),
    ("make a folder", Denied, |outside| fs::create_dir(outside.join("folder"))),
    ("rename a file", Denied, |outside| fs::rename(outside.join("file"), outside.join("other"))),
    ("remove a file", DeniedBut(Gap::NoLandlock), |outside| fs::remove_file(outside.join("file"))),
    ("listen outside of its folder", DeniedBut(Gap::NoLandlock), |outside| {
        UnixListener::bind(outside.join("socket")).map(drop)
    }),
    ("connect to an abstract socket", DeniedBut(Gap::AbstractSockets), |outside| {
        UnixStream::connect_addr(&abstract_name(outside)?).map(drop)
    }),
    ("connect to another program's socket", DeniedBut(Gap::SocketsOfOthers), |outside| {
        UnixStream::connect(outside.join("others")).map(drop)
    }),
    ("start a program", Denied, |_| Command::new("/bin/true").status().map(drop)),
    ("become a program", Denied, |_| {
        use std::os::unix::process::CommandExt;
        Err(Command::new("/bin/true").exec())
    }),
    ("be traced", Denied, |_| Ok(ptrace::traceme()?)),
    ("trace another process", DeniedUntried, |_| Ok(ptrace::attach(Pid::parent())?)),
    ("read another process's memory", DeniedUntried, |_| {
        let mut byte = [0];
        let remote = nix::sys::uio::RemoteIoVec { base: 4096, len: 1 };
        nix::sys::uio::process_vm_readv(
            Pid::parent(),
            &mut [IoSliceMut::new(&mut byte)],
            &[remote],
        )?;
        Ok(())
    }),
    ("signal another process", Denied, |_| Ok(nix::sys::signal::kill(Pid::parent(), None)?)),
    ("leave its namespaces", DeniedUntried, |_| {
        Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)?)
    }),
    ("mount", DeniedUntried, |outside| {
        let flags = nix::mount::MsFlags::empty();
        let none: Option<&str> = None;
        Ok(nix::mount::mount(Some("none"), outside, Some("tmpfs"), flags, none)?)
    }),
    ("change its root", DeniedUntried, |outside| Ok(rustix::process::chroot(outside)?)),
    ("raise its limits", DeniedUntried, |_| {
        let limit = Rlimit { current: Some(1), maximum: Some(1) };
        Ok(rustix::process::setrlimit(Resource::Core, limit)?)
    }),
    ("become dumpable", Denied, |_| {
        Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?)
    }),
    ("dump its memory", Denied, |_| {
        let core = rustix::process::getrlimit(Resource::Core).maximum;
        let dumpable = rustix::process::dumpable_behavior()? == DumpableBehavior::Dumpable;
        // Both must hold it back; outside, either may be off by the user's limits.
        if dumpable || core != Some(0) {
            return Ok(());
        }
        Err(io::ErrorKind::PermissionDenied.into())
    }),
    ("make another socket's file", DeniedClosed, |outside| {
        UnixListener::bind(outside.join("sockets/second")).map(drop)
    }),
    ("change permissions", DeniedClosed, |outside| {
        fs::set_permissions(outside.join("sockets"), fs::Permissions::from_mode(0o700))
    }),
    ("listen and connect in its folder", Allowed, |outside| {
        let path = outside.join("sockets/third");
        let _listener = UnixListener::bind(&path)?;
        UnixStream::connect(&path)?;
        fs::remove_file(path)
    }),
    ("start threads", Allowed, |_| {
        std::thread::Builder::new().spawn(|| ())?.join().map_err(|_| io::ErrorKind::Other.into())
    }),
    ("compile and run policies", Allowed, |_| {
        use sekisho_policy_engine::{Engine, Limits, stock};
        let engine = Engine::new(Limits::default()).map_err(io::Error::other)?;
        // The larger ones are the same, and take long to compile.
        let small = stock::ALL.into_iter().filter(|(_, component)| component.len() < 1 << 20);
        for (name, component) in small {
            let module = engine.admit(component).map_err(io::Error::other)?;
            // What `iam` says to this shows that it ran.
            let refused = module.configure(b"{}").is_err();
            assert!(refused, "{name} took an empty policy");
        }
        Ok(())
    }),
    ("run tokio and draw randomness", Allowed, |_| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            tokio::task::spawn_blocking(|| ()).await.map_err(io::Error::other)
        })?;
        aws_lc_rs::rand::fill(&mut [0; 32]).map_err(|_| io::ErrorKind::Other.into())
    }),
];

fn open_socket(family: AddressFamily, kind: SocketType) -> io::Result<()> {
    let flags = rustix::net::SocketFlags::CLOEXEC;
    Ok(socket_with(family, kind, flags, None).map(drop)?)
}

fn abstract_name(outside: &Path) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(outside.as_os_str().as_encoded_bytes())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["trial", place, name, outside] => attempt(place, name, Path::new(outside)),
        // Whatever `cargo test` passes on: filters are not supported here.
        _ => run_all(),
    }
}

/// The started process: enters the cage, tries, and says how it went.
fn attempt(place: &str, name: &str, outside: &Path) -> ExitCode {
    let (_, _, attempt) = TRIALS.iter().find(|(known, ..)| *known == name).unwrap();
    if place != "outside" {
        let address = |file: &str| Address::Unix { path: outside.join("sockets").join(file) };
        let caged =
            Cage::around(&address("worker"), &address("store"), None).unwrap().enter().unwrap();
        if place == "closed" {
            caged.close().unwrap();
        }
        println!("gaps {:?}", caged.gaps());
    }
    match attempt(outside) {
        Ok(()) => println!("allowed"),
        Err(error) => println!("denied: {error}"),
    }
    ExitCode::SUCCESS
}

fn run_all() -> ExitCode {
    let mut failures = 0;
    for (name, expect, _) in TRIALS {
        let verdict = check(name, *expect);
        println!(
            "{} {name}: {}",
            if verdict.is_ok() { "ok  " } else { "FAIL" },
            match &verdict {
                Ok(text) | Err(text) => text,
            }
        );
        failures += usize::from(verdict.is_err());
    }
    println!("{} trials, {failures} failed", TRIALS.len());
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(name: &str, expect: Expect) -> Result<String, String> {
    let run = |place: &str| {
        let outside = Outside::new();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["trial", place, name])
            .arg(&outside.path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        // A process that became /bin/true says nothing, and ended well.
        (
            text.clone(),
            if text.is_empty() && output.status.success() {
                "allowed".into()
            } else {
                text + &error
            },
        )
    };
    let denied = |text: &str| text.contains("denied:") && !text.contains("panicked");
    let allowed = |text: &str| text.contains("allowed");
    let (_, inside) = run(if expect == DeniedClosed { "closed" } else { "caged" });
    let last = inside.lines().last().unwrap_or_default().to_owned();
    let control = match expect {
        Denied => Some("outside"),
        DeniedClosed => Some("caged"),
        _ => None,
    };
    if let Some(place) = control {
        let (_, text) = run(place);
        if !allowed(&text) {
            return Err(format!("not possible {place} either: {text}"));
        }
    }
    let right = match expect {
        Denied | DeniedUntried | DeniedClosed => denied(&inside),
        DeniedBut(gap) => denied(&inside) || inside.contains(&format!("{gap:?}")),
        Allowed => allowed(&inside),
    };
    let gap = matches!(expect, DeniedBut(_)) && !denied(&inside);
    let text = if gap { "allowed: a gap of this kernel, as the log says".into() } else { last };
    if right { Ok(text) } else { Err(inside) }
}

/// A folder outside of the cage, with the folder of the cage's sockets in it.
struct Outside {
    path: PathBuf,
    _sockets: (UnixListener, UnixListener),
}

impl Outside {
    fn new() -> Self {
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
        let path = std::env::temp_dir().join(format!("cage-{}", random.trim()));
        fs::create_dir_all(path.join("sockets")).unwrap();
        fs::write(path.join("file"), "").unwrap();
        let others = UnixListener::bind(path.join("others")).unwrap();
        let hidden = UnixListener::bind_addr(&abstract_name(&path).unwrap()).unwrap();
        Self { path, _sockets: (others, hidden) }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
