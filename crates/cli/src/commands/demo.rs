//! `aethalloc demo`: a packet pipeline under the system allocator and under Aethalloc, side by side.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::demo::{self, Plan};
use crate::fail::{Failure, Outcome};
use crate::locate;

/// Measure a packet pipeline on the system allocator and on Aethalloc
///
/// Receive threads allocate packets of 64 to 1500 bytes, workers on other threads free them. Each round is a process
/// of its own; rounds alternate between the allocators. Takes under a minute by default.
#[derive(clap::Args)]
pub struct Args {
    /// Seconds that the pipeline runs in each round
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Seconds that it then idles
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=600))]
    idle: u32,
    /// Rounds on each allocator
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=99))]
    rounds: u32,
    /// Print all figures as JSON instead of the table
    #[arg(long)]
    json: bool,
    /// The library to measure [default: $AETHALLOC_LIB, else beside this command]
    #[arg(long, value_name = "PATH")]
    lib: Option<PathBuf>,
}

/// Measures and prints.
pub fn run(args: Args) -> Outcome<ExitCode> {
    let library = locate::library(args.lib.as_deref())?;
    let plan = Plan::new(f64::from(args.seconds), f64::from(args.idle), args.rounds);
    let report = demo::measure(&plan, &library)?;
    if args.json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|e| Failure::failed(format!("cannot write the figures: {e}")))?;
        println!("{text}");
    } else {
        print!("{}", demo::table(&report));
    }
    Ok(ExitCode::SUCCESS)
}
