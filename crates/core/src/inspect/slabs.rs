//! The rules of slabs: state bytes, claim word, list, pages that hold nothing.

use crate::pages;
use crate::rule::{Broken, equal, holds};
use crate::space;
use crate::space::entry::{self, Kind};
use crate::span::claim::State;
use crate::span::owners;
use crate::span::slab::{COMMON, FREE, List, OUT, RESERVED, Slab, shape};
use crate::sync::Ordering::*;
use crate::thread::bins::BINS;
use crate::thread::cache::Cache;
use aethalloc_base::class::Class;
use aethalloc_base::units::PAGE;

/// Checks unit `u`, part `part` of a slab of class `c`; blocks out in it and blocks reserved.
pub fn unit(c: Class, slab: &Slab, u: usize, part: usize) -> Result<(usize, usize), Broken> {
    let s = shape(c);
    let first = slab.unit.load(Relaxed) as usize;
    equal("slab: its first unit", u, first + part, u)?;
    let state = slab.claim.state(c);
    holds("slab: a life of its class", u, state != State::Gone)?;
    let owner = slab.owner.load(Relaxed);
    let owned = owner != COMMON;
    let list = slab.list.load(Relaxed);
    let wanted = match (state, owned) {
        (State::Listed, true) => List::Partial,
        (State::Listed, false) => List::Central,
        (_, true) => List::Rest,
        (State::Held, false) => List::None,
        (_, false) => List::Resting,
    };
    equal("slab: the list it is on", u, list as usize, wanted as usize)?;
    if owned {
        let lists = owners::owned(owner, c).is_some();
        holds("slab: its owner has lists", u, lists)?;
    }
    let clean = slab.clean.get(part).map_or(0, |w| w.load(Relaxed));
    let (mut out, mut reserved) = (0, 0);
    for i in 0..s.row() {
        match slab.state(c, part, i).load(Relaxed) {
            OUT => {
                holds("slab: tails are reserved", u, i < s.per_unit())?;
                let pages = i * s.size() / PAGE..=((i + 1) * s.size() - 1) / PAGE;
                for page in pages {
                    let rule = "slab: no object lies in a page that holds nothing";
                    holds(rule, u, clean >> page & 1 == 0)?;
                }
                out += 1;
            }
            FREE => holds("slab: tails are reserved", u, i < s.per_unit())?,
            RESERVED => reserved += (i < s.per_unit()) as usize,
            other => equal("slab: a state", u, other as usize, OUT as usize)?,
        }
    }
    Ok((out, reserved))
}

/// Blocks that wait in the stashes of all threads and in the bins of their cold classes: as many must be reserved.
///
/// Memory of running threads: the caller promises that none is inside the allocator.
pub fn stashed() -> usize {
    let mut n = 0;
    owners::each(|owner| {
        // SAFETY: a registered cache; words are read one by one.
        let stash = unsafe { (&raw const (*owner.cast::<Cache>()).stash).read_volatile() };
        n += stash
            .iter()
            .map(|s| (s & 15).count_ones() as usize)
            .sum::<usize>();
        // SAFETY: as above.
        let bins = unsafe { (*owner.cast::<Cache>()).bins.load(Relaxed) };
        if !bins.is_null() {
            // SAFETY: as above; a set of bins begins with the table.
            let table = unsafe { bins.cast::<BINS>().read_volatile() };
            let common = table.iter().filter(|bin| bin.slab == 0);
            n += common
                .map(|bin| bin.bits.count_ones() as usize)
                .sum::<usize>();
        }
    });
    n
}

/// Class and address of every block in which an object lives, by ascending address.
pub fn each_out(f: &mut dyn FnMut(Class, usize)) {
    for u in space::first_unit()..pages::top_unit() {
        let Kind::Slab {
            class: c,
            part,
            state,
            ..
        } = entry::load(u)
        else {
            continue;
        };
        let (slab, s) = (Slab::of_entry(c, part, state), shape(c));
        let at = space::address_of(u).addr();
        for i in 0..s.per_unit() {
            if slab.state(c, part, i).load(Relaxed) == OUT {
                f(c, at + i * s.size());
            }
        }
    }
}
