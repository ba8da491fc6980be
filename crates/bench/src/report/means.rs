//! Geometric means over the workloads of a suite, each allocator to one of them.

use std::fmt::Write;

use super::{OURS, base, figure};
use crate::result::{ResultFile, WorkloadResult};
use crate::stats;

/// One figure of one suite, averaged.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    /// Which suite.
    pub suite: String,
    /// Figure in words.
    pub title: &'static str,
    /// Its path; none for what each workload is judged by.
    pub path: Option<&'static str>,
    /// Workloads in which every allocator has the figure.
    pub workloads: usize,
    /// By allocator, to the base.
    pub ratios: Vec<(String, f64)>,
    /// The best of all but Aethalloc in each workload, taken together.
    pub best_others: Option<f64>,
}

/// All means of a result that say something, suite by suite. A workload counts where every allocator that ran has
/// the figure and it is not zero, so that all means are over the same workloads.
pub fn means(result: &ResultFile) -> Vec<Mean> {
    let Some(base) = base(result) else {
        return Vec::new();
    };
    let mut suites: Vec<&str> = result.workloads.iter().map(|w| w.suite.as_str()).collect();
    suites.dedup();
    let mut all = Vec::new();
    for suite in suites {
        let of_suite: Vec<&WorkloadResult> = result
            .workloads
            .iter()
            .filter(|w| w.suite == suite)
            .collect();
        let by_time = of_suite.iter().all(|w| w.figure.path == "wall_s");
        let first = match by_time {
            true => ("wall time", Some("wall_s")),
            false => ("what each is judged by", None),
        };
        let others = [
            ("user + sys", Some("cpu_s")),
            ("peak RSS", Some("peak_kib")),
        ];
        for (title, path) in [first].into_iter().chain(others) {
            all.extend(mean(result, suite, &of_suite, base, title, path));
        }
    }
    all
}

fn mean(
    result: &ResultFile,
    suite: &str,
    of_suite: &[&WorkloadResult],
    base: &str,
    title: &'static str,
    path: Option<&'static str>,
) -> Option<Mean> {
    let names: Vec<&str> = result.peers.iter().map(|p| p.name.as_str()).collect();
    // One row of medians per workload that everybody has.
    let rows: Vec<Vec<f64>> = of_suite
        .iter()
        .filter_map(|w| {
            names
                .iter()
                .map(|n| figure(w, n, path).map(|s| s.median).filter(|m| *m > 0.0))
                .collect()
        })
        .collect();
    let at = names.iter().position(|n| *n == base)?;
    let ratio = |of: &dyn Fn(&[f64]) -> f64| {
        stats::geometric_mean(rows.iter().map(|row| of(row) / row[at]))
    };
    let ratios = names
        .iter()
        .enumerate()
        .map(|(index, name)| Some(((*name).to_string(), ratio(&|row| row[index])?)))
        .collect::<Option<Vec<_>>>()?;
    let others: Vec<usize> = (0..names.len()).filter(|i| names[*i] != OURS).collect();
    let best = |row: &[f64]| others.iter().map(|i| row[*i]).fold(f64::INFINITY, f64::min);
    let best_others = (others.len() > 1).then(|| ratio(&best)).flatten();
    Some(Mean {
        suite: suite.to_string(),
        title,
        path,
        workloads: rows.len(),
        ratios,
        best_others,
    })
}

/// The means for the terminal.
pub fn text(result: &ResultFile) -> String {
    let mut out = String::new();
    if result.peers.len() < 2 {
        return out;
    }
    for mean in means(result) {
        let base = base(result).unwrap_or_default();
        let _ = write!(
            out,
            "geometric mean, {}, {} ({} workloads, {base} = 1):",
            mean.suite, mean.title, mean.workloads
        );
        for (name, ratio) in mean.ratios.iter().filter(|(n, _)| n != base) {
            let _ = write!(out, " {name} {ratio:.3}");
        }
        if let Some(best) = mean.best_others {
            let _ = write!(out, "; best other of each row {best:.3}");
        }
        out.push('\n');
    }
    out
}
