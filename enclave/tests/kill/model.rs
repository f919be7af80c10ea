//! What must be there, from what the worker has said.

use std::collections::{BTreeMap, HashSet};

#[derive(Default)]
pub(super) struct Model {
    records: BTreeMap<u64, Expected>,
    /// The newest acknowledged entry, and its hash.
    newest: (u64, String),
    pub(super) audited: HashSet<String>,
    /// Records that the worker has found since its start.
    found: BTreeMap<u64, u64>,
    pub(super) ready: bool,
    pub(super) in_snapshot: bool,
    pub(super) snapshots: u32,
    pub(super) acknowledged: u64,
    pub(super) failed: u64,
    pub(super) in_rotation: bool,
    /// That came to their end.
    pub(super) rotations: u64,
    /// Of the root key of which nothing was left before.
    generation: u64,
    /// The first thing that must never happen.
    pub(super) broken: Option<String>,
}

/// Version 0 is no record.
#[derive(Default)]
struct Expected {
    acknowledged: u64,
    /// Later changes whose fate is unknown.
    possible: Vec<u64>,
}

impl Model {
    /// Before a worker is started.
    pub(super) fn started(&mut self) {
        self.found.clear();
        self.ready = false;
        self.in_snapshot = false;
        self.in_rotation = false;
    }

    pub(super) fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        match words[0] {
            "open" => self.opened(number(1), words[2]),
            "found" => {
                self.found.insert(number(1), number(2));
            }
            "ready" => self.check_found(),
            "will" => self.records.entry(number(1)).or_default().possible.push(number(2)),
            "done" => {
                let expected = self.records.entry(number(1)).or_default();
                *expected = Expected { acknowledged: number(2), possible: Vec::new() };
                if number(3) > self.newest.0 {
                    self.newest = (number(3), words[4].to_owned());
                }
                self.acknowledged += 1;
            }
            "failed" => self.failed += 1,
            "audit" => {
                self.audited.insert(words[1].to_owned());
                self.acknowledged += 1;
            }
            "generation" if number(1) < self.generation => {
                self.breaks(format!("the root key of generation {} is back", number(1)));
            }
            "generation" => {}
            "rotate" => self.in_rotation = true,
            "rotated" => {
                self.in_rotation = false;
                self.rotations += 1;
                self.generation = number(1);
            }
            "snapshot" => self.in_snapshot = true,
            "snapshot-over" => {
                self.in_snapshot = false;
                self.snapshots += 1;
            }
            _ => self.breaks(line.to_owned()),
        }
    }

    fn opened(&mut self, sequence: u64, hash: &str) {
        let (newest, newest_hash) = &self.newest;
        if sequence < *newest {
            self.breaks(format!("the journal is at {sequence}, {newest} was acknowledged"));
        } else if sequence == *newest && hash != newest_hash && sequence > 0 {
            self.breaks(format!("entry {sequence} is another than was acknowledged"));
        }
    }

    fn check_found(&mut self) {
        let mut wrong = Vec::new();
        for (id, expected) in &mut self.records {
            let found = self.found.get(id).copied().unwrap_or(0);
            if found != expected.acknowledged && !expected.possible.contains(&found) {
                let Expected { acknowledged, possible } = expected;
                wrong.push(format!("record {id}: {found}, not {acknowledged} or {possible:?}"));
            }
            // What was on its way may arrive even now, so it stays possible.
            expected.acknowledged = found;
        }
        wrong.extend(
            self.found
                .keys()
                .filter(|id| !self.records.contains_key(id))
                .map(|id| format!("record {id} was never written")),
        );
        if let Some(wrong) = wrong.into_iter().next() {
            self.breaks(wrong);
        }
        self.ready = true;
    }

    fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }
}
