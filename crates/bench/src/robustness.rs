//! Do a row's figures hang on its constants? `bench robustness`: each program with its sizes and live sets at half, once and
//! twice what the definition says, under ours and the base, all in one interleaved run.
//!
//! ```text
//! ratio(scale)  = ours / base at that scale, round by round, the median
//! change(scale) = ratio(scale) / ratio(1)       above 1: the row falls there
//! ```
//! The checksums of other constants are not known: all runs of a program with the same constants must agree.

use std::fmt::Write;
use std::path::Path;

use crate::checkout::Checkout;
use crate::definitions::Workload;
use crate::machine;
use crate::peers::Peer;
use crate::report::{self, OURS};
use crate::result::{ResultFile, WorkloadResult};
use crate::runner::{self, Plan};
use crate::scale;
use crate::stats;

/// What the constants are multiplied by; the definition's own in the middle.
const SCALES: [f64; 3] = [0.5, 1.0, 2.0];
/// A row falls if its ratio grows by more than this.
const MOST: f64 = 1.10;
const FIGURES: &[(&str, &str)] = &[
    ("wall_s", "wall time"),
    ("cpu_s", "user + sys"),
    ("peak_kib", "peak RSS"),
];

/// Measures and prints; the result goes to `out`. False if a run failed or was wrong, or Ctrl-C came.
pub fn run(
    checkout: &Checkout,
    workloads: &[Workload],
    peers: &[Peer],
    rounds: usize,
    out: &Path,
) -> Result<bool, String> {
    let (rows, without) = rows(workloads);
    if rows.is_empty() {
        return Err("none of the chosen workloads has constants to scale".into());
    }
    let mut result = ResultFile::new("robustness", rounds, machine::look(), checkout.commit());
    result.peers = peers.to_vec();
    let plan = Plan {
        checkout,
        peers,
        workloads: &rows,
        rounds,
        scale: 1.0,
        idle: 0,
        env: &[],
        out: out.to_path_buf(),
    };
    let finished = runner::run(&plan, &mut result)?;
    let wrong = wrong(&result);
    print!("{}", text(&result)?);
    for line in &wrong {
        println!("wrong: {line}");
    }
    if !without.is_empty() {
        println!("without constants to scale: {}", without.join(" "));
    }
    println!("result: {}", out.display());
    if !finished {
        eprintln!("bench: interrupted: what was finished is in the result");
    }
    Ok(finished && wrong.is_empty())
}

/// Each workload once per scale, and the names of those that have nothing to scale.
fn rows(workloads: &[Workload]) -> (Vec<Workload>, Vec<&str>) {
    let mut rows = Vec::new();
    let mut without = Vec::new();
    for workload in workloads {
        let all: Result<Vec<_>, _> = SCALES
            .iter()
            .map(|by| scale::scaled(workload, *by).map(|w| (by, w)))
            .collect();
        match all {
            Ok(all) => rows.extend(all.into_iter().map(|(by, scaled)| Workload {
                name: name(&workload.name, *by),
                ..scaled
            })),
            Err(_) => without.push(workload.name.as_str()),
        }
    }
    (rows, without)
}

fn name(workload: &str, by: f64) -> String {
    format!("{workload}@{by}")
}

/// Rows that failed, or whose runs do not agree.
fn wrong(result: &ResultFile) -> Vec<String> {
    let mut lines = Vec::new();
    for workload in &result.workloads {
        if let Some(why) = &workload.skipped {
            lines.push(format!("{}: {why}", workload.name));
        }
        for cell in &workload.cells {
            if let Some(why) = &cell.failed {
                lines.push(format!("{} under {}: {why}", workload.name, cell.peer));
            }
        }
        let mut sums: Vec<&str> = workload
            .cells
            .iter()
            .flat_map(|c| &c.runs)
            .map(|r| r.output.checksum.as_str())
            .collect();
        sums.sort_unstable();
        sums.dedup();
        if sums.len() > 1 {
            let sums = sums.join(" and ");
            lines.push(format!("{}: checksums {sums}", workload.name));
        }
    }
    lines
}

/// One program, one figure: ours to the base at each scale.
struct Row<'a> {
    name: &'a str,
    ratios: [f64; 3],
}

impl Row<'_> {
    fn change(&self, at: usize) -> f64 {
        self.ratios[at] / self.ratios[1]
    }

    fn worst(&self) -> f64 {
        self.change(0).max(self.change(2))
    }
}

/// A table per figure, what falls most first.
fn text(result: &ResultFile) -> Result<String, String> {
    let base = report::base(result).unwrap_or_default();
    let mut out = String::new();
    for (path, title) in FIGURES {
        let mut rows: Vec<Row> = result
            .workloads
            .iter()
            .filter_map(|w| row(result, w, base, path))
            .collect();
        if rows.is_empty() {
            return Err(format!("no workload ran under {OURS} and {base}"));
        }
        rows.sort_by(|a, b| b.worst().total_cmp(&a.worst()));
        let fall = rows.iter().filter(|r| r.worst() > MOST).count();
        let _ = writeln!(
            out,
            "{title}: {OURS} to {base}, constants at half, once, twice; falls by more than {:.0} %: {fall} of {}",
            (MOST - 1.0) * 100.0,
            rows.len()
        );
        let _ = writeln!(
            out,
            "{:<24} {:>7} {:>7} {:>7}   {:>13} {:>13}",
            "workload", "0.5", "1", "2", "change at 0.5", "change at 2"
        );
        for row in &rows {
            let mark = if row.worst() > MOST { "  falls" } else { "" };
            let [half, once, twice] = row.ratios;
            let _ = writeln!(
                out,
                "{:<24} {half:>7.3} {once:>7.3} {twice:>7.3}   {:>13.3} {:>13.3}{mark}",
                row.name,
                row.change(0),
                row.change(2)
            );
        }
        let mean = |at: usize| {
            stats::geometric_mean(rows.iter().map(|r| r.ratios[at])).unwrap_or(f64::NAN)
        };
        let _ = writeln!(
            out,
            "{:<24} {:>7.3} {:>7.3} {:>7.3}\n",
            "geometric mean",
            mean(0),
            mean(1),
            mean(2)
        );
    }
    Ok(out)
}

