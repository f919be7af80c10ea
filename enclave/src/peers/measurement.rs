//! The registers of a worker that may have the root key.

use crate::configuration::BOOT_CONFIGURATION_PCR;
use sekisho_attestation::{PcrIndex, PcrValue, Pcrs, VerifiedDocument};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The registers that say which image runs (AWS: "PCR0 to PCR2").
const IMAGE: [u8; 3] = [0, 1, 2];

/// Registers and their values: PCR0 to 2 always, others where they are wanted.
///
/// As text `0=<96 hexadecimal digits>,1=…,2=…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Measurement(Pcrs);

impl Measurement {
    /// Takes over registers.
    ///
    /// # Errors
    /// [`InvalidMeasurement`] where PCR0, 1 or 2 is missing or zero, as in debug mode.
    pub fn new(pcrs: Pcrs) -> Result<Self, InvalidMeasurement> {
        let measured = |index: u8| pcrs.get(index).is_some_and(|value| !value.is_zero());
        if IMAGE.into_iter().all(measured) { Ok(Self(pcrs)) } else { Err(InvalidMeasurement) }
    }

    /// Whether a document has all of these registers with these values.
    pub(crate) fn is_of(&self, document: &VerifiedDocument) -> bool {
        self.0.iter().all(|(index, value)| document.pcrs().get(index.get()) == Some(value))
    }

    /// Whether it also says how the worker is configured.
    pub(crate) fn names_configuration(&self) -> bool {
        u8::try_from(BOOT_CONFIGURATION_PCR).is_ok_and(|index| self.0.get(index).is_some())
    }

    /// The registers.
    pub fn pcrs(&self) -> &Pcrs {
        &self.0
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (index, value)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}={value}", index.get())?;
        }
        Ok(())
    }
}

impl From<Measurement> for String {
    fn from(measurement: Measurement) -> Self {
        measurement.to_string()
    }
}

impl TryFrom<String> for Measurement {
    type Error = InvalidMeasurement;

    fn try_from(text: String) -> Result<Self, InvalidMeasurement> {
        text.parse()
    }
}

impl FromStr for Measurement {
    type Err = InvalidMeasurement;

    fn from_str(text: &str) -> Result<Self, InvalidMeasurement> {
        let register = |part: &str| {
            let (index, value) = part.split_once('=')?;
            let digits = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
            let index = index.parse().ok().filter(|_| digits).and_then(PcrIndex::new)?;
            Some((index.get(), value.parse::<PcrValue>().ok()?))
        };
        // More than there are registers is not read at all.
        let parts = text.split(',').take(Pcrs::MAX_COUNT + 1).map(register);
        let registers: Option<Vec<_>> = parts.collect();
        let pcrs = Pcrs::new(registers.ok_or(InvalidMeasurement)?);
        Self::new(pcrs.map_err(|_| InvalidMeasurement)?)
    }
}

/// Not the registers of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a measurement is given as 0=HEX,1=HEX,2=HEX: registers by their numbers, each with 96 \
     hexadecimal digits, PCR0 to 2 among them and not zero"
)]
pub struct InvalidMeasurement;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_three_registers_that_are_not_zero() {
        let (ab, zero) = ("ab".repeat(48), "00".repeat(48));
        let good = format!("0={ab},1={ab},2={ab}");
        assert_eq!(good.parse::<Measurement>().unwrap().to_string(), good);
        assert!(!good.parse::<Measurement>().unwrap().names_configuration());
        let configured = format!("{good},16={ab}");
        assert!(configured.parse::<Measurement>().unwrap().names_configuration());
        for bad in [
            String::new(),
            format!("0={ab},1={ab}"),
            format!("0={ab},1={ab},2={zero}"),
            format!("0={zero},1={zero},2={zero}"),
            format!("{good},2={ab}"),
            format!("{good},32={ab}"),
            format!("{good},+8={ab}"),
            format!("{good},"),
            format!("{good},8={ab}00"),
        ] {
            assert_eq!(bad.parse::<Measurement>(), Err(InvalidMeasurement), "{bad}");
        }
    }
}
