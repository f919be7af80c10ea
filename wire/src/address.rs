//! Where a host or a worker is reached: one type for every transport.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An endpoint that host or worker dials or listens on.
///
/// | written | transport |
/// |---|---|
/// | `vsock:<cid>:<port>` | AF_VSOCK: AWS Nitro, any virtio-vsock device; `any` for the CID when listening |
/// | `hybrid:<socket path>:<port>` | a VM's vsock behind a Unix socket: Firecracker, Cloud Hypervisor, vhost-device-vsock |
/// | `unix:<path>` | a Unix socket between two plain processes |
///
/// The port of `hybrid:` stands after the *last* colon, so its path may contain colons.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// AF_VSOCK.
    Vsock {
        /// Context id; [`CID_ANY`] only makes sense for listening.
        cid: u32,
        /// Port.
        port: u32,
    },
    /// A VM's vsock behind a Unix socket.
    Hybrid {
        /// The VM's socket. Dialled as it is, listened on as `<path>_<port>`.
        path: PathBuf,
        /// Port on the far side of the VM's vsock device.
        port: u32,
    },
    /// A Unix socket.
    Unix {
        /// The socket's path.
        path: PathBuf,
    },
}

/// `VMADDR_CID_ANY` (`vsock(7)`): listen on whatever CID this machine has.
pub const CID_ANY: u32 = u32::MAX;

/// `VMADDR_PORT_ANY` (`vsock(7)`) is not an address that a peer could be told.
const PORT_ANY: u32 = u32::MAX;

/// What `sockaddr_un` (`unix(7)`) holds: 108 bytes with the final zero.
const UNIX_PATH_LIMIT: usize = 107;

impl Address {
    /// The Unix socket that [`Address::listen`](crate::stream) binds, if this transport has one.
    pub fn listening_path(&self) -> Option<PathBuf> {
        match self {
            Self::Vsock { .. } => None,
            Self::Hybrid { path, port } => Some(hybrid_listening_path(path, *port)),
            Self::Unix { path } => Some(path.clone()),
        }
    }

    /// Another port of the same machine; none for a Unix socket.
    pub fn at_port(&self, port: u32) -> Option<Self> {
        match self {
            Self::Vsock { cid, .. } => Some(Self::Vsock { cid: *cid, port }),
            Self::Hybrid { path, .. } => Some(Self::Hybrid { path: path.clone(), port }),
            Self::Unix { .. } => None,
        }
    }
}

fn hybrid_listening_path(path: &Path, port: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("_{port}"));
    PathBuf::from(name)
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (transport, rest) = text.split_once(':').ok_or(AddressError::NoTransport)?;
        match transport {
            "vsock" => {
                let (cid, port) = rest.split_once(':').ok_or(AddressError::NoPort)?;
                Ok(Self::Vsock { cid: parse_cid(cid)?, port: parse_port(port)? })
            }
            "hybrid" => {
                let (path, port) = rest.rsplit_once(':').ok_or(AddressError::NoPort)?;
                let (path, port) = (parse_path(path)?, parse_port(port)?);
                check_path(&hybrid_listening_path(&path, port))?;
                Ok(Self::Hybrid { path, port })
            }
            "unix" => Ok(Self::Unix { path: parse_path(rest)? }),
            _ => Err(AddressError::UnknownTransport),
        }
    }
}

fn parse_cid(text: &str) -> Result<u32, AddressError> {
    match text {
        "any" => Ok(CID_ANY),
        _ => parse_number(text).ok_or(AddressError::BadCid),
    }
}

fn parse_port(text: &str) -> Result<u32, AddressError> {
    parse_number(text).filter(|port| *port != PORT_ANY).ok_or(AddressError::BadPort)
}

/// Digits alone: `u32::from_str` would take a leading plus too.
fn parse_number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn parse_path(text: &str) -> Result<PathBuf, AddressError> {
    let path = PathBuf::from(text);
    check_path(&path)?;
    Ok(path)
}

