//! The step `fuzz`: the targets of `crates/fuzz` on their kept inputs and random ones; with `--full` also under
//! libFuzzer, which looks for inputs that reach new code.
//!
//! libFuzzer runs on any toolchain: what it needs of the compiler are stable flags. `fuzz/` is a package outside the
//! workspace, because of its C++ part. What it finds new lies in `target/fuzz/new/TARGET`.

use super::Level;
use super::exec::Cmd;
use super::plan::{MINUTE, cargo, folder, optimised};

/// The flags that make a program tell libFuzzer where it goes.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// Seconds that libFuzzer runs on each target.
const SECONDS: u32 = 180;

#[cfg(target_arch = "x86_64")]
const HOST: &str = "x86_64-unknown-linux-gnu";
#[cfg(target_arch = "aarch64")]
const HOST: &str = "aarch64-unknown-linux-gnu";

/// The targets are the folders of kept inputs.
pub fn targets() -> Vec<String> {
    let folder = std::fs::read_dir(crate::root().join("fuzz/corpus"));
    let entries = folder.into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The commands of the step.
pub fn commands(level: Level) -> Vec<Cmd> {
    let mut replay = cargo(
        &["test", "--no-fail-fast", "-p", "aethalloc-fuzz"],
        30 * MINUTE,
    );
    replay.args.extend(optimised(&[
        "aethalloc-base",
        "aethalloc-sys",
        "aethalloc-core",
        "aethalloc-fuzz",
    ]));
    let mut commands = vec![replay];
    if level == Level::Full {
        commands.push(build());
        commands.extend(targets().iter().map(|target| search(target)));
    }
    commands
}

fn build() -> Cmd {
    let manifest = crate::root().join("fuzz/Cargo.toml");
    let mut command = cargo(&["build", "--release", "--target", HOST], 15 * MINUTE);
    command.args.extend([
        "--manifest-path".into(),
        manifest.to_string_lossy().into_owned(),
        "--target-dir".into(),
        folder("fuzz"),
    ]);
    command.env = vec![("RUSTFLAGS", COVERAGE.join(" "))];
    command
}

/// libFuzzer on one target, beginning with its kept inputs. A crash or a broken rule makes it fail.
fn search(target: &str) -> Cmd {
    let new = format!("{}/new/{target}", folder("fuzz"));
    let _ = std::fs::create_dir_all(&new);
    let kept = crate::root().join("fuzz/corpus").join(target);
    let args = vec![
        format!("{}/{HOST}/release/{target}", folder("fuzz")),
        format!("-max_total_time={SECONDS}"),
        "-max_len=2000".into(),
        "-rss_limit_mb=3000".into(),
        "-timeout=300".into(),
        "-print_final_stats=1".into(),
        "-verbosity=0".into(),
        format!("-artifact_prefix={}/found-{target}-", folder("fuzz")),
        new,
        kept.to_string_lossy().into_owned(),
    ];
    Cmd {
        args,
        limit: SECONDS + 15 * MINUTE,
        ..Cmd::default()
    }
}
