//! The auditor's keys in files, and `sekisho audit keygen`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use sekisho_enclave::{AuditorPrivateKey, InvalidAuditorKey};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::pem;
use crate::service::folder::write_private;

const EXAMPLES: &str = "\
Examples:
  A key pair of the auditor's, whose private half the machine of the service never sees:
    sekisho audit keygen --out auditor.pem > auditor-public.pem
    sekisho dev --auditor-key auditor-public.pem

  The same with OpenSSL:
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out auditor.pem
    openssl pkey -in auditor.pem -pubout -out auditor-public.pem";

/// Make an auditor's key pair.
///
/// The private key goes to a file that only its owner may read; the public key, for the service,
/// to standard output. Both are in PEM: P-384.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where to write the private key; a file that is there is not overwritten.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
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

pub(crate) fn generate() -> Result<AuditorPrivateKey, AuditorKeyError> {
    AuditorPrivateKey::generate().map_err(AuditorKeyError::Make)
}

/// PKCS #8.
pub(crate) fn private_pem(pair: &AuditorPrivateKey) -> Result<String, AuditorKeyError> {
    let der = pair.to_pkcs8().map_err(AuditorKeyError::Make)?;
    Ok(pem::encode("PRIVATE KEY", &der))
}

/// Reads a public key in PEM: its DER SubjectPublicKeyInfo.
///
/// Whether it is one that the worker takes is for the worker to say.
pub(crate) fn public_key(path: &Path) -> Result<Vec<u8>, AuditorKeyError> {
    let text = read(path)?;
    if let Ok(key) = SubjectPublicKeyInfoDer::from_pem_slice(&text) {
        return Ok(key.to_vec());
    }
    let path = path.to_owned();
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(_) => Err(AuditorKeyError::Private { path }),
        Err(_) => Err(AuditorKeyError::NotPublic { path }),
    }
}

/// Reads a private key in PEM.
pub(crate) fn private_key(path: &Path) -> Result<AuditorPrivateKey, AuditorKeyError> {
    let text = read(path)?;
    let key = PrivateKeyDer::from_pem_slice(&text).ok();
    let key = key.and_then(|key| AuditorPrivateKey::from_der(key.secret_der()).ok());
    key.ok_or_else(|| AuditorKeyError::NotPrivate { path: path.to_owned() })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, AuditorKeyError> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|source| AuditorKeyError::Io { path: path.to_owned(), source })
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditorKeyError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} is a private key, which belongs to the auditor alone: give its public half (openssl \
         pkey -in FILE -pubout)",
        path.display()
    )]
    Private { path: PathBuf },
    #[error("{} is no public key in PEM (sekisho audit keygen makes one)", path.display())]
    NotPublic { path: PathBuf },
    #[error(
        "{} is no P-384 private key in PEM, as sekisho audit keygen makes it",
        path.display()
    )]
    NotPrivate { path: PathBuf },
    #[error("an auditor's key cannot be made: {0}")]
    Make(InvalidAuditorKey),
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
        assert!(matches!(public_key(&path), Err(AuditorKeyError::Private { .. })));
        assert!(matches!(run(&Arguments { out: path.clone() }), Err(Failure::Usage(_))));
        let public = folder.path().join("public.pem");
        fs::write(&public, pem::encode("PUBLIC KEY", pair.public_key())).unwrap();
        assert_eq!(public_key(&public).unwrap(), pair.public_key());
        assert!(matches!(private_key(&public), Err(AuditorKeyError::NotPrivate { .. })));
        fs::write(&public, "nothing").unwrap();
        assert!(matches!(public_key(&public), Err(AuditorKeyError::NotPublic { .. })));
    }
}
