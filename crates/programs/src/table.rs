//! Writes `docs/compatibility.md` from the kept run.

use crate::kept::{self, Kept, Row};
use crate::program::Program;
use crate::programs;
use crate::refused;
use std::fmt::Write;

const HEAD: &str = "\
# Compatibility

Programs of Debian 12, unmodified, under `LD_PRELOAD=libaethalloc.so`. Each did the task named here twice, on glibc's
allocator and on Aethalloc, and the results were compared byte for byte. Every process that the program started with the
preload in its environment reported that the library was active. *Processes* are these, *forks* children that went on
without a new program, *allocations* what those that reached `exit` reported. *guard* and *hardened*: the same task under
`safety:guard` (one sample in 8192 allocations) and under `safety:hardened`, where nothing may differ and nothing be reported either.

";

const LEVELS: &str = "
`./test` runs those of *quick* and *normal*, `./test --full` all. One alone: `cargo run --release -p aethalloc-programs -- NAME`.
This page is generated: `cargo run --release -p aethalloc-programs -- --full --table` runs everything and writes it (and
`docs/compatibility.json`, from which a test writes it again); with names, the rows of these.

";

const REFUSED: &str = "
## Programs with an allocator of their own, and programs that no preload reaches

`aethalloc run` says so in one line before it starts such a program, or refuses it. What it says here:

| program | version | `aethalloc run` | it says |
|---|---|---|---|
";

const REST: &str = "
No preload can change these, since the program's own symbols go before the preloaded ones, or no loader takes part. A library
that is opened with `RTLD_DEEPBIND` is no such case here: it frees by this library too (see
[0004](decisions/0004-hostile-start.md)); a second C library in a namespace of its own (`dlmopen`) keeps its own heap.
";

/// Where the page is.
const FILE: &str = "docs/compatibility.md";

/// Writes the page.
pub fn write(kept: &Kept) -> Result<(), String> {
    std::fs::write(kept::file(FILE), page(kept)).map_err(|e| format!("{FILE}: {e}"))
}

fn page(kept: &Kept) -> String {
    let mut text = String::from(HEAD);
    let works = kept
        .programs
        .iter()
        .filter(|row| row.why.is_empty())
        .count();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        text,
        "{works} of {} work. {}.\n",
        kept.programs.len(),
        kept.system
    );
    text.push_str("| program | version | task | result | level | processes | forks | allocations | guard | hardened |\n|---|---|---|---|---|---|---|---|---|---|\n");
    for (row, program) in kept.programs.iter().filter_map(with_program) {
        let result = match (row.why.as_str(), program.note) {
            ("", "") => "works".into(),
            ("", note) => format!("works; {note}"),
            (why, _) => format!("**does not**: {}", cell(why)),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {result} | {} | {} | {} | {} | {} | {} |",
            row.name,
            row.version,
            program.task,
            program.from.name(),
            row.processes,
            row.forks,
            row.allocations,
            mode(&row.guard),
            mode(&row.hardened)
        );
    }
    text.push_str(LEVELS);
    let text = text.trim_end().to_owned();
    let mut text = text + "\n" + REFUSED;
    for line in &kept.refused {
        let Some(case) = refused::ALL.iter().find(|r| r.program == line.program) else {
            continue;
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            line.program,
            line.version,
            if case.runs { "runs it" } else { "refuses it" },
            cell(&line.says)
        );
    }
    text + REST
}

fn with_program(row: &Row) -> Option<(&Row, &'static Program)> {
    let program = programs::ALL.iter().find(|p| p.name == row.name)?;
    Some((row, program))
}

/// What a program did under a safety mode.
fn mode(found: &str) -> String {
    match found {
        "" => "not run".into(),
        kept::WORKS => kept::WORKS.into(),
        why => format!("**does not**: {}", cell(why)),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_kept_run_said() {
        let kept = kept::read().expect("the kept run");
        let text = std::fs::read_to_string(kept::file(FILE)).expect("the page");
        assert!(
            text == page(&kept),
            "{FILE} is not what {} says: --page writes it",
            kept::FILE
        );
    }

    #[test]
    fn every_program_has_a_row() {
        let kept = kept::read().expect("the kept run");
        let rows: Vec<&str> = kept.programs.iter().map(|row| row.name.as_str()).collect();
        let programs: Vec<&str> = programs::ALL.iter().map(|p| p.name).collect();
        assert_eq!(rows, programs);
        let lines: Vec<&str> = kept.refused.iter().map(|l| l.program.as_str()).collect();
        let cases: Vec<&str> = refused::ALL.iter().map(|r| r.program).collect();
        assert_eq!(lines, cases);
    }
}
