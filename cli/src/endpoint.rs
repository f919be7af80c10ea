//! The address of a service, as AWS clients take it: `https://<host>[:<port>]`.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::ServerName;

/// The port of `https` (RFC 9110 §4.2.2).
const DEFAULT_PORT: u16 = 443;

/// `https://<host>[:<port>]`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    server_name: ServerName<'static>,
}

impl Endpoint {
    /// The host's name or address.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What its certificate must be for.
    pub(crate) fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }

    /// `<host>:<port>`, as the `Host` field wants it (RFC 9110 §7.2).
    pub(crate) fn authority(&self) -> String {
        match self.server_name {
            ServerName::IpAddress(rustls::pki_types::IpAddr::V6(_)) => {
                format!("[{}]:{}", self.host, self.port)
            }
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let rest = text.strip_prefix("https://").ok_or(EndpointError::Scheme)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(EndpointError::Path);
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, "")) => (address, None),
            Some((address, port)) => {
                (address, Some(port.strip_prefix(':').ok_or(EndpointError::Port)?))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port.parse().map_err(|_| EndpointError::Port)?,
        };
        let server_name = ServerName::try_from(host.to_owned()).map_err(|_| EndpointError::Host)?;
        Ok(Self { host: host.to_owned(), port, server_name })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "https://{}", self.authority())
    }
}

/// Not the address of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error("an endpoint begins with https://")]
    Scheme,
    #[error("an endpoint is https://<host>[:<port>] without a path or a user")]
    Path,
    #[error("the port is not a number between 0 and 65535")]
    Port,
    #[error("the host is neither a DNS name nor an IP address")]
    Host,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_and_written() {
        for (text, written) in [
            ("https://kms.example", "https://kms.example:443"),
            ("https://127.0.0.1:8443/", "https://127.0.0.1:8443"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://[::1]", "https://[::1]:443"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for (text, error) in [
            ("http://localhost", EndpointError::Scheme),
            ("localhost:8443", EndpointError::Scheme),
            ("https://localhost/attestation", EndpointError::Path),
            ("https://user@localhost", EndpointError::Path),
            ("https://localhost:port", EndpointError::Port),
            ("https://[::1]8443", EndpointError::Port),
            ("https://", EndpointError::Host),
            ("https://a b", EndpointError::Host),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }
}
