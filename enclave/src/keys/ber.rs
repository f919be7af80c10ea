//! BER (ITU-T X.690 §8) to DER (§10), as far as private keys need it: lengths that are indefinite or
//! longer than they have to be. Values stay as they are; whoever reads them checks them.

use thiserror::Error;
use zeroize::Zeroizing;

/// A private key in PKCS #8 with attributes has fewer.
const MAX_DEPTH: usize = 8;
/// X.690 §8.1.2.5 and §8.1.5.
const CONSTRUCTED: u8 = 0x20;
const LONG_TAG: u8 = 0x1f;
const END_OF_CONTENTS: [u8; 2] = [0, 0];

/// The bytes are not one element of BER.
#[derive(Debug, Error)]
#[error("not BER")]
pub(crate) struct NotBer;

/// One element and nothing behind it. The result is not longer than `ber`.
pub(crate) fn to_der(ber: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotBer> {
    let mut der = buffer(ber);
    let rest = element(ber, &mut der, MAX_DEPTH)?;
    if rest.is_empty() { Ok(der) } else { Err(NotBer) }
}

/// The elements inside the one at the start of `der`, as they stand there.
pub(super) fn inside(der: &[u8]) -> Result<Vec<&[u8]>, NotBer> {
    let (mut inside, mut elements) = (split(der)?.0, Vec::new());
    while !inside.is_empty() {
        let rest = split(inside)?.1;
        let element = inside.len().checked_sub(rest.len()).and_then(|end| inside.get(..end));
        elements.push(element.ok_or(NotBer)?);
        inside = rest;
    }
    Ok(elements)
}

/// The contents of the element at the start of `der`, and what stands behind it.
fn split(der: &[u8]) -> Result<(&[u8], &[u8]), NotBer> {
    let (_, rest) = der.split_first().ok_or(NotBer)?;
    let (length, rest) = length(rest)?;
    rest.split_at_checked(length.ok_or(NotBer)?).ok_or(NotBer)
}

/// Large enough that it never moves, and leaves no secret behind where it was.
fn buffer(ber: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(ber.len()))
}

/// Appends the element at the start of `ber`; answers with what stands behind it.
fn element<'a>(ber: &'a [u8], der: &mut Vec<u8>, depth: usize) -> Result<&'a [u8], NotBer> {
    let depth = depth.checked_sub(1).ok_or(NotBer)?;
    let (tag, rest) = ber.split_first().ok_or(NotBer)?;
    if tag & LONG_TAG == LONG_TAG {
        return Err(NotBer);
    }
    let is_constructed = tag & CONSTRUCTED != 0;
    let (length, rest) = length(rest)?;
    let (contents, rest) = match length {
        Some(length) => {
            let (mut inside, rest) = rest.split_at_checked(length).ok_or(NotBer)?;
            let mut contents = buffer(inside);
            if is_constructed {
                while !inside.is_empty() {
                    inside = element(inside, &mut contents, depth)?;
                }
            } else {
                contents.extend_from_slice(inside);
            }
            (contents, rest)
        }
        None if is_constructed => {
            let (mut inside, mut contents) = (rest, buffer(rest));
            let rest = loop {
                if let Some(rest) = inside.strip_prefix(&END_OF_CONTENTS) {
                    break rest;
                }
                inside = element(inside, &mut contents, depth)?;
            };
            (contents, rest)
        }
        None => return Err(NotBer),
    };
    der.push(*tag);
    push_length(der, contents.len());
    der.extend_from_slice(&contents);
    Ok(rest)
}

/// None: indefinite.
fn length(ber: &[u8]) -> Result<(Option<usize>, &[u8]), NotBer> {
    let (first, rest) = ber.split_first().ok_or(NotBer)?;
    match first {
        0..=0x7f => Ok((Some(usize::from(*first)), rest)),
        0x80 => Ok((None, rest)),
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or(NotBer)?;
            let add = |length: usize, byte: &u8| {
                length.checked_mul(256).map(|length| length | usize::from(*byte))
            };
            let length = bytes.iter().try_fold(0, add).ok_or(NotBer)?;
            Ok((Some(length), rest))
        }
    }
}

fn push_length(der: &mut Vec<u8>, length: usize) {
    let bytes = length.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let significant = bytes.get(zeros..).unwrap_or_default();
    match significant {
        [] => der.push(0),
        [short @ 0..=0x7f] => der.push(*short),
        long => {
            // At most eight.
            der.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            der.extend_from_slice(long);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(hex: &str) -> Option<String> {
        let ber = hex::decode(hex).unwrap();
        to_der(&ber).ok().map(|der| {
            assert!(der.len() <= ber.len(), "{hex}");
            hex::encode(&*der)
        })
    }

    #[test]
    fn lengths_become_definite_and_short() {
        for (ber, wanted) in [
            ("020107", "020107"),
            ("3003020107", "3003020107"),
            ("30800201070000", "3003020107"),
            ("3080308000000000", "30023000"),
            ("3081050282000107", "3003020107"),
            ("0400", "0400"),
            ("048900000000000000000100", "040100"),
        ] {
            assert_eq!(der(ber).as_deref(), Some(wanted), "{ber}");
        }
        let long = format!("04820100{}", "ab".repeat(256));
        assert_eq!(der(&long).unwrap(), long);
    }

    #[test]
    fn elements_are_found_where_they_stand() {
        let der = hex::decode("300802010730000401ab").unwrap();
        let wanted = [&[2, 1, 7][..], &[0x30, 0], &[4, 1, 0xab]];
        assert_eq!(inside(&der).unwrap(), wanted);
        assert!(inside(&[0x30, 0]).unwrap().is_empty());
        for cut in 0..der.len() {
            assert!(inside(&der[..cut]).is_err(), "{cut}");
        }
        assert!(inside(&[0x30, 1, 2]).is_err());
    }

    #[test]
    fn whatever_comes_is_shortened_once() {
        let ber =
            hex::decode("308002010030800602555d0500000004058203020109a080020107000000").unwrap();
        for position in 0..ber.len() {
            for value in 0..=u8::MAX {
                let mut changed = ber.clone();
                changed[position] = value;
                if let Ok(der) = to_der(&changed) {
                    assert!(der.len() <= changed.len());
                    assert_eq!(to_der(&der).unwrap(), der, "{position} {value}");
                }
                let _ = to_der(&changed[..position]);
            }
        }
    }

    #[test]
    fn what_is_not_one_element_is_refused() {
        for ber in [
            "",
            "30",
            "3005",
            "300502",
            "02010700",
            "30800201",
            "308002010700",
            "0480",
            "04800000",
            "1f0100",
            "0000ff",
            "0489ffffffffffffffffff00",
            "30820001",
        ] {
            assert_eq!(der(ber), None, "{ber}");
        }
        assert!(der(&format!("{}{}", "3080".repeat(8), "0000".repeat(8))).is_some());
        assert_eq!(der(&format!("{}{}", "3080".repeat(9), "0000".repeat(9))), None);
        assert!(to_der(&[0x30, 0x80].repeat(100_000)).is_err());
    }
}
