//! Demand: how much free memory to keep, judged by what was needed lately. Pure: the caller brings time and figures.
//!
//! Time runs in slots. Each slot remembers the most that was in use in it. What was in use lately and is free now will
//! likely be needed again, so it is kept; the older the peak, the less of it:
//!
//! ```text
//! weight of a peak   1 |------------.
//!                      |             `.
//!                    0 +---------------`----> age in slots
//!                      0       window/2  window
//! ```
//! *Regret*: memory that was given back is needed again within a few windows. Then the window doubles, up to
//! [`MOST_SLOTS`]; after a long time without regret it halves again. What is missed too seldom to be worth the memory does not count
//! ([`Demand::sparing`]). So a program whose load comes and goes every few seconds
//! stops paying for it, and one that went idle is small within one window.

/// Slots of the shortest window.
pub const LEAST_SLOTS: u64 = 8;
/// Slots of the longest window.
pub const MOST_SLOTS: u64 = 64;
/// Windows without regret after which the window shrinks; giving back counts as regretted within a quarter as many.
const CALM_WINDOWS: u64 = 16;

/// What was in use, and how much free memory that makes worth keeping. Any unit, as long as it is one.
#[derive(Clone)]
pub struct Demand {
    /// Peak of each slot, the newest at `slot % MOST_SLOTS`.
    peaks: [usize; MOST_SLOTS as usize],
    slot: u64,
    window: u64,
    /// What may be in use before memory that was given back is missed; `usize::MAX`: none was, lately.
    covered: usize,
    given: usize,
    given_at: u64,
    regret_at: u64,
    /// Missed since `missed_from`, and how much of that a slot makes it regretted.
    missed: usize,
    missed_from: u64,
    least: usize,
}

impl Demand {
    /// Nothing was ever in use, at slot `now`.
    pub const fn new(now: u64) -> Self {
        Demand {
            peaks: [0; MOST_SLOTS as usize],
            slot: now,
            window: LEAST_SLOTS,
            covered: usize::MAX,
            given: 0,
            given_at: now,
            regret_at: now,
            missed: 0,
            missed_from: now,
            least: 0,
        }
    }

    /// The same; what was given back is regretted only where `least` a slot are missed: else it costs less time than keeping it costs memory.
    pub const fn sparing(now: u64, least: usize) -> Self {
        let mut demand = Self::new(now);
        demand.least = least;
        demand
    }

    /// `missed` of what went back are needed at slot `now`; true: that comes too often.
    fn regrets(&mut self, now: u64, missed: usize) -> bool {
        if self.missed == 0 || now - self.missed_from > self.window * CALM_WINDOWS / 4 {
            self.missed = 0;
            self.missed_from = now;
        }
        self.missed = self.missed.saturating_add(missed);
        let slots = (now - self.missed_from + LEAST_SLOTS / 2) as usize;
        let regrets = self.missed >= self.least.saturating_mul(slots);
        if regrets {
            self.missed = 0;
        }
        regrets
    }

    fn place(&mut self, slot: u64) -> Option<&mut usize> {
        self.peaks.get_mut((slot % MOST_SLOTS) as usize)
    }

    fn peak(&self, slot: u64) -> usize {
        let i = (slot % MOST_SLOTS) as usize;
        self.peaks.get(i).copied().unwrap_or(0)
    }

    /// It is slot `now`, and `peak` was the most in use since the last call.
    pub fn note(&mut self, now: u64, peak: usize) {
        let now = now.max(self.slot);
        let missed = (now - self.slot).min(MOST_SLOTS);
        for slot in now - missed..now {
            // Nobody looked: the caller's `peak` covers the time since the last call.
            if let Some(p) = self.place(slot + 1) {
                *p = 0;
            }
        }
        self.slot = now;
        if let Some(p) = self.place(now) {
            *p = peak.max(*p);
        }
        if peak > self.covered {
            let lately = now - self.given_at <= self.window * CALM_WINDOWS / 4;
            let missed = peak - self.covered;
            if lately && missed * 2 > self.given && self.regrets(now, missed.min(self.given)) {
                self.window = (self.window * 2).min(MOST_SLOTS);
            }
            self.regret_at = now;
            self.covered = usize::MAX;
            self.given = 0;
        } else if now - self.regret_at > self.window * CALM_WINDOWS && self.window > LEAST_SLOTS {
            self.window /= 2;
            self.regret_at = now;
        }
    }

