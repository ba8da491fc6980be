//! Memory for the allocator itself: a region of address space that only grows, committed in pieces.
//!
//! ```text
//! | tables, 1 KiB | region table | founding places, 60 KiB | owner table | chunks, 64 KiB each, handed out in order ... |
//! ```
//! *Founding places* are the first objects of all sizes, cut off from the end downwards: what a small program needs fits on
//! few pages, together with the first owners; the first regions share a page with the tables.
//! References into it are 32-bit: an offset / 64. Called by pools, the page heap and the thread registry.

use crate::sync::{AtomicPtr, AtomicUsize, Ordering::*};
use aethalloc_base::units::UNITS_PER_REGION;
use aethalloc_sys::lock::Lock;
use aethalloc_sys::memory::{self, Access};
use core::ptr::{NonNull, null_mut};

/// Bytes of a chunk; chunks are aligned to it.
pub const CHUNK: usize = 64 << 10;
/// Bytes of one region's record in the region table.
pub const REGION_RECORD: usize = 32;
const PIECE: usize = 64 << 10;
/// Bytes of the tables of `space`.
const TABLES: usize = 1024;
/// Bytes of the founding places, and where they begin.
const FOUNDING: usize = 60 << 10;
static FOUNDING_AT: AtomicUsize = AtomicUsize::new(0);
/// One past the largest owner id: ids fit the claim word's 24 bits, the rest are tags.
pub const OWNERS: u32 = 0xff_fff0;

static META: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static SIZE: AtomicUsize = AtomicUsize::new(0);
static REGIONS_AT: AtomicUsize = AtomicUsize::new(0);
static OWNERS_AT: AtomicUsize = AtomicUsize::new(0);
static MAX_OWNERS: AtomicUsize = AtomicUsize::new(0);
/// Offset of the next chunk.
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Offset of the first chunk.
static FIRST: AtomicUsize = AtomicUsize::new(0);
/// End of the region and owner records made writable.
static REGIONS_END: AtomicUsize = AtomicUsize::new(0);
static OWNERS_END: AtomicUsize = AtomicUsize::new(0);
static LOCK: Lock = Lock::new();

/// The lock of the metadata (innermost rank).
pub fn lock() -> &'static Lock {
    &LOCK
}

/// Lays the tables out in `size` bytes at `at` for `units` units.
#[allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "called once, with a mapping just made"
)]
pub fn init(at: *mut u8, size: usize, units: usize) -> bool {
    let regions = (units / UNITS_PER_REGION + 1) * REGION_RECORD;
    let owners = (size / 256).min(OWNERS as usize * 8).max(4096);
    let regions_at = TABLES;
    let founding_at = (regions_at + regions).next_multiple_of(PIECE);
    let owners_at = founding_at + FOUNDING;
    let next = (owners_at + owners).next_multiple_of(PIECE);
    // Chunks are found by rounding an address down, so the first one begins at an aligned address.
    let next = (at.addr() + next).next_multiple_of(CHUNK) - at.addr();
    if next + CHUNK > size {
        return false;
    }
    for piece in [at, at.wrapping_add(founding_at)] {
        // SAFETY: the piece is inside the mapping the caller made.
        if unsafe { memory::protect(piece, PIECE, Access::Write) }.is_err() {
            return false;
        }
    }
    META.store(at, Relaxed);
    SIZE.store(size, Relaxed);
    REGIONS_AT.store(regions_at, Relaxed);
    REGIONS_END.store(PIECE, Relaxed);
    FOUNDING_AT.store(founding_at, Relaxed);
    OWNERS_AT.store(owners_at, Relaxed);
    OWNERS_END.store(founding_at + PIECE, Relaxed);
    MAX_OWNERS.store(owners / 8, Relaxed);
    NEXT.store(next, Relaxed);
    FIRST.store(next, Relaxed);
    true
}

/// Where the metadata begins.
#[inline]
pub fn base() -> *mut u8 {
    META.load(Relaxed)
}

