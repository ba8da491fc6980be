//! A thread of our own, made by a raw `clone`: the C library does not know it.
//!
//! ```text
//! mapping:  | guard | stack ->          <- top | thread-local block | control block |      x86_64 (offset below 0)
//!                                                ^ pointer + offset   ^ thread pointer
//!                                              | control block | thread-local block |      aarch64 (offset above 0)
//!                                                              ^ thread pointer      ^ pointer + offset
//! ```
//! It shares memory, files, working directory and signal handlers with the process, and blocks every signal. Its
//! thread-local block is zero; code that it runs must use no thread-local variable but ours and call nothing of the C library
//! but `memcpy` and its like.

use crate::call::{Errno, call3, call6, nr};
use crate::lock::me;
use crate::memory::{self, Access};
use crate::process;
use core::sync::atomic::AtomicU32;

/// Room for guard, control block, thread-local block, in multiples of the largest page.
const PIECE: usize = 64 << 10;
/// Bytes of stack.
const STACK: usize = 64 << 10;
/// Zero bytes around the thread pointer, where C libraries keep their control block.
const CONTROL: usize = 4096;

/// Memory for one such thread: stack and thread-local block.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Where the stack begins (it grows downwards).
    pub top: *mut u8,
    /// Its thread pointer.
    pub pointer: *mut u8,
}

/// Makes room for a thread whose thread-local block has `len` bytes at `block` in the calling thread. Not inherited by fork.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
pub fn make_room(block: *const u8, len: usize) -> Result<Room, Errno> {
    let offset = block.addr().wrapping_sub(me()) as isize;
    let reach = offset.unsigned_abs() + len + 2 * CONTROL;
    let local = reach.next_multiple_of(PIECE);
    let size = PIECE + STACK + local;
    let base = memory::map(size, Access::None)?.as_ptr();
    let usable = base.wrapping_add(PIECE);
    // SAFETY: the mapping was just made and nobody has seen it.
    unsafe {
        if let Err(e) = memory::protect(usable, STACK + local, Access::Write)
            .and_then(|()| memory::hide_from_fork(base, size))
        {
            memory::unmap(base, size);
            return Err(e);
        }
    }
    let pointer = if offset < 0 {
        base.wrapping_add(size - CONTROL)
    } else {
        base.wrapping_add(PIECE + STACK + CONTROL)
    };
    Ok(Room {
        top: usable.wrapping_add(STACK),
        pointer,
    })
}

/// The thread-local block of the room's thread, given the block of the calling thread.
pub fn block_in(room: Room, block: *const u8) -> *mut u8 {
    room.pointer.wrapping_add(block.addr().wrapping_sub(me()))
}

/// Starts a thread in `room` that runs `run`, which must not return. The kernel stores its id in `tid` before it runs and
/// clears it, waking a futex there, when it is gone. All signals are blocked in it.
///
/// # Safety
/// The room is used by no other thread, and lives as long as this one. `run` keeps to the rules at the top of this file.
pub unsafe fn start(
    room: Room,
    run: extern "C" fn() -> !,
    tid: &'static AtomicU32,
) -> Result<(), Errno> {
    const VM: usize = 0x100;
    const FS: usize = 0x200;
    const FILES: usize = 0x400;
    const SIGHAND: usize = 0x800;
    const THREAD: usize = 0x1_0000;
    const SYSVSEM: usize = 0x4_0000;
    const SETTLS: usize = 0x8_0000;
    const PARENT_SETTID: usize = 0x10_0000;
    const CHILD_CLEARTID: usize = 0x20_0000;
    let flags =
        VM | FS | FILES | SIGHAND | THREAD | SYSVSEM | SETTLS | PARENT_SETTID | CHILD_CLEARTID;
    // SAFETY: the control block lies in the caller's room.
    unsafe { prepare(room.pointer) };
    let mask = process::block_signals();
    // SAFETY: the new thread begins in `clone_to` on its own stack and never returns from there.
    let r = unsafe { clone_to(flags, room, run, tid.as_ptr()) };
    process::restore_signals(mask);
    r
}

/// What compiled code may read at the thread pointer.
#[cfg(target_arch = "x86_64")]
unsafe fn prepare(pointer: *mut u8) {
    let (guard, mangle): (usize, usize);
    // SAFETY: the ABI keeps the stack guard at fs:0x28; glibc its pointer guard at fs:0x30. The rest is the caller's
    // promise: CONTROL bytes from the pointer on.
    unsafe {
        core::arch::asm!("mov {g}, fs:0x28", "mov {m}, fs:0x30", g = out(reg) guard, m = out(reg) mangle,
            options(nostack, readonly, preserves_flags));
        let words = pointer.cast::<usize>();
        words.write(pointer.addr());
        words.add(2).write(pointer.addr());
        words.add(5).write(guard);
        words.add(6).write(mangle);
    }
}
#[cfg(target_arch = "aarch64")]
unsafe fn prepare(_: *mut u8) {}

