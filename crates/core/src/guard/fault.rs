//! The report when a guard page is hit: SIGSEGV becomes a description of the object, then the same end as without us.
//!
//! Installed at start. Where the program (or what was loaded before) has a handler already, that one runs after the report, and
//! for every other fault as if we were not there. A handler that the program installs later takes our place; the fault
//! itself does not need us. The handler runs on the thread's alternate stack if it has one.

use super::hardened::slab::{LIVE, Slab};
use super::sampled::Record;
use super::{fenced, is_tagging, maps, pages, stack, tagged};
use crate::space;
use crate::space::entry::{self, Kind};
use crate::sync::{AtomicBool, AtomicPtr, Ordering::*};
use crate::violation::Line;
use aethalloc_base::class;
use aethalloc_base::safety::Profile;
use aethalloc_base::units::{PAGE, UNIT, units_for};
use aethalloc_sys::process;
use aethalloc_sys::signal::{self, Action, SEGV};
use core::cell::UnsafeCell;

/// What was in force before us.
struct Before(UnsafeCell<Action>);
// SAFETY: written once, before the handler is installed.
unsafe impl Sync for Before {}
static BEFORE: Before = Before(UnsafeCell::new(Action::DEFAULT));
static REPORTING: AtomicBool = AtomicBool::new(false);
static SCRATCH: AtomicPtr<stack::Trace> = AtomicPtr::new(core::ptr::null_mut());

/// Installs the handler.
#[cold]
pub fn install() {
    const POOL: usize = space::pool::pool_for(size_of::<stack::Trace>());
    let Ok(old) = signal::action(SEGV) else {
        return;
    };
    if let Some((place, _)) = space::pool::take(POOL) {
        // SAFETY: the place is ours and large enough; all-zero is an empty trace.
        unsafe { place.as_ptr().write_bytes(0, size_of::<stack::Trace>()) };
        SCRATCH.store(place.as_ptr().cast(), Relaxed);
    }
    // SAFETY: nobody reads it before the handler is installed.
    unsafe { BEFORE.0.get().write(old) };
    let _ = signal::set_action(SEGV, &Action::handler(on_fault));
}

/// What the kernel says of a fault.
struct Fault {
    address: usize,
    pc: usize,
    sp: usize,
    write: Option<bool>,
}

/// Whether the signal was sent by somebody (`raise`, `kill`), and is no access's.
///
/// # Safety
/// `info` is what a signal handler got.
#[cold]
unsafe fn is_sent(info: *const u8) -> bool {
    // SAFETY: the layout of the kernel's siginfo; the caller's promise.
    unsafe { info.add(8).cast::<i32>().read() <= 0 }
}

/// # Safety
/// `info` and `context` are what a SIGSEGV handler got.
#[cold]
unsafe fn read_fault(info: *const u8, context: *const u8) -> Option<Fault> {
    // SAFETY: the layouts of the kernel's siginfo and ucontext; the caller's promise.
    unsafe {
        if is_sent(info) {
            return None;
        }
        // The kernel may leave a tag there.
        let address = tagged::bare(info.add(16).cast::<usize>().read());
        #[cfg(target_arch = "x86_64")]
        {
            let register = |n: usize| context.add(40 + n * 8).cast::<usize>().read();
            Some(Fault {
                address,
                pc: register(16),
                sp: register(15),
                write: Some(register(19) & 2 != 0),
            })
        }
        #[cfg(target_arch = "aarch64")]
        {
            let word = |n: usize| context.add(176 + n * 8).cast::<usize>().read();
            Some(Fault {
                address,
                pc: word(33),
                sp: word(32),
                write: None,
            })
        }
    }
}

/// # Safety
/// Called by the kernel only.
#[cold]
unsafe extern "C" fn on_fault(signal: i32, info: *mut u8, context: *mut u8) {
    // SAFETY: the kernel's arguments.
    if let Some(fault) = unsafe { read_fault(info, context) } {
        report(&fault);
    }
    // SAFETY: written before the handler was installed.
    let before = unsafe { *BEFORE.0.get() };
    // SAFETY: the kernel's arguments, and the action that was in force.
    unsafe {
        let sent = is_sent(info);
        if before.call(signal, info, context) || (sent && before.is_ignored()) {
            return;
        }
        // The access is tried again, or the signal comes again, and ends the process as it would have without us.
        let _ = signal::set_action(SEGV, &before);
        if sent {
            signal::send_again(signal, info);
        }
    }
}

