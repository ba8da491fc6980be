//! A kernel that refuses: what the programs under test find when the system does not grant what it usually does.
//!
//! ```text
//! filter    seccomp in the program: the named system calls fail, whoever makes them      Run::refuse
//! trace     ptrace from here: each system call of the library's own text is judged       Run::finish_traced
//! calls     the system calls that the library makes, and an error each can really have
//! world     one CPU, no /proc, a group with little memory
//! pretend   judges that answer like another kernel: with larger pages, or with strict overcommit
//! ```
//! All leave the library as it ships. The tracer is for x86_64 only; elsewhere [`available`] says so.

mod calls;
mod filter;
pub mod pretend;
mod trace;
pub mod world;

pub use calls::{LIBRARY_CALLS, LibraryCall, named};
pub(crate) use filter::Filter;
pub use filter::Refusal;
pub use trace::{Call, Traced, Verdict};
pub(crate) use trace::{arm, follow, traced_numbers};

use crate::Missing;

/// [`Missing`] where this machine does not let a process trace its child.
///
/// # Errors
/// With the reason.
pub fn available() -> Result<(), Missing> {
    if cfg!(target_arch = "x86_64") {
        Ok(())
    } else {
        Err(Missing(
            "tracing of system calls is written for x86_64".to_owned(),
        ))
    }
}
