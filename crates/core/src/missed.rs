//! What frees keep beyond the formula where no support thread watches demand.
//!
//! A free that broke the bound gives memory back at once. If the same memory is needed again soon after, that was
//! wrong, and a program whose load goes up and down would pay for it each time. So each such free asks here first, and
//! says what it gave: once memory that was given back has been missed, recent demand (`base::demand`) is kept as the support
//! thread would keep it, until nothing was missed for long.
//!
//! Time passes only when somebody asks: what demand no longer asks for goes back with a later free. Cost: a system
//! call for the time and ~100 instructions, only beyond the formula's bound.

use crate::config;
use crate::sync::{AtomicBool, Ordering::*};
use aethalloc_base::demand::{Demand, LEAST_SLOTS};
use aethalloc_base::options::Key;
use aethalloc_sys::thread::now_ms;
use core::cell::UnsafeCell;

/// Bytes that are missed in a slot (a tenth of the option `decay`) where frees are to keep more: with 2 us to fault a page in, 2 to 4 % of the time.
const OFTEN: usize = 4 << 20;

/// Demand for one kind of memory, as the frees see it.
pub struct Missed {
    busy: AtomicBool,
    demand: UnsafeCell<Demand>,
}
// SAFETY: the demand is touched only by whoever set `busy`.
unsafe impl Sync for Missed {}

impl Missed {
    /// Nothing was ever missed.
    /// `unit`: bytes of what it is told in.
    pub const fn new(unit: usize) -> Self {
        Missed {
            busy: AtomicBool::new(false),
            demand: UnsafeCell::new(Demand::sparing(0, OFTEN / unit)),
        }
    }

    /// `None` if another thread is at it: nobody waits for a policy.
    fn with<R>(&self, f: impl FnOnce(&mut Demand) -> R) -> Option<R> {
        // ORDERING: Acquire, pairs with Release below: the last one's changes are seen.
        if self.busy.swap(true, Acquire) {
            return None;
        }
        // SAFETY: `busy` was clear and is ours; `f` does not come back here.
        let r = f(unsafe { &mut *self.demand.get() });
        self.busy.store(false, Release);
        Some(r)
    }

    /// `used` is in use and `peak` was the most since the last call: how much free memory is worth keeping. 0 unless
    /// memory given back was missed; `None` while another thread asks.
    pub fn keep(&self, peak: usize, used: usize) -> Option<usize> {
        let slot_ms = (config::get(Key::decay) as u64 / LEAST_SLOTS).max(1);
        let slot = now_ms().checked_div(slot_ms).unwrap_or(0);
        self.with(|demand| {
            demand.note(slot, peak.max(used));
            if demand.window() > LEAST_SLOTS {
                demand.keep(used)
            } else {
                0
            }
        })
    }

    /// `freed` went back to the system; `left` is what is in use or kept now.
    pub fn gave(&self, freed: usize, left: usize) {
        let _ = self.with(|demand| demand.gave(freed, left));
    }

    /// A fork's child: no other thread is at it.
    pub fn reset(&self) {
        self.busy.store(false, Release);
    }
}
