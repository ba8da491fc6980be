//! `mutants`: shows that each fuzz target notices what it is for. Every bug of [`list::ALL`] is planted in a copy of
//! the sources, one at a time; the named target must fail then, by a broken rule or by the allocator's own abort, and
//! must pass without. The copy lies in the target folder; nothing of the checkout changes.

mod list;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// A bug.
pub struct Mutant {
    /// The target that must notice.
    target: &'static str,
    /// What the bug does.
    what: &'static str,
    /// The file, from `crates/` on.
    file: &'static str,
    /// Text that is in the file once.
    find: &'static str,
    /// What stands there instead.
    replace: &'static str,
}

/// What the targets are built from.
const CRATES: &[&str] = &["base", "sys", "core", "fuzz"];

/// Plants each bug (of the targets in `only`, if there are any) and prints what came of it, as test programs do.
pub fn main(only: impl Iterator<Item = String>) -> ExitCode {
    let only: Vec<String> = only.collect();
    let wanted = |target: &str| only.is_empty() || only.iter().any(|o| o == target);
    let copy = match copy() {
        Ok(copy) => copy,
        Err(e) => {
            eprintln!("mutants: {e}");
            return ExitCode::FAILURE;
        }
    };
    let mut targets: Vec<&str> = list::ALL.iter().map(|m| m.target).collect();
    targets.dedup();
    targets.retain(|t| wanted(t));
    let (mut passed, mut failed) = (0, 0);
    let mut count = |name: &str, outcome: Result<(), String>| match outcome {
        Ok(()) => {
            println!("test {name} ... ok");
            passed += 1;
        }
        Err(reason) => {
            println!("{name}: {reason}\ntest {name} ... FAILED");
            failed += 1;
        }
    };
    for target in targets {
        let plain = run(&copy, target).and_then(|ok| {
            ok.then_some(())
                .ok_or_else(|| "fails without any bug".to_owned())
        });
        let is_usable = plain.is_ok();
        count(&format!("{target}: no bug"), plain);
        for mutant in list::ALL.iter().filter(|m| m.target == target) {
            if is_usable {
                count(
                    &format!("{target}: {}", mutant.what),
                    try_out(&copy, mutant),
                );
            }
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn try_out(copy: &Path, mutant: &Mutant) -> Result<(), String> {
    let file = copy.join("crates").join(mutant.file);
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", mutant.file))?;
    let n = text.matches(mutant.find).count();
    if n != 1 {
        return Err(format!(
            "{} has the text {n} times, not once: {}",
            mutant.file, mutant.find
        ));
    }
    let changed = text.replacen(mutant.find, mutant.replace, 1);
    let write =
        |text: &str| std::fs::write(&file, text).map_err(|e| format!("{}: {e}", mutant.file));
    write(&changed)?;
    let outcome = run(copy, mutant.target);
    write(&text)?;
    match outcome {
        Ok(false) => Ok(()),
        Ok(true) => Err("not noticed".into()),
        Err(e) => Err(e),
    }
}

/// Builds the target and runs it: whether it passed; an error if it does not even compile.
fn run(copy: &Path, target: &str) -> Result<bool, String> {
    let cargo = |more: &[&str]| {
        let mut command = Command::new("cargo");
        command
            .args(["test", "--quiet", "-p", "aethalloc-fuzz", "--test", target])
            .args(more)
            .current_dir(copy)
            .env("CARGO_TARGET_DIR", copy.with_file_name("target"))
            .env("AETHALLOC_TEST_LEVEL", "quick")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    };
    let built = cargo(&["--no-run"]).status();
    if !built.is_ok_and(|s| s.success()) {
        return Err("does not compile".into());
    }
    let mut run = cargo(&[]);
    run.stderr(Stdio::null());
    run.status()
        .map(|s| s.success())
        .map_err(|e| format!("cargo: {e}"))
}

/// A copy of what the targets are built from; its path.
fn copy() -> std::io::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let to = crate::root().join(Path::new(&target)).join("mutants/tree");
    if to.exists() {
        std::fs::remove_dir_all(&to)?;
    }
    for name in CRATES {
        let folder = Path::new("crates").join(name);
        copy_folder(&crate::root().join(&folder), &to.join(&folder))?;
    }
    copy_folder(&crate::root().join("fuzz/corpus"), &to.join("fuzz/corpus"))?;
    std::fs::copy(crate::root().join("Cargo.lock"), to.join("Cargo.lock"))?;
    let manifest = std::fs::read_to_string(crate::root().join("Cargo.toml"))?;
    let keeps = |line: &&str| !line.starts_with("default-members");
    let mut lines: Vec<&str> = manifest.lines().filter(keeps).collect();
    let fast: Vec<String> = CRATES
        .iter()
        .map(|name| format!("[profile.dev.package.aethalloc-{name}]\nopt-level = 2"))
        .collect();
    lines.extend(fast.iter().map(String::as_str));
    std::fs::write(to.join("Cargo.toml"), lines.join("\n"))?;
    Ok(to)
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
