//! Arm memory tagging: the instructions and the kernel's switch. Elsewhere a twin that says it is not there.
//!
//! Memory has tags only where it is mapped with `PROT_MTE` ([`crate::memory::tag_from_now_on`]); elsewhere the instructions store none and
//! accesses are not checked. Needs: [`enable`] before the process has threads (they inherit it).

/// Bytes that have one tag.
pub const GRANULE: usize = 16;

/// When an access with the wrong tag is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Mode {
    /// At the access.
    Sync = 0,
    /// Reads at the access, writes some time after it, where the CPU has that; else as `Sync`.
    Asymmetric = 1,
    /// Some time after it.
    Async = 2,
}

#[cfg(target_arch = "aarch64")]
pub use arm::*;
#[cfg(not(target_arch = "aarch64"))]
pub use none::*;

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::{GRANULE, Mode};
    use crate::call::{Errno, call6, nr};
    use core::arch::asm;

    const PR_SET_TAGGED_ADDR_CTRL: usize = 55;
    const PR_TAGGED_ADDR_ENABLE: usize = 1;
    const SYNC: usize = 1 << 1;
    const ASYNC: usize = 1 << 2;
    /// Tags that `irg` may choose: all but 0.
    const TAGS: usize = 0xfffe << 3;

    /// Turns checks on for this thread and those that it starts.
    #[cold]
    pub fn enable(mode: Mode) -> Result<(), Errno> {
        // Of several modes the kernel takes the one that the CPU prefers: asymmetric is asked for by both.
        let how = match mode {
            Mode::Sync => SYNC,
            Mode::Asymmetric => SYNC | ASYNC,
            Mode::Async => ASYNC,
        };
        let control = PR_TAGGED_ADDR_ENABLE | how | TAGS;
        // SAFETY: changes how this thread's accesses are checked.
        unsafe { call6(nr::PRCTL, [PR_SET_TAGGED_ADDR_CTRL, control, 0, 0, 0, 0]) }.map(|_| ())
    }

    /// `p` with a random tag that is not among `excluded` (one bit for each).
    #[inline]
    pub fn random(p: *mut u8, excluded: u16) -> *mut u8 {
        let tagged;
        // SAFETY: changes no memory. The caller has seen that the CPU has the instruction.
        unsafe {
            asm!(".arch_extension memtag", "irg {t}, {p}, {x}", t = out(reg) tagged, p = in(reg) p,
                x = in(reg) excluded as u64, options(nomem, nostack, preserves_flags));
        }
        tagged
    }

    /// The tag of the granule at `p`, as a pointer with that tag to the same place.
    ///
    /// # Safety
    /// Readable.
    #[inline]
    pub unsafe fn load(p: *mut u8) -> *mut u8 {
        let mut tagged = p;
        // SAFETY: the caller's promise.
        unsafe {
            asm!(".arch_extension memtag", "ldg {t}, [{p}]", t = inout(reg) tagged, p = in(reg) p,
                options(nostack, readonly, preserves_flags));
        }
        tagged
    }

    /// Gives `len` bytes from `p` the tag of `p`.
    ///
    /// # Safety
    /// Ours, in whole granules.
    #[inline]
    pub unsafe fn store(p: *mut u8, len: usize) {
        let (mut at, mut left) = (p, len / GRANULE);
        while left > 0 {
            // SAFETY: the caller's promise. Tags are not memory that Rust knows of.
            unsafe {
                asm!(".arch_extension memtag", "stg {p}, [{p}]", p = in(reg) at, options(nostack, preserves_flags));
            }
            at = at.wrapping_add(GRANULE);
            left -= 1;
        }
    }
}

#[cfg(not(target_arch = "aarch64"))]
mod none {
    use super::Mode;
    use crate::call::Errno;

    /// There is no memory tagging.
    #[cold]
    pub fn enable(_: Mode) -> Result<(), Errno> {
        Err(crate::errno::EINVAL)
    }

    /// Never called: [`enable`] has failed.
    #[inline]
    pub fn random(p: *mut u8, _: u16) -> *mut u8 {
        p
    }

    /// Never called.
    ///
    /// # Safety
    /// None.
    #[inline]
    pub unsafe fn load(p: *mut u8) -> *mut u8 {
        p
    }

    /// Never called.
    ///
    /// # Safety
    /// None.
    #[inline]
    pub unsafe fn store(_: *mut u8, _: usize) {}
}
