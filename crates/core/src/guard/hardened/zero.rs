//! Whether a block is all zero, and making it so: the two passes over every block that is handed out and freed.
//!
//! ```text
//! 32..=64, to 128, to 256, to 512 bytes:   | first half of the most → |      ← | last half of the most |     both overlap, no loop
//! above:                                    | 128 | 128 | …… | 128 ← overlapping |
//! ```
//! Sizes come in random order, so that a loop's end is mispredicted: that costs more than looking at some bytes twice. Assembly, because somebody may
//! write there meanwhile, though nobody should, and so that no call is made.
//!
//! Cost: 16 bytes a load or store; one branch that depends on the size to 512 bytes.

/// Chooses the instructions. Before, those that every CPU has are used.
#[cold]
pub fn start() {
    imp::start();
}

/// Whether a block of `bytes` bytes at `p` is all zero.
///
/// # Safety
/// Readable; both are multiples of 16, `bytes` is not 0.
#[inline(always)]
pub unsafe fn is_zero(p: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { imp::is_zero(p, bytes) }
}

/// Makes a block of `bytes` bytes at `p` zero. Of a large one, what is zero is only read: memory that the program did not use stays as it was.
///
/// # Safety
/// The caller's; both are multiples of 16, `bytes` is not 0.
#[inline(always)]
pub unsafe fn clear(p: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { imp::clear(p, bytes) }
}

/// Larger blocks are gone through in steps.
const STEP: usize = 128;
const MOST: usize = 512;

#[cfg(target_arch = "x86_64")]
mod imp {
    use super::{MOST, STEP};
    use crate::sync::{AtomicBool, Ordering::*};
    use core::arch::asm;

    /// Whether what lies at these offsets from `$p`, and before `$e`, is zero.
    macro_rules! all_zero {
        ($p:expr, $e:expr; $($at:literal)*) => {{
            let all: u32;
            // SAFETY: inside the block, by the caller's choice of offsets.
            unsafe {
                asm!(
                    "pxor {x}, {x}",
                    "pxor {y}, {y}",
                    $(
                        concat!("por {x}, xmmword ptr [{p} + ", $at, "]"),
                        concat!("por {y}, xmmword ptr [{e} - 16 - ", $at, "]"),
                    )*
                    "por {x}, {y}",
                    "pxor {y}, {y}",
                    "pcmpeqb {x}, {y}",
                    "pmovmskb {all:e}, {x}",
                    p = in(reg) $p,
                    e = in(reg) $e,
                    x = out(xmm_reg) _,
                    y = out(xmm_reg) _,
                    all = out(reg) all,
                    options(nostack, readonly),
                );
            }
            all == 0xffff
        }};
    }

    macro_rules! make_zero {
        ($p:expr, $e:expr; $($at:literal)*) => {
            // SAFETY: as above.
            unsafe {
                asm!(
                    "pxor {x}, {x}",
                    $(
                        concat!("movdqa xmmword ptr [{p} + ", $at, "], {x}"),
                        concat!("movdqa xmmword ptr [{e} - 16 - ", $at, "], {x}"),
                    )*
                    p = in(reg) $p,
                    e = in(reg) $e,
                    x = out(xmm_reg) _,
                    options(nostack),
                );
            }
        };
    }

    /// Runs `$f` at the offsets that cover the block.
    macro_rules! by_size {
        ($f:ident, $p:expr, $bytes:expr) => {{
            let (p, end) = ($p, $p.wrapping_add($bytes));
            if $bytes <= 64 {
                if $bytes == 16 {
                    $f!(p, end; 0)
                } else {
                    $f!(p, end; 0 16)
                }
            } else if $bytes <= 128 {
                $f!(p, end; 0 16 32 48)
            } else if $bytes <= 256 {
                $f!(p, end; 0 16 32 48 64 80 96 112)
            } else {
                $f!(p, end; 0 16 32 48 64 80 96 112 128 144 160 176 192 208 224 240)
            }
        }};
    }

