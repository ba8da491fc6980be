//! Filler: bytes before a block's canary that nobody may change, written and compared several at a time.
//!
//! Sizes come in random order: to 31 bytes no branch depends on how many they are ([`fill`], [`is_filled`]: 32 bytes and a mask). More are gone through in steps, the last of
//! which overlaps the one before it ([`fill_all`], [`are_filled`]). Assembly, because somebody may write there meanwhile, though nobody should, and so that no
//! call is made.

pub use imp::{are_filled, fill, fill_all, is_filled};

/// Bytes before the canary that are filled and compared in one go.
pub const WINDOW: usize = 32;

#[cfg(target_arch = "x86_64")]
mod imp {
    use super::WINDOW;
    use core::arch::asm;

    #[repr(C, align(64))]
    struct Masks([u8; 2 * WINDOW]);
    /// The mask of the last `n` of 32 bytes begins at `n`.
    static MASKS: Masks = Masks({
        let mut t = [0; 2 * WINDOW];
        let mut i = WINDOW;
        while i < 2 * WINDOW {
            t[i] = 0xff;
            i += 1;
        }
        t
    });

    /// Fills the last `n` bytes before `end`, of 32 that are zero.
    ///
    /// # Safety
    /// They are the caller's; `n < WINDOW`.
    #[inline(always)]
    pub unsafe fn fill(end: *mut u8, n: usize, filler: u64) {
        // SAFETY: the caller's promise; the masks are twice as long.
        unsafe {
            asm!(
                "movq {f}, {filler}",
                "punpcklqdq {f}, {f}",
                "movdqu {x}, xmmword ptr [{masks}]",
                "movdqu {y}, xmmword ptr [{masks} + 16]",
                "pand {x}, {f}",
                "pand {y}, {f}",
                "movdqu xmmword ptr [{end} - 32], {x}",
                "movdqu xmmword ptr [{end} - 16], {y}",
                filler = in(reg) filler,
                masks = in(reg) MASKS.0.as_ptr().add(n),
                end = in(reg) end,
                f = out(xmm_reg) _,
                x = out(xmm_reg) _,
                y = out(xmm_reg) _,
                options(nostack),
            );
        }
    }

    /// Whether the last `n` bytes before `end` are filler.
    ///
    /// # Safety
    /// 32 bytes before it are readable; `n < WINDOW`.
    #[inline(always)]
    pub unsafe fn is_filled(end: *mut u8, n: usize, filler: u64) -> bool {
        let all: u32;
        // SAFETY: the caller's promise. In assembly because somebody may write there, though nobody should.
        unsafe {
            asm!(
                "movq {f}, {filler}",
                "punpcklqdq {f}, {f}",
                "movdqu {x}, xmmword ptr [{end} - 32]",
                "movdqu {y}, xmmword ptr [{end} - 16]",
                "pxor {x}, {f}",
                "pxor {y}, {f}",
                "movdqu {f}, xmmword ptr [{masks}]",
                "pand {x}, {f}",
                "movdqu {f}, xmmword ptr [{masks} + 16]",
                "pand {y}, {f}",
                "por {x}, {y}",
                "pxor {y}, {y}",
                "pcmpeqb {x}, {y}",
                "pmovmskb {all:e}, {x}",
                filler = in(reg) filler,
                masks = in(reg) MASKS.0.as_ptr().add(n),
                end = in(reg) end,
                f = out(xmm_reg) _,
                x = out(xmm_reg) _,
                y = out(xmm_reg) _,
                all = out(reg) all,
                options(nostack, readonly),
            );
        }
        all == 0xffff
    }

