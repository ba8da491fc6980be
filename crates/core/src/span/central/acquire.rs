//! A slab for a thread that has used up the one it takes from.

use super::lists::{MOST_LOOKS, hold, lock, of, rest, unlink};
use super::settle::{let_go, stop_holding};
use crate::pages;
use crate::space::entry::{self, Kind};
use crate::space::{self, pool};
use crate::span::chain::Chain;
use crate::span::claim::State;
use crate::span::owners;
use crate::span::slab::{COMMON, List, MIXED, POOLS, Slab, eligible, shape};
use crate::sync::{AtomicU8, Ordering::*};
use aethalloc_base::class::{self, Class};
use aethalloc_base::policy;

/// Listed slabs of nobody that one acquisition looks at.
const LOOKS: usize = 4;

/// Whoever holds this slab may take single blocks: its class or its one owner guarantees that no line is shared.
#[inline]
pub fn may_take_single(c: Class, slab: &Slab) -> bool {
    class::is_line(c) || slab.owner.load(Relaxed) != COMMON
}

/// A `part`-th of the slab may be handed out, and some group of it is worth a reservation.
#[unsafe(link_section = ".text.unknown.later")]
fn is_worth(c: Class, slab: &Slab, part: usize) -> bool {
    let single = may_take_single(c, slab);
    let s = shape(c);
    if s.units() > 1 {
        // One free block makes a unit worth it.
        let free = slab.free_count(c);
        return free > 0 && free * part >= s.blocks();
    }
    let (mut all, mut most) = (0, 0);
    for g in 0..s.groups() {
        let n = eligible(slab.free_mask(c, g), s.line(), single).count_ones() as usize;
        all += n;
        most = most.max(n);
    }
    all * part >= s.blocks() && most >= s.worth()
}

/// Of the slabs that have rested longest, one that has become worth being held (its lock held), after at most `looks`. Those
/// looked at in vain go to the end, and the next search looks at fewer.
pub(super) fn search(
    c: Class,
    chain: &Chain,
    list: List,
    part: usize,
    looks: u32,
) -> (Option<&'static Slab>, u32) {
    for _ in 0..looks {
        let r = chain.first();
        if r == 0 {
            return (None, looks);
        }
        let slab = Slab::at(r);
        if slab.claim.state(c) == State::Resting
            && is_worth(c, slab, part)
            && !slab.claim.is_frozen()
        {
            return (Some(slab), MOST_LOOKS);
        }
        chain.remove(slab);
        chain.append(slab, list);
    }
    (None, (looks / 2).max(1))
}

/// A slab of class `c` for the thread `id` (its `serial` never returns) to hold: its own with free blocks, one of nobody, or
/// a fresh one. `None`: out of memory. `looks`: the thread's, how many of its own resting slabs it looks at. `used_up`: what it holds of the
/// class; it lets go of it, and free blocks there have to be noticed by frees.
///
/// Blocks of a slab of nobody are handed out by whole line groups, so a busy thread takes one only if it may make it its own
/// (its blocks never share a line, all of it is free, or the thread is the only one that ever took from it) or if half of it is
/// such groups: then memory counts more.
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
pub fn acquire(
    c: Class,
    id: u32,
    serial: u32,
    looks: &AtomicU8,
    used_up: Option<&'static Slab>,
) -> Option<&'static Slab> {
    let part = policy::worthy_part(class::size(c));
    if let Some(slab) = own(c, id, part, looks, used_up) {
        return Some(slab);
    }
    let Some(slab) = of_nobody(c, id, serial, part) else {
        return fresh(c, id, id);
    };
    if slab.owner.load(Relaxed) == id {
        // It was taken over under the class's lock; nobody touches what is held.
        let _held = lock(c, id);
        rest(c, slab, true);
    }
    Some(slab)
}

