//! Taking stock: what a thread does once for every 64 KiB that it frees.
//!
//! A free stores one byte and tells nobody. Its thread counts the bytes, and when the budget is used up the slab at hand is
//! looked at: listed if nobody has it in hand, released if it is all free. So is the slab of some turns ago, because blocks
//! are often freed in the order of their addresses: by now the rest of it has been freed too. The bytes are reported to
//! `span::live`, which has everything swept when most memory has become free.
//!
//! Cost: ~30 instructions, and the slab's lock for a slab that is to be listed.

use super::cache;
use super::inside::Inside;
use super::tls::{BUDGET, tls};
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
        OWED.fetch_add((BUDGET - t.budget()) as isize, Relaxed);
        t.set_budget(BUDGET);
        return;
    };
    let mut freed = (BUDGET - t.budget()) as isize;
    if OWED.load(Relaxed) != 0 {
        freed += OWED.swap(0, Relaxed);
    }
    t.set_budget(BUDGET);
    let Some((
        _,
        Kind::Slab {
            class, part, state, ..
        },
    )) = lookup(ptr.addr())
    else {
        // Its slab is gone already.
        live::change(-freed);
        return;
    };
    let slab = Slab::of_entry(class, part, state);
    match cache::current(t) {
        Some(cache) => {
            cache.count_stock(freed);
            let earlier = cache.remember(class, slab.reference());
            central::noticed(class, slab);
            if let Some((class, slab)) = earlier {
                central::released(class, Slab::at(slab));
            }
            cache.settle();
        }
        None => {
            central::noticed(class, slab);
            live::change(-freed);
        }
    }
}
