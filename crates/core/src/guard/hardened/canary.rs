//! The end of a hardened block: how many bytes were asked for, and bytes that nobody may change.
//!
//! ```text
//! | object, n bytes | filler … | canary, 8 bytes |      block
//! canary: | 8: as filler | 16: n | 16: n | 16: n | 8: 0 |, all but the lowest byte masked by what depends on the address
//! ```
//! The mask depends on the address and on a secret, so that one block's canary does not fit another. The filler is never zero, text or -1:
//! such a byte written just behind the object always shows, another in at least 62 of 64 cases. A byte of the canary that changes its value always shows.

use super::window::{self, WINDOW};
use super::zero;
use crate::config;
use crate::sync::Ordering::*;

/// Bytes that every block has beyond its object, at least.
pub const BYTES: usize = 8;

/// Chooses the process's secret: for the mask, its multiplier, and the filler.
pub fn start() {
    use aethalloc_sys::process::random;
    let [mask, multiplier, filler] = config::secret();
    mask.store(random(), Relaxed);
    multiplier.store(random() | 1, Relaxed);
    let byte = odd_byte(random()) as u64 * 0x0101_0101_0101_0101;
    filler.store(byte, Relaxed);
}

/// A byte that programs seldom write by mistake: not zero, not text, not -1.
fn odd_byte(v: u64) -> u8 {
    let b = v as u8 | 0x81;
    if b == 0xff { 0x81 } else { b }
}

/// A word of filler.
#[inline]
fn filler() -> u64 {
    config::secret()[2].load(Relaxed)
}

/// The mask of the block at `p`; its lowest byte is the filler's.
#[inline]
fn mask(p: *mut u8) -> u64 {
    let [mask, multiplier, _] = config::secret();
    let v = (p.addr() as u64 ^ mask.load(Relaxed)).wrapping_mul(multiplier.load(Relaxed));
    v & !0xff | filler() & 0xff
}

/// The canary of an object of `n` bytes, before it is masked: `n` three times.
#[inline]
fn canary(n: usize) -> u64 {
    (n as u64).wrapping_mul(1 << 8 | 1 << 24 | 1 << 40)
}

/// Of the word that the object's end lies in, the bytes that are the object's.
#[inline]
fn own_bytes(n: usize) -> u64 {
    (1 << (n % 8 * 8)) - 1
}

fn place(p: *mut u8, block: usize) -> *mut u64 {
    p.wrapping_add(block - BYTES).cast()
}

/// Marks the end of the object of `n` bytes at `p`, a block of `block` bytes.
///
/// # Safety
/// The block is the caller's; `n + BYTES <= block`, a multiple of 16.
#[inline]
pub unsafe fn write(p: *mut u8, block: usize, n: usize) {
    let (filler, own) = (filler(), own_bytes(n));
    let words = p.cast::<u64>();
    let last = (block - BYTES) / 8;
    // SAFETY: the caller's promise.
    unsafe {
        let mut w = n / 8;
        if w < last {
            let word = words.add(w);
            word.write(word.read() & own | filler & !own);
            w += 1;
        }
        while w < last {
            words.add(w).write(filler);
            w += 1;
        }
        words.add(last).write(canary(n) ^ mask(p));
    }
}

/// As [`write()`], in a block that is all zero: so nothing has to be read. For `fast`: no branch that depends on the object's size, as long as
/// little of the block is filled.
///
/// # Safety
/// As there.
#[inline(always)]
pub unsafe fn mark(p: *mut u8, block: usize, n: usize) {
    let filler = filler();
    let words = p.cast::<u64>();
    let end = block - BYTES;
    let (w, last) = (n / 8, end / 8);
    // SAFETY: the caller's promise; what lands on the canary is overwritten by it.
    unsafe {
        if block <= CLOSE && end - n < 16 {
            words.add(w).write(filler & !own_bytes(n));
            words.add((w + 1).min(last)).write_volatile(filler);
        } else if block > CLOSE && end - n < WINDOW {
            window::fill(p.add(end), end - n, filler);
        } else {
            // Wide classes, and an alignment: at least 16 bytes.
            window::fill_all(p.add(n), p.add(end), filler);
        }
        words.add(last).write(canary(n) ^ mask(p));
    }
}

/// Blocks to here have no window before the canary: at most 15 bytes are filled, more where an alignment was asked for.
const CLOSE: usize = WINDOW;

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
#[inline]
pub unsafe fn check(p: *mut u8, block: usize) -> Result<usize, Damage> {
    // SAFETY: the caller's promise.
    unsafe {
        intact(p, block).ok_or_else(|| damage(p, block, place(p, block).read_volatile() ^ mask(p)))
    }
}

