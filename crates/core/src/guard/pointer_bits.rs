//! `safety:tags`: every pointer that is handed out has a tag in bits that the CPU ignores (x86 LAM, aarch64 TBI). **No access is checked.**
//! The tag is compared where the pointer comes back: `free`, `realloc`, `malloc_usable_size`.
//!
//! ```text
//! slab (one of `hardened::slab`, without canaries), state byte of a block:   | tag, 6 bits | state, 2 bits |
//! large object, a record as `sampled` has:                                    its field `tag`
//! pointer:   | tag | address |       what has no tag, has 0: objects from before the start, above `sampled`'s sizes, of other allocators
//! ```
//! | pointer that comes back | seen |
//! |---|---|
//! | to a free block | always |
//! | to what was there before, the block in use again | always, until the block was freed 31 times more; once its slab ended, unless the tag is the same by chance: 1 in 31 |
//! | with another object's tag, without one | always for neighbours, else unless it is the same by chance |
//!
//! Called by `hardened` and `sampled`, whose places these are, when the profile says so; pointers lose their tag where they come
//! back ([`bare`]). Cost: every call takes the slow path.

use super::hardened::magazines::{self, Magazines};
use super::hardened::slab::{BUSY, Block, FREED, LIVE, STATE, Slab, TAG_SHIFT};
use super::{COUNTS, count};
use crate::span::owners;
use crate::sync::{AtomicBool, AtomicU8, AtomicU64, Ordering::*};
use crate::violation::{self, Line, Verb};
use aethalloc_base::class;
use aethalloc_base::safety;
use aethalloc_base::tags::{self, Field, LAM, TBI};

use aethalloc_sys::{pointer_bits, probe, process};
use core::ptr::null_mut;

/// The lowest bit of the field in use; 0: pointers have no tags.
static SHIFT: AtomicU8 = AtomicU8::new(0);
/// The caller strips pointers before it uses them: a test on a CPU that ignores nothing.
static SOFTWARE: AtomicBool = AtomicBool::new(false);

/// What first tags depend on.
static SECRET: AtomicU64 = AtomicU64::new(0);

/// A random number for the first tag of what lies at `p`.
fn random(p: usize) -> usize {
    let n = COUNTS.tagged.load(Relaxed);
    let v = (p as u64 ^ n << 48 ^ SECRET.load(Relaxed)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((v ^ v >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as usize
}

/// The field in use.
#[inline]
fn field() -> Option<Field> {
    match SHIFT.load(Relaxed) as u32 {
        0 => None,
        shift if shift == TBI.shift => Some(TBI),
        _ => Some(LAM),
    }
}

/// As if CPU and kernel could: for tests that take the tags off before they use a pointer. Before the start.
#[cold]
pub fn pretend() {
    SOFTWARE.store(true, Relaxed);
}

/// Turns tags on; false, with a line that says why, if this machine cannot ignore them.
#[cold]
pub fn start() -> bool {
    let found = if SOFTWARE.load(Relaxed) {
        Ok(LAM)
    } else {
        match safety::tags_missing(&probe::facts()) {
            Some(why) => Err(why),
            None => pointer_bits::enable().map_err(|_| {
                "the kernel refuses to have pointer bits ignored (the process has threads already, or chose otherwise)"
            }),
        }
    };
    match found {
        Ok(field) => {
            SECRET.store(process::random(), Relaxed);
            SHIFT.store(field.shift as u8, Relaxed);
            true
        }
        Err(why) => {
            Line::new()
                .text("safety:tags is not active: ")
                .text(why)
                .print();
            false
        }
    }
}

/// The address that a pointer of the program's stands for.
#[inline]
pub fn bare(p: usize) -> usize {
    field().map_or(p, |f| f.strip(p))
}

/// The tag of a pointer.
#[inline]
fn of(p: usize) -> usize {
    field().map_or(0, |f| f.of(p))
}

/// The pointer with `tag`.
#[inline]
fn with(p: *mut u8, tag: usize) -> *mut u8 {
    p.map_addr(|a| field().map_or(a, |f| f.with(a, tag)))
}

/// Ends the process if `wild`, a pointer to the object of `size` bytes that has no tag, has one.
#[inline]
pub fn refuse(wild: usize, size: usize, verb: Verb) {
    check(0, size, wild, verb);
}

/// Ends the process if `wild` does not have the tag `tag` of the object of `size` bytes where it leads.
#[inline]
pub fn check(tag: usize, size: usize, wild: usize, verb: Verb) {
    if of(wild) != tag {
        violation::used_after_free(verb, wild, size);
    }
}

/// The tag that a state byte holds.
#[inline]
fn tag_in(state: u8) -> usize {
    (state >> TAG_SHIFT) as usize
}

/// The state byte of `tag` and `state`.
#[inline]
fn state_with(tag: usize, state: u8) -> u8 {
    (tag as u8) << TAG_SHIFT | state
}

/// A block for `size` bytes at a multiple of `align`, at most a page; as `Hardened::allocate_from`.
#[cold]
pub fn allocate(magazines: Option<&Magazines>, size: usize, align: usize) -> *mut u8 {
    let Some((slab, i)) = magazines::take(magazines, class::class_of_aligned(size.max(1), align))
    else {
        return null_mut();
    };
    let state = slab.state(i);
    let tag = match tag_in(state.load(Relaxed)) {
        0 => tags::first(i, random(slab.block(i).addr())),
        tag => tag,
    };
    count(&COUNTS.tagged);
    // ORDERING: Release: as in `hardened`.
    state.store(state_with(tag, LIVE), Release);
    crate::space::narrow(with(slab.block(i), tag), slab.size())
}

/// Ends the object that `wild` points to, in the slab `slab`, or the process if that is none of its pointers.
#[cold]
pub fn deallocate(magazines: Option<&Magazines>, slab: &'static Slab, i: usize, wild: usize) {
    let (block, state) = (slab.size(), slab.state(i));
    let tag = of(wild);
    check_block(slab, i, wild, Verb::Free);
    if owners::live() > 1 || magazines.is_none() {
        // ORDERING: Acquire: of two frees one wins, after the object's last use.
        if state
            .compare_exchange(
                state_with(tag, LIVE),
                state_with(tag, BUSY),
                Acquire,
                Relaxed,
            )
            .is_err()
        {
            violation::double_free(wild, block);
        }
    }
    // What a stale pointer has is not what the next object gets.
    // ORDERING: Release: whoever hands it out sees the last use.
    state.store(state_with(tags::after(tag), FREED), Release);
    magazines::keep(magazines, slab.class(), Block::new(slab, i));
}

/// Ends the process if `wild` is no pointer to the live object in block `i` of `slab`.
#[cold]
pub fn check_block(slab: &Slab, i: usize, wild: usize, verb: Verb) {
    let now = slab.state(i).load(Relaxed);
    if now & STATE != LIVE {
        violation::used_after_free(verb, wild, slab.size());
    }
    check(tag_in(now), slab.size(), wild, verb);
}

/// A tag for the large object at `p`.
#[cold]
pub fn for_large(p: *mut u8) -> usize {
    if SHIFT.load(Relaxed) == 0 {
        return 0;
    }
    count(&COUNTS.tagged);
    let random = random(p.addr());
    tags::first(random >> 8, random)
}

/// The pointer to the large object at `p` with `tag`.
#[cold]
pub fn point(p: *mut u8, tag: usize) -> *mut u8 {
    with(p, tag)
}
