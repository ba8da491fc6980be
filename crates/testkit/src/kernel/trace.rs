//! Follows a program, its threads and children, and judges each system call that the library makes.
//!
//! The program stops at the calls of [`super::LIBRARY_CALLS`] (a seccomp filter sees to that). A call whose instruction
//! lies in the library's text is shown to the judge of the test, every other goes on untouched.
//!
//! A program may tell where the faults are to begin and to end: a membarrier with the command [`BEGIN`] or [`END`],
//! which the kernel refuses without doing anything.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::LIBRARY_CALLS;

/// Faults are wanted from here on.
const BEGIN: u64 = 0x7ae7_0001;
/// No more faults.
const END: u64 = 0x7ae7_0000;

/// A system call of the library that has not been made yet.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number.
    pub number: i64,
    /// Its arguments.
    pub args: [u64; 6],
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// It is made.
    Pass,
    /// It is made with other arguments.
    Change([u64; 6]),
    /// It is not made and answers this error.
    Refuse(i32),
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Traced {
    /// System calls of the library while faults were wanted.
    pub calls: u64,
    /// How many were refused.
    pub refused: u64,
    /// Their numbers.
    pub refused_numbers: BTreeSet<i64>,
}

/// The calls at which the program is to stop.
pub(crate) fn traced_numbers() -> impl Iterator<Item = i64> {
    let calls = LIBRARY_CALLS.iter().map(|call| call.number);
    calls.chain([libc::SYS_membarrier]) // by which the program itself speaks
}

/// For the child, between fork and exec: asks to be traced.
pub(crate) fn arm() -> io::Result<()> {
    // SAFETY: takes no memory.
    if unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Follows the child `main` of this thread, which called [`arm`] and then exec, until all are gone.
pub(crate) fn follow(
    main: i32,
    library: &str,
    judge: &mut dyn FnMut(&Call) -> Verdict,
) -> (ExitStatus, Traced) {
    let mut tracer = Tracer {
        library,
        text: None,
        wanted: true,
        judge,
        seen: Traced::default(),
    };
    let mut known = HashSet::new();
    let mut end = None;
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes the status. Only children of this thread: other tests run beside it.
        let pid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
        if pid < 0 {
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => continue,
                _ => break,
            }
        }
        if !libc::WIFSTOPPED(status) {
            if pid == main {
                end = Some(ExitStatus::from_raw(status));
            }
            continue;
        }
        let new = known.insert(pid);
        let signal = match (libc::WSTOPSIG(status), status >> 16) {
            (libc::SIGTRAP, 0) if new && pid == main => {
                set_options(pid);
                0
            }
            (libc::SIGSTOP, 0) if new => 0,
            (_, libc::PTRACE_EVENT_SECCOMP) => {
                tracer.judge(pid);
                0
            }
            (_, libc::PTRACE_EVENT_EXEC) => {
                tracer.text = None;
                0
            }
            (signal, 0) => signal,
            _ => 0,
        };
        // SAFETY: takes no memory. A thread that was killed meanwhile is reported by the next wait.
        unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, signal) };
    }
    let Some(end) = end else {
        panic!("the traced program was lost");
    };
    (end, tracer.seen)
}

fn set_options(pid: i32) {
    let options = libc::PTRACE_O_TRACESECCOMP
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_EXITKILL;
    // SAFETY: takes no memory.
    let done = unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) };
    assert!(done == 0, "ptrace options: {}", io::Error::last_os_error());
}

struct Tracer<'a> {
    library: &'a str,
    /// Where the library's instructions are: the same in a program's threads and in children that did not exec.
    text: Option<Range<u64>>,
    wanted: bool,
    judge: &'a mut dyn FnMut(&Call) -> Verdict,
    seen: Traced,
}

impl Tracer<'_> {
    #[cfg(target_arch = "x86_64")]
    fn judge(&mut self, pid: i32) {
        // SAFETY: an all-zero register set is valid, and the kernel writes it.
        let mut regs: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        if unsafe { libc::ptrace(libc::PTRACE_GETREGS, pid, 0, &raw mut regs) } != 0 {
            return; // killed meanwhile
        }
        let call = Call {
            number: regs.orig_rax as i64,
            args: [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9],
        };
        if call.number == libc::SYS_membarrier && matches!(call.args[0], BEGIN | END) {
            self.wanted = call.args[0] == BEGIN;
            return;
        }
        if self.text.is_none() {
            self.text = text_of(pid, self.library);
        }
        if !self
            .text
            .as_ref()
            .is_some_and(|text| text.contains(&regs.rip))
        {
            return;
        }
        debug_assert!(
            LIBRARY_CALLS
                .iter()
                .any(|known| known.number == call.number)
        );
        if !self.wanted {
            return;
        }
        self.seen.calls += 1;
        match (self.judge)(&call) {
            Verdict::Pass => return,
            Verdict::Change(args) => {
                [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] = args;
            }
            Verdict::Refuse(errno) => {
                self.seen.refused += 1;
                self.seen.refused_numbers.insert(call.number);
                regs.orig_rax = u64::MAX; // no call
                regs.rax = i64::from(-errno) as u64;
            }
        }
        // SAFETY: the kernel reads the registers.
        unsafe { libc::ptrace(libc::PTRACE_SETREGS, pid, 0, &raw const regs) };
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn judge(&mut self, _pid: i32) {
        unreachable!("see `available`")
    }
}

/// The executable mapping of the file `library` in process `pid`.
fn text_of(pid: i32, library: &str) -> Option<Range<u64>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (range, access) = (words.next()?, words.next()?);
        if !access.contains('x') || words.nth(3)? != library {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
    })
}
