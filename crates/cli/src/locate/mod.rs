//! Which `libaethalloc.so`, and which bench.
//!
//! ```text
//! --lib PATH ─> AETHALLOC_LIB ─> in a source checkout: build it ─> ../lib/ ─> ../lib/aethalloc/ ─> beside the command
//! ```
//!
//! The first that applies decides; a wrong path given by the user is an error, never a reason to look further. Only a
//! command that lies in a cargo target folder of its own checkout calls cargo; an installed one never does.

mod checkout;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fail::{Failure, Outcome};
use crate::preload::Facts;

pub use checkout::Checkout;

/// The library's file name.
const NAME: &str = "libaethalloc.so";
/// The variable that names the library.
const VARIABLE: &str = "AETHALLOC_LIB";
/// Where an installed command finds its library, from the folder that the command lies in.
const BESIDE: [&str; 3] = ["../lib", "../lib/aethalloc", "."];
/// The bench's file name.
const BENCH: &str = "aethalloc-bench";
/// Tells the bench that this command has just built it and all that it needs, and in which checkout.
const BENCH_CHECKOUT: &str = "AETHALLOC_BENCH_CHECKOUT";
/// Where cargo, and so the bench, keeps what it builds.
const TARGET: &str = "CARGO_TARGET_DIR";

/// A library that the loader can preload.
#[derive(Debug)]
pub struct Library {
    /// Its absolute path.
    pub path: PathBuf,
    /// What the file says about itself.
    pub facts: Facts,
}

/// Finds the library. `given` is the user's `--lib`.
pub fn library(given: Option<&Path>) -> Outcome<Library> {
    let variable = env::var_os(VARIABLE).filter(|v| !v.is_empty());
    if let Some(path) = given.or(variable.as_deref().map(Path::new)) {
        return Library::open(path);
    }
    let command = command()?;
    if let Some(checkout) = Checkout::of(&command) {
        return Library::open(&checkout.library(NAME)?);
    }
    let folder = command.parent().unwrap_or(Path::new("/"));
    BESIDE
        .iter()
        .map(|beside| folder.join(beside).join(NAME))
        .find(|path| path.exists())
        .map_or_else(
            || {
                Err(Failure::own(format!(
                    "{NAME} is not in {0}, {0}/../lib or {0}/../lib/aethalloc: name it with --lib or {VARIABLE}",
                    folder.display()
                )))
            },
            |path| Library::open(&path.canonicalize().unwrap_or(path)),
        )
}

/// The bench, and what it must find in its environment.
#[derive(Debug)]
pub struct Bench {
    /// The program.
    pub path: PathBuf,
    /// Variables to set.
    pub environment: Vec<(&'static str, OsString)>,
}

/// Finds the bench: in a source checkout it is built first, an installed command takes the one beside it.
pub fn bench() -> Outcome<Bench> {
    let command = command()?;
    if let Some(checkout) = Checkout::of(&command) {
        return Ok(Bench {
            path: checkout.bench(BENCH)?,
            environment: vec![
                (BENCH_CHECKOUT, checkout.root().into()),
                (TARGET, checkout.target().into()),
            ],
        });
    }
    let path = command.with_file_name(BENCH);
    if !path.is_file() {
        return Err(Failure::own(format!(
            "{BENCH} is not in {}: the bench is part of a source checkout (cargo run --release -- bench)",
            command.parent().unwrap_or(Path::new("/")).display()
        )));
    }
    Ok(Bench {
        path,
        environment: Vec::new(),
    })
}

fn command() -> Outcome<PathBuf> {
    env::current_exe()
        .map_err(|e| Failure::own(format!("cannot find out where this command lies: {e}")))
}

impl Library {
    /// Checks that `path` is a library that replaces `malloc` and that its path can be preloaded.
    pub fn open(path: &Path) -> Outcome<Self> {
        let shown = path.display();
        let fail = |why: &dyn std::fmt::Display| Failure::own(format!("library {shown}: {why}"));
        let file = File::open(path).map_err(|e| fail(&e))?;
        let is_file = file.metadata().is_ok_and(|m| m.is_file());
        let facts = if is_file {
            crate::preload::read_facts(&file).map_err(|e| fail(&e))?
        } else {
            None
        };
        let facts = facts
            .filter(|f| f.is_shared && f.loader.is_none())
            .ok_or_else(|| fail(&"is not a shared library"))?;
        if !facts.defines_malloc {
            return Err(fail(&"does not define malloc"));
        }
        let path = std::path::absolute(path).map_err(|e| fail(&e))?;
        match not_preloadable(path.as_os_str()) {
            Some(why) => Err(Failure::own(format!("library {}: {why}", path.display()))),
            None => Ok(Self { path, facts }),
        }
    }

    /// The value of `LD_PRELOAD`: this library before what is there already.
    pub fn preload_value(&self, before: Option<&OsStr>) -> OsString {
        let mut value = self.path.clone().into_os_string();
        if let Some(before) = before.filter(|v| !v.is_empty()) {
            value.push(":");
            value.push(before);
        }
        value
    }
}

/// Why the loader would take `path` in `LD_PRELOAD` for something else.
fn not_preloadable(path: &OsStr) -> Option<&'static str> {
    let bytes = path.as_bytes();
    if bytes.contains(&b' ') || bytes.contains(&b':') {
        return Some(
            "the loader splits LD_PRELOAD at spaces and colons, so a path with one cannot be preloaded: copy it elsewhere",
        );
    }
    bytes.contains(&b'$').then_some(
        "the loader expands $ in LD_PRELOAD, so a path with one cannot be preloaded: copy it elsewhere",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_the_loader_would_misread() {
        assert!(not_preloadable(OsStr::new("/opt/a b/x.so")).is_some());
        assert!(not_preloadable(OsStr::new("/opt/a:b/x.so")).is_some());
        assert!(not_preloadable(OsStr::new("/opt/$LIB/x.so")).is_some());
        assert!(not_preloadable(OsStr::new("/opt/äöü,;/x.so")).is_none());
    }

    #[test]
    fn what_is_no_allocator_library_is_refused() {
        let why = |path: &str| Library::open(Path::new(path)).unwrap_err().message;
        assert!(why("/no/such.so").contains("No such file"));
        assert!(why("/bin/sh").contains("not a shared library"));
        assert!(why("/etc/passwd").contains("not a shared library"));
        assert!(why("/etc").contains("not a shared library"));
    }
}