fn check_path(path: &Path) -> Result<(), AddressError> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() {
        Err(AddressError::EmptyPath)
    } else if bytes.contains(&0) {
        Err(AddressError::ZeroInPath)
    } else if bytes.len() > UNIX_PATH_LIMIT {
        Err(AddressError::PathTooLong { length: bytes.len() })
    } else {
        Ok(())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vsock { cid: CID_ANY, port } => write!(f, "vsock:any:{port}"),
            Self::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            Self::Hybrid { path, port } => write!(f, "hybrid:{}:{port}", path.display()),
            Self::Unix { path } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text is not an [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No colon at all.
    #[error(
        "an address starts with its transport: vsock:<cid>:<port>, hybrid:<path>:<port> or unix:<path>"
    )]
    NoTransport,
    /// A transport that does not exist.
    #[error("the transport is vsock, hybrid or unix")]
    UnknownTransport,
    /// `vsock:` and `hybrid:` need a port.
    #[error("the port is missing: vsock:<cid>:<port> or hybrid:<path>:<port>")]
    NoPort,
    /// The CID is not a number that fits.
    #[error("the CID is a decimal number of 32 bits, or `any`")]
    BadCid,
    /// The port is not a number that fits.
    #[error("the port is a decimal number below 4294967295")]
    BadPort,
    /// A socket path of no characters.
    #[error("the socket path is empty")]
    EmptyPath,
    /// A socket path with a zero byte.
    #[error("the socket path contains a zero byte")]
    ZeroInPath,
    /// A socket path that `sockaddr_un` cannot hold.
    #[error("the socket path has {length} bytes, a Unix socket's has at most {UNIX_PATH_LIMIT}")]
    PathTooLong {
        /// Bytes in the path, with `_<port>` for `hybrid:`.
        length: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_transport() {
        assert_eq!("vsock:16:8443".parse(), Ok(Address::Vsock { cid: 16, port: 8443 }));
        assert_eq!("vsock:any:1".parse(), Ok(Address::Vsock { cid: CID_ANY, port: 1 }));
        assert_eq!(
            "hybrid:/run/v.sock:5000".parse(),
            Ok(Address::Hybrid { path: "/run/v.sock".into(), port: 5000 })
        );
        assert_eq!("unix:./w:1.sock".parse(), Ok(Address::Unix { path: "./w:1.sock".into() }));
    }

    #[test]
    fn a_hybrid_listener_appends_its_port() {
        let address: Address = "hybrid:/run/a:b.sock:5000".parse().unwrap();
        assert_eq!(address.listening_path(), Some("/run/a:b.sock_5000".into()));
    }

    #[test]
    fn another_port_of_the_same_machine() {
        for (address, other) in [
            ("vsock:16:8443", Some("vsock:16:7")),
            ("hybrid:/run/v.sock:8443", Some("hybrid:/run/v.sock:7")),
            ("unix:/run/v.sock", None),
        ] {
            let address: Address = address.parse().unwrap();
            assert_eq!(address.at_port(7).map(|other| other.to_string()).as_deref(), other);
        }
    }

    #[test]
    fn each_malformation() {
        let long = "a".repeat(108);
        for (text, error) in [
            ("", AddressError::NoTransport),
            ("8443", AddressError::NoTransport),
            ("tcp:1:2", AddressError::UnknownTransport),
            ("VSOCK:1:2", AddressError::UnknownTransport),
            ("vsock:16", AddressError::NoPort),
            ("vsock::1", AddressError::BadCid),
            ("vsock:-1:1", AddressError::BadCid),
            ("vsock:+1:1", AddressError::BadCid),
            ("vsock:4294967296:1", AddressError::BadCid),
            ("vsock:1:", AddressError::BadPort),
            ("vsock:1:2:3", AddressError::BadPort),
            ("vsock:1:4294967295", AddressError::BadPort),
            ("vsock:1: 2", AddressError::BadPort),
            ("hybrid:/run/v.sock", AddressError::NoPort),
            ("hybrid::5", AddressError::EmptyPath),
            ("hybrid:/run/v.sock:x", AddressError::BadPort),
            ("unix:", AddressError::EmptyPath),
            ("unix:a\0b", AddressError::ZeroInPath),
            (&format!("unix:{long}"), AddressError::PathTooLong { length: 108 }),
            (&format!("hybrid:{}:7", &long[..106]), AddressError::PathTooLong { length: 108 }),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text:?}");
        }
    }

    fn any_address() -> impl Strategy<Value = Address> {
        let path = "[^\0]{1,20}";
        prop_oneof![
            (any::<u32>(), 0..PORT_ANY).prop_map(|(cid, port)| Address::Vsock { cid, port }),
            (path, 0..PORT_ANY)
                .prop_map(|(path, port)| Address::Hybrid { path: path.into(), port }),
            path.prop_map(|path| Address::Unix { path: path.into() }),
        ]
    }

    proptest! {
        #[test]
        fn written_and_read_again(address in any_address()) {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        }

        #[test]
        fn any_text_is_an_address_or_an_error(text in ".{0,200}") {
            let _ = text.parse::<Address>();
        }
    }
}
