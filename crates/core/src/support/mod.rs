//! The support thread: does later, and elsewhere, what memory would cost the program's threads.
//!
//! One thread at most, started by the first ring of the bell (`crate::bell`) in a process that has a second thread already
//! and may run on more than one CPU (`support:auto`). It works in slots of time; when nothing is left to do it sleeps until
//! it is rung, and ends when nobody rings for long, when the process has a single thread again, and in any case after
//! a while: whatever it inherited from the thread that started it is never old.
//!
//! Free units are claimed in the regions' words, without a lock: preempted or ended there it loses what it had in hand, and
//! nobody waits. Slabs are swept as by any thread, under the slab's lock, one slab at a time.
//!
//! How it is created, and what that means to the program: `docs/decisions/0007-support-thread.md`.

mod jobs;
mod life;
pub mod pressure;

pub use life::{start, wants_start};
