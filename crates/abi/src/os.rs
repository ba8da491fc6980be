//! What this crate needs from the system: `errno`, `write(2)`, the page size.

use core::ffi::c_int;

pub const ENOENT: c_int = 2;
pub const EPERM: c_int = 1;
pub const ENOMEM: c_int = 12;
pub const EFAULT: c_int = 14;
pub const EINVAL: c_int = 22;

/// File descriptor of standard error.
pub const STDERR: c_int = 2;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
    fn abort() -> !;
}

/// Sets the calling thread's `errno`.
pub fn set_errno(code: c_int) {
    // SAFETY: libc returns the address of the calling thread's errno, valid while the thread runs.
    unsafe { *__errno_location() = code }
}

/// Ends the process with SIGABRT.
pub fn die() -> ! {
    // SAFETY: abort has no preconditions.
    unsafe { abort() }
}

/// Bytes in a page of the running kernel.
pub fn page_size() -> usize {
    4096
}

/// Writes all of `bytes` to `fd` by system calls; gives up at the first error. Does not touch `errno`.
pub fn write_all(fd: c_int, mut bytes: &[u8]) {
    const EINTR: isize = -4;
    while !bytes.is_empty() {
        let done = write(fd, bytes);
        if done == EINTR {
            continue;
        }
        match usize::try_from(done).ok().and_then(|n| bytes.get(n..)) {
            Some(rest) if rest.len() < bytes.len() => bytes = rest,
            _ => return,
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn write(fd: c_int, bytes: &[u8]) -> isize {
    let result: isize;
    // SAFETY: write(2) reads `bytes.len()` bytes at `bytes` and writes no memory of ours; the kernel clobbers rcx and
    // r11 only.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") 1isize => result,
            in("rdi") fd as isize,
            in("rsi") bytes.as_ptr(),
            in("rdx") bytes.len(),
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, readonly),
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
fn write(fd: c_int, bytes: &[u8]) -> isize {
    let result: isize;
    // SAFETY: write(2) reads `bytes.len()` bytes at `bytes` and writes no memory of ours.
    unsafe {
        core::arch::asm!(
            "svc #0",
            in("x8") 64isize,
            inlateout("x0") fd as isize => result,
            in("x1") bytes.as_ptr(),
            in("x2") bytes.len(),
            options(nostack, readonly),
        );
    }
    result
}
