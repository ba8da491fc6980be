//! Pools of the allocator's own objects: descriptors, caches, sets of bins, by size.
//!
//! The first 60 KiB serve all sizes: *founding places* are cut off in the order of need and keep their size for ever, so
//! that the dozen objects of a small program lie on few pages. After them, a chunk of 64 KiB serves one size; which of its
//! places are taken is a bitmap at its head. The lowest place of the first chunk with room is taken, so that high chunks run
//! empty; an empty chunk's pages go back to the system, and when many objects ended ([`purge`]) so do empty pages of others.
//!
//! ```text
//! founding: | ... | place of any size | place of any size |
//! chunk:    | head: links, size, counts, 512-bit map (128 B) | place | place | ... |
//! ```
//! Everything here runs under the metadata lock (`meta::lock`). Cost: ~20 ns; called per slab or thread.

pub mod inspect;

use super::meta::{self, CHUNK};
use aethalloc_base::units::{PAGE, whole_pages};
use core::cell::UnsafeCell;
use core::ptr::{NonNull, null_mut};

/// Sizes served, ascending; each a multiple of 64.
pub const SIZES: [usize; 16] = [
    128, 192, 256, 320, 384, 448, 576, 704, 768, 896, 1088, 1472, 2112, 3328, 4160, 4672,
];

/// The pool that serves `bytes`.
pub const fn pool_for(bytes: usize) -> usize {
    let mut i = 0;
    while i < SIZES.len() {
        if SIZES[i] >= bytes {
            return i;
        }
        i += 1;
    }
    panic!("no pool serves this size")
}

#[repr(C)]
struct Head {
    next: *mut Head,
    prev: *mut Head,
    pool: u32,
    taken: u32,
    /// Places from this one on have never been taken: they are zero.
    fresh: u32,
    /// OS pages that may be backed although no place on them is taken, by number; see [`purge`].
    touched: u32,
    map: [u64; 8],
}

const HEAD: usize = 128;
/// Where a founding place that was given back holds its link: behind the words of a descriptor that a stale reference may
/// look at.
const LINK: usize = 56;

struct Pools {
    /// Chunks with room, by pool.
    open: [*mut Head; SIZES.len()],
    /// Chunks without a place taken, their pages given back. A chunk serves one size for ever: a stale reference into it
    /// never finds the middle of something else.
    empty: [*mut Head; SIZES.len()],
    founders: [Founders; SIZES.len()],
    /// Where the next founding place ends; null before the first.
    cut: *mut u8,
}

/// The founding places of one pool.
#[derive(Clone, Copy)]
struct Founders {
    /// Those that were given back, linked at [`LINK`].
    back: *mut u8,
    taken: u32,
}

/// On lines of its own: beside it lies what every slow path reads.
#[repr(align(64))]
struct Guarded(UnsafeCell<Pools>);
// SAFETY: touched only under the metadata lock.
unsafe impl Sync for Guarded {}
static POOLS: Guarded = Guarded(UnsafeCell::new(Pools {
    open: [null_mut(); SIZES.len()],
    empty: [null_mut(); SIZES.len()],
    founders: [Founders {
        back: null_mut(),
        taken: 0,
    }; SIZES.len()],
    cut: null_mut(),
}));

const fn capacity(size: usize) -> usize {
    let n = (CHUNK - HEAD) / size;
    if n > 512 { 512 } else { n }
}

impl Pools {
    /// # Safety
    /// Under the metadata lock; `h` is a live chunk head that is not on the list.
    unsafe fn link(&mut self, i: usize, h: *mut Head) {
        let old = self.open[i];
        // SAFETY: chunk heads are valid while the lock is held.
        unsafe {
            (*h).next = old;
            (*h).prev = null_mut();
            if !old.is_null() {
                (*old).prev = h;
            }
        }
        self.open[i] = h;
    }

    /// # Safety
    /// Under the metadata lock; `h` is on list `i`.
    unsafe fn unlink(&mut self, i: usize, h: *mut Head) {
        // SAFETY: chunk heads are valid while the lock is held.
        unsafe {
            if (*h).prev.is_null() {
                self.open[i] = (*h).next;
            } else {
                (*(*h).prev).next = (*h).next;
            }
            if !(*h).next.is_null() {
                (*(*h).next).prev = (*h).prev;
            }
        }
    }
}

impl Pools {
    /// A founding place of pool `i`: one that was given back, or a new one while there is room.
    ///
    /// # Safety
    /// Under the metadata lock, after the metadata was laid out.
    unsafe fn found(&mut self, i: usize, size: usize) -> Option<(NonNull<u8>, bool)> {
        let founders = self.founders.get_mut(i)?;
        let back = founders.back;
        let (place, zero) = if back.is_null() {
            let (start, end) = meta::founding();
            let above = if self.cut.is_null() { end } else { self.cut };
            if above.addr() - start < size {
                return None;
            }
            self.cut = above.wrapping_sub(size);
            (self.cut, true)
        } else {
            // SAFETY: `give` put the place here and wrote the link.
            founders.back = unsafe { back.add(LINK).cast::<*mut u8>().read() };
            (back, false)
        };
        founders.taken += 1;
        NonNull::new(place).map(|p| (p, zero))
    }
}

