//! Would the loader really preload the library into this program?
//!
//! The loader ignores `LD_PRELOAD` without a word (secure execution), or has no say at all (static programs), or prints
//! a warning and starts the program without the library (wrong architecture). [`check`] finds these cases before the
//! program starts, so that nobody believes to measure Aethalloc when it was not there:
//!
//! ```text
//! name ─ resolve ─> file ─┬─ "#!" ── script ──> interpreter (and what env starts) ─> check it the same way
//!                         ├─ ELF ─── elf ─────> loader? architecture? own malloc? sanitizer?
//!                         └─ other ───────────> /bin/sh, as execvp does
//!                  file ──── privilege ───────> set-id bits, file capabilities
//! ```

mod elf;
mod privilege;
mod resolve;
mod sanitizer;
mod script;

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::fail::{Failure, Outcome};
use crate::locate::Library;
use crate::sys::Identity;
use sanitizer::Sanitizer;

pub use elf::{Facts, read as read_facts};

/// Where an interpreter line leads to another one, the kernel stops after this many.
const MAX_SCRIPTS: usize = 5;

/// A program that will run with the library preloaded.
#[derive(Debug)]
pub struct Checked {
    /// The file to execute.
    pub file: PathBuf,
    /// One-line remarks for the user.
    pub notes: Vec<String>,
}

/// What the checks look at besides the program itself.
pub struct Surroundings<'a> {
    /// The library that is to be preloaded.
    pub library: &'a Library,
    /// Who runs the program.
    pub identity: Identity,
    /// The value of `PATH`.
    pub search_path: Option<&'a OsStr>,
}

/// Finds `program` as execvp does and checks that the library would be active in it.
pub fn check(program: &OsStr, around: &Surroundings<'_>) -> Outcome<Checked> {
    let file = resolve::program(program, around.search_path)?;
    let mut notes = Vec::new();
    check_file(&file, around, MAX_SCRIPTS, &mut notes)?;
    Ok(Checked { file, notes })
}

/// What to tell about a program that ran with the library loaded, but brings its own allocator: `run` checks only the
/// program that it starts, and that may be a script around such a one.
pub fn own_allocator(path: &Path) -> Option<String> {
    let facts = elf::read(&File::open(path).ok()?).ok()??;
    facts.own_allocator.map(|own| own.note(path))
}

/// Checks `path`, and for a script what runs it.
fn check_file(
    path: &Path,
    around: &Surroundings<'_>,
    scripts_left: usize,
    notes: &mut Vec<String>,
) -> Outcome<()> {
    let shown = path.display();
    let Ok(file) = File::open(path) else {
        // Executable but unreadable: the kernel runs it, the loader preloads into it, nobody can look inside.
        privilege::check(path, &around.identity, notes)?;
        notes.push(format!("{shown} cannot be read, so it was not checked"));
        return Ok(());
    };
    if let Some(facts) =
        elf::read(&file).map_err(|why| Failure::cannot_run(format!("{shown}: {why}")))?
    {
        check_elf(path, &facts, around.library)?;
        privilege::check(path, &around.identity, notes)?;
        if let Some(sanitizer) = Sanitizer::of(&facts) {
            let told = sanitizer.tell();
            let note = told.map_err(|why| Failure::cannot_run(format!("{shown} {why}")))?;
            notes.push(format!("{shown} {note}"));
        }
        notes.extend(facts.own_allocator.map(|own| own.note(path)));
        return Ok(());
    }
    if scripts_left == 0 {
        return Err(Failure::cannot_run(format!(
            "{shown}: too many levels of interpreter scripts"
        )));
    }
    for interpreter in script::interpreters(path, &file)? {
        let found = resolve::program(&interpreter, around.search_path)
            .map_err(|failure| in_script(path, failure))?;
        check_file(&found, around, scripts_left - 1, notes)
            .map_err(|failure| in_script(path, failure))?;
    }
    Ok(())
}

/// Says that the trouble is with what runs the script. The script itself is there, so a missing interpreter is "cannot
/// run", not "not found".
fn in_script(script: &Path, failure: Failure) -> Failure {
    Failure::cannot_run(format!(
        "{} is a script: {}",
        script.display(),
        failure.message
    ))
}

/// Checks what the ELF file says about itself against the library.
fn check_elf(path: &Path, program: &Facts, library: &Library) -> Outcome<()> {
    let shown = path.display();
    let refuse = |why: String| Err(Failure::cannot_run(format!("{shown} {why}")));
    if program.target != library.facts.target {
        return refuse(format!(
            "is a program for {}, the library {} is for {}",
            program.target,
            library.path.display(),
            library.facts.target
        ));
    }
    let Some(loader) = &program.loader else {
        if program.is_loader() {
            return Ok(());
        }
        return refuse(
            "is statically linked: there is no loader that could preload a library".into(),
        );
    };
    if !loader.exists() {
        return refuse(format!(
            "needs the loader {}, which is missing",
            loader.display()
        ));
    }
    let musl = loader
        .file_name()
        .is_some_and(|n| n.as_encoded_bytes().starts_with(b"ld-musl"));
    if musl && library.facts.needs("libc.so.6") {
        return refuse("is linked against musl, the library against glibc".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