    /// How much free memory to keep while `used` is in use.
    pub fn keep(&self, used: usize) -> usize {
        let half = self.window / 2;
        let mut keep = 0;
        for age in 0..self.window.min(self.slot + 1) {
            let above = self.peak(self.slot - age).saturating_sub(used);
            let part = if age <= half {
                above
            } else {
                above.checked_div(half as usize).unwrap_or(0) * (self.window - age) as usize
            };
            keep = keep.max(part);
        }
        keep
    }

    /// `freed` went back to the system; `left` is what is in use or kept now.
    pub fn gave(&mut self, freed: usize, left: usize) {
        if freed > 0 {
            if self.slot - self.given_at > self.window * CALM_WINDOWS / 4 {
                self.given = 0;
            }
            self.covered = left;
            self.given = self.given.saturating_add(freed);
            self.given_at = self.slot;
        }
    }

    /// The most that was in use within the window: what memory in use and kept together need not exceed.
    pub fn recent_peak(&self) -> usize {
        let ages = 0..self.window.min(self.slot + 1);
        ages.map(|a| self.peak(self.slot - a)).max().unwrap_or(0)
    }

    /// Slots of the present window.
    pub fn window(&self) -> u64 {
        self.window
    }
}

/// Whether the free blocks *inside* slabs are worth a sweep: a large part of what was out came back, and recent demand
/// asks for less than half of it again.
#[derive(Clone)]
pub struct Fall {
    demand: Demand,
    /// The most that was out since the last sweep.
    high: usize,
}

impl Fall {
    /// Smallest fall that is worth a sweep.
    pub const LEAST: usize = 1 << 20;

    /// Nothing was ever out, at slot `now`.
    pub const fn new(now: u64) -> Self {
        Fall {
            demand: Demand::new(now),
            high: 0,
        }
    }

    /// It is slot `now`, `peak` was the most out since the last call, `live` is out now: is a sweep due?
    #[must_use]
    pub fn note(&mut self, now: u64, peak: usize, live: usize) -> bool {
        self.demand.note(now, peak);
        self.high = self.high.max(peak).max(live);
        let fallen = self.high - live;
        fallen >= Self::LEAST.max(self.high / 16) && self.demand.keep(live) <= fallen / 2
    }

    /// A sweep gave `freed` bytes back while `live` was out.
    pub fn swept(&mut self, freed: usize, live: usize) {
        self.demand.gave(freed, live);
        self.high = live;
    }

