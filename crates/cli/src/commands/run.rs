//! `aethalloc run`: a program with the library preloaded.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aethalloc_base::options;

use crate::child::{Ended, Program};
use crate::fail::{Failure, Outcome, note};
use crate::locate;
use crate::preload::{self, Surroundings};
use crate::stats_file::StatsFile;
use crate::sys::Identity;
use crate::text;

/// Options for the library, as `key:value,key:value`.
pub const OPTIONS: &str = "AETHALLOC_CONF";
/// Libraries that the loader puts first.
pub const PRELOAD: &str = "LD_PRELOAD";

/// Run a program on Aethalloc
///
/// Preloads libaethalloc.so into PROGRAM and everything that it starts. Programs that the library cannot be
/// preloaded into (statically linked, setuid, of another architecture) are refused with one line.
#[derive(clap::Args)]
#[command(override_usage = "aethalloc run [OPTIONS] [--] PROGRAM [ARGS]...", after_help = "See --help for exit codes, the library's options and examples.", after_long_help = long_help())]
pub struct Args {
    /// The library to preload [default: $AETHALLOC_LIB, else beside this command]
    #[arg(long, value_name = "PATH")]
    lib: Option<PathBuf>,
    /// Options for the library, added to those in $AETHALLOC_CONF
    #[arg(long, value_name = "KEY:VALUE,...")]
    conf: Vec<OsString>,
    /// When the program has ended, print what the library did in each process
    #[arg(long)]
    stats: bool,
    /// The program and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        value_name = "PROGRAM [ARGS]"
    )]
    program: Vec<OsString>,
}

fn long_help() -> String {
    let mut help = String::from(
        "Exit codes:\n  N    the program's own; with --stats 128+S if signal S ended it\n  125  this command failed\n  \
         126  the program cannot run on Aethalloc\n  127  the program does not exist\n\nOptions of the library (--conf):\n",
    );
    for option in options::LIST {
        help += &format!("  {:<13} {}\n", option.key, option.help);
    }
    help + "\nExamples:\n  aethalloc run -- python3 script.py\n  aethalloc run --stats -- git gc\n  \
            aethalloc run --conf retain:0,remap:off -- redis-server --port 7000"
}

/// Runs the program in place of this command, or as a child for `--stats`.
pub fn run(args: Args) -> Outcome<ExitCode> {
    let (name, arguments) = args
        .program
        .split_first()
        .ok_or_else(|| Failure::own("no program given"))?;
    let mut conf = merged_options(env::var_os(OPTIONS), &args.conf)?;
    let library = locate::library(args.lib.as_deref())?;
    let checked = preload::check(
        name,
        &Surroundings {
            library: &library,
            identity: Identity::current(),
            search_path: env::var_os("PATH").as_deref(),
        },
    )?;
    checked.notes.iter().for_each(note);

    let stats = match args.stats {
        false => None,
        true => Some(StatsFile::create(&conf).map_err(|error| {
            Failure::own(format!("cannot create a file for the statistics: {error}"))
        })?),
    };
    if let Some(option) = stats.as_ref().and_then(StatsFile::option) {
        join(&mut conf, &option);
    }
    let file = checked.file.clone();
    let preload = library.preload_value(env::var_os(PRELOAD).as_deref());
    let mut program = Program {
        file: checked.file,
        name: name.clone(),
        arguments: arguments.to_vec(),
        environment: vec![(PRELOAD, preload)],
    };
    if !conf.is_empty() {
        program.environment.push((OPTIONS, conf));
    }
    match stats {
        None => Err(program.replace_this_process()),
        Some(stats) => {
            let ended = program.supervise()?;
            print_summary(&stats, &ended, &file);
            Ok(ExitCode::from(ended.code()))
        }
    }
}

/// The options from the environment, then those from the command line, which win. A mistake on the command line is an
/// error here; one in the environment is the library's to report.
pub fn merged_options(environment: Option<OsString>, given: &[OsString]) -> Outcome<OsString> {
    let mut all = environment.unwrap_or_default();
    for text in given {
        let mut problem = None;
        options::Options::new().parse(text.as_encoded_bytes(), |kind, piece| {
            problem.get_or_insert_with(|| explain(kind, &String::from_utf8_lossy(piece)));
        });
        if let Some(problem) = problem {
            return Err(Failure::own(problem));
        }
        join(&mut all, text);
    }
    Ok(all)
}

fn explain(problem: options::Problem, piece: &str) -> String {
    let why = match problem {
        options::Problem::UnknownKey => "no such option of the library (see aethalloc run --help)",
        options::Problem::NoValue => "not of the form key:value",
        options::Problem::BadValue => "not a value that this option takes",
    };
    format!("--conf {piece}: {why}")
}

/// Adds an item to a list of options.
pub fn join(list: &mut OsString, item: &OsStr) {
    if !list.is_empty() && !item.is_empty() {
        list.push(",");
    }
    list.push(item);
}

/// Prints what the library reported, and which programs beside the one that was checked bring their own allocator.
fn print_summary(stats: &StatsFile, ended: &Ended, checked: &Path) {
    match stats.report() {
        Ok(report) => {
            report.summary().iter().for_each(note);
            let programs = report.programs();
            let started = programs.iter().filter(|p| Path::new(p) != checked);
            started
                .filter_map(|p| preload::own_allocator(Path::new(p)))
                .for_each(note);
        }
        Err(error) => note(format_args!("{}: {error}", stats.path().display())),
    }
    note(format_args!(
        "{:.2} s, {:.2} s of CPU, peak resident size of the largest process {}",
        ended.wall.as_secs_f64(),
        ended.usage.cpu.as_secs_f64(),
        text::bytes(ended.usage.peak_rss)
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_join_and_mistakes_are_named() {
        let os = |list: &[&str]| -> Vec<OsString> { list.iter().map(Into::into).collect() };
        let merged = merged_options(Some("remap:off".into()), &os(&["retain:1m", "cache:off"]));
        assert_eq!(merged.unwrap(), "remap:off,retain:1m,cache:off");
        assert_eq!(merged_options(None, &[]).unwrap(), "");
        for (text, why) in [
            ("nonsense:1", "nonsense:1: no such option"),
            ("retain", "retain: not of the form"),
            ("remap:off,cache:maybe", "cache:maybe: not a value"),
        ] {
            let failure = merged_options(None, &os(&[text])).unwrap_err();
            assert_eq!(failure.code, Failure::OWN);
            assert!(failure.message.contains(why), "{}", failure.message);
        }
    }
}
