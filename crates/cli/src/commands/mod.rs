//! The subcommands, one per file: arguments and what they do.

mod bench;
mod demo;
mod demo_pipeline;
mod doctor;
mod run;

use std::process::ExitCode;

use clap::Subcommand;

use crate::fail::{Failure, Outcome};

/// What the command was asked to do.
#[derive(Subcommand)]
pub enum Command {
    Run(run::Args),
    Demo(demo::Args),
    Bench(bench::Args),
    Doctor(doctor::Args),
    #[command(hide = true)]
    DemoPipeline(demo_pipeline::Args),
}

/// Runs one subcommand.
pub fn dispatch(command: Command) -> Outcome<ExitCode> {
    match command {
        Command::Run(args) => run::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::DemoPipeline(args) => demo_pipeline::run(args),
    }
}

/// Prints a usage error (or the help) and exits. `run` exits with 125, as env(1) does, so that a bad option is not
/// taken for an exit code of the program; the others with 2, as is usual.
pub fn exit_on_usage(error: &clap::Error) -> ! {
    // Nothing can be done when the message itself cannot be printed.
    let _ = error.print();
    let code = match error.exit_code() {
        0 => 0,
        _ if std::env::args_os().nth(1).is_some_and(|a| a == "run") => i32::from(Failure::OWN),
        code => code,
    };
    std::process::exit(code)
}
