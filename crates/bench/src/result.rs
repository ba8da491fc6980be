//! A result file: everything that was measured, run by run, and on what.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::definitions::Figure;
use crate::launch::Usage;
use crate::machine::Machine;
use crate::peers::{Absent, Peer};
use crate::scaling::Series;
use crate::stats::Summary;

/// Marks a file as ours.
const FORMAT: &str = "aethalloc-bench";
/// Goes up when a reader of older files would misread newer ones.
const VERSION: u32 = 1;

/// The file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResultFile {
    format: String,
    version: u32,
    /// Which suite.
    pub suite: String,
    /// Seconds since 1970.
    pub started: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// False after Ctrl-C, and while it is still running.
    pub complete: bool,
    /// Rounds asked for.
    pub rounds: usize,
    /// What the constants of the workloads were multiplied by.
    #[serde(default = "one")]
    pub scale: f64,
    /// Where it ran.
    pub machine: Machine,
    /// Commit of the checkout.
    pub commit: String,
    /// The peak of a child that ends before exec: a smaller peak of a program cannot be told.
    pub peak_floor_kib: u64,
    /// What disturbed it, in words.
    pub disturbances: Vec<String>,
    /// What was compared.
    pub peers: Vec<Peer>,
    /// What was asked for and could not be had.
    pub absent: Vec<Absent>,
    /// The measurements.
    pub workloads: Vec<WorkloadResult>,
}

fn one() -> f64 {
    1.0
}

/// One workload under all peers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkloadResult {
    /// Its name.
    pub name: String,
    /// The suite it belongs to.
    #[serde(default)]
    pub suite: String,
    /// One line.
    pub about: String,
    /// What the program got: results of other arguments are not compared.
    pub args: Vec<String>,
    /// What it is judged by.
    pub figure: Figure,
    /// Why nobody could run it; none normally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Which row of a definition that has one for each number of threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    /// By peer, in the file's order of peers.
    pub cells: Vec<Cell>,
}

/// One workload under one peer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cell {
    /// Which peer.
    pub peer: String,
    /// The runs, in time order.
    pub runs: Vec<Run>,
    /// Runs that slept at their end, where asked for: only their mark "idle" counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<Run>,
    /// The line of the run that failed; it is not run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Instructions per operation, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<f64>,
}

/// One run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// What wait4 said.
    pub usage: Usage,
    /// What the program reported.
    #[serde(flatten)]
    pub output: Output,
}

/// What a workload prints.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Output {
    /// Over what it read back.
    #[serde(default)]
    pub checksum: String,
    /// Operations of the measured part.
    #[serde(default)]
    pub ops: u64,
    /// Duration of the measured part.
    #[serde(default)]
    pub seconds: f64,
    /// Memory at named moments.
    #[serde(default)]
    pub marks: BTreeMap<String, Memory>,
    /// Further figures.
    #[serde(default)]
    pub extra: BTreeMap<String, f64>,
}

/// Figures of smaps_rollup, in KiB.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Memory {
    pub rss_kib: u64,
    pub pss_kib: u64,
    pub private_dirty_kib: u64,
    pub anonymous_kib: u64,
    pub huge_kib: u64,
}

impl Run {
    /// A figure by its path: `wall_s`, `cpu_s`, `user_s`, `sys_s`, `peak_kib`, `minor_faults`, `major_faults`, `seconds`, `op_s` (of one operation), `extra.NAME`,
    /// `marks.MOMENT.FIELD` (rss_kib, pss_kib, private_dirty_kib, anonymous_kib, huge_kib).
    pub fn figure(&self, path: &str) -> Option<f64> {
        match path {
            "wall_s" => Some(self.usage.wall_s),
            "cpu_s" => Some(self.usage.user_s + self.usage.sys_s),
            "user_s" => Some(self.usage.user_s),
            "sys_s" => Some(self.usage.sys_s),
            "peak_kib" => Some(self.usage.peak_kib as f64),
            "minor_faults" => Some(self.usage.minor_faults as f64),
            "major_faults" => Some(self.usage.major_faults as f64),
            "seconds" => Some(self.output.seconds),
            "op_s" => (self.output.ops > 0).then(|| self.output.seconds / self.output.ops as f64),
            _ => match path.split_once('.')? {
                ("extra", name) => self.output.extra.get(name).copied(),
                ("marks", rest) => {
                    let (moment, field) = rest.split_once('.')?;
                    self.output.marks.get(moment)?.field(field)
                }
                _ => None,
            },
        }
    }
}

