//! The worker's way out: to the KMS that wraps its root key, and to nothing else.
//!
//! The worker connects, sends one frame with a [`Request`] and gets one frame with a [`Response`].
//! After [`Response::Connected`] the stream carries the destination's bytes, both ways; after
//! any other response it ends. What goes through it is TLS of the worker's own.
//!
//! The host chooses which destinations there are. It may also lie: connect to somebody else, or
//! give credentials that are not what they should be. The worker's TLS notices the first; the
//! second only makes the KMS refuse, since the key's policy asks for the worker's measurement.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::address::Address;
use crate::codec::{CodecError, decode, encode};
use crate::frame::{Frame, FrameError, read_body, read_header, write_frame};
use crate::stream::Stream;

/// The longest message: a session token of AWS STS has some kilobytes, and no fixed limit.
pub const MAX_MESSAGE: usize = 32 * 1024;

/// How long the worker waits for the host's answer: the host itself gives a connection ten seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest name of a host (RFC 1035 §2.3.4, as text without the final dot).
const MAX_NAME: usize = 253;

/// Where a connection shall go: a name or an IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination {
    name: String,
    port: u16,
}

impl Destination {
    /// The name in lower case, or the IP address without brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

impl TryFrom<String> for Destination {
    type Error = InvalidDestination;

    fn try_from(text: String) -> Result<Self, InvalidDestination> {
        text.parse()
    }
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let (name, port) = text.rsplit_once(':').ok_or(InvalidDestination)?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0);
        let port = port.ok_or(InvalidDestination)?;
        if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: std::net::Ipv6Addr = address.parse().map_err(|_| InvalidDestination)?;
            return Ok(Self { name: address.to_string(), port });
        }
        let in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        let is_name = !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(in_a_name);
        // Digits and dots alone are an address, written in the one way that all agree about.
        let numeric = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !is_name || (numeric && name.parse::<IpAddr>().is_err()) {
            return Err(InvalidDestination);
        }
        Ok(Self { name: name.to_ascii_lowercase(), port })
    }
}

/// The text is no [`Destination`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a destination is a name or an IP address and a port, such as kms.eu-central-1.amazonaws.com:443"
)]
pub struct InvalidDestination;

/// What the worker asks for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Request {
    /// A connection.
    Connect(Destination),
    /// The AWS credentials that the worker signs its requests to the KMS with.
    Credentials,
}

/// What the host answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Response {
    /// From here on the stream is the connection.
    Connected,
    /// Credentials.
    Credentials(AwsCredentials),
    /// Neither.
    Refused(Refusal),
}

/// An access key of AWS. The host has it anyway; it is kept out of logs all the same.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsCredentials {
    /// The access key's id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The session's token, of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsCredentials(redacted)")
    }
}

/// Why the host did not do as it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The destination is not on the host's list.
    #[error("the destination is not on the host's list (--egress)")]
    NotAllowed,
    /// The destination does not take connections, or has no address.
    #[error("the host cannot reach the destination")]
    Unreachable,
    /// The host was started without credentials.
    #[error("the host has no AWS credentials (--kms-credentials)")]
    NoCredentials,
    /// The file or the metadata service with the credentials cannot be read.
    #[error("the host cannot read its AWS credentials")]
    CredentialsUnreadable,
    /// The request makes no sense to the host.
    #[error("the host does not understand the request")]
    Malformed,
}

/// Connects to `destination` through the host at `host`.
///
/// # Errors
///
/// [`EgressError`].
pub async fn connect(host: &Address, destination: &Destination) -> Result<Stream, EgressError> {
    match ask(host, &Request::Connect(destination.clone())).await? {
        (stream, Response::Connected) => Ok(stream),
        (_, Response::Refused(refusal)) => Err(refusal.into()),
        (_, Response::Credentials(_)) => Err(EgressError::Malformed),
    }
}

/// Asks the host at `host` for AWS credentials.
///
/// # Errors
///
/// [`EgressError`].
pub async fn credentials(host: &Address) -> Result<AwsCredentials, EgressError> {
    match ask(host, &Request::Credentials).await? {
        (_, Response::Credentials(credentials)) => Ok(credentials),
        (_, Response::Refused(refusal)) => Err(refusal.into()),
        (_, Response::Connected) => Err(EgressError::Malformed),
    }
}

async fn ask(host: &Address, request: &Request) -> Result<(Stream, Response), EgressError> {
    let asking = async {
        let mut stream = host.connect().await.map_err(|_| EgressError::HostUnreachable)?;
        write_message(&mut stream, request).await?;
        let response = read_message(&mut stream).await?;
        Ok((stream, response))
    };
    timeout(PATIENCE, asking).await.map_err(|_| EgressError::TimedOut)?
}

