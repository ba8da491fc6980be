//! docs/results.md: the rows with other constants.

use std::fmt::Write;

use super::Kept;
use super::parts::{rule, to};
use crate::report::{self, OURS};
use crate::result::ResultFile;

/// More than this share worse with other constants is a fall.
const FALL: f64 = 0.1;

/// Each row's ratio to the best other, with the workloads' own constants and with others.
pub fn table(out: &mut String, kept: &Kept) {
    for plain in &kept.suites {
        let others: Vec<&ResultFile> = kept
            .scaled
            .iter()
            .filter(|r| r.suite == plain.suite)
            .collect();
        if others.is_empty() {
            continue;
        }
        let _ = write!(
            out,
            "## Other constants, suite {}\n\nSizes and live sets multiplied. Aethalloc to the best other allocator; bold: more than \
             {:.0} % worse than with the program's own constants.\n\n| program | 1 |",
            plain.suite,
            FALL * 100.0
        );
        for other in &others {
            let _ = write!(out, " {} |", other.scale);
        }
        let _ = writeln!(out, "\n{}", rule(others.len() + 2));
        for row in report::standings(plain, OURS) {
            let _ = write!(out, "| {} | {} |", row.workload, to(plain, &row));
            for other in &others {
                let workload = other.workloads.iter().find(|w| w.name == row.workload);
                let standing = workload.and_then(|w| report::standing(other, w, OURS, None));
                let text = standing.map_or(String::new(), |s| {
                    match s.ratio > row.ratio * (1.0 + FALL) && s.ratio > 1.0 {
                        true => format!("**{}**", to(other, &s)),
                        false => to(other, &s),
                    }
                });
                let _ = write!(out, " {text} |");
            }
            out.push('\n');
        }
        out.push('\n');
    }
}