/// Where the founding places begin and end, as addresses.
#[inline]
pub fn founding() -> (usize, *mut u8) {
    let start = base().wrapping_add(FOUNDING_AT.load(Relaxed));
    (start.addr(), start.wrapping_add(FOUNDING))
}

/// Bytes made writable: the tables' used parts and the chunks.
pub fn committed() -> usize {
    let used = |end: &AtomicUsize, start: &AtomicUsize| {
        end.load(Relaxed).saturating_sub(start.load(Relaxed))
    };
    if base().is_null() {
        return 0;
    }
    used(&REGIONS_END, &REGIONS_AT) + used(&OWNERS_END, &OWNERS_AT) + used(&NEXT, &FIRST) + FOUNDING
}

/// A new chunk, zero; `None` when there is no room or the system refuses.
pub fn chunk() -> Option<NonNull<u8>> {
    let at = NEXT.load(Relaxed);
    if at + CHUNK > SIZE.load(Relaxed) {
        return None;
    }
    let p = base().wrapping_add(at);
    // SAFETY: the chunk is inside the metadata and nobody has it; the caller holds the metadata lock.
    unsafe { memory::protect(p, CHUNK, Access::Write) }.ok()?;
    NEXT.store(at + CHUNK, Relaxed);
    NonNull::new(p)
}

/// The chunk that was handed out as number `n` (the caller holds the metadata lock).
pub fn nth_chunk(n: usize) -> Option<*mut u8> {
    let at = FIRST.load(Relaxed) + n * CHUNK;
    (at < NEXT.load(Relaxed)).then(|| base().wrapping_add(at))
}

/// Every chunk handed out so far, for checks (the caller holds the metadata lock).
pub fn each_chunk(mut f: impl FnMut(*mut u8)) {
    let mut at = FIRST.load(Relaxed);
    while at < NEXT.load(Relaxed) {
        f(base().wrapping_add(at));
        at += CHUNK;
    }
}

/// Makes a table writable up to `need` bytes from its start.
fn extend(start: &AtomicUsize, end: &AtomicUsize, need: usize) -> bool {
    let (from, to) = (
        end.load(Relaxed),
        (start.load(Relaxed) + need).next_multiple_of(PIECE),
    );
    if to <= from {
        return true;
    }
    // SAFETY: the range lies inside the table, as `init` laid it out; growing writability breaks nobody.
    let ok =
        unsafe { memory::protect(base().wrapping_add(from), to - from, Access::Write) }.is_ok();
    if ok {
        end.store(to, Relaxed);
    }
    ok
}

/// The record of region `r`; call [`extend_regions`] before the first use.
#[inline]
pub fn region_record(r: usize) -> *mut u8 {
    base().wrapping_add(REGIONS_AT.load(Relaxed) + r * REGION_RECORD)
}

/// Makes the records of regions `..end` writable (under the pages lock).
pub fn extend_regions(end: usize) -> bool {
    extend(&REGIONS_AT, &REGIONS_END, end * REGION_RECORD)
}

/// The slot of owner `id`, `None` past the table or when it cannot be made writable (under the registry lock).
pub fn owner_slot(id: usize) -> Option<&'static AtomicPtr<u8>> {
    if id >= MAX_OWNERS.load(Relaxed) || !extend(&OWNERS_AT, &OWNERS_END, (id + 1) * 8) {
        return None;
    }
    let p = base()
        .wrapping_add(OWNERS_AT.load(Relaxed))
        .cast::<AtomicPtr<u8>>();
    // SAFETY: inside the owner table, writable since `extend`; an all-zero word is a null pointer.
    Some(unsafe { &*p.add(id) })
}

/// A reference to `p`, which is a multiple of 64 from the metadata's start.
#[inline]
pub fn reference(p: *const u8) -> u32 {
    ((p.addr() - base().addr()) / 64) as u32
}

/// What a reference (not 0) refers to.
#[inline]
pub fn resolve(r: u32) -> *mut u8 {
    base().wrapping_add(r as usize * 64)
}
