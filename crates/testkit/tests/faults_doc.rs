//! `docs/faults.md` names every test of what a process survives, and no test that does not exist.

use std::collections::BTreeSet;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn read(path: &str) -> String {
    let path = format!("{ROOT}/{path}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of the functions behind `#[test]`.
fn tests_of(source: &str) -> BTreeSet<String> {
    let mut lines = source.lines();
    let mut names = BTreeSet::new();
    while let Some(line) = lines.next() {
        if line.trim() == "#[test]" {
            let name = lines
                .next()
                .and_then(|next| next.trim().strip_prefix("fn "));
            let name = name
                .and_then(|name| name.split_once('('))
                .map(|(name, _)| name);
            names.insert(
                name.unwrap_or_else(|| panic!("no name behind {line}"))
                    .to_owned(),
            );
        }
    }
    names
}

/// The names in the last column of the tables.
fn named(document: &str) -> BTreeSet<String> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_test_has_a_row_and_every_row_a_test() {
    let document = named(&read("docs/faults.md"));
    let mut tests = BTreeSet::new();
    for file in ["life", "limits", "faults"] {
        tests.extend(tests_of(&read(&format!("crates/testkit/tests/{file}.rs"))));
    }
    let without_row: Vec<_> = tests.difference(&document).collect();
    let without_test: Vec<_> = document.difference(&tests).collect();
    assert!(
        without_row.is_empty(),
        "not in docs/faults.md: {without_row:?}"
    );
    assert!(without_test.is_empty(), "no such test: {without_test:?}");
}
