//! `safety:hardened`: every small object in a block with a canary, zeroed at its free and checked at its reuse.
//!
//! | misuse | seen |
//! |---|---|
//! | write behind the object, up to the block's end | when it is freed, or by the sweep at exit |
//! | write behind the block | when the next block is freed or reused, or by the sweep; at a slab's end at once |
//! | write after free | when the block is reused, or by the sweep |
//! | second free, free of what is no object | at once, exactly, whatever thread, until the block is reused |
//! | another size given to a sized free | at once |
//!
//! ```text
//! allocate: heap::take (random slot) -> all zero? -> canary -> LIVE
//! free:     LIVE -> BUSY (a second free ends here) -> canary? -> zero -> FREED -> quarantine (oldest goes to its slab)
//! ```
//! The allocator below is unchanged and asked for nothing but runs: hardened slabs are of a kind of their own in the page
//! map, so that every fast path leaves by its slow exit. Large objects are `sampled` ones, all of them.
//!
//! Cost: one lock of a class and shard for each allocation and free, and a pass over the block at each.

mod canary;
pub mod heap;

use super::{COUNTS, Objects, count};
use crate::config;
use crate::space::entry::{self, Kind};
use crate::sync::Ordering::*;
use crate::violation::{self, Verb};
use aethalloc_base::class::{self, Class};
use aethalloc_base::options::Key;
use core::ptr::null_mut;
use heap::{BUSY, FREED, LIVE, NEW, Slab};

pub use canary::start;

/// Hardened objects.
pub struct Hardened;

impl Hardened {
    /// As `allocate`, at a multiple of `align`, at most a page; null if no class serves that.
    #[cold]
    pub fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
        let Some(whole) = size.checked_add(canary::BYTES) else {
            return null_mut();
        };
        let c = class::class_of_aligned(whole, align);
        if c == 0 || !crate::space::ready() {
            return null_mut();
        }
        let block = heap::size(c);
        let Some((slab, i)) = heap::of(c).and_then(|h| h.take(c)) else {
            return null_mut();
        };
        let p = slab.block(i);
        count(&COUNTS.checked);
        // SAFETY: the block is this call's until it is LIVE.
        unsafe {
            if let Some(at) = canary::first_used(p, block) {
                violation::written_while_free(p.addr(), block, at);
            }
            canary::write(p, block, size);
        }
        // ORDERING: Release, pairs with Acquire in `sweep`: the canary is there when the block is LIVE.
        slab.state(i).store(LIVE, Release);
        p
    }

    /// Whether a request is small enough for a block.
    #[cold]
    pub fn serves(size: usize) -> bool {
        size <= class::SMALL_MAX - canary::BYTES
    }

    /// Resizes within the block; false if the object has to move.
    #[cold]
    pub fn resize(place: usize, p: usize, size: usize) -> bool {
        let slab = Slab::at(place);
        let c = slab.class();
        if !Hardened::serves(size) || class::class_of(size + canary::BYTES) != c {
            return false;
        }
        let Some(i) = slab.block_at(p) else {
            return false;
        };
        slab.state(i).store(BUSY, Release);
        // SAFETY: a live block, whose owner asks.
        unsafe { canary::write(slab.block(i), heap::size(c), size) };
        slab.state(i).store(LIVE, Release);
        true
    }
}

/// The live block at `p`; ends the process if there is none.
#[cold]
fn live(place: usize, p: usize, verb: Verb) -> (&'static Slab, usize) {
    let slab = Slab::at(place);
    let size = heap::size(slab.class());
    let Some(i) = slab.block_at(p) else {
        violation::interior(verb, p, size);
    };
    match slab.state(i).load(Relaxed) {
        LIVE => (slab, i),
        NEW => violation::never_allocated(verb, p, size),
        _ => violation::used_after_free(verb, p, size),
    }
}

impl Objects for Hardened {
    type Place = usize;

    #[cold]
    fn allocate(size: usize, _zeroed: bool) -> *mut u8 {
        // Free blocks are zero.
        Hardened::allocate_aligned(size, 16)
    }

    #[cold]
    fn deallocate(place: usize, p: usize, size: Option<usize>) {
        let (slab, i) = live(place, p, Verb::Free);
        let block = heap::size(slab.class());
        // ORDERING: Acquire: of two frees one wins, after the object's last use.
        let state = slab.state(i);
        if state
            .compare_exchange(LIVE, BUSY, Acquire, Relaxed)
            .is_err()
        {
            violation::double_free(p, block);
        }
        let at = slab.block(i);
        count(&COUNTS.checked);
        // SAFETY: a block that is this call's since the exchange.
        unsafe {
            match canary::check(at, block) {
                Err(d) => violation::overflow(p, d.size, p + d.at, "at free"),
                Ok(n) => {
                    if let Some(said) = size.filter(|said| *said != n) {
                        violation::wrong_size(p, n, said);
                    }
                }
            }
            at.write_bytes(0, block);
        }
        // ORDERING: Release: the block is zero when it is FREED.
        state.store(FREED, Release);
        slab.heap()
            .keep(slab, i, config::get(Key::quarantine) / block);
    }

    #[cold]
    fn usable_size(place: usize, p: usize, verb: Verb) -> usize {
        let (slab, i) = live(place, p, verb);
        let block = heap::size(slab.class());
        count(&COUNTS.checked);
        // SAFETY: a live block.
        match unsafe { canary::check(slab.block(i), block) } {
            Ok(n) => n,
            Err(d) => violation::overflow(p, d.size, p + d.at, "when asked for its size"),
        }
    }
}

/// Checks every block of the process: canaries of live ones, zeroes of free ones. Other threads may go on.
#[cold]
pub fn sweep() {
    for u in crate::space::first_unit()..crate::pages::top_unit() {
        let Kind::Hardened { class: c, slab } = entry::load(u) else {
            continue;
        };
        let slab = Slab::at(slab);
        let heap = slab.heap();
        // Nobody takes a free block, and the slab stays, while the lock is held.
        let _held = heap.lock.take();
        if !matches!(entry::load(u), Kind::Hardened { .. }) {
            continue;
        }
        for i in 0..slab.limit() {
            check_block(c, slab, i);
        }
    }
}

#[cold]
fn check_block(c: Class, slab: &Slab, i: usize) {
    let (p, block) = (slab.block(i), heap::size(c));
    // ORDERING: Acquire, pairs with Release where the state was set: what it promises is there.
    match slab.state(i).load(Acquire) {
        NEW | FREED => {
            count(&COUNTS.checked);
            // SAFETY: a free block that nobody can take while the heap's lock is held.
            if let Some(at) = unsafe { canary::first_used(p, block) } {
                violation::written_while_free(p.addr(), block, at);
            }
        }
        LIVE => {
            count(&COUNTS.checked);
            // Its owner may free it meanwhile; then it is not LIVE, or has a new canary, when it is looked at again.
            for _ in 0..3 {
                // SAFETY: a block of the slab: readable whatever its state.
                let found = unsafe { canary::check(p, block) };
                if found.is_ok() || slab.state(i).load(Acquire) != LIVE {
                    return;
                }
                aethalloc_sys::process::yield_now();
            }
            // SAFETY: as above.
            if let Err(d) = unsafe { canary::check(p, block) } {
                violation::overflow(p.addr(), d.size, p.addr() + d.at, "at exit");
            }
        }
        _ => {}
    }
}

/// Bytes of blocks handed out.
#[cold]
pub fn live_bytes() -> usize {
    let mut bytes = 0;
    heap::each(|c, h| bytes += h.live.load(Relaxed) * heap::size(c));
    bytes
}
