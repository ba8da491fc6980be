//! The system call instruction.

/// A positive error number.
pub type Errno = i32;

/// Numbers of the calls used here.
#[cfg(target_arch = "x86_64")]
#[allow(missing_docs)]
pub mod nr {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const MMAP: usize = 9;
    pub const MPROTECT: usize = 10;
    pub const MUNMAP: usize = 11;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const SCHED_YIELD: usize = 24;
    pub const PREAD64: usize = 17;
    pub const MREMAP: usize = 25;
    pub const MADVISE: usize = 28;
    pub const GETPID: usize = 39;
    pub const CLONE: usize = 56;
    pub const EXIT: usize = 60;
    pub const CAPSET: usize = 126;
    pub const SETPRIORITY: usize = 141;
    pub const SCHED_SETSCHEDULER: usize = 144;
    pub const PRCTL: usize = 157;
    pub const SCHED_SETAFFINITY: usize = 203;
    pub const SCHED_GETAFFINITY: usize = 204;
    pub const CLOCK_GETTIME: usize = 228;
    pub const PIDFD_OPEN: usize = 434;
    pub const CLOSE_RANGE: usize = 436;
    pub const PIDFD_GETFD: usize = 438;
    pub const GETTID: usize = 186;
    pub const FUTEX: usize = 202;
    pub const TGKILL: usize = 234;
    pub const RT_TGSIGQUEUEINFO: usize = 297;
    pub const OPENAT: usize = 257;
    pub const READLINKAT: usize = 267;
    pub const PRLIMIT64: usize = 302;
    pub const MEMBARRIER: usize = 324;
    pub const EXIT_GROUP: usize = 231;
    pub const RT_SIGACTION: usize = 13;
    pub const SIGALTSTACK: usize = 131;
    pub const ARCH_PRCTL: usize = 158;
    pub const PROCESS_VM_READV: usize = 310;
    pub const GETRANDOM: usize = 318;
    pub const PKEY_ALLOC: usize = 330;
    pub const PKEY_FREE: usize = 331;
}
/// Numbers of the calls used here.
#[cfg(target_arch = "aarch64")]
#[allow(missing_docs)]
pub mod nr {
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const PREAD64: usize = 67;
    pub const READLINKAT: usize = 78;
    pub const EXIT_GROUP: usize = 94;
    pub const CLONE: usize = 220;
    pub const EXIT: usize = 93;
    pub const CAPSET: usize = 91;
    pub const SETPRIORITY: usize = 140;
    pub const SCHED_SETSCHEDULER: usize = 119;
    pub const PRCTL: usize = 167;
    pub const SCHED_SETAFFINITY: usize = 122;
    pub const SCHED_GETAFFINITY: usize = 123;
    pub const CLOCK_GETTIME: usize = 113;
    pub const PIDFD_OPEN: usize = 434;
    pub const CLOSE_RANGE: usize = 436;
    pub const PIDFD_GETFD: usize = 438;
    pub const FUTEX: usize = 98;
    pub const SCHED_YIELD: usize = 124;
    pub const TGKILL: usize = 131;
    pub const RT_TGSIGQUEUEINFO: usize = 240;
    pub const SIGALTSTACK: usize = 132;
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const GETPID: usize = 172;
    pub const GETTID: usize = 178;
    pub const MUNMAP: usize = 215;
    pub const MREMAP: usize = 216;
    pub const MMAP: usize = 222;
    pub const MPROTECT: usize = 226;
    pub const MADVISE: usize = 233;
    pub const PRLIMIT64: usize = 261;
    pub const PROCESS_VM_READV: usize = 270;
    pub const GETRANDOM: usize = 278;
    pub const MEMBARRIER: usize = 283;
}

/// One system call with six arguments.
///
/// # Safety
/// The caller answers for what the call does to memory, as its manual page says.
#[cfg(target_arch = "x86_64")]
#[inline]
pub unsafe fn call6(n: usize, a: [usize; 6]) -> Result<usize, Errno> {
    let r: isize;
    // SAFETY: the instruction clobbers rcx, r11 and memory as declared; the rest is the caller's promise.
    unsafe {
        core::arch::asm!("syscall", inlateout("rax") n as isize => r, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer(r)
}

/// One system call with six arguments.
///
/// # Safety
/// The caller answers for what the call does to memory, as its manual page says.
#[cfg(target_arch = "aarch64")]
#[inline]
pub unsafe fn call6(n: usize, a: [usize; 6]) -> Result<usize, Errno> {
    let r: isize;
    // SAFETY: the instruction clobbers x0 and memory as declared; the rest is the caller's promise.
    unsafe {
        core::arch::asm!("svc 0", in("x8") n, inlateout("x0") a[0] as isize => r, in("x1") a[1], in("x2") a[2],
            in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    answer(r)
}

#[inline]
fn answer(r: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&r) {
        Err(-r as i32)
    } else {
        Ok(r as usize)
    }
}

/// One system call with up to three arguments.
///
/// # Safety
/// As [`call6`].
#[inline]
pub unsafe fn call3(n: usize, a: usize, b: usize, c: usize) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    unsafe { call6(n, [a, b, c, 0, 0, 0]) }
}
