//! The life of the process: start, fork, the end of threads, the end.
//!
//! Called by the faces' constructors and by the first use of a thread. Uses of the C library: `pthread_atfork`,
//! `pthread_key_create`, `pthread_setspecific`; each outside every lock, because each may allocate.

use crate::span::central;
use crate::span::owners;
use crate::sync::{AtomicBool, AtomicPtr, Ordering::*};
use crate::thread::cache::{self, Cache};
use crate::thread::exit;
use crate::thread::inside::Inside;
use crate::thread::tls::Life;
use crate::{bell, config, guard, pages, space, stats, support};
use aethalloc_base::options::{Key, LIST, Options, Problem};
use aethalloc_sys::lock;
use aethalloc_sys::memory::{self, Access};
use core::ffi::c_int;

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

static STARTED: AtomicBool = AtomicBool::new(false);
static CONF: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());

/// Reads the options, makes the space and registers the fork handlers. The first call counts.
///
/// `environment`: the process's environment (as `environ`), or null.
///
/// # Safety
/// `environment` is null or a null-terminated array of zero-terminated strings that stay valid.
pub unsafe fn start(environment: *const *const u8) {
    if STARTED.swap(true, AcqRel) {
        return;
    }
    let inside = Inside::enter(cache::me());
    // SAFETY: the caller's promise.
    unsafe { read_options(environment) };
    // If the system grants no space now, a later call may get one: what follows is needed then.
    space::ready();
    space::find_os_page();
    keep_path();
    watch_raw_forks();
    guard::start();
    drop(inside);
    if !guard::allows_caches() {
        // Of the thread that runs constructors, if it allocated before.
        cache::me().set_bins(crate::thread::bins::none());
    }
    // SAFETY: plain registrations; both may allocate, through us, which works by now.
    unsafe {
        pthread_atfork(
            Some(before_fork),
            Some(after_fork_in_parent),
            Some(after_fork_in_child),
        );
    }
    stats::report("start");
}

/// Called once when the process ends normally.
pub fn end() {
    if STARTED.load(Relaxed) {
        guard::end();
        stats::report("exit");
    }
}

unsafe fn read_options(environment: *const *const u8) {
    // SAFETY: the caller's promise.
    if let Some(text) = unsafe { config::find(environment) } {
        CONF.store(text.as_ptr().cast_mut(), Relaxed);
        adopt_options(text);
    }
}

#[cold]
#[inline(never)]
fn adopt_options(text: &'static [u8]) {
    let mut options = Options::new();
    options.parse(text, |problem, piece| {
        let line = crate::violation::Line::new().text(match problem {
            Problem::UnknownKey => "unknown option in AETHALLOC_CONF, ignored: ",
            Problem::NoValue => "option without a value in AETHALLOC_CONF, ignored: ",
            Problem::BadValue => "bad value in AETHALLOC_CONF, the default stays: ",
        });
        line.bytes(piece.get(..piece.len().min(100)).unwrap_or(&[]))
            .print();
    });
    config::adopt(&options);
    if options.get(Key::help) != 0 {
        for d in LIST {
            crate::violation::Line::new()
                .text("option ")
                .text(d.key)
                .text(": ")
                .text(d.help)
                .print();
        }
    }
}

/// Copies the path option out of the environment: programs write their title over it.
fn keep_path() {
    const POOL: usize = space::pool::pool_for(4096);
    let (span, text) = (config::get(Key::stats_file), CONF.load(Relaxed));
    if span == 0 || text.is_null() {
        return;
    }
    let (at, len) = (span >> 16, span & 0xffff);
    match space::pool::take(POOL) {
        Some((place, _)) if len <= 4096 => {
            // SAFETY: the span lies inside the option text, which is still as it was read; the place is large enough.
            unsafe { place.as_ptr().copy_from_nonoverlapping(text.add(at), len) };
            CONF.store(place.as_ptr(), Relaxed);
            config::set(Key::stats_file, len);
        }
        _ => config::set(Key::stats_file, 0),
    }
}

