//! Spare memory: what `malloc` gives a signal handler that interrupted a slow path of its own thread (`thread::inside`).
//!
//! ```text
//! blocks    of 64, 512 and 4096 bytes, in the library's own zeroed data, each pool with a bitmap: 1 taken
//! mappings  for larger objects and when the blocks are all taken: one for each, in a table of 64
//! ```
//! Nothing here waits for anybody: a block is taken and given back by one compare-and-swap or exchange, a mapping by one and a
//! system call. Pages that no handler needed are never touched. Objects here are outside the arenas; `free`,
//! `realloc` and `malloc_usable_size` ask before they take them for another allocator's.
//!
//! # Orderings
//! Taking is Acquire and giving back Release: an object's last use comes before its next.

use crate::sync::{AtomicU64, AtomicUsize, Ordering::*};
use crate::violation::{self, Verb};
use aethalloc_base::units::PAGE;
use aethalloc_sys::memory::{self, Access};
use core::cell::UnsafeCell;
use core::ptr::null_mut;

#[repr(C, align(4096))]
struct Memory<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);
// SAFETY: touched only by the owners of its blocks.
unsafe impl<const BYTES: usize> Sync for Memory<BYTES> {}

const SMALL: usize = 64;
const MIDDLE: usize = 512;
const LARGE: usize = 4096;
static SMALL_BLOCKS: Memory<{ 128 << 10 }> = Memory(UnsafeCell::new([0; 128 << 10]));
static MIDDLE_BLOCKS: Memory<{ 256 << 10 }> = Memory(UnsafeCell::new([0; 256 << 10]));
static LARGE_BLOCKS: Memory<{ 256 << 10 }> = Memory(UnsafeCell::new([0; 256 << 10]));
static SMALL_MAP: [AtomicU64; 32] = [const { AtomicU64::new(0) }; 32];
static MIDDLE_MAP: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
static LARGE_MAP: [AtomicU64; 1] = [const { AtomicU64::new(0) }; 1];

/// Equal blocks, each at a multiple of its size.
struct Pool {
    start: *mut u8,
    size: usize,
    map: &'static [AtomicU64],
}

fn pools() -> [Pool; 3] {
    let pool = |start, size, map| Pool { start, size, map };
    [
        pool(SMALL_BLOCKS.0.get().cast(), SMALL, &SMALL_MAP),
        pool(MIDDLE_BLOCKS.0.get().cast(), MIDDLE, &MIDDLE_MAP),
        pool(LARGE_BLOCKS.0.get().cast(), LARGE, &LARGE_MAP),
    ]
}

impl Pool {
    fn take(&self) -> Option<*mut u8> {
        for (w, word) in self.map.iter().enumerate() {
            let mut now = word.load(Relaxed);
            while now != u64::MAX {
                let bit = now.trailing_ones();
                match word.compare_exchange_weak(now, now | 1 << bit, Acquire, Relaxed) {
                    Ok(_) => {
                        return Some(self.start.wrapping_add((w * 64 + bit as usize) * self.size));
                    }
                    Err(v) => now = v,
                }
            }
        }
        None
    }

    /// The word and the bit of the block that holds `p`, and where it begins.
    fn find(&self, p: usize) -> Option<(&'static AtomicU64, u64, usize)> {
        let i = p.checked_sub(self.start.addr())? / self.size;
        let word = self.map.get(i / 64)?;
        Some((word, 1 << (i % 64), self.start.addr() + i * self.size))
    }
}

/// One object with a mapping of its own.
struct Mapping {
    /// 0 none, 1 being made or ended, else the object's address.
    object: AtomicUsize,
    start: AtomicUsize,
    bytes: AtomicUsize,
}

const NONE: usize = 0;
const CHANGING: usize = 1;

static MAPPINGS: [Mapping; 64] = [const {
    Mapping {
        object: AtomicUsize::new(NONE),
        start: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
    }
}; 64];

/// An object of `size` bytes at a multiple of `align` (a power of two), all zero if `zeroed`; null when there is no room.
#[cold]
#[inline(never)]
pub fn allocate(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    let room = size.max(align);
    for pool in pools() {
        if room <= pool.size
            && let Some(p) = pool.take()
        {
            if zeroed {
                // SAFETY: a block of `pool.size` bytes that is the caller's.
                unsafe { p.write_bytes(0, size) };
            }
            return crate::space::narrow(p, pool.size);
        }
    }
    map(size, align)
}

