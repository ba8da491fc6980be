//! The third outcome of a test beside passed and failed: something of the machine is missing.

use std::io::Write;

use crate::settings;

/// Something that the test needs is not on this machine.
#[derive(Debug)]
pub struct Missing(pub String);

/// Runs the body of a test. [`Missing`] fails it, unless `AETHALLOC_ALLOW_MISSING` turns it into a skip: a line
/// `skipped: reason`, also appended to the file that `AETHALLOC_TEST_SKIPS` names.
///
/// # Panics
/// When the body does, and when something is missing that may not be.
pub fn test(body: impl FnOnce() -> Result<(), Missing>) {
    if let Err(Missing(reason)) = body() {
        assert!(
            settings::allow_missing(),
            "missing: {reason} (AETHALLOC_ALLOW_MISSING=1 skips such tests)"
        );
        skip(&reason);
    }
}

/// As [`test()`], for a test that says nothing without the library: the oracle alone skips it.
///
/// # Panics
/// See [`test()`].
pub fn test_library(body: impl FnOnce() -> Result<(), Missing>) {
    if settings::oracle_only() {
        skip("needs the library, and only the oracle is asked for");
    } else {
        test(body);
    }
}

/// For a test that this machine cannot run at all, whatever is installed: it is counted as skipped, with the reason.
pub fn cannot_run_here(reason: &str) -> Result<(), Missing> {
    skip(reason);
    Ok(())
}

/// One write to the terminal, so that neither libtest swallows it nor lines of parallel tests mix.
fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    let _ = std::io::stderr().write_all(format!("{test}: skipped: {reason}\n").as_bytes());
    if let Some(list) = std::env::var_os("AETHALLOC_TEST_SKIPS") {
        let line = format!("{test}: {reason}\n");
        let file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&list);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .unwrap_or_else(|error| panic!("{}: {error}", list.display()));
    }
}
