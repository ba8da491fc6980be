//! The options of this process.

use crate::sync::{AtomicUsize, Ordering::*};
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

/// Takes parsed options over.
pub fn adopt(options: &Options) {
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
