//! Real programs: what they need, how they are prepared, and how their output is checked.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::checkout::Checkout;
use crate::definitions::Workload;
use crate::launch::{Program, Usage};
use crate::result::Output;

/// Variable by which `bench-session` learns what to put in front of its server.
const SESSION_PRELOAD: &str = "BENCH_SESSION_PRELOAD";

/// What a workload prints; a session adds what its server cost.
#[derive(Debug, Deserialize)]
pub struct Reported {
    /// The server's own usage, in place of the session's.
    pub usage: Option<Usage>,
    /// The rest.
    #[serde(flatten)]
    pub output: Output,
}

/// An error names the first missing program and how to get it.
pub fn check_needs(workload: &Workload) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for name in &workload.needs {
        let found = std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
        if !found {
            return Err(match workload.packages.is_empty() {
                true => format!("{name} is not installed"),
                false => format!(
                    "{name} is not installed: apt-get install {}",
                    workload.packages.join(" ")
                ),
            });
        }
    }
    Ok(())
}

/// Runs the setup command in the workload's folder.
pub fn setup(checkout: &Checkout, workload: &Workload, folder: &Path) -> Result<(), String> {
    let Some(command) = &workload.setup else {
        return Ok(());
    };
    let output = Command::new("sh")
        .args(["-ec", command])
        .current_dir(folder)
        .env_remove("LD_PRELOAD")
        .env("BENCH_DATA", checkout.data_dir())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("setup: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "setup failed: {}",
        errors.lines().last().unwrap_or("no message")
    ))
}

/// The program with the library in front: of the program itself, or of the server that a session starts.
pub fn under(program: &Program, workload: &Workload, library: Option<&Path>) -> Program {
    let mut program = program.clone();
    match (workload.program.as_str(), library) {
        ("bench-session", Some(library)) => {
            program
                .env
                .push((SESSION_PRELOAD.into(), library.display().to_string()));
            program
        }
        (_, library) => program.under(library),
    }
}

/// FNV-1a over the output of a program that prints no checksum of its own.
pub fn checksum(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
