//! Looks at blocks that nobody allocates or frees: canaries of live ones, zeroes of free ones.
//!
//! Called by the support thread, a slice of memory each round ([`some`]), and when the process ends ([`all`]). Other threads go
//! on meanwhile: a slab stays while the lock of its heap is held, which is taken for 64 blocks at a time; what is found in
//! a block counts if the block's state stays as it was, and the damage too.
//!
//! Cost: about a millisecond of the support thread's time per round, one each slot (`Jobs::slot_ms`), while threads go on.

use super::super::{COUNTS, count, sampled};
use super::heap;
use super::slab::{BUSY, LIVE, Slab};
use super::{canary, kept, magazine};
use crate::space::entry::{self, Kind};
use crate::sync::{AtomicUsize, Ordering::*};
use crate::violation;
use core::sync::atomic::fence;

/// Units with hardened blocks that a round looks at.
const SLICE: usize = 32;
/// Blocks looked at under the lock.
const AT_A_TIME: usize = 64;

/// When damage is found, as the report says it.
const END: &str = "at exit";
const RUNNING: &str = "by the sweep";

/// Where the support thread goes on.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Checks everything.
#[cold]
pub fn all() {
    for u in crate::space::first_unit()..crate::pages::top_unit() {
        unit(u, END);
    }
}

/// Checks some more, and gives back what is kept and not asked for; false once nothing has happened since everything was looked at. By the
/// support thread only.
#[cold]
pub fn some() -> bool {
    // Each time: to look at everything may take minutes.
    let may_go = kept::trim();
    let (first, end) = (crate::space::first_unit(), crate::pages::top_unit());
    let mut u = NEXT.load(Relaxed).max(first);
    if u >= end {
        u = first;
    }
    if u == first && !magazine::take_tick() {
        return may_go;
    }
    let mut looked = 0;
    while u < end && looked < SLICE {
        looked += usize::from(unit(u, RUNNING));
        u += 1;
    }
    NEXT.store(u, Relaxed);
    true
}

/// Checks what unit `u` has of objects; whether it has some.
#[cold]
fn unit(u: usize, when: &'static str) -> bool {
    match entry::load(u) {
        Kind::Hardened { .. } => {
            let mut from = 0;
            while blocks(u, from, when) {
                from += AT_A_TIME;
            }
            true
        }
        Kind::Sampled { .. } => {
            sampled::look_at(u, when);
            true
        }
        _ => false,
    }
}

/// Checks some blocks from number `from` on of the slab at unit `u`, if it is there still; whether there are more.
#[cold]
fn blocks(u: usize, from: usize, when: &'static str) -> bool {
    let Kind::Hardened { slab: place, .. } = entry::load(u) else {
        return false;
    };
    let slab = Slab::at(place);
    // The slab may have ended meanwhile, and something else be there: only a heap that exists is locked.
    let Some(heap) = heap::named(slab) else {
        return false;
    };
    let _held = heap.lock.take();
    // A slab ends under the lock of its heap.
    let same = matches!(entry::load(u), Kind::Hardened { slab, .. } if slab == place);
    if !same || !slab.belongs_to(heap) {
        return false;
    }
    // Blocks that were never handed out are looked at in the end only: each page that is read costs a fault.
    let all = if when == END {
        slab.limit()
    } else {
        slab.opened()
    };
    let to = all.min(from + AT_A_TIME);
    for i in from..to {
        check_block(slab, i, when);
    }
    to < all
}

/// Looks at block `i`. Its owner may hand it out or free it meanwhile: what is found counts if it stays.
#[cold]
fn check_block(slab: &Slab, i: usize, when: &str) {
    let (p, block) = (slab.block(i), slab.size());
    // ORDERING: Acquire, pairs with Release where the state was set: what it promises is there.
    let before = slab.state(i).load(Acquire);
    if before == BUSY {
        return;
    }
    count(&COUNTS.checked);
    let mut found = None;
    for turn in 0..3 {
        let (size, at) = if before == LIVE {
            // SAFETY: a block of the slab: readable whatever its state.
            match unsafe { canary::check(p, block) } {
                Ok(_) => return,
                Err(d) => (d.size, d.at),
            }
        } else {
            // SAFETY: as above.
            match unsafe { canary::first_used(p, block) } {
                None => return,
                Some(at) => (block, at),
            }
        };
        // ORDERING: pairs with the fences in `hardened`.
        fence(Acquire);
        if slab.state(i).load(Acquire) != before
            || found.is_some_and(|earlier| earlier != (size, at))
        {
            return;
        }
        found = Some((size, at));
        if turn < 2 {
            aethalloc_sys::process::yield_now();
        }
    }
    if let Some((size, at)) = found {
        if before == LIVE {
            violation::overflow(p.addr(), size, p.addr() + at, when);
        }
        violation::written_while_free(p.addr(), block, at);
    }
}
