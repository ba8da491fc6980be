//! Runs real programs on `libaethalloc.so`: each gets a task, and must compute with the library preloaded what it
//! computes on glibc, with proof that the library was active in every process.
//!
//! ```text
//! program.rs  what a program under test is        programs/  the programs
//! run.rs      folder and environment of a run     launch.rs  starts processes under strace
//! trace.rs    what strace saw                     proof.rs   ... held against what the library reported
//! refused.rs  what `aethalloc run` must say about programs that the library cannot serve
//! kept.rs     the last kept run                   table.rs   the compatibility page, written from it
//! ```

mod data;
mod kept;
mod launch;
mod program;
mod programs;
mod proof;
mod refused;
mod run;
mod table;
mod trace;
mod verdict;

use program::{Level, Program, Safety};
use refused::Refused;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use verdict::{Outcome, Verdict};

const USAGE: &str = "\
usage: aethalloc-programs [--quick|--full] [--library FILE] [--allow-missing] [--safety guard|hardened] [PROGRAM...]
  --list     names the programs
  --needs    prints the Debian packages that are missing, one a line
  --keep     keeps the folders of the runs (inputs, outputs, traces)
  --table    keeps the run: docs/compatibility.json, and docs/compatibility.md from it
  --page     writes docs/compatibility.md from the kept run; runs nothing";

struct Options {
    level: Level,
    library: PathBuf,
    /// The safety mode that the programs run under.
    safety: Option<Safety>,
    allow_missing: bool,
    keep: bool,
    action: Action,
    names: Vec<String>,
}

#[derive(PartialEq)]
enum Action {
    Run,
    Table,
    Page,
    List,
    Needs,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(line) => {
            eprintln!("{line}");
            return ExitCode::from(2);
        }
    };
    let selected: Vec<&Program> = programs::ALL
        .iter()
        .copied()
        .filter(|p| match options.names.as_slice() {
            [] => p.from <= options.level,
            names => names.iter().any(|n| n == p.name),
        })
        .collect();
    let refused: Vec<&Refused> = refused::ALL
        .iter()
        .filter(|_| options.safety.is_none())
        .filter(|r| match options.names.as_slice() {
            [] => r.from <= options.level,
            names => names.iter().any(|n| n == r.program),
        })
        .collect();
    match options.action {
        Action::List => {
            for program in selected {
                println!("{:<18} {}", program.name, program.task);
            }
            for case in refused {
                println!("{:<18} what `aethalloc run` says about it", case.program);
            }
            ExitCode::SUCCESS
        }
        Action::Needs => {
            let mut packages = verdict::missing(&selected);
            packages.extend(refused::missing(&refused));
            packages.sort_unstable();
            packages.dedup();
            for package in packages {
                println!("{package}");
            }
            ExitCode::SUCCESS
        }
        Action::Page => match kept::read().and_then(|kept| table::write(&kept)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(line) => {
                eprintln!("{line}");
                ExitCode::FAILURE
            }
        },
        Action::Run | Action::Table => match run_all(&selected, &refused, &options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(line) => {
                eprintln!("{line}");
                ExitCode::FAILURE
            }
        },
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let level = std::env::var("AETHALLOC_TEST_LEVEL").ok();
    let mut options = Options {
        level: level
            .as_deref()
            .and_then(Level::parse)
            .unwrap_or(Level::Normal),
        library: default_library(),
        safety: None,
        allow_missing: std::env::var_os("AETHALLOC_TEST_ALLOW_MISSING").is_some(),
        keep: false,
        action: Action::Run,
        names: Vec::new(),
    };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => options.level = Level::Quick,
            "--full" => options.level = Level::Full,
            "--allow-missing" => options.allow_missing = true,
            "--keep" => options.keep = true,
            "--list" => options.action = Action::List,
            "--needs" => options.action = Action::Needs,
            "--table" => options.action = Action::Table,
            "--page" => options.action = Action::Page,
            "--library" => {
                options.library = args.next().ok_or("--library: names no file")?.into();
            }
            "--safety" => {
                let mode = args.next().as_deref().and_then(Safety::parse);
                options.safety = Some(mode.ok_or("--safety: guard or hardened")?);
            }
            name if programs::ALL.iter().any(|p| p.name == name)
                || refused::ALL.iter().any(|r| r.program == name) =>
            {
                options.names.push(arg);
            }
            _ => return Err(format!("unknown argument '{arg}'\n{USAGE}")),
        }
    }
    Ok(options)
}

/// `release/libaethalloc.so` in the target folder that this program was built into.
fn default_library() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    let target = exe.ancestors().nth(2).unwrap_or(Path::new("target"));
    target.join("release/libaethalloc.so")
}

/// Counts of a run.
#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Counts {
    /// Prints what `cargo test` would about one test. A missing tool is a failure unless that is allowed.
    fn test(&mut self, name: &str, outcome: Result<String, Trouble>, allow_missing: bool) {
        let word = match outcome {
            Ok(figures) => {
                self.passed += 1;
                format!("ok ({figures})")
            }
            Err(Trouble::Missing(what)) if allow_missing => {
                self.ignored += 1;
                format!("ignored, missing {what}")
            }
            Err(Trouble::Missing(what)) => {
                self.failed += 1;
                format!("FAILED\n  missing {what}")
            }
            Err(Trouble::Failed(why)) => {
                self.failed += 1;
                format!("FAILED\n  {why}")
            }
        };
        println!("test {name} ... {word}");
    }
}

/// Why there is no good result.
enum Trouble {
    Missing(String),
    Failed(String),
}

/// Runs the programs one after the other and prints what `cargo test` would: whether all passed.
fn run_all(selected: &[&Program], refused: &[&Refused], options: &Options) -> Result<bool, String> {
    let base = tempfile::Builder::new()
        .prefix("aethalloc-programs-")
        .tempdir()
        .map_err(|e| format!("temporary folder: {e}"))?;
    let library = verdict::install(&options.library, base.path())?;
    println!("\nrunning {} programs", selected.len() + refused.len());
    let mut counts = Counts::default();
    let mut lines = Vec::new();
    for case in refused {
        let missing = refused::missing(&[case]);
        let outcome = if missing.is_empty() {
            refused::ask(case, &library, &base.path().join(case.program)).map_err(Trouble::Failed)
        } else {
            Err(Trouble::Missing(missing.join(" ")))
        };
        let told = outcome.map(|line| {
            lines.push(line.clone());
            line.says
        });
        counts.test(case.program, told, options.allow_missing);
    }
    let mut verdicts = Vec::new();
    for program in selected {
        let folder = base.path().join(program.name);
        let outcome = verdict::judge(program, options.level, options.safety, &library, &folder);
        let told = match &outcome {
            Outcome::Same(figures) => Ok(figures.to_string()),
            Outcome::Missing(what) => Err(Trouble::Missing(what.clone())),
            Outcome::Differs(why) => Err(Trouble::Failed(why.clone())),
        };
        counts.test(program.name, told, options.allow_missing);
        verdicts.push(Verdict { program, outcome });
        if !options.keep {
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
    if options.keep {
        println!("kept: {}", base.keep().display());
    }
    let Counts {
        passed,
        failed,
        ignored,
    } = counts;
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; {ignored} ignored\n");
    if options.action == Action::Table {
        let kept = match options.safety {
            None => kept::merge(&verdicts, lines, options.level)?,
            Some(mode) => kept::merge_safety(&verdicts, mode)?,
        };
        table::write(&kept)?;
    }
    Ok(failed == 0)
}
