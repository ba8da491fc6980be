//! Who else hands out memory in this process: looked up once, in the constructor, because dlsym allocates and locks.

use crate::deepbind;
use crate::weak::weak_fn;
use aethalloc_core::foreign::{self, Free, Realloc, UsableSize};
use core::ffi::{c_char, c_void};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

type Dlsym = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// `struct mallinfo2` of the C library.
#[repr(C)]
#[derive(Default)]
struct Mallinfo2 {
    arena: usize,
    ordblks: usize,
    smblks: usize,
    hblks: usize,
    hblkhd: usize,
    usmblks: usize,
    fsmblks: usize,
    uordblks: usize,
    fordblks: usize,
    keepcost: usize,
}

static MALLINFO2: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

/// Finds the allocator behind ours: the program's, if we were loaded late, else the next one (the C library's).
pub fn resolve() {
    // A fully static program has no dlsym; what is outside our memory there is left alone.
    let Some(dlsym) = weak_fn!("dlsym" as Dlsym) else {
        return;
    };
    const DEFAULT: *mut c_void = core::ptr::null_mut();
    let next = core::ptr::without_provenance_mut::<c_void>(usize::MAX);
    // SAFETY: zero-terminated names; handles that dlsym takes.
    let find = |handle, name: &core::ffi::CStr| unsafe { dlsym(handle, name.as_ptr()) };
    let ours = crate::hot::free as *const c_void;
    let first = find(DEFAULT, c"free");
    let handle = if !first.is_null() && !core::ptr::eq(first, ours) {
        DEFAULT
    } else {
        next
    };
    if find(handle, c"free").is_null() {
        return foreign::rule_out();
    }
    MALLINFO2.store(find(handle, c"mallinfo2"), Relaxed);
    let [free, realloc, usable_size] =
        [c"free", c"realloc", c"malloc_usable_size"].map(|name| find(handle, name).cast_const());
    // SAFETY: the C library's functions have these types; null is `None`.
    unsafe {
        foreign::register(
            core::mem::transmute::<*const c_void, Option<Free>>(free),
            core::mem::transmute::<*const c_void, Option<Realloc>>(realloc),
            core::mem::transmute::<*const c_void, Option<UsableSize>>(usable_size),
            holds_memory,
        );
    }
    // Loaded late, the program's own allocator is not ours to replace.
    if handle == next {
        let theirs = [free, realloc, usable_size];
        deepbind::prepare(theirs, |name| find(next, name).cast_const());
    }
}

/// True if the other allocator ever took memory from the system, or cannot say.
fn holds_memory() -> bool {
    let f = MALLINFO2.load(Relaxed);
    if f.is_null() {
        return true;
    }
    // SAFETY: glibc's mallinfo2 returns the structure by value.
    let info = unsafe { core::mem::transmute::<*mut c_void, extern "C" fn() -> Mallinfo2>(f)() };
    info.arena + info.hblkhd != 0
}
