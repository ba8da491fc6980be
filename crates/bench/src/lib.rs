//! The bench: what an allocator costs unmodified programs, in time and in memory, beside its peers.
//!
//! ```text
//! peers        which allocators, built once into preloadable libraries, each proven to be in front
//! launch       one program, started by a tiny launcher that reports what wait4 said
//! six          the six promises of the README, each with its goal and verdict
//! ```
//! The workloads are programs of their own (`bench-work`), on the system's malloc: only LD_PRELOAD decides
//! which allocator that is. Nothing in them, and nothing here, treats one allocator differently.

mod bless;
mod callgrind;
mod checkout;
mod cli;
mod compare;
mod definitions;
mod docs;
mod floor;
mod html;
mod interrupt;
mod launch;
mod machine;
mod modes;
mod neighbours;
mod peers;
mod progress;
mod rank;
mod real;
mod report;
mod result;
mod robustness;
mod runner;
mod scale;
mod scaling;
mod selfcheck;
mod six;
mod stats;

pub use cli::{Args, main_with};