/// As [`check`], without a call and without telling what was changed: for `fast`.
///
/// # Safety
/// As there.
#[inline(always)]
pub unsafe fn intact(p: *mut u8, block: usize) -> Option<usize> {
    // SAFETY: the caller's promise, for all calls here.
    unsafe {
        let found = place(p, block).read_volatile() ^ mask(p);
        let n = (found >> 8 & 0xffff) as usize;
        if found != canary(n) || n > block - BYTES {
            return None;
        }
        let (filler, words) = (filler(), p.cast::<u64>());
        let end = block - BYTES;
        let (w, last) = (n / 8, end / 8);
        let differs = |w: usize| words.add(w).read_volatile() ^ filler;
        let all_well = if block <= CLOSE && end - n < 16 {
            // Where it is the canary that is read, nothing of it counts.
            let (first, second) = (
                if w < last { !own_bytes(n) } else { 0 },
                if w + 1 < last { u64::MAX } else { 0 },
            );
            differs(w) & first | differs((w + 1).min(last)) & second == 0
        } else if block > CLOSE && end - n < WINDOW {
            window::is_filled(p.add(end), end - n, filler)
        } else {
            window::are_filled(p.add(n), p.add(end), filler)
        };
        if !all_well {
            return None;
        }
        Some(n)
    }
}

/// What was changed in a block whose canary, unmasked, reads `found`.
///
/// # Safety
/// As [`check`].
#[cold]
#[inline(never)]
unsafe fn damage(p: *mut u8, block: usize, found: u64) -> Damage {
    // Two of three agree.
    let size = |at: u32| (found >> at & 0xffff) as usize;
    let n = if size(8) == size(24) || size(8) == size(40) {
        size(8)
    } else {
        size(24)
    };
    let end = block - BYTES;
    let known = n <= end && (n == size(24) || n == size(40));
    let byte = filler() as u8;
    if known {
        // SAFETY: inside the block.
        let intact = |at: usize| unsafe { p.add(at).read_volatile() } == byte;
        if let Some(at) = (n..end).find(|at| !intact(*at)) {
            return Damage { size: n, at };
        }
        let changed = found ^ canary(n);
        let at = end + changed.trailing_zeros() as usize / 8;
        return Damage { size: n, at };
    }
    Damage {
        size: block,
        at: end,
    }
}

/// The offset of the first byte of a free block that is not zero.
///
/// # Safety
/// A block of `block` bytes, a multiple of 16, at a multiple of 16, lies at `p`.
#[inline]
#[unsafe(link_section = ".text.unlikely.apart")]
pub unsafe fn first_used(p: *mut u8, block: usize) -> Option<usize> {
    // SAFETY: the caller's promise.
    if unsafe { zero::is_zero(p, block) } {
        return None;
    }
    // SAFETY: inside the block.
    let byte = |at: usize| unsafe { p.add(at).read_volatile() };
    (0..block).find(|at| byte(*at) != 0)
}

#[cfg(test)]
mod tests {
    use super::{BYTES, check, intact, mark, start, write};

    #[repr(align(16))]
    struct Place([u8; 1536]);

    /// Whatever the size, both ways to mark an object's end leave the same bytes, and each changed byte behind it is found and named.
    #[test]
    fn each_byte_behind_an_object_counts() {
        start();
        let (mut one, mut other) = (Place([0; 1536]), Place([0; 1536]));
        for block in [16, 32, 48, 256, 288, 1024, 1152] {
            let p = one.0.as_mut_ptr();
            for n in (0..=block - BYTES).rev().take(200) {
                // SAFETY: blocks in places of this test's.
                unsafe {
                    p.write_bytes(0, block);
                    mark(p, block, n);
                    other.0[..block].copy_from_slice(&one.0[..block]);
                    write(p, block, n);
                    assert_eq!(one.0[..block], other.0[..block], "{n} of {block}");
                    assert!(one.0[..n].iter().all(|b| *b == 0));
                    assert_eq!(intact(p, block), Some(n), "{n} of {block}");
                    for at in n..block {
                        let was = p.add(at).read();
                        p.add(at).write(was ^ 0x10);
                        assert_eq!(intact(p, block), None, "{n} of {block}: byte {at}");
                        let found = check(p, block).expect_err("damage");
                        assert!(found.at <= at, "{n} of {block}: byte {at}: {found:?}");
                        p.add(at).write(was);
                    }
                    // What the program writes into the object is its own.
                    p.write_bytes(0xa5, n);
                    assert_eq!(intact(p, block), Some(n), "{n} of {block}");
                }
            }
        }
    }
}