/// The row that begins with a program at half of its constants.
fn row<'a>(
    result: &ResultFile,
    first: &'a WorkloadResult,
    base: &str,
    path: &str,
) -> Option<Row<'a>> {
    let program = first.name.strip_suffix(&name("", SCALES[0]))?;
    let mut ratios = [0.0; 3];
    for (at, by) in SCALES.iter().enumerate() {
        let wanted = name(program, *by);
        let workload = result.workloads.iter().find(|w| w.name == wanted)?;
        let series = |peer: &str| -> Option<Vec<f64>> {
            let runs = &workload.cell(peer)?.runs;
            Some(runs.iter().filter_map(|r| r.figure(path)).collect())
        };
        let ratio = stats::paired_ratio(&series(OURS)?, &series(base)?, 0.95);
        if ratio.count == 0 || ratio.median <= 0.0 {
            return None;
        }
        ratios[at] = ratio.median;
    }
    Some(Row {
        name: program,
        ratios,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::Workload;
    use crate::launch::Usage;
    use crate::result::{Cell, Output, Run};

    fn cell(peer: &str, times: &[f64], checksum: &str) -> Cell {
        let run = |wall_s: &f64| Run {
            usage: Usage {
                wall_s: *wall_s,
                user_s: *wall_s,
                peak_kib: 1000,
                ..Usage::default()
            },
            output: Output {
                checksum: checksum.into(),
                ..Output::default()
            },
        };
        Cell {
            peer: peer.into(),
            runs: times.iter().map(run).collect(),
            ..Cell::default()
        }
    }

    /// Ours at half, once and twice; the base always takes a second.
    fn made(ours: [f64; 3], checksum: &str) -> ResultFile {
        let mut result = ResultFile::new("robustness", 2, machine::look(), "c".into());
        for (by, seconds) in SCALES.iter().zip(ours) {
            let workload = Workload::named(&name("larson", *by));
            result.workloads.push(WorkloadResult {
                name: workload.name.clone(),
                suite: "throughput".into(),
                about: String::new(),
                args: Vec::new(),
                figure: workload.figure(),
                skipped: None,
                series: None,
                cells: vec![
                    cell(OURS, &[seconds, seconds], checksum),
                    cell("mimalloc", &[1.0, 1.0], "a"),
                ],
            });
        }
        result.peers = ["aethalloc", "mimalloc"]
            .map(|name| Peer {
                name: name.into(),
                title: name.into(),
                library: None,
                version: String::new(),
                note: String::new(),
                conf: String::new(),
            })
            .to_vec();
        result
    }

    #[test]
    fn a_row_that_falls_is_named() -> Result<(), String> {
        let text = text(&made([0.5, 0.5, 0.6], "a"))?;
        assert!(
            text.contains("wall time: aethalloc to mimalloc, constants at half, once, twice; falls by more than 10 %: 1 of 1"),
            "{text}"
        );
        assert!(text.contains("1.000         1.200  falls"), "{text}");
        assert!(text.contains("peak RSS: aethalloc to mimalloc, constants at half, once, twice; falls by more than 10 %: 0 of 1"), "{text}");
        Ok(())
    }

    #[test]
    fn a_row_that_is_slow_everywhere_does_not_fall() -> Result<(), String> {
        let text = text(&made([1.6, 1.5, 1.4], "a"))?;
        assert!(!text.contains("  falls"), "{text}");
        Ok(())
    }

    #[test]
    fn runs_that_do_not_agree_are_wrong() {
        assert!(wrong(&made([1.0; 3], "a")).is_empty());
        let lines = wrong(&made([1.0; 3], "b"));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "larson@0.5: checksums a and b");
    }

    #[test]
    fn each_scale_is_a_row_and_what_has_no_constants_is_named() {
        let mut with = Workload::named("with");
        with.args = vec!["random".into(), "slots=10".into(), "ops=7".into()];
        let mut none = Workload::named("none");
        none.args = vec!["digits".into(), "terms=7".into()];
        let workloads = [with, none];
        let (rows, without) = rows(&workloads);
        let names: Vec<_> = rows.iter().map(|w| w.name.as_str()).collect();
        assert_eq!(names, ["with@0.5", "with@1", "with@2"]);
        let slots: Vec<_> = rows.iter().map(|w| w.args[1].as_str()).collect();
        assert_eq!(slots, ["slots=5", "slots=10", "slots=20"]);
        assert_eq!(without, ["none"]);
    }
}
