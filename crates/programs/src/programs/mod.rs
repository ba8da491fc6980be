//! The programs under test, one table of all.

mod build;
mod gcc;
mod git;
mod interpreters;
mod languages;
mod mariadb;
mod media;
mod memcached;
mod numbers;
mod postgres;
mod python;
mod redis;
mod sandboxed;
mod system;
mod terminal;
mod tools;
mod web;

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
    &web::NGINX,
    &memcached::MEMCACHED,
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
    &interpreters::PERL_THREADS,
    &web::CURL,
    &build::CMAKE,
    &terminal::VIM,
    &terminal::TMUX,
    &terminal::RSYNC,
    &numbers::IMAGEMAGICK,
    &sandboxed::MAN,
    &python::PYTHON_PROCESSES,
    &postgres::POSTGRES,
    &mariadb::MARIADB,
    &web::APACHE,
    &web::HAPROXY,
    &languages::JAVA,
    &languages::GO,
    &languages::CARGO,
    &build::CLANG,
    &build::GDB,
    &interpreters::ERLANG,
    &numbers::NUMPY,
    &numbers::R,
    &terminal::EMACS,
    &media::FFMPEG,
    &media::LIBREOFFICE,
    &media::CHROMIUM,
    &system::APT,
    &system::SYSTEMD,
];
