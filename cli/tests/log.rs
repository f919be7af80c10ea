//! Nothing that a caller sends is in the log, at any level.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;

use std::fs;
use std::process::Command;

use running::{Service, folder, words};

/// In every field that a caller fills; see `clients/marked.py`.
const MARKER: &str = "tattletale";

#[test]
fn no_word_of_a_caller_is_in_the_log() {
    let (data, files) = (folder(), folder());
    let log = files.path().join("log");
    let service = Service::start_talking(data.path(), &log);
    service.python("marked.py", &[MARKER]);

    // HTTP/2, whose library logs an authority that is none where it is let.
    let curl = || {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--http2", "--max-time", "20", "--noproxy", "*"])
            .args(["--cacert", &service.said("/ca"), "--output", "/dev/null"])
            .args(["--write-out", "%{http_version} %{http_code}"]);
        curl
    };
    let malformed = curl()
        .args(["--header", &format!("host: {{{MARKER}}}")])
        .arg(service.endpoint())
        .output()
        .expect("curl runs");
    assert!(!String::from_utf8_lossy(&malformed.stdout).contains("200"), "{}", words(&malformed));
    let answered = curl()
        .args(["--header", &format!("x-{MARKER}: {MARKER}")])
        .args(["--header", &format!("x-amz-target: TrentService.{MARKER}")])
        .args(["--header", &format!("authorization: {MARKER}")])
        .args(["--data", &format!(r#"{{"{MARKER}": "{MARKER}"}}"#)])
        .arg(format!("{}/?{MARKER}", service.endpoint()))
        .output()
        .expect("curl runs");
    assert_eq!(String::from_utf8_lossy(&answered.stdout), "2 400", "{}", words(&answered));
    assert_eq!(service.stop(), Some(0));

    let log = String::from_utf8_lossy(&fs::read(&log).expect("a log")).to_lowercase();
    // It is the worker's log, at its most talkative, of just these connections.
    for told in [
        "configuration measured",
        "the journal is whole",
        "a tls handshake failed",
        "a connection ended early",
        "not-http",
        "connected to the store",
        "stopped",
    ] {
        assert!(log.contains(told), "{told:?} is not in the log:\n{log}");
    }
    let hexadecimal = MARKER.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    // As it is, in hexadecimal, and in base64 at each of the three offsets.
    for marker in [MARKER, &hexadecimal, "dgf0dgxldgfsz", "rhdhrszxrhbg", "0yxr0bgv0ywxl"] {
        let line = log.lines().find(|line| line.contains(marker));
        assert_eq!(line, None, "{marker:?} is in the log");
    }
}
