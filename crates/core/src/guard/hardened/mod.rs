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
//! allocate: magazine (random block) -> all zero? -> canary -> LIVE
//! free:     LIVE -> BUSY (a second free ends here) -> canary? -> zero -> FREED -> quarantine of the thread
//! ```
//! What a thread has is in [`magazines`]; slabs are in [`heap`]; what looks at blocks that nobody allocates or frees is in [`sweep`].
//! The allocator below is unchanged and asked for nothing but runs: hardened slabs are of a kind of their own in the page
//! map, so that every fast path leaves by its slow exit. Large objects are `sampled` ones, all of them.
//!
//! As long as a thread has what it needs, both are in [`fast`]; here is the long way, which can do everything.
//!
//! Cost: a pass over the block at each allocation and each free, and a lock for some sixteen blocks now and then.

mod canary;
pub mod depot;
pub mod fast;
pub mod heap;
pub mod kept;
mod life;
mod magazine;
pub mod magazines;
pub mod slab;
pub mod sweep;
mod window;
mod zero;

use super::{BLOCK_MAX, COUNTS, Objects, bare, count, has_tags, is_tagging, pointer_bits, tagged};
use crate::space::entry::{self, Kind};
use crate::span::owners;
use crate::sync::Ordering::*;
use crate::violation::{self, Verb};
use aethalloc_base::class;
use aethalloc_base::units::GRANULE;
use core::ptr::null_mut;
use core::sync::atomic::fence;
use magazines::Magazines;
use slab::{BUSY, Block, FREED, LIVE, NEW, STATE, Slab};

/// The mode begins.
#[cold]
pub fn start() {
    canary::start();
    zero::start();
}

/// Hardened objects.
pub struct Hardened;

impl Hardened {
    /// As `allocate`, at a multiple of `align`, at most a page, from the calling thread's magazines, if it may use them; null if no
    /// class serves that.
    #[unsafe(link_section = ".text.unlikely.later")]
    pub fn allocate_from(magazines: Option<&Magazines>, size: usize, align: usize) -> *mut u8 {
        if !Hardened::serves(size) {
            return null_mut();
        }
        if has_tags() {
            return if is_tagging() {
                tagged::allocate(magazines, size, align)
            } else {
                pointer_bits::allocate(magazines, size, align)
            };
        }
        let c = class::class_of_aligned(Hardened::whole(size), align);
        let Some((slab, i)) = magazines::take(magazines, c) else {
            return null_mut();
        };
        let (p, block) = (slab.block(i), slab.size());
        if matches!(slab.state(i).load(Relaxed), LIVE | BUSY) {
            // Two threads freed it at the same instant.
            violation::double_free(p.addr(), block);
        }
        // A check that runs meanwhile leaves the block alone.
        slab.state(i).store(BUSY, Relaxed);
        // ORDERING: pairs with the fence in `sweep::check_block`: who sees a byte of the canary sees BUSY.
        fence(Release);
        // SAFETY: the block is this call's until it is LIVE.
        unsafe {
            if let Some(at) = canary::first_used(p, block) {
                violation::written_while_free(p.addr(), block, at);
            }
            canary::write(p, block, size);
        }
        // ORDERING: Release, pairs with Acquire in `sweep::check_block`: the canary is there when the block is LIVE.
        slab.state(i).store(LIVE, Release);
        crate::space::narrow(p, block)
    }

    /// Ends the object at `p` in the slab `place`, or the process if none begins there; see [`Objects::deallocate`].
    #[unsafe(link_section = ".text.unlikely.later")]
    pub fn deallocate_to(
        magazines: Option<&Magazines>,
        place: usize,
        p: usize,
        size: Option<usize>,
    ) {
        let (slab, i) = live(place, p, Verb::Free);
        if has_tags() {
            return if is_tagging() {
                tagged::deallocate(magazines, slab, i, p)
            } else {
                pointer_bits::deallocate(magazines, slab, i, p)
            };
        }
        let block = slab.size();
        let state = slab.state(i);
        if owners::live() > 1 || magazines.is_none() {
            // ORDERING: Acquire: of two frees one wins, after the object's last use.
            if state
                .compare_exchange(LIVE, BUSY, Acquire, Relaxed)
                .is_err()
            {
                violation::double_free(p, block);
            }
        } else {
            // No other thread has called the allocator yet: `live` has seen that this is the first free.
            state.store(BUSY, Relaxed);
        }
        // ORDERING: as in `allocate_from`: who sees a byte cleared sees BUSY.
        fence(Release);
        let at = slab.block(i);
        // SAFETY: a block that is this call's since it is BUSY.
        unsafe {
            match canary::check(at, block) {
                Err(d) => violation::overflow(p, d.size, p + d.at, "at free"),
                Ok(n) => {
                    if let Some(said) = size.filter(|said| *said != n) {
                        violation::wrong_size(p, n, said);
                    }
                }
            }
            zero::clear(at, block);
        }
        // ORDERING: Release: the block is zero when it is FREED.
        state.store(FREED, Release);
        magazines::keep(magazines, slab.class(), Block::new(slab, i));
    }

