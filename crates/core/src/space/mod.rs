//! Address space: one reservation, its page map and the allocator's own metadata.
//!
//! ```text
//! wide (the normal case)
//!   |<- page map, 2 GiB ->|<- metadata, 1/8, at most 32 GiB ->|<------------- arena -------------->|
//!                         ^ BASE = FAST_BASE, unit 0           ^ first unit that holds memory
//! narrow (finite RLIMIT_AS, or nothing large was granted): FAST_BASE stays impossible, so that the fast path
//!   of free always takes its slow exit; page map, metadata and each arena are mappings of their own.
//! ```
//! Called by everything above; assumes nothing. A look-up costs one load (wide) or a short search (narrow).
//! Units are numbered through all arenas; a gap of one region between two arenas keeps runs from crossing.

pub mod entry;
pub mod meta;
pub mod pool;

use crate::apart::Apart;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering::*};
use aethalloc_base::class;
use aethalloc_base::options::Key;
use aethalloc_base::units::{PAGE, REGION, UNIT, UNIT_SHIFT, UNITS_PER_REGION};
use aethalloc_sys::lock::Lock;
use aethalloc_sys::memory::{self, Access};
use core::ptr::null_mut;

/// Units that the page map of a wide space covers: 16 TiB.
pub const WIDE_UNITS: usize = 1 << 28;
/// Bytes of a wide space's page map, which ends where the arena begins.
pub const WIDE_MAP: usize = WIDE_UNITS * 8;
/// No pointer of user space is within 16 TiB above this.
const IMPOSSIBLE: usize = 1 << 63;

/// What the fast path of free measures pointers against; `IMPOSSIBLE` before the space exists and when it is narrow.
pub static FAST_BASE: Apart<AtomicUsize> = Apart(AtomicUsize::new(IMPOSSIBLE));

static STATE: AtomicU8 = AtomicU8::new(0);
static INIT: Lock = Lock::new();
/// Address of unit 0.
static BASE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// Units of the first arena.
static UNITS: AtomicUsize = AtomicUsize::new(0);
/// First unit that can hold memory.
static FIRST: AtomicUsize = AtomicUsize::new(UNITS_PER_REGION);
/// The wide arena has not been given to the page heap yet.
static WAITING: AtomicBool = AtomicBool::new(false);
/// Units that the page map has room for.
static MAX_UNITS: AtomicUsize = AtomicUsize::new(0);

/// Narrow only: the address space that the process may have, as far as could be found out at the start.
static ROOM: AtomicUsize = AtomicUsize::new(0);

/// Arenas after the first that a narrow space can have.
const MOST_EXTRAS: usize = 256;
/// An arena of a narrow space. Written once, before [`EXTRAS`] counts it.
#[repr(C)]
struct Extra {
    base: AtomicPtr<u8>,
    first: AtomicUsize,
    units: AtomicUsize,
}
/// [`MOST_EXTRAS`] of them in a mapping of their own; null in a wide space.
static EXTRA: AtomicPtr<Extra> = AtomicPtr::new(null_mut());
static EXTRAS: AtomicUsize = AtomicUsize::new(0);

/// Arena `i` of a narrow space, made or not yet.
fn extra(i: usize) -> Option<&'static Extra> {
    let table = EXTRA.load(Relaxed);
    if table.is_null() || i >= MOST_EXTRAS {
        return None;
    }
    // SAFETY: `make_narrow` mapped the table for this many; all zero is an arena without units.
    Some(unsafe { &*table.add(i) })
}

/// Bytes of one of the system's pages, see [`os_page`].
static OS_PAGE: AtomicUsize = AtomicUsize::new(UNIT);

/// Bytes of one of the system's pages: 4, 16 or 64 KiB. [`UNIT`], which is a multiple of any, until the space is made.
#[inline]
pub fn os_page() -> usize {
    OS_PAGE.load(Relaxed)
}

/// Reads the size of the system's pages; option `page_size` makes it larger.
pub fn find_os_page() {
    const AT_PAGESZ: core::ffi::c_ulong = 6;
    unsafe extern "C" {
        fn getauxval(kind: core::ffi::c_ulong) -> core::ffi::c_ulong;
    }
    // SAFETY: reads what the kernel told the process at its start.
    let told = unsafe { getauxval(AT_PAGESZ) } as usize;
    let size = told.max(crate::config::get(Key::page_size));
    let good = size.is_power_of_two() && (PAGE..=UNIT).contains(&size);
    OS_PAGE.store(if good { size } else { UNIT }, Relaxed);
}

/// The lock that guards the making of the space (the fork handlers take it).
pub fn init_lock() -> &'static Lock {
    &INIT
}

/// True once there is a space, making it at the first call; false when the system grants none.
#[inline]
pub fn ready() -> bool {
    // ORDERING: Acquire, pairs with Release in `make`: whoever sees 1 sees the space.
    STATE.load(Acquire) == 1 || make()
}

