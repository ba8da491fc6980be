//! Blocks for threads without a slab: single line groups out of slabs that belong to nobody.

use super::acquire::{fresh, search};
use super::lists::{enlist, of, rest, unlink};
use super::{block_of, lookup};
use crate::space::entry::Kind;
use crate::span::slab::{COMMON, FREE, List, MIXED, OUT, RESERVED, Slab, eligible, shape};
use crate::sync::{AtomicU8, Ordering::*};
use aethalloc_base::class::{self, Class};

/// Takes one line group of class `c` (one block of a line class) for a thread without a slab: the address of the first
/// block, which is OUT, and the number of blocks; the others are RESERVED for the caller, so that no line is shared.
/// `None`: out of memory. `serial`: the thread's, 0 if it has none.
pub fn take_common(c: Class, serial: u32) -> Option<(usize, usize)> {
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
                if let Some(at) = take_line(c, slab) {
                    if !line {
                        let taker = slab.taker.load(Relaxed);
                        let sole = serial != 0 && (taker == 0 || taker == serial);
                        slab.taker.store(if sole { serial } else { MIXED }, Relaxed);
                    }
                    return Some((at, shape(c).line));
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

/// The first free line group of a slab that nobody holds (slab's lock held); none of one that is being purged.
fn take_line(c: Class, slab: &Slab) -> Option<usize> {
    if slab.claim.is_frozen() {
        return None;
    }
    let s = shape(c);
    let start = slab.cursor.load(Relaxed) as usize;
    for k in 0..s.groups {
        let g = if start + k < s.groups {
            start + k
        } else {
            start + k - s.groups
        };
        let m = eligible(slab.free_mask(c, g), s.line, false);
        if m == 0 {
            continue;
        }
        let i = m.trailing_zeros() as usize;
        slab.cursor.store(g as u16, Relaxed);
        slab.soil(c, g, slab.clean_pages(c, g, ((1u64 << s.line) - 1) << i));
        let states = slab.group_states(c, g);
        for j in 0..s.line {
            let state = states.wrapping_add(i + j).cast::<AtomicU8>();
            // SAFETY: a state byte of the slab.
            unsafe { &*state }.store(if j == 0 { OUT } else { RESERVED }, Relaxed);
        }
        return Some(slab.address().addr() + s.group_offset(g) + i * s.size);
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
