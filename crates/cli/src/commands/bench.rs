//! `aethalloc bench`: the measuring bench, a program of its own.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::child::Program;
use crate::fail::Outcome;
use crate::locate;

/// Measure Aethalloc beside other allocators (see bench --help)
///
/// In a source checkout, builds the bench and becomes it.
#[derive(clap::Args)]
#[command(disable_help_flag = true, override_usage = "aethalloc bench [ARGS]...")]
pub struct Args {
    /// What the bench takes
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    args: Vec<OsString>,
}

/// Becomes the bench. Returns only if that fails.
pub fn run(args: Args) -> Outcome<ExitCode> {
    let bench = locate::bench()?;
    let program = Program {
        file: bench.path,
        // What its help and its errors call it.
        name: "aethalloc bench".into(),
        arguments: args.args,
        environment: bench.environment,
    };
    Err(program.replace_this_process())
}
