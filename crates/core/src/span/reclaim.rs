//! The last way to memory: what is free and was not yet noticed to be.
//!
//! Before memory is out, whoever wants a run looks for empty slabs and pages. The support thread may have some in hand at that
//! moment, which nobody else can look at; it may even be preempted there. So as long as it is at work the caller looks again, for 50 ms at
//! most. With the support thread asleep or absent nobody waits.

use super::purge;
use crate::bell;
use crate::pages::{self, Run};
use crate::sync::AtomicU32;
use aethalloc_sys::thread::futex_wait_for;

/// How often what others left empty is looked for before memory is out.
const TRIES: usize = 50;

/// A run of `units` units, if need be out of what others left empty and of what `more` gives up. `None`: out of memory.
/// The caller holds no lock.
pub fn take(units: usize, more: impl Fn()) -> Option<Run> {
    let run = pages::take(units).or_else(|| after_looking(units, more));
    if pages::limit::wants_sweep() {
        purge::all();
    }
    run
}

#[cold]
#[inline(never)]
fn after_looking(units: usize, more: impl Fn()) -> Option<Run> {
    for _ in 0..TRIES {
        let before = bell::rounds();
        more();
        purge::all();
        pages::purge::to(0);
        let run = pages::take(units);
        let rested = before.is_multiple_of(2) && bell::rounds() == before;
        if run.is_some() || rested {
            return run;
        }
        let nobody = AtomicU32::new(0);
        futex_wait_for(&nobody, 0, 1); // a millisecond
    }
    None
}
