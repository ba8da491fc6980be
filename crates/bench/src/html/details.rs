//! The table under each chart: every figure, not only the one the row is judged by.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::escape;
use crate::report::number;
use crate::result::{Cell, ResultFile, WorkloadResult};

/// Path, heading, factor. A column is left out where no allocator has the figure.
const COLUMNS: &[(&str, &str, f64)] = &[
    ("wall_s", "wall s", 1.0),
    ("cpu_s", "user + sys s", 1.0),
    ("peak_kib", "peak MiB", 1.0 / 1024.0),
    ("marks.end.rss_kib", "end RSS MiB", 1.0 / 1024.0),
    ("marks.end.pss_kib", "end PSS MiB", 1.0 / 1024.0),
    ("marks.idle.rss_kib", "idle RSS MiB", 1.0 / 1024.0),
    ("marks.idle.pss_kib", "idle PSS MiB", 1.0 / 1024.0),
    ("minor_faults", "faults", 1.0),
];

/// Appends the table, folded.
pub fn table(out: &mut String, result: &ResultFile, workload: &WorkloadResult) {
    let cells: Vec<(&str, &Cell)> = result
        .peers
        .iter()
        .filter_map(|p| Some((p.title.as_str(), workload.cell(&p.name)?)))
        .collect();
    if cells.iter().all(|(_, c)| c.runs.is_empty()) {
        return;
    }
    let extras: BTreeSet<String> = cells
        .iter()
        .flat_map(|(_, c)| c.runs.first())
        .flat_map(|run| run.output.extra.keys().map(|k| format!("extra.{k}")))
        .collect();
    let moments: BTreeSet<String> = cells
        .iter()
        .flat_map(|(_, c)| c.runs.first())
        .flat_map(|run| run.output.marks.keys())
        .filter(|m| !matches!(m.as_str(), "end" | "idle"))
        .map(|m| format!("marks.{m}.rss_kib"))
        .collect();
    let mut columns: Vec<(String, String, f64)> = COLUMNS
        .iter()
        .map(|(p, h, f)| ((*p).to_string(), (*h).to_string(), *f))
        .collect();
    columns.extend(moments.into_iter().map(|path| {
        let moment = path.split('.').nth(1).unwrap_or_default();
        let heading = format!("{moment} RSS MiB");
        (path, heading, 1.0 / 1024.0)
    }));
    columns.extend(extras.into_iter().map(|path| {
        let heading = path.trim_start_matches("extra.").replace('_', " ");
        (path, heading, 1.0)
    }));
    columns.retain(|(path, ..)| cells.iter().any(|(_, c)| c.summary(path).is_some()));
    out.push_str(
        "<details><summary>all figures</summary><div class=\"scroll\"><table><thead><tr><th>",
    );
    columns
        .iter()
        .for_each(|(_, heading, _)| out.push_str(&format!("<th>{}", escape(heading))));
    let counted = cells.iter().any(|(_, c)| c.instructions.is_some());
    if counted {
        out.push_str("<th>instructions an operation");
    }
    out.push_str("</tr></thead><tbody>");
    for (title, cell) in &cells {
        let _ = write!(out, "<tr><td>{}", escape(title));
        for (path, _, factor) in &columns {
            let value = cell.summary(path).map(|s| s.scaled(*factor));
            let text = value.map_or(String::new(), |s| number(s.median));
            let range = value.map_or(String::new(), |s| {
                format!("{} to {}", number(s.sure.0), number(s.sure.1))
            });
            let _ = write!(out, "<td class=\"num\" title=\"{range}\">{text}");
        }
        if counted {
            let text = cell
                .instructions
                .map_or(String::new(), |i| format!("{i:.1}"));
            let _ = write!(out, "<td class=\"num\">{text}");
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div></details>");
}
