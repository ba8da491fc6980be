//! `sanitizers`: test programs built with AddressSanitizer, where a toolchain has it.
//!
//! The allocator is linked as a Rust library here and serves only what the tests ask of it; the programs' own memory is
//! the sanitizer's. So this sees
//!
//! - AddressSanitizer: accesses outside of static tables and stack arrays, in the allocator and in everything that uses
//!   the heap in the usual way (the command line, the bench, the tests). What lies in the allocator's own blocks it
//!   takes for any mapped memory.
//!
//! ThreadSanitizer is not among them: the state bytes of blocks are stored one by one and read 16 at a time, by instructions
//! that it does not follow, so that it takes every block that changes threads for a race. The protocols are modelled
//! under loom instead (`./test loom`).
//!
//! A program that replaces `malloc` cannot be tested so, because the sanitizers do that themselves. Their flags are not
//! stable: a nightly toolchain, or `RUSTC_BOOTSTRAP=1`, has them. Without one each sanitizer counts as skipped.

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

#[cfg(target_arch = "x86_64")]
const HOST: &str = "x86_64-unknown-linux-gnu";
#[cfg(target_arch = "aarch64")]
const HOST: &str = "aarch64-unknown-linux-gnu";

struct Sanitizer {
    name: &'static str,
    flag: &'static str,
    /// Arguments of `cargo test`, one run each.
    runs: &'static [&'static [&'static str]],
}

const SANITIZERS: &[Sanitizer] = &[Sanitizer {
    name: "AddressSanitizer",
    flag: "address",
    runs: &[&[
        "-p",
        "aethalloc-base",
        "-p",
        "aethalloc-fuzz",
        "--lib",
        "--tests",
    ]],
}];

/// Runs all of them.
pub fn main() -> ExitCode {
    let Some(toolchain) = toolchain() else {
        for s in SANITIZERS {
            skip(s.name, "no toolchain here has it (a nightly has)");
        }
        return ExitCode::SUCCESS;
    };
    let mut ok = true;
    for sanitizer in SANITIZERS {
        for run in sanitizer.runs {
            ok &= test(&toolchain, sanitizer, run);
        }
    }
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What `rustup run` calls it; empty: the one that runs us.
struct Toolchain(Option<&'static str>);

impl Toolchain {
    fn command(&self, program: &str) -> Command {
        match self.0 {
            Some(name) => {
                let mut command = Command::new("rustup");
                command.args(["run", name, program]);
                command
            }
            None => Command::new(program),
        }
    }
}

/// The first toolchain that takes unstable flags.
fn toolchain() -> Option<Toolchain> {
    let takes = |t: &Toolchain| {
        let mut command = t.command("rustc");
        command.args(["-Zsanitizer=address", "--print", "cfg"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // Our cargo's choice must not decide for the other toolchain.
        command.env_remove("RUSTUP_TOOLCHAIN");
        command.status().is_ok_and(|s| s.success())
    };
    [Toolchain(None), Toolchain(Some("nightly"))]
        .into_iter()
        .find(takes)
}

fn test(toolchain: &Toolchain, sanitizer: &Sanitizer, run: &[&str]) -> bool {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let target = crate::root().join(target);
    println!("==== {}: {}", sanitizer.name, run.join(" "));
    let flags = format!(
        "-Zsanitizer={} -Cunsafe-allow-abi-mismatch=sanitizer",
        sanitizer.flag
    );
    let mut cargo = toolchain.command("cargo");
    cargo.args(["test", "--no-fail-fast", "--target", HOST]);
    cargo.args(["--config", "profile.dev.opt-level=2"]);
    cargo.args(["--config", "profile.dev.panic=\"unwind\""]);
    cargo
        .args(run)
        .current_dir(crate::root())
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC")
        .env("RUSTFLAGS", flags)
        .env(
            "CARGO_TARGET_DIR",
            target.join(format!("sanitize-{}", sanitizer.flag)),
        )
        // The arenas are never freed, and are no leak.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        // Under a sanitizer everything is several times slower.
        .env("AETHALLOC_TEST_LEVEL", "quick");
    cargo.status().is_ok_and(|s| s.success())
}

/// Counted as `./test` counts: one test, that says why it did not run.
fn skip(name: &str, reason: &str) {
    println!("{name}: skipped: {reason}");
    println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
    let Some(list) = std::env::var_os("AETHALLOC_TEST_SKIPS") else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(list);
    if let Err(e) = file.and_then(|mut f| writeln!(f, "{name}: {reason}")) {
        println!("the list of skips: {e}");
    }
}
