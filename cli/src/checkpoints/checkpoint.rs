//! Where a chain stands, as `<sequence>-<hash in hex>`: so the receipts of the API have it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Number and SHA-256 of the newest link of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Checkpoint {
    pub(crate) sequence: u64,
    pub(crate) hash: [u8; 32],
}

impl FromStr for Checkpoint {
    type Err = InvalidCheckpoint;

    fn from_str(text: &str) -> Result<Self, InvalidCheckpoint> {
        let (sequence, hash) = text.split_once('-').ok_or(InvalidCheckpoint)?;
        let digits = !sequence.is_empty() && sequence.bytes().all(|b| b.is_ascii_digit());
        let sequence = sequence.parse().ok().filter(|_| digits).ok_or(InvalidCheckpoint)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(hash, &mut bytes).map_err(|_| InvalidCheckpoint)?;
        Ok(Self { sequence, hash: bytes })
    }
}

impl TryFrom<String> for Checkpoint {
    type Error = InvalidCheckpoint;

    fn try_from(text: String) -> Result<Self, InvalidCheckpoint> {
        text.parse()
    }
}

impl From<Checkpoint> for String {
    fn from(checkpoint: Checkpoint) -> Self {
        checkpoint.to_string()
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.sequence, hex::encode(self.hash))
    }
}

/// Not a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a checkpoint is SEQUENCE-HASH: a number, and 64 hexadecimal digits")]
pub(crate) struct InvalidCheckpoint;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        let checkpoint = Checkpoint { sequence: 17, hash: [0xab; 32] };
        let text = format!("17-{}", "ab".repeat(32));
        assert_eq!(checkpoint.to_string(), text);
        assert_eq!(text.parse(), Ok(checkpoint));
        for wrong in ["", "17", "17-", "-ab", &format!("+{text}"), &text[..66], &format!("{text}0")]
        {
            assert_eq!(wrong.parse::<Checkpoint>(), Err(InvalidCheckpoint), "{wrong}");
        }
    }
}
