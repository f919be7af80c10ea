//! Published samples of AWS KMS, which are not part of this project, and the RSA keys beside them:
//! their numbers in JSON, without those of the Chinese remainder theorem, which Python computes.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::der::{self, tlv};

const NUMBERS: &str = "
import json, sys
k = {name: int(value, 16) for name, value in json.load(open(sys.argv[1])).items()}
n, e, d, p, q = (k[name] for name in 'nedpq')
for number in (n, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)):
    print('%0512x' % number)
";

/// The folder of these vectors below `SEKISHO_VECTORS`; where that is not set, it says so and that
/// nothing was tried.
pub fn published_vectors(folder: &str) -> Option<PathBuf> {
    let vectors = std::env::var_os("SEKISHO_VECTORS").map(PathBuf::from);
    if vectors.is_none() {
        eprintln!("\n*** SKIPPED: SEKISHO_VECTORS is not set, no published vector was tried ***\n");
    }
    Some(vectors?.join(folder))
}

/// A published key in PKCS#8 (RFC 8017 §A.1.2, RFC 5208 §5); for tests, needs `python3`.
///
/// # Errors
/// What Python says.
pub fn published_rsa_key(file: &Path) -> io::Result<Vec<u8>> {
    let output = Command::new("python3").args(["-c", NUMBERS]).arg(file).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let zero = tlv(der::INTEGER, &[&[0]]);
    let mut numbers = zero.clone();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let pairs = line.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or(""));
        let digits: Result<Vec<u8>, _> = pairs.map(|pair| u8::from_str_radix(pair, 16)).collect();
        numbers.extend(der::unsigned(&digits.map_err(io::Error::other)?));
    }
    let rsa = [&der::oid(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")[..], &[5, 0]].concat();
    let key = tlv(der::SEQUENCE, &[&numbers]);
    let key = tlv(der::OCTET_STRING, &[&key]);
    Ok(tlv(der::SEQUENCE, &[&zero, &tlv(der::SEQUENCE, &[&rsa]), &key]))
}
