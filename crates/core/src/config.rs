//! The options of this process.
//!
//! `life::start` reads them all. A constructor of another library may allocate before that (libstdc++'s does, before ours): the
//! space is made then, so what the space depends on is read by [`early`].

use crate::sync::{AtomicBool, AtomicUsize, Ordering::*};
use aethalloc_base::options::{COUNT, Key, LIST, Options};

static VALUES: [AtomicUsize; COUNT] = {
    const DEFAULTS: Options = Options::new();
    let mut v = [const { AtomicUsize::new(0) }; COUNT];
    let mut i = 0;
    while i < COUNT {
        v[i] = AtomicUsize::new(DEFAULTS.values[i]);
        i += 1;
    }
    v
};

/// The value of `key`.
#[inline]
pub fn get(key: Key) -> usize {
    VALUES.get(key as usize).map_or(0, |v| v.load(Relaxed))
}

/// Sets one option (the caller has checked its range).
pub fn set(key: Key, value: usize) {
    if let Some(v) = VALUES.get(key as usize) {
        v.store(value, Relaxed);
    }
}

/// The options were read.
static READ: AtomicBool = AtomicBool::new(false);

#[link(name = "c")]
unsafe extern "C" {
    /// The C library's list of the environment; null before that has started.
    static environ: *const *const u8;
}

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

/// The text of `AETHALLOC_CONF`.
///
/// # Safety
/// `environment` is null or a null-terminated array of zero-terminated strings that stay valid.
#[cold]
pub unsafe fn find(mut environment: *const *const u8) -> Option<&'static [u8]> {
    const NAME: &[u8] = b"AETHALLOC_CONF=";
    if environment.is_null() {
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
    for (v, d) in VALUES.iter().zip(options.values) {
        v.store(d, Relaxed);
    }
}

/// Every declared option with its present value.
pub fn all() -> impl Iterator<Item = (&'static aethalloc_base::options::Declared, usize)> {
    LIST.iter()
        .zip(VALUES.iter())
        .map(|(d, v)| (d, v.load(Relaxed)))
}
