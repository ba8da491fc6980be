//! Misuse that the support thread finds is reported like any other: its line reaches the program's standard error, though
//! the thread has no file of the program open.
//!
//! The test runs itself: a process of its own, because misuse ends it.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{bell, config, front, life, violation};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const ROLE: &str = "AETHALLOC_TEST_MISUSE";

/// Stands for a check of the support thread's that fails.
fn probe(step: u32) {
    let own = bell::shared().is_some_and(|s| s.tid.load(Relaxed) == aethalloc_sys::process::tid());
    if own && step == 11 {
        violation::double_free(0x7000, 64);
    }
}

fn misuse() -> ! {
    // SAFETY: null is allowed.
    unsafe { life::start(std::ptr::null()) };
    config::set(Key::support, 2);
    bell::probe_with(probe);
    let start = Instant::now();
    loop {
        // SAFETY: an object that nobody else knows.
        unsafe { front::deallocate(front::allocate(4 << 20)) };
        bell::poke();
        std::thread::sleep(Duration::from_millis(5));
        assert!(start.elapsed() < Duration::from_secs(60), "no misuse");
    }
}

#[test]
fn its_line_is_seen() {
    if std::env::var_os(ROLE).is_some() {
        misuse();
    }
    let out = common::this_program()
        .args(["its_line_is_seen", "--nocapture"])
        .env(ROLE, "1")
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.signal(), Some(6), "{errors}");
    let line = "aethalloc: double free of 0x7000 (size class 64)\n";
    assert!(errors.contains(line), "{errors}");
}
