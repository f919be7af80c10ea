//! The credentials of an EC2 instance's role, from its metadata service, version 2 (IMDSv2).
//!
//! "Use the Instance Metadata Service to access instance metadata" in the Amazon EC2 user guide.
//! The service speaks plain HTTP on a link-local address: a few lines on a socket are all it takes.

use std::time::Duration;

use sekisho_wire::egress::AwsCredentials;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::credentials::NoCredentials;

/// For all three requests; the worker waits a little longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer, its head included.
const MAX_ANSWER: u64 = 64 * 1024;
/// A token is used at once.
const TOKEN_SECONDS: &str = "60";
const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleCredentials {
    access_key_id: String,
    secret_access_key: String,
    token: String,
}

pub(super) async fn credentials(endpoint: &str) -> Result<AwsCredentials, NoCredentials> {
    let authority = endpoint.strip_prefix("http://").ok_or(NoCredentials::Endpoint)?;
    let authority = authority.trim_end_matches('/');
    let asking = async {
        let lifetime = ("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS);
        let token = ask(authority, "PUT", "/latest/api/token", lifetime).await?;
        let token = ("X-aws-ec2-metadata-token", line(&token)?);
        let role = ask(authority, "GET", ROLE, token).await?;
        let path = format!("{ROLE}{}", line(&role)?);
        ask(authority, "GET", &path, token).await
    };
    let answer = timeout(PATIENCE, asking).await.map_err(|_| NoCredentials::Late)??;
    let role: RoleCredentials =
        serde_json::from_str(&answer).map_err(|_| NoCredentials::Malformed)?;
    Ok(AwsCredentials {
        access_key_id: role.access_key_id,
        secret_access_key: role.secret_access_key,
        session_token: Some(role.token),
    })
}

/// An answer's first line, which may stand in a request.
fn line(answer: &str) -> Result<&str, NoCredentials> {
    let line = answer.lines().next().unwrap_or_default().trim();
    let fits = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(line) } else { Err(NoCredentials::Malformed) }
}

/// One request over a connection of its own; the answer's body.
async fn ask(
    authority: &str,
    method: &str,
    path: &str,
    header: (&str, &str),
) -> Result<String, NoCredentials> {
    let address = match authority.contains(':') {
        true => authority.to_owned(),
        false => format!("{authority}:80"),
    };
    let mut stream = TcpStream::connect(address).await?;
    let (name, value) = header;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\n{name}: {value}\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    body(&answer)
}

/// The body of an answer that ends with its connection.
fn body(answer: &[u8]) -> Result<String, NoCredentials> {
    let answer = std::str::from_utf8(answer).map_err(|_| NoCredentials::Malformed)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(NoCredentials::Malformed)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status: u16 =
        status.and_then(|status| status.parse().ok()).ok_or(NoCredentials::Malformed)?;
    if status != 200 {
        return Err(NoCredentials::Status(status));
    }
    let header = |wanted: &str| {
        let mut named = lines.clone().filter_map(|line| line.split_once(':'));
        named.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    if header("transfer-encoding").is_some() {
        return Err(NoCredentials::Malformed);
    }
    match header("content-length").map(str::parse::<usize>) {
        None => Ok(body.to_owned()),
        Some(Ok(length)) => body.get(..length).map(str::to_owned).ok_or(NoCredentials::Malformed),
        Some(Err(_)) => Err(NoCredentials::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A metadata service that gives a role's credentials to whoever brings its token.
    async fn service() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8(request[..read].to_vec()).unwrap();
                let with_token = request.contains("X-aws-ec2-metadata-token: TOKEN==\r\n");
                let (status, body) = match request.split(' ').take(2).collect::<Vec<_>>()[..] {
                    ["PUT", "/latest/api/token"] => ("200 OK", "TOKEN=="),
                    ["GET", _] if !with_token => ("401 Unauthorized", ""),
                    ["GET", ROLE] => ("200 OK", "role-of-host"),
                    ["GET", path] if path == format!("{ROLE}role-of-host") => (
                        "200 OK",
                        r#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"S","Token":"T"}"#,
                    ),
                    _ => ("404 Not Found", ""),
                };
                let length = body.len();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        endpoint
    }

    #[tokio::test]
    async fn a_roles_credentials() {
        let credentials = credentials(&service().await).await.unwrap();
        assert_eq!(credentials.access_key_id, "A");
        assert_eq!(credentials.secret_access_key, "S");
        assert_eq!(credentials.session_token.as_deref(), Some("T"));
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_or_not_one() {
        assert!(matches!(credentials("https://x").await, Err(NoCredentials::Endpoint)));
        assert!(matches!(credentials("http://127.0.0.1:1").await, Err(NoCredentials::Io(_))));
    }

    #[test]
    fn answers_that_are_none() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody").unwrap(), "body");
        assert_eq!(body(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nbody").unwrap(), "bo");
        let status = body(b"HTTP/1.1 403 Forbidden\r\n\r\n");
        assert!(matches!(status, Err(NoCredentials::Status(403))));
        for malformed in [
            &b""[..],
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nbody",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n\xff",
        ] {
            assert!(matches!(body(malformed), Err(NoCredentials::Malformed)));
        }
        for not_a_line in ["", "\n", "a b", "a\u{7f}"] {
            assert!(line(not_a_line).is_err());
        }
    }
}
