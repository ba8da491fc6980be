//! A thread's cache beyond its TLS words, and how it begins.
//!
//! # Who may touch which field when
//! The thread itself, everything. Others: `owned` lists under the class lock; the outbox through its gate; all of it
//! in a fork's child once the thread does not exist, and for statistics (racy reads of counters).

use super::gate::Gate;
use super::tls::{Life, Tls, tls};
use crate::depot::window::{self, Window};
use crate::space::entry::{SHARED, tag_word};
use crate::space::pool;
use crate::span::central::Owned;
use crate::span::owners::{self, Owner};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering::*};
use aethalloc_base::class::{self, Class, FAST_COUNT, FAST_MAX};
use aethalloc_base::options::Key;
use aethalloc_base::policy;
use aethalloc_sys::process;

/// Uses of a class by a thread (blocks taken or given one by one) before it gets a magazine.
pub const HEAT: u8 = 96;

/// The part that every thread has.
#[repr(C)]
pub struct Cache {
    /// What slabs know of this thread.
    pub owner: Owner,
    /// Owner id.
    pub id: u32,
    /// Number of the thread among all that ever had a cache (wraps after four thousand million).
    pub serial: u32,
    /// Foreign blocks given back one by one so far.
    pub remote_heat: u8,
    /// Medium blocks used so far.
    pub medium_heat: u8,
    /// Slow paths of the thread that are under way (a signal handler may nest). A fork's child leaves a busy cache
    /// alone: whatever it was about to do is lost, nothing is done twice.
    pub busy: AtomicU32,
    /// The thread's TLS words.
    pub tls: AtomicPtr<u8>,
    /// The part of busy threads.
    pub hot: AtomicPtr<Hot>,
    /// Magazines of medium classes.
    pub medium: AtomicPtr<super::medium::Medium>,
    /// Blocks counted since the start: taken from slabs (one by one and in batches), put back, batches of remote blocks.
    pub taken: AtomicU64,
    /// See `taken`.
    pub put: AtomicU64,
    /// See `taken`.
    pub batches: AtomicU64,
    /// Rest of a line group of each class: address of the group | mask of blocks still there.
    pub stash: [usize; FAST_COUNT],
    /// Uses of each class.
    pub heat: [u8; FAST_COUNT],
}

/// The part of threads that do much: a place of the window pool.
#[repr(C)]
pub struct Hot {
    /// Accumulators of `flush`.
    pub scratch: Window,
    /// Foreign blocks on their way home.
    pub outbox: *mut usize,
    /// Blocks in the outbox.
    pub outbox_count: AtomicU32,
    /// Guards the outbox.
    pub gate: Gate,
    /// Empty windows kept: chain.
    pub empties: usize,
    /// Their number.
    pub empty_count: u32,
    /// Bytes that all magazines may hold in their quiet state.
    pub quiet_bytes: u32,
    /// Its own slabs of classes that share lines, under the class lock.
    owned: [Owned; FAST_COUNT],
    classes: [HotClass; FAST_COUNT],
}
const _: () = assert!(size_of::<Hot>() <= window::BYTES);
const _: () = assert!(size_of::<Cache>() <= 512);

/// One class of a busy thread.
#[repr(C)]
pub struct HotClass {
    /// The slab it takes from, 0: none.
    pub held: u32,
    /// Capacity that its windows get from now on; 0: the class is cold.
    pub capacity: u8,
    /// Capacity of the window that frees go into.
    pub in_capacity: u8,
    /// Slot of the newest block of the window that allocations come from; the slot below it holds the end mark.
    pub out_newest: u8,
    /// 0 none yet, 1 refilled, 2 spilled last.
    pub direction: u8,
    /// Full windows beside the loaded one.
    pub spares: u8,
    /// Time of the last change of places, low half.
    pub swapped: u32,
    /// Their chain.
    pub spare_chain: usize,
    /// Time of the last change of direction.
    pub turned: u64,
    /// Blocks moved since then.
    pub moved: u32,
    /// Blocks that spare windows may hold: grows while the thread cycles.
    pub level: u32,
}
const _: () = assert!(size_of::<HotClass>() == 40);

