//! What the safety modes cost: `bench modes`. Each program under Aethalloc as it is by default, with `safety:guard` and with
//! `safety:hardened`, the same library, all in one interleaved run.
//!
//! ```text
//! ratio(mode) = the mode / the default, round by round, the median; means over the programs are geometric
//! ```

use std::fmt::Write;
use std::path::Path;

use crate::checkout::Checkout;
use crate::definitions::Workload;
use crate::machine;
use crate::peers::Peer;
use crate::report::OURS;
use crate::result::{ResultFile, WorkloadResult};
use crate::runner::{self, Plan};
use crate::stats;

/// Name of the mode and the options that it is asked for by.
const MODES: [(&str, &str); 2] = [("guard", "safety:guard"), ("hardened", "safety:hardened")];
const FIGURES: [(&str, &str); 3] = [
    ("cpu_s", "user + sys"),
    ("wall_s", "wall time"),
    ("peak_kib", "peak RSS"),
];

/// Measures and prints; the result goes to `out`. False if a run failed or was wrong, or Ctrl-C came.
pub fn run(
    checkout: &Checkout,
    workloads: &[Workload],
    ours: &Peer,
    rounds: usize,
    out: &Path,
) -> Result<bool, String> {
    let peers = peers(ours);
    let mut result = ResultFile::new("modes", rounds, machine::look(), checkout.commit());
    result.peers = peers.clone();
    let plan = Plan {
        checkout,
        peers: &peers,
        workloads,
        rounds,
        scale: 1.0,
        idle: 0,
        env: &[],
        out: out.to_path_buf(),
    };
    let finished = runner::run(&plan, &mut result)?;
    print!("{}", text(&result)?);
    println!("result: {}", out.display());
    if !finished {
        eprintln!("bench: interrupted: what was finished is in the result");
    }
    let well = result
        .workloads
        .iter()
        .all(|w| w.skipped.is_none() && w.cells.iter().all(|c| c.failed.is_none()));
    Ok(finished && well)
}

/// The default, and each mode: one library.
fn peers(ours: &Peer) -> Vec<Peer> {
    let mode = |(name, conf): (&str, &str)| Peer {
        name: name.into(),
        title: name.into(),
        conf: conf.into(),
        ..ours.clone()
    };
    let default = Peer {
        name: OURS.into(),
        ..ours.clone()
    };
    std::iter::once(default).chain(MODES.map(mode)).collect()
}

/// A mode to the default in each figure.
type Ratios = [f64; FIGURES.len()];

/// A table: a line for each program, the dearest under the last mode first, and the means.
fn text(result: &ResultFile) -> Result<String, String> {
    let mut rows: Vec<(&str, Vec<Ratios>)> = result
        .workloads
        .iter()
        .filter_map(|w| Some((w.name.as_str(), row(w)?)))
        .collect();
    if rows.is_empty() {
        return Err("no workload ran in every mode".into());
    }
    let dear = |row: &(&str, Vec<Ratios>)| row.1.last().map_or(0.0, |ratios| ratios[0]);
    rows.sort_by(|a, b| dear(b).total_cmp(&dear(a)));
    let mut out = format!(
        "to the default, {} rounds, commit {}\n{:<24}",
        result.rounds, result.commit, "workload"
    );
    for (mode, _) in MODES {
        for (_, figure) in FIGURES {
            let _ = write!(out, " {:>19}", format!("{mode} {figure}"));
        }
    }
    out.push('\n');
    for (name, modes) in &rows {
        line(&mut out, name, modes);
    }
    let mean = |mode: usize, figure: usize| {
        let all = rows.iter().map(|(_, modes)| modes[mode][figure]);
        stats::geometric_mean(all).unwrap_or(f64::NAN)
    };
    let means: Vec<Ratios> = (0..MODES.len())
        .map(|mode| std::array::from_fn(|figure| mean(mode, figure)))
        .collect();
    line(&mut out, "geometric mean", &means);
    Ok(out)
}

fn line(out: &mut String, name: &str, modes: &[Ratios]) {
    let _ = write!(out, "{name:<24}");
    for ratio in modes.iter().flatten() {
        let _ = write!(out, " {ratio:>19.3}");
    }
    out.push('\n');
}

/// Each mode to the default; `None`: it did not run in all of them.
fn row(workload: &WorkloadResult) -> Option<Vec<Ratios>> {
    let series = |peer: &str, figure: &str| -> Option<Vec<f64>> {
        let runs = &workload.cell(peer)?.runs;
        Some(runs.iter().filter_map(|r| r.figure(figure)).collect())
    };
    MODES
        .iter()
        .map(|(mode, _)| {
            let mut ratios = [0.0; FIGURES.len()];
            for (ratio, (figure, _)) in ratios.iter_mut().zip(FIGURES) {
                let paired =
                    stats::paired_ratio(&series(mode, figure)?, &series(OURS, figure)?, 0.95);
                if paired.count == 0 || paired.median <= 0.0 {
                    return None;
                }
                *ratio = paired.median;
            }
            Some(ratios)
        })
        .collect()
}
