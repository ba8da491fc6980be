//! Errors as the user sees them: one line on stderr and an exit code.

use std::fmt::Display;
use std::process::ExitCode;

/// A reason to stop: the line to print and the code to exit with.
///
/// The codes are those of env(1) and timeout(1), so that a caller can tell them from the program's own.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// One line, without the command's name and without a final period.
    pub message: String,
}

/// The result of anything that can end the command.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A measurement or a check that this command makes did not succeed.
    pub const FAILED: u8 = 1;
    /// The command itself failed: bad arguments, no library, no temporary folder.
    pub const OWN: u8 = 125;
    /// The program exists but cannot be run, or cannot be run on Aethalloc.
    pub const CANNOT_RUN: u8 = 126;
    /// The program does not exist.
    pub const NOT_FOUND: u8 = 127;

    /// A check that this command makes did not succeed.
    pub fn failed(message: impl Display) -> Self {
        Self::new(Self::FAILED, message)
    }
    /// The command itself failed.
    pub fn own(message: impl Display) -> Self {
        Self::new(Self::OWN, message)
    }
    /// The program cannot be run on Aethalloc.
    pub fn cannot_run(message: impl Display) -> Self {
        Self::new(Self::CANNOT_RUN, message)
    }
    /// The program does not exist.
    pub fn not_found(message: impl Display) -> Self {
        Self::new(Self::NOT_FOUND, message)
    }
    /// `message` with any exit code.
    pub fn new(code: u8, message: impl Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }
    /// Prints the line; the caller exits with what this returns.
    pub fn report(self) -> ExitCode {
        note(&self.message);
        ExitCode::from(self.code)
    }
}

/// Prints one line of the command's own on stderr.
pub fn note(line: impl Display) {
    eprintln!("aethalloc: {line}");
}
