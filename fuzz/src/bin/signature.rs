//! A signed request with parts written over: triples of a position (two bytes) and a byte, of
//! which each writes into the request's text, and any other text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_enclave::probe::parsers;
use sekisho_fuzz::within_allowance;

const TARGET: &str = "TrentService.ListKeys";
const BODY: &str = r#"{"Limit": 7}"#;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2026-11-22 04:00:00 UTC
const NOW: i64 = 1_795_320_000;
/// Computed by botocore's SigV4Auth.
const REQUEST: &str = "host: localhost:8443\n\
    content-type: application/x-amz-json-1.1\n\
    x-amz-target: TrentService.ListKeys\n\
    x-amz-date: 20261122T040000Z\n\
    authorization: AWS4-HMAC-SHA256 \
    Credential=AKIDEXAMPLE/20261122/eu-central-1/kms/aws4_request, \
    SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
    Signature=6ed0bebc8fdfdcca1cc299c0233b38b64afd13aff7b24a4b47a6b9d133b12b22\n\
    \n\
    {\"Limit\": 7}";

fuzz_target!(|input: &[u8]| {
    let text = match input.split_first() {
        Some((0, text)) => text.to_vec(),
        _ => edited(input),
    };
    let Ok(text) = String::from_utf8(text) else { return };
    let (headers, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let headers: Vec<_> = headers
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let has = |name: &str, value: &str| {
        headers.iter().filter(|(known, _)| known == name).all(|(_, found)| found.trim() == value)
    };
    let signed_as_it_was = has("x-amz-target", TARGET) && has("x-amz-date", "20261122T040000Z");
    let verified = within_allowance(|| {
        parsers::signature(TARGET, headers.clone(), body.as_bytes(), SECRET, NOW)
    });
    assert!(verified || !input.is_empty(), "the request as it was signed");
    assert!(!verified || (body == BODY && signed_as_it_was), "a forgery");
});

fn edited(edits: &[u8]) -> Vec<u8> {
    let mut text = REQUEST.as_bytes().to_vec();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % text.len();
        text[at] = edit[2];
    }
    text
}
