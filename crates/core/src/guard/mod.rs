//! Safety beyond the default checks: what option `safety` turns on.
//!
//! | profile | object | enforced by | seen |
//! |---|---|---|---|
//! | `guard` | every large one | a page behind it that faults ([`pages`]); to 2 MiB, one that stays for the next object ([`fenced`]) | at the access |
//! | `guard` | sampled ones, small and large | pages of their own between pages that fault; after the free all of them fault ([`sampled`]) | at the access, small overflows at the free |
//! | `hardened` | every small one | canary, zeroed and delayed reuse, a guard behind each slab ([`hardened`]) | at free, reuse or exit |
//! | `hardened` | every large one | as sampled ones | at the access, small overflows at the free or exit |
//! | `mte` | every one to 16 MiB | a tag of its own, another one after the free ([`tagged`]) | at the access |
//! | `tags` | every one | a tag in its pointer ([`pointer_bits`]) | when the pointer comes back |
//!
//! Called by `front` (allocation, free), `life` (start, fork, end) and `thread` (alternate stacks). The fast paths know
//! nothing of it: a guarded object's page-map entry has class byte 0, which leaves them by their slow exit, and a sample
//! falls where a slow path was entered anyway.
//!
//! ```text
//! option ----> start: CPU can? kernel enabled? wanted? (base::safety) ----> pages  (how guards are made)
//!                                                                    `--> fault  (SIGSEGV: which object, both stacks)
//! allocation, slow path --> Sampling::is_due --> sampled::Sampled::allocate      free, page map says "sampled" --> ...::deallocate
//! ```
//! Cost when off: one load and a branch in the slow paths. When on: see `docs/safety.md`.

mod ended;
pub mod fault;
pub mod fenced;
pub mod hardened;
mod maps;
pub mod pages;
pub mod pointer_bits;
mod record;
mod runs;
pub mod sampled;
mod stack;
pub mod tagged;

use crate::config;
use crate::pages::Run;
use crate::sync::{AtomicU64, Ordering::*};
use crate::violation::{Line, Verb};
use aethalloc_base::options::Key;
use aethalloc_base::safety::{GuardPages, PROFILES, Profile};
use aethalloc_sys::lock::Lock;

/// Largest request that the safety modes serve from blocks: a larger object has a guard of its own behind it.
pub const BLOCK_MAX: usize = 32 << 10;

/// Objects of one kind of protection. Which kind an address belongs to, the page map says: dispatch is a `match` on its
/// entry.
pub trait Objects {
    /// What the page map's entry leads to.
    type Place: Copy;

    /// An object of `size` bytes, all zero if `zeroed`; null if this kind has no room for it now.
    fn allocate(size: usize, zeroed: bool) -> *mut u8;

    /// Ends the object at `p`, or the process if none begins there. `size`: what the caller says it is.
    fn deallocate(place: Self::Place, p: usize, size: Option<usize>);

    /// Bytes usable at `p`; ends the process if no live object begins there.
    fn usable_size(place: Self::Place, p: usize, verb: Verb) -> usize;
}

/// The profile in force.
#[inline]
pub fn profile() -> Profile {
    Profile::of(config::profile().load(Relaxed) as usize)
}

/// True if there is none.
#[inline(always)]
pub fn is_off() -> bool {
    config::profile().load(Relaxed) == Profile::Off as u8
}

/// True while slow paths have to ask a thread's [`Sampling`].
#[inline]
pub fn is_sampling() -> bool {
    config::profile().load(Relaxed) == Profile::Guard as u8
}

/// True if every object is checked: by `hardened`, or by a tag at each access or when its pointer comes back.
#[inline]
pub fn is_hardened() -> bool {
    config::profile().load(Relaxed) >= Profile::Hardened as u8
}

/// True if every small object has a canary.
#[inline(always)]
pub fn has_canaries() -> bool {
    config::profile().load(Relaxed) == Profile::Hardened as u8
}

/// True if every object has a tag.
#[inline]
pub fn is_tagging() -> bool {
    config::profile().load(Relaxed) == Profile::Mte as u8
}

