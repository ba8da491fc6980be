//! What is known of a [`sampled`](super::sampled) object, and the bytes around it that nobody may change.
//!
//! # States
//! `LIVE` -> `FREED` (`SWEPT`: live, while the sweep looks at it) by the one free that wins the exchange; the record then waits in the quarantine, whose lock guards
//! `next`. Everything else is written before the page map leads to the record.

use super::stack::Trace;
use super::{is_tagging, tagged};
use crate::space::{self, meta, pool};
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering::*};
use core::ops::Range;

/// What lies around the object on its pages.
pub(super) const PATTERN: u8 = 0xb7;

/// See above.
pub(super) const LIVE: u32 = 1;
/// See above.
pub(super) const FREED: u32 = 2;
/// Live, and looked at by the sweep.
pub(super) const SWEPT: u32 = 3;

/// What is known of a sampled object.
#[repr(C)]
pub struct Record {
    /// Zero: records share their pool with slab descriptors, whose first word is a claim.
    _no_claim: u64,
    pub(super) next: AtomicPtr<Record>,
    pub(super) address: AtomicUsize,
    pub(super) length: AtomicUsize,
    /// First of its pages, and their bytes.
    pub(super) body: AtomicUsize,
    pub(super) body_bytes: AtomicUsize,
    pub(super) unit: AtomicU32,
    pub(super) units: AtomicU32,
    pub(super) state: AtomicU32,
    pub(super) guards: AtomicU32,
    /// What its pointer has under `safety:tags`.
    pub(super) tag: AtomicU32,
    /// Who allocated it.
    pub allocated: Trace,
    /// Who freed it.
    pub freed: Trace,
}
/// Where records come from.
pub(super) const POOL: usize = pool::pool_for(size_of::<Record>());

impl Record {
    /// The record that an entry leads to.
    #[cold]
    pub fn at(offset: usize) -> &'static Record {
        let p = meta::base().wrapping_add(offset).cast::<Record>();
        // SAFETY: an entry leads to a record; metadata stays mapped for ever and every field is atomic.
        unsafe { &*p }
    }
    /// Where the object begins.
    #[cold]
    pub fn address(&self) -> usize {
        self.address.load(Relaxed)
    }
    /// As a pointer without a tag.
    #[cold]
    pub(super) fn start(&self) -> *mut u8 {
        space::pointer(self.address())
    }
    /// Its bytes.
    #[cold]
    pub fn length(&self) -> usize {
        self.length.load(Relaxed)
    }
    /// It was freed.
    #[cold]
    pub fn is_freed(&self) -> bool {
        self.state.load(Relaxed) == FREED
    }
    /// Units of its run.
    #[cold]
    pub fn units(&self) -> usize {
        self.units.load(Relaxed) as usize
    }

    #[cold]
    pub(super) fn body(&self) -> (*mut u8, usize) {
        let at = self.body.load(Relaxed);
        (space::pointer(at), self.body_bytes.load(Relaxed))
    }

    /// Offsets from the body's start that carry the pattern: before the object and behind it.
    #[cold]
    pub(super) fn margins(&self) -> [Range<usize>; 2] {
        let (body, bytes) = self.body();
        let start = self.address() - body.addr();
        // Where the object's last granule ends, if that has its tag.
        let length = if is_tagging() {
            tagged::granules(self.length())
        } else {
            self.length()
        };
        [0..start, start + length..bytes]
    }

    /// The first changed byte of the margins.
    #[cold]
    pub(super) fn damage(&self) -> Option<usize> {
        let (body, _) = self.body();
        let margins = self.margins();
        // SAFETY: inside the body, which is readable until this free makes it fault.
        let changed = |at: &usize| unsafe { body.add(*at).read() } != PATTERN;
        // Whether there is any comes first, in a form in which many bytes are compared at a time.
        let any = |m: &Range<usize>| m.clone().fold(false, |any, at| any | changed(&at));
        if !margins.iter().any(any) {
            return None;
        }
        let mut bytes = margins.into_iter().flatten();
        bytes.find(changed).map(|at| body.addr() + at)
    }
}
