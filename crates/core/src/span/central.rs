//! Slabs of each class: which have free blocks, who owns which; one lock a class.
//!
//! Called when a thread has used up the slab it takes from, every 32 KiB of frees, by cold classes and at thread exit.
//! Lock order: class lock, then (never under it) the page heap's; the metadata lock is innermost. Nothing allocates
//! under a class lock.
//!
//! A class that is not a multiple of a line has owned slabs: only the owner takes single blocks out of them. Slabs of
//! nobody (`COMMON`: of cold and exited threads) are handed out by whole line groups. Line classes have neither.
//!
//! A slab is *listed* when somebody noticed free blocks in it: a free does not look at more than its block, but every
//! 32 KiB of frees of a thread the slab at hand is looked at ([`noticed`]). The list is first in, first out, so that a slab
//! gathers free blocks while it waits.

use super::chain::Chain;
use super::claim::State;
use super::slab::{COMMON, FREE, List, MIXED, OUT, POOLS, RESERVED, SHARED, Slab, eligible, shape};
use crate::pages;
use crate::space::entry::{self, Kind};
use crate::space::{self, pool};
use crate::sync::{AtomicU8, AtomicU32, Ordering::*};
use aethalloc_base::class::{self, Class};
use aethalloc_base::policy;
use aethalloc_sys::lock::{Held, Lock};

/// What the lock of one class guards.
pub struct Central {
    lock: Lock,
    /// Slabs of nobody with free blocks.
    partial: Chain,
    /// Slabs of nobody that nobody holds, and in which no free blocks were noticed.
    resting: Chain,
    /// Resting slabs that the next search looks at: fewer while searches find nothing (the heap grows).
    looks: AtomicU32,
    /// Slabs of this class (for statistics; changed with Relaxed adds).
    pub slabs: AtomicU32,
}

static CENTRAL: [Central; class::COUNT] = [const {
    Central {
        lock: Lock::new(),
        partial: Chain::new(),
        resting: Chain::new(),
        looks: AtomicU32::new(MOST_LOOKS),
        slabs: AtomicU32::new(0),
    }
}; class::COUNT];

/// The central part of class `c`.
#[inline]
pub fn of(c: Class) -> &'static Central {
    debug_assert!(c < class::COUNT);
    // SAFETY: classes are below COUNT wherever they come from (tables, page-map entries, claim words checked).
    unsafe { CENTRAL.get_unchecked(c) }
}

/// A thread's lists of its own slabs of one class, under the class lock.
#[derive(Default)]
pub struct Owned {
    /// With free blocks.
    partial: Chain,
    /// The rest.
    rest: Chain,
}

impl Central {
    /// Takes the class lock.
    #[inline]
    pub fn lock(&self) -> Held<'_> {
        self.lock.take()
    }
    /// The lock itself (the fork handlers).
    pub fn raw_lock(&self) -> &Lock {
        &self.lock
    }
}

/// Takes a slab off the list it is on, if any (class lock held).
fn unlink(c: Class, slab: &Slab) {
    let list = slab.list.load(Relaxed);
    if list == List::Central as u32 {
        of(c).partial.remove(slab);
    } else if list == List::Resting as u32 {
        of(c).resting.remove(slab);
    } else if list != List::None as u32
        && let Some(owned) = super::owners::owned(slab.owner.load(Relaxed), c)
    {
        if list == List::Partial as u32 {
            owned.partial.remove(slab);
        } else {
            owned.rest.remove(slab);
        }
    }
    slab.claim.set_listed(false);
}

/// Puts a slab that has free blocks and no holder on the right list (class lock held).
fn enlist(c: Class, slab: &Slab) {
    unlink(c, slab);
    match super::owners::owned(slab.owner.load(Relaxed), c) {
        Some(owned) => owned.partial.append(slab, List::Partial),
        None => of(c).partial.append(slab, List::Central),
    }
    slab.claim.set_listed(true);
}

