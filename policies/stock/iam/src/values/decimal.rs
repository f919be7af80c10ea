//! Decimal numbers of any length, compared digit by digit: there are no floats in the
//! sandbox, and no number is rounded.

use core::cmp::Ordering;

/// A number as its text has it: `-?[0-9]+(\.[0-9]+)?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal<'a> {
    negative: bool,
    /// Without leading zeros.
    whole: &'a [u8],
    /// Without trailing zeros.
    fraction: &'a [u8],
}

impl<'a> Decimal<'a> {
    /// Reads a number; `None` if it is none, or has an exponent.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut parts = text.splitn(2, |byte| *byte == b'.');
        let whole = digits(parts.next()?)?;
        let fraction = match parts.next() {
            Some(fraction) => digits(fraction)?,
            None => b"",
        };
        let whole = without_leading_zeros(whole);
        let fraction = without_trailing_zeros(fraction);
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self { negative: negative && !zero, whole, fraction })
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        self.whole
            .len()
            .cmp(&other.whole.len())
            .then_with(|| self.whole.cmp(other.whole))
            .then_with(|| self.fraction.cmp(other.fraction))
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn digits(text: &[u8]) -> Option<&[u8]> {
    (!text.is_empty() && text.iter().all(u8::is_ascii_digit)).then_some(text)
}

fn without_leading_zeros(mut digits: &[u8]) -> &[u8] {
    while let [b'0', rest @ ..] = digits {
        digits = rest;
    }
    digits
}

fn without_trailing_zeros(mut digits: &[u8]) -> &[u8] {
    while let [rest @ .., b'0'] = digits {
        digits = rest;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal<'_> {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_are_ordered_by_their_value() {
        let rising = ["-10.5", "-10", "-2", "-0.1", "0", "0.05", "0.1", "0.11", "2", "10", "10.5"];
        for (low, high) in rising.iter().zip(&rising[1..]) {
            assert!(decimal(low) < decimal(high), "{low} < {high}");
        }
        for (a, b) in [("7", "007"), ("7", "7.0"), ("-0", "0.00"), ("1.5", "01.50")] {
            assert_eq!(decimal(a), decimal(b), "{a} and {b}");
        }
    }

    #[test]
    fn beyond_what_a_float_can_tell_apart() {
        assert!(decimal("9007199254740992") < decimal("9007199254740993"));
        assert!(decimal("0.1") < decimal("0.10000000000000000001"));
    }

    #[test]
    fn what_is_no_number() {
        for text in ["", "-", "+1", "1.", ".5", "1e3", "0x1", " 1", "1 ", "1.2.3", "NaN", "--1"] {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text}");
        }
    }
}
