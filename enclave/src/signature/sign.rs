//! The other side: requests that the worker, or the `sekisho` command, signs as a client.

use super::{ALGORITHM, DATE_TIME, SERVICE, TERMINATOR, hex_sha256, hmac, signing_key};
use std::fmt;
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// The content type of AWS KMS's protocol, JSON 1.1.
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// An access key, or a session's with its token, that requests are signed with.
#[derive(PartialEq, Eq)]
pub struct AccessKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Zeroizing<String>,
    /// The session's token.
    pub session_token: Option<Zeroizing<String>>,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(redacted)")
    }
}

impl AccessKey {
    /// The headers of `POST /` with this target and body, signed for AWS KMS in `region`;
    /// `authorization` is the last.
    pub fn sign(
        &self,
        region: &str,
        host: &str,
        target: &str,
        body: &[u8],
        now: OffsetDateTime,
    ) -> Vec<(&'static str, String)> {
        let now = now.to_offset(time::UtcOffset::UTC);
        let date_time = now.format(DATE_TIME).unwrap_or_default();
        let date = date_time.split('T').next().unwrap_or_default().to_owned();
        // By rising name, as they are signed.
        let mut headers = vec![
            ("content-type", CONTENT_TYPE.to_owned()),
            ("host", host.to_owned()),
            ("x-amz-date", date_time.clone()),
        ];
        if let Some(token) = &self.session_token {
            headers.push(("x-amz-security-token", token.to_string()));
        }
        headers.push(("x-amz-target", target.to_owned()));

        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", hex_sha256(body));
        let scope = format!("{date}/{region}/{SERVICE}/{TERMINATOR}");
        let string_to_sign =
            format!("{ALGORITHM}\n{date_time}\n{scope}\n{}", hex_sha256(canonical.as_bytes()));
        let key = signing_key(&self.secret, &date, region);
        let signature = hmac(key.as_slice(), string_to_sign.as_bytes());
        let signature = base16ct::lower::encode_string(signature.as_slice());
        let id = &self.id;
        headers.push((
            "authorization",
            format!(
                "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
            ),
        ));
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    /// Computed by botocore's SigV4Auth over the same request; the verifier's own test has it too.
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
        let headers = key.sign("eu-central-1", "localhost:8443", target, body, now);
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
        let headers = key.sign("r", "h", "t", b"", now);
        assert!(headers.contains(&("x-amz-security-token", "token".into())));
        assert!(headers.last().unwrap().1.contains("x-amz-date;x-amz-security-token;x-amz-target"));
    }
}
