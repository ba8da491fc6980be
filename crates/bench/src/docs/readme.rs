//! The tables of README.md.

use std::fmt::Write;

use super::parts::{Place, machine, means_table, place, rule, to};
use super::{Kept, plots};
use crate::report::{self, OURS};

/// README: the six programs and their goals.
pub fn six(kept: &Kept) -> String {
    let Some(six) = &kept.six else {
        return "No run is kept.\n".into();
    };
    let busy = match six.machine.load > 0.5 * six.machine.cpus as f64 {
        true => " The machine was busy with other work.",
        false => "",
    };
    let mut out = format!(
        "One interleaved run on {}.{busy}\n\n| program | goal |",
        machine(&six.machine, &six.commit, six.started)
    );
    for peer in &six.peers {
        let title = match peer.name.as_str() {
            "glibc" => format!("{} {}", peer.title, peer.version),
            _ => peer.title.clone(),
        };
        let _ = write!(out, " {title} |");
    }
    let _ = writeln!(out, " |\n{}", rule(six.peers.len() + 3));
    for row in &six.rows {
        let _ = write!(out, "| {} | {} |", row.title, row.goal);
        for peer in &six.peers {
            let cell = row.cells.iter().find(|c| c.peer == peer.name);
            let _ = write!(out, " {} |", cell.map_or("", |c| c.short.as_str()));
        }
        let holds = row
            .cells
            .iter()
            .find(|c| c.peer == OURS)
            .and_then(|c| c.holds);
        let verdict = match holds {
            Some(true) => "holds",
            Some(false) => "**missed**",
            None => "",
        };
        let _ = writeln!(out, " {verdict} |");
    }
    out
}

/// README: means of all suites, and the rows in which another allocator is better.
pub fn standings(kept: &Kept) -> String {
    let Some(first) = kept.suites.first() else {
        return "No run of the suites is kept.\n".into();
    };
    let base = report::base(first).unwrap_or_default();
    let mut out = format!(
        "Geometric means over the programs of a suite, {} = 1, lower is better; one interleaved run of each suite on {}. \
         Every row: [docs/results.md](docs/results.md).\n\n",
        plots::title(first, base),
        machine(&first.machine, &first.commit, first.started)
    );
    out.push_str(&means_table(kept.suites.iter()));
    out.push_str("\n| suite | best of all, clearly | no clear difference | behind the best other, worst first |\n|---|---|---|---|\n");
    for result in &kept.suites {
        let rows = report::standings(result, OURS);
        let count = |wanted: Place| rows.iter().filter(|r| place(r) == wanted).count();
        let behind: Vec<String> = rows
            .iter()
            .filter(|r| place(r) == Place::Behind)
            .map(|r| format!("{} {}", r.workload, to(result, r)))
            .collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            result.suite,
            count(Place::Ahead),
            count(Place::Even),
            match behind.is_empty() {
                true => "none".into(),
                false => format!("{}: {}", behind.len(), behind.join(", ")),
            }
        );
    }
    for result in kept.suites.iter().filter(|r| plots::has_scatter(r)) {
        let _ = writeln!(
            out,
            "\n![suite {}: time against memory](docs/results/{})",
            result.suite,
            plots::scatter_name(result)
        );
    }
    out
}
