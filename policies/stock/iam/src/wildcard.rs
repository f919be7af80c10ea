//! Patterns with `*` (any characters) and `?` (one character).

/// Whether two bytes are taken as the same.
pub(crate) type SameByte = fn(u8, u8) -> bool;

/// Case matters.
pub(crate) fn exact(a: u8, b: u8) -> bool {
    a == b
}

/// ASCII case does not matter.
pub(crate) fn any_case(a: u8, b: u8) -> bool {
    a.eq_ignore_ascii_case(&b)
}

/// Whether `pattern` matches the whole of `text`, both UTF-8.
///
/// On a mismatch only the last `*` takes one character more, so the time is at most
/// the product of both lengths.
pub(crate) fn matches(pattern: &[u8], text: &[u8], same: SameByte) -> bool {
    let (mut p, mut t) = (0, 0);
    // After the last `*`: where the pattern goes on, and up to where the `*` reaches.
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                p = p.saturating_add(1);
                star = Some((p, t));
                continue;
            }
            (Some(b'?'), Some(_)) => {
                p = p.saturating_add(1);
                t = next(text, t);
                continue;
            }
            (Some(a), Some(b)) if same(*a, *b) => {
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
            let found = matches(pattern.as_bytes(), text.as_bytes(), exact);
            assert_eq!(found, matched, "{pattern} on {text}");
        }
        assert!(matches(b"KMS:de*", b"kms:Decrypt", any_case));
        assert!(!matches(b"KMS:de*", b"kms:Decrypt", exact));
    }
}
