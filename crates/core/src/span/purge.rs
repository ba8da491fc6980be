//! Giving back the empty OS pages inside slabs that are in use.
//!
//! The blocks that lie wholly or partly in an empty page are taken out of the occupancy bitmap first, so that nobody
//! can get them while the page goes; then they are put back. Interrupted in between, they are lost, never doubled.
//! Cost: 0.6-3 us per page; runs when memory is asked back (`purge`) or has become mostly free (`live`).

use super::central;
use super::slab::{Slab, shape};
use crate::space::entry::{self, Kind};
use crate::sync::Ordering::*;
use aethalloc_base::class::Class;
use aethalloc_base::units::{PAGE, UNIT};
use aethalloc_sys::memory;

/// Purges the empty pages of every slab. Returns bytes given back.
pub fn all() -> usize {
    let mut bytes = 0;
    for u in crate::space::first_unit()..crate::pages::top_unit() {
        let Kind::Slab {
            class: c, state, ..
        } = entry::load(u)
        else {
            continue;
        };
        // The class lock keeps the slab alive; nothing waits for more than one slab's pages (64 KiB).
        let _held = central::of(c).lock();
        if let Kind::Slab {
            class,
            state: again,
            ..
        } = entry::load(u)
            && class == c
            && again == state
        {
            bytes += of_slab(c, Slab::of_entry(c, state));
        }
    }
    bytes
}

/// Purges one slab's empty pages, in runs. The class lock is held.
fn of_slab(c: Class, slab: &'static Slab) -> usize {
    let s = shape(c);
    let fresh = slab.fresh.load(Relaxed) as usize;
    let touched = fresh * s.size;
    if slab.claim.out() >= s.blocks || touched == 0 {
        return 0;
    }
    // A holder may hand out blocks from `fresh` on at any moment: pages that such a block touches are not looked at.
    let pages = if slab.claim.is_held() {
        touched / PAGE
    } else {
        touched.div_ceil(PAGE).min(UNIT / PAGE)
    };
    let (mut bytes, mut page) = (0, 0);
    while page < pages {
        let mut end = page;
        while end < pages && is_empty(c, slab, fresh, end) {
            end += 1;
        }
        if end > page {
            bytes += purge_run(c, slab, fresh, page, end);
        }
        page = end + 1;
    }
    bytes
}

/// Blocks that touch pages `from..to`, below the first that was never handed out.
fn blocks_in(c: Class, fresh: usize, from: usize, to: usize) -> (usize, usize) {
    let s = shape(c);
    let slot = |offset: usize| ((offset as u64 * s.reciprocal as u64) >> 32) as usize;
    (slot(from * PAGE), (slot(to * PAGE - 1) + 1).min(fresh))
}

fn is_empty(c: Class, slab: &Slab, fresh: usize, page: usize) -> bool {
    let (first, end) = blocks_in(c, fresh, page, page + 1);
    (first..end).all(|i| slab.word(i / 64).load(Relaxed) >> (i % 64) & 1 == 1)
}

fn purge_run(c: Class, slab: &'static Slab, fresh: usize, from: usize, to: usize) -> usize {
    let (first, end) = blocks_in(c, fresh, from, to);
    // Take the bits, word by word; give up on the run if somebody was faster.
    let mut i = first;
    let mut all = true;
    while i < end && all {
        let (w, bits) = word_part(i, end);
        // ORDERING: Acquire, as any take: the blocks' last users are done.
        let got = slab.word(w).fetch_and(!bits, Acquire) & bits;
        if got != bits {
            slab.put_word(w, got);
            all = false;
        } else {
            i = (w + 1) * 64;
        }
    }
    let taken_end = i.min(end);
    let mut bytes = 0;
    if all {
        let at = slab.address().wrapping_add(from * PAGE);
        // SAFETY: every block that touches these pages is in our hands.
        if unsafe { memory::discard(at, (to - from) * PAGE) }.is_ok() {
            bytes = (to - from) * PAGE;
        }
    }
    let mut i = first;
    while i < taken_end {
        let (w, bits) = word_part(i, end);
        slab.put_word(w, bits);
        i = (w + 1) * 64;
    }
    bytes
}

/// The word of block `i` and the bits of blocks `i..end` in it.
fn word_part(i: usize, end: usize) -> (usize, u64) {
    let w = i / 64;
    let last = end.min((w + 1) * 64);
    let n = last - i;
    let ones = if n == 64 { u64::MAX } else { (1 << n) - 1 };
    (w, ones << (i % 64))
}
