//! The allocation interface that every face (C, C++, Rust) calls.
//!
//! No function here touches `errno`; null means out of memory. The fast paths are in `fast` (Rust, every target) and,
//! for x86_64, as instructions in the C face; both end in the slow paths of `small` and `large`.

mod fast;
mod hardened;
pub mod large;
mod later;
pub mod small;
mod spare;

use crate::guard::fenced::Fenced;
use crate::guard::hardened::Hardened;
use crate::guard::sampled::Sampled;
use crate::guard::{self, BLOCK_MAX, Objects};
use crate::space::{self, entry::Kind};
use crate::span::central::{block_of, lookup};
use crate::span::slab::{OUT, shape};
use crate::sync::Ordering::*;
use crate::thread::cache::me;
use crate::thread::inside::Inside;
use crate::violation::{self, Verb};
use crate::{foreign, thread};
use aethalloc_base::class::{self, SMALL_MAX};
use aethalloc_base::units::{GRANULE, PAGE, UNIT};

pub use fast::{allocate, allocate_or, deallocate, reallocate, usable_size};
pub use small::{allocate_slow, deallocate_sized_slow, deallocate_slow};

/// Largest request that is zeroed by writing: memory that was just mapped is zero, and a program may touch little of it.
const ZEROED_MAX: usize = 32 << 10;

/// As [`allocate`], every byte zero.
#[inline]
pub fn allocate_zeroed(size: usize) -> *mut u8 {
    if size > ZEROED_MAX {
        return allocate_large(size, GRANULE, true);
    }
    let p = allocate(size);
    if !p.is_null() {
        // SAFETY: the block has at least `size` bytes.
        unsafe { p.write_bytes(0, size) };
    }
    p
}

/// As [`allocate`], at a multiple of `align` (a power of two).
pub fn allocate_aligned(align: usize, size: usize) -> *mut u8 {
    if align <= PAGE && !guard::is_hardened() {
        let size = if align <= GRANULE {
            size
        } else {
            class::aligned(size, align)
        };
        if size <= SMALL_MAX {
            // Spare memory is as aligned, because the size is not smaller than `align`.
            return allocate(size);
        }
    }
    allocate_aligned_slow(align, size)
}

/// As [`allocate_aligned`], of large objects and of those that a safety mode serves.
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
fn allocate_aligned_slow(align: usize, size: usize) -> *mut u8 {
    if align <= GRANULE {
        return allocate(size);
    }
    if guard::is_hardened() && align <= PAGE {
        if guard::has_canaries() {
            let p = hardened::allocate_aligned(size, align);
            if !p.is_null() {
                return p;
            }
        }
        let Some(_inside) = Inside::enter(me()) else {
            return spare::allocate(size, align, false);
        };
        let p = hardened::allocate_slowly(me(), size, align);
        if !p.is_null() {
            return p;
        }
    }
    allocate_large(size.max(1), align, false)
}

/// A large object of `size` bytes at a multiple of `align` (a power of two), all zero if `zeroed`; null
/// when memory is out.
#[unsafe(link_section = ".text.unknown.later")]
pub fn allocate_large(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    let Some(_inside) = Inside::enter(me()) else {
        return spare::allocate(size, align, zeroed);
    };
    later::settle(small::end_object);
    large::allocate(size, align, zeroed)
}

/// Under `safety:guard`, objects that grow to so many bytes are copied into a run whose guard is there already.
const FENCED_GROWTH: usize = 256 << 10;

/// As [`reallocate`], of an object that is not plainly a block that is out.
///
/// # Safety
/// As there.
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
unsafe fn reallocate_slow(ptr: *mut u8, size: usize) -> *mut u8 {
    let p = ptr.addr();
    let old = match find(Verb::Realloc, p) {
        Found::Spare(old) if size <= old => return ptr,
        Found::Spare(old) => old,
        Found::Foreign => return foreign::reallocate(ptr, size),
        Found::Block(old) => {
            // In place within the class; a shrink moves only when it frees half.
            if size <= old && size > old / 2 {
                return ptr;
            }
            if size <= SMALL_MAX && class::size(class::class_of(size)) == old {
                return ptr;
            }
            old
        }
        Found::Sampled(old) => old,
        Found::Fenced(old) => {
            // The guard stays behind what the object had.
            if size <= old && size > old / 2 {
                return ptr;
            }
            // What has grown once may grow again: in place. To copy a little costs less than to move a guard.
            let new = if size <= old.max(FENCED_GROWTH) {
                allocate(size)
            } else if let Some(_inside) = Inside::enter(me()) {
                large::place(size, UNIT, false)
            } else {
                spare::allocate(size, GRANULE, false)
            };
            // SAFETY: as below.
            return unsafe { moved(ptr, new, old.min(size)) };
        }
        Found::Hardened(slab, old) => {
            if Hardened::resize(slab, p, size) {
                return ptr;
            }
            old
        }
        Found::Large(unit, pages, guarded) => {
            // A signal handler that interrupted a slow path copies.
            if size > ZEROED_MAX
                && let Some(_inside) = Inside::enter(me())
            {
                if large::resize(unit, pages, guarded, size) {
                    // The old pointer's bounds are the old size's.
                    return space::narrow(space::address_of(unit), size);
                }
                let moved = large::move_pages(ptr, unit, pages, guarded, size);
                if !moved.is_null() {
                    return moved;
                }
            }
            pages * PAGE
        }
    };
    let (new, bytes) = (allocate(size), old.min(size));
    if guard::has_canaries() && !Hardened::serves(size) {
        guard::sampled::will_be_written(new, bytes);
    }
    // SAFETY: two live objects of at least so many bytes.
    unsafe { moved(ptr, new, bytes) }
}

