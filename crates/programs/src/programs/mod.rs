//! The programs under test, one table of all.

mod gcc;
mod git;
mod interpreters;
mod languages;
mod media;
mod postgres;
mod python;
mod redis;
mod servers;
mod system;
mod tools;

use crate::program::Program;

/// All programs, in the order in which they run.
pub const ALL: &[&Program] = &[
    &python::PYTHON,
    &redis::REDIS,
    &git::GIT,
    &gcc::GCC,
    &interpreters::NODE,
    &interpreters::PERL,
    &redis::REDIS_THREADS,
    &servers::NGINX,
    &servers::MEMCACHED,
    &tools::SQLITE,
    &tools::Z3,
    &tools::GHOSTSCRIPT,
    &tools::COMPRESS,
    &interpreters::BASH,
    &interpreters::LUA,
    &interpreters::RUBY,
    &interpreters::PHP,
    &interpreters::TCL,
    &interpreters::AWK,
    &python::PYTHON_PROCESSES,
    &postgres::POSTGRES,
    &languages::JAVA,
    &languages::GO,
    &languages::CARGO,
    &media::FFMPEG,
    &media::LIBREOFFICE,
    &media::CHROMIUM,
    &system::APT,
    &system::SYSTEMD,
];
