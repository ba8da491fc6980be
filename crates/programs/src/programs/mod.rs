//! The programs under test, one table of all.

mod gcc;
mod git;
mod interpreters;
mod python;
mod redis;

use crate::program::Program;

/// All programs, in the order in which they run.
pub const ALL: &[&Program] = &[
    &python::PYTHON,
    &redis::REDIS,
    &git::GIT,
    &gcc::GCC,
    &interpreters::NODE,
    &interpreters::PERL,
];
