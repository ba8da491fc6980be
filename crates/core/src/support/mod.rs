//! The support thread: does later, and elsewhere, what memory would cost the program's threads.
//!
//! One thread at most, started by the first ring of the bell (`crate::bell`) in a process that has a second thread already
//! and may run on more than one CPU (`support:auto`). It works in slots of time; when nothing is left to do it sleeps until
//! it is rung, and ends when nobody rings for long, when the process has a single thread again, and in any case after
//! a while: whatever it inherited from the thread that started it is never old.
//!
//! It never holds memory or a lock that somebody waits for while it makes a system call: free units are claimed in the
//! regions' words, slabs are pinned by their claim word, other threads' outboxes by their gate. So it may be preempted, or
//! end, between any two steps: at most what it had in hand is lost, nobody waits.
//!
//! How it is created, and what that means to the program: `docs/decisions/0007-support-thread.md`.

mod jobs;
mod life;

pub use life::{start, wants_start};
