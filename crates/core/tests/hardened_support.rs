//! `safety:hardened` beside a support thread: when what is kept of slabs goes back.
//!
//! Tests run this program again, because mode and support thread are the process's.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::support::pressure;
use aethalloc_core::{bell, config, front, guard, pages};
use common::{Root, is_process_of};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Bytes of slabs that end: 8 MiB.
const BLOCKS: usize = 8 << 10;
const SIZE: usize = 1000;
/// At least so many units of them are kept.
const KEPT: usize = 96;

/// Starts the mode; time alone brings nothing then: demand is kept for an hour, and so long is the sweep away.
fn start() {
    common::start_with("safety:hardened,decay:3600000");
    assert!(guard::is_hardened());
    config::set(Key::retain, 1 << 30);
    // A thread counts once it has allocated.
    common::give_back(common::take(1, SIZE));
}

/// Waits for what must come; a hang guard, not a measurement.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Has a support thread look; after a round it has swept, and does not for an hour.
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

/// Has slabs end, whose units are kept: how many units are in use then.
fn keep() -> usize {
    let before = pages::used_units();
    common::give_back(common::take(BLOCKS, SIZE));
    let used = pages::used_units();
    assert!(used > before + KEPT, "{before} {used}");
    used
}

#[test]
fn kept_units_go_back_when_memory_is_short() {
    if !is_process_of("kept_units_go_back_when_memory_is_short") {
        return;
    }
    let root = Root::new("aethalloc-kept");
    let group = |file: &str, text: &str| root.write(&format!("sys/fs/cgroup/app/{file}"), text);
    root.write("proc/self/cgroup", "0::/app\n");
    group("memory.max", "100000000\n");
    group("memory.current", "10000000\n");
    group("memory.stat", "inactive_file 0\nactive_file 0\n");
    pressure::look_below(root.bytes().leak());
    start();
    config::set(Key::support, 2);
    serve();
    let used = keep();
    serve();
    assert_eq!(pages::used_units(), used, "memory is not short");
    group("memory.current", "100000000\n");
    until("they stay", || {
        bell::poke();
        pages::used_units() + KEPT < used
    });
}

#[test]
fn kept_units_go_back_when_the_support_thread_ends() {
    if !is_process_of("kept_units_go_back_when_the_support_thread_ends") {
        return;
    }
    if aethalloc_sys::thread::cpus() < 2 {
        return; // no support thread with one CPU
    }
    start();
    config::set(Key::support_pressure, 0);
    let (ready, started) = channel::<()>();
    let (end, ends) = channel::<()>();
    let other = std::thread::spawn(move || {
        common::give_back(common::take(1, SIZE));
        ready.send(()).expect("the test listens");
        ends.recv().expect("the test says when");
    });
    started.recv().expect("the other thread begins");
    serve();
    let used = keep();
    // They may stay no longer, and nobody looks.
    config::set(Key::retain, 0);
    end.send(()).expect("the other thread waits");
    other.join().expect("the other thread ends");
    until("it does not end", || !bell::is_served());
    assert!(pages::used_units() + KEPT / 2 < used, "they stay");
    assert!(!front::allocate(SIZE).is_null());
}
