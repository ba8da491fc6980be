//! What the support thread does in a round, in order of worth.
//!
//! 1. Free runs that demand does not ask for go back (`pages::purge::excess`).
//! 2. After a fall, slabs that are all free are released, whoever held them, and empty pages inside others go back
//!    (`span::purge::all`).
//! 3. `safety:hardened`: canaries and free blocks are looked at, a slice of memory each slot (`guard::sweep_some`).
//! 4. Slabs of threads that sleep become everybody's, once a second (`span::central::share_idle`).
//!
//! While memory is short ([`super::pressure`]) it does both at once and to the end, whatever demand says.
//!
//! Each has an option of its own. A round with nothing to do reads some twenty words.

use super::pressure::Pressure;
use crate::bell::{Shared, step};
use crate::span::live;
use crate::sync::Ordering::*;
use crate::{config, pages, span};
use aethalloc_base::demand::{Demand, Fall, LEAST_SLOTS};
use aethalloc_base::options::Key;
use aethalloc_base::policy;
use aethalloc_base::units::UNIT;
use aethalloc_sys::memory;

/// Free runs that are left alone as long as some were taken lately.
const SETTLED: usize = policy::SETTLED / UNIT;

/// Slots of `decay` beyond the window: a fall that lasts some slots, or that the support thread sees late, is over in time all the same.
const SPARE_SLOTS: u64 = 2;

/// Between two looks for threads that sleep.
const SHARE_MS: u64 = 1000;

/// What was seen in a round; equal twice: nothing happened.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    used: usize,
    dirty: usize,
    live: usize,
}

impl Seen {
    fn now() -> Self {
        Seen {
            used: pages::used_units(),
            dirty: pages::dirty_units(),
            live: live::bytes(),
        }
    }
}

/// What the support thread remembers from round to round, and from one thread to the next.
pub struct Jobs {
    slot_ms: u64,
    runs: Demand,
    /// Units taken per slot: how much is going on.
    turnover: Demand,
    /// A slot, and the units taken when it was first looked at.
    taken: (u64, usize),
    slabs: Fall,
    pressure: Pressure,
    seen: Seen,
    /// When threads that sleep were last looked for, in ms.
    shared: u64,
    /// When `safety:hardened` last looked at memory, in ms.
    swept: u64,
    /// There was more to look at.
    sweeping: bool,
    /// Slot in which something changed last.
    changed: u64,
}

impl Jobs {
    pub const fn new() -> Self {
        Jobs {
            slot_ms: 1,
            runs: Demand::new(0),
            turnover: Demand::new(0),
            taken: (0, 0),
            slabs: Fall::new(0),
            pressure: Pressure::new(),
            seen: Seen {
                used: 0,
                dirty: 0,
                live: 0,
            },
            shared: 0,
            swept: 0,
            sweeping: false,
            changed: 0,
        }
    }

    pub fn slot_ms(&self) -> u64 {
        self.slot_ms
    }

    fn slot_at(&self, now: u64) -> u64 {
        now.checked_div(self.slot_ms).unwrap_or(0)
    }

    /// A support thread begins; `own_files`: it may open some.
    #[unsafe(link_section = ".text.unknown.later")]
    pub fn first(&mut self, own_files: bool) {
        self.pressure.begin(own_files);
        pages::huge::set_system(if own_files {
            memory::huge_everywhere()
        } else {
            None
        });
    }

    /// A time of rounds begins.
    pub fn begin(&mut self, now: u64) {
        self.slot_ms = (config::get(Key::decay) as u64 / (LEAST_SLOTS + SPARE_SLOTS)).max(1);
        self.changed = self.slot_at(now);
    }

    /// One round at time `now`; true while time alone may make more work.
    pub fn round(&mut self, s: &Shared, now: u64) -> bool {
        let slot = self.slot_at(now);
        let fallen = self.slabs.fallen(live::bytes()) >= Fall::LEAST;
        let something = fallen || pages::dirty_units() > 0;
        let pressed = self.pressure.look(now, something);
        // In this order: what slabs give up are free runs.
        self.slabs(slot, pressed);
        if now >= self.shared + SHARE_MS && config::get(Key::support_sweep) != 0 {
            self.shared = now;
            span::central::share_idle();
        }
        step(10);
        self.free_runs(s, slot, pressed);
        step(11);
        let seen = Seen::now();
        if seen != self.seen {
            self.seen = seen;
            self.changed = slot;
        }
        if now >= self.swept + self.slot_ms {
            self.swept = now;
            self.sweeping = crate::guard::sweep_some();
        }
        self.sweeping || slot <= self.changed + self.runs.window().max(LEAST_SLOTS) + 1
    }

    /// The truth has changed since the last round.
    pub fn has_work(&self) -> bool {
        Seen::now() != self.seen
    }

    /// The thread ends: the formula counts again.
    #[unsafe(link_section = ".text.unknown.later")]
    pub fn finish(&mut self, s: &Shared) {
        s.allowed.store(0, Relaxed);
        // What a program with one thread left then does not free, nobody would look for.
        let live = live::bytes();
        if config::get(Key::support_sweep) != 0 && self.slabs.fallen(live) >= Fall::LEAST {
            let freed = span::purge::all();
            self.slabs.swept(freed, live);
        }
        crate::guard::settle();
        let limit = pages::limit_units();
        if pages::dirty_units() > limit {
            pages::purge::excess(limit / 2, 0);
        }
    }

    fn free_runs(&mut self, s: &Shared, slot: u64, pressed: bool) {
        let stamp = slot as u32;
        pages::set_stamp(stamp);
        let (peak, used) = (pages::take_peak(), pages::used_units());
        self.runs.note(slot, peak);
        let taken = pages::taken_units();
        self.turnover.note(slot, taken.wrapping_sub(self.taken.1));
        if slot != self.taken.0 {
            self.taken = (slot, taken);
        }
        if config::get(Key::support_purge) == 0 {
            return;
        }
        if pressed {
            crate::guard::purge();
            // Not for want of demand: nothing is learnt from it.
            s.allowed.store(0, Relaxed);
            pages::purge::excess(0, stamp);
            return;
        }
        s.allowed.store(self.runs.recent_peak() + SETTLED, Relaxed);
        // What scattered runs make necessary, as long as runs are taken.
        let keep = self.runs.keep(used);
        let scatter = pages::scatter(used + keep).min(self.turnover.keep(0));
        let idle = keep == 0 && self.turnover.keep(0) == 0;
        let target = (keep + scatter).max(if idle { 0 } else { SETTLED });
        if pages::dirty_units() > target {
            let freed = pages::purge::excess(target, stamp) / UNIT;
            self.runs.gave(freed, used + pages::dirty_units());
        }
    }

    fn slabs(&mut self, slot: u64, pressed: bool) {
        if config::get(Key::support_sweep) == 0 {
            return; // the frees watch for a fall
        }
        let (peak, now) = (live::take_peak(), live::bytes());
        if self.slabs.note(slot, peak, now) {
            let freed = span::purge::all();
            self.slabs.swept(freed, now);
        } else if pressed && self.slabs.fallen(now) >= Fall::LEAST {
            span::purge::all();
            self.slabs.swept(0, now);
        }
    }
}