/// One of the thread's own; it lets go of `used_up`.
fn own(
    c: Class,
    id: u32,
    part: usize,
    looks: &AtomicU8,
    used_up: Option<&'static Slab>,
) -> Option<&'static Slab> {
    let mut used_up = used_up;
    // What others own, or nobody, is under another lock.
    if let Some(slab) = used_up
        && slab.owner.load(Relaxed) != id
    {
        let_go(c, slab, id, false);
        used_up = None;
    }
    let Some(owned) = owners::owned(id, c) else {
        if let Some(slab) = used_up {
            let_go(c, slab, id, false);
        }
        return None;
    };
    let _held = lock(c, id);
    if let Some(slab) = used_up {
        // Its owner, this thread, is the only one that could have changed that: `disown` is its end.
        stop_holding(c, slab, id);
    }
    let r = owned.partial.first();
    let slab = if r != 0 {
        Slab::at(r)
    } else {
        let now = MOST_LOOKS - (looks.load(Relaxed) as u32).min(MOST_LOOKS - 1);
        let (found, next) = search(c, &owned.rest, List::Rest, part, now);
        looks.store((MOST_LOOKS - next) as u8, Relaxed);
        found?
    };
    hold(c, slab, id);
    Some(slab)
}

/// One that belongs to nobody.
fn of_nobody(c: Class, id: u32, serial: u32, part: usize) -> Option<&'static Slab> {
    // A look without the lock: most of the time there is none.
    if of(c).partial.first() == 0 && of(c).resting.first() == 0 {
        return None;
    }
    let (line, lists) = (class::is_line(c), owners::owned(id, c));
    let _held = of(c).lock.take();
    for _ in 0..LOOKS {
        let r = of(c).partial.first();
        if r == 0 {
            break;
        }
        let slab = Slab::at(r);
        let sole = slab.taker.load(Relaxed) == serial;
        if line || sole && lists.is_some() || is_worth(c, slab, 2) {
            return Some(take_over(c, slab, id, line || sole));
        }
        // It may become worth it later: the frees notice.
        unlink(c, slab);
        rest(c, slab, false);
    }
    // Of a slab whose blocks share lines half must be whole lines.
    let (looks, part) = (of(c).looks.load(Relaxed), if line { part } else { 2 });
    let (found, looks) = search(c, &of(c).resting, List::Resting, part, looks);
    of(c).looks.store(looks, Relaxed);
    found.map(|slab| take_over(c, slab, id, line))
}

/// `id` holds a slab of nobody from now on (class's lock held), and owns it if it may; then it is on no list.
#[unsafe(link_section = ".text.unknown.later")]
fn take_over(c: Class, slab: &'static Slab, id: u32, mut own: bool) -> &'static Slab {
    own |= slab.all_free(c);
    hold(c, slab, id);
    if own && owners::owned(id, c).is_some() {
        // ORDERING: Release, pairs with Acquire in `Claim::lock_by`.
        slab.owner.store(id, Release);
    } else {
        slab.taker.store(MIXED, Relaxed);
    }
    slab
}

/// A fresh slab of class `c`, every block free, held by `holder`, owned by `owner` (an id or [`COMMON`]); `None`: out of
/// memory. The caller holds no lock.
pub(super) fn fresh(c: Class, owner: u32, holder: u32) -> Option<&'static Slab> {
    let s = shape(c);
    let run = crate::span::reclaim::take(s.units(), || ())?;
    let pool = *POOLS.get(c)? as usize;
    let Some((place, _)) = pool::take(pool) else {
        pages::give(run);
        return None;
    };
    let slab = Slab::at(space::meta::reference(place.as_ptr()));
    for field in [&slab.next, &slab.prev, &slab.list, &slab.taker] {
        field.store(0, Relaxed);
    }
    slab.cursor.store(0, Relaxed);
    slab.frontier.store(0, Relaxed);
    slab.reserved.store(0, Relaxed);
    for clean in &slab.clean {
        clean.store(if run.clean { u16::MAX } else { 0 }, Relaxed);
    }
    if run.clean && policy::fills_units(s.size()) {
        pages::huge::slab_begins(&run);
    }
    let whole = pages::huge::is_whole(run.first);
    slab.whole.store(whole as u16, Relaxed);
    slab.unit.store(run.first as u32, Relaxed);
    slab.clear(c);
    of(c).slabs.fetch_add(1, Relaxed);
    // The life begins under its lock: see `lists::lock_slab`.
    let _held = lock(c, owner);
    // ORDERING: Release, pairs with Acquire in `Claim::lock_by`.
    slab.owner.store(owner, Release);
    slab.claim.begin(c, holder);
    rest(c, slab, true);
    for part in 0..s.units() {
        entry::store(
            run.first + part,
            Kind::Slab {
                class: c,
                part,
                state: slab.state_offset(c, part),
            },
        );
    }
    Some(slab)
}
