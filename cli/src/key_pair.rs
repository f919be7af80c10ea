//! Key pairs of those to whom a worker encrypts (the auditor, the administrator, the holders of
//! shares) in files, and how they are made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use sekisho_enclave::{HpkePair, InvalidPrivateKey};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::pem;
use crate::service::folder::write_private;

/// Make a P-384 key pair.
///
/// The private key goes to a file that only its owner may read; the public key, for the service,
/// to standard output. Both are in PEM.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Where to write the private key; a file that is there is not overwritten.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let out = &arguments.out;
    if out.symlink_metadata().is_ok() {
        return Err(Failure::usage(format_args!(
            "{} is there already, and without it what is encrypted to it cannot be read: choose \
             another --out",
            out.display()
        )));
    }
    let pair = generate().map_err(Failure::failed)?;
    let text = Zeroizing::new(private_pem(&pair).map_err(Failure::failed)?);
    write_private(out, text.as_bytes())
        .map_err(|error| Failure::failed(format_args!("{}: {error}", out.display())))?;
    print!("{}", pem::encode("PUBLIC KEY", pair.public_key()));
    Ok(())
}

pub(crate) fn generate() -> Result<HpkePair, KeyFileError> {
    HpkePair::generate().map_err(KeyFileError::Make)
}

/// PKCS #8.
pub(crate) fn private_pem(pair: &HpkePair) -> Result<String, KeyFileError> {
    let der = pair.to_pkcs8().map_err(KeyFileError::Make)?;
    Ok(pem::encode("PRIVATE KEY", &der))
}

/// Reads a public key in PEM: its DER SubjectPublicKeyInfo.
///
/// Whether it is one that the worker takes is for the worker to say.
pub(crate) fn public_key(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    let text = read(path)?;
    if let Ok(key) = SubjectPublicKeyInfoDer::from_pem_slice(&text) {
        return Ok(key.to_vec());
    }
    let path = path.to_owned();
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(_) => Err(KeyFileError::Private { path }),
        Err(_) => Err(KeyFileError::NotPublic { path }),
    }
}

/// Reads a private key in PEM.
pub(crate) fn private_key(path: &Path) -> Result<HpkePair, KeyFileError> {
    let text = read(path)?;
    let key = PrivateKeyDer::from_pem_slice(&text).ok();
    let key = key.and_then(|key| HpkePair::from_der(key.secret_der()).ok());
    key.ok_or_else(|| KeyFileError::NotPrivate { path: path.to_owned() })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|source| KeyFileError::Io { path: path.to_owned(), source })
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} is a private key, which belongs to its owner alone: give its public half (openssl \
         pkey -in FILE -pubout)",
        path.display()
    )]
    Private { path: PathBuf },
    #[error("{} is no public key in PEM (sekisho audit keygen and sekisho principal keygen make one)", path.display())]
    NotPublic { path: PathBuf },
    #[error(
        "{} is no P-384 private key in PEM, as sekisho audit keygen and sekisho principal keygen make it",
        path.display()
    )]
    NotPrivate { path: PathBuf },
    #[error("a key pair cannot be made: {0}")]
    Make(InvalidPrivateKey),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_half_is_told_from_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auditor.pem");
        run(&Arguments { out: path.clone() }).unwrap();
        let pair = private_key(&path).unwrap();
        assert!(matches!(public_key(&path), Err(KeyFileError::Private { .. })));
        assert!(matches!(run(&Arguments { out: path.clone() }), Err(Failure::Usage(_))));
        let public = folder.path().join("public.pem");
        fs::write(&public, pem::encode("PUBLIC KEY", pair.public_key())).unwrap();
        assert_eq!(public_key(&public).unwrap(), pair.public_key());
        assert!(matches!(private_key(&public), Err(KeyFileError::NotPrivate { .. })));
        fs::write(&public, "nothing").unwrap();
        assert!(matches!(public_key(&public), Err(KeyFileError::NotPublic { .. })));
    }
}