impl Memory {
    fn field(&self, name: &str) -> Option<f64> {
        Some(match name {
            "rss_kib" => self.rss_kib,
            "pss_kib" => self.pss_kib,
            "private_dirty_kib" => self.private_dirty_kib,
            "anonymous_kib" => self.anonymous_kib,
            "huge_kib" => self.huge_kib,
            _ => return None,
        } as f64)
    }
}

impl Cell {
    /// Summary of a figure over the runs; none without runs that have it.
    pub fn summary(&self, path: &str) -> Option<Summary> {
        let of =
            |runs: &[Run]| -> Vec<f64> { runs.iter().filter_map(|r| r.figure(path)).collect() };
        let mut values = of(&self.runs);
        if values.is_empty() && path.starts_with("marks.idle.") {
            values = of(&self.idle);
        }
        (!values.is_empty()).then(|| Summary::of(values))
    }
}

impl WorkloadResult {
    /// A peer's cell.
    pub fn cell(&self, peer: &str) -> Option<&Cell> {
        self.cells.iter().find(|c| c.peer == peer)
    }

    /// A peer's summary of the figure the workload is judged by, in the figure's unit.
    pub fn judged(&self, peer: &str) -> Option<Summary> {
        let scale = self.figure.scale;
        self.cell(peer)?
            .summary(&self.figure.path)
            .map(|s| s.scaled(scale))
    }
}

impl ResultFile {
    /// A file without measurements.
    pub fn new(suite: &str, rounds: usize, machine: Machine, commit: String) -> ResultFile {
        ResultFile {
            format: FORMAT.into(),
            version: VERSION,
            suite: suite.into(),
            started: now(),
            seconds: 0.0,
            complete: false,
            rounds,
            scale: 1.0,
            machine,
            commit,
            peak_floor_kib: 0,
            disturbances: Vec::new(),
            peers: Vec::new(),
            absent: Vec::new(),
            workloads: Vec::new(),
        }
    }

    /// The part of one suite.
    pub fn only(&self, suite: &str) -> ResultFile {
        let mut part = self.clone();
        part.workloads.retain(|w| w.suite == suite);
        part.suite = suite.to_string();
        part
    }

    /// Writes the file in one step: a reader sees the old or the new one.
    pub fn save(&self, path: &Path) -> Result<(), String> {
        save(self, path)
    }

    /// Reads a file, checking that it is ours and of our version.
    pub fn load(path: &Path) -> Result<ResultFile, String> {
        load(path, FORMAT, VERSION)
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| d.as_secs())
}

/// Writes any result in one step.
pub fn save(result: &impl Serialize, path: &Path) -> Result<(), String> {
    let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let dir = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(|e| fail(&e))?;
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(|e| fail(&e))?;
    serde_json::to_writer(&mut file, result).map_err(|e| fail(&e))?;
    // A temporary file is private; a result is not.
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644))
        .map_err(|e| fail(&e))?;
    file.persist(path).map(drop).map_err(|e| fail(&e))
}

/// Reads a result of the given format and version.
pub fn load<T: for<'a> Deserialize<'a>>(
    path: &Path,
    format: &str,
    version: u32,
) -> Result<T, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let value: serde_json::Value = serde_json::from_str(&text)
        .map_err(|e| format!("{}: not a result file: {e}", path.display()))?;
    if value["format"] != format {
        return Err(format!(
            "{}: not a result file of this bench",
            path.display()
        ));
    }
    if value["version"] != version {
        let other = &value["version"];
        return Err(format!(
            "{}: result file of version {other}, this bench reads {version}",
            path.display()
        ));
    }
    serde_json::from_value(value)
        .map_err(|e| format!("{}: damaged result file: {e}", path.display()))
}
