//! A result in words: a table, geometric means, and where one allocator stands, losses first.

mod details;
mod means;
mod series;

use std::fmt::Write;

pub use details::{columns, text as details};
pub use means::{Mean, means};
pub use series::{Curves, curves, means_by_threads};

use crate::result::{ResultFile, WorkloadResult};
use crate::stats::{self, Summary};

/// What one allocator reached in one workload, against the best of the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Which workload.
    pub workload: String,
    /// Which other allocator was best.
    pub best: String,
    /// Own median to the best other's.
    pub ratio: f64,
    /// The stated intervals do not overlap (see `Summary::differs_from`).
    pub clear: bool,
}

/// The allocator that the standings are about.
pub const OURS: &str = "aethalloc";

/// The peer that others are compared with: mimalloc where it ran, else glibc, else the first.
pub fn base(result: &ResultFile) -> Option<&str> {
    let names = || result.peers.iter().map(|p| p.name.as_str());
    ["mimalloc", "glibc"]
        .into_iter()
        .find_map(|wanted| names().find(|n| *n == wanted))
        .or_else(|| names().find(|n| *n != OURS))
        .or_else(|| names().next())
}

/// Rows in which `peer` and another have a figure, worst first.
pub fn standings(result: &ResultFile, peer: &str) -> Vec<Standing> {
    let mut rows: Vec<Standing> = result
        .workloads
        .iter()
        .filter_map(|w| standing(result, w, peer, None))
        .collect();
    rows.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    rows
}

/// Where `peer` stands in one workload, by a figure's path or (none) the one that it is judged by.
pub fn standing(
    result: &ResultFile,
    workload: &WorkloadResult,
    peer: &str,
    path: Option<&str>,
) -> Option<Standing> {
    let figure_of = |name: &str| figure(workload, name, path);
    let own = figure_of(peer)?;
    let (best, other) = result
        .peers
        .iter()
        .filter(|p| p.name != peer)
        .filter_map(|p| Some((p.name.clone(), figure_of(&p.name)?)))
        .min_by(|a, b| a.1.median.total_cmp(&b.1.median))?;
    Some(Standing {
        workload: workload.name.clone(),
        clear: own.differs_from(&other),
        // Nothing against nothing is even.
        ratio: match (own.median, other.median) {
            (0.0, 0.0) => 1.0,
            (own, other) => own / other,
        },
        best,
    })
}

/// A peer's summary by a figure's path, or by the figure that the workload is judged by.
pub fn figure(workload: &WorkloadResult, peer: &str, path: Option<&str>) -> Option<Summary> {
    match path {
        Some(path) => workload.cell(peer)?.summary(path),
        None => workload.judged(peer),
    }
}

/// The table for the terminal.
pub fn text(result: &ResultFile) -> String {
    let mut out = String::new();
    let Some(base) = base(result) else {
        return "nothing was measured\n".into();
    };
    let width = result
        .workloads
        .iter()
        .map(|w| w.name.len())
        .max()
        .unwrap_or(8)
        .max(8);
    let _ = write!(out, "{:width$}  {:>12}", "workload", base);
    let others: Vec<&str> = result
        .peers
        .iter()
        .map(|p| p.name.as_str())
        .filter(|n| *n != base)
        .collect();
    for name in &others {
        let _ = write!(out, " {name:>15}");
    }
    out.push('\n');
    for workload in &result.workloads {
        if let Some(reason) = &workload.skipped {
            let _ = writeln!(out, "{:width$}  skipped: {reason}", workload.name);
            continue;
        }
        let reference = workload.judged(base);
        let first = reference.map_or("-".into(), |s| {
            format!("{} {}", number(s.median), workload.figure.unit)
        });
        let _ = write!(out, "{:width$}  {first:>12}", workload.name);
        for name in &others {
            let cell = match (workload.judged(name), reference) {
                (Some(s), Some(r)) if r.median > 0.0 && s.count < stats::ENOUGH => {
                    format!("{:.2}x", s.median / r.median)
                }
                (Some(s), Some(r)) if r.median > 0.0 => {
                    format!("{:.2}x ±{:.0}%", s.median / r.median, s.spread() * 100.0)
                }
                (Some(s), _) => number(s.median),
                (None, _) if workload.cell(name).is_some_and(|c| c.failed.is_some()) => {
                    "failed".into()
                }
                (None, _) => "-".into(),
            };
            let _ = write!(out, " {cell:>15}");
        }
        out.push('\n');
    }
    out.push_str(&means::text(result));
    for absent in &result.absent {
        let _ = writeln!(out, "absent: {}: {}", absent.name, absent.reason);
    }
    for workload in &result.workloads {
        for cell in &workload.cells {
            if let Some(line) = &cell.failed {
                let _ = writeln!(out, "failed: {} under {}: {line}", workload.name, cell.peer);
            }
        }
    }
    for line in &result.disturbances {
        let _ = writeln!(out, "disturbed: {line}");
    }
    out
}

/// Where `peer` stands, for the terminal.
pub fn standings_text(result: &ResultFile, peer: &str) -> String {
    let rows = standings(result, peer);
    if rows.is_empty() {
        return String::new();
    }
    let mut out = format!("{peer} against the best other, losses first:\n");
    for row in rows {
        let sure = if row.clear { "" } else { "  (not clear)" };
        let _ = writeln!(
            out,
            "  {:<24} {:.2}x {}{sure}",
            row.workload, row.ratio, row.best
        );
    }
    out
}

/// Three significant digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        0.0 => "0".into(),
        _ => format!("{value:.3}"),
    }
}
