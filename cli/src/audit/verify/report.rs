//! What `sekisho audit verify` found.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::attestation::Attested;
use super::super::show::time;
use super::super::source::SignedBy;
use super::walk::Finding;
use crate::failure::Failure;

/// Counts up to the first fault, and what they rest on.
pub(super) struct Report<'a> {
    store: PathBuf,
    pub(super) blocks: u64,
    decisions: u64,
    /// Milliseconds since 1970.
    times: Option<(u64, u64)>,
    /// Number and hash.
    pub(super) newest: Option<(u64, [u8; 32])>,
    pub(super) opened: u64,
    pub(super) for_others: u64,
    pub(super) unfinished: u64,
    pub(super) key: Option<SignedBy>,
    pub(super) attested: Option<&'a Attested>,
    pub(super) not_checked: Vec<String>,
}

impl<'a> Report<'a> {
    pub(super) fn new(store: &Path) -> Self {
        Self {
            store: store.to_owned(),
            blocks: 0,
            decisions: 0,
            times: None,
            newest: None,
            opened: 0,
            for_others: 0,
            unfinished: 0,
            key: None,
            attested: None,
            not_checked: Vec::new(),
        }
    }

    /// Takes a decision of this time into account.
    pub(super) fn decision(&mut self, at: u64) {
        self.decisions += 1;
        self.times =
            Some(self.times.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }

    /// Prints it, and ends the command.
    pub(super) fn end(mut self, finding: Option<Finding>, as_json: bool) -> Result<(), Failure> {
        if self.for_others > 0 {
            self.not_checked.push(format!(
                "what {} blocks say: they are encrypted to another auditor's key (give it with \
                 --auditor-key)",
                self.for_others
            ));
        }
        if as_json {
            println!("{}", self.to_json(finding.as_ref()));
        } else {
            print!("{}", self.to_text(finding.as_ref()));
        }
        match finding {
            Some(Finding { kind, message, .. }) => Err(Failure::Refused(kind, message)),
            None if self.key.is_some() => Ok(()),
            None => Err(Failure::Refused(
                "unsigned",
                "no signature was checked, so nothing shows that the service wrote this log: give \
                 --endpoint or --signature-key"
                    .into(),
            )),
        }
    }

    fn to_json(&self, finding: Option<&Finding>) -> serde_json::Value {
        json!({
            "verified": finding.is_none() && self.key.is_some(),
            "store": self.store,
            "blocks": self.blocks,
            "opened": self.opened,
            "decisions": self.decisions,
            "first": self.times.map(|(first, _)| time(first)),
            "last": self.times.map(|(_, last)| time(last)),
            "newest": self.newest.map(|(sequence, hash)| json!({
                "sequence": sequence,
                "hash": hex::encode(hash),
            })),
            "unfinished_bytes": self.unfinished,
            "signature_key": self.key.as_ref().map(|signed| json!({
                "key": signed.key.to_string(),
                "from": signed.source,
            })),
            "attested": self.attested.map(|attested| json!({
                "endpoint": attested.endpoint.to_string(),
                "module_id": attested.module_id,
                "sequence": attested.sequence,
                "hash": hex::encode(attested.hash),
                "rollback": attested.checkpoints.to_json(),
            })),
            "not_checked": self.not_checked,
            "fault": finding.map(|finding| json!({
                "kind": finding.kind,
                "block": finding.sequence,
                "message": finding.message,
            })),
        })
    }

    fn to_text(&self, finding: Option<&Finding>) -> String {
        let verdict = match (finding, &self.key) {
            (None, Some(_)) => "verified",
            (None, None) => "NOT VERIFIED, though nothing contradicts itself",
            (Some(_), _) => "NOT VERIFIED; up to the first fault",
        };
        let mut text = format!("{verdict}: {} blocks", self.blocks);
        if let Some((first, last)) = self.times {
            let (first, last) = (time(first), time(last));
            text.push_str(&format!(", {} decisions, {first} to {last}", self.decisions));
        }
        text.push('\n');
        let mut add = |line: String| {
            text.push_str("  ");
            text.push_str(&line);
            text.push('\n');
        };
        if let Some((sequence, hash)) = self.newest {
            add(format!("newest block  {sequence} ({})", hex::encode(hash)));
        }
        if let Some(SignedBy { key, source }) = &self.key {
            add(format!("signed under  {key}, from {source}"));
        }
        if let Some(attested) = self.attested {
            add(format!(
                "attested      block {} by {} at {}",
                attested.sequence, attested.module_id, attested.endpoint
            ));
        }
        if self.unfinished > 0 {
            add(format!(
                "{} bytes behind the last block are not yet a record: it is being written, a crash \
                 cut it, or its length was changed",
                self.unfinished
            ));
        }
        for what in &self.not_checked {
            add(format!("NOT CHECKED: {what}"));
        }
        text
    }
}
