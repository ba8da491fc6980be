//! What `malloc` and `free` do under `safety:hardened` as long as the thread's magazines have what they need and all is well: as
//! [`Hardened::allocate_from`](super::Hardened::allocate_from) and [`Hardened::deallocate_to`](super::Hardened::deallocate_to), which do everything else.
//!
//! ```text
//! allocate: magazine -> page map -> state FREED? -> all zero? -> canary -> LIVE
//! free:     page map -> exact start? state LIVE? -> canary? -> zero -> FREED -> ring -> ready
//! ```
//! In wide spaces only: what describes a slab is reached from `FAST_BASE`.
//!
//! *Two frees of one block at the same instant* are both let through: no locked instruction tells them apart. The block is kept twice then,
//! and whoever gets it the second time finds that it is in use, or in its slab already: that ends the process.
//!
//! Cost target: allocation 130 instructions, free 140, for 16 bytes, the way in and out included; no call, no locked instruction, and few branches
//! that depend on the size: it is random, and a misprediction costs as much as 80 instructions.

use super::canary;
use super::magazine::Magazine;
use super::magazines::Magazines;
use super::slab::{BUSY, Block, FREED, LIVE, NEW};
use super::zero;
use crate::space::{self, FAST_BASE, WIDE_MAP, WIDE_UNITS, entry};
use crate::sync::{AtomicU8, Ordering::*};
use crate::violation;
use aethalloc_base::class;
use aethalloc_base::units::{PAGE, UNIT, UNIT_SHIFT};
use core::ptr::NonNull;
use core::sync::atomic::fence;

/// An object of `size` bytes, which some class serves, in a block of class `c`; `None`: by the slow path.
#[inline(always)]
pub fn allocate(magazines: &Magazines, c: class::Class, size: usize) -> Option<NonNull<u8>> {
    // ORDERING: Acquire, pairs with Release in `space::make_wide`.
    let base = FAST_BASE.load(Acquire);
    if base > isize::MAX as usize {
        return None;
    }
    // SAFETY: the thread's own, which no other function uses meanwhile.
    let m = unsafe { magazines.existing(c).as_mut() }?;
    let Block(at) = m.pop()?;
    // SAFETY: a block of a hardened slab of the wide space.
    let slab = unsafe { slab_of(base, at) };
    // SAFETY: a state byte of the slab that the block is of.
    let state = unsafe { &*state_at(slab, m, (at % UNIT) as u64 * m.reciprocal as u64) };
    let (p, block) = (space::pointer(at), m.size as usize);
    let before = state.load(Relaxed);
    if before != FREED {
        if before != NEW {
            violation::double_free(at, block);
        }
        if block <= PAGE {
            // The page will be written to: so that it does not fault twice, once for the read. Nothing is changed.
            // SAFETY: the block's first word; nobody has the block.
            unsafe { touch(p.cast()) };
        }
    }
    magazines.count_taken();
    // A check that runs meanwhile leaves the block alone.
    state.store(BUSY, Relaxed);
    // ORDERING: pairs with the fence in `sweep::check_block`: who sees a byte of the canary sees BUSY.
    fence(Release);
    // SAFETY: the block is this call's until it is LIVE.
    unsafe {
        if !zero::is_zero(p, block) {
            written(p, block);
        }
        canary::mark(p, block, size);
    }
    // ORDERING: Release, pairs with Acquire in `sweep::check_block`: the canary is there when the block is LIVE.
    state.store(LIVE, Release);
    NonNull::new(space::narrow(p, block))
}

