//! Ctrl-C: the running measurement is ended and dropped, what was measured before is kept.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);
static LAUNCHER: AtomicI32 = AtomicI32::new(0);

/// Handles SIGINT and SIGTERM from now on. A second one ends the bench at once.
pub fn install() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler calls only async-signal-safe functions.
        unsafe { libc::signal(signal, on_signal as *const () as libc::sighandler_t) };
    }
}

/// Was the bench asked to stop?
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// The launcher that a signal must end; 0 for none.
pub fn watch(pid: i32) {
    LAUNCHER.store(pid, Ordering::Relaxed);
    if pid != 0 && asked() {
        terminate();
    }
}

fn terminate() {
    let pid = LAUNCHER.load(Ordering::Relaxed);
    if pid > 0 {
        // SAFETY: a plain system call; the launcher ends its child's group and itself.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
}

extern "C" fn on_signal(_: libc::c_int) {
    if ASKED.swap(true, Ordering::Relaxed) {
        terminate();
        // SAFETY: async-signal-safe.
        unsafe { libc::_exit(130) };
    }
    terminate();
}
