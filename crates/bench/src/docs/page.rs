//! docs/results.md: everything that is kept.

use std::fmt::Write;

use super::parts::{Place, machine, means_table, place, rule, to};
use super::{Kept, plots, scaled};
use crate::report::{self, OURS, number};
use crate::result::{ResultFile, WorkloadResult};
use crate::stats;

/// docs/results.md: everything.
pub fn results(kept: &Kept) -> String {
    let mut out = String::new();
    if kept.suites.is_empty() {
        out.push_str("No run of the suites is kept.\n\n");
    }
    for result in &kept.suites {
        let _ = writeln!(out, "## Suite {}\n", result.suite);
        about(&mut out, result);
        pictures(&mut out, result);
        out.push_str(&means_table([result].into_iter()));
        ranks(&mut out, result);
        let judged = format!(
            "All figures that rows are judged by, suite {}",
            result.suite
        );
        figures(&mut out, result, None, &judged, 1.0);
        let peaks = format!("Peak RSS in MiB, suite {}", result.suite);
        figures(&mut out, result, Some("peak_kib"), &peaks, 1.0 / 1024.0);
        instructions(&mut out, result);
        reasons(&mut out, result);
    }
    scaled::table(&mut out, kept);
    if let Some(six) = &kept.six {
        let _ = writeln!(
            out,
            "## The six\n\nOn {}.\n\n```text",
            machine(&six.machine, &six.commit, six.started)
        );
        for row in &six.rows {
            let _ = writeln!(out, "\n{}\n  goal: {}", row.case, row.goal);
            for cell in &row.cells {
                let verdict = match cell.holds {
                    Some(true) => ": holds",
                    Some(false) => ": MISSED",
                    None => "",
                };
                let _ = writeln!(out, "  {:<14} {}{verdict}", cell.peer, cell.text);
            }
        }
        out.push_str("```\n");
    }
    out
}

fn about(out: &mut String, result: &ResultFile) {
    let _ = writeln!(
        out,
        "{} programs, {} allocators, {} rounds, interleaved, on {}.",
        result.workloads.len(),
        result.peers.len(),
        result.rounds,
        machine(&result.machine, &result.commit, result.started)
    );
    let versions: Vec<String> = result
        .peers
        .iter()
        .map(|p| match p.note.as_str() {
            "" => format!("{} {}", p.title, p.version),
            note => format!("{} {} ({note})", p.title, p.version),
        })
        .collect();
    let _ = writeln!(
        out,
        "Versions: {0}. Every run: [{1}.json](results/{1}.json); as a page with all plots: [{1}.html](results/{1}.html).\n",
        versions.join("; "),
        result.suite
    );
    for absent in &result.absent {
        let _ = writeln!(out, "**{} is absent**: {}\n", absent.name, absent.reason);
    }
    for line in &result.disturbances {
        let _ = writeln!(out, "**Disturbed**: {line}\n");
    }
    if !result.complete {
        out.push_str("**Interrupted**: what is here was finished.\n\n");
    }
}

fn pictures(out: &mut String, result: &ResultFile) {
    for (index, mean) in report::means(result).iter().enumerate() {
        let file = plots::name(result, index);
        let _ = writeln!(out, "![{}: {}](results/{file})", result.suite, mean.title);
    }
    if plots::has_scatter(result) {
        let file = plots::scatter_name(result);
        let _ = writeln!(
            out,
            "![{}: time against memory](results/{file})",
            result.suite
        );
    }
    for curves in plots::curves(result) {
        let file = plots::curves_name(result, &curves);
        let _ = writeln!(
            out,
            "![{}: {} over the number of threads](results/{file})",
            result.suite, curves.name
        );
    }
    out.push('\n');
    by_threads(out, result);
}

/// The means for each number of threads.
fn by_threads(out: &mut String, result: &ResultFile) {
    let Some(means) = report::means_by_threads(result) else {
        return;
    };
    let _ = write!(
        out,
        "The time that one thread takes for an operation, {}:\n\n| threads |",
        means.about
    );
    for peer in &result.peers {
        let _ = write!(out, " {} |", peer.title);
    }
    let _ = writeln!(out, "\n{}", rule(result.peers.len() + 1));
    let mut counts: Vec<usize> = means.lines.iter().flat_map(|l| &l.1).map(|p| p.0).collect();
    counts.sort_unstable();
    counts.dedup();
    for count in counts {
        let _ = write!(out, "| {count} |");
        for (name, points) in &means.lines {
            let value = points.iter().find(|p| p.0 == count).map(|p| p.1);
            let text = value.map_or(String::new(), |v| format!("{v:.3}"));
            let _ = match name.as_str() {
                OURS => write!(out, " **{text}** |"),
                _ => write!(out, " {text} |"),
            };
        }
        out.push('\n');
    }
    out.push('\n');
}

