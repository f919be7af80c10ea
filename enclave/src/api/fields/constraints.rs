//! Constraints on strings, and AWS's words for them.

/// Constraints on a string member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) pattern: Option<Pattern>,
}

/// A pattern of the service model that every character meets for itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pattern {
    /// As it stands in the model, and so in messages.
    pub(crate) text: &'static str,
    pub(crate) allows: fn(char) -> bool,
}

impl Text {
    pub(crate) const fn length(min: usize, max: usize) -> Self {
        Self { min, max, pattern: None }
    }

    /// The constraints that `text` breaks, in AWS's words and order.
    pub(super) fn broken_by(self, text: &str) -> Vec<String> {
        let length = text.chars().count();
        let pattern = self.pattern.filter(|pattern| !pattern.matches(text));
        let broken = [
            (length < self.min).then(|| longer_or_equal(self.min)),
            (length > self.max).then(|| shorter_or_equal(self.max)),
            pattern.map(|pattern| satisfying(pattern.text)),
        ];
        broken.into_iter().flatten().collect()
    }

    /// All its constraints, as AWS lists them where an item of a list breaks one.
    pub(super) fn constraints(self) -> String {
        let pattern = self.pattern.map(|pattern| satisfying(pattern.text));
        let length = [shorter_or_equal(self.max), longer_or_equal(self.min)];
        length.into_iter().chain(pattern).collect::<Vec<_>>().join(", ")
    }
}

impl Pattern {
    fn matches(self, text: &str) -> bool {
        // `[…]+` wants one character, `[…]*` none.
        let wants_one = self.text.trim_end_matches('$').ends_with('+');
        text.chars().all(self.allows) && !(wants_one && text.is_empty())
    }
}

pub(super) fn longer_or_equal(min: usize) -> String {
    format!("Member must have length greater than or equal to {min}")
}

pub(super) fn shorter_or_equal(max: usize) -> String {
    format!("Member must have length less than or equal to {max}")
}

pub(super) fn satisfying(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}
