//! The last kept run, `docs/compatibility.json`: what each program did when it was last run with `--table`. A run of
//! some programs replaces their rows and leaves the others.

use crate::program::{Level, Safety};
use crate::programs;
use crate::refused::{self, Line};
use crate::run::find;
use crate::verdict::{Outcome, Verdict};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is kept.
#[derive(Default, Serialize, Deserialize)]
pub struct Kept {
    /// Where the rows come from.
    pub system: String,
    /// One per program, in the order of `programs::ALL`.
    pub programs: Vec<Row>,
    /// What `aethalloc run` says about programs that the library cannot serve, in the order of `refused::ALL`.
    pub refused: Vec<Line>,
}

/// What one program did.
#[derive(Clone, Serialize, Deserialize)]
pub struct Row {
    /// The program.
    pub name: String,
    /// Version of the Debian package.
    pub version: String,
    /// The level that it ran at.
    pub level: String,
    /// Why it does not work; empty when it does.
    pub why: String,
    /// Results that were equal to glibc's.
    pub facts: usize,
    /// Program images that reported.
    pub processes: usize,
    /// Forked children that went on without a new image.
    pub forks: usize,
    /// Allocations reported at exit.
    pub allocations: u64,
    /// What it did under `safety:guard`: [`WORKS`], why it did not, or nothing (it was not run so).
    #[serde(default)]
    pub guard: String,
    /// The same under `safety:hardened`.
    #[serde(default)]
    pub hardened: String,
}

/// A run under a safety mode that changed nothing and reported nothing.
pub const WORKS: &str = "works";

/// A file of the repository.
pub fn file(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.unwrap_or(Path::new(".")).join(name)
}

/// Where the run is kept.
pub const FILE: &str = "docs/compatibility.json";

/// The kept run; none yet reads as an empty one.
pub fn read() -> Result<Kept, String> {
    match std::fs::read_to_string(file(FILE)) {
        Ok(text) => serde_json::from_str(&text).map_err(|e| format!("{FILE}: {e}")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Kept::default()),
        Err(e) => Err(format!("{FILE}: {e}")),
    }
}

/// Puts a run's rows into the kept one and writes it. Programs that were not installed keep their rows.
pub fn merge(verdicts: &[Verdict<'_>], lines: Vec<Line>, level: Level) -> Result<Kept, String> {
    let mut kept = read()?;
    kept.system = system();
    for verdict in verdicts {
        if let Some(mut row) = row(verdict, level) {
            if let Some(old) = kept.programs.iter().find(|old| old.name == row.name) {
                row.guard.clone_from(&old.guard);
                row.hardened.clone_from(&old.hardened);
            }
            kept.programs.retain(|old| old.name != row.name);
            kept.programs.push(row);
        }
    }
    for line in lines {
        kept.refused.retain(|old| old.program != line.program);
        kept.refused.push(line);
    }
    // Rows of programs that are no longer tested go.
    let place = |name: &str| programs::ALL.iter().position(|p| p.name == name);
    kept.programs.retain(|row| place(&row.name).is_some());
    kept.programs.sort_by_key(|row| place(&row.name));
    let place = |name: &str| refused::ALL.iter().position(|r| r.program == name);
    kept.refused.retain(|line| place(&line.program).is_some());
    kept.refused.sort_by_key(|line| place(&line.program));
    write(&kept)?;
    Ok(kept)
}

/// Puts what a run under a safety mode found beside the rows of the kept one, and writes it.
pub fn merge_safety(verdicts: &[Verdict<'_>], mode: Safety) -> Result<Kept, String> {
    let mut kept = read()?;
    for verdict in verdicts {
        let found = match &verdict.outcome {
            Outcome::Missing(_) => continue,
            Outcome::Same(_) => WORKS.to_owned(),
            Outcome::Differs(why) => one_line(why),
        };
        let row = kept.programs.iter_mut();
        if let Some(row) = row.into_iter().find(|row| row.name == verdict.program.name) {
            match mode {
                Safety::Guard => row.guard = found,
                Safety::Hardened => row.hardened = found,
            }
        }
    }
    write(&kept)?;
    Ok(kept)
}

fn write(kept: &Kept) -> Result<(), String> {
    let text = serde_json::to_string_pretty(kept).map_err(|e| e.to_string())?;
    std::fs::write(file(FILE), text + "\n").map_err(|e| format!("{FILE}: {e}"))
}

fn row(verdict: &Verdict<'_>, level: Level) -> Option<Row> {
    let program = verdict.program;
    let mut row = Row {
        name: program.name.into(),
        version: match program.name {
            "cargo" => cargo_version(),
            _ => version(program.tools.first()?.package),
        },
        level: level.name().into(),
        why: String::new(),
        facts: 0,
        processes: 0,
        forks: 0,
        allocations: 0,
        guard: String::new(),
        hardened: String::new(),
    };
    match &verdict.outcome {
        Outcome::Missing(_) => return None,
        Outcome::Differs(why) => row.why = one_line(why),
        Outcome::Same(figures) => {
            row.facts = figures.facts;
            row.processes = figures.proof.images;
            row.forks = figures.proof.forks;
            row.allocations = figures.proof.allocations;
        }
    }
    Some(row)
}

/// Distribution, C library and machine.
fn system() -> String {
    let text = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let release = text("/etc/os-release");
    let name = release
        .lines()
        .find_map(|l| l.strip_prefix("PRETTY_NAME="))
        .unwrap_or("Linux")
        .trim_matches('"')
        .to_owned();
    let kernel = text("/proc/sys/kernel/osrelease");
    let kernel: Vec<&str> = kernel.trim().split(['.', '-']).take(2).collect();
    format!(
        "{name}, libc6 {}, Linux {}, {}",
        version("libc6"),
        kernel.join("."),
        std::env::consts::ARCH
    )
}

/// The installed version of a Debian package.
pub fn version(package: &str) -> String {
    if find("dpkg-query").is_none() {
        return String::new();
    }
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Version}\\n", package])
        .output();
    let text = output.map(|o| o.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or("").to_owned()
}

/// The toolchain is not Debian's.
fn cargo_version() -> String {
    let output = Command::new(env!("CARGO")).arg("--version").output();
    let text = output.map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn one_line(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    flat.chars().take(160).collect()
}
