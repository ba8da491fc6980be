//! The bench on which Aethalloc's C and C++ interface is tested.
//!
//! A test compiles one small program of `tests/c`, runs it on an allocator and checks its exit, its
//! output or its signal:
//!
//! ```text
//!  tests/c/rules_malloc.c --cc--> program --+-- plain glibc            (the oracle: is the test right?)
//!                                           +-- LD_PRELOAD=libaethalloc.so
//!  ... + libaethalloc.a  --cc--> program ---+-- as it is, or with -static
//! ```
//!
//! Used by the integration tests of this crate, and by those of other crates that run real programs
//! (they take [`Active`] as the proof that the library served them).
//!
//! | environment | effect |
//! |---|---|
//! | `AETHALLOC_LIB`, `AETHALLOC_A` | test these files; neither is built |
//! | `AETHALLOC_EMULATOR`, `AETHALLOC_CC`, `AETHALLOC_CXX` | compile for and run on another machine (`emulator.rs`) |
//! | `AETHALLOC_ORACLE=1` | run the oracle alone: checks the tests, needs no library |
//! | `AETHALLOC_QUICK=1`, `AETHALLOC_TEST_LEVEL=quick` | shorter stress |
//! | `AETHALLOC_TEST_LEVEL=full` | longer runs, every place of a fault instead of some |
//! | `AETHALLOC_SEED=N` | repeat a random test |
//! | `AETHALLOC_ALLOW_MISSING=1` | a missing tool skips its tests (`skipped: reason`) instead of failing them; so does `AETHALLOC_TEST_ALLOW_MISSING=1` |

mod active;
pub mod disassembly;
mod emulator;
pub mod kernel;
mod library;
pub mod misuse;
mod program;
mod run;
mod settings;
pub mod symbols;
mod tools;
mod verdict;

pub use active::Active;
pub use emulator::emulated;
pub use library::Library;
pub use program::{Language, Program, Source};
pub use run::{Finished, Limit, Run};
pub use settings::{full, oracle_only, quick, seed, soak_seconds, stress_seconds};
pub use tools::Tool;
pub use verdict::{Missing, cannot_run_here, test, test_library};
