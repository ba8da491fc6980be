//! Blocks for threads without a slab: single line groups out of slabs that belong to nobody.

use super::acquire::{fresh, search};
use super::lists::{enlist, of, rest, unlink};
use super::{block_of, lookup};
use crate::space::entry::Kind;
use crate::span::slab::{COMMON, FREE, List, MIXED, OUT, RESERVED, Slab, eligible, shape};
use crate::sync::{AtomicU8, Ordering::*};
use aethalloc_base::class::{self, Class};

/// Blocks of one group, neighbours in whole lines, that are RESERVED for whoever took them.
pub struct Taken {
    /// Address of the group's first block.
    pub base: usize,
    /// State byte of the group's first block.
    pub states: *mut u8,
    /// Which blocks of the group: not none.
    pub bits: u64,
}

impl Taken {
    /// The first block becomes an object, at the address returned; the mask of the others is left.
    pub fn hand_out(&mut self, size: usize) -> usize {
        let i = self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        // SAFETY: a state byte of the slab, of a block that is the caller's.
        unsafe { &*self.states.wrapping_add(i).cast::<AtomicU8>() }.store(OUT, Relaxed);
        self.base + i * size
    }
}

/// Takes up to `lines` line groups of class `c` (of a line class: blocks), all of one group of a slab, for a thread without a slab: whole, so that
/// no line is shared. `None`: out of memory. `serial`: the thread's, 0 if it has none.
pub fn take_common(c: Class, serial: u32, lines: usize) -> Option<Taken> {
    let line = class::is_line(c);
    loop {
        {
            let _held = of(c).lock.take();
            loop {
                let r = of(c).partial.first();
                if r == 0 {
                    break;
                }
                let slab = Slab::at(r);
                if let Some(taken) = take_lines(c, slab, lines) {
                    if !line {
                        let taker = slab.taker.load(Relaxed);
                        let sole = serial != 0 && (taker == 0 || taker == serial);
                        slab.taker.store(if sole { serial } else { MIXED }, Relaxed);
                    }
                    return Some(taken);
                }
                unlink(c, slab);
                rest(c, slab, false);
            }
            let (found, looks) = search(
                c,
                &of(c).resting,
                List::Resting,
                8,
                of(c).looks.load(Relaxed),
            );
            of(c).looks.store(looks, Relaxed);
            if let Some(slab) = found {
                enlist(c, slab);
                continue;
            }
        }
        // Held by an id that no thread has until it is listed: else a sweep would take it for an empty one.
        let slab = fresh(c, COMMON, COMMON)?;
        let _held = of(c).lock.take();
        slab.claim.let_go();
        enlist(c, slab);
    }
}

/// The first free line groups, up to `lines`, of a group of a slab that nobody holds (slab's lock held); none of one that is being purged.
fn take_lines(c: Class, slab: &Slab, lines: usize) -> Option<Taken> {
    if slab.claim.is_frozen() {
        return None;
    }
    let s = shape(c);
    let lines_of = |g| eligible(slab.free_mask(c, g), s.line(), false);
    // The group at hand, or from the first one on: groups that were used up before, of which blocks came back, have their pages.
    let at = slab.cursor.load(Relaxed) as usize;
    let start = if lines_of(at) != 0 { at } else { 0 };
    for g in start..s.groups() {
        let m = lines_of(g);
        if m == 0 {
            continue;
        }
        let line = (1u64 << s.line()) - 1;
        let (mut bits, mut left) = (0, m);
        for _ in 0..lines {
            bits |= line << left.trailing_zeros();
            left &= !bits;
            if left == 0 {
                break;
            }
        }
        slab.cursor.store(g as u16, Relaxed);
        slab.soil(c, g, slab.clean_pages(c, g, bits));
        let (states, mut left) = (slab.group_states(c, g), bits);
        while left != 0 {
            let state = states.wrapping_add(left.trailing_zeros() as usize);
            // SAFETY: a state byte of the slab.
            unsafe { &*state.cast::<AtomicU8>() }.store(RESERVED, Relaxed);
            left &= left - 1;
        }
        return Some(Taken {
            base: slab.address().addr() + s.group_offset(g),
            states,
            bits,
        });
    }
    None
}

/// The state byte of the block that begins at `p`, if one does.
pub fn state_of(p: usize) -> Option<&'static AtomicU8> {
    let (
        _,
        Kind::Slab {
            class, part, state, ..
        },
    ) = lookup(p)?
    else {
        return None;
    };
    let (slab, i) = block_of(class, part, state, p)?;
    Some(slab.state(class, part, i))
}

/// Puts a block back that was taken and that no program has.
pub fn put_back(p: usize) {
    if let Some(state) = state_of(p) {
        // ORDERING: Release, as a free.
        state.store(FREE, Release);
    }
}
