//! Whether memory is short: in the process's group, or by the kernel's pressure figures.
//!
//! The support thread looks when it is awake anyway and there is something to give back: a process that sleeps causes no
//! look. Its files are its own (`sys::thread::settle_down`): where the kernel gives it no table of files of its own
//! (before Linux 5.9) it opens none, because a number that it took could be one that the program expects.
//!
//! What the group may still take becomes a soft limit of the heap (`pages::limit`), so that the program's threads give back
//! what is free before they take the last of it, however fast they are.
//!
//! A look reads one to three files, 5-10 us each, at most once a slot.

use crate::config;
use crate::pages::limit;
use crate::sync::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering::*};
use aethalloc_base::options::Key;
use aethalloc_base::pressure::Watch;
use aethalloc_sys::pressure::{Kind, Source};
use core::ptr::null_mut;

/// What the files said last, for [`known`]: 0 nobody has looked, 1 no table of files, 2 no group, 3 and 4 its version.
static KNOWN: AtomicU8 = AtomicU8::new(0);
static LIMIT: AtomicU64 = AtomicU64::new(0);
/// Looks that found memory short.
static PRESSED: AtomicU64 = AtomicU64::new(0);

/// What tests put before every path.
static ROOT: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static ROOT_LEN: AtomicUsize = AtomicUsize::new(0);

/// Support threads that start from now on look for the kernel's files below `root`. For tests.
#[doc(hidden)]
pub fn look_below(root: &'static [u8]) {
    ROOT_LEN.store(root.len(), Relaxed);
    // ORDERING: Release, pairs with Acquire in `root`.
    ROOT.store(root.as_ptr().cast_mut(), Release);
}

fn root() -> &'static [u8] {
    // ORDERING: Acquire, pairs with Release in `look_below`.
    let at = ROOT.load(Acquire);
    if at.is_null() {
        return &[];
    }
    // SAFETY: `look_below` got a slice that stays for ever; tests call it once.
    unsafe { core::slice::from_raw_parts(at, ROOT_LEN.load(Relaxed)) }
}

/// In words: the kind of group whose limit counts.
pub fn known() -> &'static str {
    match KNOWN.load(Relaxed) {
        0 => "not looked",
        1 => "no files",
        2 => "none",
        3 => "v1",
        _ => "v2",
    }
}

/// The tightest limit of the process's group and those above it in bytes, as read by the support thread; 0: none.
pub fn limit() -> u64 {
    LIMIT.load(Relaxed)
}

/// How often the support thread found memory short.
pub fn pressed() -> u64 {
    PRESSED.load(Relaxed)
}

/// The support thread's part.
pub(super) struct Pressure {
    source: Source,
    watch: Watch,
}

impl Pressure {
    /// Nothing is known.
    pub const fn new() -> Self {
        Pressure {
            source: Source::none(),
            watch: Watch::new(),
        }
    }

    /// A thread begins; the last one's files ended with it.
    #[cold]
    #[unsafe(link_section = ".text.unknown.later")]
    pub fn begin(&mut self, own_files: bool) {
        self.source = if own_files && config::get(Key::support_pressure) != 0 {
            Source::open(root())
        } else {
            Source::none()
        };
        let known = match self.source.kind {
            _ if !own_files => 1,
            Kind::None => 2,
            Kind::V1 => 3,
            Kind::V2 => 4,
        };
        LIMIT.store(self.source.limit, Relaxed);
        limit::set_room(self.source.look().room);
        KNOWN.store(known, Relaxed);
    }

    /// Is memory short? `something` could be given back.
    pub fn look(&mut self, now: u64, something: bool) -> bool {
        if config::get(Key::support_pressure) == 0 {
            limit::set_room(None);
            return false;
        }
        if !something && self.source.limit == 0 {
            return false;
        }
        let seen = self.source.look();
        limit::set_room(seen.room);
        let pressed = self.watch.look(now, seen);
        if pressed {
            PRESSED.fetch_add(1, Relaxed);
        }
        pressed
    }
}
