//! What the command line says about whom to trust: roots and measurements.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sekisho_attestation::{Expectation, PcrIndex, PcrValue, Pcrs, TrustAnchors};

use crate::failure::Failure;

/// `N=HEX`: a register and the value that it must have.
pub(crate) fn parse_pcr(text: &str) -> Result<(u8, PcrValue), String> {
    let (index, value) = text.split_once('=').ok_or("a PCR is given as N=HEX, such as 0=3f…")?;
    let index = index.trim_start_matches("PCR").parse().ok().and_then(PcrIndex::new);
    let index =
        index.ok_or_else(|| format!("the index is not a number up to {}", PcrIndex::MAX.get()))?;
    let value = value.parse::<PcrValue>().map_err(|error| error.to_string())?;
    Ok((index.get(), value))
}

/// Whom to trust for an attestation, and for which code.
#[derive(clap::Args, Debug)]
pub(crate) struct Trust {
    /// A register and the value that it must have, 96 hexadecimal digits; repeatable.
    #[arg(long = "pcr", value_name = "N=HEX", value_parser = parse_pcr)]
    pcrs: Vec<(u8, PcrValue)>,

    /// Accept any code, as long as the document is genuine.
    #[arg(long)]
    any_measurement: bool,

    /// Accept an enclave in debug mode, whose measurements prove nothing.
    #[arg(long)]
    allow_debug: bool,

    /// A root to trust instead of AWS's, PEM or DER; repeatable.
    #[arg(long = "root", value_name = "FILE")]
    roots: Vec<PathBuf>,
}

impl Trust {
    /// The code that is expected.
    pub(crate) fn expectation(&self) -> Result<Expectation, Failure> {
        let expectation = expectation(&self.pcrs, self.any_measurement)?;
        Ok(if self.allow_debug { expectation.allow_debug() } else { expectation })
    }

    /// The roots.
    pub(crate) fn anchors(&self) -> Result<TrustAnchors, Failure> {
        anchors(&self.roots)
    }
}

/// The expectation that `--pcr` and `--any-measurement` make; without either there is none.
pub(crate) fn expectation(
    pcrs: &[(u8, PcrValue)],
    any_measurement: bool,
) -> Result<Expectation, Failure> {
    match (pcrs, any_measurement) {
        ([], true) => Ok(Expectation::any_measurement()),
        ([], false) => Err(Failure::usage(
            "say which code is expected with --pcr N=HEX, or --any-measurement if any will do: \
             a document that is only genuine says nothing about what runs",
        )),
        (_, true) => Err(Failure::usage("--pcr and --any-measurement contradict each other")),
        (pcrs, false) => {
            Ok(Expectation::measurements(Pcrs::new(pcrs.iter().copied()).map_err(Failure::usage)?))
        }
    }
}

/// The roots in these files, PEM or DER; AWS's where there are none.
pub(crate) fn anchors(files: &[PathBuf]) -> Result<TrustAnchors, Failure> {
    if files.is_empty() {
        return Ok(TrustAnchors::aws_nitro());
    }
    let mut roots = Vec::new();
    for file in files {
        roots.extend(certificates(file)?);
    }
    TrustAnchors::from_der(roots).map_err(Failure::usage)
}

pub(crate) fn certificates(file: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let in_file =
        |error: &dyn std::fmt::Display| Failure::usage(format_args!("{}: {error}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| in_file(&error))?;
    if !bytes.starts_with(b"-----") {
        return Ok(vec![bytes]);
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes)
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(in_file(&"no certificate in PEM")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_read() {
        let value = "ab".repeat(48);
        for text in [format!("0={value}"), format!("PCR0={value}")] {
            assert_eq!(parse_pcr(&text).unwrap(), (0, value.parse().unwrap()));
        }
        for wrong in ["0", "32=00", "x=00", "0=00", &format!("0={value}00")] {
            assert!(parse_pcr(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_expectation_is_not_any_expectation() {
        let pcr = parse_pcr(&format!("0={}", "ab".repeat(48))).unwrap();
        assert!(expectation(&[], false).is_err());
        assert!(expectation(&[pcr], true).is_err());
        assert!(expectation(&[pcr, pcr], false).is_err());
        assert!(expectation(&[pcr], false).is_ok());
        assert!(expectation(&[], true).is_ok());
    }
}
