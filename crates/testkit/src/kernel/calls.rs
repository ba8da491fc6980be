//! The system calls that the library makes (`crates/sys/src/call.rs`), and how each can fail.

/// One system call.
#[derive(Clone, Copy, Debug)]
pub struct LibraryCall {
    /// Its name in `crates/sys/src/call.rs`.
    pub name: &'static str,
    /// Its number.
    pub number: i64,
    /// The error it is refused with.
    pub errno: i32,
}

macro_rules! calls {
    ($($name:ident $number:ident $errno:ident;)*) => {
        /// All of them. A test compares the list with the source.
        pub const LIBRARY_CALLS: &[LibraryCall] = &[$(LibraryCall {
            name: stringify!($name),
            number: libc::$number,
            errno: libc::$errno,
        }),*];
    };
}

calls! {
    READ SYS_read EIO;
    WRITE SYS_write EIO;
    CLOSE SYS_close EIO;
    MMAP SYS_mmap ENOMEM;
    MPROTECT SYS_mprotect ENOMEM;
    MUNMAP SYS_munmap ENOMEM;
    RT_SIGPROCMASK SYS_rt_sigprocmask EINVAL;
    SCHED_YIELD SYS_sched_yield ENOSYS;
    MREMAP SYS_mremap ENOMEM;
    MADVISE SYS_madvise EINVAL;
    GETPID SYS_getpid ENOSYS;
    GETTID SYS_gettid ENOSYS;
    FUTEX SYS_futex ENOSYS;
    TGKILL SYS_tgkill EAGAIN;
    RT_TGSIGQUEUEINFO SYS_rt_tgsigqueueinfo EPERM;
    OPENAT SYS_openat EMFILE;
    READLINKAT SYS_readlinkat ENOENT;
    PRLIMIT64 SYS_prlimit64 EPERM;
    MEMBARRIER SYS_membarrier EPERM;
    EXIT_GROUP SYS_exit_group EINVAL;
    RT_SIGACTION SYS_rt_sigaction EINVAL;
    SIGALTSTACK SYS_sigaltstack ENOMEM;
    ARCH_PRCTL SYS_arch_prctl EINVAL;
    PROCESS_VM_READV SYS_process_vm_readv EPERM;
    GETRANDOM SYS_getrandom ENOSYS;
    PREAD64 SYS_pread64 EIO;
    PIDFD_OPEN SYS_pidfd_open ENOSYS;
    PIDFD_GETFD SYS_pidfd_getfd EPERM;
    PKEY_ALLOC SYS_pkey_alloc ENOSPC;
    PKEY_FREE SYS_pkey_free EINVAL;
    CLONE SYS_clone EAGAIN;
    EXIT SYS_exit EINVAL;
    CAPSET SYS_capset EPERM;
    SETPRIORITY SYS_setpriority EACCES;
    SCHED_SETSCHEDULER SYS_sched_setscheduler EPERM;
    PRCTL SYS_prctl EINVAL;
    SCHED_SETAFFINITY SYS_sched_setaffinity EPERM;
    SCHED_GETAFFINITY SYS_sched_getaffinity EPERM;
    CLOCK_GETTIME SYS_clock_gettime EINVAL;
    CLOSE_RANGE SYS_close_range ENOSYS;
}

/// The call of that name.
///
/// # Panics
/// If the library makes no such call.
pub fn named(name: &str) -> &'static LibraryCall {
    LIBRARY_CALLS
        .iter()
        .find(|call| call.name == name)
        .unwrap_or_else(|| panic!("the library makes no call {name}"))
}
