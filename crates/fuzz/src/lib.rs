//! Fuzz targets: bytes become actions on a part of the allocator, and after every action every rule is checked.
//!
//! ```text
//! bytes --arbitrary--> actions --> the part      --> inspect::check: structures agree with each other
//!   ^                         \--> an oracle     --> the part agrees with the oracle
//!   random (tests/, any toolchain), kept inputs (fuzz/corpus), or libFuzzer (fuzz/, outside the workspace)
//! ```
//!
//! | target | acts on | beside the rules of `core::inspect` |
//! |---|---|---|
//! | [`front`] | the whole allocator from several threads, one at a time | contents kept, no overlap, alignment, zeroes; nothing left at the end |
//! | [`pages`] | the page heap | runs as the oracle says, contents kept, clean runs zero, free memory bounded |
//! | [`regions`] | the choice of regions | the run is taken where the policy says, the oldest dirty region is purged first |
//! | [`options`] | the parser of `AETHALLOC_CONF` | values, spans and complaints of a second, plain parser |
//!
//! That each of them notices a planted bug is shown by `cargo run -p xtask -- mutants`, whose bugs are listed in
//! `crates/xtask/src/mutants/list.rs` (`./test --full mutants`).
//!
//! The part under test is one of a process, so one target runs in a process at a time. An input is replayed exactly.

pub mod corpus;
pub mod front;
pub mod input;
pub mod objects;
pub mod options;
pub mod pages;
pub mod random;
pub mod regions;
pub mod threads;

/// A target: its name, which is also the name of its folder of kept inputs, and what runs one input.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Runs one input; panics, or the allocator ends the process, when a rule is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 4] = [
    front::TARGET,
    pages::TARGET,
    regions::TARGET,
    options::TARGET,
];
