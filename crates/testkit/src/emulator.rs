//! Another machine than this one: programs are compiled for it by `AETHALLOC_CC` and `AETHALLOC_CXX`, and run on it by
//! `AETHALLOC_EMULATOR` (`qemu-aarch64 -cpu max`).
//!
//! qemu-user 7.2 keeps notes of every page that a program reserves, so the library gets a small reservation; it is large enough for
//! the wide mode, in which the fast path of `free` works. The library must not be preloaded into the emulator itself, which is a program
//! of this machine: `QEMU_SET_ENV` sets a variable for the emulated program alone.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

/// The smallest reservation of the wide mode.
const RESERVE: &str = "reserve:4g";

/// Bytes that emulator and program may write to.
pub(crate) const MOST: u64 = 4 << 30;

fn words() -> Option<Vec<String>> {
    let text = std::env::var("AETHALLOC_EMULATOR").ok()?;
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    (!words.is_empty()).then_some(words)
}

/// What the program wrote to stderr, of all that came: an emulator adds a line when a signal ends the program.
pub(crate) fn said_by_program(stderr: String) -> String {
    match stderr.find("qemu: uncaught target signal") {
        Some(at) if emulated() => stderr[..at].to_owned(),
        _ => stderr,
    }
}

/// Programs run on an emulator.
pub fn emulated() -> bool {
    words().is_some()
}

/// The command that runs `program`.
pub(crate) fn command(program: &Path) -> Command {
    match words() {
        None => Command::new(program),
        Some(words) => {
            let mut command = Command::new(&words[0]);
            command
                .args(&words[1..])
                .arg(program)
                .env("AETHALLOC_CONF", RESERVE);
            command
        }
    }
}

/// The name and value that set `name` for the program.
pub(crate) fn variable(name: &str, value: &OsStr) -> (OsString, OsString) {
    match (words(), name) {
        (Some(_), "LD_PRELOAD") => {
            let mut pair = OsString::from("LD_PRELOAD=");
            pair.push(value);
            ("QEMU_SET_ENV".into(), pair)
        }
        (Some(_), "AETHALLOC_CONF") => {
            let mut conf = OsString::from(RESERVE);
            if !value.is_empty() {
                conf.push(",");
                conf.push(value);
            }
            (name.into(), conf)
        }
        _ => (name.into(), value.into()),
    }
}

/// The compiler for programs: `cc` or `c++`, or the one for the emulated machine.
pub(crate) fn compiler(usual: &str) -> String {
    let variable = if usual == "cc" {
        "AETHALLOC_CC"
    } else {
        "AETHALLOC_CXX"
    };
    std::env::var(variable).unwrap_or_else(|_| usual.to_owned())
}
