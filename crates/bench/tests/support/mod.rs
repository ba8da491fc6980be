//! Starts the bench as a user does.
#![allow(dead_code, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The bench on what cargo built for this test, without calling cargo again.
pub fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aethalloc-bench"));
    command
        .arg("--no-build")
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    command
}

pub fn run(args: &[&str]) -> std::io::Result<Output> {
    bench(args).output()
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The bench says no in exactly one line that holds all of `words`.
pub fn refuses(args: &[&str], words: &[&str]) -> Outcome {
    let output = run(args)?;
    let text = errors(&output);
    assert!(!output.status.success(), "{args:?} succeeded");
    assert_eq!(text.lines().count(), 1, "{args:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{args:?}: no '{word}' in: {text}");
    }
    Ok(())
}

/// A result file as JSON.
pub fn result(path: &Path) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
}

/// Compiles C into a library that can be preloaded.
pub fn library(
    folder: &Path,
    name: &str,
    source: &str,
) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let file = folder.join(format!("{name}.c"));
    let product = folder.join(format!("lib{name}.so"));
    std::fs::write(&file, source)?;
    let status = Command::new("cc")
        .args(["-O2", "-fPIC", "-shared", "-o"])
        .arg(&product)
        .arg(&file)
        .status()?;
    assert!(status.success(), "cc failed");
    Ok(product)
}

/// A library that damages the block before last from the 5000th call on.
pub fn damaging(folder: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    library(
        folder,
        "damaging",
        "#include <stdlib.h>\nextern void *__libc_malloc(size_t); extern void __libc_free(void *);\n\
         static int calls; static void *last; void free(void *p) { if (p == last) last = 0; __libc_free(p); }\n\
         void *malloc(size_t n) { if (++calls > 5000 && last) *(char *)last ^= 1; return last = __libc_malloc(n); }",
    )
}

/// Whether a missing tool skips its test instead of failing it.
pub fn may_miss() -> bool {
    ["AETHALLOC_ALLOW_MISSING", "AETHALLOC_TEST_ALLOW_MISSING"]
        .iter()
        .any(|v| std::env::var_os(v).is_some())
}
