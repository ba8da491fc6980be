//! Page-map entries: 8 bytes per unit say what the unit is, by one load.
//!
//! ```text
//!  63                     32 31         16 15     8 7      0
//! | state bytes / 8 in meta | 0           | unit    | class  |   unit number `unit` of a slab
//! | length in 4 KiB pages   | bits        | LARGE   | 0      |   first unit of a large object; bit 16 MOVED, bit 17 GUARDED
//! | 0                       | class       | FREED   | 0      |   a slab of the class was here (for the report of a late free)
//! | record / 8 in meta      | 0           | SAMPLED | 0      |   a sampled object (`guard::sampled`): its first unit, or all of a small one's
//! | slab / 8 in meta        | class       | HARDENED| 0     |   a slab of `guard::hardened`
//! | length in 4 KiB pages   | 0           | FENCED  | 0      |   first unit of an object of `guard::fenced`, which begins inside it
//! | 0                                                      |   nothing begins here (free, inside a large object, metadata)
//! ```
//! The state bytes are those of the entry's own unit, so that `free` needs nothing but the entry and the address.
//!
//! An entry is published by a Release store after everything it leads to is initialised, and read by Acquire
//! (or through an address dependency in the fast path).

use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Ordering::*};
use aethalloc_base::class::Class;
use aethalloc_sys::memory::{self, Access};
use core::ptr::null_mut;

const LARGE: u64 = 2 << 8;
const FREED: u64 = 3 << 8;
/// A large object whose pages came from another place and so lie in a mapping of their own.
const MOVED: u64 = 1 << 16;
/// A large object with a guard behind it.
const GUARDED: u64 = 1 << 17;
const SAMPLED: u64 = 4 << 8;
/// The lower half word of the entry of a slab of `guard::hardened`; its class follows.
pub const HARDENED: u64 = 5 << 8;
const FENCED: u64 = 6 << 8;
/// Bytes of the map made writable at a time: 512 MiB of heap.
const PIECE: usize = 64 << 10;

static MAP: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static MAP_UNITS: AtomicUsize = AtomicUsize::new(0);

/// What an entry says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing begins in this unit.
    None,
    /// A unit of a slab.
    Slab {
        /// Class.
        class: Class,
        /// Which of the slab's units.
        part: usize,
        /// Offset of this unit's state bytes from the metadata's start.
        state: usize,
    },
    /// A slab of this class was here last; nothing is now.
    Freed {
        /// Class.
        class: Class,
    },
    /// A large object of so many 4 KiB pages.
    Large {
        /// Length in 4 KiB pages.
        pages: usize,
        /// Its run is longer by a guard page.
        guarded: bool,
    },
    /// A sampled object.
    Sampled {
        /// Offset of its record from the metadata's start.
        record: usize,
    },
    /// An object of `guard::fenced` of so many 4 KiB pages.
    Fenced {
        /// Length in 4 KiB pages.
        pages: usize,
    },
    /// A slab of `guard::hardened`.
    Hardened {
        /// Its class.
        class: Class,
        /// Offset of what describes it from the metadata's start.
        slab: usize,
    },
}

/// Tells where the map is.
pub fn init(map: *mut u8, units: usize) {
    MAP_UNITS.store(units, Relaxed);
    MAP.store(map, Relaxed);
}

#[inline]
fn word(u: usize) -> Option<&'static AtomicU64> {
    if u >= MAP_UNITS.load(Relaxed) {
        return None;
    }
    let map = MAP.load(Relaxed).cast::<AtomicU64>();
    // SAFETY: the map has `MAP_UNITS` words, readable for ever; `make_writable` comes before any store.
    Some(unsafe { &*map.add(u) })
}

/// Makes the entries of units `first..end` writable. Pieces already writable cost one system call again, so the
/// caller (the page heap, at growth) keeps count.
pub fn make_writable(first: usize, end: usize) -> bool {
    let (from, to) = (
        (first * 8) & !(PIECE - 1),
        (end * 8).next_multiple_of(PIECE),
    );
    let total = (MAP_UNITS.load(Relaxed) * 8).next_multiple_of(PIECE);
    let at = MAP.load(Relaxed).wrapping_add(from);
    // SAFETY: the range is a part of the map.
    unsafe { memory::protect(at, to.min(total) - from, Access::Write) }.is_ok()
}