/// Copies `bytes` bytes of `old` to `new` and ends `old`; nothing if `new` is null. Returns `new`.
///
/// # Safety
/// Both are live objects of at least so many bytes, or `new` is null.
#[unsafe(link_section = ".text.unknown.later")]
unsafe fn moved(old: *mut u8, new: *mut u8, bytes: usize) -> *mut u8 {
    if !new.is_null() {
        // SAFETY: the caller's promise; the old one ends here.
        unsafe {
            core::ptr::copy_nonoverlapping(guard::accessible(old), guard::accessible(new), bytes);
            deallocate(old);
        }
    }
    new
}

/// `free` by a caller that knows the size it asked for. By default the size is ignored: the page map knows, and real
/// programs delete through a base type.
///
/// # Safety
/// As [`deallocate`].
#[inline]
pub unsafe fn deallocate_sized(ptr: *mut u8, size: usize) {
    if guard::is_hardened() {
        return deallocate_sized_slow(ptr, size);
    }
    // SAFETY: the caller's promise.
    unsafe { deallocate(ptr) }
}

/// Bytes usable at `ptr` (null: 0), which is not plainly a block that is out.
///
/// # Safety
/// `ptr` is null or a live object.
#[inline(never)]
unsafe fn usable_size_slow(ptr: *const u8) -> usize {
    if ptr.is_null() {
        return 0;
    }
    match find(Verb::UsableSize, ptr.addr()) {
        Found::Foreign => foreign::usable_size(ptr),
        Found::Spare(size)
        | Found::Block(size)
        | Found::Sampled(size)
        | Found::Fenced(size)
        | Found::Hardened(_, size) => size,
        Found::Large(_, pages, _) => pages * PAGE,
    }
}

enum Found {
    Foreign,
    /// Bytes usable.
    Spare(usize),
    /// Size of its class.
    Block(usize),
    /// Its size.
    Sampled(usize),
    /// Its size.
    Fenced(usize),
    /// What describes its slab, and its size.
    Hardened(usize, usize),
    /// Unit, pages, and whether a guard follows.
    Large(usize, usize, bool),
}

/// What `p`, given to `verb`, is; ends the process if it can be nothing.
#[unsafe(link_section = ".text.unknown.later")]
fn find(verb: Verb, p: usize) -> Found {
    match lookup(guard::bare(p)) {
        None => spare::usable_size(verb, p).map_or(Found::Foreign, Found::Spare),
        Some((
            _,
            Kind::Slab {
                class, part, state, ..
            },
        )) => {
            let size = shape(class).size();
            let Some((slab, i)) = block_of(class, part, state, p) else {
                violation::interior(verb, p, size)
            };
            if slab.state(class, part, i).load(Relaxed) != OUT {
                violation::used_after_free(verb, p, size);
            }
            guard::pointer_bits::refuse(p, size, verb);
            Found::Block(size)
        }
        Some((unit, Kind::Large { pages, guarded })) if p.is_multiple_of(UNIT) => {
            guard::pointer_bits::refuse(p, 0, verb);
            Found::Large(unit, pages, guarded)
        }
        Some((unit, Kind::Fenced { pages })) => {
            Found::Fenced(Fenced::usable_size((unit, pages), p, verb))
        }
        Some((_, Kind::Sampled { record })) => {
            Found::Sampled(Sampled::usable_size(record, p, verb))
        }
        Some((_, Kind::Hardened { slab, .. })) => {
            Found::Hardened(slab, Hardened::usable_size(slab, p, verb))
        }
        Some((unit, _)) => small::nothing_here(verb, p, unit),
    }
}

/// The size that a request of `size` bytes at `align` really gets (`nallocx`); 0 if it cannot be served.
#[unsafe(link_section = ".text.unlikely.apart")]
pub fn good_size(size: usize, align: usize) -> usize {
    if guard::is_hardened() && align <= UNIT && guard::sampled::serves(size) {
        return if guard::is_tagging_pointers() && size <= BLOCK_MAX {
            let c = class::class_of_aligned(size.max(1), align);
            if c == 0 { size } else { class::size(c) }
        } else if guard::is_tagging() && Hardened::serves(size) {
            guard::tagged::granules(size)
        } else {
            size
        };
    }
    if align <= PAGE {
        let c = class::class_of_aligned(size.max(1), align.max(GRANULE));
        if c != 0 {
            return class::size(c);
        }
    }
    if align > 1 << 40 || size > isize::MAX as usize {
        0
    } else {
        aethalloc_base::bounds::run(size).map_or(0, |(bytes, _)| bytes)
    }
}

/// Gives back to the system, now, all memory that no object needs: what the calling thread holds, empty slabs, empty pages
/// of slabs and free runs. Returns the bytes given back.
#[unsafe(link_section = ".text.unlikely.apart")]
pub fn purge() -> usize {
    if !crate::space::ready() {
        return 0;
    }
    let Some(inside) = Inside::enter(me()) else {
        return 0;
    };
    if let Some(cache) = thread::cache::current(me())
        && !inside.interrupts_malloc()
    {
        thread::exit::drain(cache);
    }
    guard::purge();
    crate::span::purge::all() + crate::pages::purge::to(0)
}
