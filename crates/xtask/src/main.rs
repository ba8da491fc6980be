//! Tasks of the workspace: `cargo run -p xtask -- TASK`.

mod layers;
mod licences;
mod metadata;
mod mutants;
mod provenance;
mod sanitizers;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo run -p xtask -- TASK
  test [--quick|--full] [--allow-missing] [--list] [STEP...]   what ./test runs
  layers       prints every use of an upper layer by a lower one
  provenance   prints every pointer that is made of a number where it may not be
  licences     checks the licence and the minimum Rust version of every crate
  mutants [TARGET...]   plants bugs and checks that the fuzz targets notice
  sanitizers            tests built with AddressSanitizer, where a toolchain has it";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let outcome = match args.next().as_deref() {
        Some("test") => return test::main(args),
        Some("mutants") => return mutants::main(args),
        Some("sanitizers") => return sanitizers::main(),
        Some("layers") => layers::check(),
        Some("provenance") => provenance::check(),
        Some("licences") => licences::check(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(exceptions) => {
            for line in exceptions {
                println!("{line}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace.
fn root() -> &'static std::path::Path {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// What a check found wrong, one line each.
type Findings = Result<(), Vec<String>>;

/// `Ok` when nothing was found.
fn findings(lines: Vec<String>) -> Findings {
    if lines.is_empty() { Ok(()) } else { Err(lines) }
}
