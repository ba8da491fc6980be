//! What the tables of both documents share.

use std::fmt::Write;

use super::plots;
use crate::html;
use crate::report::{self, Mean, OURS, Standing};
use crate::result::ResultFile;

/// The machine of a run, and when it was.
pub fn machine(machine: &crate::machine::Machine, commit: &str, started: u64) -> String {
    format!(
        "{} {} ({}{}), Linux {}, transparent huge pages: {}; commit {commit}, {}",
        machine.cpus,
        if machine.cpus == 1 { "CPU" } else { "CPUs" },
        machine.cpu,
        if machine.virtual_machine {
            ", virtual"
        } else {
            ""
        },
        machine.kernel.split('-').next().unwrap_or_default(),
        machine.huge_pages,
        html::date(started)
    )
}

/// Means of some suites in one table; the columns are those of the first.
pub fn means_table<'a>(results: impl Iterator<Item = &'a ResultFile> + Clone) -> String {
    let Some(first) = results.clone().next() else {
        return String::new();
    };
    let mut out = "| geometric mean of |".to_string();
    for peer in &first.peers {
        let _ = write!(out, " {} |", peer.title);
    }
    let _ = writeln!(
        out,
        " best other of each row |\n{}",
        rule(first.peers.len() + 2)
    );
    for result in results {
        for mean in report::means(result) {
            let _ = write!(
                out,
                "| {}, {} ({}) |",
                mean.suite, mean.title, mean.workloads
            );
            for peer in &first.peers {
                let _ = write!(out, " {} |", ratio_of(&mean, &peer.name));
            }
            let best = mean
                .best_others
                .map_or(String::new(), |b| format!("{b:.3}"));
            let _ = writeln!(out, " {best} |");
        }
    }
    out
}

fn ratio_of(mean: &Mean, peer: &str) -> String {
    let found = mean.ratios.iter().find(|(name, _)| name == peer);
    match found {
        Some((name, ratio)) if name == OURS => format!("**{ratio:.3}**"),
        Some((_, ratio)) => format!("{ratio:.3}"),
        None => String::new(),
    }
}

/// Where a row stands.
#[derive(PartialEq)]
pub enum Place {
    Ahead,
    Even,
    Behind,
}

/// A difference that would be printed as 1.00x is none.
pub fn place(standing: &Standing) -> Place {
    match (standing.clear, standing.ratio) {
        (true, ratio) if ratio >= 1.005 => Place::Behind,
        (true, ratio) if ratio < 0.995 => Place::Ahead,
        _ => Place::Even,
    }
}

/// A ratio to the best other, with its name.
pub fn to(result: &ResultFile, standing: &Standing) -> String {
    format!(
        "{:.2}x {}",
        standing.ratio,
        plots::title(result, &standing.best)
    )
}

/// The line below a table's head.
pub fn rule(columns: usize) -> String {
    format!("|{}", "---|".repeat(columns))
}
