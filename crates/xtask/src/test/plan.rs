//! The steps of `./test`, in order.
//!
//! Steps share one target folder, and every command of a profile uses the same flags, so that each crate is built
//! once per profile: `dev` for lints and tests (debug assertions on), `release` for what ships.

use super::Level;
use super::exec::Cmd;
use crate::{Findings, layers, licences, provenance};
use std::path::Path;
use std::process::Command;

/// One step.
pub struct Step {
    /// What selects it on the command line.
    pub name: &'static str,
    /// One line.
    pub what: &'static str,
    /// The lowest level that runs it.
    pub from: Level,
    /// Names in the table of tools.
    pub tools: &'static [&'static str],
    /// What it does.
    pub action: Action,
}

/// What a step does.
pub enum Action {
    /// A check inside this program.
    Check(fn() -> Findings),
    /// Commands, run in order; all run even if one fails.
    Commands(fn(Level) -> Vec<Cmd>),
}

/// In seconds.
pub const MINUTE: u32 = 60;
const DENY: &str = "-D warnings";

/// All steps.
pub const STEPS: &[Step] = &[
    Step {
        name: "format",
        what: "rustfmt changes nothing",
        from: Level::Quick,
        tools: &["rustfmt"],
        action: Action::Commands(|_| vec![cargo(&["fmt", "--all", "--check"], MINUTE)]),
    },
    Step {
        name: "layers",
        what: "no crate or folder uses what is above it",
        from: Level::Quick,
        tools: &[],
        action: Action::Check(layers::check),
    },
    Step {
        name: "provenance",
        what: "no pointer is made of a number but where it may be",
        from: Level::Quick,
        tools: &[],
        action: Action::Check(provenance::check),
    },
    Step {
        name: "licences",
        what: "licences are stated and compatible, no dependency needs a newer Rust",
        from: Level::Quick,
        tools: &[],
        action: Action::Check(licences::check),
    },
    Step {
        name: "lints",
        what: "clippy without warnings, among them calls newer than the minimum Rust version",
        from: Level::Quick,
        tools: &["clippy"],
        action: Action::Commands(lints),
    },
    Step {
        name: BUILD,
        what: "the library as it ships",
        from: Level::Quick,
        tools: &["gcc"],
        action: Action::Commands(build),
    },
    Step {
        name: TESTS,
        what: "the tests of all crates",
        from: Level::Quick,
        tools: &[
            "gcc",
            "g++",
            "objdump",
            "valgrind",
            "chromium",
            "redis-server",
            "memcached",
        ],
        action: Action::Commands(tests),
    },
    Step {
        name: "fuzz",
        what: "kept and random inputs, every rule of the structures after each action",
        from: Level::Quick,
        tools: &["g++"],
        action: Action::Commands(super::fuzz::commands),
    },
    Step {
        name: "mutants",
        what: "every fuzz target notices the bugs planted for it",
        from: Level::Full,
        tools: &[],
        action: Action::Commands(mutants),
    },
    Step {
        name: "sanitizers",
        what: "tests built with AddressSanitizer, where a toolchain has it",
        from: Level::Full,
        tools: &[],
        action: Action::Commands(sanitizers),
    },
    Step {
        name: SOAK,
        what: "a server for long: nothing grows",
        from: Level::Quick,
        tools: &["gcc"],
        action: Action::Commands(soak),
    },
    Step {
        name: PROGRAMS,
        what: "real programs on the library, compared with glibc",
        from: Level::Quick,
        tools: &["strace"],
        action: Action::Commands(programs),
    },
    Step {
        name: "docs",
        what: "rustdoc without warnings",
        from: Level::Normal,
        tools: &[],
        action: Action::Commands(docs),
    },
    Step {
        name: "loom",
        what: "models of the lock-free protocols",
        from: Level::Normal,
        tools: &[],
        action: Action::Commands(loom),
    },
    Step {
        name: "aarch64",
        what: "built for aarch64; its tests and C programs under qemu-user",
        from: Level::Normal,
        tools: &[
            "rustc for aarch64",
            "Rust library for aarch64",
            "aarch64-linux-gnu-gcc",
            "C library for aarch64",
            "aarch64-linux-gnu-g++",
            "qemu-aarch64",
        ],
        action: Action::Commands(super::aarch64::commands),
    },
];

/// A command of cargo.
pub fn cargo(args: &[&str], limit: u32) -> Cmd {
    Cmd {
        args: ["cargo"].iter().chain(args).map(|a| (*a).into()).collect(),
        limit,
        ..Cmd::default()
    }
}

fn lints(_: Level) -> Vec<Cmd> {
    let mut clippy = cargo(&["clippy", "--workspace", "--all-targets"], 15 * MINUTE);
    clippy
        .args
        .extend(["--", "-D", "warnings"].map(String::from));
    vec![clippy]
}

fn build(_: Level) -> Vec<Cmd> {
    vec![cargo(
        &["build", "--release", "-p", "aethalloc-abi"],
        15 * MINUTE,
    )]
}

/// Arguments that optimise these packages but keep debug assertions and overflow checks.
pub fn optimised(packages: &[&str]) -> Vec<String> {
    let one = |package| format!("profile.dev.package.{package}.opt-level=2");
    packages
        .iter()
        .flat_map(|package| ["--config".to_owned(), one(package)])
        .collect()
}