/// True if every pointer has a tag that only we compare.
#[inline]
pub fn is_tagging_pointers() -> bool {
    config::profile().load(Relaxed) == Profile::Tags as u8
}

/// True if the CPU or we compare tags.
#[inline]
fn has_tags() -> bool {
    config::profile().load(Relaxed) >= Profile::Mte as u8
}

/// The address that a pointer of the program's stands for.
#[inline]
pub fn bare(p: usize) -> usize {
    if has_tags() { bare_of_tagged(p) } else { p }
}

/// The pointer by which we reach the object at `p` ourselves: without a tag that no CPU compares, because a test's does not ignore it.
#[inline]
pub fn accessible(p: *mut u8) -> *mut u8 {
    if is_tagging_pointers() {
        p.map_addr(pointer_bits::bare)
    } else {
        p
    }
}

#[cold]
fn bare_of_tagged(p: usize) -> usize {
    pointer_bits::bare(tagged::bare(p))
}

/// Turns on what the options ask for. Called once, at start, after the options were read and the space was made.
pub fn start() {
    let profile = Profile::of(config::get(Key::safety));
    if profile != Profile::Off {
        start_as(profile);
    }
}

#[cold]
#[inline(never)]
fn start_as(profile: Profile) {
    if profile == Profile::Mte && !tagged::start() {
        return;
    }
    if profile == Profile::Tags {
        // No page faults, so nothing is to be reported.
        if pointer_bits::start() {
            config::profile().store(profile as u8, Relaxed);
        }
        return;
    }
    // Where tags enforce, there are no guard pages.
    if profile != Profile::Mte {
        pages::start(GuardPages::of(config::get(Key::guard_pages)));
    }
    if profile == Profile::Hardened {
        hardened::start();
    } else if profile == Profile::Guard {
        SEED.store(aethalloc_sys::process::random(), Relaxed);
    }
    stack::start();
    fault::install();
    config::profile().store(profile as u8, Relaxed);
    if profile == Profile::Hardened {
        config::seal(crate::space::os_page());
    }
}

/// Below this rate the thread caches are off, so that every allocation can be the sample.
const CLOSE_RATE: usize = 4096;

/// Whether threads may have caches.
pub fn allows_caches() -> bool {
    match profile() {
        Profile::Off => true,
        Profile::Guard => config::get(Key::guard_rate) >= CLOSE_RATE,
        Profile::Hardened | Profile::Mte | Profile::Tags => false,
    }
}

/// What threads' first intervals are made from.
static SEED: AtomicU64 = AtomicU64::new(0);

/// When a thread's next sample is due, in allocations of its own: no count is shared, so that none is fought for.
#[derive(Default)]
pub struct Sampling {
    /// What the count of blocks that the thread took has to reach, less one; 0 before the first call.
    next: u64,
}

impl Sampling {
    /// Whether the allocation after `taken` of them is to be a sample; `thread`: any number that others have not.
    #[inline]
    pub fn is_due(&mut self, taken: u64, thread: u32) -> bool {
        self.is_near(taken) && self.draws(taken, thread)
    }

    /// False: the allocation after `taken` of them is no sample, and nothing is to be drawn.
    #[inline]
    pub fn is_near(&self, taken: u64) -> bool {
        (taken.wrapping_add(1).wrapping_sub(self.next) as i64) >= 0
    }

    /// As [`Sampling::is_due`], for one large object: as likely as for a thousand small ones, because it costs as much as they.
    #[cold]
    pub fn is_large_due(&mut self, taken: u64, thread: u32) -> bool {
        if self.next != 0 {
            let less = config::get(Key::guard_rate) as u64 / 1024;
            self.next = self.next.saturating_sub(less).max(1);
        }
        self.is_due(taken, thread)
    }

    /// Chooses the next interval; whether one is over.
    #[cold]
    #[inline(never)]
    fn draws(&mut self, taken: u64, thread: u32) -> bool {
        let first = self.next == 0;
        let after = if first {
            // The lesser of two is what is left of an interval at any moment, so that short threads are sampled as often as long ones.
            let seed = SEED.load(Relaxed).wrapping_add(thread as u64);
            interval(mixed(seed)).min(interval(mixed(!seed)))
        } else {
            interval(aethalloc_sys::process::random())
        };
        self.next = taken.wrapping_add(after);
        !first || after == 1
    }
}

