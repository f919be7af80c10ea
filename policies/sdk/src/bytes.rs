//! Bytes compared eight at a time: `==` on slices is a call that goes byte by byte in a
//! module for `wasm32`, and takes 25 instructions for each of a digest's 96.

const WORD: usize = 8;

/// Whether two slices are the same.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (a_words, a_rest) = a.as_chunks::<WORD>();
    let (b_words, b_rest) = b.as_chunks::<WORD>();
    let words =
        a_words.iter().zip(b_words).all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b));
    words && a_rest.iter().zip(b_rest).all(|(a, b)| a == b)
}

/// Whether two slices are the same but for the case of ASCII.
pub fn equal_any_case(a: &[u8], b: &[u8]) -> bool {
    equal(a, b) || a.eq_ignore_ascii_case(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_every_place() {
        for length in 0..40 {
            let text: Vec<u8> = (0..length).collect();
            assert!(equal(&text, &text.clone()));
            assert!(!equal(&text, &[&text[..], b"x"].concat()));
            for place in 0..text.len() {
                let mut other = text.clone();
                other[place] ^= 0x80;
                assert!(!equal(&text, &other), "{length} {place}");
            }
        }
    }

    #[test]
    fn case() {
        assert!(equal_any_case(b"Ab-12", b"aB-12"));
        assert!(!equal_any_case(b"ab", b"abc"));
        assert!(!equal_any_case(b"a@", b"a`"));
    }
}
