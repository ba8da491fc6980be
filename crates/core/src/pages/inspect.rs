//! What checks and tests may see of the page heap. What is passed here runs under its lock: it must not call back.

use super::{USED, with};
use crate::rule::Checked;
use crate::sync::Ordering::*;

/// Checks every rule of the heap. While other threads use it, the count of used units may lag.
pub fn check() -> Checked {
    with(|h| h.check(USED.load(Relaxed)))
}

/// Number, used mask and dirty mask (a bit a unit) of every region in an arena.
pub fn each_region(f: &mut dyn FnMut(usize, u32, u32)) {
    with(|h| h.each_region(f));
}

/// The regions with dirty units, in the order in which they are taken from.
pub fn each_dirty(f: &mut dyn FnMut(usize)) {
    with(|h| h.each_dirty(f));
}
