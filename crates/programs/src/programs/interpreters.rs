//! Interpreters that run one script and print what it computed.

use crate::program::{Facts, Failure, Level, Program, tool};
use crate::run::Run;

/// JavaScript with workers.
pub const NODE: Program = Program {
    name: "node",
    task: "a script with worker threads, JSON, buffers, maps, zlib and crypto",
    tools: &[tool("node", "nodejs")],
    from: Level::Quick,
    processes: &["node"],
    note: "",
    task_fn: |run| {
        let script = include_str!("../../data/node.js");
        script_output(run, "node", "script.js", script, run.size(2, 12))
    },
};

/// Strings, hashes, closures, regular expressions.
pub const PERL: Program = Program {
    name: "perl",
    task: "a script with hashes, strings, sorting, regular expressions, children",
    tools: &[tool("perl", "perl")],
    from: Level::Quick,
    processes: &["perl"],
    note: "",
    task_fn: |run| {
        let script = include_str!("../../data/perl.pl");
        script_output(run, "perl", "script.pl", script, run.size(1, 8))
    },
};

/// Runs `script`, which gets its number of rounds as argument.
fn script_output(
    run: &Run,
    interpreter: &str,
    file: &str,
    script: &str,
    rounds: usize,
) -> Result<Facts, Failure> {
    run.write(file, script)?;
    let output = run
        .launch(interpreter)
        .args([file, &rounds.to_string()])
        .ok()?;
    Ok(vec![("output".into(), output)])
}
