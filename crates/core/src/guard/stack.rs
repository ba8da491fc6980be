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
/// Addresses at which code is looked at by one system call.
const ASKED: usize = 16;

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
    stack: [u8; SEARCHED],
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
        // In two pieces, so that a short stack is read to its end, which is that of a page.
        let first = SEARCHED - sp % SEARCHED;
        let pieces = [[sp, first], [sp.wrapping_add(first), SEARCHED - first]];
        let read = memory::peek_at(&pieces, &mut self.stack);
        let (mut found, mut last) = (0, 0);
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, usize::from_ne_bytes);
        let words = self.stack.chunks_exact(8).take(read / 8).map(word);
        let mut code = words.filter(|word| self.is_code(*word));
        loop {
            // Some at a time: each call costs as much as several of them.
            let mut asked = [0; ASKED];
            let mut n = 0;
            for (slot, word) in asked.iter_mut().zip(&mut code) {
                *slot = word;
                n += 1;
            }
            let mut rest = asked.get(..n).unwrap_or(&[]);
            if rest.is_empty() {
                return found;
            }
            while !rest.is_empty() {
                let (before, legible) = instructions_before(rest);
                for (address, bytes) in rest.iter().zip(before.iter().take(legible)) {
                    let Some(slot) = frames.get(found) else {
                        return found;
                    };
                    if *address != last && is_call(*address, bytes) {
                        slot.store(*address, Relaxed);
                        last = *address;
                        found += 1;
                    }
                }
                // The one that could not be read is no code any more.
                rest = rest.get(legible + 1..).unwrap_or(&[]);
            }
        }
    }

    /// By halves: the ranges are in order.
    fn is_code(&self, address: usize) -> bool {
        let ranges = self.ranges.get(..self.used).unwrap_or(&[]);
        let i = ranges.partition_point(|r| r.1 <= address);
        let inside = |r: &(usize, usize)| r.0 < address && address < r.1;
        ranges.get(i).is_some_and(inside) && !inside(&self.own)
    }
}

/// What lies before each of the addresses (at most [`ASKED`]), and of how many it could be read.
fn instructions_before(addresses: &[usize]) -> ([[u8; LONGEST]; ASKED], usize) {
    let mut from = [[0, LONGEST]; ASKED];
    for (slot, address) in from.iter_mut().zip(addresses) {
        *slot = [address.wrapping_sub(LONGEST), LONGEST];
    }
    let mut before = [[0u8; LONGEST]; ASKED];
    let n = memory::peek_at(
        from.get(..addresses.len()).unwrap_or(&[]),
        before.as_flattened_mut(),
    );
    (before, n / LONGEST)
}

/// Bytes of the longest call.
const LONGEST: usize = if cfg!(target_arch = "x86_64") { 7 } else { 4 };

/// Whether `b`, which lies before `address`, ends with a call.
#[cfg(target_arch = "x86_64")]
fn is_call(_address: usize, b: &[u8; LONGEST]) -> bool {
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

/// Whether `b`, which lies before `address`, is a call.
#[cfg(target_arch = "aarch64")]
fn is_call(address: usize, b: &[u8; LONGEST]) -> bool {
    let i = u32::from_le_bytes(*b);
    // bl; blr and its authenticating forms.
    address.is_multiple_of(4)
        && (i >> 26 == 0b100101
            || i & 0xfffe_f000 == 0xd63e_0000 & 0xfffe_f000
            || i & 0xffff_fc1f == 0xd63f_0000)
}

/// Writes a trace, one line a frame.
pub fn print(trace: &Trace) {
    for frame in trace.frames() {
        maps::print_place("  ", frame);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn traced() -> Trace {
        Trace {
            thread: AtomicU32::new(0),
            count: AtomicU32::new(0),
            frames: [const { AtomicUsize::new(0) }; FRAMES],
        }
    }

    /// Every word to the last before memory that cannot be read, more candidates than are asked for at a time.
    #[test]
    fn a_stack_is_read_to_its_end() {
        let mut byte = [0; 1];
        if memory::peek((&raw const byte).addr(), &mut byte) == 0 {
            return; // an emulator, or a filter of system calls: no traces
        }
        start();
        let here = traced();
        record(&here);
        let known: Vec<_> = here.frames().collect();
        assert!(known.len() > 2, "{known:x?}");
        // In code, and behind no call.
        let other = |frame: usize| {
            let behind_call = |at: &usize| is_call(*at, &instructions_before(&[*at]).0[0]);
            (1..16).map(|d| frame - d).find(|at| !behind_call(at))
        };
        let page = 4096;
        let at = memory::map(3 * page, Access::Write).expect("memory");
        let at = at.as_ptr();
        // SAFETY: the test's own pages; the last one is taken away.
        unsafe { memory::protect(at.add(2 * page), page, Access::None) }.expect("protected");
        let end = at.wrapping_add(2 * page).cast::<usize>();
        for words in [1, 2, 3, 40, 511, 512, 600] {
            // A code address that follows no call before each that does.
            for i in 0..words {
                let frame = known[i / 2 % known.len()];
                let is_frame = (words - i) % 2 == 1;
                let word = if is_frame { Some(frame) } else { other(frame) };
                // SAFETY: inside the two pages.
                unsafe { end.sub(words).add(i).write(word.unwrap_or(0)) };
            }
            let trace = traced();
            record_from(&trace, end.wrapping_sub(words).addr());
            let found: Vec<_> = trace.frames().collect();
            let mut wanted: Vec<_> = (0..words.min(SEARCHED / 8))
                .filter(|i| (words - i) % 2 == 1)
                .map(|i| known[i / 2 % known.len()])
                .collect();
            wanted.dedup();
            wanted.truncate(FRAMES);
            assert_eq!(found, wanted, "{words} words");
        }
    }
}
