//! The process and its threads, messages, the end.

use crate::call::{Errno, call3, call6, nr};

const AT_FDCWD: usize = -100isize as usize;
const SIGABRT: usize = 6;

/// Process id.
pub fn pid() -> u32 {
    // SAFETY: reads nothing, writes nothing.
    unsafe { call3(nr::GETPID, 0, 0, 0) }.unwrap_or(0) as u32
}

/// Thread id.
pub fn tid() -> u32 {
    // SAFETY: reads nothing, writes nothing.
    unsafe { call3(nr::GETTID, 0, 0, 0) }.unwrap_or(0) as u32
}

/// Lets another thread run.
pub fn yield_now() {
    // SAFETY: reads nothing, writes nothing.
    let _ = unsafe { call3(nr::SCHED_YIELD, 0, 0, 0) };
}

/// Writes all of `text` to descriptor `fd`, as far as it goes.
#[cold]
pub fn write(fd: i32, text: &[u8]) {
    let _ = write_all(fd, text);
}

fn write_all(fd: i32, text: &[u8]) -> Result<(), Errno> {
    let mut rest = text;
    while !rest.is_empty() {
        // SAFETY: the kernel reads `rest`.
        match unsafe { call3(nr::WRITE, fd as usize, rest.as_ptr() as usize, rest.len()) } {
            Ok(0) => break,
            Ok(n) => rest = rest.get(n..).unwrap_or(&[]),
            Err(4) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Writes `text` to the process's standard error, also from a thread whose table of files is its own: such a one asks the
/// main thread's table (Linux 5.6), so that it need not keep a file of the program open.
#[cold]
pub fn complain(text: &[u8]) {
    const STDERR: usize = 2;
    if write_all(STDERR as i32, text) != Err(crate::errno::EBADF) {
        return;
    }
    // SAFETY: the calls make descriptors and touch no memory.
    unsafe {
        let Ok(process) = call3(nr::PIDFD_OPEN, pid() as usize, 0, 0) else {
            return;
        };
        if let Ok(fd) = call3(nr::PIDFD_GETFD, process, STDERR, 0) {
            write(fd as i32, text);
            close(fd as i32);
        }
        close(process as i32);
    }
}

/// Opens `path` (with its final zero byte) for appending, creating it with mode 0600.
#[cold]
pub fn open_append(path: &[u8]) -> Result<i32, Errno> {
    if path.last() != Some(&0) {
        return Err(crate::errno::EINVAL);
    }
    const FLAGS: usize = 0o1 | 0o100 | 0o2000 | 0o2000000; // WRONLY CREAT APPEND CLOEXEC
    // SAFETY: the kernel reads the zero-terminated path.
    unsafe {
        call6(
            nr::OPENAT,
            [AT_FDCWD, path.as_ptr() as usize, FLAGS, 0o600, 0, 0],
        )
    }
    .map(|fd| fd as i32)
}

/// Opens `path` (with its final zero byte) for reading.
pub fn open(path: &[u8]) -> Result<i32, Errno> {
    if path.last() != Some(&0) {
        return Err(crate::errno::EINVAL);
    }
    const CLOEXEC: usize = 0o2000000;
    // SAFETY: the kernel reads the zero-terminated path.
    unsafe {
        call6(
            nr::OPENAT,
            [AT_FDCWD, path.as_ptr() as usize, CLOEXEC, 0, 0, 0],
        )
    }
    .map(|fd| fd as i32)
}

/// Reads into `out`; how many bytes, 0 at the end and on errors.
pub fn read(fd: i32, out: &mut [u8]) -> usize {
    loop {
        // SAFETY: the kernel writes at most `out.len()` bytes into `out`.
        match unsafe { call3(nr::READ, fd as usize, out.as_mut_ptr() as usize, out.len()) } {
            Err(4) => {}
            r => return r.unwrap_or(0),
        }
    }
}

/// A random number; one that is hard to guess, but no more, where the kernel gives none.
#[cold]
pub fn random() -> u64 {
    let mut word = 0u64;
    // SAFETY: the kernel writes eight bytes.
    let got = unsafe { call3(nr::GETRANDOM, &raw mut word as usize, 8, 1) };
    if got != Ok(8) {
        let place = (&raw const word).addr() as u64;
        word = (place ^ (tid() as u64) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    word
}

/// Closes a descriptor.
pub fn close(fd: i32) {
    // SAFETY: the descriptor is a number.
    let _ = unsafe { call3(nr::CLOSE, fd as usize, 0, 0) };
}

/// Reads the target of the link `path` (with its final zero byte) into `out`; its length.
#[cold]
pub fn read_link(path: &[u8], out: &mut [u8]) -> usize {
    if path.last() != Some(&0) {
        return 0;
    }
    let a = [
        AT_FDCWD,
        path.as_ptr() as usize,
        out.as_mut_ptr() as usize,
        out.len(),
        0,
        0,
    ];
    // SAFETY: the kernel reads the zero-terminated path and writes at most `out.len()` bytes.
    unsafe { call6(nr::READLINKAT, a) }.unwrap_or(0)
}

/// Ends the process with SIGABRT, whatever handlers it has.
#[cold]
pub fn abort() -> ! {
    // SAFETY: resets SIGABRT to its default action, unblocks it and raises it for this thread.
    unsafe {
        let _ = call3(nr::TGKILL, pid() as usize, tid() as usize, SIGABRT);
        // Blocked, ignored, or a handler returned.
        let default = [0usize; 4];
        let _ = call6(
            nr::RT_SIGACTION,
            [SIGABRT, default.as_ptr() as usize, 0, 8, 0, 0],
        );
        let set = 1u64 << (SIGABRT - 1);
        let _ = call6(nr::RT_SIGPROCMASK, [1, &raw const set as usize, 0, 8, 0, 0]);
        loop {
            let _ = call3(nr::TGKILL, pid() as usize, tid() as usize, SIGABRT);
            let _ = call3(nr::EXIT_GROUP, 134, 0, 0);
        }
    }
}

/// Blocks all signals of this thread; the mask it had.
pub fn block_signals() -> u64 {
    let (all, mut old) = (u64::MAX, 0u64);
    // SAFETY: the kernel reads `all` and writes `old`.
    let _ = unsafe {
        call6(
            nr::RT_SIGPROCMASK,
            [2, &raw const all as usize, &raw mut old as usize, 8, 0, 0],
        )
    };
    old
}

/// Restores a mask from [`block_signals`].
pub fn restore_signals(mask: u64) {
    // SAFETY: the kernel reads `mask`.
    let _ = unsafe {
        call6(
            nr::RT_SIGPROCMASK,
            [2, &raw const mask as usize, 0, 8, 0, 0],
        )
    };
}

/// Makes every running thread of the process pass a full memory barrier. False where the kernel refuses
/// (before 4.14, or seccomp).
pub fn barrier_all_threads() -> bool {
    const REGISTER: usize = 1 << 4;
    const EXPEDITED: usize = 1 << 3;
    // SAFETY: touches no memory.
    unsafe {
        call3(nr::MEMBARRIER, EXPEDITED, 0, 0).is_ok()
            || (call3(nr::MEMBARRIER, REGISTER, 0, 0).is_ok()
                && call3(nr::MEMBARRIER, EXPEDITED, 0, 0).is_ok())
    }
}

/// Waits on the futex `word` while it holds `value`, a tenth of a second at most. May return early.
///
/// The limit bounds what a wake costs that the system did not carry out; where it refuses to wait at all, another
/// thread gets its turn.
pub fn futex_wait(word: &core::sync::atomic::AtomicU32, value: u32) {
    const REFUSED: [Errno; 2] = [1, 38]; // EPERM, ENOSYS
    let time = [0usize, 100_000_000];
    // SAFETY: the kernel reads the word and the time, which outlive the call.
    let answer = unsafe {
        call6(
            nr::FUTEX,
            [
                word.as_ptr() as usize,
                128,
                value as usize,
                time.as_ptr() as usize,
                0,
                0,
            ],
        )
    };
    if answer.is_err_and(|errno| REFUSED.contains(&errno)) {
        yield_now();
    }
}

/// Wakes up to `n` waiters of the futex `word`.
pub fn futex_wake(word: &core::sync::atomic::AtomicU32, n: u32) {
    // SAFETY: the address is only a key.
    let _ = unsafe {
        call6(
            nr::FUTEX,
            [word.as_ptr() as usize, 129, n as usize, 0, 0, 0],
        )
    };
}