/// Describes the fault if a guard of ours caused it.
#[cold]
fn report(fault: &Fault) {
    let Some(unit) = space::unit_of(fault.address) else {
        return;
    };
    let Some(found) = object_near(unit, fault.address) else {
        return;
    };
    if REPORTING.swap(true, Relaxed) {
        // Another thread reports; the process ends with it.
        for _ in 0..1000 {
            process::yield_now();
        }
        return;
    }
    match found {
        Found::Sampled(r) => {
            describe(fault, r.is_freed(), r.address(), r.length());
            callers(fault);
            history(r);
        }
        Found::Large(start, bytes) => {
            describe(fault, false, start, bytes);
            callers(fault);
        }
        Found::Block(live, start, bytes) => {
            Line::new()
                .text(access(fault))
                .text(" with a wrong tag at ")
                .address(fault.address)
                .text(": in the ")
                .text(if live { "live" } else { "free" })
                .text(" block of ")
                .decimal(bytes)
                .text(" bytes at ")
                .address(start)
                .print();
            callers(fault);
        }
        Found::Slab(size) => {
            Line::new()
                .text(access(fault))
                .text(" out of bounds at ")
                .address(fault.address)
                .text(": in the guard behind blocks of ")
                .decimal(size)
                .text(" bytes")
                .print();
            callers(fault);
        }
    }
}

enum Found {
    Sampled(&'static Record),
    /// Address and bytes of an object with a guard.
    Large(usize, usize),
    /// Whether the block is live that the access hit with another tag; its address and size.
    Block(bool, usize, usize),
    /// The blocks' size of a hardened slab with a guard.
    Slab(usize),
}

/// The object whose guard covers `address`, in `unit`.
#[cold]
fn object_near(unit: usize, address: usize) -> Option<Found> {
    let mut u = unit;
    while unit - u < 1 << 20 {
        match entry::load(u) {
            Kind::Sampled { record } => {
                let r = Record::at(record);
                return (u + r.units() > unit).then_some(Found::Sampled(r));
            }
            Kind::Large { pages, guarded } => {
                let bytes = pages * PAGE;
                let units = units_for(bytes + if guarded { self::pages::size() } else { 0 });
                let start = space::address_of(u).addr();
                let behind = guarded && address >= start + bytes && u + units > unit;
                return behind.then_some(Found::Large(start, bytes));
            }
            Kind::Fenced { pages } => {
                let (start, bytes) = (fenced::start(u, pages).addr(), pages * PAGE);
                let behind = address >= start + bytes && u + fenced::run_units(pages) > unit;
                return behind.then_some(Found::Large(start, bytes));
            }
            Kind::Hardened { slab, .. } if u == unit && is_tagging() => {
                let slab = Slab::at(slab);
                let i = (address % UNIT).checked_div(slab.size())?;
                if i >= slab.limit() {
                    return Some(Found::Slab(slab.size()));
                }
                let live = slab.state(i).load(Relaxed) == LIVE;
                return Some(Found::Block(live, slab.block(i).addr(), slab.size()));
            }
            Kind::Hardened { class, slab } if u == unit => {
                let guard = UNIT - self::pages::size();
                let hit = address % UNIT >= guard && Slab::at(slab).is_guarded();
                return hit.then_some(Found::Slab(class::size(class)));
            }
            Kind::Slab { .. } | Kind::Freed { .. } | Kind::Hardened { .. } => return None,
            Kind::None => u = u.checked_sub(1)?,
        }
    }
    None
}

/// `aethalloc: write out of bounds at 0x7f..: 8 bytes behind the end of the object of 24 bytes at 0x7f..`
#[cold]
fn describe(fault: &Fault, freed: bool, start: usize, bytes: usize) {
    let (distance, side) = if fault.address < start {
        (start - fault.address, " bytes before")
    } else if fault.address >= start + bytes {
        (fault.address - start - bytes, " bytes behind the end of")
    } else {
        (fault.address - start, " bytes inside")
    };
    let what = if freed {
        " after free at "
    } else {
        " out of bounds at "
    };
    Line::new()
        .text(access(fault))
        .text(what)
        .address(fault.address)
        .text(": ")
        .decimal(distance)
        .text(side)
        .text(" the object of ")
        .decimal(bytes)
        .text(" bytes at ")
        .address(start)
        .print();
}

#[cold]
fn access(fault: &Fault) -> &'static str {
    match fault.write {
        Some(true) => "write",
        Some(false) => "read",
        None => "access",
    }
}

