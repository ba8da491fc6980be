//! Linux and the CPU: the only unsafe system calls of Aethalloc.
//!
//! Everything is a raw system call, never libc's wrapper: those can be interposed, may take locks and write `errno`.
//! Errors are returned as the positive error number.
#![no_std]

mod call;
pub mod lock;
pub mod memory;
pub mod mte;
pub mod pointer_bits;
pub mod pressure;
pub mod probe;
pub mod process;
pub mod signal;
pub mod thread;

pub use call::Errno;

/// Error numbers that callers tell apart.
pub mod errno {
    /// Bad file descriptor.
    pub const EBADF: i32 = 9;
    /// Resource temporarily unavailable.
    pub const EAGAIN: i32 = 11;
    /// Out of memory.
    pub const ENOMEM: i32 = 12;
    /// Invalid argument.
    pub const EINVAL: i32 = 22;
}
