//! An enclave image file (EIF, version 4 and before), and what a Nitro Enclave measures of it.
//!
//! All numbers are big-endian. A header of 548 bytes has magic `.eif`, version, flags, default memory
//! and processors, the number of sections, for each its place and its size, and a CRC-32 over
//! everything but itself. A section has its kind (2 bytes), flags (2) and size (8) before its bytes.
//!
//! A register is SHA-384 of 48 zeros and the SHA-384 of what it measures: PCR0 of kernel, command line
//! and all ramdisks, PCR1 of those with the first ramdisk alone, PCR2 of the other ramdisks, and PCR8
//! of the certificate (DER) that the image is signed with. Flags and metadata are not measured.
//!
//! Sources: the definitions of `aws-nitro-enclaves-image-format`, and "Cryptographic attestation" in
//! the AWS Nitro Enclaves User Guide.

use minicbor::Decoder;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sekisho_attestation::PcrValue;
use sha2::{Digest as _, Sha384};
use std::io::{self, Read};

const MAGIC: &[u8; 4] = b".eif";
const HEADER: usize = 548;
/// The checksum at the header's end.
const CRC: usize = 4;
const SECTION_HEADER: u64 = 12;
const MAX_SECTIONS: usize = 32;
/// The newest version of the format.
const VERSION: u16 = 4;
/// A signature section that is read into memory.
const MAX_SIGNATURE: u64 = 64 * 1024;
/// Read at a time.
const CHUNK: usize = 64 * 1024;

/// What an image measures to, and what it consists of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) version: u16,
    /// Kinds and sizes in bytes, in the order of the file.
    pub(super) sections: Vec<(Kind, u64)>,
    /// By rising index: 0, 1, 2, and 8 where it is signed.
    pub(super) registers: Vec<(u8, PcrValue)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Kernel,
    CommandLine,
    Ramdisk,
    Signature,
    Metadata,
}

impl Kind {
    fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Kernel),
            2 => Some(Self::CommandLine),
            3 => Some(Self::Ramdisk),
            4 => Some(Self::Signature),
            5 => Some(Self::Metadata),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::CommandLine => "command line",
            Self::Ramdisk => "ramdisk",
            Self::Signature => "signature",
            Self::Metadata => "metadata",
        }
    }
}

/// Measures an image while it is read. Nothing but a signature is kept of it.
///
/// Loaders find sections by their places or one behind the other; an image where the two differ is
/// refused, since it would boot as something else than it measures to.
///
/// # Errors
/// Where it is not an image, is cut short or damaged, or the reader fails.
pub(super) fn measure(image: impl Read) -> Result<Image, ImageError> {
    let mut image = Source { from: image, at: 0, crc: crc32fast::Hasher::new() };
    let header = Header::read(&mut image)?;
    let mut registers = Registers::default();
    let mut sections = Vec::new();
    for (place, size) in &header.sections {
        if image.at != *place {
            return Err(ImageError::Misplaced { place: *place, at: image.at });
        }
        let (kind, written) = section_header(&mut image)?;
        if written != *size {
            return Err(ImageError::TwoSizes { kind: kind.name(), at: *place });
        }
        check_order(&sections, kind)?;
        registers.take(&mut image, kind, *size)?;
        sections.push((kind, *size));
    }
    image.ends(header.crc)?;
    if !sections.iter().any(|(kind, _)| *kind == Kind::Ramdisk) {
        return Err(ImageError::Missing("ramdisk"));
    }
    Ok(Image { version: header.version, sections, registers: registers.values() })
}

/// A kernel, a command line, and then the rest, with one signature and one metadata at most.
fn check_order(before: &[(Kind, u64)], kind: Kind) -> Result<(), ImageError> {
    let count = before.iter().filter(|(known, _)| *known == kind).count();
    match (before.len(), kind) {
        (0, Kind::Kernel) | (1, Kind::CommandLine) => Ok(()),
        (0, _) => Err(ImageError::Missing("kernel at its start")),
        (1, _) => Err(ImageError::Missing("command line behind the kernel")),
        (_, Kind::Ramdisk) => Ok(()),
        (_, Kind::Signature | Kind::Metadata) if count == 0 => Ok(()),
        _ => Err(ImageError::Repeated(kind.name())),
    }
}

