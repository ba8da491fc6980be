//! Runs one command of a step: its output goes to the terminal line by line and through the counter.

use super::Options;
use super::count::{Counter, Tally};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::process::Command;

/// One command of a step.
#[derive(Default)]
pub struct Cmd {
    /// Program and arguments.
    pub args: Vec<String>,
    /// Added to the environment.
    pub env: Vec<(&'static str, String)>,
    /// Seconds after which the command is ended and counts as failed.
    pub limit: u32,
}

/// Runs `cmd` and counts what its output reports.
pub fn run(step: &str, cmd: &Cmd, options: &Options) -> Tally {
    println!("$ {}", cmd.args.join(" "));
    let skips = skips_file();
    let result = stream(cmd, options, &skips);
    let mut tally = match result {
        Ok(tally) => tally(step),
        Err(e) => Tally::fail(format!("{step}: {}: {e}", cmd.args[0])),
    };
    // A test that found at run time that it cannot run here was reported as passed by its harness.
    for line in std::fs::read_to_string(&skips).unwrap_or_default().lines() {
        tally.passed = tally.passed.saturating_sub(1);
        tally.add(Tally::skip(line.to_owned()));
    }
    let _ = std::fs::remove_file(&skips);
    tally
}

fn stream(
    cmd: &Cmd,
    options: &Options,
    skips: &PathBuf,
) -> std::io::Result<impl FnOnce(&str) -> Tally> {
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new("timeout");
    if std::io::stdin().is_terminal() {
        command.arg("--foreground"); // Lets an interrupt from the keyboard reach the command.
    }
    command
        .args(["--kill-after=10", &cmd.limit.to_string()])
        .args(&cmd.args)
        .envs(cmd.env.iter().map(|(k, v)| (k, v)))
        .env("AETHALLOC_TEST_LEVEL", options.level.name())
        .env("AETHALLOC_TEST_SKIPS", skips)
        .current_dir(crate::root())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    if options.allow_missing {
        command.env("AETHALLOC_TEST_ALLOW_MISSING", "1");
    }
    // A cargo that runs us sets these for us alone; tests of other crates must not see them.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    command.env_remove("CARGO_MANIFEST_DIR");
    let mut child = command.spawn()?;
    drop(command); // Closes our copies of the pipe's writing end.
    let mut counter = Counter::default();
    let mut out = std::io::stdout();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        out.flush()?;
        counter.line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait()?;
    let limit = cmd.limit;
    Ok(move |step: &str| {
        if status.code() == Some(124) {
            println!("{step}: ended after {limit} s");
        }
        counter.finish(step, status.success())
    })
}

fn skips_file() -> PathBuf {
    std::env::temp_dir().join(format!("aethalloc-skips-{}", std::process::id()))
}