/// The tests of the C interface take the library that the step before built. All of `core` but its models, which
/// have a step of their own.
fn tests(_: Level) -> Vec<Cmd> {
    let mut core = cargo(
        &["test", "--no-fail-fast", "-p", "aethalloc-core", "--lib"],
        15 * MINUTE,
    );
    core.args.extend(optimised(&[
        "aethalloc-base",
        "aethalloc-sys",
        "aethalloc-core",
    ]));
    for name in core_tests().into_iter().filter(|name| !is_model(name)) {
        core.args.extend(["--test".into(), name]);
    }
    let mut others = cargo(&["test", "--workspace", "--no-fail-fast"], 40 * MINUTE);
    others
        .args
        .extend(["--exclude", "aethalloc-core", "--exclude", "aethalloc-fuzz"].map(String::from));
    others.env = built_library();
    vec![core, others]
}

/// What makes tests of the C interface take the library that the step `build` made.
fn built_library() -> Vec<(&'static str, String)> {
    let file = |name: &str| format!("{}/{name}", folder("release"));
    vec![
        ("AETHALLOC_LIB", file("libaethalloc.so")),
        ("AETHALLOC_A", file("libaethalloc.a")),
    ]
}

fn mutants(_: Level) -> Vec<Cmd> {
    vec![cargo(
        &["run", "--quiet", "-p", "xtask", "--", "mutants"],
        60 * MINUTE,
    )]
}

fn sanitizers(_: Level) -> Vec<Cmd> {
    vec![cargo(
        &["run", "--quiet", "-p", "xtask", "--", "sanitizers"],
        90 * MINUTE,
    )]
}

/// One test program after the other: each looks at its process's memory.
fn soak(_: Level) -> Vec<Cmd> {
    let mut command = cargo(
        &[
            "test",
            "-p",
            "aethalloc-testkit",
            "--test",
            "soak",
            "--",
            "--nocapture",
            "--test-threads=1",
        ],
        90 * MINUTE,
    );
    command.env = built_library();
    vec![command]
}

/// Name of the step whose library the next two test.
pub const BUILD: &str = "build";

/// Name of the step that runs the server for long.
pub const SOAK: &str = "soak";

/// Name of the step that runs cargo's tests.
pub const TESTS: &str = "tests";

/// Name of the step that says itself which packages it needs.
pub const PROGRAMS: &str = "programs";

fn programs(level: Level) -> Vec<Cmd> {
    let limit = if level == Level::Full { 120 } else { 30 };
    vec![
        // Asked what it says about programs that the library cannot serve; it must lie beside the next.
        cargo(&["build", "--quiet", "-p", "aethalloc-cli"], 15 * MINUTE),
        cargo(
            &["run", "--quiet", "-p", "aethalloc-programs"],
            limit * MINUTE,
        ),
    ]
}

/// Packages of the programs under test that are not installed.
pub fn program_packages(level: Level) -> Vec<String> {
    let output = Command::new("cargo")
        .args([
            "run",
            "--quiet",
            "-p",
            "aethalloc-programs",
            "--",
            "--needs",
        ])
        .env("AETHALLOC_TEST_LEVEL", level.name())
        .current_dir(crate::root())
        .output();
    let text = output.map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .map(String::from)
        .collect()
}

/// Three libraries and programs are named `aethalloc`, so their pages are written one after the other.
fn docs(_: Level) -> Vec<Cmd> {
    let mut commands = vec![
        cargo(&["doc", "--no-deps", "-p", "aethalloc-abi"], 10 * MINUTE),
        cargo(&["doc", "--no-deps", "-p", "aethalloc-cli"], 10 * MINUTE),
        cargo(
            &[
                "doc",
                "--no-deps",
                "--workspace",
                "--exclude",
                "aethalloc-abi",
                "--exclude",
                "aethalloc-cli",
            ],
            10 * MINUTE,
        ),
    ];
    for command in &mut commands {
        command.env.push(("RUSTDOCFLAGS", DENY.into()));
    }
    commands
}

/// The models run optimised: there are millions of interleavings.
fn loom(_: Level) -> Vec<Cmd> {
    let models = core_tests().into_iter().filter(|name| is_model(name));
    let commands = models.map(|name| {
        let args = ["test", "--release", "-p", "aethalloc-core", "--test", &name];
        cargo(&args, 20 * MINUTE)
    });
    commands.collect()
}

/// Names of the test programs of `core`.
pub fn core_tests() -> Vec<String> {
    let folder = std::fs::read_dir(crate::root().join("crates/core/tests"));
    let paths = folder.into_iter().flatten().flatten().map(|e| e.path());
    let mut names: Vec<String> = paths
        .filter(|p| p.join("main.rs").exists() || p.extension().is_some_and(|e| e == "rs"))
        .filter_map(|p| Some(p.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

/// Whether it is a model of the lock-free protocols.
pub fn is_model(name: &str) -> bool {
    name.starts_with("loom")
}

/// A folder inside the target folder.
pub fn folder(name: &str) -> String {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let path = crate::root().join(Path::new(&target)).join(name);
    path.to_string_lossy().into_owned()
}
