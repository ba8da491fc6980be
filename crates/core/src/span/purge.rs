//! Giving back the empty OS pages inside slabs that are in use, and slabs that are all free.
//!
//! While a slab is frozen only the blocks that its holder reserved can be handed out: a page of which every block is free
//! and none is reserved can lose its contents. Nothing has to be taken out or put back. The slab's lock is needed for the freeze
//! alone, so nobody waits for whoever purges, preempted or not: a thread that wants blocks of the slab takes some elsewhere.
//! Cost: 64 state bytes looked at in ~20 instructions, 0.6-3 us per page given back; runs when memory is asked back
//! (`purge`) or has become mostly free (`live`).

use super::central;
use super::claim::{Frozen, State};
use super::owners;
use super::slab::{Slab, shape};
use crate::pages::huge;
use crate::space::entry::{self, Kind};
use crate::sync::{AtomicU32, Ordering::*};
use aethalloc_base::class::Class;
use aethalloc_base::units::{PAGE, UNIT, whole_pages};
use aethalloc_sys::memory;

/// Purges the empty pages of every slab, and releases slabs that are all free; empty pages of the metadata go too. Returns bytes given
/// back of slabs.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
pub fn all() -> usize {
    let mut bytes = 0;
    for u in crate::space::first_unit()..crate::pages::top_unit() {
        let Kind::Slab {
            class: c,
            part: 0,
            state,
            ..
        } = entry::load(u)
        else {
            continue;
        };
        crate::bell::step(30);
        let slab = Slab::of_entry(c, 0, state);
        // A look without the lock: the slab may have ended, then it reads something harmless.
        let free = slab.free_count(c);
        if free == 0 {
            continue;
        }
        let frozen = {
            // Its lock keeps the slab alive until it is frozen.
            let (_held, state_now) = central::lock_slab(c, slab);
            if state_now == State::Gone {
                continue;
            }
            let Kind::Slab {
                class,
                part: 0,
                state: again,
                ..
            } = entry::load(u)
            else {
                continue;
            };
            if class != c || again != state {
                continue;
            }
            if central::settle_swept(c, slab, free) {
                None
            } else {
                FROZEN.fetch_add(1, Relaxed);
                Some(slab.claim.freeze())
            }
        };
        match frozen {
            None => central::end(c, slab),
            Some(Frozen::Before) => {
                FROZEN.fetch_sub(1, Relaxed);
            }
            Some(Frozen::Now(group)) => {
                crate::bell::step(31);
                bytes += of_slab(c, slab, group);
                crate::bell::step(32);
                slab.claim.thaw();
                FROZEN.fetch_sub(1, Relaxed);
                // Nobody could end it meanwhile.
                central::released(c, slab);
            }
        }
    }
    // What described slabs that have ended; not memory that a program could miss.
    crate::space::pool::purge();
    bytes
}

/// Slabs that are frozen now, at least.
static FROZEN: AtomicU32 = AtomicU32::new(0);

/// A fork's child: whoever purged a slab does not exist here.
#[cold]
pub fn reset() {
    if FROZEN.swap(0, Relaxed) == 0 {
        return;
    }
    for u in crate::space::first_unit()..crate::pages::top_unit() {
        if let Kind::Slab {
            class,
            part: 0,
            state,
            ..
        } = entry::load(u)
        {
            Slab::of_entry(class, 0, state).claim.thaw();
        }
    }
}

/// Purges the empty pages of one slab that the caller froze, in runs; `held_group`: see [`Frozen::Now`].
fn of_slab(c: Class, slab: &'static Slab, held_group: Option<usize>) -> usize {
    let s = shape(c);
    let kept_by_holder = held_group.map_or(0, |_| {
        owners::waiting(slab.claim.holder(), c)
            // ORDERING: Acquire, pairs with Release in `bins::refill`.
            .unwrap_or_else(|| slab.reserved.load(Acquire))
    });
    let was_whole = slab.whole.load(Relaxed) != 0;
    let mut bytes = 0;
    for part in 0..s.units() {
        let groups = if s.units() > 1 {
            part..part + 1
        } else {
            0..s.groups()
        };
        // Pages that hold nothing but free blocks, and something of those at all.
        let mut used = 0u32;
        for g in groups {
            let mut kept = s.group_mask(g) & !slab.free_mask(c, g);
            if held_group == Some(g) {
                kept |= kept_by_holder;
            }
            let at = if s.units() > 1 { 0 } else { s.group_offset(g) };
            while kept != 0 {
                // A run of kept blocks at a time.
                let i = kept.trailing_zeros() as usize;
                let n = (!(kept >> i)).trailing_zeros() as usize;
                let (first, last) = (at + i * s.size(), at + (i + n) * s.size() - 1);
                used |= (2u32 << (last / PAGE)) - (1 << (first / PAGE));
                kept = if i + n >= 64 {
                    0
                } else {
                    kept >> (i + n) << (i + n)
                };
            }
        }
        let Some(clean) = slab.clean.get(part) else {
            continue;
        };
        // Whole pages of the system, but for those that went before.
        let os_page = crate::space::os_page();
        let free = whole_pages(!used & 0xffff, os_page);
        let mut empty = free & !whole_pages(free & clean.load(Relaxed) as u32, os_page);
        let unit = slab.unit.load(Relaxed) as usize + part;
        if empty != 0 {
            huge::loosen(unit, 1);
        }
        if was_whole && !huge::is_whole(unit) {
            // The huge page is split: what it brought and nobody touched goes too.
            empty = free;
        }
        while empty != 0 {
            let first = empty.trailing_zeros();
            let n = (!(empty >> first)).trailing_zeros();
            let run = ((1u32 << n) - 1) << first;
            empty &= !run;
            let at = slab
                .address()
                .wrapping_add(part * UNIT + first as usize * PAGE);
            // SAFETY: every block that touches these pages is free, none can be handed out while the slab is frozen.
            if unsafe { memory::discard(at, n as usize * PAGE) }.is_ok() {
                clean.fetch_or(run as u16, Relaxed);
                crate::pages::purge::count(n as usize * PAGE);
                bytes += n as usize * PAGE;
            }
        }
    }
    if was_whole && !huge::is_whole(slab.unit.load(Relaxed) as usize) {
        slab.whole.store(0, Relaxed);
    }
    bytes
}
