//! The words of the thread cache that live in thread-local storage, reached by the initial-exec model: one load.
//!
//! ```text
//!   0 limit   requests of 1..=limit bytes try a magazine; 0: every call takes the slow path
//!   8 cache   the rest of the thread's cache, null before its first use
//!  16 state   Life (class 0 has no top)        16 + 8c  top of class c: slot number of the block that leaves next
//! 344 tags    344 + 4c  page-map word (low half) of the slabs whose blocks this thread may cache
//! 512 heads   504 + 8c  head of class c: slot number of the block that came last
//! ```
//! All zero is a valid, empty state: no limit, no tag that a slab's entry could equal. 832 bytes: a library that is
//! loaded late must fit what the C library keeps free for such variables (glibc: 1664 in all).
//!
//! Tops and heads are apart because `free` finds its class through the page map, by way of the block: if `malloc` had
//! to wait for that store, each pair would wait for the one before (measured: 7.9 ns a pair instead of 4-5).

use super::cache::Cache;
use aethalloc_base::class::FAST_COUNT;

/// Offset of the tops.
pub const TOPS: usize = 16;
/// Offset of the tags.
pub const TAGS: usize = TOPS + FAST_COUNT * 8;
/// Offset of the heads (class 0 has none; its place would overlap the tags' end).
pub const HEADS: usize = 504;
/// Size of the block.
pub const SIZE: usize = 832;
const _: () = assert!(TAGS + FAST_COUNT * 4 <= HEADS + 8 && HEADS + FAST_COUNT * 8 <= SIZE);

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .tbss.aethalloc_tls,\"awT\",@nobits",
    ".p2align 6",
    ".globl aethalloc_tls",
    ".hidden aethalloc_tls",
    ".type aethalloc_tls, @object",
    ".size aethalloc_tls, {size}",
    "aethalloc_tls:",
    ".zero {size}",
    ".popsection",
    size = const SIZE
);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".pushsection .tbss.aethalloc_tls,\"awT\",%nobits",
    ".p2align 6",
    ".globl aethalloc_tls",
    ".hidden aethalloc_tls",
    ".type aethalloc_tls, %object",
    ".size aethalloc_tls, {size}",
    "aethalloc_tls:",
    ".zero {size}",
    ".popsection",
    size = const SIZE
);

/// A thread's life as the allocator sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Life {
    /// No cache yet.
    New = 0,
    /// The cache is being made; allocations in between go without.
    Starting = 1,
    /// It has a cache.
    Live = 2,
    /// Its cache is gone (destructors of others may still allocate).
    Over = 3,
}

/// Handle of the calling thread's words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tls(*mut u8);

/// The calling thread's words.
#[inline(always)]
pub fn tls() -> Tls {
    let p: *mut u8;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads the thread pointer and the offset of our own symbol; both are constant in a thread.
    unsafe {
        core::arch::asm!("mov {p}, fs:0", "add {p}, qword ptr [rip + aethalloc_tls@GOTTPOFF]", p = out(reg) p,
            options(pure, readonly, nostack));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("mrs {p}, tpidr_el0", "adrp {t}, :gottprel:aethalloc_tls",
            "ldr {t}, [{t}, :gottprel_lo12:aethalloc_tls]", "add {p}, {p}, {t}", p = out(reg) p, t = out(reg) _,
            options(pure, readonly, nostack));
    }
    Tls(p)
}

macro_rules! field {
    ($get:ident, $set:ident, $at:expr, $type:ty, $doc:literal) => {
        #[doc = $doc]
        #[inline(always)]
        pub fn $get(self) -> $type {
            // SAFETY: inside the thread's block, which only this thread writes (a fork child reads dead threads').
            unsafe { self.0.add($at).cast::<$type>().read() }
        }
        #[doc = $doc]
        #[inline(always)]
        #[allow(
            clippy::not_unsafe_ptr_arg_deref,
            reason = "the value is stored, not dereferenced"
        )]
        pub fn $set(self, v: $type) {
            // SAFETY: as in the getter.
            unsafe { self.0.add($at).cast::<$type>().write(v) }
        }
    };
}

impl Tls {
    field!(
        limit,
        set_limit,
        0,
        usize,
        "Largest request that tries a magazine."
    );
    field!(cache, set_cache, 8, *mut Cache, "The thread's cache.");
    field!(life_word, set_life_word, 16, u64, "State as a word.");

    /// The thread's state.
    #[inline]
    pub fn life(self) -> Life {
        match self.life_word() {
            0 => Life::New,
            1 => Life::Starting,
            2 => Life::Live,
            _ => Life::Over,
        }
    }
    /// Sets the state.
    pub fn set_life(self, life: Life) {
        self.set_life_word(life as u64);
    }

    /// Top of class `c` (1..FAST_COUNT).
    #[inline(always)]
    pub fn top(self, c: usize) -> usize {
        debug_assert!(c > 0 && c < FAST_COUNT);
        // SAFETY: inside the block, see `field`.
        unsafe { self.0.add(TOPS + c * 8).cast::<usize>().read() }
    }
    /// Sets the top of class `c`.
    #[inline(always)]
    pub fn set_top(self, c: usize, top: usize) {
        debug_assert!(c > 0 && c < FAST_COUNT);
        // SAFETY: inside the block, see `field`. Volatile: a fork's child relies on the order of these stores.
        unsafe { self.0.add(TOPS + c * 8).cast::<usize>().write_volatile(top) }
    }
    /// Head of class `c` (1..FAST_COUNT).
    #[inline(always)]
    pub fn head(self, c: usize) -> usize {
        debug_assert!(c > 0 && c < FAST_COUNT);
        // SAFETY: inside the block, see `field`.
        unsafe { self.0.add(HEADS + c * 8).cast::<usize>().read() }
    }
    /// Sets the head of class `c`.
    #[inline(always)]
    pub fn set_head(self, c: usize, head: usize) {
        debug_assert!(c > 0 && c < FAST_COUNT);
        // SAFETY: inside the block, see `field`. Volatile as in `set_top`.
        unsafe {
            self.0
                .add(HEADS + c * 8)
                .cast::<usize>()
                .write_volatile(head)
        }
    }
    /// Tag word of class `c` (0..FAST_COUNT).
    #[inline(always)]
    pub fn tag(self, c: usize) -> u32 {
        debug_assert!(c < FAST_COUNT);
        // SAFETY: inside the block, see `field`.
        unsafe { self.0.add(TAGS + c * 4).cast::<u32>().read() }
    }
    /// Sets the tag word of class `c`.
    pub fn set_tag(self, c: usize, tag: u32) {
        debug_assert!(c < FAST_COUNT);
        // SAFETY: inside the block, see `field`.
        unsafe { self.0.add(TAGS + c * 4).cast::<u32>().write(tag) }
    }
    /// The raw pointer, for the registry.
    pub fn as_ptr(self) -> *mut u8 {
        self.0
    }
    /// From the registry's pointer.
    pub fn from_ptr(p: *mut u8) -> Tls {
        Tls(p)
    }
}
