//! `aethalloc demo-pipeline`: what `aethalloc demo` starts as its child processes. Not for people.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::fail::{Failure, Outcome};
use crate::pipeline::{self, Config};

/// One run of the demo's pipeline in this process
#[derive(clap::Args)]
pub struct Args {
    /// What to run, as JSON
    config: String,
    /// Where to write what was measured, as JSON
    out: PathBuf,
}

/// Runs the pipeline and writes its figures.
pub fn run(args: Args) -> Outcome<ExitCode> {
    let config: Config = serde_json::from_str(&args.config)
        .map_err(|e| Failure::own(format!("not a pipeline configuration: {e}")))?;
    if config.receivers == 0 || config.workers == 0 {
        return Err(Failure::own("a pipeline needs receive threads and workers"));
    }
    let measured = pipeline::run(config)?;
    let text = serde_json::to_vec(&measured)
        .map_err(|e| Failure::failed(format!("cannot write the figures: {e}")))?;
    fs::write(&args.out, text)
        .map_err(|e| Failure::failed(format!("{}: {e}", args.out.display())))?;
    Ok(ExitCode::SUCCESS)
}
