//! Rows of one definition with several numbers of threads, put together again.

use super::base;
use crate::result::{ResultFile, WorkloadResult};
use crate::stats;

/// A figure over the number of threads.
pub struct Curves {
    /// Name of the definition; "means" for all of them.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Unit of the values.
    pub unit: String,
    /// By allocator, in the file's order: numbers of threads and values.
    pub lines: Vec<(String, Vec<(usize, f64)>)>,
}

/// The curves of a result, one for each definition that was run with several numbers of threads, or with one.
pub fn curves(result: &ResultFile) -> Vec<Curves> {
    let mut names: Vec<&str> = series(result).map(|(w, _)| w).collect();
    names.dedup();
    let one = |name: &str| {
        let rows: Vec<&WorkloadResult> = series(result)
            .filter(|(of, _)| *of == name)
            .map(|(_, w)| w)
            .collect();
        let first = rows.first()?;
        let line = |peer: &str| {
            let point = |w: &&WorkloadResult| Some((threads(w), w.judged(peer)?.median));
            rows.iter().filter_map(point).collect()
        };
        Some(Curves {
            name: name.to_string(),
            about: first.about.clone(),
            unit: first.figure.unit.clone(),
            lines: by_peer(result, line),
        })
    };
    names.into_iter().filter_map(one).collect()
}

/// For each number of threads the geometric mean over all definitions, to the base; none without rows.
pub fn means_by_threads(result: &ResultFile) -> Option<Curves> {
    let base = base(result)?;
    let mut counts: Vec<usize> = series(result).map(|(_, w)| threads(w)).collect();
    counts.sort_unstable();
    counts.dedup();
    if counts.is_empty() {
        return None;
    }
    let line = |peer: &str| {
        let mean = |count: &usize| {
            let rows = series(result).map(|(_, w)| w);
            let ratios = rows.filter(|w| threads(w) == *count).filter_map(|w| {
                let (own, to) = (w.judged(peer)?.median, w.judged(base)?.median);
                (to > 0.0).then_some(own / to)
            });
            Some((*count, stats::geometric_mean(ratios)?))
        };
        counts.iter().filter_map(mean).collect()
    };
    Some(Curves {
        name: "means".into(),
        about: format!("geometric means over all programs of the suite, {base} = 1"),
        unit: "x".into(),
        lines: by_peer(result, line),
    })
}

fn by_peer(
    result: &ResultFile,
    line: impl Fn(&str) -> Vec<(usize, f64)>,
) -> Vec<(String, Vec<(usize, f64)>)> {
    let peers = result.peers.iter();
    peers.map(|p| (p.name.clone(), line(&p.name))).collect()
}

fn series(result: &ResultFile) -> impl Iterator<Item = (&str, &WorkloadResult)> {
    let rows = result.workloads.iter();
    rows.filter_map(|w| Some((w.series.as_ref()?.of.as_str(), w)))
}

fn threads(workload: &WorkloadResult) -> usize {
    workload.series.as_ref().map_or(0, |s| s.threads)
}