/// The text of a path option.
pub fn path_option(key: Key) -> Option<&'static [u8]> {
    let (len, text) = (config::get(key), CONF.load(Relaxed));
    if len == 0 || len > 4096 || text.is_null() {
        return None;
    }
    // SAFETY: `keep_path` made the copy of that length; it stays for ever.
    Some(unsafe { core::slice::from_raw_parts(text, len) })
}

/// What the kernel wipes in every child: the word that says "no raw fork", and what is known of the support thread.
#[repr(C)]
struct Wiped {
    raw_forks: core::sync::atomic::AtomicU32,
    support: bell::Shared,
}

fn watch_raw_forks() {
    let Ok(page) = memory::map(aethalloc_base::units::UNIT, Access::Write) else {
        return;
    };
    // SAFETY: the page is ours.
    if unsafe { memory::wipe_on_fork(page.as_ptr(), aethalloc_base::units::UNIT) }.is_err() {
        return;
    }
    // SAFETY: the page stays mapped for ever, is aligned and large enough; all-zero is valid for both.
    let wiped = unsafe { &*page.as_ptr().cast::<Wiped>() };
    lock::watch_raw_forks(&wiped.raw_forks, repair);
    if support::wants_start() {
        bell::install(&wiped.support, support::start);
        bell::counted();
    }
}

/// Every lock in rank order: outermost first.
fn each_lock(mut f: impl FnMut(&lock::Lock)) {
    f(space::init_lock());
    f(owners::lock());
    guard::each_lock(&mut f);
    central::each_lock(&mut f);
    f(pages::lock());
    f(space::meta::lock());
}

#[cold]
extern "C" fn before_fork() {
    // No signal handler waits for what its own thread is taking or giving back here.
    let _inside = Inside::enter(cache::me());
    each_lock(|l| l.close());
    lock::fork_begins();
}

#[cold]
extern "C" fn after_fork_in_parent() {
    let _inside = Inside::enter(cache::me());
    lock::fork_ended();
    each_lock(|l| l.reopen());
}

#[cold]
extern "C" fn after_fork_in_child() {
    let inside = Inside::enter(cache::me());
    lock::fork_ended();
    each_lock(|l| l.reset());
    lock::mark_repaired();
    crate::span::live::reset();
    pages::reset();
    crate::span::purge::reset();
    adopt_dead_threads();
    drop(inside);
    bell::counted();
    stats::report("fork");
}

/// A child that was made without fork handlers found a lock that nobody will ever give back.
#[cold]
fn repair() {
    each_lock(|l| l.reset());
    lock::mark_repaired();
    crate::span::purge::reset();
    crate::span::live::reset();
    pages::reset();
    // What dead threads' caches hold stays where it is: their state may be torn.
}

/// In a child: only the calling thread exists; the others' caches go back.
fn adopt_dead_threads() {
    let mine = cache::me();
    let my_cache = if mine.life() == Life::Live {
        mine.cache()
    } else {
        core::ptr::null_mut()
    };
    owners::each(|other| {
        let other = other.cast::<Cache>();
        // SAFETY: registered caches are valid; its thread does not exist here.
        let busy = unsafe { (*other).owner.busy.is() };
        // A cache whose thread was in a slow path stays as it is: its blocks are lost to this child, its slabs' frees
        // go on to work.
        if other == my_cache {
            return;
        }
        if busy {
            // Its thread's stack, where its TLS words are, will be used again.
            // SAFETY: an atomic of a registered cache.
            unsafe { (*other).tls.store(core::ptr::null_mut(), Relaxed) };
        } else {
            // SAFETY: its thread does not exist here and was in no slow path; the handlers held every lock while the
            // process was copied.
            unsafe {
                exit::abandon(&mut *other);
            }
        }
    });
    owners::recount(!my_cache.is_null() as u32);
}