impl Hot {
    /// Its part of class `c`.
    #[inline]
    pub fn class(&mut self, c: Class) -> &mut HotClass {
        debug_assert!(c < FAST_COUNT);
        // SAFETY: callers pass fast classes.
        unsafe { self.classes.get_unchecked_mut(c) }
    }

    /// An empty window.
    pub fn take_window(&mut self) -> Option<Window> {
        if self.empties != 0 {
            let w = window::from_number(self.empties);
            self.empties = w.chained().0;
            self.empty_count -= 1;
            return Some(w);
        }
        window::take()
    }

    /// Keeps a few empty windows, gives others back.
    pub fn keep_window(&mut self, w: Window) {
        if self.empty_count < 4 {
            w.chain(self.empties, 0);
            self.empties = w.address();
            self.empty_count += 1;
        } else {
            w.release();
        }
    }
}

/// The calling thread's cache; made at its first use; `None` while it is being made, after its end, or when there is
/// no memory for one.
#[inline]
pub fn current(t: Tls) -> Option<&'static mut Cache> {
    if t.life() == Life::Live {
        // SAFETY: a live thread's cache is its own.
        return Some(unsafe { &mut *t.cache() });
    }
    begin(t)
}

#[cold]
#[inline(never)]
fn begin(t: Tls) -> Option<&'static mut Cache> {
    const POOL: usize = pool::pool_for(size_of::<Cache>());
    if t.life() != Life::New || !crate::space::ready() {
        return None;
    }
    t.set_life(Life::Starting);
    let made = (|| {
        let (place, zero) = pool::take(POOL)?;
        let p = place.as_ptr().cast::<Cache>();
        if !zero {
            // SAFETY: the place is ours and large enough; all-zero is a valid cache.
            unsafe { place.as_ptr().write_bytes(0, size_of::<Cache>()) };
        }
        // SAFETY: initialised just now, not shared yet.
        let cache = unsafe { &mut *p };
        cache.tls.store(t.as_ptr(), Relaxed);
        cache.busy.store(1, Relaxed);
        match owners::register(p.cast()) {
            Some(id) => {
                static SERIAL: AtomicU32 = AtomicU32::new(0);
                cache.id = id;
                cache.serial = SERIAL.fetch_add(1, Relaxed) % (u32::MAX - 1) + 1;
            }
            None => {
                // SAFETY: nobody has seen it.
                unsafe { pool::give(p.cast()) };
                return None;
            }
        }
        Some(cache)
    })();
    let Some(cache) = made else {
        t.set_life(Life::New);
        return None;
    };
    for c in class::FIRST..FAST_COUNT {
        t.set_top(c, empty_top());
    }
    t.set_tag(0, u32::MAX);
    t.set_cache(cache);
    t.set_life(Life::Live);
    if crate::config::get(Key::cache) != 0 && crate::guard::allows_caches() {
        t.set_limit(FAST_MAX);
    }
    cache.busy.store(0, Release);
    // May allocate (through us): the thread is complete by now.
    if !super::exit::watch(cache) && process::pid() != process::tid() {
        // Nobody would say when the thread ends, and its TLS words go with it: it does without a cache. The first
        // thread's stay.
        super::exit::thread_ends(t);
        return None;
    }
    Some(cache)
}

/// A slot that always says "empty": tops of cold classes point here.
pub fn empty_top() -> usize {
    static EMPTY: [u64; 2] = [0; 2];
    EMPTY.as_ptr().addr() / 8 + 1
}

/// Gives class `c` a magazine. False without memory: the class stays cold.
#[cold]
#[inline(never)]
pub fn warm(t: Tls, cache: &mut Cache, c: Class) -> bool {
    if crate::config::get(Key::cache) == 0 {
        return false;
    }
    let Some(hot) = hot_part(cache) else {
        return false;
    };
    let Some(outgoing) = hot.take_window() else {
        return false;
    };
    let Some(incoming) = hot.take_window() else {
        hot.keep_window(outgoing);
        return false;
    };
    let size = class::size(c);
    let mut capacity = policy::quiet_capacity(size);
    if hot.quiet_bytes as usize + 2 * capacity * size > QUIET_BYTES {
        capacity = 4;
    }
    hot.quiet_bytes += (2 * capacity * size) as u32;
    let h = hot.class(c);
    h.capacity = capacity as u8;
    h.in_capacity = capacity as u8;
    h.out_newest = 1;
    h.turned = crate::clock::now();
    super::cold::unstash(cache, c);
    t.set_top(c, outgoing.make_drained());
    t.set_head(c, incoming.empty_head(capacity));
    t.set_tag(
        c,
        tag_word(c, if class::is_line(c) { SHARED } else { cache.id }),
    );
    true
}