    /// Fills all from `from` to `end`: 16 bytes at least.
    ///
    /// # Safety
    /// They are the caller's.
    #[inline(always)]
    pub unsafe fn fill_all(from: *mut u8, end: *mut u8, filler: u64) {
        let last = end.wrapping_sub(16);
        // SAFETY: the caller's promise; the last store overlaps the one before it.
        unsafe {
            asm!(
                "movq {f}, {filler}",
                "punpcklqdq {f}, {f}",
                "2:",
                "movdqu xmmword ptr [{at}], {f}",
                "add {at}, 16",
                "cmp {at}, {last}",
                "jb 2b",
                "movdqu xmmword ptr [{last}], {f}",
                filler = in(reg) filler,
                at = inout(reg) from => _,
                last = in(reg) last,
                f = out(xmm_reg) _,
                options(nostack),
            );
        }
    }

    /// Whether all from `from` to `end`, 16 bytes at least, is filler.
    ///
    /// # Safety
    /// They are readable.
    #[inline(always)]
    pub unsafe fn are_filled(from: *mut u8, end: *mut u8, filler: u64) -> bool {
        let last = end.wrapping_sub(16);
        let all: u32;
        // SAFETY: the caller's promise; the last load overlaps the one before it. In assembly as above.
        unsafe {
            asm!(
                "movq {f}, {filler}",
                "punpcklqdq {f}, {f}",
                "movdqu {x}, xmmword ptr [{last}]",
                "pxor {x}, {f}",
                "2:",
                "movdqu {y}, xmmword ptr [{at}]",
                "pxor {y}, {f}",
                "por {x}, {y}",
                "add {at}, 16",
                "cmp {at}, {last}",
                "jb 2b",
                "pxor {y}, {y}",
                "pcmpeqb {x}, {y}",
                "pmovmskb {all:e}, {x}",
                filler = in(reg) filler,
                at = inout(reg) from => _,
                last = in(reg) last,
                f = out(xmm_reg) _,
                x = out(xmm_reg) _,
                y = out(xmm_reg) _,
                all = out(reg) all,
                options(nostack, readonly),
            );
        }
        all == 0xffff
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    /// Fills all from `from` to `end`.
    ///
    /// # Safety
    /// They are the caller's.
    #[inline(always)]
    pub unsafe fn fill_all(from: *mut u8, end: *mut u8, filler: u64) {
        let mut at = from;
        // SAFETY: the caller's promise, for all stores.
        unsafe {
            while end.addr() - at.addr() >= 8 {
                at.cast::<u64>().write_unaligned(filler);
                at = at.wrapping_add(8);
            }
            while at < end {
                at.write_volatile(filler as u8);
                at = at.wrapping_add(1);
            }
        }
    }

    /// Whether all from `from` to `end` is filler.
    ///
    /// # Safety
    /// They are readable.
    #[inline(always)]
    pub unsafe fn are_filled(from: *mut u8, end: *mut u8, filler: u64) -> bool {
        let (mut at, mut or) = (from, 0);
        // SAFETY: the caller's promise, for all loads.
        unsafe {
            while end.addr() - at.addr() >= 8 {
                or |= at.cast::<u64>().read_unaligned() ^ filler;
                at = at.wrapping_add(8);
            }
            while at < end {
                or |= (at.read_volatile() ^ filler as u8) as u64;
                at = at.wrapping_add(1);
            }
        }
        or == 0
    }

    /// Fills the last `n` bytes before `end`.
    ///
    /// # Safety
    /// They are the caller's.
    #[inline(always)]
    pub unsafe fn fill(end: *mut u8, n: usize, filler: u64) {
        for at in 1..=n {
            // SAFETY: the caller's promise.
            unsafe { end.sub(at).write_volatile(filler as u8) };
        }
    }

    /// Whether the last `n` bytes before `end` are filler.
    ///
    /// # Safety
    /// They are readable.
    #[inline(always)]
    pub unsafe fn is_filled(end: *mut u8, n: usize, filler: u64) -> bool {
        // SAFETY: the caller's promise.
        (1..=n).all(|at| unsafe { end.sub(at).read_volatile() } == filler as u8)
    }
}
