//! The Aethalloc allocator.
//!
//! Layers, each using only those below it: `front` < faces; `thread`; `guard` (safety modes); `span`; `pages`; `space`; beside them
//! `life` (start, fork, end), `stats`, `inspect` (checks for tests), `foreign` (pointers of others), `violation` (detected misuse), `config`.
#![no_std]

mod apart;
pub mod bell;
pub mod clock;
pub mod config;
pub mod foreign;
pub mod front;
pub mod guard;
pub mod inspect;
pub mod life;
mod missed;
mod out;
pub mod pages;
pub mod rule;
pub mod space;
pub mod span;
pub mod stats;
pub mod support;
pub mod sync;
pub mod thread;
pub mod violation;
