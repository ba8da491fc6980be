//! What the environment asks of a test run.

use std::time::{SystemTime, UNIX_EPOCH};

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

/// Short runs are asked for.
pub fn quick() -> bool {
    is_set("AETHALLOC_QUICK")
        || std::env::var("AETHALLOC_TEST_LEVEL").is_ok_and(|level| level == "quick")
}

/// Long runs are asked for.
pub fn full() -> bool {
    std::env::var("AETHALLOC_TEST_LEVEL").is_ok_and(|level| level == "full")
}

/// Only the oracle is to be run: no library is looked for.
pub fn oracle_only() -> bool {
    is_set("AETHALLOC_ORACLE")
}

/// A missing tool skips its tests instead of failing them.
pub(crate) fn allow_missing() -> bool {
    is_set("AETHALLOC_ALLOW_MISSING") || is_set("AETHALLOC_TEST_ALLOW_MISSING")
}

/// Seconds that a stress program runs.
pub fn stress_seconds() -> u64 {
    if quick() { 3 } else { 20 }
}

/// Seconds that a soak runs.
pub fn soak_seconds() -> u64 {
    match std::env::var("AETHALLOC_TEST_LEVEL").as_deref() {
        Ok("full") => 20 * 60,
        _ if quick() => 8,
        _ => 2 * 60,
    }
}

/// The seed of a random test: `AETHALLOC_SEED`, or a new one (the program prints it).
///
/// # Panics
/// If `AETHALLOC_SEED` is no number.
pub fn seed() -> u64 {
    match std::env::var("AETHALLOC_SEED") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("AETHALLOC_SEED={text} is no number")),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |since| u64::from(since.subsec_nanos()) ^ since.as_secs()),
    }
}
