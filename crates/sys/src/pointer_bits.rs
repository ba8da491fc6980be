//! Pointer bits that the CPU is to ignore: the kernel's switch, on each architecture.
//!
//! | | switch | when | it says no by |
//! |---|---|---|---|
//! | x86 LAM (Linux 6.4) | `arch_prctl(ARCH_ENABLE_TAGGED_ADDR, 6)` | before the process has a second thread | ENODEV: no LAM, or off; EINVAL: too many bits; EBUSY: too late, or chosen already |
//! | aarch64 (Linux 5.4) | `prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE)` | each thread; those it starts inherit it | EINVAL: the system's administrator forbade it |
//! | x86 UAI | none | | |
//!
//! On aarch64 the CPU ignores the top byte in any case; the switch has the kernel take such addresses in system calls.

use aethalloc_base::tags::Field;

/// Has the CPU ignore upper bits of pointers, in this process from now on: which. The caller has seen that CPU and kernel can.
#[cfg(target_arch = "x86_64")]
#[cold]
pub fn enable() -> Result<Field, crate::call::Errno> {
    use crate::call::{call3, nr};
    use aethalloc_base::tags::LAM;
    const ARCH_GET_UNTAG_MASK: usize = 0x4001;
    const ARCH_ENABLE_TAGGED_ADDR: usize = 0x4002;
    let mut mask = usize::MAX;
    let to = &raw mut mask as usize;
    // SAFETY: the first call has the CPU ignore bits that no pointer of the process has set; the second writes one word.
    unsafe {
        call3(
            nr::ARCH_PRCTL,
            ARCH_ENABLE_TAGGED_ADDR,
            LAM.bits as usize,
            0,
        )?;
        call3(nr::ARCH_PRCTL, ARCH_GET_UNTAG_MASK, to, 0)?;
    }
    // What the kernel says it ignores counts.
    if LAM.strip(usize::MAX) & mask == mask {
        Ok(LAM)
    } else {
        Err(crate::errno::EINVAL)
    }
}

/// Has the kernel take addresses whose top byte the CPU ignores: which bits. The caller has seen that it can.
#[cfg(target_arch = "aarch64")]
#[cold]
pub fn enable() -> Result<Field, crate::call::Errno> {
    use crate::call::{call6, nr};
    const PR_SET_TAGGED_ADDR_CTRL: usize = 55;
    const PR_TAGGED_ADDR_ENABLE: usize = 1;
    let args = [PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0, 0, 0];
    // SAFETY: changes what addresses the kernel takes from this thread.
    unsafe { call6(nr::PRCTL, args) }.map(|_| aethalloc_base::tags::TBI)
}