#[inline(never)]
fn make() -> bool {
    let _held = INIT.take();
    if STATE.load(Relaxed) == 1 {
        return true;
    }
    crate::config::early();
    find_os_page();
    let limit = memory::address_space_limit();
    let ok = (limit.is_none() && make_wide(crate::config::get(Key::reserve))) || make_narrow(limit);
    if ok {
        // ORDERING: Release, pairs with Acquire in `ready`.
        STATE.store(1, Release);
    }
    ok
}

fn make_wide(wanted: usize) -> bool {
    const SMALLEST: usize = 4 << 30;
    let mut size = wanted.min(WIDE_UNITS * UNIT) & !(REGION - 1);
    while size >= SMALLEST {
        if let Ok(raw) = memory::map(WIDE_MAP + size + REGION, Access::None) {
            let raw = raw.as_ptr();
            let base = raw
                .wrapping_add(WIDE_MAP)
                .map_addr(|a| (a + REGION - 1) & !(REGION - 1));
            let meta = (size / 8).min(32 << 30);
            let units = size / UNIT;
            // SAFETY: the map lies wholly inside the mapping just made.
            if unsafe { memory::protect(base.wrapping_sub(WIDE_MAP), WIDE_MAP, Access::Read) }
                .is_err()
                || !meta::init(base, meta, units)
            {
                // SAFETY: just made, nobody has seen it.
                unsafe { memory::unmap(raw, WIDE_MAP + size + REGION) };
                return false;
            }
            entry::init(base.wrapping_sub(WIDE_MAP), units);
            BASE.store(base, Relaxed);
            UNITS.store(units, Relaxed);
            MAX_UNITS.store(units, Relaxed);
            FIRST.store(meta / UNIT, Relaxed);
            WAITING.store(true, Relaxed);
            copy_tables(base);
            // ORDERING: Release: the fast path reads page map and tables through this address only.
            FAST_BASE.store(base.addr(), Release);
            return true;
        }
        size /= 2;
        size &= !(REGION - 1);
    }
    false
}

/// Where the sizes begin in the tables.
pub const SIZES_AT: usize = 512;
const _: () = assert!(SIZES_AT >= class::COUNT * 4 && SIZES_AT + class::COUNT * 4 <= 1024);

/// The fast path of free finds the reciprocals at `BASE + class * 4`, the sizes at `BASE + SIZES_AT + class * 4`.
fn copy_tables(base: *mut u8) {
    let tables = class::RECIPROCALS.iter().zip(class::SIZES.iter());
    for (c, (reciprocal, size)) in tables.enumerate() {
        // SAFETY: `meta::init` made the first page writable and keeps its first KiB for these tables (twice 89 * 4 bytes).
        unsafe {
            base.cast::<u32>().add(c).write(*reciprocal);
            base.add(SIZES_AT).cast::<u32>().add(c).write(*size);
        }
    }
}

/// What the system grants at once, when no limit can be read: half of 64 GiB, and so on.
fn granted() -> usize {
    let mut size = 64 << 30;
    while size > 1 << 20 {
        size /= 2;
        if let Ok(at) = memory::map(size, Access::None) {
            // SAFETY: just made, nobody has seen it.
            unsafe { memory::unmap(at.as_ptr(), size) };
            break;
        }
    }
    size
}

#[unsafe(link_section = ".text.unlikely.apart")]
fn make_narrow(limit: Option<usize>) -> bool {
    let mut room = limit.unwrap_or_else(granted).min(1 << 40);
    ROOM.store(room, Relaxed);
    if EXTRA.load(Relaxed).is_null() {
        let Ok(table) = memory::map(MOST_EXTRAS * size_of::<Extra>(), Access::Write) else {
            return false;
        };
        EXTRA.store(table.as_ptr().cast(), Relaxed);
    }
    while room >= 1 << 20 {
        let units = room / UNIT + 2 * UNITS_PER_REGION;
        let meta_size = (room / 16).clamp(512 << 10, 1 << 30);
        if let Ok(map) = memory::map((units * 8).next_multiple_of(UNIT), Access::Read) {
            if let Ok(meta_at) = memory::map(meta_size, Access::None) {
                if meta::init(meta_at.as_ptr(), meta_size, units) {
                    entry::init(map.as_ptr(), units);
                    MAX_UNITS.store(units, Relaxed);
                    // SAFETY: the pages are ours; the tables are written as in the wide case but never read there.
                    copy_tables(meta_at.as_ptr());
                    return true;
                }
                // SAFETY: just made, nobody has seen it.
                unsafe { memory::unmap(meta_at.as_ptr(), meta_size) };
            }
            // SAFETY: just made, nobody has seen it.
            unsafe { memory::unmap(map.as_ptr(), (units * 8).next_multiple_of(UNIT)) };
        }
        room /= 2;
    }
    false
}

