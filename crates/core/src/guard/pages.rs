//! Guard pages: how they are put and taken off.
//!
//! By the kernel's guard regions (`MADV_GUARD_INSTALL`: about half a microsecond, no mapping of their own, they outlive a
//! purge and a fork), or by taking access away, which splits a mapping in three: within a budget. Where the kernel
//! refuses one (locked pages), the other is tried. A guard must come off before its range is used again.

use crate::sync::{AtomicBool, AtomicI64, AtomicU8, AtomicUsize, Ordering::*};
use aethalloc_base::safety::{Asked, GuardPages};
use aethalloc_sys::memory::{self, Access};
use aethalloc_sys::{probe, process};

/// How guards are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Means {
    /// Not at all.
    None = 0,
    /// By guard regions.
    Install = 1,
    /// By taking access away.
    Protect = 2,
}

static MEANS: AtomicU8 = AtomicU8::new(0);
static PAGE: AtomicUsize = AtomicUsize::new(0);
/// Guards that may still be made by taking access away.
static BUDGET: AtomicI64 = AtomicI64::new(0);
/// Some guard was made so.
static PROTECTED: AtomicBool = AtomicBool::new(false);

/// Finds out how guards are made here.
#[cold]
pub fn start(wanted: GuardPages) {
    if wanted == GuardPages::Off {
        return;
    }
    PAGE.store(crate::space::os_page(), Relaxed);
    // Each splits a mapping: two more. A quarter of what the process may have.
    BUDGET.store(most_mappings() / 4 / 2, Relaxed);
    let install = wanted == GuardPages::Auto && probe::guard_install() == Asked::Works;
    let means = if install {
        Means::Install
    } else {
        Means::Protect
    };
    MEANS.store(means as u8, Relaxed);
}

/// How guards are made.
#[inline]
pub fn means() -> Means {
    match MEANS.load(Relaxed) {
        1 => Means::Install,
        2 => Means::Protect,
        _ => Means::None,
    }
}

/// Bytes of a guard, one page of the kernel; 0 if there are none.
#[inline]
pub fn size() -> usize {
    PAGE.load(Relaxed)
}

/// `vm.max_map_count`.
#[cold]
fn most_mappings() -> i64 {
    let mut text = [0u8; 24];
    let mut n = 0;
    if let Ok(fd) = process::open(b"/proc/sys/vm/max_map_count\0") {
        let len = process::read(fd, &mut text);
        process::close(fd);
        for b in text.iter().take(len).take_while(|b| b.is_ascii_digit()) {
            n = (n * 10 + (b - b'0') as i64).min(1 << 40);
        }
    }
    if n == 0 { 65530 } else { n }
}

/// True while every guard that is put drops the contents of its range for sure, and comes off without being counted.
#[inline]
pub fn drop_contents() -> bool {
    means() == Means::Install && !PROTECTED.load(Relaxed)
}

/// Makes accesses to the range fault and drops its contents. False: there is no guard.
///
/// # Safety
/// The range is ours, in whole pages of the kernel, and nobody needs its contents.
#[cold]
pub unsafe fn put(at: *mut u8, len: usize) -> bool {
    if len == 0 {
        return false;
    }
    // SAFETY: the caller's promise, for all calls here.
    unsafe {
        match means() {
            Means::None => return false,
            Means::Install if memory::install_guard(at, len).is_ok() => return true,
            _ => {}
        }
        if BUDGET.fetch_sub(1, Relaxed) <= 0 {
            BUDGET.fetch_add(1, Relaxed);
            return false;
        }
        PROTECTED.store(true, Relaxed);
        // Locked pages keep their contents; nobody can see them.
        let _ = memory::discard(at, len);
        let ok = memory::protect(at, len, Access::None).is_ok();
        if !ok {
            BUDGET.fetch_add(1, Relaxed);
        }
        ok
    }
}

/// Takes guards off the range, of which `put` covered `guards` pieces. False: it can never be used again.
///
/// # Safety
/// The range is ours and in whole pages of the kernel.
#[cold]
pub unsafe fn take_off(at: *mut u8, len: usize, guards: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let mut ok = true;
        if means() == Means::Install {
            ok = memory::remove_guard(at, len).is_ok();
        }
        if PROTECTED.load(Relaxed) {
            ok = memory::protect(at, len, Access::Write).is_ok();
            if means() == Means::Protect {
                BUDGET.fetch_add(guards as i64, Relaxed);
            }
        }
        ok
    }
}