struct Header {
    version: u16,
    /// Place and size of each.
    sections: Vec<(u64, u64)>,
    crc: u32,
}

impl Header {
    fn read(image: &mut Source<impl Read>) -> Result<Self, ImageError> {
        let mut bytes = [0; HEADER - CRC];
        image.fill(&mut bytes)?;
        let mut numbers = Numbers(&bytes);
        if numbers.take() != *MAGIC {
            return Err(ImageError::NoImage);
        }
        let version = numbers.u16();
        if version > VERSION {
            return Err(ImageError::Version(version));
        }
        // Flags, default memory, default processors, reserved.
        let _ = (numbers.u16(), numbers.u64(), numbers.u64(), numbers.u16());
        let count = usize::from(numbers.u16());
        if count > MAX_SECTIONS {
            return Err(ImageError::TooMany(count));
        }
        let places: Vec<u64> = (0..MAX_SECTIONS).map(|_| numbers.u64()).collect();
        let sizes: Vec<u64> = (0..MAX_SECTIONS).map(|_| numbers.u64()).collect();
        let sections = places.into_iter().zip(sizes).take(count).collect();
        Ok(Self { version, sections, crc: image.crc_field()? })
    }
}

fn section_header(image: &mut Source<impl Read>) -> Result<(Kind, u64), ImageError> {
    let at = image.at;
    let mut bytes = [0; SECTION_HEADER as usize];
    image.fill(&mut bytes)?;
    let mut numbers = Numbers(&bytes);
    let number = numbers.u16();
    let _flags = numbers.u16();
    let kind = Kind::from_number(number).ok_or(ImageError::Kind { number, at })?;
    Ok((kind, numbers.u64()))
}

/// Takes big-endian numbers off the front of as many bytes as they need.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (number, rest) = self.0.split_first_chunk().unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *number
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }
}

/// The image, read once, with its checksum.
struct Source<R> {
    from: R,
    at: u64,
    crc: crc32fast::Hasher,
}

impl<R: Read> Source<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ImageError> {
        self.from.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ImageError::Short { at: self.at },
            _ => ImageError::Io(error),
        })?;
        self.crc.update(bytes);
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// The checksum's own four bytes are not of what it is over.
    fn crc_field(&mut self) -> Result<u32, ImageError> {
        let before = self.crc.clone();
        let mut bytes = [0; CRC];
        self.fill(&mut bytes)?;
        self.crc = before;
        Ok(u32::from_be_bytes(bytes))
    }

    /// Hands the next `size` bytes over, a chunk at a time.
    fn chunks(&mut self, size: u64, mut take: impl FnMut(&[u8])) -> Result<(), ImageError> {
        let mut chunk = vec![0; CHUNK];
        let mut left = size;
        while left > 0 {
            let length = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            let part = chunk.get_mut(..length).unwrap_or_default();
            self.fill(part)?;
            take(part);
            left -= length as u64;
        }
        Ok(())
    }

    fn ends(mut self, crc: u32) -> Result<(), ImageError> {
        let mut more = [0];
        if self.from.read(&mut more).map_err(ImageError::Io)? > 0 {
            return Err(ImageError::Trailing { at: self.at });
        }
        let found = self.crc.finalize();
        if found == crc { Ok(()) } else { Err(ImageError::Checksum { stored: crc, found }) }
    }
}

#[derive(Default)]
struct Registers {
    image: Sha384,
    bootstrap: Sha384,
    application: Sha384,
    ramdisks: usize,
    certificate: Option<PcrValue>,
}