/// Reads the worker's request; for the host.
///
/// # Errors
///
/// [`MessageError`], after which the stream cannot be used any more.
pub async fn read_request<R: AsyncRead + Unpin>(reader: &mut R) -> Result<Request, MessageError> {
    read_message(reader).await
}

/// Writes the host's response; for the host.
///
/// # Errors
///
/// [`MessageError`].
pub async fn write_response<W: AsyncWrite + Unpin>(
    writer: &mut W,
    response: &Response,
) -> Result<(), MessageError> {
    write_message(writer, response).await
}

async fn read_message<R, T>(reader: &mut R) -> Result<T, MessageError>
where
    R: AsyncRead + Unpin,
    T: serde::de::DeserializeOwned,
{
    let header = read_header(reader).await?.ok_or(MessageError::Ended)?;
    if header.length() > MAX_MESSAGE {
        return Err(MessageError::TooLong { length: header.length() });
    }
    Ok(decode(&read_body(reader, header).await?)?)
}

async fn write_message<W, T>(writer: &mut W, message: &T) -> Result<(), MessageError>
where
    W: AsyncWrite + Unpin,
    T: Serialize,
{
    let body = encode(message)?;
    if body.len() > MAX_MESSAGE {
        return Err(MessageError::TooLong { length: body.len() });
    }
    // In one piece: the first bytes of what follows are the destination's.
    let mut bytes = Vec::with_capacity(body.len() + crate::frame::HEADER_LENGTH);
    write_frame(&mut bytes, &Frame { request_id: 0, body }).await?;
    writer.write_all(&bytes).await.map_err(FrameError::Io)?;
    writer.flush().await.map_err(FrameError::Io)?;
    Ok(())
}

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The stream ended before it.
    #[error("the stream ended without a message")]
    Ended,
    /// It is longer than [`MAX_MESSAGE`]; nothing was allocated for it.
    #[error("a message of {length} bytes, the limit is {MAX_MESSAGE}")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// It is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It is no message.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Why the worker has no connection or no credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The host does not listen, or hung up.
    #[error("the host's egress does not answer")]
    HostUnreachable,
    /// The host took too long.
    #[error("the host's egress did not answer in time")]
    TimedOut,
    /// The host's answer makes no sense.
    #[error("the host's answer is malformed")]
    Malformed,
    /// The host says why.
    #[error("{0}")]
    Refused(#[from] Refusal),
}

impl From<MessageError> for EgressError {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Ended | MessageError::Frame(FrameError::Io(_)) => Self::HostUnreachable,
            _ => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn destinations() {
        for (text, name, port) in [
            ("kms.eu-central-1.amazonaws.com:443", "kms.eu-central-1.amazonaws.com", 443),
            ("LocalHost:8443", "localhost", 8443),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("[::1]:65535", "::1", 65535),
        ] {
            let destination: Destination = text.parse().unwrap();
            assert_eq!((destination.name(), destination.port()), (name, port));
            assert_eq!(destination.to_string(), text.to_lowercase());
        }
        let long = format!("{}:1", "a".repeat(254));
        for text in [
            "",
            "kms",
            ":443",
            "kms:",
            "kms:0",
            "kms:+1",
            "kms:65536",
            "a b:1",
            "a/b:1",
            "::1:1",
            "[::1:1",
            "[kms]:1",
            "1.2.3:4",
            "kms\n:1",
            "user@kms:1",
            &long,
        ] {
            assert_eq!(text.parse::<Destination>(), Err(InvalidDestination), "{text:?}");
        }
    }

    #[tokio::test]
    async fn an_oversized_message_is_refused_from_its_header() {
        let mut bytes = (MAX_MESSAGE as u32 + 1).to_be_bytes().to_vec();
        bytes.extend([0; 8]);
        let error = read_request(&mut bytes.as_slice()).await.unwrap_err();
        assert!(matches!(error, MessageError::TooLong { .. }));
        assert!(matches!(read_request(&mut &[][..]).await, Err(MessageError::Ended)));
    }

    #[tokio::test]
    async fn what_follows_a_message_is_left_in_the_stream() {
        let request = Request::Connect("kms:443".parse().unwrap());
        let mut bytes = Vec::new();
        write_message(&mut bytes, &request).await.unwrap();
        bytes.extend(b"TLS");
        let mut rest = bytes.as_slice();
        assert_eq!(read_request(&mut rest).await.unwrap(), request);
        assert_eq!(rest, b"TLS");
    }

    #[test]
    fn credentials_do_not_print() {
        let secret = || "MARKER".to_owned();
        let credentials = AwsCredentials {
            access_key_id: secret(),
            secret_access_key: secret(),
            session_token: Some(secret()),
        };
        assert!(!format!("{:?}", Response::Credentials(credentials)).contains("MARKER"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_request(&mut bytes.as_slice()));
            let _ = decode::<Response>(&bytes);
        }
    }
}
