//! Errors that a peer can put words into, as words of our own.

use std::error::Error;
use std::io;

/// Why a TLS handshake failed.
pub(crate) fn handshake_kind(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => tls_kind(error),
        None => io_kind(error.kind()),
    }
}

/// Why a connection ended early, from the outermost error that says something of its own.
pub(crate) fn connection_kind(error: &(dyn Error + 'static)) -> &'static str {
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return match error {
            error if error.is_parse_too_large() => "request-head-too-large",
            error if error.is_parse() => "not-http",
            error if error.is_timeout() => "too-slow",
            error if error.is_incomplete_message() => "incomplete-request",
            error if error.is_body_write_aborted() => "response-cut",
            error if error.is_shutdown() => "shutdown-failed",
            error => error.source().map_or("http", connection_kind),
        };
    }
    match error.downcast_ref::<io::Error>() {
        Some(error) => handshake_kind(error),
        None => "other",
    }
}

fn tls_kind(error: &rustls::Error) -> &'static str {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidMessage(_) => "tls-invalid-message",
        Tls::InappropriateMessage { .. } | Tls::InappropriateHandshakeMessage { .. } => {
            "tls-inappropriate-message"
        }
        Tls::PeerIncompatible(_) => "tls-incompatible-peer",
        Tls::PeerMisbehaved(_) => "tls-misbehaved-peer",
        Tls::AlertReceived(_) => "tls-alert",
        Tls::DecryptError => "tls-decrypt",
        Tls::NoApplicationProtocol => "tls-no-application-protocol",
        Tls::PeerSentOversizedRecord => "tls-oversized-record",
        _ => "tls",
    }
}

fn io_kind(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::UnexpectedEof => "closed-early",
        io::ErrorKind::ConnectionReset => "reset",
        io::ErrorKind::BrokenPipe => "broken-pipe",
        io::ErrorKind::TimedOut => "timed-out",
        _ => "system",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_is_not_in_the_kind() {
        let marked = || "MARKER".to_owned();
        let tls = io::Error::other(rustls::Error::General(marked()));
        assert_eq!(handshake_kind(&tls), "tls");
        assert_eq!(handshake_kind(&io::Error::other(marked())), "system");
        assert_eq!(
            connection_kind(&io::Error::new(io::ErrorKind::TimedOut, marked())),
            "timed-out"
        );
        let nested: Box<dyn Error> = marked().into();
        assert_eq!(connection_kind(&*nested), "other");
    }
}
