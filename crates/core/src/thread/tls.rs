//! The words of the thread cache that live in thread-local storage, reached by the initial-exec model: one load.
//!
//! ```text
//!   0 bins    the thread's array of bins; at first one that is empty for ever and belongs to all, as while it is in `malloc`
//!   8 budget  bytes that the thread may still free before it takes stock (see `thread::stock`)
//!  12 life    Life
//!  16 cache   the rest of the thread's cache, null before its first use
//!  24 inside  where on the stack the thread's slow path is under way, 0: none (see `thread::inside`)
//! ```
//! A new thread finds them initialised: malloc takes the slow path because every bin is empty, not because anything was
//! asked. 32 bytes: a library that is loaded late must fit what the C library keeps free for such variables (glibc: 1664).

use super::bins::{BINS, EMPTY};
use super::cache::Cache;

/// Offset of the bins' address.
pub const BINS_AT: usize = 0;
/// Offset of the budget.
pub const BUDGET_AT: usize = 8;
/// Size of the block.
pub const SIZE: usize = 32;
/// Bytes of frees after which a thread takes stock: as much as a unit holds, so that each unit that is freed is looked at about once. With half of it
/// random replacement of 16 B to 32 KiB took up to a sixth more time.
pub const BUDGET: i32 = 64 << 10;
/// Bytes of frees after which a thread that has no cache yet takes stock: it gets one then, so that what it frees from there on is counted when it ends.
pub const FIRST: i32 = 4 << 10;

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .tdata.aethalloc_tls,\"awT\",@progbits",
    ".p2align 5",
    ".globl aethalloc_tls",
    ".hidden aethalloc_tls",
    ".type aethalloc_tls, @object",
    ".size aethalloc_tls, {size}",
    "aethalloc_tls:",
    ".quad {bins}",
    ".quad {budget}",
    ".zero {size} - 16",
    ".popsection",
    size = const SIZE,
    bins = sym EMPTY,
    budget = const FIRST,
);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".pushsection .tdata.aethalloc_tls,\"awT\",%progbits",
    ".p2align 5",
    ".globl aethalloc_tls",
    ".hidden aethalloc_tls",
    ".type aethalloc_tls, %object",
    ".size aethalloc_tls, {size}",
    "aethalloc_tls:",
    ".xword {bins}",
    ".xword {budget}",
    ".zero {size} - 16",
    ".popsection",
    size = const SIZE,
    bins = sym EMPTY,
    budget = const FIRST,
);

/// A thread's life as the allocator sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
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

impl Life {
    /// What the budget begins with.
    #[inline]
    fn full_budget(self) -> i32 {
        if self == Life::New { FIRST } else { BUDGET }
    }
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
            // Volatile: signal handlers of the thread use the words too.
            unsafe { self.0.add($at).cast::<$type>().read_volatile() }
        }
        #[doc = $doc]
        #[inline(always)]
        #[allow(
            clippy::not_unsafe_ptr_arg_deref,
            reason = "the value is stored, not dereferenced"
        )]
        pub fn $set(self, v: $type) {
            // SAFETY: as in the getter.
            unsafe { self.0.add($at).cast::<$type>().write_volatile(v) }
        }
    };
}

impl Tls {
    field!(
        bins,
        set_bins,
        BINS_AT,
        *mut BINS,
        "The bins that `malloc` tries."
    );
    field!(
        budget,
        set_budget,
        BUDGET_AT,
        i32,
        "Bytes left to free before the thread takes stock."
    );
    field!(life_word, set_life_word, 12, u32, "State as a word.");
    field!(cache, set_cache, 16, *mut Cache, "The thread's cache.");
    field!(
        inside,
        set_inside,
        24,
        usize,
        "Where on the stack a slow path is under way."
    );

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
    /// What the budget begins with.
    #[inline]
    pub fn full_budget(self) -> i32 {
        self.life().full_budget()
    }
    /// The state changes between `New` and others: the budget then begins with another figure.
    pub fn set_life_and_budget(self, life: Life) {
        let used = self.full_budget().wrapping_sub(self.budget());
        // The budget first: a signal handler in between that uses it up takes it for a large one too early, not for a small one too late.
        self.set_budget(life.full_budget().wrapping_sub(used));
        self.set_life(life);
    }
    /// Sets the state.
    pub fn set_life(self, life: Life) {
        self.set_life_word(life as u32);
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
