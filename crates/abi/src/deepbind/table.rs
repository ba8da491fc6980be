//! The change itself: finds the loaded libc, its dynamic symbols by the GNU hash table, and writes their values.

use crate::weak::weak_fn;
use aethalloc_base::units::PAGE;
use aethalloc_sys::memory::{self, Access};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::null;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// `ElfW(Phdr)` of 64-bit systems.
#[repr(C)]
pub struct Segment {
    pub kind: u32,
    flags: u32,
    offset: usize,
    pub address: usize,
    physical: usize,
    file_size: usize,
    pub size: usize,
    align: usize,
}

pub const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const READ_ONLY: u32 = 4;

/// `ElfW(Dyn)`.
#[repr(C)]
struct Entry {
    tag: usize,
    value: usize,
}

const STRINGS: usize = 5;
const SYMBOLS: usize = 6;
const NAME: usize = 14;
const HASHES: usize = 0x6fff_fef5;

/// `ElfW(Sym)`.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    /// Other threads' loaders may read it while we write.
    value: AtomicUsize,
    size: usize,
}

/// The beginning of `struct dl_phdr_info`.
#[repr(C)]
struct Loaded {
    base: usize,
    name: *const c_char,
    segments: *const Segment,
    count: u16,
}

type Visit = extern "C" fn(*const Loaded, usize, *mut c_void) -> c_int;
type Iterate = unsafe extern "C" fn(Visit, *mut c_void) -> c_int;

/// A function of libc that is to be answered with ours.
pub struct Shared {
    /// Its name.
    pub name: &'static CStr,
    /// Where libc has it.
    pub theirs: usize,
    /// What takes its place.
    pub ours: *const c_void,
}

/// Makes libc's symbol table name ours for all of `functions`, or for none.
pub fn share<const N: usize>(functions: &[Shared; N]) {
    let Some(iterate) = weak_fn!("dl_iterate_phdr" as Iterate) else {
        return;
    };
    let mut search = Search {
        inside: functions.first().map_or(0, |f| f.theirs),
        libc: None,
    };
    // SAFETY: libc's function calls `visit` with a valid description and our `search`.
    unsafe { iterate(visit, (&raw mut search).cast()) };
    let Some(libc) = search.libc else { return };
    let mut symbols = [null::<Symbol>(); N];
    for (symbol, f) in symbols.iter_mut().zip(functions) {
        match libc.find(f) {
            Some(found) => *symbol = found,
            None => return,
        }
    }
    let first = symbols.iter().map(|s| s.addr()).min().unwrap_or(0) / PAGE * PAGE;
    let last = symbols.iter().map(|s| s.addr()).max().unwrap_or(0) / PAGE * PAGE;
    let length = last + PAGE - first;
    let at = core::ptr::with_exposed_provenance_mut(first);
    // SAFETY: whole pages of a private, read-only mapping of libc (`find` checked the segment): writable for a moment,
    // which takes nothing from anybody.
    if unsafe { memory::protect(at, length, Access::Write) }.is_err() {
        return;
    }
    for (symbol, f) in symbols.iter().zip(functions) {
        // SAFETY: `find` gave the symbol; its pages are writable now.
        let value = unsafe { &(**symbol).value };
        // ORDERING: Relaxed: a loader that reads the old value gets glibc's function, as before; nothing else is published.
        value.store(f.ours.addr().wrapping_sub(libc.base), Relaxed);
    }
    // SAFETY: as above; only this function wrote.
    let _ = unsafe { memory::protect(at, length, Access::Read) };
}

/// What `visit` looks for and finds.
struct Search {
    inside: usize,
    libc: Option<Libc>,
}

/// The loaded libc.
#[derive(Clone, Copy)]
struct Libc {
    base: usize,
    segments: *const Segment,
    count: usize,
    strings: *const u8,
    symbols: *const Symbol,
    hashes: *const u32,
}