/// A slab that is on no list, held or resting, goes on its owner's list of the rest if it has an owner, else, resting, on
/// the class's (class lock held).
fn rest(c: Class, slab: &Slab, held: bool) {
    match super::owners::owned(slab.owner.load(Relaxed), c) {
        Some(owned) => owned.rest.append(slab, List::Rest),
        None if held => {}
        None => of(c).resting.append(slab, List::Resting),
    }
}

/// A `part`-th of the slab may be handed out, and some group of it is worth a reservation.
fn is_worth(c: Class, slab: &Slab, part: usize) -> bool {
    let single = may_take_single(slab);
    let s = shape(c);
    let (mut all, mut most) = (0, 0);
    for g in 0..s.groups {
        let n = eligible(slab.free_mask(c, g), s.line, single).count_ones() as usize;
        all += n;
        most = most.max(n);
    }
    all * part >= s.blocks && most >= s.worth
}

/// Of the slabs that have rested longest, one that has become worth being held (class lock held). Those looked at in
/// vain go to the end.
fn search(c: Class, chain: &Chain, list: List, part: usize) -> Option<&'static Slab> {
    let looks = of(c).looks.load(Relaxed);
    for _ in 0..looks {
        let r = chain.first();
        if r == 0 {
            return None;
        }
        let slab = Slab::at(r);
        if slab.claim.state(c) == State::Resting
            && is_worth(c, slab, part)
            && !slab.claim.is_frozen()
        {
            of(c).looks.store(MOST_LOOKS, Relaxed);
            return Some(slab);
        }
        chain.remove(slab);
        chain.append(slab, list);
    }
    of(c).looks.store((looks / 2).max(1), Relaxed);
    None
}

/// `holder` holds a listed slab from now on (class lock held).
fn hold(c: Class, slab: &Slab, holder: u32) {
    unlink(c, slab);
    rest(c, slab, true);
    slab.cursor.store(0, Relaxed);
    slab.claim.hold(holder);
}

/// A fresh slab of class `c`, every block free, held by `holder`, owned by `owner` (an id or a tag); `None`: out of
/// memory. The caller holds no lock.
fn fresh(c: Class, owner: u32, holder: u32) -> Option<&'static Slab> {
    let s = shape(c);
    let run = match pages::take(s.units) {
        Some(run) => {
            if pages::limit::wants_sweep() {
                super::purge::all();
            }
            run
        }
        // Before memory is out, what others left empty is looked for.
        None => {
            super::purge::all();
            pages::take(s.units)?
        }
    };
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
    slab.reserved.store(0, Relaxed);
    for clean in &slab.clean {
        clean.store(if run.clean { u16::MAX } else { 0 }, Relaxed);
    }
    slab.unit.store(run.first as u32, Relaxed);
    slab.owner.store(owner, Relaxed);
    slab.clear(c);
    slab.claim.begin(c, holder);
    of(c).slabs.fetch_add(1, Relaxed);
    for part in 0..s.units {
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

/// Listed slabs that one acquisition looks at.
const LOOKS: usize = 4;
/// Resting slabs that one search looks at, at most.
const MOST_LOOKS: u32 = 32;

/// A slab of class `c` for the thread `id` (its `serial` never returns) to hold: its own with free blocks, a common one, or
/// a fresh one. `None`: out of memory.
///
/// Blocks of a common slab are handed out by whole line groups, so a busy thread takes one only if it may make it its own
/// (it is the only thread that ever took from it) or if half of it is such groups: then memory counts more.
#[inline(never)]
#[unsafe(link_section = ".text.unlikely.later")]
pub fn acquire(c: Class, id: u32, serial: u32) -> Option<&'static Slab> {
    let line = class::is_line(c);
    let part = policy::worthy_part(class::size(c));
    {
        let _held = of(c).lock();
        let owned = super::owners::owned(id, c);
        if let Some(owned) = owned {
            let r = owned.partial.first();
            if r != 0 {
                let slab = Slab::at(r);
                hold(c, slab, id);
                return Some(slab);
            }
            if let Some(slab) = search(c, &owned.rest, List::Rest, part) {
                hold(c, slab, id);
                return Some(slab);
            }
        }
        for _ in 0..LOOKS {
            let r = of(c).partial.first();
            if r == 0 {
                break;
            }
            let slab = Slab::at(r);
            if line {
                hold(c, slab, id);
                return Some(slab);
            }
            if owned.is_some() && slab.taker.load(Relaxed) == serial {
                unlink(c, slab);
                slab.owner.store(id, Relaxed);
                hold(c, slab, id);
                return Some(slab);
            }
            if is_worth(c, slab, 2) {
                adopt_if_free(c, slab, id);
                hold(c, slab, id);
                return Some(slab);
            }
            // It may become worth it later: the frees notice.
            unlink(c, slab);
            rest(c, slab, false);
        }
        // Of a common slab of another class half must be whole lines.
        if let Some(slab) = search(
            c,
            &of(c).resting,
            List::Resting,
            if line { part } else { 2 },
        ) {
            adopt_if_free(c, slab, id);
            hold(c, slab, id);
            return Some(slab);
        }
    }
    let slab = fresh(c, if line { SHARED } else { id }, id)?;
    if !line {
        let _held = of(c).lock();
        rest(c, slab, true);
    }
    Some(slab)
}

