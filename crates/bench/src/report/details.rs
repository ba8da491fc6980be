//! Every figure of every workload as text: median and interval.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::number;
use crate::result::{ResultFile, WorkloadResult};

/// Path, heading, factor of what every workload may have.
const COLUMNS: &[(&str, &str, f64)] = &[
    ("wall_s", "wall s", 1.0),
    ("cpu_s", "user + sys s", 1.0),
    ("user_s", "user s", 1.0),
    ("sys_s", "sys s", 1.0),
    ("peak_kib", "peak RSS MiB", 1.0 / 1024.0),
    ("marks.end.rss_kib", "end RSS MiB", 1.0 / 1024.0),
    ("marks.end.pss_kib", "end PSS MiB", 1.0 / 1024.0),
    ("marks.idle.rss_kib", "idle RSS MiB", 1.0 / 1024.0),
    ("marks.idle.pss_kib", "idle PSS MiB", 1.0 / 1024.0),
    ("minor_faults", "page faults", 1.0),
    ("major_faults", "with disk", 1.0),
];

/// One column of a workload's table.
pub struct Column {
    /// Figure.
    pub path: String,
    /// Its name.
    pub heading: String,
    /// Factor into the heading's unit.
    pub factor: f64,
}

/// The columns that at least one allocator has in this workload.
pub fn columns(workload: &WorkloadResult) -> Vec<Column> {
    let outputs = || {
        workload
            .cells
            .iter()
            .filter_map(|c| c.runs.first())
            .map(|run| &run.output)
    };
    let extras: BTreeSet<&String> = outputs().flat_map(|o| o.extra.keys()).collect();
    let moments: BTreeSet<&String> = outputs().flat_map(|o| o.marks.keys()).collect();
    let column = |path: String, heading: String, factor| Column {
        path,
        heading,
        factor,
    };
    let fixed = COLUMNS
        .iter()
        .map(|(path, heading, factor)| column((*path).into(), (*heading).into(), *factor));
    let moments = moments
        .into_iter()
        .filter(|m| !matches!(m.as_str(), "end" | "idle"))
        .map(|m| {
            column(
                format!("marks.{m}.rss_kib"),
                format!("{m} RSS MiB"),
                1.0 / 1024.0,
            )
        });
    let extras = extras
        .into_iter()
        .map(|name| column(format!("extra.{name}"), name.replace('_', " "), 1.0));
    let has = |c: &Column| {
        workload
            .cells
            .iter()
            .any(|cell| cell.summary(&c.path).is_some_and(|s| s.max > 0.0))
    };
    fixed.chain(moments).chain(extras).filter(has).collect()
}

/// One block per workload, one line per figure.
pub fn text(result: &ResultFile) -> String {
    let mut out = String::new();
    for workload in &result.workloads {
        let columns = columns(workload);
        if columns.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{}: {}", workload.name, workload.about);
        let width = columns.iter().map(|c| c.heading.len()).max().unwrap_or(0);
        let _ = write!(out, "  {:width$}", "");
        for peer in &result.peers {
            let _ = write!(out, " {:>24}", peer.name);
        }
        out.push('\n');
        for column in &columns {
            let _ = write!(out, "  {:width$}", column.heading);
            for peer in &result.peers {
                let figure = workload
                    .cell(&peer.name)
                    .and_then(|c| c.summary(&column.path));
                let text = figure.map_or("-".into(), |s| {
                    let s = s.scaled(column.factor);
                    match s.count {
                        1 => number(s.median),
                        _ => format!(
                            "{} [{} {}]",
                            number(s.median),
                            number(s.sure.0),
                            number(s.sure.1)
                        ),
                    }
                });
                let _ = write!(out, " {text:>24}");
            }
            out.push('\n');
        }
        let counts: Vec<String> = workload
            .cells
            .iter()
            .filter_map(|c| Some(format!("{} {:.1}", c.peer, c.instructions?)))
            .collect();
        if !counts.is_empty() {
            let _ = writeln!(out, "  instructions an operation: {}", counts.join(", "));
        }
    }
    out
}