fn map(size: usize, align: usize) -> *mut u8 {
    let bytes = size
        .max(1)
        .checked_next_multiple_of(crate::space::os_page());
    let bytes = match align > PAGE {
        true => bytes.and_then(|b| b.checked_add(align)),
        false => bytes,
    };
    let Some(bytes) = bytes.filter(|b| *b <= isize::MAX as usize) else {
        return null_mut();
    };
    let free = |m: &&Mapping| {
        let taken = m.object.compare_exchange(NONE, CHANGING, Acquire, Relaxed);
        taken.is_ok()
    };
    let Some(m) = MAPPINGS.iter().find(free) else {
        return null_mut();
    };
    let Ok(start) = memory::map(bytes, Access::Write) else {
        m.object.store(NONE, Release);
        return null_mut();
    };
    let p = start
        .as_ptr()
        .map_addr(|a| a.next_multiple_of(align.max(1)));
    m.start.store(start.as_ptr().expose_provenance(), Relaxed);
    m.bytes.store(bytes, Relaxed);
    m.object.store(p.addr(), Release);
    crate::space::narrow(p, size)
}

/// Ends the object at `p`, if it is one of these; the process, if nothing begins there in a block of these.
pub fn free(p: usize) -> bool {
    for pool in pools() {
        if let Some((word, bit, start)) = pool.find(p) {
            if p != start {
                violation::interior(Verb::Free, p, pool.size);
            }
            if word.fetch_and(!bit, Release) & bit == 0 {
                violation::double_free(p, pool.size);
            }
            return true;
        }
    }
    for m in &MAPPINGS {
        if m.object.load(Relaxed) == p
            && m.object
                .compare_exchange(p, CHANGING, Acquire, Relaxed)
                .is_ok()
        {
            let start = crate::space::pointer(m.start.load(Relaxed));
            // SAFETY: made by `map`; its one object ends here.
            unsafe { memory::unmap(start, m.bytes.load(Relaxed)) };
            m.object.store(NONE, Release);
            return true;
        }
    }
    false
}

/// Bytes usable at `p`, if an object of these begins there; ends the process if nothing begins there in a block of these.
pub fn usable_size(verb: Verb, p: usize) -> Option<usize> {
    for pool in pools() {
        if let Some((word, bit, start)) = pool.find(p) {
            if p != start {
                violation::interior(verb, p, pool.size);
            }
            if word.load(Relaxed) & bit == 0 {
                violation::used_after_free(verb, p, pool.size);
            }
            return Some(pool.size);
        }
    }
    let m = MAPPINGS.iter().find(|m| m.object.load(Relaxed) == p)?;
    Some(m.start.load(Relaxed) + m.bytes.load(Relaxed) - p)
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::collections::HashSet;

    /// One test: the pools are the process's.
    #[test]
    fn blocks_and_mappings_are_distinct_right_and_come_back() {
        let sizes = [
            (1, 16, 64),
            (64, 16, 64),
            (65, 16, 512),
            (100, 1024, 4096),
            (4096, 4096, 4096),
        ];
        for (size, align, usable) in sizes {
            let p = allocate(size, align, true);
            assert!(p.addr().is_multiple_of(align));
            assert_eq!(usable_size(Verb::UsableSize, p.addr()), Some(usable));
            assert!(free(p.addr()));
        }
        let far = allocate(10_000, 1 << 20, false);
        assert!(far.addr().is_multiple_of(1 << 20));
        assert!(usable_size(Verb::UsableSize, far.addr()).is_some_and(|n| n >= 10_000));
        assert!(free(far.addr()));
        assert!(!free(far.addr()), "unknown once it is gone");
        assert!(allocate(usize::MAX - 10, 16, false).is_null());
        for round in 0..2 {
            let mut seen = HashSet::new();
            loop {
                let p = allocate(64, 16, round == 1);
                if p.is_null() {
                    break;
                }
                // SAFETY: an object of 64 bytes.
                unsafe {
                    assert!(round == 0 || p.read() == 0);
                    p.write_bytes(0xa5, 64);
                }
                assert!(seen.insert(p.addr()));
            }
            assert_eq!(seen.len(), 2048 + 512 + 64 + 64);
            for p in seen {
                assert!(free(p));
            }
        }
        let mut local = 0u8;
        assert!(!free((&raw mut local).addr()));
    }
}
