//! Counters, gauges and histograms: atomics that are written without a lock and never awaited.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A closed set of values for one label.
pub(crate) trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// All there are, by rising [`Label::index`].
    const ALL: &'static [Self];
    fn value(self) -> &'static str;
    fn index(self) -> usize;
}

/// An enum whose members are a label's values.
macro_rules! labels {
    ($(#[$doc:meta])* $vis:vis enum $name:ident: $label:literal {
        $($(#[$member_doc:meta])* $member:ident = $value:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$member_doc])* $member,)+ }

        impl $crate::metrics::instrument::Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$member,)+];

            fn value(self) -> &'static str {
                match self { $(Self::$member => $value,)+ }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}
pub(super) use labels;

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    /// For numbers that only ever grow, told by several threads.
    pub(crate) fn raise(&self, value: u64) {
        self.0.fetch_max(value, Relaxed);
    }

    /// One more until the guard is dropped.
    pub(crate) fn enter(&self) -> Inside<'_> {
        self.0.fetch_add(1, Relaxed);
        Inside(self)
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counts in a [`Gauge`] for as long as it lives.
#[must_use]
pub(crate) struct Inside<'a>(&'a Gauge);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// Upper bounds of the buckets in microseconds, and how they are written in seconds. From a
/// memory's answer over an NVMe's fdatasync (0.1 to 1 ms) and a network disk's (1 to 25 ms) to a
/// call's patience of ten seconds.
pub(super) const BOUNDS: [(u64, &str); 14] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
];

/// How long things took.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Each without those below it; the last is what is beyond all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Histogram {
    pub(crate) fn observe(&self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|(bound, _)| *bound < microseconds);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        self.microseconds.fetch_add(microseconds, Relaxed);
    }

    /// Observations up to each bound, then all of them.
    pub(super) fn cumulative(&self) -> Vec<u64> {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        counts
            .scan(0_u64, |sum, count| {
                *sum += count;
                Some(*sum)
            })
            .collect()
    }

    pub(super) fn seconds(&self) -> f64 {
        Duration::from_micros(self.microseconds.load(Relaxed)).as_secs_f64()
    }
}

/// One instrument for each value of a label.
#[derive(Debug)]
pub(crate) struct Family<L, I> {
    members: Vec<I>,
    rest: I,
    label: PhantomData<fn(L)>,
}

impl<L: Label, I: Default> Default for Family<L, I> {
    fn default() -> Self {
        let members = L::ALL.iter().map(|_| I::default()).collect();
        Self { members, rest: I::default(), label: PhantomData }
    }
}

impl<L: Label, I> Family<L, I> {
    /// The instrument of one value. There is one for each; `rest` is never reached.
    pub(crate) fn of(&self, label: L) -> &I {
        self.members.get(label.index()).unwrap_or(&self.rest)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (L, &I)> {
        L::ALL.iter().map(|label| (*label, self.of(*label)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for microseconds in [0, 100, 101, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let cumulative = histogram.cumulative();
        assert_eq!(cumulative[..3], [2, 3, 3]);
        assert_eq!(cumulative[BOUNDS.len() - 1..], [4, 5]);
        assert!((histogram.seconds() - 20.000_202).abs() < 1e-9);
    }

    #[test]
    fn the_bounds_are_written_as_they_are() {
        for (microseconds, seconds) in BOUNDS {
            let written: f64 = seconds.parse().unwrap();
            assert!((written * 1e6 - microseconds as f64).abs() < 1e-6, "{seconds}");
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn a_gauge_counts_what_is_inside() {
        let gauge = Gauge::default();
        let (one, two) = (gauge.enter(), gauge.enter());
        assert_eq!(gauge.get(), 2);
        drop((one, two));
        assert_eq!(gauge.get(), 0);
    }
}
