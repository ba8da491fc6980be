//! One round: the pipeline in a child process, with proof of which allocator served it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::Side;
use super::progress::Progress;
use crate::child;
use crate::fail::{Failure, Outcome};
use crate::locate::Library;
use crate::pipeline::{Config, Measured};
use crate::stats_file::StatsFile;

/// What all rounds need.
pub struct Rounds<'a> {
    library: &'a Library,
    /// The library's path as the kernel shows it in /proc/self/maps.
    mapped_as: PathBuf,
    command: PathBuf,
    folder: TempDir,
}

/// One round's result.
pub struct Round {
    /// What the child measured.
    pub measured: Measured,
    /// Allocations that the library counted in the child; 0 without it.
    pub library_allocations: u64,
}

impl<'a> Rounds<'a> {
    /// Prepares rounds with `library`.
    pub fn new(library: &'a Library) -> Outcome<Self> {
        let own = |what: &str, e: std::io::Error| Failure::own(format!("{what}: {e}"));
        Ok(Self {
            library,
            mapped_as: library.path.canonicalize().map_err(|e| own("library", e))?,
            command: env::current_exe().map_err(|e| own("cannot find this command", e))?,
            folder: tempfile::Builder::new()
                .prefix("aethalloc-demo-")
                .tempdir()
                .map_err(|e| own("cannot make a temporary folder", e))?,
        })
    }

    /// Runs one child and checks that the right allocator served it.
    pub fn run(&self, side: Side, config: &Config, progress: &mut Progress) -> Outcome<Round> {
        let out = self.folder.path().join("measured");
        let text = serde_json::to_string(config)
            .map_err(|e| Failure::own(format!("cannot write a configuration: {e}")))?;
        let mut command = Command::new(&self.command);
        command.arg("demo-pipeline").arg(text).arg(&out);
        // Only the rounds that measure a preloaded library have one, whatever this command was started with.
        command.env_remove("LD_PRELOAD");
        let stats = match side {
            Side::System => None,
            Side::Aethalloc => Some(self.preload(&mut command)?),
        };

        let ended = child::supervise(command, Some(&mut || progress.tick()))
            .map_err(|e| Failure::own(format!("{}: {e}", self.command.display())))?;
        if !ended.status.success() {
            if ended.code() == 128 + libc::SIGINT as u8 {
                return Err(Failure::new(ended.code(), "interrupted"));
            }
            // Its own line, if it had one, is on stderr already.
            return Err(Failure::new(
                ended.code(),
                format!(
                    "the pipeline on {} did not end well ({})",
                    side.name(),
                    ended.status
                ),
            ));
        }
        let text =
            fs::read(&out).map_err(|e| Failure::failed(format!("{}: {e}", out.display())))?;
        let measured: Measured = serde_json::from_slice(&text)
            .map_err(|e| Failure::failed(format!("the pipeline's figures are damaged: {e}")))?;

        let library_allocations = match stats {
            None => 0,
            Some(stats) => {
                let report = stats
                    .report()
                    .map_err(|e| Failure::failed(format!("statistics: {e}")))?;
                report.figures_of(ended.pid).map_or(0, |f| f.allocations)
            }
        };
        self.check_served_by(side, &measured, library_allocations)?;
        Ok(Round {
            measured,
            library_allocations,
        })
    }

    /// Makes `command` run on the library and report through the returned file.
    fn preload(&self, command: &mut Command) -> Outcome<StatsFile> {
        let mut conf = env::var_os("AETHALLOC_CONF").unwrap_or_default();
        let stats = StatsFile::create(&conf)
            .map_err(|e| Failure::own(format!("cannot create a file for the statistics: {e}")))?;
        if let Some(option) = stats.option() {
            if !conf.is_empty() {
                conf.push(",");
            }
            conf.push(option);
        }
        command
            .env("LD_PRELOAD", self.library.preload_value(None))
            .env("AETHALLOC_CONF", conf);
        Ok(stats)
    }

    /// A figure under the wrong name is worse than none.
    fn check_served_by(&self, side: Side, measured: &Measured, counted: u64) -> Outcome<()> {
        let from_library = Path::new(&measured.malloc_from) == self.mapped_as;
        match side {
            Side::System if from_library => Err(Failure::failed(
                "a round that should have run on the system allocator ran on Aethalloc",
            )),
            Side::Aethalloc if !from_library => Err(Failure::failed(format!(
                "a round that should have run on Aethalloc ran on {}",
                measured.malloc_from
            ))),
            Side::Aethalloc if counted == 0 => Err(Failure::failed(
                "the library was preloaded, but reported no allocation",
            )),
            _ => Ok(()),
        }
    }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::System => "the system allocator",
            Self::Aethalloc => "Aethalloc",
        }
    }
}
