//! Replays kept inputs and runs random ones, on any toolchain.

use crate::Target;
use crate::random::{self, Random};
use std::io::Write;
use std::path::PathBuf;

/// Bytes of a random input.
const LONGEST: usize = 1200;

/// The folder of a target's kept inputs.
fn folder(target: Target) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
    PathBuf::from(root).join(target.name)
}

/// How many random inputs, by what `AETHALLOC_TEST_LEVEL` allows.
fn cases() -> u64 {
    match std::env::var("AETHALLOC_TEST_LEVEL").as_deref() {
        Ok("quick") => 40,
        Ok("full") => 3000,
        _ => 400,
    }
}

/// Runs every kept input of `target`, then as many random ones as there is time for. What ran last is named on
/// standard error first, because the allocator may end the process.
///
/// # Panics
/// If a rule is broken, or there are no kept inputs.
pub fn replay_and_explore(target: Target) {
    let folder = folder(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = files.flatten().map(|e| e.path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}: no inputs", folder.display());
    for file in &files {
        let bytes = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        guarded(target, &name, &bytes);
    }
    let (seed, cases) = (random::seed(), cases());
    for case in 0..cases {
        let bytes = Random::new(seed, case).input(LONGEST);
        guarded(target, &format!("seed {seed} case {case}"), &bytes);
    }
    println!(
        "{}: {} kept inputs, {cases} random ones",
        target.name,
        files.len()
    );
}

/// Runs one input; if it fails, it lies in a file, whatever way it failed.
fn guarded(target: Target, name: &str, bytes: &[u8]) {
    let file = std::env::temp_dir().join(format!(
        "aethalloc-fuzz-{}-{}",
        target.name,
        std::process::id()
    ));
    let kept = std::fs::write(&file, bytes);
    let panicked = std::panic::catch_unwind(|| (target.run)(bytes)).is_err();
    if panicked {
        let line = format!(
            "{}: {name} fails: input in {}\n",
            target.name,
            file.display()
        );
        let _ = std::io::stderr().write_all(line.as_bytes());
        panic!("{line}");
    }
    if kept.is_ok() {
        let _ = std::fs::remove_file(&file);
    }
}