/// A number of allocations, `guard_rate` on average, from a random word.
fn interval(random: u64) -> u64 {
    let rate = config::get(Key::guard_rate) as u64;
    1 + random.checked_rem(2 * rate - 1).unwrap_or(0)
}

/// A word that looks random for each `v`.
fn mixed(v: u64) -> u64 {
    let v = (v ^ v >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let v = (v ^ v >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    v ^ v >> 31
}

/// What was done, for statistics and tests.
#[derive(Default)]
pub struct Counts {
    /// Objects that got a guard.
    pub guarded: AtomicU64,
    /// Objects that were sampled.
    pub sampled: AtomicU64,
    /// Freed objects that were kept from reuse for a while.
    pub quarantined: AtomicU64,
    /// Objects whose surroundings, canary or tag were checked.
    pub checked: AtomicU64,
    /// Objects that got a tag.
    pub tagged: AtomicU64,
}

/// The process's counts, but for what threads that exist did to blocks ([`counts`]).
pub static COUNTS: Counts = Counts {
    guarded: AtomicU64::new(0),
    sampled: AtomicU64::new(0),
    quarantined: AtomicU64::new(0),
    checked: AtomicU64::new(0),
    tagged: AtomicU64::new(0),
};

pub(crate) fn count(c: &AtomicU64) {
    c.fetch_add(1, Relaxed);
}

/// The name of the profile in force.
pub fn name() -> &'static str {
    PROFILES.get(profile() as usize).copied().unwrap_or("")
}

/// Called when the process ends.
pub fn end() {
    if profile() != Profile::Off {
        last_look();
    }
}

/// Checks some of what nobody allocates or frees, and gives back what is kept beyond its bound; whether there is more to be looked at. By the support
/// thread only, in every round: without a mode it comes to no cold code.
#[inline]
pub fn sweep_some() -> bool {
    !is_off() && sweep()
}

#[cold]
fn sweep() -> bool {
    trim_runs();
    profile() == Profile::Hardened && hardened::sweep::some()
}

/// Checks what can be checked once more, and says what was done.
#[cold]
#[inline(never)]
fn last_look() {
    if profile() == Profile::Hardened {
        hardened::sweep::all();
    }
    if config::get(Key::safety_summary) == 0 {
        return;
    }
    let mut line = Line::new().text("safety:").text(name()).text(": ");
    let shown: &[&str] = if has_tags() {
        &["tagged", "quarantined", "checked"]
    } else {
        &["guarded", "sampled", "quarantined", "checked"]
    };
    let mut between = "";
    for (name, n) in counts().iter().filter(|(name, _)| shown.contains(name)) {
        line = line.text(between).decimal(*n as usize).text(" ").text(name);
        between = ", ";
    }
    line.print();
}

/// What was done until now, each with its name.
#[cold]
pub fn counts() -> [(&'static str, u64); 5] {
    let [checked, kept] = hardened::magazines::counts();
    let n = |c: &AtomicU64| c.load(Relaxed);
    [
        ("guarded", n(&COUNTS.guarded)),
        ("tagged", n(&COUNTS.tagged)),
        ("sampled", n(&COUNTS.sampled)),
        ("quarantined", n(&COUNTS.quarantined) + kept),
        ("checked", n(&COUNTS.checked) + checked),
    ]
}

/// Of the kinds here: bytes of live objects, and how many objects were made and ended, less those that `thread::cache` counts.
pub fn figures() -> (usize, u64, u64) {
    let (bytes, blocks) = hardened::live_now();
    let (large_bytes, large) = sampled::live_now();
    let made = COUNTS.sampled.load(Relaxed);
    let ended = made.saturating_sub(large as u64);
    (
        bytes + large_bytes + fenced::live_bytes(),
        made,
        ended.wrapping_sub(blocks as u64),
    )
}

/// Gives back what is kept for objects to come; nothing is without a mode.
#[inline]
pub fn purge() {
    if !is_off() {
        purge_all();
    }
}

#[cold]
fn purge_all() {
    purge_runs();
    hardened::kept::purge();
}

/// Gives the runs back that are kept with their guards; whether there were some.
#[cold]
pub fn purge_runs() -> bool {
    fenced::purge() | ended::purge()
}

/// What `take`, which found nothing, finds once the kept runs went back.
#[cold]
#[inline(never)]
pub fn after_purge<T>(take: impl FnMut() -> Option<T>) -> Option<T> {
    after(purge_runs, take)
}

/// Others may keep runs, or take what went back, meanwhile: a few turns, not as many as they please.
fn after<T>(purge: impl Fn() -> bool, mut take: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..TURNS {
        if !purge() {
            return None;
        }
        let taken = take();
        if taken.is_some() {
            return taken;
        }
    }
    None
}

/// Turns of [`after_purge`] at most.
const TURNS: usize = 3;

/// A run of `units` units, if need be out of what is kept. The caller holds no lock.
fn take_run(units: usize) -> Option<Run> {
    crate::pages::take(units).or_else(|| {
        purge();
        crate::pages::take(units)
    })
}

/// As many runs stay with their guards as the bound on retained memory allows now: the heap may have shrunk since they were freed.
fn trim_runs() {
    fenced::trim();
    ended::trim();
}

/// The support thread ends: what is kept goes back but for what the bound on retained memory allows, since nobody would look for it. As
/// [`sweep_some`], no cold code without a mode.
#[inline]
pub fn settle() {
    if !is_off() {
        settle_kept();
    }
}

#[cold]
fn settle_kept() {
    trim_runs();
    hardened::kept::purge_to(crate::pages::guarded_limit_units());
}

/// The locks of this module, outermost first.
pub fn each_lock(mut f: impl FnMut(&Lock)) {
    f(config::lock());
    f(hardened::heap::making_lock());
    hardened::heap::each(|_, heap| f(&heap.lock));
    hardened::depot::each_lock(&mut f);
    f(hardened::magazines::lock());
    f(ended::lock());
    f(ended::runs_lock());
    f(fenced::lock());
    f(hardened::kept::lock());
    f(stack::lock());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples among `threads` threads of `each` allocations, `step` between two slow paths.
    fn samples(threads: u32, each: u64, step: u64) -> u64 {
        let one = |thread| {
            let mut sampling = Sampling::default();
            (0..each / step)
                .filter(|turn| {
                    // As a refill does.
                    sampling.is_near(turn * step) && sampling.is_due(turn * step, thread)
                })
                .count() as u64
        };
        (0..threads).map(one).sum()
    }

    /// Short threads have no fewer samples than a long one.
    #[test]
    fn one_allocation_in_guard_rate_is_a_sample() {
        let rate = config::get(Key::guard_rate) as u64;
        for (threads, each, step) in [(1, 2000 * rate, rate / 64), (200_000, rate / 100, 64)] {
            let expected = threads as u64 * each / rate;
            let found = samples(threads, each, step);
            // Six standard deviations.
            assert!(
                found.abs_diff(expected) < 6 * expected.isqrt(),
                "{threads} threads: {found}, not about {expected}"
            );
        }
    }

    /// Who wants a block does not wait for ever where others keep what goes back.
    #[test]
    fn a_purge_is_tried_a_few_times() {
        let mut turns = 0;
        let mut nothing = || {
            turns += 1;
            (turns == 100).then_some(())
        };
        assert_eq!(after(|| false, &mut nothing), None);
        assert_eq!(after(|| true, &mut nothing), None);
        assert_eq!(turns, TURNS);
        assert_eq!(after(|| true, || Some(7)), Some(7));
    }

    /// A large object counts as a thousandth of the rate.
    #[test]
    fn one_large_object_in_a_thousand_is_a_sample() {
        let mut sampling = Sampling::default();
        let due = (0..1_024_000).filter(|_| sampling.is_large_due(0, 1));
        let found = due.count();
        assert!((800..1200).contains(&found), "{found}");
    }
}
