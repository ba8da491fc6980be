//! What becomes of a slab that nobody takes from: listed, resting, released; and of the slabs of a thread that ends.

use super::lists::{Owned, enlist, lock, lock_slab, rest, unlink};
use crate::pages;
use crate::space::entry::{self, Kind};
use crate::space::pool;
use crate::span::chain::Chain;
use crate::span::claim::State;
use crate::span::owners;
use crate::span::slab::{COMMON, List, MIXED, POOLS, Slab, shape};
use crate::sync::Ordering::*;
use aethalloc_base::class::{self, Class};

/// The holder of `slab` lets go of it (or it does not exist any more). `list`: there are free blocks worth a look;
/// else the slab rests until a free notices some.
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
pub fn let_go(c: Class, slab: &'static Slab, id: u32, list: bool) {
    let release = {
        let (_held, state) = lock_slab(c, slab);
        if state != State::Held || !slab.claim.is_held_by(id) {
            return;
        }
        if list {
            slab.claim.let_go();
            settle(c, slab)
        } else {
            stop_holding(c, slab, id);
            false
        }
    };
    if release {
        end(c, slab);
    }
}

/// The holder of `slab`, `id`, lets go of it (slab's lock held): it rests.
pub(super) fn stop_holding(c: Class, slab: &Slab, id: u32) {
    if slab.claim.state(c) != State::Held || !slab.claim.is_held_by(id) {
        return;
    }
    slab.claim.let_go();
    unlink(c, slab);
    rest(c, slab, false);
}

/// Lists a slab that nobody holds, or takes it out of everybody's reach if it is all free: the caller then ends it, without
/// the lock (slab's lock held). While somebody purges it, it only gets listed: that one looks again.
#[unsafe(link_section = ".text.unknown.later")]
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
    for part in 0..shape(c).units() {
        entry::store(unit + part, Kind::Freed { class: c });
    }
    true
}

/// Blocks of `slab` were freed: it gets listed if nobody holds it and it is on no list, and released if it is all free.
/// The slab may have ended meanwhile. The caller holds no lock.
#[unsafe(link_section = ".text.unknown.later")]
pub fn noticed(c: Class, slab: &'static Slab) {
    if slab.claim.looks_held() || !slab.claim.looks_resting() && !slab.all_free(c) {
        return;
    }
    look(c, slab);
}

/// Lists a slab that nobody holds, or releases it. The caller holds no lock.
fn look(c: Class, slab: &'static Slab) {
    let release = {
        let (_held, state) = lock_slab(c, slab);
        match state {
            State::Gone | State::Held => false,
            State::Listed | State::Resting => settle(c, slab),
        }
    };
    if release {
        end(c, slab);
    }
}

/// As [`noticed`], but only a slab that is all free matters.
#[unsafe(link_section = ".text.unknown.later")]
pub fn released(c: Class, slab: &'static Slab) {
    if !slab.claim.looks_held() && slab.all_free(c) {
        noticed(c, slab);
    }
}

/// Ends a slab's life: nobody can find it any more, so it is the caller's alone.
#[unsafe(link_section = ".text.unknown.later")]
pub fn end(c: Class, slab: &'static Slab) {
    let first = slab.unit.load(Relaxed) as usize;
    let clean = slab.clean.iter().take(shape(c).units());
    let clean = clean.fold(u16::MAX, |all, clean| all & clean.load(Relaxed)) == u16::MAX;
    super::of(c).slabs.fetch_sub(1, Relaxed);
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
        units: shape(c).units(),
        clean,
    });
}

/// As [`noticed`], by the sweep, which has the slab's lock already and counted `free` blocks before; true: the caller calls
/// [`end`] without it.
#[unsafe(link_section = ".text.unknown.later")]
pub fn settle_swept(c: Class, slab: &'static Slab, free: usize) -> bool {
    match slab.claim.state(c) {
        State::Gone | State::Held => false,
        State::Listed | State::Resting => free >= shape(c).worth() && settle(c, slab),
    }
}

/// Gives up all slabs of thread `id`, which has had some of the classes that `had` says: they belong to nobody from now on. Under no slab's lock.
pub fn disown(id: u32, had: impl Fn(Class) -> bool) {
    for c in (class::FIRST..class::COUNT).filter(|c| had(*c)) {
        let Some(owned) = owners::owned(id, c) else {
            return;
        };
        // A held one is somebody's whose fork left it: it stays as it is.
        while let Some(slab) = take_from(c, id, owned, true) {
            look(c, slab);
        }
    }
}

/// What threads that sleep do not hold belongs to nobody from now on, so that others take what is free there. A thread sleeps
/// if it reserved nothing since the last call; what it holds, one slab a class at most, it goes on with.
pub fn share_idle() {
    let mut last = 0;
    while let Some(id) = owners::next_idle(last) {
        last = id;
        for c in class::FIRST..class::COUNT {
            // A slab at a time, so that nobody waits long for the registry's lock. It is nobody's when it is looked at.
            let next = || take_from(c, id, owners::owned(id, c)?, false);
            while let Some(slab) = owners::while_idle(id, next) {
                look(c, slab);
            }
        }
    }
}

/// Takes a slab off the lists of `id`, or, unless `held` ones count too, one that it does not hold; it is nobody's then.
fn take_from(c: Class, id: u32, owned: &Owned, held: bool) -> Option<&'static Slab> {
    let _held = lock(c, id);
    let first = |chain: &Chain| Some(chain.first()).filter(|r| *r != 0).map(Slab::at);
    let slab = first(&owned.partial).or_else(|| {
        let slab = first(&owned.rest)?;
        if held || slab.claim.state(c) != State::Held {
            return Some(slab);
        }
        // It holds one slab of the class at most.
        owned.rest.remove(slab);
        owned.rest.append(slab, List::Rest);
        first(&owned.rest).filter(|other| !core::ptr::eq(*other, slab))
    })?;
    unlink(c, slab);
    slab.taker.store(MIXED, Relaxed);
    // ORDERING: Release, pairs with Acquire in `Claim::lock_by`.
    slab.owner.store(COMMON, Release);
    Some(slab)
}