/// Where Aethalloc stands in each row, losses first: by what the row is judged by, and by CPU time and peak where that
/// is the wall time.
fn ranks(out: &mut String, result: &ResultFile) {
    let by_time = result.workloads.iter().all(|w| w.figure.path == "wall_s");
    let mut columns: Vec<(&str, Option<&str>)> = vec![("judged by", None)];
    if by_time {
        columns = vec![
            ("wall time", None),
            ("user + sys", Some("cpu_s")),
            ("peak RSS", Some("peak_kib")),
        ];
    }
    out.push_str("\nAethalloc to the best other allocator in each row, losses first; bold: worse, and the stated intervals do not overlap.\n\n| program | |");
    columns.iter().for_each(|(title, _)| {
        let _ = write!(out, " {title} |");
    });
    let _ = writeln!(out, "\n{}", rule(columns.len() + 2));
    let find = |name: &str| result.workloads.iter().find(|w| w.name == name);
    for row in report::standings(result, OURS) {
        let Some(workload) = find(&row.workload) else {
            continue;
        };
        let _ = write!(
            out,
            "| {} | {} |",
            workload.name,
            workload.about.replace('|', "/")
        );
        for (_, path) in &columns {
            let text =
                report::standing(result, workload, OURS, *path).map_or(String::new(), |standing| {
                    match place(&standing) {
                        Place::Behind => format!("**{}**", to(result, &standing)),
                        _ => to(result, &standing),
                    }
                });
            let _ = write!(out, " {text} |");
        }
        out.push('\n');
    }
    out.push('\n');
}

/// Median and half-width of its interval, every allocator in every row.
fn figures(out: &mut String, result: &ResultFile, path: Option<&str>, title: &str, scale: f64) {
    let _ = write!(
        out,
        "<details><summary>{title}</summary>\n\n| program | unit |"
    );
    for peer in &result.peers {
        let _ = write!(out, " {} |", peer.title);
    }
    let _ = writeln!(out, "\n{}", rule(result.peers.len() + 2));
    for workload in &result.workloads {
        let unit = match path {
            None => workload.figure.unit.as_str(),
            Some(_) => "MiB",
        };
        let _ = write!(out, "| {} | {unit} |", workload.name);
        for peer in &result.peers {
            let _ = write!(out, " {} |", cell(workload, &peer.name, path, scale));
        }
        out.push('\n');
    }
    out.push_str("\n</details>\n\n");
}

fn cell(workload: &WorkloadResult, peer: &str, path: Option<&str>, scale: f64) -> String {
    match report::figure(workload, peer, path).map(|s| s.scaled(scale)) {
        Some(s) if s.count >= stats::ENOUGH => {
            format!("{} ±{:.0} %", number(s.median), s.spread() * 100.0)
        }
        Some(s) => number(s.median),
        None => "none".into(),
    }
}

/// Instructions per operation, where they were counted: lower is better, and no machine is too busy for them.
fn instructions(out: &mut String, result: &ResultFile) {
    let counted = |w: &&WorkloadResult| w.cells.iter().any(|c| c.instructions.is_some());
    if !result.workloads.iter().any(|w| counted(&w)) {
        return;
    }
    let _ = write!(
        out,
        "Instructions an operation (callgrind; the program's own loop included):\n\n| program |"
    );
    for peer in &result.peers {
        let _ = write!(out, " {} |", peer.title);
    }
    let _ = writeln!(out, "\n{}", rule(result.peers.len() + 1));
    for workload in result.workloads.iter().filter(counted) {
        let _ = write!(out, "| {} |", workload.name);
        for peer in &result.peers {
            let count = workload.cell(&peer.name).and_then(|c| c.instructions);
            let _ = write!(
                out,
                " {} |",
                count.map_or(String::new(), |c| format!("{c:.1}"))
            );
        }
        out.push('\n');
    }
    out.push('\n');
}

/// Why cells are empty.
fn reasons(out: &mut String, result: &ResultFile) {
    let mut any = false;
    for workload in &result.workloads {
        if let Some(reason) = &workload.skipped {
            let _ = writeln!(out, "- {}: {reason}", workload.name);
            any = true;
        }
        for cell in &workload.cells {
            if let Some(line) = &cell.failed {
                let title = plots::title(result, &cell.peer);
                let _ = writeln!(out, "- {} on {title}: {line}", workload.name);
                any = true;
            }
        }
    }
    if any {
        out.push('\n');
    }
}
