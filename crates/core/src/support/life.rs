//! The support thread's beginning, its rounds, its end.

use super::jobs::Jobs;
use crate::bell::{self, Shared, step, word};
use crate::config;
use crate::span::owners;
use crate::sync::Ordering::*;
use crate::thread::tls::{self, Life, Tls};
use aethalloc_base::options::Key;
use aethalloc_sys::process::barrier_all_threads;
use aethalloc_sys::thread::{self, Room, futex_wait_for, now_ms};
use core::cell::UnsafeCell;

/// A support thread that nobody rings for so long ends.
const IDLE_MS: u64 = 10_000;
/// Every support thread ends after so long; the next ring starts another, with the credentials, namespaces and CPUs of that
/// time.
const LIFE_MS: u64 = 30_000;
/// How long the process must have had one thread before its support thread ends: a program whose threads end and begin in rounds would
/// have all that is free given back each time.
const ALONE_MS: u64 = 50;
/// Ticks of `clock::now` between two thoughts of starting one: some 0.1 s.
const TRY_TICKS: u64 = 1 << 28;

/// Values of option `support`.
const OFF: usize = 0;
const ON: usize = 2;

/// What the jobs know; handed from one support thread to the next.
struct Guarded(UnsafeCell<Jobs>);
// SAFETY: touched by the support thread only; `Word::begin` and `Word::end` hand it on.
unsafe impl Sync for Guarded {}
static JOBS: Guarded = Guarded(UnsafeCell::new(Jobs::new()));

/// Whether a support thread may be started at all.
pub fn wants_start() -> bool {
    config::get(Key::support) != OFF
}

fn is_asked_for() -> bool {
    config::get(Key::support) == ON
}

/// Somebody rang and there is no support thread: starts one if the process has threads and CPUs for it. Takes no lock and
/// calls nothing of the C library, so that it may run inside any `free`.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
pub fn start() {
    let Some(s) = bell::shared() else { return };
    if !is_asked_for() && (s.counted.load(Relaxed) == 0 || owners::live() < 2) {
        return;
    }
    let now = crate::clock::now();
    let tried = s.tried.load(Relaxed);
    if tried != 0 && now.wrapping_sub(tried) < TRY_TICKS {
        return;
    }
    s.tried.store(now | 1, Relaxed);
    if (!is_asked_for() && thread::cpus() < 2) || !s.word.begin() {
        return;
    }
    if create(s).is_none() {
        s.word.abort();
    }
}

fn create(s: &'static Shared) -> Option<()> {
    // ORDERING: Acquire: the kernel cleared the id after the last one's last use of its stack.
    if s.tid.load(Acquire) != 0 {
        return None; // the last one is not quite gone; a later ring tries again
    }
    let block = tls::tls().as_ptr();
    let mut room = Room {
        top: s.stack.load(Relaxed),
        pointer: s.thread.load(Relaxed),
    };
    if room.top.is_null() {
        room = thread::make_room(block, tls::SIZE).ok()?;
        s.thread.store(room.pointer, Relaxed);
        s.stack.store(room.top, Relaxed);
    }
    // It has no cache and gets none: what it frees goes straight home.
    Tls::from_ptr(thread::block_in(room, block)).set_life(Life::Over);
    // SAFETY: the id is clear, so nobody is on this stack, which stays mapped for ever; `run` uses our words only.
    unsafe { thread::start(room, run, &s.tid) }.ok()
}

#[cold]
#[unsafe(link_section = ".text.unknown.later")]
extern "C" fn run() -> ! {
    if let Some(s) = bell::shared() {
        let own_files = thread::settle_down(b"aethalloc\0\0\0\0\0\0\0");
        s.word.awake();
        // SAFETY: the one support thread, from `begin` to `end`.
        let jobs = unsafe { &mut *JOBS.0.get() };
        jobs.first(own_files);
        serve(s, jobs);
    }
    // SAFETY: made by `create`.
    unsafe { thread::exit() }
}

/// Rounds until the end.
fn serve(s: &'static Shared, jobs: &mut Jobs) {
    let born = now_ms();
    // Since when one thread was seen, and how many there had been until then.
    let mut solitude = None;
    jobs.begin(born);
    loop {
        step(0);
        let _ = s.word.take_poke();
        let now = now_ms();
        let alone = owners::live() < 2 && !is_asked_for();
        let ever = owners::ever();
        solitude = match solitude {
            _ if !alone => None,
            Some((_, then)) if then != ever => Some((now, ever)),
            None => Some((now, ever)),
            same => same,
        };
        if let Some((since, _)) = solitude
            && now - since < ALONE_MS
        {
            futex_wait_for(s.word.futex(), word::AWAKE, ALONE_MS - (now - since));
            continue;
        }
        if alone || now - born > LIFE_MS || config::get(Key::support) == OFF {
            bell::at_work(s, || jobs.finish(s));
            if retire(s) {
                return;
            }
            jobs.begin(now_ms());
            continue;
        }
        let busy = bell::at_work(s, || jobs.round(s, now));
        step(1);
        if busy {
            futex_wait_for(s.word.futex(), word::AWAKE, jobs.slot_ms());
        } else if rest(s, jobs) {
            return;
        }
    }
}

/// Sleeps until rung; true if nobody did for so long that the thread ended.
fn rest(s: &'static Shared, jobs: &mut Jobs) -> bool {
    let mut complete = true;
    if !s.word.park(|| complete &= barrier_all_threads()) {
        return false;
    }
    step(2);
    if jobs.has_work() {
        s.word.unpark();
        return false;
    }
    // Where the kernel has no such barrier a ring may have been missed: look again soon.
    let ms = if complete { IDLE_MS } else { 1000 };
    futex_wait_for(s.word.futex(), word::PARKED, ms);
    step(3);
    if s.word.mode() == word::PARKED && complete {
        bell::at_work(s, || jobs.finish(s));
        if s.word.end() {
            return true;
        }
    }
    s.word.unpark();
    false
}

/// Ends the thread's time, whatever there would be to do; false if somebody rang in between.
fn retire(s: &'static Shared) -> bool {
    let parked = s.word.park(|| ());
    step(4);
    parked && s.word.end()
}
