//! Sampled objects: pages of their own between guard pages, with the stacks that allocated and freed them.
//!
//! ```text
//! small: | guard page | pattern … object | pattern to 16 B | guard pages to the run's end |
//! large: | object ........................ pattern to page | guard pages to the run's end |
//! ```
//! The object ends as close before the guard as its alignment allows. An access behind it faults at once; bytes between
//! it and the page's ends carry a pattern that the free checks. After the free the whole run faults, until so many more
//! samples were freed (`ended`).
//!
//! What is known of one is its [`Record`].
//!
//! Cost: a sample costs some 10-20 us (two stacks, three or four system calls); one in 2^18 allocations that take 10 ns each is
//! less than 1 %.

use super::ended;
use super::pages;
use super::record::{FREED, LIVE, PATTERN, POOL, SWEPT};
use super::stack;
use super::{
    BLOCK_MAX, COUNTS, Objects, bare, count, is_sampling, is_tagging, pointer_bits, tagged,
};
use crate::pages::{Run, give};
use crate::space::entry::{self, Kind};
use crate::space::{self, meta, pool};
use crate::sync::{AtomicUsize, Ordering::*};
use crate::violation::{self, Verb};
use aethalloc_base::bounds::STRICTEST;
use aethalloc_base::units::{GRANULE, PAGE, UNIT, units_for};
use core::ptr::null_mut;

pub use super::record::Record;

/// Larger objects are not sampled (under `hardened`, which keeps all large ones so, they are).
const MOST: usize = 32 << 20;
/// Objects to here are backed by pages as they are made, where one of their size was ended before.
const BACKED: usize = 64 << 10;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);
static LIVE_OBJECTS: AtomicUsize = AtomicUsize::new(0);

/// Bytes and number of live sampled objects.
#[cold]
pub fn live_now() -> (usize, usize) {
    (LIVE_BYTES.load(Relaxed), LIVE_OBJECTS.load(Relaxed))
}

/// Sampled objects.
pub struct Sampled;

impl Objects for Sampled {
    type Place = usize;

    #[cold]
    fn allocate(size: usize, zeroed: bool) -> *mut u8 {
        allocate(size, zeroed, size > BLOCK_MAX)
    }

    #[cold]
    fn deallocate(record: usize, p: usize, size: Option<usize>) {
        free(record, p, size);
    }

    #[cold]
    fn usable_size(record: usize, p: usize, verb: Verb) -> usize {
        let r = Record::at(record);
        if r.is_freed() {
            super::fault::history(r);
            violation::used_after_free(verb, p, r.length());
        }
        if bare(p) != r.address() {
            super::fault::history(r);
            violation::interior(verb, p, r.length());
        }
        if is_tagging() {
            // SAFETY: the object's own address.
            unsafe { tagged::check(r.start(), r.length(), p, verb) };
        }
        pointer_bits::check(r.tag.load(Relaxed) as usize, r.length(), p, verb);
        r.length()
    }
}

/// Whether an object of `size` bytes can be placed so.
#[cold]
pub fn serves(size: usize) -> bool {
    let most = if is_sampling() { MOST } else { usize::MAX };
    let room = STRICTEST.length(size.max(1));
    size <= most && room.is_some_and(|room| STRICTEST.alignment(room) <= UNIT)
}

/// An object of `size` bytes in a run of its own; `at_start`: where the run begins, else just before a guard. Null without guard
/// pages, without memory, and for objects that are too large to be placed so.
#[cold]
pub fn allocate(size: usize, zeroed: bool, at_start: bool) -> *mut u8 {
    // Without guard pages, `hardened` still has the pattern.
    let page = match pages::size() {
        0 if !is_sampling() => space::os_page(),
        page => page,
    };
    let length = size.max(1);
    let Some(room) = STRICTEST.length(length) else {
        return null_mut();
    };
    if page == 0 || !serves(size) {
        return null_mut();
    }
    let front = if at_start { 0 } else { page };
    let bytes = room.next_multiple_of(page);
    let units = units_for(front + bytes + page);
    let kept = if front == 0 { ended::take(units) } else { None };
    let run = match kept {
        Some(first) => Some(Run {
            first,
            units,
            clean: true,
        }),
        None => super::take_run(units),
    };
    let Some(run) = run else {
        return null_mut();
    };
    let Some((place, _)) = pool::take(POOL) else {
        if kept.is_some() {
            ended::give_guarded(run.first, run.units);
        } else {
            give(run);
        }
        return null_mut();
    };
    let start = space::address_of(run.first);
    // SAFETY: the run is ours.
    if is_tagging() && !unsafe { tagged::prepare(start, run.units * UNIT) } {
        give(run);
        // SAFETY: the place came from this pool.
        unsafe { pool::give(POOL, place.as_ptr()) };
        return null_mut();
    }
    let body = start.wrapping_add(front);
    let end = body.wrapping_add(bytes);
    let total = run.units * UNIT;
    // A small object ends before the guard, a large one begins where large ones do.
    let at = if front == 0 {
        0
    } else {
        bytes - room.next_multiple_of(STRICTEST.alignment(room).max(GRANULE))
    };
    let p = body.wrapping_add(at);
    let mut guards = 0;
    // SAFETY: parts of the run, which is ours.
    unsafe {
        if kept.is_some() && !pages::take_off(start, bytes, 0) {
            // The run is lost. SAFETY: the place came from this pool.
            pool::give(POOL, place.as_ptr());
            return null_mut();
        }
        if kept.is_some() && bytes <= BACKED {
            will_be_written(start, bytes);
        }
        if zeroed && !run.clean {
            p.write_bytes(0, length);
        }
        guards += u32::from(pages::put(start, front));
        guards += u32::from(kept.is_some() || pages::put(end, total - front - bytes));
    }
    // SAFETY: the place is ours and large enough; all-zero is a valid record.
    let r = unsafe {
        place.as_ptr().write_bytes(0, size_of::<Record>());
        &*place.as_ptr().cast::<Record>()
    };
    r.address.store(p.addr(), Relaxed);
    r.length.store(length, Relaxed);
    r.body.store(body.addr(), Relaxed);
    r.body_bytes.store(bytes, Relaxed);
    r.unit.store(run.first as u32, Relaxed);
    r.units.store(run.units as u32, Relaxed);
    r.state.store(LIVE, Relaxed);
    r.guards.store(guards, Relaxed);
    let tag = pointer_bits::for_large(p);
    r.tag.store(tag as u32, Relaxed);
    if is_sampling() {
        stack::record(&r.allocated);
    }
    for margin in r.margins() {
        // SAFETY: inside the body.
        unsafe { body.add(margin.start).write_bytes(PATTERN, margin.len()) };
    }
    let offset = place.as_ptr().addr() - meta::base().addr();
    for u in named_units(&run, front) {
        entry::store(u, Kind::Sampled { record: offset });
    }
    LIVE_BYTES.fetch_add(length, Relaxed);
    LIVE_OBJECTS.fetch_add(1, Relaxed);
    count(&COUNTS.sampled);
    if guards > 0 {
        count(&COUNTS.guarded);
    }
    if is_tagging() {
        // SAFETY: the object is this call's.
        return unsafe { tagged::tag_large(p, length) };
    }
    space::narrow(pointer_bits::point(p, tag), room)
}