/// A place of pool `i`, and whether it is known to be zero.
pub fn take(i: usize) -> Option<(NonNull<u8>, bool)> {
    let size = *SIZES.get(i)?;
    let _held = meta::lock().take();
    // SAFETY: under the lock; chunk heads and maps are ours; `capacity` keeps places inside the chunk.
    unsafe {
        let pools = &mut *POOLS.0.get();
        if let Some(place) = pools.found(i, size) {
            return Some(place);
        }
        let mut h = *pools.open.get(i)?;
        if h.is_null() {
            h = *pools.empty.get(i)?;
            if h.is_null() {
                h = meta::chunk()?.as_ptr().cast();
            } else {
                *pools.empty.get_mut(i)? = (*h).next;
            }
            h.write(Head {
                next: null_mut(),
                prev: null_mut(),
                pool: i as u32,
                taken: 0,
                fresh: 0,
                touched: 0,
                map: [0; 8],
            });
            pools.link(i, h);
        }
        let cap = capacity(size);
        let mut place = cap;
        for (w, word) in (*h).map.iter_mut().enumerate() {
            if *word != u64::MAX {
                let b = (!*word).trailing_zeros() as usize;
                place = w * 64 + b;
                *word |= 1 << b;
                break;
            }
        }
        if place >= cap {
            return None; // a chunk on the list always has room
        }
        (*h).taken += 1;
        if (*h).taken as usize == cap {
            pools.unlink(i, h);
        }
        (*h).touched |= pages_of(size, place);
        let zero = place as u32 >= (*h).fresh;
        if zero {
            (*h).fresh = place as u32 + 1;
        }
        NonNull::new(h.cast::<u8>().add(HEAD + place * size)).map(|p| (p, zero))
    }
}

/// The OS pages of a chunk on which place `i` of `size` bytes lies, one bit each.
const fn pages_of(size: usize, i: usize) -> u32 {
    let (first, last) = (HEAD + i * size, HEAD + (i + 1) * size - 1);
    (2u32 << (last / PAGE)) - (1 << (first / PAGE))
}

/// Gives back the OS pages of chunks on which no place is taken; for when many objects ended. Returns bytes. Costs a look at each
/// chunk; the lock is held for one chunk at a time.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
pub fn purge() -> usize {
    let mut bytes = 0;
    for n in 0.. {
        let _held = meta::lock().take();
        let Some(h) = meta::nth_chunk(n) else {
            return bytes;
        };
        // SAFETY: under the lock; every chunk begins with a head, or is all zero. On the pages given back no place is taken, and none
        // of them counts as zero again.
        unsafe { bytes += purge_chunk(h.cast()) };
    }
    bytes
}

/// # Safety
/// Under the metadata lock; `h` is a chunk.
unsafe fn purge_chunk(h: *mut Head) -> usize {
    // SAFETY: the caller's promise.
    let head = unsafe { &mut *h };
    let Some(&size) = SIZES.get(head.pool as usize) else {
        return 0;
    };
    if head.touched == 0 || head.taken == 0 {
        return 0;
    }
    // The head's own.
    let mut used = 1;
    for (w, word) in head.map.iter().enumerate() {
        let mut left = *word;
        while left != 0 {
            used |= pages_of(size, w * 64 + left.trailing_zeros() as usize);
            left &= left - 1;
        }
    }
    let mut empty = whole_pages(head.touched & !used, super::os_page());
    let mut bytes = 0;
    while empty != 0 {
        let first = empty.trailing_zeros();
        let n = (!(empty >> first)).trailing_zeros();
        let run = ((1u32 << n) - 1) << first;
        empty &= !run;
        let at = h.cast::<u8>().wrapping_add(first as usize * PAGE);
        // SAFETY: inside the chunk; nobody has a place there.
        if unsafe { aethalloc_sys::memory::discard(at, n as usize * PAGE) }.is_ok() {
            head.touched &= !run;
            bytes += n as usize * PAGE;
        }
    }
    bytes
}

/// Gives a place back.
///
/// # Safety
/// `p` came from [`take`] of pool `i` and nobody uses it any more (stale reads see anything, never a fault).
#[unsafe(link_section = ".text.unknown.later")]
pub unsafe fn give(i: usize, p: *mut u8) {
    let _held = meta::lock().take();
    // SAFETY: under the lock; a founding place has room for a link; any other place's chunk is found by its alignment.
    unsafe {
        let pools = &mut *POOLS.0.get();
        let (start, end) = meta::founding();
        if (start..end.addr()).contains(&p.addr())
            && let Some(founders) = pools.founders.get_mut(i)
        {
            p.add(LINK).cast::<*mut u8>().write(founders.back);
            founders.back = p;
            founders.taken -= 1;
            return;
        }
        let h = p.map_addr(|a| a & !(CHUNK - 1)).cast::<Head>();
        let Some(&size) = SIZES.get(i) else { return };
        let place = (p.addr() - h.addr() - HEAD) / size;
        let was_full = (*h).taken as usize == capacity(size);
        if let Some(word) = (*h).map.get_mut(place / 64) {
            *word &= !(1 << (place % 64));
        }
        (*h).taken -= 1;
        if was_full {
            pools.link(i, h);
        }
        // One open chunk stays as it is: a pool that hovers around a chunk's end must not go to the system each time.
        if (*h).taken == 0 && !((*h).next.is_null() && (*h).prev.is_null()) {
            pools.unlink(i, h);
            if aethalloc_sys::memory::discard(h.cast(), CHUNK).is_err() {
                h.cast::<u8>().write_bytes(0, CHUNK); // locked pages: the next life counts on zeroes
            }
            if let Some(empty) = pools.empty.get_mut(i) {
                (*h).next = *empty;
                *empty = h;
            }
        }
    }
}
