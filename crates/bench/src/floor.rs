//! How little memory can a workload take at all: the least that any allocator could reach, beside what was measured.
//!
//! ```text
//! floor = start        peak resident size of the program without a workload: code, C library, stack
//!       + asked for    peak of the bytes that it has asked for and not yet freed, and of its own tables
//! ```
//! The sum knows no rounding to sizes or pages, no headers, no tables of an allocator's own, nothing kept for later, and no
//! thread stacks. A program that asks for more than it touches can stay below it; there the leanest measured peak is
//! the floor. The counts come from the system's malloc with a counting library in front (`peers/counting`).

use std::fmt::Write;
use std::path::Path;

use crate::checkout::Checkout;
use crate::definitions::{self, Workload};
use crate::launch::{Failure, Launcher, Program};
use crate::peers;
use crate::report::{self, OURS};
use crate::result::{ResultFile, WorkloadResult};
use crate::stats;

/// The library that counts.
const COUNTING: &str = "glibc-counting";
/// Where it writes to.
const COUNTED: &str = "BENCH_COUNTED";
/// The only program whose tables it knows.
const PROGRAM: &str = "bench-work";
/// What every allocator is compared with, and the share of it that is the goal.
const GOAL: f64 = 0.40;

/// One workload, in KiB.
struct Row {
    name: String,
    /// Peak of what was asked for.
    asked: f64,
    floor: f64,
    /// It was measured below the sum, and the floor is that.
    touched_less: bool,
    ours: f64,
    leanest: (String, f64),
    base: f64,
}

/// Counts every workload of `result` (or those named) once and sets its peaks against the floors.
pub fn text(checkout: &Checkout, result: &ResultFile, names: &[String]) -> Result<String, String> {
    let base = report::base(result).ok_or("the result has no allocators")?;
    let definitions = definitions::all(checkout)?;
    let chosen = peers::choose(&peers::definitions(checkout)?, &[COUNTING.into()])?;
    let (ready, absent) = peers::prepare(checkout, &chosen, false);
    let library = match (
        ready.first().and_then(|p| p.library.as_deref()),
        absent.first(),
    ) {
        (Some(library), _) => library,
        (None, Some(absent)) => return Err(format!("{COUNTING}: {}", absent.reason)),
        (None, None) => return Err(format!("{COUNTING} is not defined")),
    };
    let launcher = Launcher::new(checkout)?;
    let start = start(checkout, &launcher)?;
    let mut rows = Vec::new();
    for workload in &result.workloads {
        if !names.is_empty() && !names.contains(&workload.name) {
            continue;
        }
        let program = definitions.iter().find(|d| d.name == workload.name);
        if program.is_none_or(|d: &Workload| d.program != PROGRAM) {
            continue;
        }
        let program = Program::new(checkout.program(PROGRAM)?, workload.args.clone());
        let asked = asked(&launcher, program, library)
            .map_err(|why| format!("{}: {why}", workload.name))?;
        rows.extend(row(result, workload, base, asked, start));
    }
    if rows.is_empty() {
        return Err(format!(
            "the result has no workload of {PROGRAM} that {OURS} and {base} ran"
        ));
    }
    Ok(table(&rows, base, start))
}

/// Peak of the smallest run, in KiB: it asks for less than one.
fn start(checkout: &Checkout, launcher: &Launcher) -> Result<f64, String> {
    let program = Program::new(checkout.program(PROGRAM)?, ["pair", "sizes=16", "ops=1"]);
    let finished = launcher.run(&program).map_err(words)?;
    Ok(finished.usages.first().map_or(0, |u| u.peak_kib) as f64)
}

/// Peak of the bytes that a run asked for, in KiB.
fn asked(launcher: &Launcher, program: Program, library: &Path) -> Result<f64, String> {
    let file = launcher.folder().join("counted");
    let _ = std::fs::remove_file(&file);
    let mut program = program.under(Some(library));
    program.timeout *= 4;
    program
        .env
        .push((COUNTED.into(), file.display().to_string()));
    launcher.run(&program).map_err(words)?;
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    both(&text).ok_or_else(|| format!("the counting library wrote '{}'", text.trim()))
}

fn both(text: &str) -> Option<f64> {
    let bytes = text.lines().find_map(|l| l.strip_prefix("both "))?;
    Some(bytes.parse::<u64>().ok()? as f64 / 1024.0)
}

