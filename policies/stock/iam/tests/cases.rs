//! The table of `tests/cases/`: what a document decides, as AWS's documentation has it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

mod support;

use sekisho_policy::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use support::{Component, Outcome, RequestOf};

/// Has a policy read a document and decide on a request.
type Ask<'a> = &'a dyn Fn(&Value, &Request) -> Outcome;

/// A file of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    page: String,
    #[serde(default)]
    request: RequestOf,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    page: Option<String>,
    version: Option<String>,
    #[serde(default)]
    request: RequestOf,
    #[serde(rename = "if")]
    condition: Option<Value>,
    holds: Option<bool>,
    allow: Option<bool>,
    deny: Option<bool>,
    statements: Option<Vec<BTreeMap<String, Value>>>,
    document: Option<Value>,
    decision: Option<String>,
    refused: Option<String>,
}

impl Case {
    /// What is wrong with the decisions, if anything is.
    fn failure(&self, shared: &RequestOf, ask: Ask<'_>) -> Option<String> {
        let request = self.request.over(shared).build();
        let decide = |statements: Value| {
            let version = self.version.as_deref().unwrap_or("2012-10-17");
            ask(&json!({ "Version": version, "Statement": statements }), &request)
        };
        match (&self.condition, &self.statements, &self.document) {
            (Some(condition), None, None) => {
                let under = |effect: &str| {
                    let everything = json!({ "Effect": effect, "Principal": "*", "Action": "*",
                        "Resource": "*", "Condition": condition });
                    decide(everything)
                };
                let found = (under("Allow"), under("Deny"));
                let (allow, deny) = (self.allow.or(self.holds)?, self.deny.or(self.holds)?);
                let expected = (
                    if allow { Outcome::Allow } else { Outcome::None },
                    if deny { Outcome::Deny } else { Outcome::None },
                );
                differs(&found, &expected)
            }
            (None, Some(statements), None) => {
                let statements = statements.iter().map(completed).collect();
                differs(&decide(statements), &self.expected()?)
            }
            (None, None, Some(document)) => differs(&ask(document, &request), &self.expected()?),
            _ => Some("has neither a condition nor statements nor a document".into()),
        }
    }

    fn expected(&self) -> Option<Outcome> {
        match (self.decision.as_deref(), &self.refused) {
            (Some("allow"), None) => Some(Outcome::Allow),
            (Some("deny"), None) => Some(Outcome::Deny),
            (Some("none"), None) => Some(Outcome::None),
            (None, Some(place)) => Some(Outcome::Refused(place.clone())),
            _ => None,
        }
    }

    /// Whether it says what is expected, so that no case passes by saying nothing.
    fn expects(&self) -> bool {
        match &self.condition {
            Some(_) => {
                (self.allow.or(self.holds)).and(self.deny.or(self.holds)).is_some()
                    && self.decision.is_none()
                    && self.refused.is_none()
            }
            None => self.expected().is_some() && self.holds.is_none(),
        }
    }
}

fn differs<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Option<String> {
    (found != expected).then(|| format!("{found:?}, not {expected:?}"))
}

/// A statement on everyone and everything, as far as it does not say otherwise.
fn completed(statement: &BTreeMap<String, Value>) -> Value {
    let mut statement = statement.clone();
    for element in ["Principal", "Action", "Resource"] {
        if !statement.contains_key(&["Not", element].concat()) {
            statement.entry(element.into()).or_insert_with(|| "*".into());
        }
    }
    json!(statement)
}

fn tables() -> Vec<(String, Table)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read(&path).unwrap();
            let table = serde_json::from_slice(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
            tables.push((name, table));
        }
    }
    tables
}

fn check(ask: Ask<'_>) {
    let mut failures = Vec::new();
    for (topic, table) in tables() {
        for case in &table.cases {
            if let Some(failure) = case.failure(&table.request, ask) {
                let page = case.page.as_deref().unwrap_or(&table.page);
                failures.push(format!("{topic}: {} ({page}): {failure}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_policy_decides_as_the_documentation_says() {
    check(&support::ask);
}

/// In the sandbox, with its stack and without floats. If this fails alone, the component
/// is not built from this source: see `policies/README.md`.
#[test]
fn the_component_decides_as_the_documentation_says() {
    let component = Component::admit();
    check(&|document, request| component.ask(document, request));
}

#[test]
fn the_table_is_whole() {
    let tables = tables();
    for (topic, table) in &tables {
        let mut names = BTreeSet::new();
        for case in &table.cases {
            assert!(names.insert(&case.name), "{topic}: {} is there twice", case.name);
            assert!(case.expects(), "{topic}: {} expects nothing, or too much", case.name);
            assert!(!case.page.as_ref().unwrap_or(&table.page).is_empty(), "{topic}");
        }
    }
    let count: usize = tables.iter().map(|(_, table)| table.cases.len()).sum();
    assert!(count >= 300, "{count} cases");
}
