//! Signal handlers and alternate stacks, by raw system calls.

use crate::call::{Errno, call3, call6, nr};
use crate::process;

/// A memory access that the kernel refused.
pub const SEGV: i32 = 11;

/// The kernel's `struct sigaction`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Action {
    /// Address of the handler; 0: the default, 1: ignored.
    pub handler: usize,
    /// `SA_*`.
    pub flags: usize,
    restorer: usize,
    mask: u64,
}

const SA_SIGINFO: usize = 4;
const SA_ONSTACK: usize = 0x0800_0000;
#[cfg(target_arch = "x86_64")]
const SA_RESTORER: usize = 0x0400_0000;

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .text.aethalloc_sigreturn,\"ax\",@progbits",
    ".globl aethalloc_sigreturn",
    ".hidden aethalloc_sigreturn",
    ".type aethalloc_sigreturn, @function",
    "nop",
    "aethalloc_sigreturn:",
    "mov rax, 15",
    "syscall",
    ".size aethalloc_sigreturn, . - aethalloc_sigreturn",
    ".popsection",
);

impl Action {
    /// What happens by default.
    pub const DEFAULT: Action = Action {
        handler: 0,
        flags: 0,
        restorer: 0,
        mask: 0,
    };

    /// A handler that gets all that is known of the signal, on the thread's alternate stack if it has one.
    #[cold]
    pub fn handler(f: unsafe extern "C" fn(i32, *mut u8, *mut u8)) -> Action {
        #[cfg(target_arch = "x86_64")]
        {
            unsafe extern "C" {
                #[cold]
                fn aethalloc_sigreturn();
            }
            Action {
                handler: f as usize,
                flags: SA_SIGINFO | SA_ONSTACK | SA_RESTORER,
                restorer: aethalloc_sigreturn as *const () as usize,
                mask: 0,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        Action {
            handler: f as usize,
            flags: SA_SIGINFO | SA_ONSTACK,
            restorer: 0,
            mask: 0,
        }
    }

    /// The signal has its default effect.
    #[cold]
    pub fn is_default(&self) -> bool {
        self.handler == 0
    }

    /// The signal has no effect, unless the kernel sends it for a fault.
    #[cold]
    pub fn is_ignored(&self) -> bool {
        self.handler == 1
    }

    /// Hands a signal on to this action's handler; false if it has none.
    ///
    /// # Safety
    /// The arguments are those of a handler under way; the action was in force before.
    #[cold]
    pub unsafe fn call(&self, signal: i32, info: *mut u8, context: *mut u8) -> bool {
        if self.handler <= 1 {
            return false;
        }
        let f = core::ptr::with_exposed_provenance::<()>(self.handler);
        // SAFETY: the kernel would have called the same address with the same arguments; one that was registered without
        // SA_SIGINFO reads the first only.
        unsafe {
            let f: unsafe extern "C" fn(i32, *mut u8, *mut u8) = core::mem::transmute(f);
            f(signal, info, context);
        }
        true
    }
}

/// Sends `signal` to the calling thread as it came to a handler under way, which blocks it: it arrives when that handler has
/// returned.
///
/// # Safety
/// `info` is what the handler got.
#[cold]
pub unsafe fn send_again(signal: i32, info: *const u8) {
    let (pid, tid) = (process::pid() as usize, process::tid() as usize);
    let signal = signal as usize;
    // SAFETY: the kernel reads one `siginfo_t`, which the caller vouches for.
    unsafe {
        let a = [pid, tid, signal, info as usize, 0, 0];
        if call6(nr::RT_TGSIGQUEUEINFO, a).is_err() {
            let _ = call3(nr::TGKILL, pid, tid, signal);
        }
    }
}

/// The action of `signal` now.
#[cold]
pub fn action(signal: i32) -> Result<Action, Errno> {
    let mut old = Action::DEFAULT;
    // SAFETY: the kernel writes one `struct sigaction`.
    unsafe {
        call6(
            nr::RT_SIGACTION,
            [signal as usize, 0, &raw mut old as usize, 8, 0, 0],
        )
    }?;
    Ok(old)
}

/// Sets the action of `signal`.
#[cold]
pub fn set_action(signal: i32, action: &Action) -> Result<(), Errno> {
    // SAFETY: the kernel reads one `struct sigaction`; its handler was made by `Action::handler` or was in force before.
    unsafe {
        call6(
            nr::RT_SIGACTION,
            [
                signal as usize,
                core::ptr::from_ref(action) as usize,
                0,
                8,
                0,
                0,
            ],
        )
    }
    .map(|_| ())
}

/// The kernel's `stack_t`.
#[repr(C)]
struct Stack {
    at: usize,
    flags: i32,
    len: usize,
}

const SS_ONSTACK: i32 = 1;
const SS_DISABLE: i32 = 2;

/// Where the calling thread's alternate stack lies, and its bytes; `None` if it has none.
#[cold]
pub fn alternate_stack() -> Option<(usize, usize)> {
    let mut old = Stack {
        at: 0,
        flags: 0,
        len: 0,
    };
    // SAFETY: the kernel writes one `stack_t`.
    unsafe { call3(nr::SIGALTSTACK, 0, &raw mut old as usize, 0) }.ok()?;
    (old.flags & SS_DISABLE == 0).then_some((old.at, old.len))
}

/// The caller runs on the thread's alternate stack (true also where the kernel does not say).
pub fn on_alternate_stack() -> bool {
    let mut old = Stack {
        at: 0,
        flags: 0,
        len: 0,
    };
    // SAFETY: the kernel writes one `stack_t`.
    let said = unsafe { call3(nr::SIGALTSTACK, 0, &raw mut old as usize, 0) };
    said.is_err() || old.flags & SS_ONSTACK != 0
}

/// Gives the calling thread an alternate stack; with `len` 0 takes it away.
///
/// # Safety
/// The range is used for nothing else while the thread has it.
#[cold]
pub unsafe fn set_alternate_stack(at: *mut u8, len: usize) -> Result<(), Errno> {
    let new = Stack {
        at: at as usize,
        flags: if len == 0 { SS_DISABLE } else { 0 },
        len,
    };
    // SAFETY: the caller's promise.
    unsafe { call3(nr::SIGALTSTACK, &raw const new as usize, 0, 0) }.map(|_| ())
}