    /// Bytes of a step where vectors have 32.
    const WIDE_STEP: usize = 256;
    /// The CPU has such vectors, and the kernel keeps them.
    static WIDE: AtomicBool = AtomicBool::new(false);

    /// Finds out what the CPU can.
    pub fn start() {
        WIDE.store(aethalloc_sys::probe::avx2(), Relaxed);
    }

    /// Whether the 256 bytes at `at` are all zero; leaves the vectors' upper halves in use.
    ///
    /// # Safety
    /// Readable; only where [`WIDE`] says so.
    #[inline(always)]
    unsafe fn wide_zero(at: *mut u8) -> bool {
        let some: u32;
        // SAFETY: the caller's promise.
        unsafe {
            asm!(
                "vmovdqu {x:y}, ymmword ptr [{p}]",
                "vmovdqu {y:y}, ymmword ptr [{p} + 32]",
                "vpor {x:y}, {x:y}, ymmword ptr [{p} + 64]",
                "vpor {y:y}, {y:y}, ymmword ptr [{p} + 96]",
                "vpor {x:y}, {x:y}, ymmword ptr [{p} + 128]",
                "vpor {y:y}, {y:y}, ymmword ptr [{p} + 160]",
                "vpor {x:y}, {x:y}, ymmword ptr [{p} + 192]",
                "vpor {y:y}, {y:y}, ymmword ptr [{p} + 224]",
                "vpor {x:y}, {x:y}, {y:y}",
                "xor {some:e}, {some:e}",
                "vptest {x:y}, {x:y}",
                "setnz {some:l}",
                p = in(reg) at,
                x = out(xmm_reg) _,
                y = out(xmm_reg) _,
                some = out(reg_abcd) some,
                options(nostack, readonly),
            );
        }
        some == 0
    }