/// Writes the word at `p` as it is.
///
/// # Safety
/// The caller's.
#[inline(always)]
unsafe fn touch(p: *mut u64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise. One instruction, so that a read does not come first; without `lock`, which would wait for all that is under way.
    unsafe {
        core::arch::asm!("or qword ptr [{p}], 0", p = in(reg) p, options(nostack))
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller's promise.
    unsafe { &*p.cast::<crate::sync::AtomicU64>() }.fetch_or(0, Relaxed);
}

/// Where the state byte of a block lies whose offset in the unit times the reciprocal is `product`.
#[inline(always)]
fn state_at(slab: usize, m: &Magazine, product: u64) -> *const AtomicU8 {
    space::pointer(slab + m.states as usize + (product >> 32) as usize).cast()
}

#[cold]
#[inline(never)]
fn written(p: *mut u8, block: usize) -> ! {
    // SAFETY: a block.
    let at = unsafe { canary::first_used(p, block) };
    violation::written_while_free(p.addr(), block, at.unwrap_or(0))
}

/// Ends the object at `p`, of `said` bytes if the caller says how many; false: by the slow path.
#[inline(always)]
pub fn deallocate(magazines: &Magazines, p: usize, said: Option<usize>) -> bool {
    // ORDERING: Acquire, as above.
    let base = FAST_BASE.load(Acquire);
    let Some((c, slab)) = hardened(base, p) else {
        return false;
    };
    let m = magazines.existing(c);
    if m.is_null() {
        return false;
    }
    // SAFETY: as above.
    let m = unsafe { &mut *m };
    let product = (p % UNIT) as u64 * m.reciprocal as u64;
    if product as u32 >= m.reciprocal || !m.has_place() || magazines.is_turn() {
        return false;
    }
    // SAFETY: inside the place of the class's pool that the slab is described in, which has a state for every block of a unit.
    let state = unsafe { &*state_at(slab, m, product) };
    // ORDERING: Acquire: after the last use.
    if state.load(Acquire) != LIVE {
        return false;
    }
    state.store(BUSY, Relaxed);
    // ORDERING: as in `allocate`: who sees a byte cleared sees BUSY.
    fence(Release);
    let (at, block) = (space::pointer(p), m.size as usize);
    // SAFETY: a block that is this call's since it is BUSY.
    unsafe {
        match canary::intact(at, block) {
            None => damaged(at, block),
            Some(n) => {
                if let Some(said) = said
                    && said != n
                {
                    violation::wrong_size(p, n, said);
                }
            }
        }
        zero::clear(at, block);
    }
    // ORDERING: Release: the block is zero when it is FREED.
    state.store(FREED, Release);
    magazines.count_kept();
    if let Some(oldest) = m.swap(Block(p)) {
        m.make_ready(oldest);
    }
    true
}

#[cold]
#[inline(never)]
fn damaged(p: *mut u8, block: usize) -> ! {
    // SAFETY: a block.
    match unsafe { canary::check(p, block) } {
        Err(d) => violation::overflow(p.addr(), d.size, p.addr() + d.at, "at free"),
        // Whoever writes there has put it back.
        Ok(n) => violation::overflow(p.addr(), n, p.addr() + n, "at free"),
    }
}

/// What the page map says of the unit that `p` lies in, where the space is wide and begins at `base`: class and address of the slab of
/// `guard::hardened` that is there.
#[inline(always)]
fn hardened(base: usize, p: usize) -> Option<(class::Class, usize)> {
    if p.wrapping_sub(base) >> UNIT_SHIFT >= WIDE_UNITS {
        return None;
    }
    // SAFETY: a base that some pointer lies above is a wide space's.
    let e = unsafe { wide(base, p) };
    (e & 0xffff == entry::HARDENED)
        .then(|| ((e >> 16) as usize & 0xff, base + (e >> 32) as usize * 8))
}

/// As [`hardened`], for the address of a block of a slab that is there.
///
/// # Safety
/// There is such a slab, in a wide space that begins at `base`.
#[inline(always)]
unsafe fn slab_of(base: usize, p: usize) -> usize {
    // SAFETY: the caller's promise.
    base + (unsafe { wide(base, p) } >> 32) as usize * 8
}

/// The entry of the unit that `p` lies in.
///
/// # Safety
/// A wide space begins at `base`, and `p` lies in its units.
#[inline(always)]
unsafe fn wide(base: usize, p: usize) -> u64 {
    let unit = (p - base) >> UNIT_SHIFT;
    // SAFETY: the map of WIDE_UNITS words ends at the base. The address dependency orders what the entry leads to.
    unsafe {
        space::pointer(base - WIDE_MAP + unit * 8)
            .cast::<u64>()
            .read_volatile()
    }
}