/// The first `bytes` bytes of the new object at `p`, null if there is none, are about to be written: their pages are asked for all at once, which
/// takes less than a fault for each.
#[allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "a new object, of which nothing is changed"
)]
#[cold]
pub fn will_be_written(p: *mut u8, bytes: usize) {
    let bytes = bytes / PAGE * PAGE;
    if p.addr().is_multiple_of(UNIT) && !p.is_null() && bytes > PAGE && space::os_page() == PAGE {
        // SAFETY: pages of the object's. If the kernel refuses, they fault.
        let _ = unsafe { aethalloc_sys::memory::populate(p, bytes) };
    }
}

#[cold]
fn free(record: usize, p: usize, size: Option<usize>) {
    let r = Record::at(record);
    if bare(p) != r.address() {
        super::fault::history(r);
        violation::interior(Verb::Free, p, r.length());
    }
    if is_tagging() && !r.is_freed() {
        // SAFETY: the object's own address.
        unsafe { tagged::check(r.start(), r.length(), p, Verb::Free) };
    }
    pointer_bits::check(r.tag.load(Relaxed) as usize, r.length(), p, Verb::Free);
    // ORDERING: AcqRel: of two frees one wins, after the object's last use.
    while let Err(other) = r.state.compare_exchange(LIVE, FREED, AcqRel, Relaxed) {
        if other != SWEPT {
            super::fault::history(r);
            violation::double_free(p, r.length());
        }
        aethalloc_sys::process::yield_now();
    }
    if is_sampling() {
        stack::record(&r.freed);
    } else if let Some(said) =
        // An object of 0 bytes has one.
        size.filter(|said| (*said).max(1) != r.length() && !super::has_tags())
    {
        violation::wrong_size(p, r.length(), said);
    }
    count(&COUNTS.checked);
    if let Some(at) = r.damage() {
        super::fault::history(r);
        violation::overflow(p, r.length(), at, "at free");
    }
    LIVE_BYTES.fetch_sub(r.length(), Relaxed);
    LIVE_OBJECTS.fetch_sub(1, Relaxed);
    let (body, bytes) = r.body();
    // SAFETY: the object's own pages; it ends here.
    unsafe {
        if is_tagging() {
            tagged::clear(body, bytes);
        } else if pages::put(body, bytes) {
            r.guards.fetch_add(1, Relaxed);
        } else {
            let _ = aethalloc_sys::memory::discard(body, bytes);
        }
    }
    ended::keep(r);
}

/// Checks what lies around the object at unit `u`, if it is a live one's.
#[cold]
pub fn look_at(u: usize, when: &str) {
    // A record that the page map names is in use while this lock is held (`ended::forget`).
    let _held = ended::lock().take();
    let Kind::Sampled { record } = entry::load(u) else {
        return;
    };
    let r = Record::at(record);
    // ORDERING: Acquire and Release: a free waits until the object was looked at.
    if r.state
        .compare_exchange(LIVE, SWEPT, Acquire, Relaxed)
        .is_ok()
    {
        count(&COUNTS.checked);
        if let Some(at) = r.damage() {
            super::fault::history(r);
            violation::overflow(r.address(), r.length(), at, when);
        }
        r.state.store(LIVE, Release);
    }
}

/// The units whose entries name the record: all of a small object's run, the first of a large one's.
#[cold]
fn named_units(run: &Run, front: usize) -> core::ops::Range<usize> {
    run.first..run.first + if front == 0 { 1 } else { run.units }
}
