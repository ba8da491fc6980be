//! Two results of one kind: the best other allocator of each row is chosen in the first and compared in the second, so
//! that nobody is measured against the luckiest run of several peers.

use std::fmt::Write;

use crate::report::{self, OURS};
use crate::result::{ResultFile, WorkloadResult};

/// What is compared, and how far behind the best is still a tie.
const FIGURES: &[(&str, &str, f64)] = &[
    ("wall_s", "wall time", 1.03),
    ("cpu_s", "user + sys", 1.03),
    ("peak_kib", "peak RSS", 1.05),
];

/// One row of one figure.
struct Row<'a> {
    workload: &'a str,
    best: &'a str,
    ratio: f64,
    /// The stated intervals overlap.
    even: bool,
}

/// The ranking as text, losses first.
pub fn text(chosen: &ResultFile, compared: &ResultFile) -> Result<String, String> {
    let mut out = String::new();
    let by_time = |r: &ResultFile| r.workloads.iter().all(|w| w.figure.path == "wall_s");
    let mut figures: Vec<(Option<&str>, &str, f64)> = FIGURES
        .iter()
        .map(|(path, title, most)| (Some(*path), *title, *most))
        .collect();
    if !by_time(compared) {
        figures = vec![(None, "what each row is judged by", 1.05)];
    }
    for (path, title, most) in figures {
        let mut rows: Vec<Row> = compared
            .workloads
            .iter()
            .filter_map(|after| row(chosen, after, path))
            .collect();
        if rows.is_empty() {
            return Err(format!(
                "the two results have no workload (same arguments) that {OURS} and another allocator ran in both"
            ));
        }
        rows.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
        let behind = rows.iter().filter(|r| r.ratio > most).count();
        let _ = writeln!(
            out,
            "{title}: {OURS} to the best other of each row (chosen in A, compared in B); above {most:.2}x: {behind} of {}",
            rows.len()
        );
        for row in rows {
            let verdict = match (row.ratio > most, row.even) {
                (true, true) => "  behind, but the intervals overlap",
                (true, false) => "  BEHIND",
                (false, _) => "",
            };
            let _ = writeln!(
                out,
                "  {:<24} {:>7.3}x {:<14}{verdict}",
                row.workload, row.ratio, row.best
            );
        }
    }
    Ok(out)
}

fn row<'a>(
    chosen: &'a ResultFile,
    after: &'a WorkloadResult,
    path: Option<&str>,
) -> Option<Row<'a>> {
    let before = chosen
        .workloads
        .iter()
        .find(|w| w.name == after.name && w.args == after.args)?;
    let (best, _) = chosen
        .peers
        .iter()
        .filter(|p| p.name != OURS)
        .filter_map(|p| Some((p.name.as_str(), report::figure(before, &p.name, path)?)))
        .min_by(|a, b| a.1.median.total_cmp(&b.1.median))?;
    let own = report::figure(after, OURS, path)?;
    let other = report::figure(after, best, path)?;
    (other.median > 0.0).then(|| Row {
        workload: &after.name,
        best,
        ratio: own.median / other.median,
        even: !own.differs_from(&other),
    })
}
