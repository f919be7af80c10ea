//! `sekisho dev` as a program: its folder, its processes, its errors.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use running::{SEKISHO, STATE, Service, folder, kill, run, words};

/// A `sekisho dev` that is to end by itself.
fn dev(data: &Path, arguments: &[&str]) -> Output {
    Command::new(SEKISHO)
        .args(["dev", "--data-dir"])
        .arg(data)
        .args(arguments)
        .env("XDG_STATE_HOME", STATE)
        .output()
        .expect("sekisho runs")
}

fn fails(output: &Output, says: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{}", words(output));
    assert!(said.contains(says), "{says:?} expected: {said}");
}

/// Process ids of the host and the worker of a `sekisho dev`.
fn children(id: u32) -> Vec<u32> {
    let output =
        run(Command::new("ps").args(["--no-headers", "-o", "pid", "--ppid"]).arg(id.to_string()));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().map(|id| id.parse().expect("a process id")).collect()
}

fn lives(id: u32) -> bool {
    // A zombie is dead.
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
        !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
    })
}

fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "{what} within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn secrets_are_their_owners_alone_and_in_no_argument() {
    let data = folder();
    let service = Service::start(data.path());
    for name in ["root.key", "credentials", "development-pki.pem", "auditor.pem"] {
        let mode = data.path().join(name).metadata().expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let root_key = fs::read_to_string(data.path().join("root.key")).expect("a root key");
    assert!(root_key.contains("DEVELOPMENT"));
    let key = root_key.lines().last().expect("a line").trim();
    let children = children(service.id());
    assert_eq!(children.len(), 2);
    for id in children {
        for file in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{id}/{file}")).expect(file);
            assert!(!String::from_utf8_lossy(&bytes).contains(key), "{file} holds the root key");
        }
    }
}