fn words(failure: Failure) -> String {
    match failure {
        Failure::Failed(line) => line,
        Failure::Interrupted => "interrupted".into(),
    }
}

fn row(
    result: &ResultFile,
    workload: &WorkloadResult,
    base: &str,
    asked: f64,
    start: f64,
) -> Option<Row> {
    let peak = |peer: &str| {
        let summary = report::figure(workload, peer, Some("peak_kib"))?;
        (summary.median > 0.0).then_some(summary.median)
    };
    let leanest = result
        .peers
        .iter()
        .filter(|p| p.name != OURS)
        .filter_map(|p| Some((p.name.clone(), peak(&p.name)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    let ours = peak(OURS)?;
    let measured = leanest.1.min(ours);
    Some(Row {
        name: workload.name.clone(),
        asked,
        floor: (start + asked).min(measured),
        touched_less: start + asked > measured,
        ours,
        leanest,
        base: peak(base)?,
    })
}

fn table(rows: &[Row], base: &str, start: f64) -> String {
    let mib = |kib: f64| format!("{:.2}", kib / 1024.0);
    let mut out = format!(
        "Peak resident size in MiB. Floor: {} MiB of the program itself and the peak of what it has asked for and not freed.\n\
         = the program touched less than it asked for: the leanest measured peak is the floor.\n\
         ! the floor is above {GOAL:.2} of {base}.\n\n\
         {:<20} {:>9} {:>9} {:>9} {:>9} {:<14} {:>9} {:>8} {:>8} {:>8}\n",
        mib(start),
        "workload",
        "asked for",
        "floor",
        OURS,
        "leanest",
        "",
        base,
        "floor/",
        "ours/",
        "leanest/"
    );
    for row in rows {
        let mark = match (row.touched_less, row.floor > GOAL * row.base) {
            (true, true) => " = !",
            (true, false) => " =",
            (false, true) => " !",
            (false, false) => "",
        };
        let _ = writeln!(
            out,
            "{:<20} {:>9} {:>9} {:>9} {:>9} {:<14} {:>9} {:>8.3} {:>8.3} {:>8.3}{mark}",
            row.name,
            mib(row.asked),
            mib(row.floor),
            mib(row.ours),
            mib(row.leanest.1),
            row.leanest.0,
            mib(row.base),
            row.floor / row.base,
            row.ours / row.base,
            row.leanest.1 / row.base
        );
    }
    let mean = |of: fn(&Row) -> f64| {
        stats::geometric_mean(rows.iter().map(|r| of(r) / r.base)).unwrap_or(0.0)
    };
    let above = rows.iter().filter(|r| r.floor > GOAL * r.base).count();
    let _ = writeln!(
        out,
        "\ngeometric means, {base} = 1: floor {:.3}, {OURS} {:.3}, the leanest other of each row {:.3}",
        mean(|r| r.floor),
        mean(|r| r.ours),
        mean(|r| r.leanest.1)
    );
    let over = stats::geometric_mean(rows.iter().map(|r| r.ours / r.floor)).unwrap_or(0.0);
    let _ = writeln!(
        out,
        "{OURS} to the floor: {over:.3}; floor above {GOAL:.2} of {base}: {above} of {} rows",
        rows.len()
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, floor: f64, touched_less: bool) -> Row {
        Row {
            name: name.into(),
            asked: 100.0,
            floor,
            touched_less,
            ours: 2.0 * floor,
            leanest: ("jemalloc".into(), 1.5 * floor),
            base: 1000.0,
        }
    }

    #[test]
    fn means_and_marks() {
        let text = table(
            &[made("low", 100.0, false), made("high", 400.1, true)],
            "mimalloc",
            50.0,
        );
        let line = |of: &str| text.lines().find(|l| l.starts_with(of)).unwrap_or_default();
        assert!(line("low").ends_with("0.150"), "{text}");
        assert!(line("high").ends_with("0.600 = !"), "{text}");
        assert!(
            text.contains("floor 0.200, aethalloc 0.400, the leanest other of each row 0.300"),
            "{text}"
        );
        assert!(
            text.contains("to the floor: 2.000; floor above 0.40 of mimalloc: 1 of 2 rows"),
            "{text}"
        );
    }

    #[test]
    fn what_the_library_writes() {
        assert_eq!(both("heap 1\nmapped 2\nboth 2048\n"), Some(2.0));
        assert_eq!(both("heap 1\n"), None);
    }
}
