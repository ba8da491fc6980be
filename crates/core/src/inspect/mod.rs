//! Checks of the heap against the rules that the parts' documents state. For tests: fuzzing, stress, soak.
//!
//! ```text
//! page heap     masks, bins, dirty list and sums agree
//! pools         every chunk's count is its map's, every chunk with room is listed once
//! slabs         state bytes, claim word, list and empty pages of each; what is reserved waits in a stash
//! page map      what begins in a unit is in use, and nothing begins inside another
//! Census        units in use that are neither a slab's nor a large object's are told apart
//! ```
//! Nothing here is called by the allocator, nothing is changed; a program that does not call it does not contain it.
//! Costs a walk over the page map: microseconds for a small heap.

mod slabs;

use crate::front::large::run_units;
use crate::pages;
use crate::rule::{Broken, equal, holds};
use crate::space::entry::{self, Kind};
use crate::space::{self, pool};
use crate::span::central;
use crate::span::slab::Slab;
use crate::sync::Ordering::*;
use aethalloc_base::class;
use aethalloc_base::units::UNITS_PER_REGION;

pub use slabs::each_out;

/// Sums of a heap that was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// Count: slabs.
    pub slabs: usize,
    /// Units of them.
    pub slab_units: usize,
    /// Count: blocks out, an object in each.
    pub out: usize,
    /// Count: large objects.
    pub large: usize,
    /// Units of them.
    pub large_units: usize,
    /// Units in use by the page heap's masks that are neither a slab's nor a large object's: runs that a caller of
    /// `pages::take` holds, or that are lost.
    pub unclaimed: usize,
}

/// Checks everything. No other thread may be inside the allocator, or the sums are of different moments: then a rule
/// may look broken that is not. Memory is safe either way.
pub fn check() -> Result<Census, Broken> {
    let mut census = Census::default();
    if !space::ready() {
        return Ok(census);
    }
    pages::inspect::check()?;
    pool::inspect::check()?;
    let mut of_class = [0; class::COUNT];
    let (mut covered, mut reserved) = (0, 0);
    for u in space::first_unit()..pages::top_unit() {
        let end = match entry::load(u) {
            // What a sampled or hardened object holds counts as unclaimed.
            Kind::None
            | Kind::Freed { .. }
            | Kind::Fenced { .. }
            | Kind::Sampled { .. }
            | Kind::Hardened { .. } => {
                continue;
            }
            Kind::Slab {
                class, part, state, ..
            } => {
                let slab = Slab::of_entry(class, part, state);
                let (out, of_stashes) = slabs::unit(class, slab, u, part)?;
                census.out += out;
                reserved += of_stashes;
                census.slab_units += 1;
                if part == 0 {
                    census.slabs += 1;
                    if let Some(n) = of_class.get_mut(class) {
                        *n += 1;
                    }
                }
                u + 1
            }
            Kind::Large { pages, guarded } => {
                let units = run_units(pages, guarded);
                census.large += 1;
                census.large_units += units;
                u + units
            }
        };
        holds("page map: nothing begins inside another", u, u >= covered)?;
        covered = end;
    }
    equal(
        "stash: as many blocks as are reserved",
        0,
        slabs::stashed(),
        reserved,
    )?;
    let (claimed, in_use) = masks()?;
    let wanted = census.slab_units + census.large_units;
    equal("page map: claimed units are in use", 0, claimed, wanted)?;
    census.unclaimed = in_use - claimed;
    for c in class::FIRST..class::COUNT {
        let (n, said) = (of_class.get(c).copied().unwrap_or(0), &central::of(c).slabs);
        let rule = "class: slabs counted = slabs in the page map";
        equal(rule, c, said.load(Relaxed) as usize, n)?;
    }
    let (_, count, _) = crate::front::large::stats();
    equal(
        "large: objects counted = objects in the page map",
        0,
        count,
        census.large,
    )?;
    Ok(census)
}

/// Units of slabs and large objects that the masks say are in use, and all units in use.
fn masks() -> Result<(usize, usize), Broken> {
    let (mut claimed, mut in_use, mut broken, mut large_end) = (0, 0, None, 0);
    pages::inspect::each_region(&mut |r, used, _| {
        for b in 0..UNITS_PER_REGION {
            let u = r * UNITS_PER_REGION + b;
            let (is_used, kind) = (used >> b & 1 == 1, entry::load(u));
            if let Kind::Large { pages, guarded } = kind {
                large_end = u + run_units(pages, guarded);
            }
            let is_claimed = u < large_end || matches!(kind, Kind::Slab { .. });
            claimed += (is_claimed && is_used) as usize;
            in_use += is_used as usize;
            let rule = "page map: a claimed unit is in use";
            broken = broken.or(holds(rule, u, !is_claimed || is_used).err());
        }
    });
    match broken {
        Some(b) => Err(b),
        None => Ok((claimed, in_use)),
    }
}
