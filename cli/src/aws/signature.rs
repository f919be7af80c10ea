//! AWS Signature Version 4 of a request of AWS KMS's protocol: `POST /`, JSON 1.1.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag, sign};
use time::OffsetDateTime;
use time::macros::format_description;

use super::environment::AccessKey;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// The headers of a signed request; `authorization` is the last.
pub(super) fn headers(
    key: &AccessKey,
    region: &str,
    host: &str,
    target: &str,
    body: &[u8],
    now: OffsetDateTime,
) -> Vec<(&'static str, String)> {
    let date_time = now
        .to_offset(time::UtcOffset::UTC)
        .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
        .unwrap_or_default();
    let date = date_time.split('T').next().unwrap_or_default().to_owned();
    // By rising name, as they are signed.
    let mut headers = vec![
        ("content-type", CONTENT_TYPE.to_owned()),
        ("host", host.to_owned()),
        ("x-amz-date", date_time.clone()),
    ];
    if let Some(token) = &key.session_token {
        headers.push(("x-amz-security-token", token.to_string()));
    }
    headers.push(("x-amz-target", target.to_owned()));

    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", sha256(body));
    let scope = format!("{date}/{region}/kms/aws4_request");
    let string_to_sign =
        format!("{ALGORITHM}\n{date_time}\n{scope}\n{}", sha256(canonical.as_bytes()));

    let secret = zeroize::Zeroizing::new(["AWS4", &key.secret].concat());
    let parts = [date.as_str(), region, "kms", "aws4_request"];
    let signing = parts.iter().fold(Key::new(HMAC_SHA256, secret.as_bytes()), |key, part| {
        Key::new(HMAC_SHA256, sign(&key, part.as_bytes()).as_ref())
    });
    let signature: Tag = sign(&signing, string_to_sign.as_bytes());
    headers.push((
        "authorization",
        format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            key.id,
            hex::encode(signature)
        ),
    ));
    headers
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;
    use zeroize::Zeroizing;

    /// Computed by botocore's SigV4Auth over the same request; the worker's own test has it too.
    #[test]
    fn a_signature_is_botocores() {
        let key = AccessKey {
            id: "AKIDEXAMPLE".into(),
            secret: Zeroizing::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into()),
            session_token: None,
        };
        let now = datetime!(2026-11-22 04:00:00 UTC);
        let target = "TrentService.ListKeys";
        let body = br#"{"Limit": 7}"#;
        let headers = headers(&key, "eu-central-1", "localhost:8443", target, body, now);
        let (name, authorization) = headers.last().unwrap();
        assert_eq!(*name, "authorization");
        assert!(authorization.ends_with(
            "Signature=6ed0bebc8fdfdcca1cc299c0233b38b64afd13aff7b24a4b47a6b9d133b12b22"
        ));
    }

    #[test]
    fn a_session_token_is_signed() {
        let key = AccessKey {
            id: "ASIAEXAMPLE".into(),
            secret: Zeroizing::new("secret".into()),
            session_token: Some(Zeroizing::new("token".into())),
        };
        let now = datetime!(2026-11-22 04:00:00 UTC);
        let headers = headers(&key, "r", "h", "t", b"", now);
        assert!(headers.contains(&("x-amz-security-token", "token".into())));
        assert!(headers.last().unwrap().1.contains("x-amz-date;x-amz-security-token;x-amz-target"));
    }
}
