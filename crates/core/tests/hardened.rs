//! `safety:hardened` inside: what is read-only after the start, and heaps while a fork is under way. Tests run this program again, because the mode
//! is the process's.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{config, front, guard, life};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

const ROLE: &str = "AETHALLOC_TEST_HARDENED";

fn start() {
    let conf = match common::emulated() {
        true => c"AETHALLOC_CONF=safety:hardened,reserve:8g,support:off",
        false => c"AETHALLOC_CONF=safety:hardened,support:off",
    };
    let environment = [conf.as_ptr().cast(), std::ptr::null()];
    // SAFETY: zero-terminated, and terminated by null.
    unsafe { life::start(environment.as_ptr()) };
    assert!(guard::is_hardened());
}

/// This test, again, as `role`.
fn again(role: &str) -> std::process::Output {
    let mut command = common::this_program();
    command.args([role, "--exact", "--nocapture"]);
    command.env(ROLE, role).output().expect("it runs")
}

fn is_role() -> bool {
    std::env::var_os(ROLE).is_some()
}

#[test]
fn options_are_read_only_after_the_start() {
    if !is_role() {
        let out = again("options_are_read_only_after_the_start");
        let text = String::from_utf8_lossy(&out.stderr);
        if text.contains("not sealed: larger pages") {
            return;
        }
        assert!(text.contains("options can be set"), "{text}");
        // An emulator may end by the signal itself or report it.
        assert_eq!(out.status.signal(), Some(11), "{text}");
        return;
    }
    start();
    let Some((first, last)) = config::sealed() else {
        assert_ne!(aethalloc_core::space::os_page(), 4096);
        eprintln!("not sealed: larger pages");
        return;
    };
    // By the library's own function they can be changed.
    config::set(Key::retain, 123 << 16);
    assert_eq!(config::get(Key::retain), 123 << 16);
    assert!(guard::is_hardened());
    eprintln!("options can be set");
    let word = core::ptr::with_exposed_provenance_mut::<u8>((first + last) / 2);
    // SAFETY: it is the stray write that has to fault.
    unsafe { word.write_volatile(0) };
    eprintln!("written");
}

/// A heap that a thread makes after the fork handlers have closed all locks would be closed by nobody.
#[test]
fn no_heap_is_made_while_a_fork_is_under_way() {
    if !is_role() {
        let out = again("no_heap_is_made_while_a_fork_is_under_way");
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        return;
    }
    start();
    static DONE: AtomicBool = AtomicBool::new(false);
    static BEGUN: AtomicBool = AtomicBool::new(false);
    let other = std::thread::spawn(|| {
        // The thread's cache and first heap are made.
        assert!(!front::allocate(100).is_null());
        BEGUN.store(true, SeqCst);
        while BEGUN.load(SeqCst) {
            std::hint::spin_loop();
        }
        assert!(!front::allocate(5000).is_null());
        DONE.store(true, SeqCst);
    });
    while !BEGUN.load(SeqCst) {
        std::hint::spin_loop();
    }
    guard::each_lock(|l| l.close());
    BEGUN.store(false, SeqCst);
    std::thread::sleep(Duration::from_millis(200));
    assert!(!DONE.load(SeqCst), "a heap was made");
    guard::each_lock(|l| l.reopen());
    other.join().expect("the other thread");
    assert!(DONE.load(SeqCst));
}
