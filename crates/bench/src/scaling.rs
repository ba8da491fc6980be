//! Suite `scaling`: one definition, and a row for each number of threads.
//!
//! `{threads}` and `{half}` in a definition's arguments stand for the number and for half of it. Every thread does the same
//! work however many there are, and a row is judged by the time that one thread takes for an operation: where threads
//! do not hinder each other, all rows of a definition have the same figure.

use serde::{Deserialize, Serialize};

use crate::definitions::Workload;

/// The numbers whose checksums are in the definitions; for others the system's malloc is asked.
pub const KNOWN: [usize; 4] = [2, 4, 8, 16];
/// More threads than this are a mistake.
const MOST: usize = 1024;

/// Which row of which definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Name of the definition.
    pub of: String,
    /// Number of threads.
    pub threads: usize,
}

/// 2, 4, 8, ... up to the number of CPUs, and that number itself if it is even; 2 in any case.
pub fn counts(cpus: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = std::iter::successors(Some(2), |n| Some(n * 2))
        .take_while(|n| *n <= cpus.clamp(2, MOST))
        .collect();
    if cpus.is_multiple_of(2) && cpus <= MOST && counts.last().is_some_and(|last| *last < cpus) {
        counts.push(cpus);
    }
    counts
}

/// The numbers as given on the command line.
pub fn check(counts: &[usize]) -> Result<(), String> {
    match counts.iter().find(|n| !(1..=MOST).contains(*n)) {
        Some(n) => Err(format!("--threads wants 1 to {MOST}, not {n}")),
        None => Ok(()),
    }
}

/// Whether a workload has a row for each number of threads.
pub fn has_rows(workload: &Workload) -> bool {
    let mut args = workload.args.iter();
    args.any(|a| a.contains("{threads}") || a.contains("{half}"))
}

/// The workloads, with each of those in its rows.
pub fn expanded(workloads: Vec<Workload>, counts: &[usize]) -> Vec<Workload> {
    let rows = |workload: Workload| match has_rows(&workload) {
        true => counts
            .iter()
            .filter_map(|n| row(&workload, *n))
            .collect::<Vec<_>>(),
        false => vec![workload],
    };
    workloads.into_iter().flat_map(rows).collect()
}

/// One row; none where half of the number would be none.
pub fn row(workload: &Workload, threads: usize) -> Option<Workload> {
    let half = threads / 2;
    if half == 0 && workload.args.iter().any(|a| a.contains("{half}")) {
        return None;
    }
    let fill = |arg: &String| {
        arg.replace("{threads}", &threads.to_string())
            .replace("{half}", &half.to_string())
    };
    Some(Workload {
        name: format!("{}-{threads}", workload.name),
        args: workload.args.iter().map(fill).collect(),
        checksum: workload.checksums.get(&threads.to_string()).cloned(),
        scale: workload.scale * threads as f64,
        series: Some(Series {
            of: workload.name.clone(),
            threads,
        }),
        ..workload.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_machine() {
        assert_eq!(counts(1), [2]);
        assert_eq!(counts(2), [2]);
        assert_eq!(counts(3), [2]);
        assert_eq!(counts(12), [2, 4, 8, 12]);
        assert_eq!(counts(16), [2, 4, 8, 16]);
        assert!(check(&[1, 2, 1024]).is_ok());
        assert!(check(&[2, 0]).is_err_and(|e| e.contains("not 0")));
        assert!(check(&[1025]).is_err());
    }

    /// Every definition of the suite has a row for each number, with the checksum that the file knows.
    #[test]
    fn definitions_become_rows() -> Result<(), String> {
        let checkout = crate::checkout::Checkout::open(false)?;
        let all = crate::definitions::all(&checkout)?;
        let of_suite = |w: &&Workload| w.suite == "scaling";
        let plain: Vec<Workload> = all.iter().filter(of_suite).cloned().collect();
        assert!(plain.len() >= 12, "{} definitions", plain.len());
        assert!(plain.iter().all(has_rows));
        assert!(all.iter().filter(|w| has_rows(w)).all(|w| of_suite(&w)));
        let rows = expanded(all, &KNOWN);
        let rows: Vec<&Workload> = rows.iter().filter(of_suite).collect();
        assert_eq!(rows.len(), plain.len() * KNOWN.len());
        for row in rows {
            assert!(row.checksum.is_some(), "{}: `bench bless`", row.name);
            assert!(!row.args.iter().any(|a| a.contains('{')), "{:?}", row.args);
        }
        Ok(())
    }

    #[test]
    fn a_row_has_its_number_of_threads() {
        let workload = Workload {
            args: ["queues", "producers={half}", "threads={threads}00"]
                .map(String::from)
                .to_vec(),
            ..Workload::named("q")
        };
        let eight = row(&workload, 8).map(|w| (w.name, w.args, w.scale));
        let args = ["queues", "producers=4", "threads=800"].map(String::from);
        assert_eq!(eight, Some(("q-8".into(), args.to_vec(), 8.0)));
        assert!(row(&workload, 1).is_none());
    }
}
