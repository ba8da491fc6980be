//! Slabs of each class: which have free blocks, whose they are; their locks.
//!
//! Called when a thread has used up the slab it takes from, every 64 KiB of frees, by cold classes and at thread exit.
//! Lock order: a slab's lock (`lists`; one at a time), then (never under it) the page heap's; the metadata lock is innermost.
//! Nothing allocates under them.
//!
//! A slab is *listed* when somebody noticed free blocks in it: a free does not look at more than its block, but every
//! 64 KiB of frees of a thread the slab at hand is looked at ([`noticed`]). The list is first in, first out, so that a slab
//! gathers free blocks while it waits.

mod acquire;
mod common;
mod lists;
mod settle;

pub use acquire::{acquire, may_take_single};
pub use common::{Taken, put_back, state_of, take_common};
pub use lists::{Owned, each_lock, lock_slab, of};
pub use settle::{disown, end, let_go, noticed, released, settle_swept, share_idle};

use super::slab::{Slab, shape};
use crate::space;
use crate::space::entry::{self, Kind};
use aethalloc_base::class::Class;

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
    let x = offset * s.reciprocal() as u64;
    let i = (x >> 32) as usize;
    (((x as u32) < s.reciprocal()) && i < s.per_unit()).then(|| (Slab::of_entry(c, part, state), i))
}

/// Looks an address up in the page map.
#[inline]
pub fn lookup(address: usize) -> Option<(usize, Kind)> {
    let u = space::unit_of(address)?;
    Some((u, entry::load(u)))
}
