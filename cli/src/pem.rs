//! PEM (RFC 7468), written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The columns of a line (§2).
const COLUMNS: usize = 64;

/// Bytes under a label, such as `CERTIFICATE`.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    // What is encoded may be a private key.
    let base64 = Zeroizing::new(STANDARD.encode(der));
    let lines = base64.len() / COLUMNS + 4;
    let mut text = String::with_capacity(base64.len() + lines + 2 * (label.len() + 20));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for (index, character) in base64.chars().enumerate() {
        if index > 0 && index % COLUMNS == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::SubjectPublicKeyInfoDer;
    use rustls::pki_types::pem::PemObject as _;

    #[test]
    fn what_was_written_is_read() {
        for length in [0, 1, 47, 48, 49, 96, 120] {
            let der = vec![7; length];
            let text = encode("PUBLIC KEY", &der);
            assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
            let read = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).unwrap();
            assert_eq!(read.as_ref(), der);
        }
    }
}
