//! `safety:mte`: every object has a tag, in its pointer and in its memory; the CPU compares them at every access.
//!
//! ```text
//! slab (one of `hardened::slab`, without canaries):
//!   | block 0: even tag | block 1: odd tag | block 2: even … | rest of the unit: 0 |
//!     a live block: | object's granules: its tag | slack: 0 |
//! large object to 16 MiB, a record as `sampled` has: | object's granules: its tag | rest of the run, a page at least: 0 |
//! ```
//! | access through a pointer of the object | faults |
//! |---|---|
//! | beyond its last granule, before its first, into a neighbour, slack or the slab's end | always |
//! | after its free, until the block is freed again by its next owner | always: a free changes the tag, to none of its neighbours' |
//! | anywhere else | unless the tag there is the same by chance: 1 in 15, or less |
//!
//! *The tag of a free block* is already that of its next object, so it is what is compared while it waits, and what a stale pointer
//! never has. Memory that no object was given has tag 0, as everything that is not an object; runs go back to the page heap with
//! tag 0 everywhere (dropping pages does that).
//!
//! Called by `hardened` and `sampled`, whose places these are, when the profile says so; pointers lose their tag where they come back (`bare`).
//! Cost: one instruction for each granule at allocation (slack only, from the second use of a block on) and at free, and every call takes
//! the slow path.

use super::hardened::magazines::{self, Magazines};
use super::hardened::slab::{BUSY, Block, FREED, LIVE, Slab};
use super::{BLOCK_MAX, COUNTS, count, is_tagging};
use crate::config;
use crate::space;
use crate::span::owners;
use crate::sync::Ordering::*;
use crate::violation::{self, Line, Verb};
use aethalloc_base::class;
use aethalloc_base::options::Key;
use aethalloc_base::safety;
use aethalloc_base::tags::{self, MTE};
use aethalloc_base::units::{GRANULE, UNIT, UNITS_PER_REGION};
use aethalloc_sys::memory::{self, Access};
use aethalloc_sys::mte::{self, Mode};
use aethalloc_sys::probe;
use core::ptr::null_mut;

/// Larger objects have no tag: every granule of an object is written to.
pub const MOST: usize = 16 << 20;

/// Turns tags on; false, with a line that says why, if this machine has none.
#[cold]
pub fn start() -> bool {
    let mode = match config::get(Key::mte_mode) {
        1 => Mode::Asymmetric,
        2 => Mode::Async,
        _ => Mode::Sync,
    };
    let why_not = match safety::mte_missing(&probe::facts()) {
        None if mte::enable(mode).is_ok() => None,
        None => Some("the kernel refuses tagged addresses (PR_SET_TAGGED_ADDR_CTRL)"),
        why => why,
    };
    if let Some(why) = why_not {
        Line::new()
            .text("safety:mte is not active: ")
            .text(why)
            .print();
        return false;
    }
    memory::tag_from_now_on();
    // What was used so far has tag 0 from now on, so that no tagged pointer gets there. Region by region: a narrow space has several arenas.
    let mut unit = space::first_unit();
    while unit < crate::pages::top_unit() {
        let bytes = (UNITS_PER_REGION - unit % UNITS_PER_REGION) * UNIT;
        let at = space::address_of(unit);
        if !at.is_null() {
            // SAFETY: a region of the page heap, which is writable.
            let _ = unsafe { memory::protect(at, bytes, Access::Write) };
        }
        unit += bytes / UNIT;
    }
    true
}

/// A pointer without this tag.
#[inline]
pub fn bare(p: usize) -> usize {
    if is_tagging() { MTE.strip(p) } else { p }
}

/// Makes `bytes` bytes of a fresh run at `at` memory with tags.
///
/// # Safety
/// The run is the caller's, in whole pages.
#[cold]
pub unsafe fn prepare(at: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller's promise. Again for regions that were made so: the kernel changes nothing then.
    unsafe { memory::protect(at, bytes, Access::Write) }.is_ok()
}

/// Bytes at a slab's end that have tag 0 for ever.
pub fn slab_end() -> usize {
    if is_tagging() { 1024 } else { 0 }
}

/// `bytes` in whole granules, at least one.
#[inline]
pub fn granules(bytes: usize) -> usize {
    bytes.max(1).next_multiple_of(GRANULE)
}

