//! Who is asking: AWS Signature Version 4, verified over the bytes that arrived.
//!
//! Source: "Signature Version 4 signing process" in the AWS IAM user guide. Only the header form
//! is taken (KMS clients use no other), and only for `POST /`.

use crate::api::{ApiError, Operation};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use zeroize::Zeroizing;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "kms";
const TERMINATOR: &str = "aws4_request";
/// How far a request's time may be from the worker's clock (AWS's own tolerance is five minutes;
/// the signing documentation allows up to fifteen), in seconds.
const TOLERANCE: i64 = 15 * 60;
/// More signed headers than any SDK sends.
const MAX_SIGNED_HEADERS: usize = 64;

const DATE_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// A principal's access key.
pub struct BootCredential {
    /// `AKIA…`.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: Zeroizing<String>,
    /// `arn:aws:iam::<account>:root` or `…:user/<name>`.
    pub principal_arn: String,
}

impl std::fmt::Debug for BootCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BootCredential")
            .field("access_key_id", &self.access_key_id)
            .field("principal_arn", &self.principal_arn)
            .finish_non_exhaustive()
    }
}

/// Everyone who can sign a request, by access key id.
pub(crate) struct Credentials {
    keys: HashMap<String, BootCredential>,
    region: String,
}

/// A request as HTTP brought it, nothing believed yet.
pub(crate) struct SignedRequest {
    pub(crate) operation: Operation,
    /// Name (lower case) and value of every header, in order of arrival; `host` among them.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A request whose signature was verified. Only [`Credentials::authenticate`] makes one.
pub(crate) struct Authenticated {
    operation: Operation,
    principal: String,
    body: Zeroizing<Vec<u8>>,
}

impl Authenticated {
    pub(crate) fn operation(&self) -> Operation {
        self.operation
    }

    /// ARN of who signed.
    pub(crate) fn principal(&self) -> &str {
        &self.principal
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Credentials {
    pub(crate) fn new(region: String, credentials: Vec<BootCredential>) -> Self {
        let keys = credentials.into_iter().map(|key| (key.access_key_id.clone(), key)).collect();
        Self { keys, region }
    }

    /// Verifies the signature of `request` at `now`.
    pub(crate) fn authenticate(
        &self,
        request: SignedRequest,
        now: OffsetDateTime,
    ) -> Result<Authenticated, ApiError> {
        let SignedRequest { operation, headers, body } = request;
        let body = Zeroizing::new(body);
        let header = |name: &str| {
            let mut found = headers.iter().filter(|(known, _)| known == name);
            found.next().map(|(_, value)| value.as_str()).filter(|_| found.next().is_none())
        };
        let authorization = header("authorization").ok_or(ApiError::MissingAuthenticationToken)?;
        let authorization = Authorization::parse(authorization)?;
        let date_time = header("x-amz-date").ok_or_else(|| {
            incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        })?;
        authorization.check_scope(&self.region, date_time)?;
        let credential =
            self.keys.get(authorization.access_key_id).ok_or(ApiError::UnrecognizedClient)?;
        if header("x-amz-security-token").is_some() {
            // No session token was ever given out.
            return Err(ApiError::UnrecognizedClient);
        }
        check_time(date_time, now)?;

        let canonical = authorization.canonical_request(&headers, &body)?;
        let scope = authorization.scope();
        let string_to_sign = format!(
            "{ALGORITHM}\n{date_time}\n{scope}\n{}",
            hex::encode(Sha256::digest(canonical.as_bytes()))
        );
        let key = signing_key(&credential.secret_access_key, &authorization);
        let expected = hex::encode(hmac(key.as_slice(), string_to_sign.as_bytes()));
        if !bool::from(expected.as_bytes().ct_eq(authorization.signature.as_bytes())) {
            return Err(mismatch());
        }
        Ok(Authenticated { operation, principal: credential.principal_arn.clone(), body })
    }
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Result<Self, ApiError> {
        let parameters = header
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| incomplete("Unsupported AWS 'algorithm'; use AWS4-HMAC-SHA256."))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for parameter in parameters.split(',') {
            let Some((name, value)) = parameter.trim().split_once('=') else { continue };
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(incomplete(&format!(
                    "Authorization header has two '{name}' parameters."
                )));
            }
        }
        let missing =
            |name: &str| incomplete(&format!("Authorization header requires '{name}' parameter."));
        let credential = credential.ok_or_else(|| missing("Credential"))?;
        let signed_headers = signed_headers.ok_or_else(|| missing("SignedHeaders"))?;
        let signature = signature.ok_or_else(|| missing("Signature"))?;

        let mut scope = credential.rsplitn(5, '/');
        let (terminator, service, region, date, access_key_id) =
            (scope.next(), scope.next(), scope.next(), scope.next(), scope.next());
        let (Some(terminator), Some(service), Some(region), Some(date), Some(access_key_id)) =
            (terminator, service, region, date, access_key_id)
        else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term.",
            ));
        };
        if terminator != TERMINATOR {
            return Err(ApiError::InvalidSignature(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}'."
            )));
        }
        if service != SERVICE {
            return Err(ApiError::InvalidSignature(format!(
                "Credential should be scoped to correct service: '{SERVICE}'."
            )));
        }
        let signed_headers: Vec<_> =
            signed_headers.split(';').take(MAX_SIGNED_HEADERS.saturating_add(1)).collect();
        let sorted = signed_headers.is_sorted_by(|a, b| a < b);
        if signed_headers.len() > MAX_SIGNED_HEADERS || !sorted {
            return Err(incomplete("'SignedHeaders' must be sorted, without repeats, at most 64."));
        }
        Ok(Self { access_key_id, date, region, signed_headers, signature })
    }

    fn check_scope(&self, region: &str, date_time: &str) -> Result<(), ApiError> {
        if self.region != region {
            return Err(ApiError::InvalidSignature(format!(
                "Credential should be scoped to a valid region. This service is in '{region}'."
            )));
        }
        if date_time.split_once('T').map(|(date, _)| date) != Some(self.date) {
            return Err(ApiError::InvalidSignature(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP."
                    .into(),
            ));
        }
        Ok(())
    }

    fn scope(&self) -> String {
        format!("{}/{}/{SERVICE}/{TERMINATOR}", self.date, self.region)
    }

    fn canonical_request(
        &self,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<String, ApiError> {
        // What decides the meaning of the request must be signed.
        for name in ["host", "x-amz-date", "x-amz-target"] {
            if !self.signed_headers.contains(&name) {
                return Err(ApiError::InvalidSignature(format!(
                    "'{name}' must be a 'SignedHeader' in the AWS Authorization."
                )));
            }
        }
        let mut lines = String::new();
        for name in &self.signed_headers {
            let values: Vec<String> = headers
                .iter()
                .filter(|(known, _)| known == name)
                .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            if values.is_empty() {
                return Err(mismatch());
            }
            lines.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        let signed = self.signed_headers.join(";");
        let body_hash = hex::encode(Sha256::digest(body));
        Ok(format!("POST\n/\n\n{lines}\n{signed}\n{body_hash}"))
    }
}

fn check_time(date_time: &str, now: OffsetDateTime) -> Result<(), ApiError> {
    let signed = time::PrimitiveDateTime::parse(date_time, DATE_TIME)
        .map_err(|_| incomplete("Date must be in ISO-8601 'basic format'."))?
        .assume_utc();
    let clock = now.format(DATE_TIME).unwrap_or_default();
    let minutes = TOLERANCE / 60;
    match (now - signed).whole_seconds() {
        late if late > TOLERANCE => Err(ApiError::InvalidSignature(format!(
            "Signature expired: {date_time} is now earlier than {clock} - {minutes} min."
        ))),
        early if early < -TOLERANCE => Err(ApiError::InvalidSignature(format!(
            "Signature not yet current: {date_time} is still later than {clock} + {minutes} min."
        ))),
        _ => Ok(()),
    }
}

fn signing_key(secret: &str, authorization: &Authorization<'_>) -> Zeroizing<[u8; 32]> {
    let start = Zeroizing::new([b"AWS4", secret.as_bytes()].concat());
    let date = hmac(&start, authorization.date.as_bytes());
    let region = hmac(date.as_slice(), authorization.region.as_bytes());
    let service = hmac(region.as_slice(), SERVICE.as_bytes());
    hmac(service.as_slice(), TERMINATOR.as_bytes())
}

/// HMAC-SHA-256 takes a key of any length, so the fallback is never reached.
fn hmac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    let tag = Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(message).finalize().into_bytes().into());
    Zeroizing::new(tag.unwrap_or_default())
}

