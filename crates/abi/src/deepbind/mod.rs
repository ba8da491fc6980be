//! One `free` for everybody, also for libraries that are opened with `RTLD_DEEPBIND`.
//!
//! Job: a library opened so (every shared extension of PHP) looks names up in itself and in what it needs, libc.so.6
//! among it, before it looks in the program and its preloads. It would hand blocks that it got from the host, or from
//! `strdup`, which calls our `malloc`, to glibc's `free`, and crash. The flags of a `dlopen` are not ours to change:
//! such a library may need its own symbols first. So the answer is changed instead: in this process's private copy of
//! libc's symbol table, `free`, `realloc` and `malloc_usable_size` become ours. What such a library gets from
//! glibc's `malloc` comes back to us as a foreign pointer, and goes on to glibc (`crate::foreign`).
//!
//! ```text
//! libc.so.6, mapped read-only:   .gnu.hash -> .dynsym:  { name, ..., value: glibc's free - base }
//! afterwards:                                           { name, ..., value: our free - base }       3 pages copied
//! ```
//!
//! Under `safety:hardened`, where a block of another allocator is misuse, `malloc` and its kin become ours there too: such libraries' objects
//! are checked like all others, and nothing foreign comes back.
//!
//! When: changing the table costs 20 us, and most processes open no library. For each library that it opens, the loader
//! takes a descriptor of more than 1 KiB from `calloc`, before it binds anything. So `calloc` shows us who calls it, and the first
//! request of that size from the loader itself is the moment. `prepare` (in the constructor) notes where the loader is.
//!
//! Anything unexpected (another allocator behind us, a table that is not where it should be, a refused `mprotect`)
//! leaves libc as it is: then such libraries crash, as under any other preloaded allocator.

mod table;

use crate::weak::weak;
use aethalloc_base::safety::Profile;
use aethalloc_core::guard;
use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use table::{LOAD, Shared, each_segment};

/// `struct r_debug` of the loader.
#[repr(C)]
struct Debug {
    version: c_int,
    libraries: *const c_void,
    breakpoint: usize,
    state: c_int,
    /// Where the loader itself is.
    loader: usize,
}

/// The beginning of `ElfW(Ehdr)`.
#[repr(C)]
struct Header {
    ident: [u8; 16],
    kind: u16,
    machine: u16,
    version: u32,
    entry: usize,
    segments: usize,
    sections: usize,
    flags: u32,
    size: u16,
    segment_size: u16,
    segment_count: u16,
}

/// The loader's descriptor of a library is larger (glibc 2.36: over 1100 bytes), most of what else it asks for smaller.
pub const DESCRIPTOR: usize = 768;

/// Where the loader is, until libc's table was changed; a length of 0 matches nobody.
static LOADER: AtomicUsize = AtomicUsize::new(0);
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Where libc has its `free`, `realloc` and `malloc_usable_size`.
static THEIRS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

/// What allocates in libc.
const MAKERS: [&CStr; 7] = [
    c"malloc",
    c"calloc",
    c"memalign",
    c"aligned_alloc",
    c"posix_memalign",
    c"valloc",
    c"pvalloc",
];
static THEIR_MAKERS: [AtomicUsize; MAKERS.len()] = [const { AtomicUsize::new(0) }; MAKERS.len()];

/// Notes where the loader is, and where libc has its `free`, `realloc` and `malloc_usable_size`; `find` tells where it has the others.
pub fn prepare(theirs: [*const c_void; 3], find: impl Fn(&CStr) -> *const c_void) {
    for (place, address) in THEIRS.iter().zip(theirs) {
        place.store(address.addr(), Relaxed);
    }
    if guard::profile() == Profile::Hardened {
        for (place, name) in THEIR_MAKERS.iter().zip(MAKERS) {
            place.store(find(name).addr(), Relaxed);
        }
    }
    let debug = weak!("_r_debug").cast::<Debug>();
    if debug.is_null() {
        return;
    }
    // SAFETY: the loader's own structure, public since ever (`<link.h>`).
    let base = unsafe { (*debug).loader };
    if base == 0 {
        return;
    }
    let header: *const Header = core::ptr::with_exposed_provenance(base);
    // SAFETY: the loader's first page begins with its header, which is never unmapped.
    let header = unsafe { &*header };
    let segments = core::ptr::with_exposed_provenance(base.wrapping_add(header.segments));
    let end = each_segment(segments, header.segment_count.into())
        .filter(|s| s.kind == LOAD)
        .map(|s| s.address.wrapping_add(s.size))
        .max();
    LOADER.store(base, Relaxed);
    LENGTH.store(end.unwrap_or(0), Relaxed);
}

/// Whether the code at `caller` is the loader's, and libc's table still as it was.
#[inline]
pub fn is_loader(caller: usize) -> bool {
    caller.wrapping_sub(LOADER.load(Relaxed)) < LENGTH.load(Relaxed)
}

/// The loader opens a library: changes libc's table, once.
///
/// The loader holds its lock meanwhile. It also allocates without it when a thread starts, if libraries have very many
/// thread-local sections: then a `dlopen` at the same moment may find the table unchanged.
#[cold]
#[inline(never)]
pub fn library_opens() {
    // ORDERING: Relaxed: the swap only picks one caller.
    if LENGTH.swap(0, Relaxed) == 0 {
        return;
    }
    let [free, realloc, usable_size] = &THEIRS;
    table::share(&[
        Shared {
            name: c"free",
            theirs: free.load(Relaxed),
            ours: crate::hot::free as *const c_void,
        },
        Shared {
            name: c"realloc",
            theirs: realloc.load(Relaxed),
            ours: crate::heap::realloc as *const c_void,
        },
        Shared {
            name: c"malloc_usable_size",
            theirs: usable_size.load(Relaxed),
            ours: crate::heap::malloc_usable_size as *const c_void,
        },
    ]);
    if guard::profile() == Profile::Hardened {
        share_makers();
    }
}

/// Changes what libc's table says of functions that allocate.
#[cold]
fn share_makers() {
    let ours = [
        crate::hot::malloc as *const c_void,
        crate::heap::calloc as *const c_void,
        crate::heap::memalign as *const c_void,
        crate::heap::aligned_alloc as *const c_void,
        crate::heap::posix_memalign as *const c_void,
        crate::heap::valloc as *const c_void,
        crate::heap::pvalloc as *const c_void,
    ];
    for ((name, theirs), ours) in MAKERS.into_iter().zip(&THEIR_MAKERS).zip(ours) {
        let theirs = theirs.load(Relaxed);
        table::share(&[Shared { name, theirs, ours }]);
    }
}
