//! A thread's cache beyond its TLS words and bins, and how it begins.
//!
//! # Who may touch which field when
//! The thread itself, everything. Others: the lists of own slabs under the slab's lock; all of it in a fork's child once
//! the thread does not exist, and for statistics (racy reads of counters).

use super::bins::{self, Bins};
use super::expect;
use super::inside::Inside;
use super::tls::{BUDGET, Life, Tls, tls};
use crate::guard::Sampling;
use crate::guard::hardened::magazines::Magazines;
use crate::space::pool;
use crate::span::live;
use crate::span::owners::{self, Owner};
use crate::sync::{AtomicPtr, AtomicU64, Ordering::*};
use aethalloc_base::class::{self, COUNT, Class};
use aethalloc_base::policy;
use aethalloc_sys::process;

/// Classes whose blocks are stashed by line groups while cold: those up to 128 B (`cold::cold_class`).
pub const STASHED: usize = 9;
/// Slabs that a thread remembers having freed into.
const REMEMBERED: usize = 4;

/// The part that every thread has.
#[repr(C)]
pub struct Cache {
    /// What slabs know of this thread.
    pub owner: Owner,
    /// Owner id.
    pub id: u32,
    /// Number of the thread among all that ever had a cache (wraps after four thousand million).
    pub serial: u32,
    turn: u16,
    /// Stocks to come at which no slab is looked at.
    passed_by: u16,
    /// How often the uses of cold classes have cooled (`Cache::cool`).
    cooled: u32,
    /// The thread's TLS words.
    pub tls: AtomicPtr<u8>,
    /// Bins of a busy thread.
    pub bins: AtomicPtr<Bins>,
    /// Hardened blocks, under that profile; null before the first.
    pub magazines: *mut Magazines,
    /// Bytes taken from slabs less bytes freed, not yet reported (`live::settle`).
    unsettled: isize,
    /// Bytes freed since the thread took stock that `unsettled` has in it already.
    counted: i32,
    /// Blocks taken from slabs since the start.
    pub taken: AtomicU64,
    /// When `safety:guard` samples next.
    sampling: Sampling,
    /// Rest of a line group of each class that is stashed: address of the group | mask of blocks still there.
    pub stash: [usize; STASHED],
    /// Slabs freed into lately, with their classes.
    remembered: [(u32, u32); REMEMBERED],
    /// Uses of each class.
    pub heat: [u8; COUNT],
}
const _: () = assert!(size_of::<Cache>() <= 320);

impl Cache {
    /// The pool that caches come from.
    pub const POOL: usize = pool::pool_for(size_of::<Cache>());

    /// Counts `blocks` taken from slabs, of `bytes` in all.
    #[inline]
    pub fn count_taken(&mut self, blocks: u64, bytes: isize) {
        self.count(blocks, bytes);
        if live::is_much(self.unsettled) {
            self.settle_taken();
        }
    }

    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.unknown.later")]
    fn settle_taken(&mut self) {
        self.count_freed(tls());
        self.settle();
    }

    /// Whether the next small object is to be a sample of `safety:guard`.
    #[inline]
    pub fn is_sample_due(&mut self) -> bool {
        let taken = self.taken.load(Relaxed);
        self.sampling.is_due(taken, self.serial)
    }

    /// Whether [`Cache::is_sample_due`] has to be asked: if not, it would say no.
    #[inline]
    pub fn is_sample_near(&self) -> bool {
        self.sampling.is_near(self.taken.load(Relaxed))
    }

    /// As [`Cache::is_sample_due`], of a large one.
    #[cold]
    pub fn is_large_sample_due(&mut self) -> bool {
        let taken = self.taken.load(Relaxed);
        self.sampling.is_large_due(taken, self.serial)
    }

    /// Counts `blocks` that had been taken from slabs and are given back, of `bytes` in all.
    pub fn count_given_back(&mut self, blocks: u64, bytes: isize) {
        self.count(blocks.wrapping_neg(), -bytes);
    }

    #[inline]
    fn count(&mut self, blocks: u64, bytes: isize) {
        // Only this thread writes it.
        let taken = self.taken.load(Relaxed).wrapping_add(blocks);
        self.taken.store(taken, Relaxed);
        self.unsettled += bytes;
    }

    /// Counts what the thread, whose words are `t`, freed since it took stock: else one that allocates as much as it frees would
    /// change the sum of all threads for either, again and again.
    pub fn count_freed(&mut self, t: Tls) {
        let freed = BUDGET.wrapping_sub(t.budget());
        self.unsettled -= freed.wrapping_sub(self.counted) as isize;
        self.counted = freed;
    }

    /// The thread takes stock: `freed` bytes since the last time.
    pub fn count_stock(&mut self, freed: isize) {
        self.unsettled -= freed - self.counted as isize;
        self.counted = 0;
    }

    /// Reports what is unsettled if it is much. The caller holds no lock.
    pub fn settle(&mut self) {
        live::settle(&mut self.unsettled);
    }

    /// Reports what is unsettled. The caller holds no lock.
    pub fn settle_all(&mut self) {
        live::change(core::mem::take(&mut self.unsettled));
    }

    /// Counts a reservation.
    #[inline]
    pub fn count_reservation(&self) {
        // Only this thread writes it.
        let n = self.owner.reservations.load(Relaxed) + 1;
        self.owner.reservations.store(n, Relaxed);
    }

    /// The slab at hand, of class `c`, is not worth a look: it has several units, and so had one that was looked at a few stocks ago.
    pub fn passes_by(&mut self, c: Class) -> bool {
        let units = class::units(c) as u16;
        if units == 1 {
            return false;
        }
        let passes = self.passed_by > 0;
        self.passed_by = if passes { self.passed_by } else { units } - 1;
        passes
    }

