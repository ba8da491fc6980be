//! Slabs of each class: which have free blocks, who owns which; one lock a class.
//!
//! Called by refills, flushes and thread exit. Lock order: class lock, then (never under it) the page heap's; the
//! metadata lock is innermost. Nothing allocates under a class lock.
//!
//! A class that is not a multiple of a line has owned slabs: only the owner takes single blocks out of them. Slabs of
//! nobody (`COMMON`: of cold and exited threads) are handed out by whole line groups. Line classes have neither.

use super::claim::{After, Verdict};
use super::slab::{List, MIXED, POOLS, Slab, shape};
use crate::pages;
use crate::space::entry::{self, COMMON, Kind, SHARED};
use crate::space::{self, pool};
use crate::sync::{AtomicU32, Ordering::*};
use aethalloc_base::class::{self, Class};
use aethalloc_sys::lock::{Held, Lock};

/// What the lock of one class guards.
pub struct Central {
    lock: Lock,
    /// Slabs of nobody with free blocks.
    partial: AtomicU32,
    /// Slabs of this class (for statistics; changed with Relaxed adds).
    pub slabs: AtomicU32,
}

static CENTRAL: [Central; class::COUNT] = [const {
    Central {
        lock: Lock::new(),
        partial: AtomicU32::new(0),
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
    pub partial: AtomicU32,
    /// The rest.
    pub full: AtomicU32,
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

fn push(head: &AtomicU32, slab: &Slab, list: List) {
    let (r, old) = (slab.reference(), head.load(Relaxed));
    slab.next.store(old, Relaxed);
    slab.prev.store(0, Relaxed);
    slab.list.store(list as u32, Relaxed);
    if old != 0 {
        Slab::at(old).prev.store(r, Relaxed);
    }
    head.store(r, Relaxed);
}

fn unlink(c: Class, slab: &Slab) {
    let list = slab.list.load(Relaxed);
    if list == List::None as u32 {
        return;
    }
    let (next, prev) = (slab.next.load(Relaxed), slab.prev.load(Relaxed));
    if next != 0 {
        Slab::at(next).prev.store(prev, Relaxed);
    }
    if prev != 0 {
        Slab::at(prev).next.store(next, Relaxed);
    } else if list == List::Central as u32 {
        of(c).partial.store(next, Relaxed);
    } else if let Some(owned) = super::owners::owned(slab.owner.load(Relaxed), c) {
        let head = if list == List::Partial as u32 {
            &owned.partial
        } else {
            &owned.full
        };
        head.store(next, Relaxed);
    }
    slab.list.store(List::None as u32, Relaxed);
}

/// Puts a slab that has free blocks on the right list (class lock held).
fn enlist(c: Class, slab: &Slab) {
    unlink(c, slab);
    match super::owners::owned(slab.owner.load(Relaxed), c) {
        Some(owned) => push(&owned.partial, slab, List::Partial),
        None => push(&of(c).partial, slab, List::Central),
    }
}

/// A fresh slab of class `c`, held by thread `holder` with one block reserved (see [`super::claim::Claim::acquire`]),
/// owned by `owner` (an id or a tag); `None`: out of memory.
fn fresh(c: Class, owner: u32, holder: u32) -> Option<&'static Slab> {
    let run = pages::take(1)?;
    let pool = *POOLS.get(c)? as usize;
    let Some((place, zero)) = pool::take(pool) else {
        pages::give(run);
        return None;
    };
    let s = shape(c);
    if !zero {
        // SAFETY: the place is ours and as large as a descriptor of this class.
        unsafe {
            place
                .as_ptr()
                .write_bytes(0, super::slab::descriptor_size(c))
        };
    }
    let slab = Slab::at(crate::space::meta::reference(place.as_ptr()));
    if super::slab::has_tail(c) {
        slab.state(s.words, s.blocks)
            .store(super::slab::FREE, Relaxed);
    }
    slab.unit.store(run.first as u32, Relaxed);
    slab.owner.store(owner, Relaxed);
    slab.claim.acquire(c, holder);
    debug_assert!(s.blocks > 0);
    of(c).slabs.fetch_add(1, Relaxed);
    publish(c, slab);
    Some(slab)
}

/// A slab of class `c` for the thread `id` (its `serial` never returns) to hold: its own with free blocks, a common one, or a fresh one.
///
/// Blocks of a common slab come back one by one through the slow path, so a busy thread takes one only if it may make
/// it its own (it is the only thread that ever took from it) or if half of it is free: then memory counts more.
pub fn acquire(c: Class, id: u32, serial: u32) -> Option<&'static Slab> {
    let line = class::is_line(c);
    {
        let _held = of(c).lock();
        let owned = if line {
            None
        } else {
            super::owners::owned(id, c)
        };
        if let Some(owned) = owned {
            let r = fullest(owned.partial.load(Relaxed));
            if r != 0 {
                let slab = Slab::at(r);
                unlink(c, slab);
                slab.claim.hold(id);
                push(&owned.full, slab, List::Full);
                return Some(slab);
            }
        }
        loop {
            let r = fullest(of(c).partial.load(Relaxed));
            if r == 0 {
                break;
            }
            let slab = Slab::at(r);
            let adopt = owned.is_some() && slab.taker.load(Relaxed) == serial;
            if !line && !adopt && slab.claim.out() * 2 > shape(c).blocks {
                break;
            }
            unlink(c, slab);
            if slab.has_free(c, line || adopt) {
                if let (true, Some(owned)) = (adopt, owned) {
                    slab.owner.store(id, Relaxed);
                    publish(c, slab);
                    push(&owned.full, slab, List::Full);
                } else {
                    slab.taker.store(MIXED, Relaxed);
                }
                slab.claim.hold(id);
                return Some(slab);
            }
            slab.claim.unlist();
        }
    }
    let slab = fresh(c, if line { SHARED } else { id }, id)?;
    if !line {
        let _held = of(c).lock();
        if let Some(owned) = super::owners::owned(id, c) {
            push(&owned.full, slab, List::Full);
        }
    }
    slab.claim.unreserve(1);
    Some(slab)
}

/// Tells the page map who owns `slab`.
fn publish(c: Class, slab: &Slab) {
    let (unit, tag) = (slab.unit.load(Relaxed) as usize, slab.owner.load(Relaxed));
    entry::store(
        unit,
        Kind::Slab {
            class: c,
            tag,
            state: slab.state_offset(c),
        },
    );
}

/// Of the first few slabs of a list the one with the most blocks out, so that sparse ones drain; 0 if it is empty.
fn fullest(head: u32) -> u32 {
    let (mut best, mut most, mut at) = (head, 0, head);
    for _ in 0..4 {
        if at == 0 {
            break;
        }
        let slab = Slab::at(at);
        let out = slab.claim.out();
        if out > most {
            (best, most) = (at, out);
        }
        at = slab.next.load(Relaxed);
    }
    best
}

/// Thread `id` lets go of `slab`, if it still holds it.
pub fn let_go(c: Class, slab: &'static Slab, id: u32) {
    let single = may_take_single(slab);
    let verdict = {
        let _held = of(c).lock();
        let verdict = slab
            .claim
            .let_go(c, id, shape(c).blocks, single || slab.has_free(c, false));
        act(c, slab, verdict);
        verdict
    };
    if verdict == Verdict::Release {
        release(c, slab);
    }
}

/// Lists or unlinks as the verdict says (class lock held); a release follows outside the lock.
fn act(c: Class, slab: &Slab, verdict: Verdict) {
    match verdict {
        Verdict::List => enlist(c, slab),
        Verdict::Release => {
            unlink(c, slab);
            // Under the lock: a purge that finds the entry under it may rely on the slab.
            entry::store(slab.unit.load(Relaxed) as usize, Kind::Freed { class: c });
        }
        Verdict::Leave => {}
    }
}

/// Whoever holds this slab may take single blocks: its line class or its one owner guarantees that no line is shared.
#[inline]
pub fn may_take_single(slab: &Slab) -> bool {
    slab.owner.load(Relaxed) != COMMON
}

/// `n` blocks of `slab` were put back by thread `me` (0: one without a cache); their bits are set.
#[inline]
pub fn settle(c: Class, slab: &'static Slab, n: usize, me: u32) {
    if slab.claim.put(n, me) == After::Judge {
        judge(c, slab);
    }
}

#[cold]
#[inline(never)]
fn judge(c: Class, slab: &'static Slab) {
    let verdict = {
        let _held = of(c).lock();
        let verdict = slab.claim.judge(c);
        act(c, slab, verdict);
        verdict
    };
    if verdict == Verdict::Release {
        release(c, slab);
    }
}

/// Ends a slab's life: its claim word is zero and it is on no list, so it is the caller's alone.
fn release(c: Class, slab: &'static Slab) {
    let unit = slab.unit.load(Relaxed) as usize;
    of(c).slabs.fetch_sub(1, Relaxed);
    // SAFETY: nobody else refers to the descriptor; stale readers see harmless bytes.
    unsafe { pool::give(core::ptr::from_ref(slab).cast::<u8>().cast_mut()) };
    pages::give(pages::Run {
        first: unit,
        units: 1,
        clean: false,
    });
}

/// Takes up to `want` blocks of class `c` for a thread without a slab: any blocks of a line class, one line group of
/// the others (the caller holds the whole group, so that no line is shared). 0: out of memory.
/// `serial`: the thread's, 0 if it has none. `out` has room for `want.max(4)` addresses.
pub fn take_common(c: Class, serial: u32, want: usize, out: *mut usize) -> usize {
    let line = class::is_line(c);
    loop {
        {
            let _held = of(c).lock();
            loop {
                let r = of(c).partial.load(Relaxed);
                if r == 0 {
                    break;
                }
                let slab = Slab::at(r);
                let mut at = out;
                let sink = |p| {
                    // SAFETY: the caller's `out` has room for what is asked, or for one group.
                    unsafe { at.write(p) };
                    at = at.wrapping_add(1);
                };
                let got = slab
                    .take(c, 0, if line { want } else { 1 }, line, sink)
                    .unwrap_or(0);
                if got > 0 {
                    if !line {
                        let taker = slab.taker.load(Relaxed);
                        let sole = serial != 0 && (taker == 0 || taker == serial);
                        slab.taker.store(if sole { serial } else { MIXED }, Relaxed);
                    }
                    super::live::taken(got * shape(c).size);
                    return got;
                }
                unlink(c, slab);
                slab.claim.unlist();
            }
        }
        let Some(slab) = fresh(c, if line { SHARED } else { COMMON }, 0) else {
            return 0;
        };
        let _held = of(c).lock();
        // No block is out yet, so nobody else can know the slab.
        slab.claim.acquire_listed(c);
        push(&of(c).partial, slab, List::Central);
    }
}

/// Puts one block back (no magazine, no outbox). The address is a block's start. True: it was back already.
pub fn put_one(c: Class, slab: &'static Slab, i: usize, me: u32) -> bool {
    let s = shape(c);
    slab.state(s.words, i).store(super::slab::FREE, Relaxed);
    if slab.put_word(i / 64, 1 << (i % 64)) != 0 {
        return true;
    }
    settle(c, slab, 1, me);
    super::live::put(s.size);
    false
}

/// Gives up all slabs of thread `id`: they become common. Under no lock.
pub fn disown(id: u32) {
    for c in class::FIRST..class::FAST_COUNT {
        if class::is_line(c) {
            continue;
        }
        let _held = of(c).lock();
        let Some(owned) = super::owners::owned(id, c) else {
            continue;
        };
        for full in [false, true] {
            loop {
                let r = if full {
                    owned.full.load(Relaxed)
                } else {
                    owned.partial.load(Relaxed)
                };
                if r == 0 {
                    break;
                }
                let slab = Slab::at(r);
                unlink(c, slab);
                slab.owner.store(COMMON, Relaxed);
                slab.taker.store(MIXED, Relaxed);
                publish(c, slab);
                if !full {
                    push(&of(c).partial, slab, List::Central);
                }
            }
        }
    }
}

/// Where `address` lies: its slab and block number, if it is the start of a block of class `c`.
#[inline]
pub fn block_of(c: Class, state: usize, address: usize) -> Option<(&'static Slab, usize)> {
    let s = shape(c);
    let offset = (address & (aethalloc_base::units::UNIT - 1)) as u64;
    let x = offset * s.reciprocal as u64;
    let i = (x >> 32) as usize;
    (((x as u32) < s.reciprocal) && i < s.blocks).then(|| (Slab::of_entry(c, state), i))
}

/// Looks an address up in the page map.
#[inline]
pub fn lookup(address: usize) -> Option<(usize, Kind)> {
    let u = space::unit_of(address)?;
    Some((u, entry::load(u)))
}
