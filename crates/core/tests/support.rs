//! The support thread is stopped, or ended, between any two steps: nothing is lost that others need, nobody waits, and one that
//! ended has a successor.
//!
//! One test, because there is one support thread per process.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{bell, config, front, life, pages};
use aethalloc_sys::thread;
use common::{Object, Random};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};
use std::time::{Duration, Instant};

/// How the support thread of this process is treated at the chosen step.
const GO_ON: u32 = 0;
const STOP: u32 = 1;
const END: u32 = 2;

static TREATMENT: AtomicU32 = AtomicU32::new(GO_ON);
/// The step at which it happens.
static CHOSEN: AtomicU32 = AtomicU32::new(0);
static HAPPENED: AtomicBool = AtomicBool::new(false);
/// Steps seen, one bit each.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// The program's own threads pass some steps too: nothing happens to them.
fn probe(step: u32) {
    let own = bell::shared().is_some_and(|s| s.tid.load(Relaxed) == aethalloc_sys::process::tid());
    if !own {
        return;
    }
    SEEN.fetch_or(1 << step, Relaxed);
    if step != CHOSEN.load(Relaxed) {
        return;
    }
    match TREATMENT.load(Acquire) {
        STOP => {
            HAPPENED.store(true, Release);
            while TREATMENT.load(Acquire) == STOP && CHOSEN.load(Relaxed) == step {
                thread::futex_wait_for(&TREATMENT, STOP, 5);
            }
        }
        END => {
            TREATMENT.store(GO_ON, Relaxed);
            HAPPENED.store(true, Release);
            // SAFETY: the support thread, which `sys` made.
            unsafe { thread::exit() }
        }
        _ => {}
    }
}

const EVERY: [u32; 11] = [0, 1, 2, 3, 10, 11, 20, 21, 30, 31, 32];

/// Fills and frees: leaves free runs, half-empty slabs and blocks in an outbox behind. Contents are checked.
fn work(random: &mut Random) {
    let mut objects: Vec<Object> = (0..6000)
        .map(|i| {
            let size = random.size(4000);
            Object::new(front::allocate(size), size, i)
        })
        .collect();
    let kept = objects.split_off(5400);
    // Another thread frees most of them, so that they go through its outbox, and ends.
    std::thread::scope(|scope| {
        scope.spawn(|| objects.drain(..).for_each(Object::free));
    });
    kept.into_iter().for_each(Object::free);
}

/// Repeats `work` until `done`; a hang guard, not a measurement.
fn work_until(random: &mut Random, what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        work(random);
        std::thread::sleep(Duration::from_millis(5));
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what} never came"
        );
    }
}

#[test]
fn stopped_or_ended_anywhere() {
    let mut random = Random::new(common::seed(), 1);
    // SAFETY: null is allowed.
    unsafe { life::start(std::ptr::null()) };
    config::set(Key::support, 2);
    config::set(Key::decay, 80);
    bell::probe_with(probe);
    // A thread with an outbox that stays and sleeps.
    let (sender, receiver) = std::sync::mpsc::channel::<Vec<Object>>();
    let sleeper = std::thread::spawn(move || {
        for objects in receiver {
            objects.into_iter().for_each(Object::free);
        }
    });
    let send = |random: &mut Random| {
        let objects = (0..400).map(|i| {
            let size = 16 + random.below(3) * 16;
            Object::new(front::allocate(size), size, i)
        });
        sender.send(objects.collect()).expect("the sleeper lives");
    };
    for treatment in [STOP, END] {
        for step in EVERY {
            HAPPENED.store(false, Relaxed);
            CHOSEN.store(step, Relaxed);
            TREATMENT.store(treatment, Release);
            // Most steps come when demand has aged: then it must be left alone for its longest window.
            // On a busy machine that lasts: each pause is longer than the last.
            let start = Instant::now();
            let mut pause = if step < 2 { 30 } else { 1000 };
            while !HAPPENED.load(Acquire) {
                send(&mut random);
                work(&mut random);
                std::thread::sleep(Duration::from_millis(pause));
                pause += pause / 2;
                if start.elapsed() > Duration::from_secs(120) {
                    break;
                }
            }
            let came = HAPPENED.load(Acquire);
            assert!(
                came,
                "step {step} never came; seen: {:b}",
                SEEN.load(Relaxed)
            );
            // Everybody goes on, threads begin and end, everything can be asked for.
            for _ in 0..3 {
                work(&mut random);
            }
            front::purge();
            TREATMENT.store(GO_ON, Release);
        }
    }
    // After all that the last one's successor brings memory down.
    work(&mut random);
    // Nothing at all: nobody took a run lately.
    let settled = || pages::stats().dirty == 0;
    let start = Instant::now();
    while !settled() {
        bell::ring();
        std::thread::sleep(Duration::from_millis(20));
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "free runs stay: {:?}",
            pages::stats()
        );
    }
    drop(sender);
    sleeper.join().expect("the sleeper ends");
    work_until(&mut random, "a support thread", bell::is_served);
}
