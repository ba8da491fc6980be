//! Proof that the library was active in every process of a run.
//!
//! Two independent sources: strace's record of every `execve`, and the lines that the library appends to its
//! `stats_file` when it is loaded, after a fork and at exit.

use crate::program::{Expected, Failure, Program};
use crate::run::Run;
use crate::trace::{self, End, Exec};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Programs that may end without one allocation, because they do nothing.
const IDLE: &[&str] = &["true", "false"];

/// Programs that always leave through `_exit`: dash.
const SILENT: &[&str] = &["sh", "dash"];

/// What the library reported, added up.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Program images that ran with the library.
    pub images: usize,
    /// Children that were forked and went on without a new image.
    pub forks: usize,
    /// Allocations that processes reported at exit, forked children not included.
    pub allocations: u64,
    /// Program images that were started without the library's variables, by the program's own doing.
    pub without: usize,
    /// Program images that were killed before they could report.
    pub killed: usize,
}

/// One line of the `stats_file`.
#[derive(Debug)]
enum Event {
    Start {
        pid: u32,
        exe: String,
    },
    Fork,
    Exit {
        pid: u32,
        exe: String,
        allocations: u64,
    },
}

/// Checks a run of `program`.
pub fn check(program: &Program, run: &Run) -> Result<Proof, Failure> {
    let library = run.library.as_deref().unwrap_or("".as_ref());
    let execs = trace::read(&run.traces(), &library.to_string_lossy())?;
    let text = std::fs::read_to_string(run.stats()).map_err(|e| format!("stats_file: {e}"))?;
    let events = text.lines().map(event).collect::<Result<Vec<_>, _>>()?;
    hold_against(&execs, &events, &program.expected)
}

fn event(line: &str) -> Result<Event, Failure> {
    let bad = || format!("stats_file: bad line {line:?}");
    let value: Value = serde_json::from_str(line).map_err(|_| bad())?;
    let exe = || {
        let exe = value["exe"].as_str().ok_or_else(bad)?;
        Ok::<_, Failure>(exe.rsplit('/').next().unwrap_or(exe).to_owned())
    };
    let pid = || {
        let pid = value["pid"].as_u64().and_then(|p| p.try_into().ok());
        pid.ok_or_else(bad)
    };
    match value["event"].as_str() {
        Some("start") => Ok(Event::Start {
            pid: pid()?,
            exe: exe()?,
        }),
        Some("fork") => Ok(Event::Fork),
        Some("exit") => Ok(Event::Exit {
            pid: pid()?,
            exe: exe()?,
            allocations: value["allocations"].as_u64().ok_or_else(bad)?,
        }),
        _ => Err(bad()),
    }
}

