//! The step `aarch64`: everything is built by Debian's cross compilers, whose Rust library is not the one of the toolchain in use, and run
//! by qemu-user: the Rust tests, and C programs under `LD_PRELOAD`, on a CPU with memory tagging and on one without.
//!
//! qemu-user 7.2 takes some 14 bytes for each reserved page of 4 KiB, so a small space is reserved: `reserve:4g` is the least with the fast path of
//! `free`. It does as if it knew every `madvise`; guard pages are tested natively.

use super::Level;
use super::exec::Cmd;
use super::plan::{MINUTE, cargo, core_tests, folder, is_model, optimised};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const EMULATOR: &str = "qemu-aarch64 -cpu max";
/// Has no memory tagging.
const OLD: &str = "qemu-aarch64 -cpu cortex-a57";

/// Test programs of the C interface that run on an emulator. The others trace system calls, look at this machine's processes or run
/// programs that are installed.
const C_TESTS: [&str; 4] = ["rules", "misuse", "mte", "tags"];

/// The commands.
pub fn commands(level: Level) -> Vec<Cmd> {
    let mut commands = vec![
        cross(&[
            "build",
            "--release",
            "-p",
            "aethalloc-abi",
            "-p",
            "aethalloc",
        ]),
        rust_tests(
            &["aethalloc-base", "aethalloc-sys", "aethalloc"],
            Vec::new(),
        ),
        core(),
    ];
    commands.push(c_tests(&C_TESTS, EMULATOR));
    commands.push(c_tests(&["misuse", "mte", "tags"], OLD));
    if level == Level::Full {
        commands.push(c_tests(&C_TESTS, &format!("{EMULATOR} -p 16384")));
        commands.push(c_tests(&C_TESTS, &format!("{EMULATOR} -p 65536")));
    }
    commands
}

/// A command of cargo for the target.
fn cross(args: &[&str]) -> Cmd {
    let mut command = cargo(args, 15 * MINUTE);
    command.args.extend(["--target".into(), TARGET.into()]);
    command.env = vec![
        ("RUSTC", "/usr/bin/rustc".into()),
        (
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER",
            "aarch64-linux-gnu-gcc".into(),
        ),
        (
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER",
            EMULATOR.into(),
        ),
        ("CARGO_TARGET_DIR", folder("aarch64")),
        ("AETHALLOC_EMULATOR", EMULATOR.into()),
        // The largest test needs more than the 4 GiB of the C programs.
        ("AETHALLOC_CONF", "reserve:8g".into()),
    ];
    command
}

/// Tests of `packages`; without those in the documentation, for which there is no compiler.
fn rust_tests(packages: &[&str], more: Vec<String>) -> Cmd {
    let mut command = cross(&["test", "--no-fail-fast", "--lib"]);
    if more.is_empty() {
        command.args.push("--tests".into());
    }
    for package in packages {
        command.args.extend(["-p".into(), (*package).into()]);
    }
    command.args.extend(optimised(&[
        "aethalloc-base",
        "aethalloc-sys",
        "aethalloc-core",
    ]));
    command.args.extend(more);
    command
}

/// All of `core` but its models, which do not depend on the machine.
fn core() -> Cmd {
    let names = core_tests().into_iter().filter(|name| !is_model(name));
    rust_tests(
        &["aethalloc-core"],
        names.flat_map(|name| ["--test".into(), name]).collect(),
    )
}

/// Tests of the C interface, which are programs of this machine, on the library for the other.
fn c_tests(names: &[&str], emulator: &str) -> Cmd {
    let mut command = cargo(
        &["test", "--no-fail-fast", "-p", "aethalloc-testkit"],
        15 * MINUTE,
    );
    for name in names {
        command.args.extend(["--test".into(), (*name).into()]);
    }
    let built = |name: &str| format!("{}/{TARGET}/release/{name}", folder("aarch64"));
    command.env = vec![
        ("AETHALLOC_LIB", built("libaethalloc.so")),
        ("AETHALLOC_A", built("libaethalloc.a")),
        ("AETHALLOC_CC", "aarch64-linux-gnu-gcc".into()),
        ("AETHALLOC_CXX", "aarch64-linux-gnu-g++".into()),
        ("AETHALLOC_EMULATOR", emulator.into()),
    ];
    command
}
