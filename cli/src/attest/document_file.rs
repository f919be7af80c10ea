//! A document from a file or a pipe, in the forms in which people hand them round.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::failure::Failure;

/// The greatest file that is read: the greatest document in hexadecimal, with room for line
/// breaks. What is longer is refused for its size in any case.
const MAX_FILE: u64 = 64 * 1024;

/// Reads a document: raw, in base64 or in hexadecimal; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let in_file = |error: io::Error| Failure::usage(format_args!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(MAX_FILE).read_to_end(&mut bytes).map_err(in_file)?;
    } else {
        let file = File::open(path).map_err(in_file)?;
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(in_file)?;
    }
    Ok(decode(bytes))
}

/// The bytes meant. A document's first byte is not ASCII, so none is taken for text; and text
/// that is neither base64 nor hexadecimal is left as it is, to be refused.
fn decode(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(text) = str::from_utf8(&bytes) else { return bytes };
    let text: String = text.split_ascii_whitespace().collect();
    let digits = text.strip_prefix("0x").unwrap_or(&text);
    if let Ok(decoded) = hex::decode(digits) {
        return decoded;
    }
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
        .into_iter()
        .find_map(|base64| base64.decode(&text).ok())
        .unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_hexadecimal_and_base64_are_told_apart() {
        let document: Vec<u8> = (0..100).map(|byte| byte | 0x80).collect();
        let hexadecimal = hex::encode(&document);
        let (one, two) = hexadecimal.split_at(77);
        for text in [
            hexadecimal.clone(),
            format!("0x{hexadecimal}\n"),
            format!("{}\r\n{}", one.to_uppercase(), two),
            STANDARD.encode(&document),
            URL_SAFE_NO_PAD.encode(&document) + "\n",
        ] {
            assert_eq!(decode(text.into_bytes()), document);
        }
        assert_eq!(decode(document.clone()), document);
        assert_eq!(decode(b"not a document!".to_vec()), b"not a document!");
        assert_eq!(decode(Vec::new()), b"");
    }
}
