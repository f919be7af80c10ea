//! Measurements: named sets of registers, and whether an attestation holds one.

use sekisho_policy::json::Cursor;
use sekisho_policy::state::{Reader, Writer};
use sekisho_policy::{Attestation, AttestationKind, ConfigurationError, bytes};

/// SHA-384, in bytes.
const REGISTER: usize = 48;

/// Registers of a Nitro enclave are numbered 0 to 31, of a NitroTPM 0 to 23.
fn registers(kind: AttestationKind) -> u8 {
    match kind {
        AttestationKind::Enclave => 32,
        AttestationKind::NitroTpm => 24,
    }
}

fn code(kind: AttestationKind) -> u8 {
    match kind {
        AttestationKind::Enclave => 0,
        AttestationKind::NitroTpm => 1,
    }
}

/// A named set of registers that a caller's attestation must hold.
#[derive(Debug)]
pub(crate) struct Measurement {
    pub(crate) name: String,
    kind: AttestationKind,
    /// At least one, each index once, values in lower-case hex.
    registers: Vec<(u8, String)>,
}

impl Measurement {
    pub(crate) fn parse(at: &Cursor<'_>) -> Result<Self, ConfigurationError> {
        let (mut name, mut kind, mut pcrs) = (None, AttestationKind::Enclave, None);
        for (member, value) in at.object()? {
            match member {
                "name" => name = Some(parse_name(&value)?),
                "kind" => kind = parse_kind(&value)?,
                "pcrs" => pcrs = Some(value),
                _ => return Err(value.error("is not a member of a measurement")),
            }
        }
        let name = name.ok_or_else(|| at.error("`name` is missing"))?;
        let pcrs = pcrs.ok_or_else(|| at.error("`pcrs` is missing"))?;
        let registers = pcrs
            .object()?
            .iter()
            .map(|(index, value)| parse_register(kind, index, value))
            .collect::<Result<Vec<_>, _>>()?;
        if registers.is_empty() {
            return Err(
                pcrs.error("at least one register is needed: an empty set would match everyone")
            );
        }
        Ok(Self { name, kind, registers })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.byte(code(self.kind));
        writer.block(|registers| {
            for (index, value) in &self.registers {
                registers.byte(*index);
                registers.string(value);
            }
        });
    }
}

/// The name of the first measurement whose registers `attestation` holds, all of
/// them; the outer `None` where the state is not readable.
pub(crate) fn find(
    mut measurements: Reader<'_>,
    attestation: &Attestation,
) -> Option<Option<String>> {
    while !measurements.is_empty() {
        let name = measurements.bytes()?;
        let kind = measurements.byte()?;
        let registers = measurements.block()?;
        if kind == code(attestation.kind) && holds(attestation, registers)? {
            return Some(Some(String::from_utf8_lossy(name).into_owned()));
        }
    }
    Some(None)
}

fn holds(attestation: &Attestation, mut registers: Reader<'_>) -> Option<bool> {
    while !registers.is_empty() {
        let index = registers.byte()?;
        let value = registers.bytes()?;
        let register = attestation.pcrs.iter().find(|pcr| pcr.index == index);
        if !register.is_some_and(|pcr| bytes::equal(pcr.value.as_bytes(), value)) {
            return Some(false);
        }
    }
    Some(true)
}

fn parse_name(at: &Cursor<'_>) -> Result<String, ConfigurationError> {
    let name = at.string()?;
    if name.is_empty() || name.len() > 128 {
        return Err(at.error("a name has 1 to 128 bytes"));
    }
    Ok(name.into())
}

fn parse_kind(at: &Cursor<'_>) -> Result<AttestationKind, ConfigurationError> {
    match at.string()? {
        "enclave" => Ok(AttestationKind::Enclave),
        "nitro-tpm" => Ok(AttestationKind::NitroTpm),
        _ => Err(at.error("a kind is `enclave` or `nitro-tpm`")),
    }
}

fn parse_register(
    kind: AttestationKind,
    index: &str,
    at: &Cursor<'_>,
) -> Result<(u8, String), ConfigurationError> {
    // One spelling for each index, so that "0" and "00" are not two members.
    let index = index
        .parse::<u8>()
        .ok()
        .filter(|number| *number < registers(kind) && number.to_string() == index)
        .ok_or_else(|| at.error("is not the index of a register"))?;
    let value = at.string()?.to_ascii_lowercase();
    if value.len() != 2 * REGISTER || !value.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(at.error("a register is 96 hexadecimal digits"));
    }
    let zero = value.bytes().all(|digit| digit == b'0');
    if zero && kind == AttestationKind::Enclave && index <= 2 {
        return Err(at.error("all zeros is what any enclave in debug mode shows"));
    }
    Ok((index, value))
}
