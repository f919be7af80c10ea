//! Platform configuration registers: SHA-384 values under the indices 0 to 31.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;

/// The value of a platform configuration register: 48 bytes, a SHA-384 digest.
///
/// The attestation process's syntax also allows 32 and 64 bytes, but its only digest is
/// `SHA384` (§3.2.2.2), which leaves 48.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PcrValue([u8; PcrValue::LENGTH]);

impl PcrValue {
    /// The length of a value in bytes.
    pub const LENGTH: usize = 48;

    /// A register that nothing was extended into, and what a debug enclave shows as PCR0 to 2.
    pub const ZERO: Self = Self([0; Self::LENGTH]);

    /// The register value with these bytes.
    pub const fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The value's bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Whether every byte is zero.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

impl TryFrom<&[u8]> for PcrValue {
    type Error = InvalidPcrValue;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self).map_err(|_| InvalidPcrValue)
    }
}

/// Reads exactly 96 hexadecimal digits, in either case.
impl FromStr for PcrValue {
    type Err = InvalidPcrValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let mut bytes = [0; Self::LENGTH];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != Self::LENGTH || !rest.is_empty() {
            return Err(InvalidPcrValue);
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = digit(*high).zip(digit(*low)).ok_or(InvalidPcrValue)?;
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for PcrValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PcrValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PcrValue({self})")
    }
}

/// Not a PCR value: it takes 48 bytes, or 96 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a PCR value is 48 bytes (96 hexadecimal digits)")]
pub struct InvalidPcrValue;

/// The index of a platform configuration register: 0 to 31 (§3.2.2.2 of the attestation process).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PcrIndex(u8);

impl PcrIndex {
    /// The greatest index.
    pub const MAX: Self = Self(31);

    /// The register number `index`, if there can be one.
    pub const fn new(index: u8) -> Option<Self> {
        if index <= Self::MAX.0 { Some(Self(index)) } else { None }
    }

    /// The index as a number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for PcrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PCR{}", self.0)
    }
}

/// One or more platform configuration registers and their values, in the order of their indices.
///
/// Never empty: a document without PCRs is refused, and an expectation of none is no
/// expectation.
///
/// ```
/// use sekisho_attestation::{PcrValue, Pcrs};
///
/// let pcrs = Pcrs::new([(0, PcrValue::new([7; 48]))])?;
/// assert_eq!(pcrs.get(0), Some(&PcrValue::new([7; 48])));
/// assert!(Pcrs::new([]).is_err());
/// # Ok::<(), sekisho_attestation::InvalidPcrs>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcrs(BTreeMap<PcrIndex, PcrValue>);

impl Pcrs {
    /// The greatest number of registers.
    pub const MAX_COUNT: usize = PcrIndex::MAX.0 as usize + 1;

    /// These registers.
    ///
    /// # Errors
    /// [`InvalidPcrs`] if there is none, an index is above 31, or an index comes twice.
    pub fn new(registers: impl IntoIterator<Item = (u8, PcrValue)>) -> Result<Self, InvalidPcrs> {
        let mut map = BTreeMap::new();
        for (index, value) in registers {
            let key = PcrIndex::new(index).ok_or(InvalidPcrs::Index)?;
            match map.entry(key) {
                Entry::Vacant(entry) => entry.insert(value),
                Entry::Occupied(_) => return Err(InvalidPcrs::Duplicate(key)),
            };
        }
        if map.is_empty() { Err(InvalidPcrs::Empty) } else { Ok(Self(map)) }
    }

    /// The value of the register `index`, or nothing if it is not among these.
    pub fn get(&self, index: u8) -> Option<&PcrValue> {
        self.0.get(&PcrIndex::new(index)?)
    }

    /// The registers in the order of their indices.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (PcrIndex, &PcrValue)> {
        self.0.iter().map(|(index, value)| (*index, value))
    }

    /// How many registers there are: 1 to 32.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Why registers do not form a [`Pcrs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPcrs {
    /// There is no register.
    #[error("no PCR is given")]
    Empty,
    /// An index is greater than 31.
    #[error("a PCR index is above 31")]
    Index,
    /// The same index comes twice.
    #[error("{0} is given twice")]
    Duplicate(PcrIndex),
}