    /// Remembers slab `slab` of class `c`, and tells which one it was some turns ago.
    pub fn remember(&mut self, c: Class, slab: u32) -> Option<(Class, u32)> {
        let at = self.turn as usize % REMEMBERED;
        self.turn = self.turn.wrapping_add(1);
        let place = self.remembered.get_mut(at)?;
        let (class, earlier) = core::mem::replace(place, (c as u32, slab));
        (earlier != 0 && earlier != slab).then_some((class as usize, earlier))
    }

    /// One more use of class `c`: true when it has become worth taking blocks by groups.
    pub fn heats(&mut self, c: Class) -> bool {
        let threads = owners::live();
        let periods = (self.taken.load(Relaxed) >> policy::COOLING) as u32;
        // Fewer where blocks went back.
        if periods > self.cooled {
            self.cool(periods, threads);
        }
        let Some(heat) = self.heat.get_mut(c) else {
            return false;
        };
        *heat = heat.saturating_add(1);
        *heat >= policy::heat(class::size(c), threads)
    }

    /// So many `periods` have passed since the thread began: what it used seldom is not about to get hot.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.unknown.later")]
    fn cool(&mut self, periods: u32, threads: usize) {
        let times = periods - core::mem::replace(&mut self.cooled, periods);
        if threads == 1 {
            return;
        }
        for (c, heat) in self.heat.iter_mut().enumerate().skip(class::FIRST) {
            *heat = policy::cooled(class::size(c), *heat, times);
        }
    }
}

impl Cache {
    /// Uses of class `c` so far, of which the slow path knows.
    pub fn uses(&self, c: Class) -> usize {
        self.heat.get(c).copied().unwrap_or(0) as usize
    }

    /// `n` more uses of class `c`.
    pub fn used(&mut self, c: Class, n: usize) {
        if let Some(heat) = self.heat.get_mut(c) {
            *heat = heat.saturating_add(n as u8);
        }
    }

    /// The thread has taken so many blocks of all classes together, or threads like it have, that it gets bins before a class is hot.
    pub fn is_warm(&self) -> bool {
        let most = policy::warmth(owners::live());
        self.taken.load(Relaxed) >= most || most != u64::MAX && expect::is_busy()
    }

    /// The thread ends: what the next one may expect.
    pub fn teach(&self) {
        let many = self.taken.load(Relaxed) >= 2 * policy::warmth(1);
        expect::ended(many);
        if let Some(bins) = bins::existing(self)
            && many
        {
            for (c, uses) in self.heat.iter().enumerate().skip(class::FIRST) {
                let waiting = bins.bin(c).bits.count_ones() as u8;
                expect::learn(c, uses.saturating_sub(waiting));
            }
        }
    }
}

/// The calling thread's cache; made at its first use, in a slow path (`inside`); `None` while it is being made, after its end, or when there is
/// no memory for one.
#[inline]
pub fn current(t: Tls) -> Option<&'static mut Cache> {
    if t.life() == Life::Live {
        // SAFETY: a live thread's cache is its own.
        return Some(unsafe { &mut *t.cache() });
    }
    begin(t)
}

#[inline(never)]
fn begin(t: Tls) -> Option<&'static mut Cache> {
    if t.life() != Life::New || !crate::space::ready() {
        return None;
    }
    t.set_life_and_budget(Life::Starting);
    let made = (|| {
        let (place, zero) = pool::take(Cache::POOL)?;
        let p = place.as_ptr().cast::<Cache>();
        if !zero {
            // SAFETY: the place is ours and large enough; all-zero is a valid cache.
            unsafe { place.as_ptr().write_bytes(0, size_of::<Cache>()) };
        }
        // SAFETY: initialised just now, not shared yet.
        let cache = unsafe { &mut *p };
        cache.tls.store(t.as_ptr(), Relaxed);
        cache.owner.busy.begin();
        match owners::register(p.cast()) {
            Some(id) => {
                cache.id = id;
                cache.serial = owners::count_one() % (u32::MAX - 1) + 1;
            }
            None => {
                // SAFETY: nobody has seen it.
                unsafe { pool::give(Cache::POOL, p.cast()) };
                return None;
            }
        }
        Some(cache)
    })();
    let Some(cache) = made else {
        t.set_life_and_budget(Life::New);
        return None;
    };
    t.set_cache(cache);
    t.set_life(Life::Live);
    cache.owner.busy.end();
    // May allocate (through us): the thread is complete by now.
    let watched = Inside::outside(t, || super::exit::watch(cache));
    cache.owner.busy.begin();
    if !watched && process::pid() != process::tid() {
        // Nobody would say when the thread ends, and its TLS words go with it: it does without a cache. The first
        // thread's stay.
        super::exit::end(t);
        return None;
    }
    Some(cache)
}

/// The calling thread's words.
#[inline]
pub fn me() -> Tls {
    tls()
}

/// Bytes of free blocks that the cache holds, roughly (it may belong to a running thread).
///
/// # Safety
/// `cache` is registered and stays so.
pub unsafe fn held_bytes(cache: *const Cache) -> usize {
    // SAFETY: the caller's promise; fields of a running thread are read word by word and may be torn between words.
    unsafe {
        let mut bytes = 0;
        for c in 0..STASHED {
            let stash = (&raw const (*cache).stash)
                .cast::<usize>()
                .add(c)
                .read_volatile();
            bytes += (stash & 15).count_ones() as usize * aethalloc_base::class::size(c);
        }
        let bins = (*cache).bins.load(Acquire);
        if !bins.is_null() {
            bytes += bins::held_bytes(bins);
        }
        bytes
    }
}
