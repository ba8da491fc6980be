//! Magazines of the medium classes (1152 B to 32 KiB): a few blocks each, bounded together.

use super::cache::Cache;
use super::cold::put_address;
use crate::space::pool;
use crate::span::central;
use crate::sync::Ordering::*;
use aethalloc_base::class::{self, COUNT, Class, FAST_COUNT};
use aethalloc_base::options::Key;
use aethalloc_base::policy;
use core::ptr::null_mut;

const SLOTS: usize = 8;
/// Uses of medium classes before a thread gets these magazines.
const HEAT: u8 = 16;
/// Bytes that all of a thread's medium magazines may hold.
const BYTES: usize = 64 << 10;

/// The magazines of one thread.
#[repr(C)]
pub struct Medium {
    bytes: usize,
    count: [u8; COUNT - FAST_COUNT],
    slots: [[usize; SLOTS]; COUNT - FAST_COUNT],
}

const POOL: usize = pool::pool_for(size_of::<Medium>());

fn of(cache: &mut Cache) -> Option<&'static mut Medium> {
    let p = cache.medium.load(Relaxed);
    if !p.is_null() {
        // SAFETY: the calling thread's own.
        return Some(unsafe { &mut *p });
    }
    if cache.medium_heat < HEAT {
        cache.medium_heat += 1;
        return None;
    }
    if crate::config::get(Key::cache) == 0 {
        return None;
    }
    let (place, zero) = pool::take(POOL)?;
    let p = place.as_ptr().cast::<Medium>();
    if !zero {
        // SAFETY: the place is ours and large enough; all-zero is valid.
        unsafe { place.as_ptr().write_bytes(0, size_of::<Medium>()) };
    }
    cache.medium.store(p, Relaxed);
    // SAFETY: just made.
    Some(unsafe { &mut *p })
}

fn capacity(size: usize) -> usize {
    policy::clamp(policy::per(32 << 10, size), 1, SLOTS)
}

/// A block of medium class `c`; null when memory is out.
pub fn alloc(cache: &mut Cache, c: Class) -> *mut u8 {
    let mut out = [0usize; SLOTS];
    let size = class::size(c);
    let Some(m) = of(cache) else {
        let got = central::take_common(c, cache.serial, 1, out.as_mut_ptr());
        cache.taken.fetch_add(got as u64, Relaxed);
        return if got == 0 {
            null_mut()
        } else {
            crate::space::pointer(out[0])
        };
    };
    let k = c - FAST_COUNT;
    let (Some(count), Some(slots)) = (m.count.get_mut(k), m.slots.get_mut(k)) else {
        return null_mut();
    };
    if *count > 0 {
        *count -= 1;
        m.bytes -= size;
        return crate::space::pointer(slots.get(*count as usize).copied().unwrap_or(0));
    }
    let got = central::take_common(
        c,
        cache.serial,
        capacity(size).div_ceil(2),
        out.as_mut_ptr(),
    );
    if got == 0 {
        return null_mut();
    }
    cache.taken.fetch_add(got as u64, Relaxed);
    for (slot, p) in slots.iter_mut().zip(out.iter().take(got).skip(1)) {
        *slot = *p;
    }
    *count = got as u8 - 1;
    m.bytes += (got - 1) * size;
    crate::space::pointer(out[0])
}

/// Takes a freed block whose state byte the caller has checked. True: it is here already (a double free).
pub fn free(cache: &mut Cache, c: Class, p: usize) -> bool {
    let size = class::size(c);
    let Some(m) = of(cache) else {
        cache.put.fetch_add(1, Relaxed);
        put_address(p, cache.id);
        return false;
    };
    let k = c - FAST_COUNT;
    let (Some(count), Some(slots)) = (m.count.get_mut(k), m.slots.get_mut(k)) else {
        return false;
    };
    let n = *count as usize;
    if slots.iter().take(n).any(|q| *q == p) {
        return true;
    }
    if n == capacity(size) || m.bytes + size > BYTES {
        // The older half goes home; the newest blocks are the warm ones.
        let out = n.div_ceil(2);
        let old = *slots;
        // Nothing is listed while entries move: a fork's child would find some twice.
        *count = 0;
        for (to, from) in slots.iter_mut().zip(old.iter().take(n).skip(out)) {
            *to = *from;
        }
        *count = (n - out) as u8;
        m.bytes -= out * size;
        for o in old.iter().take(out) {
            put_address(*o, cache.id);
        }
        cache.put.fetch_add(out as u64, Relaxed);
        if m.bytes + size > BYTES {
            cache.put.fetch_add(1, Relaxed);
            put_address(p, cache.id);
            return false;
        }
    }
    if let Some(slot) = slots.get_mut(*count as usize) {
        *slot = p;
        *count += 1;
        m.bytes += size;
    }
    false
}

/// Empties all magazines.
pub fn drain(cache: &mut Cache) {
    let p = cache.medium.load(Relaxed);
    if p.is_null() {
        return;
    }
    // SAFETY: the calling thread's own (or a dead thread's in a fork's child).
    let m = unsafe { &mut *p };
    for (count, slots) in m.count.iter_mut().zip(m.slots.iter()) {
        while *count > 0 {
            *count -= 1;
            if let Some(p) = slots.get(*count as usize) {
                put_address(*p, cache.id);
                cache.put.fetch_add(1, Relaxed);
            }
        }
    }
    m.bytes = 0;
}

/// Bytes held, for statistics.
///
/// # Safety
/// `m` is null or a registered cache's.
pub unsafe fn bytes(m: *const Medium) -> usize {
    if m.is_null() {
        0
    } else {
        // SAFETY: the caller's promise; a racy read of one word.
        unsafe { (&raw const (*m).bytes).read_volatile() }
    }
}
