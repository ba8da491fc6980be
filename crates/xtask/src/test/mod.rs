//! `./test`: every check of the workspace as a list of steps, each timed, all counted.
//!
//! The last line printed is `N passed, M failed, K skipped`. A step that runs test programs adds what their own
//! output reports; every other step counts as one. A test that cannot run on this machine appends
//! `name: reason` to the file that `AETHALLOC_TEST_SKIPS` names and returns: it is then counted as skipped.
//! `AETHALLOC_TEST_LEVEL` tells tests how long they may take: `quick`, `normal` or `full`.

mod aarch64;
mod count;
mod exec;
mod fuzz;
mod plan;
mod tools;

use count::Tally;
use plan::{Action, Step};
use std::process::ExitCode;
use std::time::Instant;

/// How much time the tests may take.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Under 5 minutes.
    Quick,
    /// Under 45 minutes, from clean, on two cores.
    Normal,
    /// Everything, however slow.
    Full,
}

impl Level {
    /// The word that tests see.
    pub fn name(self) -> &'static str {
        match self {
            Level::Quick => "quick",
            Level::Normal => "normal",
            Level::Full => "full",
        }
    }
}

struct Options {
    level: Level,
    allow_missing: bool,
    list: bool,
    only: Vec<String>,
}

impl Options {
    /// Whether a step is named, or makes what a named one tests.
    fn wants(&self, step: &Step) -> bool {
        let named = |name: &str| self.only.iter().any(|o| o == name);
        named(step.name)
            || (step.name == plan::BUILD
                && [plan::TESTS, plan::PROGRAMS, plan::SOAK]
                    .into_iter()
                    .any(named))
    }
}

fn options(args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        level: Level::Normal,
        allow_missing: false,
        list: false,
        only: Vec::new(),
    };
    for arg in args {
        match arg.as_str() {
            "--quick" => options.level = Level::Quick,
            "--full" => options.level = Level::Full,
            "--allow-missing" => options.allow_missing = true,
            "--list" => options.list = true,
            name if plan::STEPS.iter().any(|s| s.name == name) => options.only.push(arg),
            _ => {
                return Err(format!(
                    "test: unknown argument '{arg}' (./test --list names the steps)"
                ));
            }
        }
    }
    Ok(options)
}

/// Runs the steps that `args` select.
pub fn main(args: impl Iterator<Item = String>) -> ExitCode {
    let options = match options(args) {
        Ok(options) => options,
        Err(line) => {
            eprintln!("{line}");
            return ExitCode::from(2);
        }
    };
    let steps: Vec<&Step> = plan::STEPS
        .iter()
        .filter(|s| options.only.is_empty() || options.wants(s))
        .filter(|s| s.from <= options.level)
        .collect();
    if options.list {
        for step in &steps {
            println!("{:<12} {}", step.name, step.what);
        }
        return ExitCode::SUCCESS;
    }
    run(&steps, &options)
}

fn run(steps: &[&Step], options: &Options) -> ExitCode {
    let start = Instant::now();
    let mut total = Tally::default();
    let mut table = Vec::new();
    let wanted: Vec<&str> = steps.iter().flat_map(|s| s.tools).copied().collect();
    let mut packages = tools::packages(&wanted);
    if steps.iter().any(|s| s.name == plan::PROGRAMS) {
        packages.extend(plan::program_packages(options.level));
    }
    tools::install_packages(packages);
    for step in steps {
        let begin = Instant::now();
        let tally = run_step(step, options);
        let seconds = begin.elapsed().as_secs_f64();
        println!("---- {}: {tally} ({seconds:.1} s)", step.name);
        table.push((step.name, tally.counts(), seconds));
        total.add(tally);
    }
    println!("\n==== summary ({})", options.level.name());
    for (name, counts, seconds) in &table {
        println!("{name:<12} {seconds:>7.1} s  {counts}");
    }
    println!("{:<12} {:>7.1} s", "total", start.elapsed().as_secs_f64());
    for reason in &total.skips {
        println!("skipped: {reason}");
    }
    for failure in &total.failures {
        println!("FAILED: {failure}");
    }
    println!("{total}");
    if total.failed == 0 && total.passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_step(step: &Step, options: &Options) -> Tally {
    println!("\n==== {}: {}", step.name, step.what);
    let missing = tools::missing(step.tools);
    if !missing.is_empty() {
        return absent(step.name, &missing.join(", "), options.allow_missing);
    }
    match step.action {
        Action::Check(check) => match check() {
            Ok(()) => Tally::pass(),
            Err(lines) => {
                for line in &lines {
                    println!("{line}");
                }
                Tally::fail(format!("{}: {} findings", step.name, lines.len()))
            }
        },
        Action::Commands(commands) => {
            let mut tally = Tally::default();
            for command in commands(options.level) {
                tally.add(exec::run(step.name, &command, options));
            }
            tally
        }
    }
}

/// A step whose tools are not on this machine.
fn absent(name: &str, missing: &str, allow: bool) -> Tally {
    println!("missing: {missing}");
    if allow {
        Tally::skip(format!("{name}: missing {missing}"))
    } else {
        Tally::fail(format!("{name}: missing {missing} (--allow-missing skips)"))
    }
}
