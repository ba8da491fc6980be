//! The workloads, as data: `crates/bench/definitions/SUITE.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkout::Checkout;
use crate::launch::Program;
use crate::scaling::{self, Series};

/// The suite made of all others in miniature: correctness, never times.
pub const QUICK: &str = "quick";

/// One workload.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Its name, unique over all suites.
    pub name: String,
    /// One line.
    pub about: String,
    /// Program: one of the bench's, or one that PATH resolves.
    #[serde(default = "default_program")]
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Arguments of the miniature; none keeps it out of the quick suite.
    #[serde(default)]
    pub quick: Option<Vec<String>>,
    /// What it must print.
    #[serde(default)]
    pub checksum: Option<String>,
    /// What it must print with a number of threads, for definitions that have rows of several.
    #[serde(default)]
    pub checksums: BTreeMap<String, String>,
    /// What the miniature must print.
    #[serde(default)]
    pub quick_checksum: Option<String>,
    /// Arguments for callgrind, OPS standing for the number of operations.
    #[serde(default)]
    pub instructions: Option<Vec<String>>,
    /// The smaller number of operations for it.
    #[serde(default = "some_operations")]
    pub instructions_ops: u64,
    /// Which figure it is judged by (see `result::Run::figure`); lower is better.
    #[serde(default = "default_figure")]
    pub figure: String,
    /// Unit of the figure after scaling.
    #[serde(default = "default_unit")]
    pub unit: String,
    /// What the figure is multiplied by.
    #[serde(default = "one")]
    pub scale: f64,
    /// Fewer rounds than asked for, where one takes long and varies little.
    #[serde(default)]
    pub rounds: Option<usize>,
    /// Starts per run, for programs that take no time.
    #[serde(default = "once")]
    pub repeat: usize,
    /// Starts per run of the miniature.
    #[serde(default = "once")]
    pub quick_repeat: usize,
    /// Seconds after which a run has failed.
    #[serde(default = "two_minutes")]
    pub timeout: u32,
    /// Programs that must be on PATH.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Debian packages that bring them.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Shell command that prepares the workload's folder, once, under no allocator in particular.
    #[serde(default)]
    pub setup: Option<String>,
    /// The checksum is taken over the output instead of being printed as JSON.
    #[serde(default)]
    pub plain_output: bool,
    /// Filled when read: the file it came from.
    #[serde(skip)]
    pub suite: String,
    /// Filled where a definition has rows of several numbers of threads: which of them.
    #[serde(skip)]
    pub series: Option<Series>,
}

fn default_program() -> String {
    "bench-work".into()
}
fn default_figure() -> String {
    "wall_s".into()
}
fn default_unit() -> String {
    "s".into()
}
fn one() -> f64 {
    1.0
}
fn some_operations() -> u64 {
    20_000
}
fn once() -> usize {
    1
}
fn two_minutes() -> u32 {
    120
}

/// How the figure of a workload reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Which one.
    pub path: String,
    /// Its unit.
    pub unit: String,
    /// Factor into that unit.
    pub scale: f64,
}

impl Workload {
    /// The figure it is judged by.
    pub fn figure(&self) -> Figure {
        Figure {
            path: self.figure.clone(),
            unit: self.unit.clone(),
            scale: self.scale,
        }
    }

    /// The same workload in miniature.
    pub fn miniature(&self) -> Option<Workload> {
        let args = self.quick.clone()?;
        Some(Workload {
            args,
            checksum: self.quick_checksum.clone(),
            repeat: self.quick_repeat,
            suite: QUICK.into(),
            ..self.clone()
        })
    }

    /// The program to launch, without an allocator; `folder` is where its setup ran.
    pub fn program(&self, checkout: &Checkout, folder: &Path) -> Result<Program, String> {
        let path = if self.program.starts_with("bench-") {
            checkout.program(&self.program)?
        } else {
            self.program.clone().into()
        };
        let args = self
            .args
            .iter()
            .map(|arg| expand(checkout, arg))
            .collect::<Result<Vec<_>, _>>()?;
        let mut program = Program::new(path, args);
        program.repeat = self.repeat;
        program.timeout = self.timeout;
        program.cwd = Some(folder.to_path_buf());
        Ok(program)
    }
}

/// `{program:NAME}` as the path of a program of the bench.
fn expand(checkout: &Checkout, arg: &str) -> Result<String, String> {
    match arg
        .strip_prefix("{program:")
        .and_then(|rest| rest.strip_suffix('}'))
    {
        Some(name) => Ok(checkout.program(name)?.display().to_string()),
        None => Ok(arg.to_string()),
    }
}

#[derive(Deserialize)]
struct File {
    workload: Vec<Workload>,
}

/// All workloads of all suites.
pub fn all(checkout: &Checkout) -> Result<Vec<Workload>, String> {
    let dir = checkout.definitions_dir();
    let mut paths: Vec<_> = std::fs::read_dir(&dir)
        .map_err(|e| format!("{}: {e}", dir.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    paths.sort();
    let mut workloads: Vec<Workload> = Vec::new();
    for path in paths {
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let suite = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let file: File = toml_edit::de::from_str(&text).map_err(|e| {
            format!(
                "{}: {}",
                path.display(),
                e.to_string().trim().replace('\n', " ")
            )
        })?;
        for workload in file.workload {
            if workloads.iter().any(|w| w.name == workload.name) {
                return Err(format!(
                    "{}: workload '{}' is defined twice",
                    path.display(),
                    workload.name
                ));
            }
            workloads.push(Workload {
                suite: suite.clone(),
                ..workload
            });
        }
    }
    Ok(workloads)
}

/// The workloads of a suite, or those named; with a row for each number of `threads` where they have such.
pub fn choose(
    definitions: &[Workload],
    suite: &str,
    names: &[String],
    threads: &[usize],
) -> Result<Vec<Workload>, String> {
    let all = scaling::expanded(definitions.to_vec(), threads);
    let candidates: Vec<Workload> = match suite {
        QUICK => definitions.iter().filter_map(Workload::miniature).collect(),
        "all" => all.clone(),
        _ => all.iter().filter(|w| w.suite == suite).cloned().collect(),
    };
    if candidates.is_empty() {
        let mut suites: Vec<_> = definitions.iter().map(|w| w.suite.as_str()).collect();
        suites.dedup();
        return Err(format!(
            "unknown suite '{suite}'; there are: {} {QUICK} all",
            suites.join(" ")
        ));
    }
    if names.is_empty() {
        return Ok(candidates);
    }
    let pool = if suite == QUICK { &candidates } else { &all };
    let mut chosen = Vec::new();
    for name in names {
        let is_meant =
            |w: &&Workload| w.name == *name || w.series.as_ref().is_some_and(|s| s.of == *name);
        let before = chosen.len();
        chosen.extend(pool.iter().filter(is_meant).cloned());
        if chosen.len() == before {
            return Err(format!("unknown workload '{name}'; `list` prints them"));
        }
    }
    Ok(chosen)
}

#[cfg(test)]
impl Workload {
    /// One without anything.
    pub fn named(name: &str) -> Workload {
        let text = format!("[[workload]]\nname = '{name}'\nabout = ''\nargs = []\n");
        let file: File = toml_edit::de::from_str(&text).unwrap_or(File { workload: vec![] });
        file.workload
            .into_iter()
            .next()
            .unwrap_or_else(|| unreachable!("{text}"))
    }
}
