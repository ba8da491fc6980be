//! The third outcome of a test beside passed and failed: a tool of the machine is missing.

use std::io::Write;

use crate::settings;

/// Something that the test needs is not on this machine.
#[derive(Debug)]
pub struct Missing(pub String);

/// Runs the body of a test. [`Missing`] fails it, unless `AETHALLOC_ALLOW_MISSING` turns it into a skip.
///
/// # Panics
/// When the body does, and when something is missing that may not be.
pub fn test(body: impl FnOnce() -> Result<(), Missing>) {
    if let Err(Missing(reason)) = body() {
        assert!(
            settings::allow_missing(),
            "missing: {reason} (AETHALLOC_ALLOW_MISSING=1 skips such tests)"
        );
        say(&format!("skipped: {reason}"));
    }
}

/// Prints a line that the test runner does not swallow: for what a reader of a green run must see.
pub fn say(line: &str) {
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    // One write, so that lines of parallel tests do not mix. A closed stderr is no reason to fail.
    let _ = std::io::stderr().write_all(format!("{test}: {line}\n").as_bytes());
}
