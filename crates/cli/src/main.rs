//! `aethalloc`: run unmodified programs on the Aethalloc allocator.
//!
//! ```text
//! main ─> commands/{run,demo,demo_pipeline,bench,doctor}   one file per subcommand
//!           │
//!           ├─ locate     which libaethalloc.so and which bench (in a checkout: builds them)
//!           ├─ preload    would the loader really preload it into this program?
//!           ├─ child      exec, or start and supervise a child
//!           ├─ stats_file what the library reported from inside the processes
//!           ├─ demo       the demo's rounds and table (parent process)
//!           └─ pipeline   the demo's packet pipeline (child process)
//! ```
//!
//! The command never links the allocator. Its own system calls are in [`sys`].

mod child;
mod commands;
mod demo;
mod fail;
mod locate;
mod pipeline;
mod preload;
mod stats_file;
mod sys;
mod text;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;

/// Run unmodified Linux programs on the Aethalloc memory allocator.
#[derive(Parser)]
#[command(
    name = "aethalloc",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| commands::exit_on_usage(&error));
    match commands::dispatch(cli.command) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