/// The entry of unit `u`.
#[inline]
pub fn load(u: usize) -> Kind {
    // ORDERING: Acquire, pairs with Release in `store`.
    let Some(e) = word(u).map(|w| w.load(Acquire)) else {
        return Kind::None;
    };
    let state = (e >> 32) as usize * 8;
    match e & 0xff {
        0 if e == 0 => Kind::None,
        0 if e & 0xff00 == LARGE => Kind::Large {
            pages: (e >> 32) as usize,
            guarded: e & GUARDED != 0,
        },
        0 if e & 0xff00 == FENCED => Kind::Fenced {
            pages: (e >> 32) as usize,
        },
        0 if e & 0xff00 == SAMPLED => Kind::Sampled { record: state },
        0 if e & 0xff00 == HARDENED => Kind::Hardened {
            class: (e >> 16) as usize & 0xff,
            slab: state,
        },
        0 if e & 0xff00 == FREED => Kind::Freed {
            class: (e >> 16) as usize & 0xff,
        },
        0 => Kind::None,
        c => Kind::Slab {
            class: c as usize,
            part: (e >> 8) as usize & 0xff,
            state,
        },
    }
}

/// Publishes what unit `u` is.
pub fn store(u: usize, kind: Kind) {
    let e = match kind {
        Kind::None => 0,
        Kind::Slab { class, part, state } => {
            (state as u64 / 8) << 32 | (part as u64) << 8 | class as u64
        }
        Kind::Large { pages, guarded } => large(pages, guarded),
        Kind::Fenced { pages } => fenced(pages),
        Kind::Sampled { record } => (record as u64 / 8) << 32 | SAMPLED,
        Kind::Hardened { class, slab } => (slab as u64 / 8) << 32 | (class as u64) << 16 | HARDENED,
        Kind::Freed { class } => (class as u64) << 16 | FREED,
    };
    if let Some(w) = word(u) {
        // ORDERING: Release, pairs with Acquire in `load`: the descriptor is complete before the entry leads to it.
        w.store(e, Release);
    }
}

fn large(pages: usize, guarded: bool) -> u64 {
    (pages as u64) << 32 | LARGE | if guarded { GUARDED } else { 0 }
}

fn fenced(pages: usize) -> u64 {
    (pages as u64) << 32 | FENCED
}

/// Notes that the pages of the large object at unit `u` were moved there. Its owner's call, like the next.
pub fn mark_moved(u: usize) {
    if let Some(w) = word(u) {
        // ORDERING: Relaxed: whoever ends the object got it from its owner, who says so here.
        w.fetch_or(MOVED, Relaxed);
    }
}

/// Whether the pages of the large object at unit `u` were moved there.
pub fn is_moved(u: usize) -> bool {
    word(u).is_some_and(|w| w.load(Relaxed) & MOVED != 0)
}

/// Ends the large object that begins at unit `u`, and says whether it was moved; `None` if none does (any more): of two
/// frees one wins.
pub fn take_large(u: usize, pages: usize, guarded: bool) -> Option<bool> {
    let w = word(u)?;
    let moved = w.load(Relaxed) & MOVED;
    let old = large(pages, guarded) | moved;
    // ORDERING: AcqRel: the winner orders its release of the run after the object's last use.
    let ended = w.compare_exchange(old, 0, AcqRel, Relaxed);
    ended.ok().map(|_| moved != 0)
}

/// Ends the object of `guard::fenced` at unit `u`; false if none of so many pages is there (any more): of two frees one wins.
pub fn take_fenced(u: usize, pages: usize) -> bool {
    // ORDERING: AcqRel, as in `take_large`.
    word(u).is_some_and(|w| {
        w.compare_exchange(fenced(pages), 0, AcqRel, Relaxed)
            .is_ok()
    })
}
