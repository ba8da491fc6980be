//! Writes `docs/compatibility.md` from what a run showed.

use crate::run::find;
use crate::verdict::{Outcome, Verdict};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

const HEAD: &str = "\
# Compatibility

Programs from Debian 12, unmodified, under `LD_PRELOAD=libaethalloc.so`. Each did the task named here twice, on glibc's
allocator and on Aethalloc, and the results were compared byte for byte. Every process that the program started with the
preload in its environment reported that the library was active; `allocations` is what those that reached `exit` reported.

Written by `cargo run --release -p aethalloc-programs -- --table`; `--full` adds the slow ones.

| program | version | task | result | processes | forks | allocations |
|---|---|---|---|---|---|---|
";

/// Writes the table.
pub fn write(verdicts: &[Verdict<'_>]) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let path = root.unwrap_or(Path::new(".")).join("docs/compatibility.md");
    let mut text = String::from(HEAD);
    for verdict in verdicts {
        row(&mut text, verdict);
    }
    std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn row(text: &mut String, verdict: &Verdict<'_>) {
    let program = verdict.program;
    let (result, figures) = match &verdict.outcome {
        Outcome::Same(figures) if program.note.is_empty() => ("works".to_owned(), Some(figures)),
        Outcome::Same(figures) => (format!("works: {}", program.note), Some(figures)),
        Outcome::Missing(what) => (format!("not run: missing {what}"), None),
        Outcome::Differs(why) => (format!("does not: {}", one_line(why)), None),
    };
    let counts = figures.map_or(" | | ".to_owned(), |f| {
        let p = &f.proof;
        format!("{} | {} | {}", p.images, p.forks, p.allocations)
    });
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "| {} | {} | {} | {result} | {counts} |",
        program.name,
        version(verdict),
        program.task
    );
}

/// The version of the package that brings the program's first tool.
fn version(verdict: &Verdict<'_>) -> String {
    let Some(package) = verdict.program.tools.first().map(|tool| tool.package) else {
        return String::new();
    };
    if find("dpkg-query").is_none() {
        return String::new();
    }
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Version}", package])
        .output();
    match output {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(_) => String::new(),
    }
}

fn one_line(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    flat.replace('|', "\\|").chars().take(160).collect()
}