/// Stops at the library that `inside` lies in, if that is libc.
extern "C" fn visit(loaded: *const Loaded, _: usize, search: *mut c_void) -> c_int {
    // SAFETY: the loader describes an object that stays loaded while we look; `search` is the caller's.
    let (loaded, search) = unsafe { (&*loaded, &mut *search.cast::<Search>()) };
    let count = usize::from(loaded.count);
    if segment_of(loaded.base, loaded.segments, count, search.inside).is_none() {
        return 0;
    }
    search.libc = Libc::read(loaded.base, loaded.segments, count);
    1
}

/// The program headers of an object that is never unloaded.
pub fn each_segment(
    segments: *const Segment,
    count: usize,
) -> impl Iterator<Item = &'static Segment> {
    // SAFETY: the callers' tables have so many headers, and stay for the life of the process.
    (0..count).map(move |i| unsafe { &*segments.add(i) })
}

/// The loaded segment that `address` lies in.
fn segment_of(
    base: usize,
    segments: *const Segment,
    count: usize,
    address: usize,
) -> Option<&'static Segment> {
    each_segment(segments, count).find(|s| {
        s.kind == LOAD && address.wrapping_sub(base.wrapping_add(s.address)) < s.file_size
    })
}

impl Libc {
    /// Reads the dynamic section; `None` if it is not libc's, or lacks a table.
    fn read(base: usize, segments: *const Segment, count: usize) -> Option<Libc> {
        let dynamic = each_segment(segments, count).find(|s| s.kind == DYNAMIC)?;
        let entries: *const Entry =
            core::ptr::with_exposed_provenance(base.wrapping_add(dynamic.address));
        let value = |tag| {
            (0..dynamic.size / size_of::<Entry>())
                // SAFETY: inside the dynamic section, which is loaded.
                .map(|i| unsafe { &*entries.add(i) })
                .find(|e| e.tag == tag)
                .map(|e| e.value)
        };
        // glibc has added the base already, on most machines.
        let table = |tag| value(tag).map(|v| if v < base { v.wrapping_add(base) } else { v });
        let strings: *const u8 = core::ptr::with_exposed_provenance(table(STRINGS)?);
        // SAFETY: an offset into the string table, whose strings end with zero.
        let name = unsafe { CStr::from_ptr(strings.add(value(NAME)?).cast()) };
        (name == c"libc.so.6").then_some(Libc {
            base,
            segments,
            count,
            strings,
            symbols: core::ptr::with_exposed_provenance(table(SYMBOLS)?),
            hashes: core::ptr::with_exposed_provenance(table(HASHES)?),
        })
    }

    /// The symbol of `f`, if it says where `f` is and lies in a segment that is only read.
    fn find(&self, f: &Shared) -> Option<*const Symbol> {
        let symbol = self.lookup(f.name)?;
        // SAFETY: `lookup` gave a symbol of the table.
        let value = unsafe { &*symbol }.value.load(Relaxed);
        let segment = segment_of(self.base, self.segments, self.count, symbol.addr())?;
        (self.base.wrapping_add(value) == f.theirs && segment.flags == READ_ONLY).then_some(symbol)
    }

    /// Looks a name up as the loader does: header (buckets, first hashed symbol, words of the filter, shift), filter,
    /// buckets, then one hash per symbol, the last of a bucket odd.
    fn lookup(&self, name: &CStr) -> Option<*const Symbol> {
        let hash = name
            .to_bytes()
            .iter()
            .fold(5381u32, |h, b| h.wrapping_mul(33).wrapping_add((*b).into()));
        // SAFETY: the table is libc's own; every index is one that the loader would follow.
        unsafe {
            let head = self.hashes;
            let (buckets, first, filter) = (*head, *head.add(1), *head.add(2) as usize);
            let bucket = head.add(4 + 2 * filter);
            let chain = bucket.add(buckets as usize);
            let mut i = *bucket.add(hash.checked_rem(buckets)? as usize);
            if i < first {
                return None;
            }
            loop {
                let here = *chain.add((i - first) as usize);
                let symbol = self.symbols.add(i as usize);
                if here | 1 == hash | 1
                    && CStr::from_ptr(self.strings.add((*symbol).name as usize).cast()) == name
                {
                    return Some(symbol);
                }
                if here & 1 == 1 {
                    return None;
                }
                i += 1;
            }
        }
    }
}
