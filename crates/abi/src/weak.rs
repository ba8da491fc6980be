//! Weak references: the address of a symbol of another library, null where nothing defines it.
//!
//! Stable Rust has no weak extern. The address is read from the global offset table by inline assembly that declares
//! the symbol weak in the same object, so it works in the shared and in the static library, and the compiler cannot
//! assume that it is never null.

/// The address of the C symbol named by the literal, or null.
macro_rules! weak {
    ($symbol:literal) => {{
        let address: *const u8;
        // SAFETY: reads one entry of the global offset table, which the loader filled before any code of ours ran.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            core::arch::asm!(
                concat!(".weak ", $symbol),
                concat!("mov {0}, qword ptr [rip + ", $symbol, "@GOTPCREL]"),
                out(reg) address,
                options(nostack, pure, readonly, preserves_flags),
            );
            #[cfg(target_arch = "aarch64")]
            core::arch::asm!(
                concat!(".weak ", $symbol),
                concat!("adrp {0}, :got:", $symbol),
                concat!("ldr {0}, [{0}, :got_lo12:", $symbol, "]"),
                out(reg) address,
                options(nostack, pure, readonly, preserves_flags),
            );
        }
        address
    }};
}

/// The function of the given type named by the literal, or `None`.
macro_rules! weak_fn {
    ($symbol:literal as $type:ty) => {{
        let address = $crate::weak::weak!($symbol);
        // SAFETY: the symbol has this type in the library that defines it; null is `None`.
        unsafe { core::mem::transmute::<*const u8, Option<$type>>(address) }
    }};
}

pub(crate) use {weak, weak_fn};