impl Registers {
    fn take(
        &mut self,
        image: &mut Source<impl Read>,
        kind: Kind,
        size: u64,
    ) -> Result<(), ImageError> {
        match kind {
            Kind::Metadata => image.chunks(size, |_| {}),
            Kind::Signature => {
                if size > MAX_SIGNATURE {
                    return Err(ImageError::Signature);
                }
                let mut bytes = Vec::new();
                image.chunks(size, |chunk| bytes.extend_from_slice(chunk))?;
                self.certificate = Some(certificate(&bytes)?);
                Ok(())
            }
            Kind::Kernel | Kind::CommandLine | Kind::Ramdisk => {
                let first = self.ramdisks == 0;
                self.ramdisks += usize::from(kind == Kind::Ramdisk);
                let part = if first { &mut self.bootstrap } else { &mut self.application };
                image.chunks(size, |chunk| {
                    self.image.update(chunk);
                    part.update(chunk);
                })
            }
        }
    }

    fn values(self) -> Vec<(u8, PcrValue)> {
        let measured = [(0, self.image), (1, self.bootstrap), (2, self.application)];
        let measured = measured.map(|(index, hash)| (index, extended(hash)));
        let certificate = self.certificate.map(|value| (8, value));
        measured.into_iter().chain(certificate).collect()
    }
}

/// A register of zeros, extended once.
fn extended(measured: Sha384) -> PcrValue {
    let hash = Sha384::new().chain_update([0; 48]).chain_update(measured.finalize());
    PcrValue::new(hash.finalize().into())
}

/// The register of the certificate in a signature section.
fn certificate(section: &[u8]) -> Result<PcrValue, ImageError> {
    let pem = signing_certificate(section).map_err(|_| ImageError::Signature)?;
    let der = CertificateDer::from_pem_slice(&pem.ok_or(ImageError::Signature)?);
    let der = der.map_err(|_| ImageError::Signature)?;
    Ok(extended(Sha384::new().chain_update(der)))
}

/// The section is a CBOR list of one map, in which bytes are lists of numbers. The certificate is PEM.
fn signing_certificate(section: &[u8]) -> Result<Option<Vec<u8>>, minicbor::decode::Error> {
    let mut decoder = Decoder::new(section);
    let mut certificate = None;
    if decoder.array()? != Some(1) {
        return Ok(None);
    }
    for _ in 0..decoder.map()?.unwrap_or_default() {
        match decoder.str()? {
            "signing_certificate" => {
                certificate = Some(decoder.array_iter()?.collect::<Result<_, _>>()?);
            }
            _ => decoder.skip()?,
        }
    }
    Ok(certificate)
}

/// Why a file does not measure.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageError {
    #[error("it is no enclave image file: it does not begin with .eif")]
    NoImage,
    #[error("version {0} of the format is newer than {VERSION}, the newest that is known here")]
    Version(u16),
    #[error("{0} sections; an image has at most {MAX_SECTIONS}")]
    TooMany(usize),
    #[error("it ends at byte {at}, in the middle of something: copy or build it again")]
    Short { at: u64 },
    #[error(
        "the header says that a section begins at byte {place}, and the one before ends at {at}"
    )]
    Misplaced { place: u64, at: u64 },
    #[error("the {kind} at byte {at} has another size in the header")]
    TwoSizes { kind: &'static str, at: u64 },
    #[error("a section of the unknown kind {number} at byte {at}")]
    Kind { number: u16, at: u64 },
    #[error("there is no {0}")]
    Missing(&'static str),
    #[error("a second {0}")]
    Repeated(&'static str),
    #[error("the signature is not a list of one, with a certificate in PEM")]
    Signature,
    #[error("there is more behind the last section, at byte {at}")]
    Trailing { at: u64 },
    #[error("its checksum is {found:08x} where the header says {stored:08x}: it is damaged")]
    Checksum { stored: u32, found: u32 },
    #[error(transparent)]
    Io(io::Error),
}

#[cfg(test)]
mod tests;
