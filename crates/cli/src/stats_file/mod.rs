//! What the library reports: a file of JSON lines, named by `AETHALLOC_CONF=stats_file:PATH`.
//!
//! The library appends `{"event":"start",…}` when it is loaded, `{"event":"fork",…}` in a forked child and
//! `{"event":"exit",…}` with figures when the process ends. A process that is killed or calls `_exit` leaves no exit
//! line; one that executes another program leaves two start lines.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::text;

/// The option that names the file.
const OPTION: &str = "stats_file:";
/// A table longer than this hides more than it shows.
const SHOWN: usize = 10;

/// One process's figures at its end, in bytes unless named a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Count of allocations.
    pub allocations: u64,
    /// In objects that were never freed.
    pub allocated: u64,
    /// Address space made accessible.
    pub mapped: u64,
    /// Free, touched, not given back.
    pub retained: u64,
    /// The allocator's own.
    pub metadata: u64,
    /// Given back to the system since the start.
    pub purged: u64,
    /// Count of threads with a cache.
    pub threads: u64,
}

/// One process image that the library was active in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its program.
    pub exe: String,
    /// Its last figures, if it reported its end.
    pub exit: Option<Figures>,
    /// It executed another program, so no report can come.
    pub replaced: bool,
}

/// Everything that was reported.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of their first line.
    pub processes: Vec<Process>,
}

#[derive(Deserialize)]
struct Line {
    event: String,
    pid: u32,
    #[serde(default)]
    exe: String,
    #[serde(flatten)]
    figures: Figures,
}

impl Report {
    /// Reads JSON lines. What is not one (a line cut short by a crash) is left out.
    pub fn parse(text: &[u8]) -> Self {
        let mut report = Self::default();
        let mut open: HashMap<u32, usize> = HashMap::new();
        for line in text.split(|b| *b == b'\n') {
            let Ok(line) = serde_json::from_str::<Line>(&String::from_utf8_lossy(line)) else {
                continue;
            };
            let known = open.get(&line.pid).copied();
            match (line.event.as_str(), known) {
                ("exit", Some(i)) => {
                    report.processes[i].exit = Some(line.figures);
                    open.remove(&line.pid);
                }
                ("exit", None) => report.add(line.pid, line.exe, Some(line.figures)),
                ("start" | "fork", known) => {
                    if let Some(i) = known {
                        report.processes[i].replaced = true;
                    }
                    open.insert(line.pid, report.processes.len());
                    report.add(line.pid, line.exe, None);
                }
                _ => {}
            }
        }
        report
    }

    fn add(&mut self, pid: u32, exe: String, exit: Option<Figures>) {
        self.processes.push(Process {
            pid,
            exe,
            exit,
            replaced: false,
        });
    }

    /// The figures of process `pid`, if it reported its end.
    pub fn figures_of(&self, pid: u32) -> Option<Figures> {
        let mut images = self.processes.iter().rev().filter(|p| p.pid == pid);
        images.find_map(|p| p.exit)
    }

    /// The programs that ran, each once.
    pub fn programs(&self) -> std::collections::BTreeSet<&str> {
        self.processes.iter().map(|p| p.exe.as_str()).collect()
    }

    /// The report for people, one line each.
    pub fn summary(&self) -> Vec<String> {
        if self.processes.is_empty() {
            return vec!["Aethalloc was not active: no process reported".into()];
        }
        let mut ended: Vec<(&Process, Figures)> = self
            .processes
            .iter()
            .filter_map(|p| p.exit.map(|figures| (p, figures)))
            .collect();
        ended.sort_by_key(|(_, figures)| std::cmp::Reverse(figures.allocations));
        let total: u64 = ended.iter().map(|(_, f)| f.allocations).sum();
        let silent = self
            .processes
            .iter()
            .filter(|p| p.exit.is_none() && !p.replaced)
            .count();
        let ids: std::collections::HashSet<u32> = self.processes.iter().map(|p| p.pid).collect();
        let mut lines = vec![format!(
            "Aethalloc was active in {}, {} allocations{}",
            plural(ids.len(), "process", "processes"),
            text::count(total),
            match silent {
                0 => String::new(),
                n => format!(" ({n} without a report: killed, still running, or ended by _exit)"),
            }
        )];
        if ended.is_empty() {
            return lines;
        }
        lines.push(format!(
            "{:>8}  {:>15}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}  {:>7}  program",
            "pid", "allocations", "live", "mapped", "retained", "metadata", "purged", "threads"
        ));
        for (process, f) in ended.iter().take(SHOWN) {
            lines.push(format!(
                "{:>8}  {:>15}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}  {:>7}  {}",
                process.pid,
                text::count(f.allocations),
                text::bytes(f.allocated),
                text::bytes(f.mapped),
                text::bytes(f.retained),
                text::bytes(f.metadata),
                text::bytes(f.purged),
                f.threads,
                process.exe
            ));
        }
        if let Some(more) = ended.len().checked_sub(SHOWN).filter(|n| *n > 0) {
            lines.push(format!("{:>8}  and {more} with fewer allocations", "…"));
        }
        lines
    }
}

fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Where a run's reports go.
pub enum StatsFile {
    /// A file of ours, removed with its folder.
    Own {
        /// Removes the folder when dropped.
        _folder: TempDir,
        /// The file in it.
        path: PathBuf,
    },
    /// The file that the user's own options name, and its length before the run.
    Users {
        /// As the user wrote it.
        path: PathBuf,
        /// What lies before was not written by this run.
        start: u64,
    },
}

impl StatsFile {
    /// The file that `options` name, or a new one. The new file can be appended to by processes that changed their
    /// user, but found only by those who were told its name.
    pub fn create(options: &std::ffi::OsStr) -> io::Result<Self> {
        let named = options
            .as_bytes()
            .split(|b| *b == b',')
            .rev()
            .find_map(|pair| pair.strip_prefix(OPTION.as_bytes()));
        if let Some(path) = named {
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
            let start = path.metadata().map_or(0, |m| m.len());
            return Ok(Self::Users { path, start });
        }
        let mut base = std::path::absolute(std::env::temp_dir())?;
        if base.as_os_str().as_bytes().contains(&b',') {
            base = "/tmp".into();
        }
        let folder = tempfile::Builder::new()
            .prefix("aethalloc-")
            .tempdir_in(base)?;
        let path = folder.path().join("stats");
        OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o622))?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
        Ok(Self::Own {
            _folder: folder,
            path,
        })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Own { path, .. } | Self::Users { path, .. } => path,
        }
    }

    /// The option to add to the program's, `None` if it is there already.
    pub fn option(&self) -> Option<std::ffi::OsString> {
        match self {
            Self::Users { .. } => None,
            Self::Own { path, .. } => {
                let mut option = std::ffi::OsString::from(OPTION);
                option.push(path);
                Some(option)
            }
        }
    }

    /// What was reported since the file was created or found.
    pub fn report(&self) -> io::Result<Report> {
        let start = match self {
            Self::Own { .. } => 0,
            Self::Users { start, .. } => *start,
        };
        let mut text = Vec::new();
        match File::open(self.path()) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(start))?;
                file.read_to_end(&mut text)?;
            }
            // Nobody wrote to the user's file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Report::parse(&text))
    }
}

#[cfg(test)]
mod tests;
