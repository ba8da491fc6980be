//! The end of a hardened block: how many bytes were asked for, and bytes that nobody may change.
//!
//! ```text
//! | object, n bytes | filler … | canary, 8 bytes |      block
//! canary: | 8: as filler | 16: n, masked | 40: keyed sum of address and n |     lowest byte first
//! ```
//! Filler and canary depend on the address and on a secret, so that one block's do not fit another. They are never zero, text or -1: such
//! a byte written just behind the object always shows, another in at least 62 of 64 cases.

use crate::sync::{AtomicU64, Ordering::*};

/// Bytes that every block has beyond its object, at least.
pub const BYTES: usize = 8;

static SECRET: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Chooses the process's secret.
#[cold]
pub fn start() {
    for s in &SECRET {
        s.store(aethalloc_sys::process::random(), Relaxed);
    }
}

#[cold]
fn mix(mut v: u64) -> u64 {
    v = (v ^ v >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    v = (v ^ v >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    v ^ v >> 31
}

/// Everything that depends on the address alone.
#[cold]
fn key(p: *mut u8) -> u64 {
    mix(p.addr() as u64 ^ SECRET[0].load(Relaxed))
}

/// A byte that programs seldom write by mistake: not zero, not text, not -1.
#[cold]
fn odd_byte(v: u64) -> u8 {
    let b = v as u8 | 0x81;
    if b == 0xff { 0x81 } else { b }
}

#[cold]
fn filler(key: u64) -> u8 {
    odd_byte(key >> 48)
}

#[cold]
fn canary(key: u64, n: usize) -> u64 {
    let first = odd_byte(key >> 56) as u64;
    let size = (n as u64 ^ key >> 8) & 0xffff;
    let sum = mix(key ^ SECRET[1].load(Relaxed) ^ (n as u64) << 17) >> 24;
    first | size << 8 | sum << 24
}

#[cold]
fn place(p: *mut u8, block: usize) -> *mut u64 {
    p.wrapping_add(block - BYTES).cast()
}

/// Marks the end of the object of `n` bytes at `p`, a block of `block` bytes.
///
/// # Safety
/// The block is the caller's; `n + BYTES <= block`, a multiple of 16.
#[cold]
pub unsafe fn write(p: *mut u8, block: usize, n: usize) {
    let key = key(p);
    // SAFETY: the caller's promise.
    unsafe {
        p.add(n).write_bytes(filler(key), block - BYTES - n);
        place(p, block).write(canary(key, n));
    }
}

/// What was changed behind an object, as far as that can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The object's size, or its block's if the canary does not tell any more.
    pub size: usize,
    /// Offset of the first changed byte.
    pub at: usize,
}

/// The size of the object at `p`, if nothing behind it was changed.
///
/// # Safety
/// A block of `block` bytes that [`write()`] marked lies at `p`.
#[cold]
pub unsafe fn check(p: *mut u8, block: usize) -> Result<usize, Damage> {
    let key = key(p);
    // SAFETY: the caller's promise.
    let found = unsafe { place(p, block).read_volatile() };
    let n = ((found >> 8 ^ key >> 8) & 0xffff) as usize;
    let changed = found ^ canary(key, n);
    // The size and its sum agree: it can be believed.
    let known = n + BYTES <= block && changed >> 8 == 0;
    let size = if known { n } else { block };
    let filler = filler(key);
    // SAFETY: inside the block.
    let intact = |at: usize| unsafe { p.add(at).read_volatile() } == filler;
    if known && let Some(at) = (n..block - BYTES).find(|at| !intact(*at)) {
        return Err(Damage { size, at });
    }
    if changed != 0 {
        let at = block - BYTES
            + if known {
                0
            } else {
                changed.trailing_zeros() as usize / 8
            };
        return Err(Damage { size, at });
    }
    Ok(n)
}

/// The offset of the first byte of a free block that is not zero.
///
/// # Safety
/// A block of `block` bytes, a multiple of 16, at a multiple of 16, lies at `p`.
#[cold]
pub unsafe fn first_used(p: *mut u8, block: usize) -> Option<usize> {
    let words = p.cast::<u64>();
    for w in 0..block / 8 {
        // SAFETY: inside the block.
        let word = unsafe { words.add(w).read_volatile() };
        if word != 0 {
            return Some(w * 8 + word.to_le().trailing_zeros() as usize / 8);
        }
    }
    None
}
