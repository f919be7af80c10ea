//! The tests that docs/threat-model.md names are there.

use std::path::Path;

/// The code spans of a Markdown line.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_file(span: &str) -> bool {
    span.ends_with(".rs") || span.ends_with(".py")
}

#[test]
fn every_row_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let model = std::fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let mut checked = 0;
    for row in model.lines().filter(|line| line.starts_with("| ")) {
        let shown = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let mut source: Option<String> = None;
        for span in code(shown) {
            if is_file(span) {
                let text = std::fs::read_to_string(root.join(span));
                source = Some(text.unwrap_or_else(|error| panic!("{span}: {error}\n{row}")));
            } else if let Some(source) = &source {
                let whole =
                    |found: &str| !found.starts_with(|c: char| c.is_alphanumeric() || c == '_');
                let named =
                    source.match_indices(span).any(|(at, _)| whole(&source[at + span.len()..]));
                assert!(named, "no {span} in the file before it\n{row}");
                checked += 1;
            }
        }
    }
    assert!(checked > 60, "only {checked} tests are named: has the table's form changed?");
}
