//! Shamir's secret sharing over GF(2⁸) (the field of AES), each byte by a polynomial of its own:
//! share `x` is the polynomials' values at `x`, the secret their values at 0.
//!
//! The arithmetic is `vsss-rs`'s: without tables or branches on secrets, its coefficients uniform over
//! the whole field. The vectors below were computed by hand from the definition.

use crate::hpke::WorkerRandom;
use thiserror::Error;
use vsss_rs::Gf256;
use zeroize::Zeroizing;

/// Bytes of what is shared, and of each share.
pub(super) const LENGTH: usize = 32;

/// What is shared, or a share of it.
pub(super) type Bytes = Zeroizing<[u8; LENGTH]>;

/// `shares` shares, of which any `threshold` give the secret and fewer tell nothing about it; the
/// first is that of index 1.
pub(super) fn split(
    secret: &[u8; LENGTH],
    threshold: u8,
    shares: usize,
) -> Result<Vec<Bytes>, ShamirError> {
    let mut random = WorkerRandom::default();
    let made = Gf256::split_bytes(threshold.into(), shares, secret, &mut random);
    let made = made.map_err(|_| ShamirError::Numbers)?;
    let made: Vec<_> = made.into_iter().map(Zeroizing::new).collect();
    if random.has_failed() {
        return Err(ShamirError::Random);
    }
    let of = |(at, share): (usize, &Zeroizing<Vec<u8>>)| {
        let (index, values) = share.split_first().ok_or(ShamirError::Numbers)?;
        let values = <&[u8; LENGTH]>::try_from(values).map_err(|_| ShamirError::Numbers)?;
        match usize::from(*index) == at.saturating_add(1) {
            true => Ok(Zeroizing::new(*values)),
            false => Err(ShamirError::Numbers),
        }
    };
    made.iter().enumerate().map(of).collect()
}

/// The secret of these shares with their indices, if they are enough of one splitting; anything else
/// gives another secret, which only its use tells.
pub(super) fn combine<'a>(
    shares: impl IntoIterator<Item = (u8, &'a Bytes)>,
) -> Result<Bytes, ShamirError> {
    let joined = |(index, share): (u8, &Bytes)| [&[index], share.as_slice()].concat();
    let shares = Zeroizing::new(shares.into_iter().map(joined).collect::<Vec<_>>());
    let secret = Gf256::combine_bytes(shares.as_slice()).map_err(|_| ShamirError::Numbers)?;
    let secret = Zeroizing::new(secret);
    let secret = <&[u8; LENGTH]>::try_from(secret.as_slice()).map_err(|_| ShamirError::Numbers)?;
    Ok(Zeroizing::new(*secret))
}

/// Nothing was shared or put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum ShamirError {
    #[error("the shares' number or indices do not fit")]
    Numbers,
    #[error("the random generator failed")]
    Random,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplication in GF(2⁸) modulo x⁸ + x⁴ + x³ + x + 1, as FIPS 197 §4.2 defines it.
    fn times(mut a: u8, mut b: u8) -> u8 {
        let mut product = 0;
        while b != 0 {
            if b & 1 == 1 {
                product ^= a;
            }
            a = (a << 1) ^ if a & 0x80 == 0 { 0 } else { 0x1b };
            b >>= 1;
        }
        product
    }

    /// The value at `x` of a polynomial, lowest coefficient first.
    fn at(coefficients: &[u8], x: u8) -> u8 {
        coefficients.iter().rev().fold(0, |value, coefficient| times(value, x) ^ coefficient)
    }

    fn share(bytes: impl Fn(u8) -> u8) -> Bytes {
        Zeroizing::new(std::array::from_fn(|position| bytes(position as u8)))
    }

    /// FIPS 197 §4.2 has {57} • {83} = {c1} and {57} • {13} = {fe}: the field is the one of AES.
    #[test]
    fn the_field_is_that_of_aes() {
        assert_eq!((times(0x57, 0x83), times(0x57, 0x13)), (0xc1, 0xfe));
        // f(x) = 2a + 57 x: its values at 83 and 13, and at 0.
        let shares = [(0x83, share(|_| 0x2a ^ 0xc1)), (0x13, share(|_| 0x2a ^ 0xfe))];
        let secret = combine(shares.iter().map(|(index, share)| (*index, share))).unwrap();
        assert_eq!(*secret, [0x2a; 32]);
    }

    /// Shares that were computed from the definition, for every index and three thresholds.
    #[test]
    fn shares_of_the_definition_are_put_together() {
        for threshold in [2_u8, 3, 7] {
            let coefficients = |position: u8| -> Vec<u8> {
                (0..threshold).map(|power| times(position ^ 0x5c, power ^ 0x91) ^ power).collect()
            };
            let of = |x: u8| share(|position| at(&coefficients(position), x));
            let secret = of(0);
            for first in [1, 100, 255 - threshold + 1] {
                let shares: Vec<_> =
                    (0..threshold).map(|at| (first + at, of(first + at))).collect();
                let found = combine(shares.iter().map(|(index, share)| (*index, share))).unwrap();
                assert_eq!(found, secret, "{threshold} from {first}");
            }
        }
    }

    #[test]
    fn any_threshold_of_them_and_no_fewer() {
        let secret: [u8; 32] = std::array::from_fn(|position| position as u8 * 7);
        let shares = split(&secret, 3, 5).unwrap();
        let indexed: Vec<_> = (1..=5).zip(&shares).collect();
        for a in 0..5 {
            for b in a + 1..5 {
                let two = combine([indexed[a], indexed[b]]).unwrap();
                assert_ne!(*two, secret, "two are not enough");
                for c in b + 1..5 {
                    let three = combine([indexed[c], indexed[a], indexed[b]]).unwrap();
                    assert_eq!(*three, secret, "{a} {b} {c}");
                }
            }
        }
        assert_eq!(*combine(indexed).unwrap(), secret);
        assert_ne!(split(&secret, 3, 5).unwrap(), shares, "they are random");
    }

    #[test]
    fn a_share_twice_or_of_index_zero_is_refused() {
        let shares = split(&[9; 32], 2, 3).unwrap();
        for indices in [[1, 1], [0, 1]] {
            let given = indices.into_iter().zip(&shares);
            assert_eq!(combine(given), Err(ShamirError::Numbers));
        }
        assert_eq!(combine([(1, &shares[0])]), Err(ShamirError::Numbers));
        for (threshold, number) in [(1, 3), (4, 3), (2, 256)] {
            assert_eq!(split(&[9; 32], threshold, number), Err(ShamirError::Numbers));
        }
    }
}