/// A common slab without any object becomes `id`'s; another stays common, with one more taker (class lock held).
#[cold]
fn adopt_if_free(c: Class, slab: &Slab, id: u32) {
    if slab.owner.load(Relaxed) != COMMON {
        return;
    }
    unlink(c, slab);
    if slab.all_free(c) && super::owners::owned(id, c).is_some() {
        slab.owner.store(id, Relaxed);
    } else {
        slab.taker.store(MIXED, Relaxed);
    }
}

/// The holder of `slab` lets go of it (or it does not exist any more). `list`: there are free blocks worth a look;
/// else the slab rests until a free notices some.
#[inline(never)]
pub fn let_go(c: Class, slab: &'static Slab, id: u32, list: bool) {
    let release = {
        let _held = of(c).lock();
        if slab.claim.state(c) != State::Held || !slab.claim.is_held_by(id) {
            return;
        }
        slab.claim.let_go();
        if list {
            settle(c, slab)
        } else {
            unlink(c, slab);
            rest(c, slab, false);
            false
        }
    };
    if release {
        end(c, slab);
    }
}

/// Lists a slab that nobody holds, or takes it out of everybody's reach if it is all free: the caller then ends it, without
/// the lock (class lock held). While somebody purges it, it only gets listed: that one looks again.
fn settle(c: Class, slab: &Slab) -> bool {
    if slab.claim.is_frozen() || !slab.all_free(c) {
        if slab.claim.state(c) != State::Listed {
            enlist(c, slab);
        }
        return false;
    }
    unlink(c, slab);
    slab.claim.end();
    // Under the lock: a purge that finds the entry under it may rely on the slab.
    let unit = slab.unit.load(Relaxed) as usize;
    for part in 0..shape(c).units {
        entry::store(unit + part, Kind::Freed { class: c });
    }
    true
}

/// Whoever holds this slab may take single blocks: its line class or its one owner guarantees that no line is shared.
#[inline]
pub fn may_take_single(slab: &Slab) -> bool {
    slab.owner.load(Relaxed) != COMMON
}

/// Blocks of `slab` were freed: it gets listed if nobody holds it and it is on no list, and released if it is all free.
/// The slab may have ended meanwhile. The caller holds no lock.
#[unsafe(link_section = ".text.unlikely.later")]
pub fn noticed(c: Class, slab: &'static Slab) {
    if slab.claim.looks_held() || !slab.claim.looks_resting() && !slab.all_free(c) {
        return;
    }
    let release = {
        let _held = of(c).lock();
        match slab.claim.state(c) {
            State::Gone | State::Held => false,
            State::Listed | State::Resting => settle(c, slab),
        }
    };
    if release {
        end(c, slab);
    }
}

/// As [`noticed`], but only a slab that is all free matters.
#[unsafe(link_section = ".text.unlikely.later")]
pub fn released(c: Class, slab: &'static Slab) {
    if !slab.claim.looks_held() && slab.all_free(c) {
        noticed(c, slab);
    }
}