fn hold_against(execs: &[Exec], events: &[Event], expected: &Expected) -> Result<Proof, Failure> {
    let mut proof = Proof::default();
    // Executables of the images of each process, in order: for a script its interpreter.
    let mut starts = BTreeMap::<u32, VecDeque<&str>>::new();
    let mut exits = BTreeSet::new();
    let mut names = BTreeSet::new();
    for event in events {
        match event {
            Event::Start { pid, exe } => {
                proof.images += 1;
                starts.entry(*pid).or_default().push_back(exe);
                names.insert(exe.as_str());
            }
            Event::Fork => proof.forks += 1,
            Event::Exit {
                pid,
                exe,
                allocations,
            } => {
                exits.insert(*pid);
                let excused = IDLE
                    .iter()
                    .chain(expected.own_allocator)
                    .any(|name| name == exe);
                if *allocations == 0 && !excused {
                    return Err(format!(
                        "{exe} ended without an allocation from the library"
                    ));
                }
                // A forked child's count starts with its parent's.
                if starts.contains_key(pid) {
                    proof.allocations += allocations;
                }
            }
        }
    }
    if execs.is_empty() {
        return Err("strace recorded no process".into());
    }
    for exec in execs {
        if !exec.preloaded || !trace::is_dynamic(&exec.path) {
            proof.without += 1;
            continue;
        }
        match starts.get_mut(&exec.pid).and_then(VecDeque::pop_front) {
            Some(exe) => {
                let silent = SILENT.iter().chain(expected.silent).any(|s| *s == exe);
                if exec.end == End::Exited && !exits.contains(&exec.pid) && !silent {
                    return Err(format!(
                        "process {} ({}) ended without a report from the library",
                        exec.pid, exec.path
                    ));
                }
            }
            _ if exec.end == End::Killed => proof.killed += 1,
            _ => {
                return Err(format!(
                    "process {} ({}) ran without the library",
                    exec.pid, exec.path
                ));
            }
        }
    }
    if let Some(name) = expected
        .processes
        .iter()
        .find(|n| !names.iter().any(|s| s.starts_with(*n)))
    {
        return Err(format!("no process of {name} ran with the library"));
    }
    if proof.allocations == 0 {
        return Err("no process reported an allocation".into());
    }
    Ok(proof)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::processes;

    fn exec(pid: u32, preloaded: bool) -> Exec {
        Exec {
            pid,
            path: "/bin/true".into(),
            preloaded,
            end: End::Exited,
        }
    }

    fn events(lines: &[&str]) -> Vec<Event> {
        lines.iter().map(|l| event(l).expect("a line")).collect()
    }

    const START: &str = r#"{"event":"start","pid":5,"exe":"/bin/true"}"#;
    const EXIT: &str = r#"{"event":"exit","pid":5,"exe":"/bin/true","allocations":3}"#;

    #[test]
    fn every_process_reported() {
        let lines = [START, r#"{"event":"fork","pid":6}"#, EXIT];
        let proof = hold_against(
            &[exec(5, true), exec(7, false)],
            &events(&lines),
            &processes(&["true"]),
        );
        let wanted = Proof {
            images: 1,
            forks: 1,
            allocations: 3,
            without: 1,
            killed: 0,
        };
        assert_eq!(proof, Ok(wanted));
    }

    #[test]
    fn a_process_without_the_library_is_found() {
        let two = [exec(5, true), exec(6, true)];
        assert!(hold_against(&two, &events(&[START, EXIT]), &Expected::default()).is_err());
        let twice = [exec(5, true), exec(5, true)];
        assert!(hold_against(&twice, &events(&[START, EXIT]), &Expected::default()).is_err());
    }

    #[test]
    fn a_process_that_was_killed_at_once_is_excused() {
        let mut killed = exec(6, true);
        killed.end = End::Killed;
        let events = events(&[START, EXIT]);
        let proof = hold_against(&[exec(5, true), killed], &events, &Expected::default());
        assert_eq!(proof.map(|p| p.killed), Ok(1));
    }

    #[test]
    fn a_library_that_serves_nothing_is_found() {
        let idle = r#"{"event":"exit","pid":5,"exe":"/bin/sh","allocations":0}"#;
        assert!(
            hold_against(
                &[exec(5, true)],
                &events(&[START, idle]),
                &Expected::default()
            )
            .is_err()
        );
        assert!(hold_against(&[exec(5, true)], &events(&[START]), &Expected::default()).is_err());
        assert!(hold_against(&[], &events(&[START, EXIT]), &Expected::default()).is_err());
    }

    #[test]
    fn a_program_that_never_ran_is_found() {
        assert!(
            hold_against(
                &[exec(5, true)],
                &events(&[START, EXIT]),
                &processes(&["sh"])
            )
            .is_err()
        );
    }

    #[test]
    fn a_process_that_exits_without_a_report_is_found() {
        let two = [exec(5, true), exec(6, true)];
        let other = r#"{"event":"start","pid":6,"exe":"/bin/true"}"#;
        let events = events(&[START, other, EXIT]);
        assert!(hold_against(&two, &events, &Expected::default()).is_err());
        let silent = Expected {
            silent: &["true"],
            ..Expected::default()
        };
        assert!(hold_against(&two, &events, &silent).is_ok());
    }

    #[test]
    fn a_torn_line_is_an_error() {
        assert!(event(r#"{"event":"start","pid":"#).is_err());
        assert!(event(r#"{"event":"other"}"#).is_err());
    }
}
