//! Whose call it was: return addresses found on the stack.
//!
//! Without frame pointers and without an unwinder (both would need the program to be built for it, or locks), the words of the
//! stack are searched for addresses that follow a call instruction in executable memory. So a trace may
//! name a call that has returned already, but it misses none that is near. Best effort, for reading by people.
//!
//! Every address is read through the kernel (`sys::memory::peek`), so that a wrong guess is an error, not a fault. The
//! list of executable ranges is read anew when the number of traces has doubled, and each 64 traces later on.

use super::maps::{self, Maps};
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering::*};
use aethalloc_sys::lock::Lock;
use aethalloc_sys::memory::{self, Access};
use aethalloc_sys::process;
use core::ptr::null_mut;

/// Frames that a trace holds.
pub const FRAMES: usize = 12;
/// Bytes of the stack that are searched.
const SEARCHED: usize = 4096;
const RANGES: usize = 256;

/// A thread and its callers, innermost first.
#[repr(C)]
pub struct Trace {
    /// Thread id, 0: nothing recorded.
    pub thread: AtomicU32,
    count: AtomicU32,
    frames: [AtomicUsize; FRAMES],
}

impl Trace {
    /// The return addresses.
    pub fn frames(&self) -> impl Iterator<Item = usize> + '_ {
        let n = self.count.load(Relaxed) as usize;
        self.frames.iter().take(n).map(|f| f.load(Relaxed))
    }
}

/// Executable memory, and room to read the stack into.
struct Search {
    ranges: [(usize, usize); RANGES],
    used: usize,
    /// The library's own range, unless it is the program's too.
    own: (usize, usize),
    traces: u32,
    next_reading: u32,
    words: [usize; SEARCHED / 8],
}

/// The one search, in a mapping of its own made by [`start`]: a program without a safety mode needs no room for it.
static SEARCH: AtomicPtr<Search> = AtomicPtr::new(null_mut());
static LOCK: Lock = Lock::new();

/// The search's lock.
pub fn lock() -> &'static Lock {
    &LOCK
}

/// Makes room and reads the executable ranges. Without memory there are no traces.
pub fn start() {
    if let Ok(room) = memory::map(size_of::<Search>(), Access::Write) {
        // All zero is an empty search.
        SEARCH.store(room.as_ptr().cast(), Relaxed);
        with(Search::read_ranges);
    }
}

fn with(f: impl FnOnce(&mut Search)) {
    let _held = LOCK.take();
    let search = SEARCH.load(Relaxed);
    if !search.is_null() {
        // SAFETY: under LOCK; no closure passed here comes back.
        f(unsafe { &mut *search });
    }
}

/// Records the calling thread's callers.
#[inline(never)]
pub fn record(trace: &Trace) {
    record_from(trace, stack_pointer());
}

/// Records what lies on the stack from `sp` on.
#[cold]
pub fn record_from(trace: &Trace, sp: usize) {
    with(|search| {
        search.traces = search.traces.wrapping_add(1);
        if search.traces >= search.next_reading {
            search.next_reading = search.traces + search.traces.clamp(1, 64);
            search.read_ranges();
        }
        let n = search.find(sp & !7, &trace.frames);
        trace.count.store(n as u32, Relaxed);
        trace.thread.store(process::tid(), Relaxed);
    });
}

#[inline(always)]
fn stack_pointer() -> usize {
    let sp: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags));
    }
    sp
}

impl Search {
    #[cold]
    fn read_ranges(&mut self) {
        self.used = 0;
        self.own = (0, 0);
        let here = record as *const () as usize;
        let (ranges, used, own) = (&mut self.ranges, &mut self.used, &mut self.own);
        Maps::each(|m| {
            if m.executable
                && let Some(slot) = ranges.get_mut(*used)
            {
                *slot = (m.start, m.end);
                // The lowest range is the program itself: linked statically, its calls are not to be left out.
                if *used > 0 && (m.start..m.end).contains(&here) {
                    *own = (m.start, m.end);
                }
                *used += 1;
            }
            true
        });
    }

    fn find(&mut self, sp: usize, frames: &[AtomicUsize]) -> usize {
        let mut bytes = [0u8; 256];
        let (mut found, mut last, mut at) = (0, 0, sp);
        let words = self.words.len();
        let mut read = 0;
        // In pieces, so that a short stack is read to its end.
        while read < words {
            let n = memory::peek(at, &mut bytes) / 8;
            for (slot, word) in self
                .words
                .iter_mut()
                .skip(read)
                .zip(bytes.chunks_exact(8).take(n))
            {
                *slot = word.try_into().map_or(0, usize::from_ne_bytes);
            }
            read += n;
            at += n * 8;
            if n * 8 < bytes.len() {
                break;
            }
        }
        for word in self.words.iter().take(read.min(words)) {
            let Some(slot) = frames.get(found) else { break };
            if *word != last && self.is_code(*word) && follows_call(*word) {
                slot.store(*word, Relaxed);
                last = *word;
                found += 1;
            }
        }
        found
    }

    fn is_code(&self, address: usize) -> bool {
        let inside = |r: &(usize, usize)| r.0 < address && address < r.1;
        !inside(&self.own) && self.ranges.iter().take(self.used).any(inside)
    }
}

/// The instruction before `address` is a call.
#[cfg(target_arch = "x86_64")]
fn follows_call(address: usize) -> bool {
    let mut b = [0u8; 7];
    if memory::peek(address - 7, &mut b) != 7 {
        return false;
    }
    // call rel32; call through a register or memory (FF /2) with its possible lengths.
    let is = |back: usize, reg_form: fn(u8) -> bool| {
        b.get(7 - back) == Some(&0xff) && b.get(8 - back).is_some_and(|m| reg_form(*m))
    };
    b[2] == 0xe8
        || is(2, |m| {
            m & 0x38 == 0x10 && (m >> 6 == 3 || m >> 6 == 0 && m & 7 != 4 && m & 7 != 5)
        })
        || is(3, |m| {
            m & 0x38 == 0x10 && (m >> 6 == 1 && m & 7 != 4 || m >> 6 == 0 && m & 7 == 4)
        })
        || is(4, |m| m & 0x38 == 0x10 && m >> 6 == 1 && m & 7 == 4)
        || is(6, |m| {
            m & 0x38 == 0x10 && (m >> 6 == 2 && m & 7 != 4 || m >> 6 == 0 && m & 7 == 5)
        })
        || is(7, |m| {
            m & 0x38 == 0x10 && (m >> 6 == 2 || m >> 6 == 0) && m & 7 == 4
        })
}

/// The instruction before `address` is a call.
#[cfg(target_arch = "aarch64")]
fn follows_call(address: usize) -> bool {
    let mut b = [0u8; 4];
    if !address.is_multiple_of(4) || memory::peek(address - 4, &mut b) != 4 {
        return false;
    }
    let i = u32::from_le_bytes(b);
    // bl; blr and its authenticating forms.
    i >> 26 == 0b100101
        || i & 0xfffe_f000 == 0xd63e_0000 & 0xfffe_f000
        || i & 0xffff_fc1f == 0xd63f_0000
}

/// Writes a trace, one line a frame.
pub fn print(trace: &Trace) {
    for frame in trace.frames() {
        maps::print_place("  ", frame);
    }
}