#[test]
fn it_says_that_it_proves_nothing_about_hardware() {
    let data = folder();
    let service = Service::start(data.path());
    assert_eq!(service.ready["development"], true);
    assert_eq!(service.ready["attestation"]["unseal"], "development-file");
    drop(service);
    // In text too; the signal arrives when the text has been printed.
    let child = Command::new(SEKISHO)
        .args(["dev", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data.path())
        .env("XDG_STATE_HOME", STATE)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sekisho dev starts");
    within(Duration::from_secs(30), "an environment file", || {
        // The second start writes it anew.
        data.path().join("run/worker.sock").exists() && data.path().join("env").exists()
    });
    std::thread::sleep(Duration::from_secs(2));
    kill("-INT", child.id());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    for line in ["FOR DEVELOPMENT", "proves nothing about hardware", "export AWS_CA_BUNDLE="] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_signal_stops_both_processes() {
    for signal in ["-TERM", "-INT"] {
        let data = folder();
        let service = Service::start(data.path());
        let processes = children(service.id());
        assert_eq!(processes.len(), 2);
        kill(signal, service.id());
        assert_eq!(service.wait(), Some(0));
        assert!(!processes.iter().any(|id| lives(*id)));
    }
}

#[test]
fn a_killed_parent_leaves_no_processes() {
    let data = folder();
    let service = Service::start(data.path());
    let processes = children(service.id());
    kill("-KILL", service.id());
    service.wait();
    within(Duration::from_secs(20), "the end of both", || !processes.iter().any(|id| lives(*id)));
    // And the folder can be used again.
    assert_eq!(Service::start(data.path()).stop(), Some(0));
}

#[test]
fn the_end_of_either_process_is_told() {
    let data = folder();
    for (role, position) in [("host", 0), ("worker", 1)] {
        let child = Command::new(SEKISHO)
            .args(["dev", "--json", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data.path())
            .env("XDG_STATE_HOME", STATE)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("sekisho dev starts");
        within(Duration::from_secs(30), "two processes that serve", || {
            let ready = data.path().join("run/worker.sock").exists();
            ready && children(child.id()).len() == 2
        });
        std::thread::sleep(Duration::from_secs(1));
        let mut processes = children(child.id());
        processes.sort_unstable();
        kill("-KILL", processes[position]);
        let output = child.wait_with_output().expect("it ends");
        fails(&output, &format!("the {role} stopped"));
    }
}

#[test]
fn what_cannot_work_is_said() {
    let data = folder();
    let service = Service::start(data.path());
    fails(&dev(data.path(), &["--listen", "127.0.0.1:0"]), "another sekisho dev is running");
    fails(&dev(data.path(), &["--reset"]), "another sekisho dev is running");

    let other = folder();
    let port = service.endpoint().rsplit(':').next().expect("a port").to_owned();
    let taken = dev(other.path(), &["--listen", &format!("127.0.0.1:{port}")]);
    fails(&taken, &format!("127.0.0.1:{port}"));
    fails(&taken, "in use");
    drop(service);

    let with_region = ["--listen", "127.0.0.1:0", "--region", "eu-west-1"];
    fails(&dev(data.path(), &with_region), "was made for region us-east-1");
    let file = data.path().join("root.key");
    fails(&dev(&file, &[]), "root.key");
    let foreign = folder();
    fs::write(foreign.path().join("thesis.tex"), "years of work").expect("it is written");
    fails(&dev(foreign.path(), &[]), "was not made by sekisho");
    fails(&dev(foreign.path(), &["--reset"]), "was not made by sekisho");
    assert!(foreign.path().join("thesis.tex").exists());

    for wrong in [["--region", "Mars"], ["--account", "1"], ["--user", "a b"]] {
        assert_eq!(dev(data.path(), &wrong).status.code(), Some(2));
    }
}

#[test]
fn malformed_credentials_are_refused_by_line() {
    let data = folder();
    drop(Service::start(data.path()));
    let path = data.path().join("credentials");
    let whole = fs::read_to_string(&path).expect("credentials");
    let (line, _) = whole.lines().enumerate().find(|(_, l)| l.starts_with('[')).expect("a profile");
    let number = line + 1;
    let broken = whole.replacen("\n[", "\n(", 1);
    fs::write(&path, broken).expect("it is written");
    fails(&dev(data.path(), &["--listen", "127.0.0.1:0"]), &format!("line {number} is not one"));
    fs::write(&path, whole).expect("it is written");
    assert_eq!(Service::start(data.path()).stop(), Some(0));
}

#[test]
#[should_panic(expected = "the host carried [\"sent in the clear\"]")]
fn a_secret_that_passes_the_host_fails_the_test() {
    let data = folder();
    let service = Service::start(data.path());
    service.overheard.learn("sent in the clear", running::overheard::CONTROL);
    service.stop();
}

#[test]
#[should_panic(expected = "the host stored [\"zeros\"]")]
fn a_secret_that_the_host_stores_fails_the_test() {
    let data = folder();
    let service = Service::start(data.path());
    // Only the disk has so many zeros: the free room of the journal's file.
    service.overheard.learn("zeros", vec![0; 2048]);
    service.stop();
}

#[test]
fn reset_forgets_the_keys() {
    let parent = folder();
    let data = parent.path().join("data");
    let service = Service::start(&data);
    let created = service.aws("default", &["create-key"]);
    assert!(created.status.success());
    let root_key = fs::read(data.join("root.key")).expect("a root key");
    assert_eq!(service.stop(), Some(0));
    assert!(dev(&data, &["--reset"]).status.success());
    assert!(!data.exists());

    let service = Service::start(&data);
    assert_ne!(fs::read(data.join("root.key")).expect("a root key"), root_key);
    let listed = service.aws("default", &["list-keys", "--query", "length(Keys)"]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), "0");
}

#[test]
fn a_deep_folder_works() {
    let parent = folder();
    let data = parent.path().join("a folder with spaces").join("x".repeat(150));
    let service = Service::start(&data);
    assert!(service.aws("default", &["list-keys"]).status.success());
}
