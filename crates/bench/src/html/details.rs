//! The table under each chart: every figure, not only the one the row is judged by.

use std::fmt::Write;

use super::escape;
use crate::report::{self, number};
use crate::result::{Cell, ResultFile, WorkloadResult};

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
    let columns = report::columns(workload);
    out.push_str(
        "<details><summary>all figures</summary><div class=\"scroll\"><table><thead><tr><th>",
    );
    columns
        .iter()
        .for_each(|c| out.push_str(&format!("<th>{}", escape(&c.heading))));
    let counted = cells.iter().any(|(_, c)| c.instructions.is_some());
    if counted {
        out.push_str("<th>instructions an operation");
    }
    out.push_str("</tr></thead><tbody>");
    for (title, cell) in &cells {
        let _ = write!(out, "<tr><td>{}", escape(title));
        for column in &columns {
            let value = cell.summary(&column.path).map(|s| s.scaled(column.factor));
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
