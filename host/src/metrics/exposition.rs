//! Prometheus' text format 0.0.4.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{Display, Write as _};

use super::instrument::{BOUNDS, Counter, Family, Gauge, Histogram, Label};

/// What the names of our metrics start with.
const PREFIX: &str = "sekisho_host_";

/// A page in the making.
#[derive(Default)]
pub(super) struct Exposition(String);

impl Exposition {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    pub(super) fn information(&mut self, name: &str, help: &str, version: &'static str) {
        self.head(PREFIX, name, help, "gauge");
        self.line(format_args!("{PREFIX}{name}{{version=\"{version}\"}} 1"));
    }

    /// A metric whose name is everybody's.
    pub(super) fn unprefixed_gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head("", name, help, "gauge");
        self.line(format_args!("{name} {value}"));
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, counter: &Counter) {
        self.head(PREFIX, name, help, "counter");
        self.line(format_args!("{PREFIX}{name} {}", counter.get()));
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(PREFIX, name, help, "gauge");
        self.line(format_args!("{PREFIX}{name} {value}"));
    }

    pub(super) fn counters<L: Label>(
        &mut self,
        name: &str,
        help: &str,
        family: &Family<L, Counter>,
    ) {
        self.head(PREFIX, name, help, "counter");
        for (label, counter) in family.iter() {
            self.line(format_args!("{PREFIX}{name}{{{}}} {}", Pair(label), counter.get()));
        }
    }

    pub(super) fn gauges<L: Label>(&mut self, name: &str, help: &str, family: &Family<L, Gauge>) {
        self.head(PREFIX, name, help, "gauge");
        for (label, gauge) in family.iter() {
            self.line(format_args!("{PREFIX}{name}{{{}}} {}", Pair(label), gauge.get()));
        }
    }

    pub(super) fn counters_by_two<L: Label, M: Label>(
        &mut self,
        name: &str,
        help: &str,
        families: &Family<L, Family<M, Counter>>,
    ) {
        self.head(PREFIX, name, help, "counter");
        for (outer, family) in families.iter() {
            for (inner, counter) in family.iter() {
                let (outer, inner) = (Pair(outer), Pair(inner));
                self.line(format_args!("{PREFIX}{name}{{{outer},{inner}}} {}", counter.get()));
            }
        }
    }

    pub(super) fn histograms<L: Label>(
        &mut self,
        name: &str,
        help: &str,
        family: &Family<L, Histogram>,
    ) {
        self.head(PREFIX, name, help, "histogram");
        for (label, histogram) in family.iter() {
            let label = Pair(label);
            let cumulative = histogram.cumulative();
            let bounds = BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
            for (bound, count) in bounds.zip(&cumulative) {
                self.line(format_args!("{PREFIX}{name}_bucket{{{label},le=\"{bound}\"}} {count}"));
            }
            let count = cumulative.last().copied().unwrap_or_default();
            self.line(format_args!("{PREFIX}{name}_sum{{{label}}} {}", histogram.seconds()));
            self.line(format_args!("{PREFIX}{name}_count{{{label}}} {count}"));
        }
    }

    fn head(&mut self, prefix: &str, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP {prefix}{name} {help}"));
        self.line(format_args!("# TYPE {prefix}{name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}

/// `name="value"`; members of enums need no escapes.
struct Pair<L>(L);

impl<L: Label> Display for Pair<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=\"{}\"", L::NAME, self.0.value())
    }
}
