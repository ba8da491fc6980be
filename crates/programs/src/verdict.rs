//! Runs one program both ways and compares.

use crate::program::{Facts, Failure, Level, Program, Safety};
use crate::proof::{self, Proof};
use crate::run::{Run, find, make_folder, set_mode};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the tasks of the programs that every level runs must reach at the normal level, either of both.
const ENOUGH_ALLOCATIONS: u64 = 1_000_000;
const ENOUGH_TIME: Duration = Duration::from_secs(5);

/// How a program did.
pub struct Verdict<'a> {
    /// Which.
    pub program: &'a Program,
    /// What came out.
    pub outcome: Outcome,
}

/// What came out of both runs.
pub enum Outcome {
    /// The same result, and the proof.
    Same(Figures),
    /// A tool that is not installed.
    Missing(String),
    /// Another result, a failure, or no proof.
    Differs(Failure),
}

/// What a good run took.
pub struct Figures {
    /// Time with the library.
    pub time: Duration,
    /// Facts that were equal.
    pub facts: usize,
    /// What the library reported.
    pub proof: Proof,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Proof {
            images,
            forks,
            allocations,
            without,
            killed,
        } = self.proof;
        write!(
            f,
            "{:.1} s, {} equal facts, {images} processes, {forks} forks, {allocations} allocations",
            self.time.as_secs_f64(),
            self.facts
        )?;
        if without > 0 {
            write!(f, ", {without} started without the environment")?;
        }
        if killed > 0 {
            write!(f, ", {killed} killed before they could report")?;
        }
        Ok(())
    }
}

/// Packages that the programs and the runs need and that are not installed.
pub fn missing(programs: &[&Program]) -> Vec<&'static str> {
    let mut packages: Vec<_> = programs
        .iter()
        .flat_map(|p| p.tools)
        .filter(|t| find(t.name).is_none())
        .map(|t| t.package)
        .collect();
    if find("strace").is_none() {
        packages.push("strace");
    }
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Copies the library to a place that every user can read.
pub fn install(library: &Path, base: &Path) -> Result<PathBuf, Failure> {
    make_folder(base)?;
    let copy = base.join("libaethalloc.so");
    std::fs::copy(library, &copy).map_err(|e| {
        let path = library.display();
        format!("{path}: {e} (cargo build --release -p aethalloc-abi builds it)")
    })?;
    set_mode(&copy, 0o755)?;
    Ok(copy)
}

/// Runs `program` with and without the library, both at once: what it computes may depend on neither.
pub fn judge(
    program: &Program,
    level: Level,
    safety: Option<Safety>,
    library: &Path,
    folder: &Path,
) -> Outcome {
    let missing = missing(&[program]);
    if !missing.is_empty() {
        return Outcome::Missing(format!("packages {}", missing.join(" ")));
    }
    match both(program, level, safety, library, folder) {
        Ok(figures) => Outcome::Same(figures),
        Err(why) => Outcome::Differs(why),
    }
}

fn both(
    program: &Program,
    level: Level,
    safety: Option<Safety>,
    library: &Path,
    folder: &Path,
) -> Result<Figures, Failure> {
    let half = |name: &str, library| {
        let folder = folder.join(name);
        make_folder(&folder)?;
        let run = Run::new(level, library, safety, folder)?;
        let begin = Instant::now();
        let facts = (program.task_fn)(&run)?;
        Ok::<_, Failure>((run, facts, begin.elapsed()))
    };
    let (glibc, ours) = std::thread::scope(|scope| {
        let glibc = scope.spawn(|| half("glibc", None));
        let ours = half("aethalloc", Some(library));
        (glibc.join(), ours)
    });
    let (_, expected, _) = glibc
        .map_err(|_| "on glibc: the test itself panicked".to_owned())?
        .map_err(|e| format!("on glibc: {e}"))?;
    let (run, facts, time) = ours.map_err(|e| format!("on Aethalloc: {e}"))?;
    compare(&expected, &facts)?;
    let proof = proof::check(program, &run)?;
    let judged = program.from == Level::Quick && level >= Level::Normal;
    if judged && proof.allocations < ENOUGH_ALLOCATIONS && time < ENOUGH_TIME {
        return Err(format!(
            "the task is too small: {} allocations in {:.1} s",
            proof.allocations,
            time.as_secs_f64()
        ));
    }
    Ok(Figures {
        time,
        facts: facts.len(),
        proof,
    })
}

/// Both runs must have found the same facts, and some.
fn compare(expected: &Facts, facts: &Facts) -> Result<(), Failure> {
    if expected.is_empty() {
        return Err("the task yields no result to compare".into());
    }
    let names = |facts: &Facts| {
        facts
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    if names(expected) != names(facts) {
        return Err(format!(
            "other facts: {:?} on glibc, {:?} on Aethalloc",
            names(expected),
            names(facts)
        ));
    }
    for ((name, wanted), (_, got)) in expected.iter().zip(facts) {
        if wanted.is_empty() {
            return Err(format!("{name}: empty, so nothing was compared"));
        }
        if wanted != got {
            return Err(format!("{name} differs: {}", difference(wanted, got)));
        }
    }
    Ok(())
}

/// The first line that differs.
fn difference(wanted: &[u8], got: &[u8]) -> String {
    let mut lines = wanted
        .split(|b| *b == b'\n')
        .zip(got.split(|b| *b == b'\n'));
    let (number, (a, b)) = match lines.by_ref().enumerate().find(|(_, (a, b))| a != b) {
        Some(found) => found,
        None => {
            return format!(
                "{} bytes on glibc, {} on Aethalloc",
                wanted.len(),
                got.len()
            );
        }
    };
    let show = |line: &[u8]| {
        let line = String::from_utf8_lossy(&line[..line.len().min(200)]);
        line.into_owned()
    };
    format!(
        "line {}: {:?} on glibc, {:?} on Aethalloc",
        number + 1,
        show(a),
        show(b)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(list: &[(&str, &str)]) -> Facts {
        list.iter()
            .map(|(n, v)| ((*n).into(), v.as_bytes().into()))
            .collect()
    }

    #[test]
    fn equal_facts_and_only_those_pass() {
        let a = facts(&[("sum", "1\n2")]);
        assert_eq!(compare(&a, &a), Ok(()));
        let why = compare(&a, &facts(&[("sum", "1\n3")])).expect_err("differs");
        assert_eq!(
            why,
            r#"sum differs: line 2: "2" on glibc, "3" on Aethalloc"#
        );
        assert!(compare(&a, &facts(&[("sum", "1\n2\n")])).is_err());
        assert!(compare(&a, &facts(&[])).is_err());
        assert!(compare(&facts(&[]), &facts(&[])).is_err());
        assert!(compare(&facts(&[("x", "")]), &facts(&[("x", "")])).is_err());
    }
}