/// The next arena, of at least `regions` regions, under the pages lock: its first unit and its units. A wide space has
/// one, a narrow one grows by more.
pub fn another_arena(regions: usize) -> Option<(usize, usize)> {
    if FAST_BASE.load(Relaxed) != IMPOSSIBLE {
        let (first, end) = (FIRST.load(Relaxed), UNITS.load(Relaxed));
        let enough = end - first >= regions * UNITS_PER_REGION;
        return (WAITING.swap(false, Relaxed) && enough).then_some((first, end - first));
    }
    let n = EXTRAS.load(Relaxed);
    let first = if n == 0 {
        UNITS_PER_REGION
    } else {
        let last = extra(n - 1)?;
        last.first.load(Relaxed) + last.units.load(Relaxed) + UNITS_PER_REGION
    };
    let max = MAX_UNITS.load(Relaxed).saturating_sub(first) / UNITS_PER_REGION;
    let limit = memory::address_space_limit().unwrap_or(ROOM.load(Relaxed).min(8 << 30));
    let mut want = (limit / 8 / REGION).clamp(1, 512).max(regions).min(max);
    while want >= regions && want > 0 {
        let len = want * REGION;
        if let Ok(raw) = memory::map(len + REGION, Access::None) {
            let raw = raw.as_ptr();
            let base = raw.map_addr(|a| (a + REGION - 1) & !(REGION - 1));
            let head = base.addr() - raw.addr();
            // SAFETY: the slack around the aligned part is ours and unused.
            unsafe {
                if head != 0 {
                    memory::unmap(raw, head);
                }
                memory::unmap(base.wrapping_add(len), REGION - head);
            }
            let new = extra(n)?;
            new.base.store(base, Relaxed);
            new.first.store(first, Relaxed);
            new.units.store(want * UNITS_PER_REGION, Relaxed);
            // ORDERING: Release, pairs with Acquire in `unit_of` and `address_of`.
            EXTRAS.store(n + 1, Release);
            return Some((first, want * UNITS_PER_REGION));
        }
        if want == regions {
            break;
        }
        want = (want / 2).max(regions);
    }
    None
}

/// The unit that `address` lies in, `None` outside all arenas.
#[inline]
pub fn unit_of(address: usize) -> Option<usize> {
    let base = BASE.load(Relaxed).addr();
    let u = address.wrapping_sub(base) >> UNIT_SHIFT;
    if base != 0 && u < UNITS.load(Relaxed) {
        Some(u)
    } else {
        unit_of_extra(address)
    }
}

#[cold]
fn unit_of_extra(address: usize) -> Option<usize> {
    // ORDERING: Acquire, pairs with Release in `another_arena`.
    for i in 0..EXTRAS.load(Acquire) {
        let arena = extra(i)?;
        let u = address.wrapping_sub(arena.base.load(Relaxed).addr()) >> UNIT_SHIFT;
        if u < arena.units.load(Relaxed) {
            return Some(arena.first.load(Relaxed) + u);
        }
    }
    None
}

/// Where unit `u` begins. `u` is a unit of some arena.
#[inline]
pub fn address_of(u: usize) -> *mut u8 {
    if u < UNITS.load(Relaxed) {
        BASE.load(Relaxed).wrapping_add(u << UNIT_SHIFT)
    } else {
        address_of_extra(u)
    }
}

#[cold]
fn address_of_extra(u: usize) -> *mut u8 {
    // ORDERING: Acquire, pairs with Release in `another_arena`.
    for i in 0..EXTRAS.load(Acquire) {
        let Some(arena) = extra(i) else {
            break;
        };
        let first = arena.first.load(Relaxed);
        if u.wrapping_sub(first) < arena.units.load(Relaxed) {
            let base = arena.base.load(Relaxed);
            return base.wrapping_add((u - first) << UNIT_SHIFT);
        }
    }
    null_mut()
}

/// The pointer to the block at `address`: every pointer handed out is made here. The arenas' memory was exposed by the
/// kernel when it was mapped.
#[inline(always)]
pub fn pointer(address: usize) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(address)
}

/// The pointer by which the program gets the object of `bytes` bytes (its block or run) at `p`: the seam where a target with capabilities
/// narrows the pointer, so that it leads to these bytes and to no others. Sizes and alignments are exactly representable
/// (`base::bounds`), so nothing else is needed there (CHERI: `cheri_bounds_set_exact`). Without capabilities it is `p`, and no instruction.
///
/// Every path that hands out an object ends here; `cargo run -p xtask -- provenance` counts them.
#[inline(always)]
pub fn narrow(p: *mut u8, bytes: usize) -> *mut u8 {
    let _ = bytes;
    p
}

/// As [`narrow`], by the object's address.
#[inline(always)]
pub fn object(address: usize, bytes: usize) -> *mut u8 {
    narrow(pointer(address), bytes)
}

/// The first unit that can hold memory.
pub fn first_unit() -> usize {
    FIRST.load(Relaxed)
}
