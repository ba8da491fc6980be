//! Taking stock: what a thread does once for every 64 KiB that it frees, for the first time after 4 KiB if it has allocated nothing.
//!
//! A free stores one byte and tells nobody. Its thread counts the bytes, and when the budget is used up the slab at hand is
//! looked at: listed if nobody has it in hand, released if it is all free. So is the slab of some turns ago, because blocks
//! are often freed in the order of their addresses: by now the rest of it has been freed too. The bytes are reported to
//! `span::live`, which has everything swept when most memory has become free. Slabs of several units are looked at seldom: a few
//! frees of such blocks use the budget up, and the look costs more than they do. The one of some turns ago always is: what is all free goes back.
//!
//! Cost: ~30 instructions, and the slab's lock for a slab that is to be listed.

use super::cache;
use super::inside::Inside;
use super::tls::tls;
use crate::space::entry::Kind;
use crate::span::central::{self, lookup};
use crate::span::live;
use crate::span::slab::Slab;
use crate::sync::{AtomicIsize, Ordering::*};

/// Bytes that signal handlers freed and could not report.
static OWED: AtomicIsize = AtomicIsize::new(0);

/// `ptr` was freed, and the thread's budget is used up.
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
pub extern "C" fn take_stock(ptr: *mut u8) {
    let t = tls();
    let Some(_inside) = Inside::enter(t) else {
        // In a signal handler that interrupted a slow path: nothing is looked at, and the bytes count at the next stock.
        OWED.fetch_add((t.full_budget() - t.budget()) as isize, Relaxed);
        t.set_budget(t.full_budget());
        return;
    };
    let mut cache = cache::current(t);
    let mut freed = (t.full_budget() - t.budget()) as isize;
    if OWED.load(Relaxed) != 0 {
        freed += OWED.swap(0, Relaxed);
    }
    t.set_budget(t.full_budget());
    match &mut cache {
        Some(cache) => cache.count_stock(freed),
        None => live::change(-freed),
    }
    // Else its slab is gone already.
    if let Some((
        _,
        Kind::Slab {
            class, part, state, ..
        },
    )) = lookup(ptr.addr())
    {
        let slab = Slab::of_entry(class, part, state);
        let passed_by = cache.as_mut().is_some_and(|cache| cache.passes_by(class));
        let earlier = cache
            .as_mut()
            .and_then(|cache| cache.remember(class, slab.reference()));
        if !passed_by {
            central::noticed(class, slab);
        }
        if let Some((class, slab)) = earlier {
            central::released(class, Slab::at(slab));
        }
    }
    if let Some(cache) = cache {
        cache.settle();
    }
}