    /// Whether a request is small enough for a block: to [`BLOCK_MAX`], where there are canaries.
    pub fn serves(size: usize) -> bool {
        size <= BLOCK_MAX - if has_tags() { canary::BYTES } else { 0 }
    }

    /// Bytes of the object of `size` bytes and what guards it.
    #[inline(always)]
    pub fn whole(size: usize) -> usize {
        size + canary::BYTES
    }

    /// Resizes within the block; false if the object has to move.
    #[cold]
    pub fn resize(place: usize, p: usize, size: usize) -> bool {
        let slab = Slab::at(place);
        if is_tagging() {
            return slab
                .block_at(bare(p))
                .is_some_and(|i| tagged::resize(slab, i, size));
        }
        let c = slab.class();
        if has_tags() {
            // `Hardened::usable_size` has compared the tag.
            return size <= BLOCK_MAX && class::class_of(size.max(1)) == c;
        }
        if !Hardened::serves(size) || class::class_of(size + canary::BYTES) != c {
            return false;
        }
        let Some(i) = slab.block_at(p) else {
            return false;
        };
        slab.state(i).store(BUSY, Relaxed);
        // ORDERING: as in `allocate_from`.
        fence(Release);
        // SAFETY: a live block, whose owner asks.
        unsafe { canary::write(slab.block(i), slab::size(c), size) };
        slab.state(i).store(LIVE, Release);
        true
    }
}

/// The live block at `p`; ends the process if there is none.
#[inline]
fn live(place: usize, p: usize, verb: Verb) -> (&'static Slab, usize) {
    let slab = Slab::at(place);
    let Some(i) = slab.block_at(bare(p)) else {
        violation::interior(verb, p, slab.size());
    };
    match slab.state(i).load(Relaxed) & STATE {
        LIVE => (slab, i),
        NEW => violation::never_allocated(verb, p, slab.size()),
        _ => violation::used_after_free(verb, p, slab.size()),
    }
}

impl Objects for Hardened {
    type Place = usize;

    #[cold]
    fn allocate(size: usize, _zeroed: bool) -> *mut u8 {
        // Free blocks are zero.
        Hardened::allocate_from(None, size, GRANULE)
    }

    #[cold]
    fn deallocate(place: usize, p: usize, size: Option<usize>) {
        Hardened::deallocate_to(None, place, p, size);
    }

    #[cold]
    fn usable_size(place: usize, p: usize, verb: Verb) -> usize {
        let (slab, i) = live(place, p, verb);
        count(&COUNTS.checked);
        if is_tagging() {
            // SAFETY: a block of the slab.
            return unsafe {
                tagged::check(slab.block(i), slab.size(), p, verb);
                tagged::size(slab.block(i), slab.size())
            };
        }
        if has_tags() {
            pointer_bits::check_block(slab, i, p, verb);
            return slab.size();
        }
        // SAFETY: a live block.
        match unsafe { canary::check(slab.block(i), slab.size()) } {
            Ok(n) => n,
            Err(d) => violation::overflow(p, d.size, p + d.at, "when asked for its size"),
        }
    }
}

/// Bytes and number of blocks handed out: of those whose state says so.
#[cold]
pub fn live_now() -> (usize, usize) {
    let (mut bytes, mut blocks) = (0, 0);
    if super::is_hardened() {
        for u in crate::space::first_unit()..crate::pages::top_unit() {
            if let Kind::Hardened { class: c, slab } = entry::load(u) {
                let n = Slab::at(slab).live_count(c);
                bytes += n * slab::size(c);
                blocks += n;
            }
        }
    }
    (bytes, blocks)
}
