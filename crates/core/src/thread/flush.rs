//! Putting many blocks back into their slabs with one atomic operation a touched word.
//!
//! Blocks come in any order. Accumulators in the thread's scratch window gather bits by bitmap word and counts by slab,
//! direct mapped: neighbours meet in one operation even when slabs alternate.
//!
//! Cost per block: a page-map load, a multiplication, a byte store, ~12 instructions; per word touched one locked
//! instruction; per slab another.

use crate::depot::window::Window;
use crate::space::entry::Kind;
use crate::span::central::{self, block_of, lookup};
use crate::span::live;
use crate::span::slab::{FREE, Slab, shape};
use crate::sync::Ordering::*;
use crate::violation;
use aethalloc_base::class;

const WORDS: usize = 64;
const SLABS: usize = 16;

#[repr(C)]
#[derive(Clone, Copy)]
struct WordAcc {
    bits: u64,
    slab: u32,
    word: u16,
    class: u16,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct SlabAcc {
    slab: u32,
    class: u16,
    count: u16,
}

#[repr(C)]
struct Scratch {
    words: [WordAcc; WORDS],
    slabs: [SlabAcc; SLABS],
}
const _: () = assert!(size_of::<Scratch>() <= crate::depot::window::BYTES);

/// Puts the `n` blocks at `from` back for thread `me`. The scratch is all zero before and after.
///
/// `from[..n]` are block addresses that nobody else holds.
#[allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "an array of the thread's own windows or outbox"
)]
pub fn blocks(scratch: Window, from: *const usize, n: usize, me: u32) {
    // SAFETY: the scratch window is the calling thread's, large enough (asserted) and zero, a valid `Scratch`.
    let s = unsafe { &mut *scratch.slot(0).cast::<Scratch>() };
    let (mut used, mut bytes) = (0u64, 0);
    for i in 0..n {
        // SAFETY: the caller's array has `n` entries.
        let p = unsafe { from.add(i).read() };
        let Some((_, Kind::Slab { class, state, .. })) = lookup(p) else {
            continue;
        };
        let Some((slab, b)) = block_of(class, state, p) else {
            continue;
        };
        let words = shape(class).words;
        bytes += shape(class).size;
        slab.state(words, b).store(FREE, Relaxed);
        let (r, w, bit) = (slab.reference(), b / 64, 1u64 << (b % 64));
        let h = (r as usize * 5 + w) % WORDS;
        // SAFETY: h < WORDS.
        let acc = unsafe { s.words.get_unchecked_mut(h) };
        if acc.slab == r && acc.word == w as u16 {
            if acc.bits & bit != 0 {
                violation::double_free(p, shape(class).size);
            }
            acc.bits |= bit;
        } else {
            let old = *acc;
            *acc = WordAcc {
                bits: bit,
                slab: r,
                word: w as u16,
                class: class as u16,
            };
            used |= 1 << h;
            if old.slab != 0 {
                apply(&mut s.slabs, old, me);
            }
        }
    }
    while used != 0 {
        let h = used.trailing_zeros() as usize;
        used &= used - 1;
        // SAFETY: h < WORDS.
        let acc = unsafe { s.words.get_unchecked_mut(h) };
        let old = *acc;
        *acc = WordAcc {
            bits: 0,
            slab: 0,
            word: 0,
            class: 0,
        };
        apply(&mut s.slabs, old, me);
    }
    for acc in &mut s.slabs {
        if acc.slab != 0 {
            central::settle(
                acc.class as usize,
                Slab::at(acc.slab),
                acc.count as usize,
                me,
            );
            acc.slab = 0;
        }
    }
    live::put(bytes);
}

/// Sets a word's bits and counts them for its slab.
fn apply(slabs: &mut [SlabAcc; SLABS], acc: WordAcc, me: u32) {
    let slab = Slab::at(acc.slab);
    let twice = slab.put_word(acc.word as usize, acc.bits);
    if twice != 0 {
        let size = shape(acc.class as usize).size;
        let i = acc.word as usize * 64 + twice.trailing_zeros() as usize;
        violation::double_free(slab.address().addr() + i * size, size);
    }
    let n = acc.bits.count_ones() as u16;
    // SAFETY: the index is below SLABS.
    let count = unsafe { slabs.get_unchecked_mut(acc.slab as usize / 2 % SLABS) };
    if count.slab == acc.slab {
        count.count += n;
    } else {
        let old = *count;
        *count = SlabAcc {
            slab: acc.slab,
            class: acc.class,
            count: n,
        };
        if old.slab != 0 {
            central::settle(
                old.class as usize,
                Slab::at(old.slab),
                old.count as usize,
                me,
            );
        }
    }
}

/// Empties the depot into the slabs.
pub fn depot(scratch: Window) {
    for c in class::FIRST..class::FAST_COUNT {
        while let Some((w, held)) = crate::depot::pop(c) {
            blocks(scratch, w.slot(1), held, 0);
            live::put_for_others(held);
            w.release();
        }
    }
}