#[cold]
fn callers(fault: &Fault) {
    Line::new()
        .text("in thread ")
        .decimal(process::tid() as usize)
        .text(" at:")
        .print();
    maps::print_place("  ", fault.pc);
    let scratch = SCRATCH.load(Relaxed);
    if !scratch.is_null() {
        // SAFETY: made by `install`; every field is atomic.
        let trace = unsafe { &*scratch };
        stack::record_from(trace, fault.sp);
        stack::print(trace);
    }
}

/// Writes who allocated and who freed a sampled object.
#[cold]
pub fn history(r: &Record) {
    for (what, trace) in [
        ("allocated by thread ", &r.allocated),
        ("freed by thread ", &r.freed),
    ] {
        let thread = trace.thread.load(Relaxed) as usize;
        if thread != 0 {
            Line::new().text(what).decimal(thread).text(" at:").print();
            stack::print(trace);
        }
    }
}

/// Bytes of the alternate stack that each thread gets: one unit, of which only touched pages count. Its last page is a guard, so that a
/// write before an object that lies behind it does not go unseen.
const STACK: usize = UNIT;
/// What the page map says of such a stack: nothing that is anything else's.
const IS_STACK: Kind = Kind::Freed { class: 0 };

/// The calling thread begins: gives it an alternate stack, unless it has one.
pub fn thread_begins() {
    if !matches!(super::profile(), Profile::Off | Profile::Tags) {
        give_stack();
    }
}

#[cold]
#[inline(never)]
fn give_stack() {
    if signal::alternate_stack().is_some() {
        return;
    }
    let Some(run) = crate::pages::take(STACK / UNIT) else {
        return;
    };
    let at = space::address_of(run.first);
    let page = if pages::size() > STACK / 4 {
        0
    } else {
        pages::size()
    };
    // SAFETY: the run is ours, and this thread's until `thread_ends`.
    unsafe {
        let usable = STACK - page;
        let guarded = pages::put(at.add(usable), page);
        let len = if guarded { usable } else { STACK };
        if signal::set_alternate_stack(at, len).is_ok() {
            entry::store(run.first, IS_STACK);
        } else if !guarded || pages::take_off(at.add(usable), page, 1) {
            crate::pages::give(run);
        }
    }
}

/// The calling thread ends: takes its alternate stack back, if it is ours.
pub fn thread_ends() {
    if !matches!(super::profile(), Profile::Off | Profile::Tags) {
        take_stack();
    }
}

#[cold]
#[inline(never)]
fn take_stack() {
    let Some((at, len)) = signal::alternate_stack() else {
        return;
    };
    if let Some(first) = space::unit_of(at)
        && entry::load(first) == IS_STACK
        // SAFETY: a length of zero takes the stack away.
        && unsafe { signal::set_alternate_stack(core::ptr::null_mut(), 0) }.is_ok()
    {
        entry::store(first, Kind::None);
        let guard = space::address_of(first).wrapping_add(len);
        // SAFETY: what `give_stack` put there.
        if len == STACK || unsafe { pages::take_off(guard, STACK - len, 1) } {
            crate::pages::give(crate::pages::Run {
                first,
                units: STACK / UNIT,
                clean: false,
            });
        }
    }
}