    /// Makes the 256 bytes at `at`, a multiple of 16, zero.
    ///
    /// # Safety
    /// The caller's; only where [`WIDE`] says so.
    #[inline(always)]
    unsafe fn wide_clear(at: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            asm!(
                "vpxor {x}, {x}, {x}",
                "vmovdqu ymmword ptr [{p}], {x:y}",
                "vmovdqu ymmword ptr [{p} + 32], {x:y}",
                "vmovdqu ymmword ptr [{p} + 64], {x:y}",
                "vmovdqu ymmword ptr [{p} + 96], {x:y}",
                "vmovdqu ymmword ptr [{p} + 128], {x:y}",
                "vmovdqu ymmword ptr [{p} + 160], {x:y}",
                "vmovdqu ymmword ptr [{p} + 192], {x:y}",
                "vmovdqu ymmword ptr [{p} + 224], {x:y}",
                p = in(reg) at,
                x = out(xmm_reg) _,
                options(nostack),
            );
        }
    }

    /// Ends the use of wide vectors: without it, what uses narrow ones later is slow.
    #[inline(always)]
    fn wide_end() {
        // SAFETY: changes the upper halves of registers that all calls may change.
        unsafe {
            asm!(
                "vzeroupper",
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nostack, nomem),
            );
        }
    }

    /// As [`is_zero`], by wide vectors.
    ///
    /// # Safety
    /// As there; more than [`MOST`] bytes, only where [`WIDE`] says so.
    #[inline(always)]
    unsafe fn is_zero_wide(p: *mut u8, bytes: usize) -> bool {
        let last = p.wrapping_add(bytes - WIDE_STEP);
        let mut at = p;
        // SAFETY: inside the block; the last step overlaps the one before it.
        let all = unsafe {
            let mut all = wide_zero(last);
            while all && at < last {
                all = wide_zero(at);
                at = at.wrapping_add(WIDE_STEP);
            }
            all
        };
        wide_end();
        all
    }

    /// As [`clear`], by wide vectors.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    unsafe fn clear_wide(p: *mut u8, bytes: usize) {
        let last = p.wrapping_add(bytes - WIDE_STEP);
        let mut at = p;
        // SAFETY: as above.
        unsafe {
            while at < last {
                if !wide_zero(at) {
                    wide_clear(at);
                }
                at = at.wrapping_add(WIDE_STEP);
            }
            if !wide_zero(last) {
                wide_clear(last);
            }
        }
        wide_end();
    }

    #[inline(always)]
    pub unsafe fn is_zero(p: *mut u8, bytes: usize) -> bool {
        if bytes <= MOST {
            return by_size!(all_zero, p, bytes);
        }
        if WIDE.load(Relaxed) {
            // SAFETY: the caller's promise.
            return unsafe { is_zero_wide(p, bytes) };
        }
        let last = p.wrapping_add(bytes - STEP);
        let mut at = p;
        while at < last {
            if !all_zero!(at, at.wrapping_add(STEP); 0 16 32 48) {
                return false;
            }
            at = at.wrapping_add(STEP);
        }
        all_zero!(last, last.wrapping_add(STEP); 0 16 32 48)
    }

    #[inline(always)]
    pub unsafe fn clear(p: *mut u8, bytes: usize) {
        if bytes <= MOST {
            by_size!(make_zero, p, bytes);
            return;
        }
        if WIDE.load(Relaxed) {
            // SAFETY: the caller's promise.
            return unsafe { clear_wide(p, bytes) };
        }
        let last = p.wrapping_add(bytes - STEP);
        let mut at = p;
        while at < last {
            let end = at.wrapping_add(STEP);
            if !all_zero!(at, end; 0 16 32 48) {
                make_zero!(at, end; 0 16 32 48);
            }
            at = end;
        }
        make_zero!(last, last.wrapping_add(STEP); 0 16 32 48);
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    use super::{MOST, STEP};

    pub fn start() {}

    #[inline(always)]
    pub unsafe fn is_zero(p: *mut u8, bytes: usize) -> bool {
        let p = p.cast::<u64>();
        let mut or = 0;
        for w in 0..bytes / 8 {
            // SAFETY: inside the block.
            or |= unsafe { p.add(w).read_volatile() };
        }
        or == 0
    }

    #[inline(always)]
    pub unsafe fn clear(p: *mut u8, bytes: usize) {
        let mut at = 0;
        while at < bytes {
            let step = STEP.min(bytes - at);
            // SAFETY: inside the block.
            unsafe {
                if bytes <= MOST || !is_zero(p.add(at), step) {
                    for w in 0..step / 8 {
                        p.add(at).cast::<u64>().add(w).write_volatile(0);
                    }
                }
            }
            at += step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{clear, is_zero, start};

    #[repr(align(16))]
    struct Place([u8; 3072]);

    /// Every byte of a block counts, and no byte beside it, whatever the CPU has.
    #[test]
    fn every_byte_counts() {
        each_byte_counts();
        start();
        each_byte_counts();
    }

    fn each_byte_counts() {
        let mut place = Place([0; 3072]);
        for size in (16..=800).step_by(16).chain([1024, 1152, 2000 / 16 * 16]) {
            let p = place.0.as_mut_ptr().wrapping_add(64);
            // SAFETY: inside the place.
            unsafe {
                assert!(is_zero(p, size), "{size}");
                p.sub(1).write(1);
                p.add(size).write(1);
                assert!(is_zero(p, size), "{size}: beside it");
                for at in 0..size {
                    p.add(at).write(0x80);
                    assert!(!is_zero(p, size), "{size}: byte {at}");
                    clear(p, size);
                    assert!(is_zero(p, size), "{size}: byte {at} stayed");
                }
                p.write_bytes(0xff, size);
                clear(p, size);
                assert!(is_zero(p, size), "{size}");
                assert_eq!((p.sub(1).read(), p.add(size).read()), (1, 1), "{size}");
                p.sub(1).write(0);
                p.add(size).write(0);
            }
        }
    }
}
