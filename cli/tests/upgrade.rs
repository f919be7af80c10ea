//! `sekisho upgrade`: operators sign a statement one after the other, and see what they sign; and an
//! upgrade from its beginning to its end.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod running;
#[path = "upgrade/whole.rs"]
mod whole;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn sekisho(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sekisho"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("sekisho runs")
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

fn refused(output: &Output, says: &str) {
    assert_eq!(output.status.code(), Some(2), "{}", said(output));
    assert!(said(output).contains(says), "{says:?} expected: {}", said(output));
}

#[test]
fn a_statement_is_signed_by_one_after_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let run = |arguments: &[&str]| {
        let output = sekisho(folder, arguments);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    for key in ["one.pem", "two.pem"] {
        run(&["audit", "keygen", "--out", key]);
    }

    let sign = ["upgrade", "sign", "upgrade.json", "--key"];
    refused(&sekisho(folder, &[&sign[..], &["one.pem"]].concat()), "--account and --pcr");
    let value = "ab".repeat(48);
    let registers = [0, 1, 2].map(|register| format!("{register}={value}"));
    let mut first = [&sign[..], &["one.pem", "--account", "111122223333", "--days", "7"]].concat();
    for register in &registers {
        first.extend(["--pcr", register]);
    }
    let statement = run(&first);
    assert!(statement.contains(&format!("measurement {}\n", registers.join(","))), "{statement}");
    assert!(statement.contains("1 signature(s)"), "{statement}");

    // Another operator, and the same one again.
    for _ in 0..2 {
        assert!(run(&[&sign[..], &["two.pem"]].concat()).contains("2 signature(s)"));
    }
    assert!(run(&["upgrade", "show", "upgrade.json"]).contains("each right under its key"));

    let file = folder.join("upgrade.json");
    let signed = fs::read_to_string(&file).expect("the statement");
    assert!(signed.contains("111122223333"));
    fs::write(&file, signed.replace("111122223333", "111122223334")).expect("another account");
    refused(
        &sekisho(folder, &["upgrade", "show", "upgrade.json"]),
        "a signature under it is wrong",
    );
    refused(&sekisho(folder, &[&sign[..], &["one.pem"]].concat()), "a signature under it is wrong");
}
