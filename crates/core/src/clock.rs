//! A cheap clock: the CPU's cycle or system counter, for telling "cycling" from "idle"; never for correctness.

/// Ticks. On x86_64 the time-stamp counter; on aarch64 the virtual counter scaled to about the same rate.
#[inline]
pub fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86_64 CPU has the instruction; where the kernel disables it for user code it is trapped.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let v: u64;
        // SAFETY: Linux lets user code read the virtual counter.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) v, options(nomem, nostack)) };
        v << 5
    }
}
