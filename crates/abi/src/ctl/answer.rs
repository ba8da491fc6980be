//! The value or the action behind each control name. `docs/api-c.md` lists what each figure means here.

use core::ffi::{CStr, c_int};

use aethalloc_core::front;
use aethalloc_core::stats::{self, ClassStats, Stats};

use super::epoch;
use super::names::{Key, Path};
use super::request::{Request, Value};
use crate::os;

/// What `version` says. It names this allocator, so that nobody takes it for a version of jemalloc.
const VERSION: &CStr = match CStr::from_bytes_with_nul(
    concat!("aethalloc ", env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
) {
    Ok(version) => version,
    Err(_) => c"aethalloc",
};

/// The heap appears as one arena, number 0.
const ARENAS: u32 = 1;
/// jemalloc's number for all arenas together.
const ALL_ARENAS: usize = 4096;
/// Every block is a multiple of this.
const QUANTUM: usize = 16;

/// Serves one request.
#[cold]
pub fn answer(path: &Path, request: &Request<'_>) -> c_int {
    let [first, second] = path.numbers;
    match path.key {
        Key::Version => request.read_only_text(VERSION),
        Key::Epoch => write_epoch(request),
        Key::BackgroundThread => write_fixed(request, false),
        Key::ThreadArena => write_fixed(request, 0u32),
        Key::ThreadFlush => request.action(purge),

        Key::ConfigStats => request.read_only(true),
        Key::ConfigDebug => request.read_only(cfg!(debug_assertions)),
        Key::ConfigMallocConf => request.read_only_text(c""),
        Key::ConfigCacheOblivious
        | Key::ConfigFill
        | Key::ConfigLazyLock
        | Key::ConfigProf
        | Key::ConfigProfLibgcc
        | Key::ConfigProfLibunwind
        | Key::ConfigUtrace
        | Key::ConfigXmalloc => request.read_only(false),

        Key::OptRetain => request.read_only(true),
        Key::OptNarenas => request.read_only(ARENAS),
        Key::OptDss | Key::OptPercpuArena => request.read_only_text(c"disabled"),
        Key::OptJunk => request.read_only_text(c"false"),
        Key::OptAbort
        | Key::OptAbortConf
        | Key::OptBackgroundThread
        | Key::OptProf
        | Key::OptStatsPrint
        | Key::OptUtrace
        | Key::OptXmalloc
        | Key::OptZero => request.read_only(false),

        Key::ArenaInitialized => match first {
            0 => request.read_only(true),
            _ => os::ENOENT,
        },
        // Old programs mean all arenas by the number after the last.
        Key::ArenaPurge | Key::ArenaDecay => match first {
            0 | 1 | ALL_ARENAS => request.action(purge),
            _ => os::ENOENT,
        },

        Key::ArenasNarenas => request.read_only(ARENAS),
        Key::ArenasPage => request.read_only(os::page_size()),
        Key::ArenasQuantum => request.read_only(QUANTUM),
        Key::ArenasNbins => request.read_only(class_count()),
        Key::ArenasBinSize => class(request, first, |class| class.size),

        Key::StatsAllocated => figure(request, |s| s.allocated),
        Key::StatsActive => figure(request, |s| s.active),
        Key::StatsMetadata => figure(request, |s| s.metadata),
        Key::StatsMapped => figure(request, mapped),
        Key::StatsResident => figure(request, resident),
        Key::StatsRetained => figure(request, retained),

        Key::StatsArenaThreads => arena(request, first, |s| s.threads as u32),
        Key::StatsArenaActivePages => arena(request, first, |s| pages(s.active)),
        Key::StatsArenaDirtyPages => arena(request, first, |s| pages(s.retained)),
        // Purged memory leaves at once; there is no half-way state.
        Key::StatsArenaMuzzyPages => arena(request, first, |_| 0usize),
        Key::StatsArenaMapped => arena(request, first, mapped),
        Key::StatsArenaResident => arena(request, first, resident),
        Key::StatsArenaRetained => arena(request, first, retained),
        Key::StatsArenaPurges => arena(request, first, |s| s.purges),
        Key::StatsArenaPurgedPages => arena(request, first, |s| {
            s.purged.div_ceil(os::page_size().max(1) as u64)
        }),
        Key::StatsArenaSmall => arena(request, first, |s| {
            s.allocated.saturating_sub(s.allocated_large)
        }),
        Key::StatsArenaLarge => arena(request, first, |s| s.allocated_large),
        Key::StatsBinSlabs => bin(request, first, second, |class| class.slabs),
        Key::StatsBinRegions => bin(request, first, second, |class| class.out),
    }
}

#[cold]
fn purge() {
    front::purge();
}

/// Writing anything takes new figures; reading gives the number of times that was done.
#[cold]
fn write_epoch(request: &Request<'_>) -> c_int {
    match request.take::<u64>() {
        Ok(Some(_)) => epoch::advance(),
        Ok(None) => {}
        Err(code) => return code,
    }
    request.put(epoch::current())
}

/// A value that can be written in jemalloc and has one possible value here: EFAULT for any other.
#[cold]
fn write_fixed<T: Value + PartialEq>(request: &Request<'_>, only: T) -> c_int {
    match request.take::<T>() {
        Ok(Some(new)) if new != only => os::EFAULT,
        Ok(_) => request.put(only),
        Err(code) => code,
    }
}

/// Bytes in spans that hold objects, and in descriptors.
#[cold]
fn mapped(stats: &Stats) -> usize {
    stats.active.saturating_add(stats.metadata)
}

/// The most that can be resident: `mapped`, and free spans not given back yet.
#[cold]
fn resident(stats: &Stats) -> usize {
    mapped(stats).saturating_add(stats.retained)
}

/// Accessible address space that holds no pages: kept for reuse instead of unmapped.
#[cold]
fn retained(stats: &Stats) -> usize {
    stats.mapped.saturating_sub(resident(stats))
}

#[cold]
fn pages(bytes: usize) -> usize {
    bytes.div_ceil(os::page_size().max(1))
}

#[cold]
fn figure<T: Value>(request: &Request<'_>, of: impl FnOnce(&Stats) -> T) -> c_int {
    request.read_only(of(&epoch::figures()))
}

/// A figure of one arena: number 0, the one after the last, or all are the whole heap.
#[cold]
fn arena<T: Value>(request: &Request<'_>, number: usize, of: impl FnOnce(&Stats) -> T) -> c_int {
    match number {
        0 | 1 | ALL_ARENAS => figure(request, of),
        _ => os::ENOENT,
    }
}

#[cold]
fn class<T: Value>(
    request: &Request<'_>,
    number: usize,
    of: impl FnOnce(&ClassStats) -> T,
) -> c_int {
    match stats::class(number) {
        Some(class) => request.read_only(of(&class)),
        None => os::ENOENT,
    }
}

#[cold]
fn bin<T: Value>(
    request: &Request<'_>,
    arena: usize,
    number: usize,
    of: impl FnOnce(&ClassStats) -> T,
) -> c_int {
    match arena {
        0 | 1 | ALL_ARENAS => class(request, number, of),
        _ => os::ENOENT,
    }
}

#[cold]
fn class_count() -> u32 {
    let mut count = 0u32;
    while stats::class(count as usize).is_some() {
        count += 1;
    }
    count
}
