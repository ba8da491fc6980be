//! `sanitizers`: test programs built with AddressSanitizer and with ThreadSanitizer, where a toolchain has them.
//!
//! The allocator is linked as a Rust library here and serves only what the tests ask of it; the programs' own memory is
//! the sanitizer's. So this sees
//!
//! - AddressSanitizer: accesses outside of static tables and stack arrays, in the allocator and in everything that uses
//!   the heap in the usual way (the command line, the bench, the tests). What lies in the allocator's own blocks it
//!   takes for any mapped memory.
//! - ThreadSanitizer: two accesses to one place, one of them a write, that nothing orders. The standard library is built
//!   with it too (component `rust-src`), since it orders threads. What only a membarrier orders it cannot know: such
//!   places are listed in `SUPPRESSIONS`, each with its reason.
//!
//! A program that replaces `malloc` cannot be tested so, because the sanitizers do that themselves. Their flags are not
//! stable: a nightly toolchain, or `RUSTC_BOOTSTRAP=1`, has them. Without one each sanitizer counts as skipped.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

#[cfg(target_arch = "x86_64")]
const HOST: &str = "x86_64-unknown-linux-gnu";
#[cfg(target_arch = "aarch64")]
const HOST: &str = "aarch64-unknown-linux-gnu";

/// Functions whose races are meant, as ThreadSanitizer's suppressions.
const SUPPRESSIONS: &str = "\
# Figures of running threads are read without their help and may be torn: statistics only.
race:aethalloc_core::thread::cache::held_bytes
race:aethalloc_core::stats::
";

struct Sanitizer {
    name: &'static str,
    flag: &'static str,
    /// It needs a standard library that is built with it.
    builds_std: bool,
    /// Arguments of `cargo test`, one run each.
    runs: &'static [&'static [&'static str]],
}

const SANITIZERS: &[Sanitizer] = &[
    Sanitizer {
        name: "AddressSanitizer",
        flag: "address",
        builds_std: false,
        runs: &[
            &["-p", "aethalloc-base", "--lib"],
            &[
                "-p",
                "aethalloc-core",
                "--test",
                "oracle",
                "--test",
                "pages",
                "--test",
                "stress",
            ],
            &["-p", "aethalloc-fuzz"],
            &["-p", "aethalloc-cli", "--bins"],
            &["-p", "aethalloc-bench", "--lib"],
        ],
    },
    Sanitizer {
        name: "ThreadSanitizer",
        flag: "thread",
        builds_std: true,
        runs: &[
            &[
                "-p",
                "aethalloc-core",
                "--test",
                "stress",
                "--test",
                "handoff",
                "--test",
                "lines",
            ],
            &["-p", "aethalloc-fuzz", "--test", "front"],
        ],
    },
];

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
        if sanitizer.builds_std && !has_sources(&toolchain) {
            skip(
                sanitizer.name,
                "no sources of the standard library (rustup component add rust-src)",
            );
            continue;
        }
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

/// Whether the standard library's sources are there, after an attempt to bring them.
fn has_sources(toolchain: &Toolchain) -> bool {
    let there = || {
        let mut command = toolchain.command("rustc");
        let output = command.args(["--print", "sysroot"]).output();
        let root = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
        root.is_ok_and(|r| {
            Path::new(&r)
                .join("lib/rustlib/src/rust/library/std")
                .exists()
        })
    };
    if there() {
        return true;
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", "rust-src"]);
    if let Some(name) = toolchain.0 {
        rustup.args(["--toolchain", name]);
    }
    let _ = rustup.stdin(Stdio::null()).status();
    there()
}

fn test(toolchain: &Toolchain, sanitizer: &Sanitizer, run: &[&str]) -> bool {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let target = crate::root().join(target);
    let suppressions = target.join("tsan.supp");
    if let Err(e) = std::fs::write(&suppressions, SUPPRESSIONS) {
        println!("{}: {e}", suppressions.display());
        return false;
    }
    println!("==== {}: {}", sanitizer.name, run.join(" "));
    let flags = format!(
        "-Zsanitizer={} -Cunsafe-allow-abi-mismatch=sanitizer",
        sanitizer.flag
    );
    let mut cargo = toolchain.command("cargo");
    cargo.args(["test", "--no-fail-fast", "--target", HOST]);
    cargo.args(["--config", "profile.dev.opt-level=2"]);
    // The standard library is built once: tests unwind.
    cargo.args(["--config", "profile.dev.panic=\"unwind\""]);
    if sanitizer.builds_std {
        cargo.arg("-Zbuild-std");
    }
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
        .env(
            "TSAN_OPTIONS",
            format!("suppressions={}", suppressions.display()),
        )
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
