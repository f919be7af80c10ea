//! Patterns with `*` (any characters) and `?` (one character).
//!
//! In the state a wildcard is a byte that no UTF-8 has, so that a literal `*` (which
//! `${*}` stands for, or which a variable's value brings) cannot become one.

/// `*`: any characters, also none.
pub(crate) const ANY: u8 = 0xff;
/// `?`: one character.
pub(crate) const ONE: u8 = 0xfe;

/// The byte that a pattern's character stands for.
pub(crate) fn encode(byte: u8) -> u8 {
    match byte {
        b'*' => ANY,
        b'?' => ONE,
        literal => literal,
    }
}

/// Whether the encoded `pattern` matches the whole of `text`.
///
/// On a mismatch only the last wildcard takes one character more, so the time is at
/// most the product of both lengths.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    walk::<false>(pattern, text)
}

/// As [`matches`], for a pattern in lower case, where the case of ASCII does not matter.
pub(crate) fn matches_any_case(pattern: &[u8], text: &[u8]) -> bool {
    walk::<true>(pattern, text)
}

fn walk<const ANY_CASE: bool>(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // After the last `*`: where the pattern goes on, and up to where the `*` reaches.
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(&ANY), _) => {
                p = p.saturating_add(1);
                if p == pattern.len() {
                    return true;
                }
                star = Some((p, t));
                continue;
            }
            (Some(&ONE), Some(_)) => {
                p = p.saturating_add(1);
                t = next(text, t);
                continue;
            }
            (Some(a), Some(b)) if *a == fold::<ANY_CASE>(*b) => {
                p = p.saturating_add(1);
                t = t.saturating_add(1);
                continue;
            }
            _ => {}
        }
        match star {
            Some((after, reach)) if reach < text.len() => {
                let reach = next(text, reach);
                star = Some((after, reach));
                (p, t) = (after, reach);
            }
            _ => return false,
        }
    }
}

fn fold<const ANY_CASE: bool>(byte: u8) -> u8 {
    if ANY_CASE { byte.to_ascii_lowercase() } else { byte }
}

/// Where the character after the one at `at` starts.
fn next(text: &[u8], at: usize) -> usize {
    let mut at = at.saturating_add(1);
    while text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
        at = at.saturating_add(1);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(pattern: &str) -> Vec<u8> {
        pattern.bytes().map(encode).collect()
    }

    #[test]
    fn patterns() {
        for (pattern, text, matched) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("?", "", false),
            ("?", "a", true),
            ("?", "é", true),
            ("??", "é", false),
            ("*?é", "aaé", true),
            ("kms:*", "kms:Decrypt", true),
            ("kms:*", "km:Decrypt", false),
            ("kms:De*", "kms:Describe", true),
            ("kms:De*t", "kms:Decrypt", true),
            ("kms:De*t", "kms:Describe", false),
            ("*a*b", "aab", true),
            ("*a*b", "aba", false),
            ("*ab*ab", "abab", true),
            ("a**b", "ab", true),
            ("a?c*", "abc", true),
        ] {
            let found = matches(&encoded(pattern), text.as_bytes());
            assert_eq!(found, matched, "{pattern} on {text}");
        }
        assert!(matches_any_case(&encoded("kms:de*"), b"kms:Decrypt"));
        assert!(!matches(&encoded("kms:de*"), b"kms:Decrypt"));
    }

    #[test]
    fn a_literal_is_no_wildcard() {
        assert!(matches(b"a*", b"a*"));
        assert!(!matches(b"a*", b"ab"));
        assert!(!matches(b"a?", b"ab"));
    }
}
