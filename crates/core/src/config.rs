//! The options of this process.
//!
//! `life::start` reads them all. A constructor of another library may allocate before that (libstdc++'s does, before ours): the
//! space is made then, so what the space depends on is read by [`early`].
//!
//! They lie on a page of their own, with the other words that never change once the process has started: which safety mode is in force and the
//! secret of its canaries. Under `safety:hardened` that page is read-only from the start on ([`seal`]), where the system's pages are of 4 KiB:
//! a stray write into it faults.

use crate::sync::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::*};
use aethalloc_base::options::{COUNT, Key, LIST, Options};
use aethalloc_base::units::PAGE;
use aethalloc_sys::lock::Lock;
use aethalloc_sys::memory::{self, Access};
use core::ffi::c_ulong;

/// What never changes once the process has started.
#[repr(C, align(4096))]
struct Fixed {
    values: [AtomicUsize; COUNT],
    secret: [AtomicU64; 3],
    profile: AtomicU8,
}
const _: () = assert!(size_of::<Fixed>() == PAGE);

static FIXED: Fixed = Fixed {
    values: {
        const DEFAULTS: Options = Options::new();
        let mut v = [const { AtomicUsize::new(0) }; COUNT];
        let mut i = 0;
        while i < COUNT {
            v[i] = AtomicUsize::new(DEFAULTS.values[i]);
            i += 1;
        }
        v
    },
    secret: [const { AtomicU64::new(0) }; 3],
    profile: AtomicU8::new(0),
};

/// The page is read-only.
static SEALED: AtomicBool = AtomicBool::new(false);
/// Held while a sealed page is open.
static OPEN: Lock = Lock::new();

/// The lock of a sealed page (the fork handlers take it).
pub fn lock() -> &'static Lock {
    &OPEN
}

/// The safety mode in force, for `guard`.
#[inline]
pub fn profile() -> &'static AtomicU8 {
    &FIXED.profile
}

/// The secret of the canaries, for `guard`.
#[inline]
pub fn secret() -> &'static [AtomicU64; 3] {
    &FIXED.secret
}

/// Makes the page read-only, if that is a page of the system's, which have `os_page` bytes.
#[cold]
pub fn seal(os_page: usize) {
    let sealed = os_page == PAGE && allow(Access::Read);
    SEALED.store(sealed, Relaxed);
}

/// The first and last address of the page once it is read-only.
#[cold]
pub fn sealed() -> Option<(usize, usize)> {
    let at = (&raw const FIXED).addr();
    SEALED.load(Relaxed).then_some((at, at + PAGE - 1))
}

#[cold]
fn allow(access: Access) -> bool {
    let at = (&raw const FIXED).cast::<u8>().cast_mut();
    // SAFETY: a whole page of the library's own data; who writes there asks for Write first.
    unsafe { memory::protect(at, PAGE, access) }.is_ok()
}

/// The value of `key`.
#[inline]
pub fn get(key: Key) -> usize {
    FIXED
        .values
        .get(key as usize)
        .map_or(0, |v| v.load(Relaxed))
}

/// Sets one option (the caller has checked its range).
pub fn set(key: Key, value: usize) {
    let Some(v) = FIXED.values.get(key as usize) else {
        return;
    };
    if SEALED.load(Relaxed) {
        return set_sealed(v, value);
    }
    v.store(value, Relaxed);
}

#[cold]
#[inline(never)]
fn set_sealed(v: &AtomicUsize, value: usize) {
    let _held = OPEN.take();
    if allow(Access::Write) {
        v.store(value, Relaxed);
        allow(Access::Read);
    }
}

/// The options were read.
static READ: AtomicBool = AtomicBool::new(false);

#[link(name = "c")]
unsafe extern "C" {
    /// The C library's list of the environment; null before that has started.
    static environ: *const *const u8;
    /// What the kernel told the process at its start; 0 for what it did not tell.
    fn getauxval(kind: c_ulong) -> c_ulong;
}

/// The program has rights that its caller lacks (set-user-id, file capabilities).
const AT_SECURE: c_ulong = 23;

/// Reads what the making of the space depends on, unless all options were read already.
#[cold]
pub fn early() {
    // SAFETY: the C library's variable, which nobody changes while constructors run.
    let text = unsafe { find(environ) };
    if let (false, Some(text)) = (READ.load(Relaxed), text) {
        let mut options = Options::new();
        options.parse(text, |_, _| ());
        for key in [Key::reserve, Key::page_size] {
            set(key, options.get(key));
        }
    }
}

/// The text of `AETHALLOC_CONF`. Nothing is read from the environment of a program with more rights than its caller: the option
/// `stats_file` would write where the caller may not.
///
/// # Safety
/// `environment` is null or a null-terminated array of zero-terminated strings that stay valid.
#[cold]
pub unsafe fn find(mut environment: *const *const u8) -> Option<&'static [u8]> {
    const NAME: &[u8] = b"AETHALLOC_CONF=";
    // SAFETY: the C library's; it reads a table that is there before any library's code runs.
    if environment.is_null() || unsafe { getauxval(AT_SECURE) } != 0 {
        return None;
    }
    // SAFETY: the caller's promise: pointers until null, each zero-terminated.
    unsafe {
        loop {
            let s = *environment;
            if s.is_null() {
                return None;
            }
            let mut n = 0;
            while NAME.get(n).is_some_and(|b| *b == *s.add(n)) {
                n += 1;
            }
            if n == NAME.len() {
                let value = s.add(n);
                let mut len = 0;
                while *value.add(len) != 0 {
                    len += 1;
                }
                return Some(core::slice::from_raw_parts(value, len));
            }
            environment = environment.add(1);
        }
    }
}

/// Takes parsed options over.
pub fn adopt(options: &Options) {
    READ.store(true, Relaxed);
    for (v, d) in FIXED.values.iter().zip(options.values) {
        v.store(d, Relaxed);
    }
}

/// Every declared option with its present value.
pub fn all() -> impl Iterator<Item = (&'static aethalloc_base::options::Declared, usize)> {
    LIST.iter()
        .zip(FIXED.values.iter())
        .map(|(d, v)| (d, v.load(Relaxed)))
}
