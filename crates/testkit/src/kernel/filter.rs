//! Seccomp filters: small classic BPF programs that the kernel runs at each system call of the program.

use std::io;

/// A system call that fails whoever makes it.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// The call's number.
    pub number: i64,
    /// Only where the argument of this place (from 0) has this value.
    pub only: Option<(u32, u32)>,
    /// The error.
    pub errno: i32,
}

impl Refusal {
    /// Every call of this number fails.
    pub const fn all(number: i64, errno: i32) -> Self {
        Self {
            number,
            only: None,
            errno,
        }
    }

    /// Calls of this number fail where argument `place` is `value`.
    pub const fn with(number: i64, place: u32, value: u32, errno: i32) -> Self {
        Self {
            number,
            only: Some((place, value)),
            errno,
        }
    }
}

/// A filter, built before the fork so that installing it allocates nothing.
pub(crate) struct Filter(Vec<libc::sock_filter>);

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARGUMENTS: u32 = 16;

const fn step(code: u32, yes: u8, no: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: yes,
        jf: no,
        k,
    }
}

impl Filter {
    /// The given calls fail.
    pub fn refusing(refusals: &[Refusal]) -> Self {
        let mut steps = Vec::new();
        for refusal in refusals {
            let fail = step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | refusal.errno as u32);
            steps.push(step(LOAD, 0, 0, NUMBER));
            match refusal.only {
                None => steps.push(step(EQUAL, 0, 1, refusal.number as u32)),
                Some((place, value)) => steps.extend([
                    step(EQUAL, 0, 3, refusal.number as u32),
                    step(LOAD, 0, 0, ARGUMENTS + 8 * place),
                    step(EQUAL, 0, 1, value),
                ]),
            }
            steps.push(fail);
        }
        steps.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
        Self(steps)
    }

    /// The given calls stop for the tracer.
    pub fn tracing(numbers: impl Iterator<Item = i64>) -> Self {
        let mut steps = vec![step(LOAD, 0, 0, NUMBER)];
        for number in numbers {
            steps.push(step(EQUAL, 0, 1, number as u32));
            steps.push(step(RETURN, 0, 0, libc::SECCOMP_RET_TRACE));
        }
        steps.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
        Self(steps)
    }

    /// Puts the filter on the calling process, for good.
    pub fn install(&self) -> io::Result<()> {
        let program = libc::sock_fprog {
            len: self.0.len() as u16,
            filter: self.0.as_ptr().cast_mut(),
        };
        // SAFETY: the kernel reads the program, which outlives the calls.
        let ok = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::syscall(
                    libc::SYS_seccomp,
                    libc::SECCOMP_SET_MODE_FILTER,
                    0,
                    &program,
                ) == 0
        };
        if ok {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}
