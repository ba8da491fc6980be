//! Runs real programs on `libaethalloc.so`: each gets a task, and must compute with the library preloaded what it
//! computes on glibc, with proof that the library was active in every process.
//!
//! ```text
//! program.rs  what a program under test is        programs/  the programs
//! run.rs      folder and environment of a run     launch.rs  starts processes under strace
//! trace.rs    what strace saw                     proof.rs   ... held against what the library reported
//! table.rs    the compatibility table
//! ```

mod data;
mod launch;
mod program;
mod programs;
mod proof;
mod run;
mod table;
mod trace;
mod verdict;

use program::{Level, Program};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use verdict::{Outcome, Verdict};

const USAGE: &str = "\
usage: aethalloc-programs [--quick|--full] [--library FILE] [--allow-missing] [PROGRAM...]
  --list     names the programs
  --needs    prints the Debian packages that are missing, one a line
  --keep     keeps the folders of the runs (inputs, outputs, traces)
  --table    also writes docs/compatibility.md";

struct Options {
    level: Level,
    library: PathBuf,
    allow_missing: bool,
    keep: bool,
    action: Action,
    names: Vec<String>,
}

#[derive(PartialEq)]
enum Action {
    Run,
    Table,
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
    match options.action {
        Action::List => {
            for program in selected {
                println!("{:<12} {}", program.name, program.task);
            }
            ExitCode::SUCCESS
        }
        Action::Needs => {
            for package in verdict::missing(&selected) {
                println!("{package}");
            }
            ExitCode::SUCCESS
        }
        Action::Run | Action::Table => match run_all(&selected, &options) {
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
            "--library" => {
                options.library = args.next().ok_or("--library: names no file")?.into();
            }
            name if programs::ALL.iter().any(|p| p.name == name) => options.names.push(arg),
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

/// Runs the programs one after the other and prints what `cargo test` would: whether all passed.
fn run_all(selected: &[&Program], options: &Options) -> Result<bool, String> {
    let base = tempfile::Builder::new()
        .prefix("aethalloc-programs-")
        .tempdir()
        .map_err(|e| format!("temporary folder: {e}"))?;
    let library = verdict::install(&options.library, base.path())?;
    println!("\nrunning {} programs", selected.len());
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    let mut verdicts = Vec::new();
    for program in selected {
        let folder = base.path().join(program.name);
        let outcome = verdict::judge(program, options.level, &library, &folder);
        let word = match &outcome {
            Outcome::Same(figures) => {
                passed += 1;
                format!("ok ({figures})")
            }
            Outcome::Missing(what) if options.allow_missing => {
                ignored += 1;
                format!("ignored, missing {what}")
            }
            Outcome::Missing(what) => {
                failed += 1;
                format!("FAILED\n  missing {what}")
            }
            Outcome::Differs(why) => {
                failed += 1;
                format!("FAILED\n  {why}")
            }
        };
        println!("test {} ... {word}", program.name);
        verdicts.push(Verdict { program, outcome });
        if !options.keep {
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
    if options.keep {
        println!("kept: {}", base.keep().display());
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; {ignored} ignored\n");
    if options.action == Action::Table {
        table::write(&verdicts)?;
    }
    Ok(failed == 0)
}