    /// The most that was out since the last sweep, less `live`: what a sweep could find.
    pub fn fallen(&self, live: usize) -> usize {
        self.high.saturating_sub(live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// Runs `use_at` for `slots` slots; what is kept after each, giving back the excess as the helper does.
    fn run(d: &mut Demand, from: u64, slots: u64, use_at: impl Fn(u64) -> usize) -> (usize, usize) {
        let (mut free, mut faults, mut total) = (0usize, 0, 0usize);
        for slot in from..from + slots {
            let used = use_at(slot);
            d.note(slot, used);
            // Memory in use beyond what is backed costs faults; what is no longer used becomes free.
            faults += used.saturating_sub(total);
            total = total.max(used);
            free = total - used;
            let excess = free.saturating_sub(d.keep(used));
            d.gave(excess, total - excess);
            total -= excess;
            free -= excess;
        }
        (free, faults)
    }

    #[test]
    fn an_idle_program_is_small_within_one_window() {
        let mut d = Demand::new(0);
        let (kept, _) = run(&mut d, 0, 20, |_| 600 * MIB);
        assert_eq!(kept, 0);
        let (kept, _) = run(&mut d, 20, 1, |_| 10 * MIB);
        assert_eq!(d.keep(10 * MIB), 590 * MIB, "a fresh peak is kept whole");
        let _ = kept;
        run(&mut d, 21, LEAST_SLOTS - 1, |_| 10 * MIB);
        assert_eq!(d.keep(10 * MIB), 0, "an old one not at all");
    }

    #[test]
    fn what_is_kept_only_falls_while_nothing_is_asked_for() {
        let mut d = Demand::new(5);
        d.note(5, 100 * MIB);
        let mut last = usize::MAX;
        for slot in 6..6 + LEAST_SLOTS {
            d.note(slot, 0);
            assert!(d.keep(0) <= last);
            last = d.keep(0);
            let age = slot - 5;
            if age <= LEAST_SLOTS / 2 {
                assert_eq!(last, 100 * MIB, "whole for half the window, age {age}");
            } else {
                assert!(last < 100 * MIB, "less afterwards, age {age}");
            }
        }
        assert_eq!(last, 0);
    }

    #[test]
    fn a_load_that_comes_and_goes_stops_paying() {
        // One slot of work, then 15 of rest: the first window (8) is too short for it.
        let load = |slot: u64| {
            if slot.is_multiple_of(16) {
                200 * MIB
            } else {
                0
            }
        };
        let mut d = Demand::new(0);
        let (_, first) = run(&mut d, 0, 64, load);
        assert!(first >= 400 * MIB, "it pays at first: {first}");
        assert!(
            d.window() > 16,
            "the window has grown over the period: {}",
            d.window()
        );
        let (_, later) = run(&mut d, 64, 160, load);
        assert!(later <= 200 * MIB, "and not any more: {later}");
    }

    #[test]
    fn what_is_seldom_missed_is_not_regretted() {
        // 8 MiB needed every fourth slot: 2 MiB a slot.
        let load = |slot: u64| {
            if slot.is_multiple_of(4) { 8 * MIB } else { 0 }
        };
        let window = |least: usize| {
            let mut d = Demand::sparing(0, least);
            for slot in 0..200 {
                d.note(slot, load(slot));
                d.gave(load(slot), 0);
            }
            d.window()
        };
        assert_eq!(window(4 * MIB), LEAST_SLOTS);
        assert!(window(MIB) > LEAST_SLOTS);
        assert!(window(0) > LEAST_SLOTS);
    }

    #[test]
    fn small_swings_that_come_often_are_regretted() {
        // 3 MiB, twice a slot.
        let mut d = Demand::sparing(0, 4 * MIB);
        for swing in 0..32 {
            d.note(swing / 2, 3 * MIB);
            d.gave(3 * MIB, 0);
        }
        assert!(d.window() > LEAST_SLOTS);
    }

    #[test]
    fn the_window_shrinks_again_when_nothing_is_missed() {
        let mut d = Demand::new(0);
        run(&mut d, 0, 128, |slot| {
            if slot.is_multiple_of(16) {
                200 * MIB
            } else {
                0
            }
        });
        let grown = d.window();
        assert!(grown > LEAST_SLOTS);
        run(&mut d, 128, MOST_SLOTS * CALM_WINDOWS * 4, |_| 0);
        assert_eq!(d.window(), LEAST_SLOTS);
    }

    #[test]
    fn a_window_is_never_longer_than_the_memory() {
        let mut d = Demand::new(0);
        for round in 0..50 {
            let slot = round * LEAST_SLOTS * 2;
            d.note(slot, MIB);
            d.gave(MIB, 0);
        }
        assert_eq!(d.window(), MOST_SLOTS);
        d.note(1 << 40, 7);
        assert_eq!(d.recent_peak(), 7, "old slots are forgotten at once");
    }

    #[test]
    fn slots_that_nobody_watched_are_empty() {
        let mut d = Demand::new(0);
        d.note(0, 100);
        d.note(3, 10);
        assert_eq!(d.recent_peak(), 100);
        assert_eq!(d.keep(10), 90);
        d.note(3 + LEAST_SLOTS, 10);
        assert_eq!(d.recent_peak(), 10);
    }

    #[test]
    fn a_sweep_follows_a_fall_once_and_not_a_steady_load() {
        let mut f = Fall::new(0);
        for slot in 0..100 {
            let live = 100 * MIB + (slot as usize % 3) * MIB;
            assert!(!f.note(slot, live, live), "steady at slot {slot}");
        }
        let mut due_at = None;
        for slot in 100..140 {
            if f.note(slot, 15 * MIB, 15 * MIB) {
                assert_eq!(due_at, None, "one sweep for one fall");
                due_at = Some(slot);
                f.swept(80 * MIB, 15 * MIB);
            }
        }
        let due = due_at.expect("a fall by 85 % is followed by a sweep");
        assert!(
            due > 100 + LEAST_SLOTS / 2 && due <= 100 + LEAST_SLOTS,
            "{due}"
        );
    }

    #[test]
    fn a_small_fall_is_left_alone() {
        let mut f = Fall::new(0);
        assert!(!f.note(0, 100 * MIB, 100 * MIB));
        for slot in 1..100 {
            assert!(!f.note(slot, 97 * MIB, 97 * MIB));
        }
        assert_eq!(f.fallen(97 * MIB), 3 * MIB);
    }
}