/// A block for `size` bytes at a multiple of `align`, at most a page; as `Hardened::allocate_from`.
#[cold]
pub fn allocate(magazines: Option<&Magazines>, size: usize, align: usize) -> *mut u8 {
    let Some((slab, i)) = magazines::take(magazines, class::class_of_aligned(size.max(1), align))
    else {
        return null_mut();
    };
    let (p, block, used) = (slab.block(i), slab.size(), granules(size));
    slab.state(i).store(BUSY, Relaxed);
    // SAFETY: the block is this call's until it is LIVE.
    let tagged = unsafe {
        let mut tagged = mte::load(p);
        if MTE.of(tagged.addr()) == 0 {
            tagged = mte::random(p, tags::excluded(i, 0));
            mte::store(tagged, used);
        } else if used < block {
            mte::store(p.add(used), block - used);
        }
        tagged
    };
    count(&COUNTS.tagged);
    // ORDERING: Release: the tags are there when the block is LIVE.
    slab.state(i).store(LIVE, Release);
    space::narrow(tagged, block)
}

/// Ends the object that `wild` points to, in the slab `slab`, or the process if that is none of its pointers.
#[cold]
pub fn deallocate(magazines: Option<&Magazines>, slab: &'static Slab, i: usize, wild: usize) {
    let (p, block, state) = (slab.block(i), slab.size(), slab.state(i));
    // SAFETY: a block of the slab.
    unsafe { check(p, block, wild, Verb::Free) };
    if owners::live() > 1 || magazines.is_none() {
        // ORDERING: Acquire: of two frees one wins, after the object's last use.
        if state
            .compare_exchange(LIVE, BUSY, Acquire, Relaxed)
            .is_err()
        {
            violation::double_free(wild, block);
        }
    } else {
        state.store(BUSY, Relaxed);
    }
    // SAFETY: a block that is this call's since it is BUSY.
    unsafe {
        let old = MTE.of(mte::load(p).addr());
        mte::store(mte::random(p, tags::excluded(i, old)), block);
    }
    // ORDERING: Release: the block has its new tag when it is FREED.
    state.store(FREED, Release);
    magazines::keep(magazines, slab.class(), Block::new(slab, i));
}

/// Ends the process if `wild` does not have the tag of the object at `p`: a pointer to what was there before, or a forged one.
///
/// # Safety
/// A block or large object of ours begins at `p`.
#[cold]
pub unsafe fn check(p: *mut u8, size: usize, wild: usize, verb: Verb) {
    // SAFETY: the caller's promise.
    let tag = MTE.of(unsafe { mte::load(p) }.addr());
    if tag != MTE.of(wild) {
        violation::used_after_free(verb, wild, size);
    }
}

/// Bytes of the live object in the block of `block` bytes at `p`: all that has its tag.
///
/// # Safety
/// A block of so many bytes begins there.
#[cold]
pub unsafe fn size(p: *mut u8, block: usize) -> usize {
    let mut end = block;
    // SAFETY: inside the block.
    while end > GRANULE && MTE.of(unsafe { mte::load(p.add(end - GRANULE)) }.addr()) == 0 {
        end -= GRANULE;
    }
    end
}

/// Whether the object in block `i` of `slab` may become one of `size` bytes where it is; then it is.
#[cold]
pub fn resize(slab: &Slab, i: usize, size: usize) -> bool {
    let (p, block, used) = (slab.block(i), slab.size(), granules(size));
    if size > BLOCK_MAX || class::class_of(size.max(1)) != slab.class() {
        return false;
    }
    // SAFETY: a live block, whose owner asks.
    unsafe {
        mte::store(mte::load(p), used);
        mte::store(p.add(used), block - used);
    }
    true
}

/// A tagged pointer to the large object of `length` bytes at `p`, whose memory has tag 0.
///
/// # Safety
/// The object is the caller's.
#[cold]
pub unsafe fn tag_large(p: *mut u8, length: usize) -> *mut u8 {
    if length > MOST {
        return p;
    }
    let tagged = mte::random(p, 1);
    // SAFETY: the caller's promise; its run ends a page later at the earliest.
    unsafe { mte::store(tagged, granules(length)) };
    count(&COUNTS.tagged);
    tagged
}

/// Gives a range tag 0 and drops its contents.
///
/// # Safety
/// Ours, in whole pages, and nobody needs its contents.
#[cold]
pub unsafe fn clear(at: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise. Locked pages stay: their tags are written.
    unsafe {
        if memory::discard(at, bytes).is_err() {
            mte::store(at, bytes);
        }
    }
}