fn incomplete(text: &str) -> ApiError {
    ApiError::IncompleteSignature(text.to_owned())
}

fn mismatch() -> ApiError {
    ApiError::InvalidSignature(
        "The request signature we calculated does not match the signature you provided. Check \
         your AWS Secret Access Key and signing method. Consult the service documentation for \
         details."
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-22 04:00:00 UTC);
    const DATE: &str = "20261122T040000Z";
    /// Computed by botocore's SigV4Auth over the request of [`request`].
    const SIGNATURE: &str = "6ed0bebc8fdfdcca1cc299c0233b38b64afd13aff7b24a4b47a6b9d133b12b22";

    fn credentials() -> Credentials {
        let credential = BootCredential {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: Zeroizing::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into()),
            principal_arn: "arn:aws:iam::111122223333:root".into(),
        };
        Credentials::new("eu-central-1".into(), vec![credential])
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
        let error = credentials().authenticate(request, NOW).err().unwrap();
        (error.code(), error.message())
    }

    #[test]
    fn a_signature_of_botocore_verifies() {
        let authenticated = credentials().authenticate(request(), NOW).unwrap();
        assert_eq!(authenticated.principal(), "arn:aws:iam::111122223333:root");
        assert_eq!(authenticated.body(), br#"{"Limit": 7}"#);
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
    fn time_is_bounded_on_both_sides() {
        for (seconds, text) in [(901, "Signature expired"), (-901, "Signature not yet current")] {
            let now = NOW + time::Duration::seconds(seconds);
            let error = credentials().authenticate(request(), now).err().unwrap();
            assert!(error.message().starts_with(text), "{}", error.message());
        }
        let latest = NOW + time::Duration::seconds(900);
        assert!(credentials().authenticate(request(), latest).is_ok());
    }

    #[test]
    fn each_missing_or_wrong_part_has_its_own_error() {
        let cases = [
            ("AKIDEXAMPLE/", "AKIDOTHER/", "UnrecognizedClientException"),
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
}
