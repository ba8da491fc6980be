//! Runs that safety modes keep with their guards, beside a support thread: when those beyond the bound go back.
//!
//! Tests run this program again, because mode and support thread are the process's.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{bell, config, guard, pages};
use common::is_process_of;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of a large object: runs of two units.
const SIZE: usize = 100_000;
/// As many are kept of one length (`EACH` in `runs.rs`).
const COUNT: usize = 64;
/// So many more stay in the quarantine under `hardened` (`KEPT` in `ended.rs`).
const QUARANTINE: usize = 256;
/// At least so many units are kept.
const KEPT: usize = 96;

/// Waits for what must come; a hang guard, not a measurement.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts the mode; `decay` says how long the support thread's slots are. False: no runs are kept here.
fn start(mode: &str, decay: usize) -> bool {
    common::start_with(&format!("safety:{mode}"));
    if guard::pages::means() != guard::pages::Means::Install || aethalloc_sys::thread::cpus() < 2 {
        return false;
    }
    config::set(Key::retain, 1 << 30);
    config::set(Key::decay, decay);
    config::set(Key::support_pressure, 0);
    // A thread counts once it has allocated.
    common::give_back(common::take(1, 1000));
    true
}

/// A thread that counts, until it is told to end.
fn another() -> (Sender<()>, JoinHandle<()>) {
    let (ready, started) = channel::<()>();
    let (end, ends) = channel::<()>();
    let other = std::thread::spawn(move || {
        common::give_back(common::take(1, 1000));
        ready.send(()).expect("the test listens");
        ends.recv().expect("the test says when");
    });
    started.recv().expect("the other thread begins");
    (end, other)
}

/// Waits for rounds of the support thread.
fn serve() {
    until("no support thread", || {
        bell::ring();
        bell::is_served()
    });
    let from = bell::rounds();
    until("no rounds", || {
        bell::poke();
        bell::rounds().wrapping_sub(from) > 4
    });
}

/// Has large objects end, whose runs are kept: how many units are in use then.
fn keep() -> usize {
    if guard::has_canaries() {
        common::give_back(common::take(QUARANTINE, SIZE));
    }
    let before = pages::used_units();
    common::give_back(common::take(COUNT, SIZE));
    let used = pages::used_units();
    assert!(used > before + KEPT, "{before} {used}");
    used
}

/// The bound falls, and nothing is freed: the support thread sees to it in one of its next rounds.
fn in_a_round(mode: &str) {
    // Slots of a millisecond.
    if !start(mode, 1) {
        return;
    }
    // Else the support thread ends, and gives them back then.
    let (end, other) = another();
    serve();
    let used = keep();
    serve();
    assert!(pages::used_units() + KEPT / 2 > used, "they may stay");
    config::set(Key::retain, 0);
    serve();
    serve();
    assert!(pages::used_units() + KEPT / 2 < used, "they stay");
    end.send(()).expect("the other thread waits");
    other.join().expect("the other thread ends");
}

/// The same at the end of the support thread, whose next round is away for long.
fn at_the_end(mode: &str) {
    if !start(mode, 3_600_000) {
        return;
    }
    let (end, other) = another();
    serve();
    let used = keep();
    config::set(Key::retain, 0);
    end.send(()).expect("the other thread waits");
    other.join().expect("the other thread ends");
    until("it does not end", || !bell::is_served());
    assert!(pages::used_units() + KEPT / 2 < used, "they stay");
}

#[test]
fn runs_of_guard_go_back_in_a_round() {
    if is_process_of("runs_of_guard_go_back_in_a_round") {
        in_a_round("guard");
    }
}

#[test]
fn runs_of_hardened_go_back_in_a_round() {
    if is_process_of("runs_of_hardened_go_back_in_a_round") {
        in_a_round("hardened");
    }
}

#[test]
fn runs_of_guard_go_back_at_the_end() {
    if is_process_of("runs_of_guard_go_back_at_the_end") {
        at_the_end("guard");
    }
}

#[test]
fn runs_of_hardened_go_back_at_the_end() {
    if is_process_of("runs_of_hardened_go_back_at_the_end") {
        at_the_end("hardened");
    }
}