/// What the magazines of a thread that does not cycle may hold together.
const QUIET_BYTES: usize = 64 << 10;

/// Marks the calling thread's slow path as under way while it lives.
pub struct Busy(*const AtomicU32);

impl Cache {
    /// A slow path is under way below this one: a signal handler interrupted it. The cache's lists may be half changed.
    #[inline]
    pub fn is_interrupted(&self) -> bool {
        self.busy.load(Relaxed) > 1
    }
}

/// Enters a slow path.
#[inline]
pub fn enter(cache: &Cache) -> Busy {
    cache.busy.store(cache.busy.load(Relaxed) + 1, Relaxed);
    // ORDERING: only a fork's child, which copies this thread's memory as the thread had written it, reads the word.
    core::sync::atomic::compiler_fence(SeqCst);
    Busy(&raw const cache.busy)
}

impl Drop for Busy {
    #[inline]
    fn drop(&mut self) {
        core::sync::atomic::compiler_fence(SeqCst);
        // SAFETY: the word of the calling thread's cache, which it cannot give back inside a slow path.
        let busy = unsafe { &*self.0 };
        busy.store(busy.load(Relaxed) - 1, Relaxed);
    }
}

/// The hot part, made at the first call.
pub fn hot_part(cache: &mut Cache) -> Option<&'static mut Hot> {
    let mut p = cache.hot.load(Relaxed);
    if p.is_null() {
        let place = window::take()?;
        let Some(scratch) = window::take() else {
            place.release();
            return None;
        };
        p = place.slot(0).cast::<Hot>();
        // SAFETY: a window is large enough (asserted above) and ours; all-zero is valid for every field but `scratch`.
        unsafe {
            p.cast::<u8>().write_bytes(0, size_of::<Hot>());
            (&raw mut (*p).scratch).write(scratch);
            scratch.slot(0).cast::<u8>().write_bytes(0, window::BYTES);
        }
        // SAFETY: the lists just made.
        let lists = unsafe { (&raw mut (*p).owned).cast::<Owned>() };
        // ORDERING: Release, pairs with Acquire in `owners::owned` and in `outbox`.
        cache.owner.lists.store(lists, Release);
        cache.hot.store(p, Release);
    }
    // SAFETY: the hot part of this thread's cache; the returned borrow does not outlive the call of the slow path.
    Some(unsafe { &mut *p })
}

/// The hot part if there is one.
#[inline]
pub fn hot_of(cache: &Cache) -> Option<&'static mut Hot> {
    let p = cache.hot.load(Relaxed);
    if p.is_null() {
        None
    } else {
        // SAFETY: as in `hot_part`.
        Some(unsafe { &mut *p })
    }
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
        let mut bytes = super::medium::bytes((*cache).medium.load(Relaxed));
        let words = (*cache).tls.load(Relaxed);
        let t = Tls::from_ptr(words);
        let hot = (*cache).hot.load(Acquire);
        for c in class::FIRST..FAST_COUNT {
            let size = class::size(c);
            let stash = (&raw const (*cache).stash)
                .cast::<usize>()
                .add(c)
                .read_volatile();
            bytes += (stash & 15).count_ones() as usize * size;
            if !hot.is_null() && !words.is_null() {
                let h = (&raw const (*hot).classes).cast::<HotClass>().add(c);
                if (*h).capacity != 0 {
                    let outgoing = ((t.top(c) & 255) + 1).saturating_sub((*h).out_newest as usize);
                    let incoming = ((*h).in_capacity as usize + 1).saturating_sub(t.head(c) & 255);
                    let loaded = outgoing + incoming;
                    bytes += (loaded + (*h).spares as usize * (*h).in_capacity as usize) * size;
                }
            }
        }
        bytes
    }
}
