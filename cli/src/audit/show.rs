//! Decisions for people and for programs.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sekisho_enclave::{AuditEntry, AuditedDecision};
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

/// How an operation ended.
pub(super) fn outcome(entry: &AuditEntry) -> &'static str {
    match (&entry.decision, &entry.error) {
        (_, None) => "allowed",
        (Some(AuditedDecision { allowed: false, .. }), Some(_)) => "denied",
        // The policy allowed it, and it did not work.
        (Some(_), Some(_)) => "failed",
        // It never came before a policy.
        (None, Some(_)) => "refused",
    }
}

/// `2026-01-15T12:00:00.000Z`
pub(super) fn time(milliseconds: u64) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
        .ok()
        .and_then(|time| time.format(format).ok())
        .unwrap_or_else(|| format!("{milliseconds} ms"))
}

/// One line for a person.
pub(super) fn line(entry: &AuditEntry) -> String {
    let subject = entry.key.as_ref().or(entry.resource.as_ref());
    let mut who = resource(&entry.principal).to_owned();
    if let Some(session) = &entry.session {
        who = format!("{who} ({session})");
    }
    let mut line = format!(
        "{}  {:<7}  {:<16}  {who:<20}  {}",
        time(entry.time),
        outcome(entry),
        entry.operation,
        subject.map_or_else(|| "-".to_owned(), |arn| in_region(arn)),
    );
    if let Some(second) = &entry.second_key {
        line.push_str(&format!(" and {}", in_region(second)));
    }
    if let Some(error) = &entry.error {
        line.push_str("  ");
        line.push_str(error);
        if let Some(reason) = &entry.reason {
            line.push_str(": ");
            line.push_str(reason);
        }
    }
    printable(&line)
}

/// What an ARN names, without partition, region and account.
fn resource(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or(arn)
}

/// [`resource`], with the Region of a multi-Region key: others of its id are elsewhere.
fn in_region(arn: &str) -> String {
    let resource = resource(arn);
    match arn.split(':').nth(3) {
        Some(region) if resource.starts_with("key/mrk-") => format!("{resource} ({region})"),
        _ => resource.to_owned(),
    }
}

/// Callers chose some of these words; a terminal must not obey them.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// One decision as JSON: the members of docs/audit.md, pairs as objects where their names differ.
#[derive(Serialize)]
pub(super) struct Decision<'a> {
    time: String,
    outcome: &'static str,
    operation: &'a str,
    principal: &'a str,
    access_key_id: &'a str,
    session: Option<&'a str>,
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    second_key: Option<&'a str>,
    resource: Option<&'a str>,
    encryption_context: BTreeMap<&'a str, &'a str>,
    attestation: Option<Attestation<'a>>,
    decision: Option<&'a AuditedDecision>,
    error: Option<&'a str>,
    reason: Option<&'a str>,
    request_id: &'a str,
    block: u64,
}

#[derive(Serialize)]
struct Attestation<'a> {
    module_id: &'a str,
    pcrs: BTreeMap<u8, &'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    for_request: bool,
}

impl<'a> Decision<'a> {
    pub(super) fn new(block: u64, entry: &'a AuditEntry) -> Self {
        let pairs = |(name, value): &'a (String, String)| (name.as_str(), value.as_str());
        Self {
            time: time(entry.time),
            outcome: outcome(entry),
            operation: &entry.operation,
            principal: &entry.principal,
            access_key_id: &entry.access_key_id,
            session: entry.session.as_deref(),
            key: entry.key.as_deref(),
            second_key: entry.second_key.as_deref(),
            resource: entry.resource.as_deref(),
            encryption_context: entry.encryption_context.iter().map(pairs).collect(),
            attestation: entry.attestation.as_ref().map(|attestation| Attestation {
                module_id: &attestation.module_id,
                pcrs: attestation.pcrs.iter().map(|(n, value)| (*n, value.as_str())).collect(),
                for_request: attestation.for_request,
            }),
            decision: entry.decision.as_ref(),
            error: entry.error.as_deref(),
            reason: entry.reason.as_deref(),
            request_id: &entry.request_id,
            block,
        }
    }

    /// The columns of [`Decision::csv`].
    pub(super) const COLUMNS: &'static str = "time,outcome,operation,principal,access_key_id,\
        session,key,second_key,resource,encryption_context,error,reason,request_id,block\r\n";

    /// One record of RFC 4180; the encryption context is JSON.
    pub(super) fn csv(&self) -> String {
        let context = serde_json::to_string(&self.encryption_context).unwrap_or_default();
        let fields = [
            self.time.as_str(),
            self.outcome,
            self.operation,
            self.principal,
            self.access_key_id,
            self.session.unwrap_or_default(),
            self.key.unwrap_or_default(),
            self.second_key.unwrap_or_default(),
            self.resource.unwrap_or_default(),
            &context,
            self.error.unwrap_or_default(),
            self.reason.unwrap_or_default(),
            self.request_id,
        ];
        let mut record = String::new();
        for field in fields {
            if field.contains(['"', ',', '\r', '\n']) {
                record.push_str(&format!("\"{}\"", field.replace('"', "\"\"")));
            } else {
                record.push_str(field);
            }
            record.push(',');
        }
        record.push_str(&format!("{}\r\n", self.block));
        record
    }
}

/// A bar on a terminal's standard error, and nothing elsewhere.
pub(crate) fn progress(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.with_message(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> AuditEntry {
        AuditEntry {
            time: 1_768_478_400_007,
            request_id: "id".into(),
            operation: "Decrypt".into(),
            principal: "arn:aws:iam::111122223333:user/alice".into(),
            key: Some("arn:aws:kms:eu-central-1:111122223333:key/1234".into()),
            encryption_context: vec![("purpose".into(), "a, \"b\"".into())],
            error: Some("AccessDeniedException".into()),
            reason: Some("because\x1b[31m".into()),
            ..AuditEntry::default()
        }
    }

    #[test]
    fn a_line_says_when_what_who_and_why_and_moves_no_cursor() {
        let line = line(&entry());
        for part in ["2026-01-15T12:00:00.007Z", "refused", "Decrypt", "user/alice", "key/1234"] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(line.ends_with(r"AccessDeniedException: because\u{1b}[31m"), "{line}");
    }

    #[test]
    fn a_multi_region_key_is_of_a_region() {
        let arn = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234";
        let line = line(&AuditEntry { key: Some(arn.into()), ..entry() });
        assert!(line.contains("key/mrk-1234 (eu-central-1)"), "{line}");
    }

    #[test]
    fn a_line_names_both_keys() {
        let second_key = Some("arn:aws:kms:eu-central-1:111122223333:key/5678".into());
        let line = line(&AuditEntry { second_key, ..entry() });
        assert!(line.contains("key/1234 and key/5678"), "{line}");
    }

    #[test]
    fn an_outcome_has_one_word() {
        let decision = |allowed| {
            Some(AuditedDecision { allowed, module: String::new(), annotations: Vec::new() })
        };
        let error = Some(String::from("x"));
        for (decision, error, word) in [
            (decision(true), None, "allowed"),
            (decision(false), error.clone(), "denied"),
            (decision(true), error.clone(), "failed"),
            (None, error, "refused"),
        ] {
            assert_eq!(outcome(&AuditEntry { decision, error, ..entry() }), word);
        }
    }

    #[test]
    fn a_csv_record_has_a_field_for_each_column() {
        let entry = entry();
        let record = Decision::new(3, &entry).csv();
        assert!(record.contains(r#","{""purpose"":""a, \""b\""""}","#), "{record}");
        assert!(record.ends_with(",id,3\r\n"), "{record}");
    }
}
