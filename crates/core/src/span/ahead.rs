//! Pages of a slab backed several at a time, by the thread that is about to use them.
//!
//! A page fault costs 1.6 us and makes the one `malloc` that meets it slow; backed by the kernel's `MADV_POPULATE_WRITE`, a page
//! costs two thirds of that and most calls meet none. So whoever reserves blocks on pages that hold nothing yet
//! has all of them backed at once, and with them the pages that follow:
//!
//! ```text
//! unit of a slab   | used | used | reserved now | next | next | clean | clean | …
//!                                |<--- one call ------------->|    `next`: a page for two slabs of the class that a thread has
//! ```
//! A thread's share is the average. So pages that nobody asked for are at most a 32nd of what the class's slabs hold. While memory that
//! purges gave back is asked for again, `next` is the rest of the unit, whatever the size of blocks. Not under option `ahead:off`, on kernels before 5.14, and with pages of more than 4 KiB.

use super::central;
use super::owners;
use super::slab::{Slab, shape};
use crate::config;
use crate::pages::purge;
use crate::sync::{AtomicBool, Ordering::*};
use aethalloc_base::class::Class;
use aethalloc_base::options::Key;
use aethalloc_base::policy;
use aethalloc_base::units::{PAGE, UNIT};
use aethalloc_sys::memory;

/// Pages of one call, unless the blocks reserved need more: eight take 9 us, and more at a time would save little.
const MOST: usize = 8;

/// Largest block whose pages are backed ahead: of larger ones a thread has few blocks to a page, and what waits in the bins of a thread
/// that sleeps keeps its pages (eight such threads: 0.8 MiB more with blocks to 1 KiB, 5 MiB with all).
const LARGEST: usize = 512;

/// Pages of one call while memory that went back is asked for again, whatever the size of blocks: all that follow in the unit. With a page
/// at a time the refill after an idle time took 1.2 to 1.3 times as long as where nothing had gone back.
const MOST_AGAIN: usize = 16;

/// The kernel has no such call, or a filter is against it.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether pages of slabs of blocks of `size` bytes are backed ahead.
#[inline]
pub fn is_worth(size: usize) -> bool {
    size <= LARGEST || purge::away() >= UNIT
}

/// The pages `fresh` of the unit of group `g`, which hold nothing, are about to be used by the slab's holder.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
pub fn back(c: Class, slab: &Slab, g: usize, fresh: u16) {
    if REFUSED.load(Relaxed) || config::get(Key::ahead) == 0 || crate::space::os_page() != PAGE {
        return;
    }
    if slab.whole.load(Relaxed) != 0 {
        return; // the first touch brings all of them
    }
    let part = if shape(c).units() > 1 { g } else { 0 };
    let Some(clean) = slab.clean.get(part) else {
        return;
    };
    let here = fresh.count_ones() as usize;
    let more = if purge::away() >= UNIT {
        MOST_AGAIN.saturating_sub(here)
    } else {
        let slabs = central::of(c).slabs.load(Relaxed) as usize;
        policy::per(slabs, 2 * owners::live()).min(MOST.saturating_sub(here))
    };
    let run = policy::with_next(fresh, clean.load(Relaxed), more);
    if run & (run - 1) == 0 {
        return; // a page alone comes by itself
    }
    let first = run.trailing_zeros() as usize;
    let n = run.count_ones() as usize;
    purge::asked_again(n * PAGE);
    let at = slab.address().wrapping_add(part * UNIT + first * PAGE);
    // SAFETY: pages of a slab.
    if unsafe { memory::populate(at, n * PAGE) }.is_err() {
        REFUSED.store(true, Relaxed);
    }
    // Afterwards, so that a purge that comes in between leaves no page behind that counts as clean.
    // ORDERING: Relaxed: only the slab's holder and its purge use the bits.
    clean.fetch_and(!run, Relaxed);
}
