//! AWS Signature Version 4 of a request of AWS KMS's protocol, for test clients.
//!
//! Source: "Signature Version 4 signing process" in the AWS IAM user guide.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

/// An access key, and the region that requests are signed for.
#[derive(Clone)]
pub struct Signer {
    /// `AKIA…`, or of a session `ASIA…`.
    pub access_key_id: String,
    /// The secret of it.
    pub secret_access_key: String,
    /// Of a session, its token.
    pub session_token: Option<String>,
    /// Such as `eu-central-1`.
    pub region: String,
}

impl Signer {
    /// The headers of `POST /` with this target and body, `authorization` last.
    pub fn headers(
        &self,
        host: &str,
        target: &str,
        body: &[u8],
        now: OffsetDateTime,
    ) -> Vec<(String, String)> {
        let at = now
            .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
            .unwrap_or_default();
        let day = at.get(..8).unwrap_or_default();
        let mut headers = vec![
            ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
            ("host".to_owned(), host.to_owned()),
            ("x-amz-date".to_owned(), at.clone()),
        ];
        if let Some(token) = &self.session_token {
            headers.push(("x-amz-security-token".to_owned(), token.clone()));
        }
        headers.push(("x-amz-target".to_owned(), target.to_owned()));

        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", sha256(body));
        let scope = format!("{day}/{}/kms/aws4_request", self.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let start = format!("AWS4{}", self.secret_access_key).into_bytes();
        let parts = [day, self.region.as_str(), "kms", "aws4_request"];
        let key = parts.iter().fold(start, |key, part| hmac_sha256(&key, part));
        let signature = hex::encode(hmac_sha256(&key, &to_sign));
        let id = &self.access_key_id;
        headers.push((
            "authorization".to_owned(),
            format!(
                "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, \
                 Signature={signature}"
            ),
        ));
        headers
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    /// Computed by botocore's SigV4Auth over the same request.
    #[test]
    fn a_signature_is_botocores() {
        let signer = Signer {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
            region: "eu-central-1".into(),
        };
        let now = datetime!(2026-11-22 04:00:00 UTC);
        let target = "TrentService.ListKeys";
        let headers = signer.headers("localhost:8443", target, br#"{"Limit": 7}"#, now);
        let (_, authorization) = headers.last().unwrap();
        let signature = "6ed0bebc8fdfdcca1cc299c0233b38b64afd13aff7b24a4b47a6b9d133b12b22";
        assert!(authorization.ends_with(&format!("Signature={signature}")), "{authorization}");
    }
}
