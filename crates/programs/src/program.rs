//! What a program under test is: data for the table, and the function that gives it a task.

use crate::run::Run;

/// How long a run may take.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A few seconds per program.
    Quick,
    /// At least a million allocations, or five seconds, per program.
    Normal,
    /// The programs whose packages or tasks are large as well.
    Full,
}

impl Level {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Level::Quick => "quick",
            Level::Normal => "normal",
            Level::Full => "full",
        }
    }

    /// The level named `name`.
    pub fn parse(name: &str) -> Option<Level> {
        match name {
            "quick" => Some(Level::Quick),
            "normal" => Some(Level::Normal),
            "full" => Some(Level::Full),
            _ => None,
        }
    }
}

/// A safety mode of the library: nothing may change under it, and nothing may be reported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// `safety:guard`, with many more samples than by default.
    Guard,
    /// `safety:hardened`
    Hardened,
}

impl Safety {
    /// The mode named `name`.
    pub fn parse(name: &str) -> Option<Safety> {
        match name {
            "guard" => Some(Safety::Guard),
            "hardened" => Some(Safety::Hardened),
            _ => None,
        }
    }

    /// What turns it on, behind other options.
    pub fn option(self) -> &'static str {
        match self {
            Safety::Guard => ",safety:guard,guard_rate:8192",
            Safety::Hardened => ",safety:hardened",
        }
    }
}

/// Something that must be installed.
pub struct Tool {
    /// A program looked up in the search path, or an absolute path.
    pub name: &'static str,
    /// The Debian package that brings it.
    pub package: &'static str,
}

/// Shorthand for the tables.
pub const fn tool(name: &'static str, package: &'static str) -> Tool {
    Tool { name, package }
}

/// What the program computed, by name. A run with the library must yield the same as a run without.
pub type Facts = Vec<(String, Vec<u8>)>;

/// One line: why a run failed.
pub type Failure = String;

/// What the proof expects of the processes of a run, by the names of their executables.
#[derive(Default)]
pub struct Expected {
    /// These, or names that begin so, must have run with the library.
    pub processes: &'static [&'static str],
    /// These bring their own allocator, and so may ask the library for nothing.
    pub own_allocator: &'static [&'static str],
    /// These leave through `_exit`, past the library's report.
    pub silent: &'static [&'static str],
}

/// Processes with nothing special about them.
pub const fn processes(names: &'static [&'static str]) -> Expected {
    Expected {
        processes: names,
        own_allocator: &[],
        silent: &[],
    }
}

/// One program under test.
pub struct Program {
    /// What selects it on the command line.
    pub name: &'static str,
    /// What it does in the test, for the compatibility table.
    pub task: &'static str,
    /// What it needs.
    pub tools: &'static [Tool],
    /// The lowest level that runs it.
    pub from: Level,
    /// What the proof expects of its processes.
    pub expected: Expected,
    /// What a user must know although it works; empty when there is nothing.
    pub note: &'static str,
    /// Runs the task.
    pub task_fn: fn(&Run) -> Result<Facts, Failure>,
}