#[cfg(target_arch = "x86_64")]
unsafe fn clone_to(
    flags: usize,
    room: Room,
    run: extern "C" fn() -> !,
    tid: *mut u32,
) -> Result<(), Errno> {
    let r: isize;
    // SAFETY: the child shares no stack with us: it leaves by the call, whose function never returns. The stack is
    // aligned as at a call: `top` is a multiple of 16.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "call r12",
            "ud2",
            "2:",
            in("r12") run,
            inlateout("rax") nr::CLONE as isize => r,
            in("rdi") flags, in("rsi") room.top, in("rdx") tid, in("r10") tid, in("r8") room.pointer,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    if r < 0 { Err(-r as i32) } else { Ok(()) }
}

#[cfg(target_arch = "aarch64")]
unsafe fn clone_to(
    flags: usize,
    room: Room,
    run: extern "C" fn() -> !,
    tid: *mut u32,
) -> Result<(), Errno> {
    let r: isize;
    // SAFETY: as on x86_64; the order of clone's arguments differs.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "blr {run}",
            "brk 1",
            "2:",
            run = in(reg) run,
            in("x8") nr::CLONE,
            inlateout("x0") flags as isize => r,
            in("x1") room.top, in("x2") tid, in("x3") room.pointer, in("x4") tid,
        );
    }
    if r < 0 { Err(-r as i32) } else { Ok(()) }
}

/// Ends the calling thread, which [`start`] made.
///
/// # Safety
/// It is one of ours: nothing of the C library ends with it.
pub unsafe fn exit() -> ! {
    loop {
        // SAFETY: the caller's promise.
        let _ = unsafe { call3(nr::EXIT, 0, 0, 0) };
    }
}

/// Makes the calling thread modest: name, lowest priority of the normal class, sleeps that may be late, all CPUs of the
/// main thread, no capabilities, no files. Each step may fail by itself. True if its table of files is its own.
pub fn settle_down(name: &[u8; 16]) -> bool {
    const PR_SET_NAME: usize = 15;
    const PR_SET_TIMERSLACK: usize = 29;
    const CLOSE_RANGE_UNSHARE: usize = 2;
    let mut cpus = [0u64; CPU_WORDS];
    let none = [0u32; 6];
    let head = [0x2008_0522u32, 0];
    let param = [0u32; 1];
    // SAFETY: the calls read the arrays named and change this thread only. Its table of files is its own from here on and
    // empty: it keeps no file of the program open and takes no number that the program expects to get.
    unsafe {
        let _ = call3(nr::PRCTL, PR_SET_NAME, name.as_ptr() as usize, 0);
        let _ = call3(nr::SCHED_SETSCHEDULER, 0, 0, param.as_ptr() as usize);
        let _ = call3(nr::SETPRIORITY, 0, 0, 19);
        let _ = call3(nr::PRCTL, PR_SET_TIMERSLACK, 10_000_000, 0);
        if let Ok(n) = affinity(process::pid(), &mut cpus) {
            let _ = call3(nr::SCHED_SETAFFINITY, 0, n, cpus.as_ptr() as usize);
        }
        let _ = call3(
            nr::CAPSET,
            head.as_ptr() as usize,
            none.as_ptr() as usize,
            0,
        );
        call3(nr::CLOSE_RANGE, 0, u32::MAX as usize, CLOSE_RANGE_UNSHARE).is_ok()
    }
}

const CPU_WORDS: usize = 128;

fn affinity(tid: u32, cpus: &mut [u64; CPU_WORDS]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most the array's bytes.
    unsafe {
        call3(
            nr::SCHED_GETAFFINITY,
            tid as usize,
            size_of_val(cpus),
            cpus.as_mut_ptr() as usize,
        )
    }
}

/// CPUs that the main thread may run on; 1 if the kernel does not say.
pub fn cpus() -> usize {
    let mut cpus = [0u64; CPU_WORDS];
    match affinity(process::pid(), &mut cpus) {
        Ok(n) => cpus
            .iter()
            .take(n / 8)
            .map(|w| w.count_ones() as usize)
            .sum(),
        Err(_) => 1,
    }
}

/// Milliseconds on a clock that never goes back.
pub fn now_ms() -> u64 {
    const MONOTONIC_COARSE: usize = 6;
    let [s, ns] = clock(MONOTONIC_COARSE);
    s * 1000 + ns / 1_000_000
}

/// Nanoseconds of CPU time that the calling thread has used.
pub fn cpu_ns() -> u64 {
    const THREAD_CPUTIME_ID: usize = 3;
    let [s, ns] = clock(THREAD_CPUTIME_ID);
    s * 1_000_000_000 + ns
}

/// Seconds and nanoseconds on one of the kernel's clocks.
fn clock(id: usize) -> [u64; 2] {
    let mut t = [0u64; 2];
    // SAFETY: the kernel writes two words.
    let _ = unsafe { call3(nr::CLOCK_GETTIME, id, t.as_mut_ptr() as usize, 0) };
    t
}

/// As [`process::futex_wait`], for at most `ms` milliseconds.
pub fn futex_wait_for(word: &AtomicU32, value: u32, ms: u64) {
    let t = [ms / 1000, ms % 1000 * 1_000_000];
    // SAFETY: the kernel reads the word and the time, which outlive the call.
    let _ = unsafe {
        call6(
            nr::FUTEX,
            [
                word.as_ptr() as usize,
                128,
                value as usize,
                t.as_ptr() as usize,
                0,
                0,
            ],
        )
    };
}