/// Ends a slab's life: nobody can find it any more, so it is the caller's alone.
pub fn end(c: Class, slab: &'static Slab) {
    let first = slab.unit.load(Relaxed) as usize;
    let clean = slab.clean.iter().take(shape(c).units);
    let clean = clean.fold(u16::MAX, |all, clean| all & clean.load(Relaxed)) == u16::MAX;
    of(c).slabs.fetch_sub(1, Relaxed);
    // SAFETY: nobody else refers to the descriptor; stale readers see harmless bytes.
    unsafe {
        let pool = POOLS.get(c).copied().unwrap_or(0);
        pool::give(
            pool as usize,
            core::ptr::from_ref(slab).cast::<u8>().cast_mut(),
        );
    }
    pages::give(pages::Run {
        first,
        units: shape(c).units,
        clean,
    });
}

/// As [`noticed`], by the sweep, which has the class lock already and counted `free` blocks before; true: the caller calls
/// [`end`] without it.
#[unsafe(link_section = ".text.unlikely.later")]
pub fn settle_swept(c: Class, slab: &'static Slab, free: usize) -> bool {
    match slab.claim.state(c) {
        State::Gone | State::Held => false,
        State::Listed | State::Resting => free >= shape(c).worth && settle(c, slab),
    }
}

/// Takes one line group of class `c` (one block of a line class) for a thread without a slab: the address of the first
/// block, which is OUT, and the number of blocks; the others are RESERVED for the caller, so that no line is shared.
/// `None`: out of memory. `serial`: the thread's, 0 if it has none.
pub fn take_common(c: Class, serial: u32) -> Option<(usize, usize)> {
    let line = class::is_line(c);
    loop {
        {
            let _held = of(c).lock();
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
            if let Some(slab) = search(c, &of(c).resting, List::Resting, 8) {
                enlist(c, slab);
                continue;
            }
        }
        // Held by an id that no thread has until it is listed: else a sweep would take it for an empty one.
        let slab = fresh(c, if line { SHARED } else { COMMON }, COMMON)?;
        let _held = of(c).lock();
        slab.claim.let_go();
        enlist(c, slab);
    }
}

/// The first free line group of a slab that nobody holds (class lock held); none of one that is being purged.
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
        slab.soil(c, g, ((1u64 << s.line) - 1) << i);
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

/// Gives up all slabs of thread `id`: they become common. Under no lock.
pub fn disown(id: u32) {
    for c in class::FIRST..class::SHARING_COUNT {
        if class::is_line(c) {
            continue;
        }
        loop {
            let (slab, release) = {
                let _held = of(c).lock();
                let Some(owned) = super::owners::owned(id, c) else {
                    break;
                };
                let r = match owned.partial.first() {
                    0 => owned.rest.first(),
                    r => r,
                };
                if r == 0 {
                    break;
                }
                let slab = Slab::at(r);
                unlink(c, slab);
                slab.owner.store(COMMON, Relaxed);
                slab.taker.store(MIXED, Relaxed);
                // A held one is somebody's whose fork left it: it stays as it is.
                let held = slab.claim.state(c) == State::Held;
                (slab, !held && settle(c, slab))
            };
            if release {
                end(c, slab);
            }
        }
    }
}

/// Where `address` lies: its slab and its number in its unit, if it is the start of a block of class `c`.
#[inline]
pub fn block_of(
    c: Class,
    part: usize,
    state: usize,
    address: usize,
) -> Option<(&'static Slab, usize)> {
    let s = shape(c);
    let offset = (address & (aethalloc_base::units::UNIT - 1)) as u64;
    let x = offset * s.reciprocal as u64;
    let i = (x >> 32) as usize;
    (((x as u32) < s.reciprocal) && i < s.per_unit).then(|| (Slab::of_entry(c, part, state), i))
}

/// Looks an address up in the page map.
#[inline]
pub fn lookup(address: usize) -> Option<(usize, Kind)> {
    let u = space::unit_of(address)?;
    Some((u, entry::load(u)))
}
