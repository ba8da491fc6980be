//! The end of a hardened block: how many bytes were asked for, and bytes that nobody may change.
//!
//! ```text
//! | object, n bytes | filler … | canary, 8 bytes |      block
//! canary: | 8: as filler | 16: n | 16: n | 16: n | 8: 0 |, all but the lowest byte masked by what depends on the address
//! ```
//! The mask depends on the address and on a secret, so that one block's canary does not fit another. The filler is never zero, text or -1:
//! such a byte written just behind the object always shows, another in at least 62 of 64 cases. A byte of the canary that changes its value always shows.

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
    (v ^ v >> 31) & !0xff | filler() & 0xff
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
    // SAFETY: the caller's promise, for all calls here.
    unsafe {
        let found = place(p, block).read_volatile() ^ mask(p);
        let n = (found >> 8 & 0xffff) as usize;
        if found != canary(n) || n > block - BYTES {
            return Err(damage(p, block, found));
        }
        let (filler, words) = (filler(), p.cast::<u64>());
        let mut foreign = !own_bytes(n);
        for w in n / 8..(block - BYTES) / 8 {
            if (words.add(w).read_volatile() ^ filler) & foreign != 0 {
                return Err(damage(p, block, found));
            }
            foreign = u64::MAX;
        }
        Ok(n)
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
pub unsafe fn first_used(p: *mut u8, block: usize) -> Option<usize> {
    let (words, end) = (p.cast::<u64>(), block / 8);
    // SAFETY: inside the block.
    let mut w = unsafe { zero_words(words, end) };
    // SAFETY: inside the block, for all words here.
    let word = |w: usize| unsafe { words.add(w).read_volatile() };
    while w < end {
        let (low, high) = (word(w), word(w + 1));
        if low | high != 0 {
            let (w, found) = if low != 0 { (w, low) } else { (w + 1, high) };
            return Some(w * 8 + found.trailing_zeros() as usize / 8);
        }
        w += 2;
    }
    None
}

/// How many of the `end` words at `words` are zero from the first on, rounded down to a multiple of eight.
///
/// # Safety
/// Readable; `words` is a multiple of 16.
#[inline]
unsafe fn zero_words(words: *mut u64, end: usize) -> usize {
    let mut w = 0;
    while w + 8 <= end {
        // SAFETY: the caller's promise.
        let at = unsafe { words.add(w) };
        #[cfg(target_arch = "x86_64")]
        let any = {
            let any: u32;
            // SAFETY: reads 64 bytes. In assembly because somebody may write there, though nobody should.
            unsafe {
                core::arch::asm!(
                    "movdqa {x}, xmmword ptr [{at}]",
                    "por {x}, xmmword ptr [{at} + 16]",
                    "por {x}, xmmword ptr [{at} + 32]",
                    "por {x}, xmmword ptr [{at} + 48]",
                    "pxor {y}, {y}",
                    "pcmpeqb {x}, {y}",
                    "pmovmskb {any:e}, {x}",
                    at = in(reg) at,
                    x = out(xmm_reg) _,
                    y = out(xmm_reg) _,
                    any = out(reg) any,
                    options(nostack, readonly, preserves_flags),
                );
            }
            any != 0xffff
        };
        #[cfg(not(target_arch = "x86_64"))]
        // SAFETY: as above.
        let any = (0..8).fold(0, |or, n| or | unsafe { at.add(n).read_volatile() }) != 0;
        if any {
            break;
        }
        w += 8;
    }
    w
}

/// Makes a block of `block` bytes zero.
///
/// # Safety
/// As [`first_used`]; the block is the caller's.
#[inline]
pub unsafe fn clear(p: *mut u8, block: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if block > 128 {
            return p.write_bytes(0, block);
        }
        clear_few(p, block);
    }
}

/// As [`clear`], by a few stores that the compiler does not make a call of.
///
/// # Safety
/// As [`first_used`]; the block is the caller's.
#[inline]
unsafe fn clear_few(p: *mut u8, block: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: writes 16 bytes at a time into the block, which is 16 bytes or more.
    unsafe {
        core::arch::asm!(
            "pxor {z}, {z}",
            "2:",
            "movdqa xmmword ptr [{p} + {n} - 16], {z}",
            "sub {n}, 16",
            "jnz 2b",
            p = in(reg) p,
            n = inout(reg) block => _,
            z = out(xmm_reg) _,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    for w in 0..block / 8 {
        // SAFETY: inside the block.
        unsafe { p.cast::<u64>().add(w).write_volatile(0) };
    }
}
