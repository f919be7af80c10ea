//! Signatures of a client that is not ours, and everything that breaks them.

use super::*;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-22 04:00:00 UTC);
const DATE: &str = "20261122T040000Z";
/// Computed by botocore's SigV4Auth over the request of [`request`].
const SIGNATURE: &str = "6ed0bebc8fdfdcca1cc299c0233b38b64afd13aff7b24a4b47a6b9d133b12b22";

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn verify(request: &SignedRequest, now: OffsetDateTime) -> Result<Verified, ApiError> {
    Claim::read(request, &["eu-central-1".to_owned()], now)?.verify(SECRET)
}

fn request() -> SignedRequest {
    let authorization = format!(
        "{ALGORITHM} Credential=AKIDEXAMPLE/20261122/eu-central-1/kms/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={SIGNATURE}"
    );
    let headers = [
        ("host", "localhost:8443"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "TrentService.ListKeys"),
        ("x-amz-date", DATE),
        ("authorization", &authorization),
    ];
    SignedRequest {
        operation: Operation::ListKeys,
        headers: headers.map(|(name, value)| (name.into(), value.into())).to_vec(),
        body: br#"{"Limit": 7}"#.to_vec(),
    }
}

fn set(request: &mut SignedRequest, name: &str, value: &str) {
    for header in request.headers.iter_mut().filter(|(known, _)| known == name) {
        header.1 = value.into();
    }
}

fn refused(request: SignedRequest) -> (&'static str, String) {
    let error = verify(&request, NOW).err().unwrap();
    (error.code(), error.message())
}

#[test]
fn a_signature_of_botocore_verifies() {
    let request = request();
    let claim = Claim::read(&request, &["eu-central-1".to_owned()], NOW).unwrap();
    assert_eq!((claim.access_key_id(), claim.session_token()), ("AKIDEXAMPLE", None));
    assert!(claim.verify(SECRET).is_ok());
    assert!(claim.verify("another").is_err());
}

#[test]
fn any_change_to_what_is_signed_is_refused() {
    let mut changed_body = request();
    changed_body.body = br#"{"Limit": 8}"#.to_vec();
    assert_eq!(refused(changed_body).0, "InvalidSignatureException");
    for (name, value) in [
        ("host", "elsewhere:8443"),
        ("x-amz-target", "TrentService.Decrypt"),
        ("content-type", "text/plain"),
        ("x-amz-date", "20261122T040001Z"),
    ] {
        let mut changed = request();
        set(&mut changed, name, value);
        assert_eq!(refused(changed).0, "InvalidSignatureException", "{name}");
    }
}

#[test]
fn a_header_that_decides_the_meaning_must_be_signed() {
    for name in ["host;", "x-amz-date;", ";x-amz-target"] {
        let mut changed = request();
        let authorization = changed.headers[4].1.replace(name, "");
        set(&mut changed, "authorization", &authorization);
        let (code, message) = refused(changed);
        assert_eq!(code, "InvalidSignatureException");
        assert!(message.contains("must be a 'SignedHeader'"), "{message}");
    }
}

#[test]
fn a_session_token_and_a_document_must_be_signed_too() {
    for name in ["x-amz-security-token", "x-sekisho-attestation"] {
        let mut with_header = request();
        with_header.headers.push((name.into(), "AAAA".into()));
        let (code, message) = refused(with_header);
        assert_eq!(code, "InvalidSignatureException");
        assert!(message.contains(&format!("'{name}' must be")), "{message}");
    }
}

#[test]
fn time_is_bounded_on_both_sides() {
    for (seconds, text) in [(901, "Signature expired"), (-901, "Signature not yet current")] {
        let now = NOW + time::Duration::seconds(seconds);
        let error = verify(&request(), now).err().unwrap();
        assert!(error.message().starts_with(text), "{}", error.message());
    }
    let latest = NOW + time::Duration::seconds(900);
    assert!(verify(&request(), latest).is_ok());
}

#[test]
fn each_missing_or_wrong_part_has_its_own_error() {
    let cases = [
        ("eu-central-1", "us-east-1", "InvalidSignatureException"),
        ("/kms/", "/s3/", "InvalidSignatureException"),
        ("aws4_request", "aws5_request", "InvalidSignatureException"),
        ("/20261122/", "/20261121/", "InvalidSignatureException"),
        ("AKIDEXAMPLE/", "", "IncompleteSignatureException"),
        ("Signature=", "Sig=", "IncompleteSignatureException"),
        ("Signature=", "Signature=0, Signature=", "IncompleteSignatureException"),
        ("content-type;host", "host;content-type", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", "IncompleteSignatureException"),
    ];
    for (from, to, code) in cases {
        let mut changed = request();
        let authorization = changed.headers[4].1.replace(from, to);
        set(&mut changed, "authorization", &authorization);
        assert_eq!(refused(changed).0, code, "{from} -> {to}");
    }
    let mut without = request();
    without.headers.pop();
    assert_eq!(refused(without).0, "MissingAuthenticationTokenException");
    let mut twice = request();
    twice.headers.push(("authorization".into(), "x".into()));
    assert_eq!(refused(twice).0, "MissingAuthenticationTokenException");
}

/// For tests: a request as a client signs it.
pub(crate) fn sign(
    (access_key_id, secret, session_token): (&str, &str, Option<&str>),
    operation: Operation,
    region: &str,
    now: OffsetDateTime,
) -> SignedRequest {
    let date_time = now.format(DATE_TIME).unwrap();
    let (date, _) = date_time.split_once('T').unwrap();
    let mut signed_headers = vec!["host", "x-amz-date"];
    signed_headers.extend(session_token.map(|_| SESSION_TOKEN));
    signed_headers.push("x-amz-target");
    let authorization = format!(
        "{ALGORITHM} Credential={access_key_id}/{date}/{region}/{SERVICE}/{TERMINATOR}, \
         SignedHeaders={}, Signature=",
        signed_headers.join(";")
    );
    let mut headers = vec![("host", "localhost"), ("x-amz-date", &date_time), ("x-amz-target", "")];
    headers.extend(session_token.map(|token| (SESSION_TOKEN, token)));
    headers.push(("authorization", &authorization));
    let headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let mut request = SignedRequest { operation, headers, body: b"{}".to_vec() };
    let regions = [region.to_owned()];
    let claim = Claim::read(&request, &regions, now).unwrap();
    let key = signing_key(secret, claim.authorization.date, claim.authorization.region);
    let signature = hex::encode(hmac(key.as_slice(), claim.string_to_sign.as_bytes()));
    request.headers.last_mut().unwrap().1.push_str(&signature);
    request
}
