//! HTTP/1.1 over TLS that the worker began: what an unseal provider is asked, and its answers, bounded.

use super::failure::Failure;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use sekisho_wire::Stream;
use std::time::Duration;
use tokio_rustls::client::TlsStream;

/// From the first byte of TLS to the last of the last answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// The head of an answer.
const MAX_HEAD: usize = 16 * 1024;
/// A document, or a CiphertextBlob and an envelope, in base64, and a certificate: some ten kilobytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Requests on one connection, one after the other.
pub(super) struct Conversation(SendRequest<Full<Bytes>>);

impl Conversation {
    pub(super) async fn over(stream: TlsStream<Stream>) -> Result<Self, Failure> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Failure::Broken)?;
        // Ends with the sender, or with the stream.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Whatever the status is: what it means is the provider's to say.
    pub(super) async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        self.0.ready().await.map_err(|_| Failure::Broken)?;
        let answer = self.0.send_request(request).await.map_err(|_| Failure::Broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => Failure::TooLarge,
            false => Failure::Broken,
        })?;
        Ok((status, body.to_bytes()))
    }
}
