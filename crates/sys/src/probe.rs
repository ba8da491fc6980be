//! What the CPU and the kernel offer for safety. Nothing here changes the process; called once, by whoever decides or tells.

use crate::call::{call3, nr};
use crate::memory::{self, Access};
use aethalloc_base::safety::{self, Asked, Facts};

fn asked(r: Result<usize, i32>) -> Asked {
    match r {
        Ok(_) => Asked::Works,
        Err(e) => Asked::Refused(e),
    }
}

/// Whether the kernel has guard regions, and contents are gone when a guard comes off: an emulator of user programs may say yes to any advice and do
/// nothing.
pub fn guard_install() -> Asked {
    const LEN: usize = 64 << 10;
    const EINVAL: i32 = 22;
    match memory::map(LEN, Access::Write) {
        Ok(at) => {
            let at = at.as_ptr();
            // SAFETY: a mapping that only this function knows.
            unsafe {
                at.write_volatile(1);
                let r = memory::install_guard(at, LEN).and_then(|()| memory::remove_guard(at, LEN));
                // As a kernel that does not know the advice would answer.
                let did = r.and_then(|()| {
                    if at.read_volatile() == 0 {
                        Ok(0)
                    } else {
                        Err(EINVAL)
                    }
                });
                memory::unmap(at, LEN);
                asked(did)
            }
        }
        Err(e) => Asked::Refused(e),
    }
}

/// Whether vectors of 32 bytes can be used: the CPU has the instructions (AVX2), and the kernel keeps the registers.
#[cfg(target_arch = "x86_64")]
#[cold]
pub fn avx2() -> bool {
    use core::arch::x86_64::{__cpuid, __cpuid_count, __get_cpuid_max};
    const OSXSAVE: u32 = 1 << 27;
    const AVX2: u32 = 1 << 5;
    /// In what the kernel keeps: the lower and the upper halves.
    const VECTORS: u32 = 0b110;
    if __get_cpuid_max(0).0 < 7 || __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    let kept: u32;
    // SAFETY: reads a register of the CPU's; OSXSAVE says that the kernel allows it.
    unsafe {
        core::arch::asm!("xgetbv", in("ecx") 0, out("eax") kept, out("edx") _, options(nomem, nostack))
    };
    kept & VECTORS == VECTORS && __cpuid_count(7, 0).ebx & AVX2 != 0
}

/// Everything.
#[cfg(target_arch = "x86_64")]
pub fn facts() -> Facts {
    const ARCH_GET_MAX_TAG_BITS: usize = 0x4003;
    use core::arch::x86_64::{__cpuid, __cpuid_count, __get_cpuid_max};
    let leaf = |n: u32, sub: u32| {
        if __get_cpuid_max(n & 0x8000_0000).0 < n {
            return (0, 0);
        }
        let r = __cpuid_count(n, sub);
        (r.eax, r.ecx)
    };
    let amd = __get_cpuid_max(0x8000_0000).0 >= 0x8000_0021;
    let mut bits = 0usize;
    // SAFETY: the first call writes one word; the second takes a key that the third gives back.
    let (lam_bits, pkey) = unsafe {
        let lam = call3(
            nr::ARCH_PRCTL,
            ARCH_GET_MAX_TAG_BITS,
            &raw mut bits as usize,
            0,
        );
        let key = call3(nr::PKEY_ALLOC, 0, 0, 0);
        if let Ok(key) = key {
            let _ = call3(nr::PKEY_FREE, key, 0, 0);
        }
        (lam, key)
    };
    Facts {
        guard_install: guard_install(),
        mte: false,
        mte_control: Asked::None,
        pku: safety::has_pku(leaf(7, 0).1),
        pkey: asked(pkey),
        lam: safety::has_lam(leaf(7, 1).0),
        lam_bits: match lam_bits {
            // Kernels without LAM for this CPU answer with no bits.
            Ok(_) if bits == 0 => Asked::Refused(crate::errno::EINVAL),
            r => asked(r),
        },
        uai: amd && safety::has_uai(__cpuid(0x8000_0021).eax),
        tbi: false,
    }
}

/// Everything.
#[cfg(target_arch = "aarch64")]
pub fn facts() -> Facts {
    const PR_GET_TAGGED_ADDR_CTRL: usize = 56;
    // SAFETY: only reads.
    let control = unsafe { call3(nr::PRCTL, PR_GET_TAGGED_ADDR_CTRL, 0, 0) };
    Facts {
        guard_install: guard_install(),
        mte: safety::has_mte(hwcap2()),
        mte_control: asked(control),
        pku: false,
        pkey: Asked::None,
        lam: false,
        lam_bits: Asked::None,
        uai: false,
        tbi: true,
    }
}

/// AT_HWCAP2 of the auxiliary vector.
#[cfg(target_arch = "aarch64")]
fn hwcap2() -> usize {
    let mut pair = [0u8; 16];
    let Ok(fd) = crate::process::open(b"/proc/self/auxv\0") else {
        return 0;
    };
    let mut found = 0;
    while crate::process::read(fd, &mut pair) == 16 {
        let (kind, value) = pair.split_at(8);
        let word = |b: &[u8]| b.try_into().map_or(0, usize::from_ne_bytes);
        if word(kind) == 26 {
            found = word(value);
        }
    }
    crate::process::close(fd);
    found
}
