//! The oracle of objects: what is live, what it holds, and that the allocator's structures account for all of it.

use aethalloc_base::units::{GRANULE, LINE, PAGE};
use aethalloc_core::inspect::{self, Census};
use aethalloc_core::rule::Broken;
use aethalloc_core::{front, space};
use std::collections::BTreeMap;

/// Live bytes beyond which requests are made small.
const MOST: usize = 64 << 20;

/// A live object.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// Where.
    pub address: usize,
    /// Bytes asked for.
    pub size: usize,
    /// Bytes that may be used.
    pub usable: usize,
    tag: u64,
}

impl Object {
    /// Its pointer.
    pub fn pointer(&self) -> *mut u8 {
        space::pointer(self.address)
    }

    /// Where the words of its pattern are: all of a small object; the ends of a large one and one in each page.
    fn places(size: usize) -> impl Iterator<Item = usize> {
        let words = size / 8;
        let step = if size <= 2048 { 1 } else { PAGE / 8 };
        let ends = (words.saturating_sub(8)..words).filter(move |w| w % step != 0);
        (0..words)
            .step_by(step)
            .chain((1..8.min(words)).filter(move |w| w % step != 0))
            .chain(ends)
            .map(|w| w * 8)
    }

    fn word(&self, at: usize) -> u64 {
        self.tag ^ (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn fill(&self) {
        for at in Self::places(self.size) {
            // SAFETY: inside the live object; objects are aligned to 16.
            unsafe { self.pointer().add(at).cast::<u64>().write(self.word(at)) };
        }
        for at in self.size & !7..self.size {
            // SAFETY: inside the live object.
            unsafe { self.pointer().add(at).write(self.tag as u8) };
        }
    }

    /// Checks the first `n` bytes of its contents, which may have moved to `p`.
    fn check(&self, p: *const u8, n: usize) {
        for at in Self::places(self.size).filter(|at| at + 8 <= n) {
            // SAFETY: inside the live object at `p` of at least `n` bytes.
            let found = unsafe { p.add(at).cast::<u64>().read() };
            assert_eq!(found, self.word(at), "byte {at} of {self:x?} changed");
        }
        for at in (self.size & !7..self.size).filter(|at| *at < n) {
            // SAFETY: inside the live object.
            let found = unsafe { p.add(at).read() };
            assert_eq!(found, self.tag as u8, "byte {at} of {self:x?} changed");
        }
    }
}

/// The live objects.
#[derive(Default)]
pub struct Objects {
    /// Addresses in the order in which the objects were made.
    list: Vec<usize>,
    by_address: BTreeMap<usize, Object>,
    bytes: usize,
    made: u64,
}

impl Objects {
    /// Number of live objects.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// None is live.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Object `i`, in the order in which they were made.
    pub fn get(&self, i: usize) -> Object {
        self.by_address[&self.list[i]]
    }

    /// `size`, or less if there is much already.
    pub fn limited(&self, size: usize) -> usize {
        if self.bytes + size > MOST || self.list.len() > 20_000 {
            size % 128
        } else {
            size
        }
    }

    /// A new object at `address`, checked and filled.
    ///
    /// # Panics
    /// If it is not what was asked for.
    pub fn admit(&mut self, address: usize, size: usize, align: usize) {
        let p = space::pointer(address);
        assert!(!p.is_null(), "null for {size} bytes at {align}");
        assert_eq!(p.addr() % align.max(GRANULE), 0, "{size} bytes at {p:?}");
        // SAFETY: live.
        let usable = unsafe { front::usable_size(p) };
        let good = front::good_size(size, align);
        // A thread with few objects of a class gets blocks of the next class of whole lines, and the first objects of a process
        // blocks of up to twice that.
        let most = if good > 1024 {
            good
        } else {
            front::good_size(good.next_multiple_of(LINE) * 2, 1)
        };
        assert!(
            good >= size && (good..=most).contains(&usable),
            "usable {usable}, good size {good} of {size} at {align}"
        );
        self.insert(p, size, usable);
    }

    fn insert(&mut self, p: *mut u8, size: usize, usable: usize) {
        if let Some((at, before)) = self.by_address.range(..p.addr() + usable).next_back() {
            assert!(
                at + before.usable <= p.addr(),
                "{usable} bytes at {p:?} overlap {before:x?}"
            );
        }
        self.made += 1;
        let object = Object {
            address: p.addr(),
            size,
            usable,
            tag: self.made.wrapping_mul(0x2545_f491_4f6c_dd1d),
        };
        object.fill();
        self.bytes += usable;
        self.by_address.insert(object.address, object);
        self.list.push(object.address);
    }

    /// Object `i`, checked and no longer live: the caller frees it.
    pub fn remove(&mut self, i: usize) -> Object {
        let address = self.list.remove(i);
        let object = self.by_address.remove(&address).expect("a listed object");
        object.check(object.pointer(), object.size);
        self.bytes -= object.usable;
        object
    }

    /// `object`, removed before, was resized to `size` bytes and is at `address` now.
    ///
    /// # Panics
    /// If contents were lost or the new size is not usable.
    pub fn resized(&mut self, object: Object, address: usize, size: usize) {
        let p = space::pointer(address);
        assert!(!p.is_null(), "null for {object:x?} to {size} bytes");
        assert_eq!(p.addr() % GRANULE, 0);
        object.check(p, object.size.min(size));
        // SAFETY: live.
        let usable = unsafe { front::usable_size(p) };
        assert!(usable >= size, "{usable} usable bytes for {size}");
        self.insert(p, size, usable);
    }

    /// Checks the contents of every object.
    pub fn check_contents(&self) {
        for object in self.by_address.values() {
            object.check(object.pointer(), object.size);
        }
    }

    /// Checks the allocator's structures, and that they account for these objects.
    ///
    /// # Panics
    /// If they do not.
    pub fn check_structures(&self) -> Census {
        let census = inspect::check().unwrap_or_else(|b| broken(&b));
        assert_eq!(census.unclaimed, 0, "units are lost: {census:?}");
        let mut out = Vec::with_capacity(census.out);
        inspect::each_out(&mut |_, p| out.push(p));
        let small = self.by_address.keys().copied().filter(|p| is_small(*p));
        let mut found = out.iter().copied();
        for p in small {
            let q = found.next();
            assert_eq!(q, Some(p), "blocks out and objects, by address");
        }
        assert_eq!(found.next(), None, "a block is out without an object");
        let large = self.list.iter().filter(|p| !is_small(**p)).count();
        assert_eq!(census.large, large, "large objects");
        census
    }
}

/// The object at `p` is a block of a slab.
fn is_small(p: usize) -> bool {
    use aethalloc_core::space::entry::{Kind, load};
    let unit = space::unit_of(p).expect("an address in an arena");
    matches!(load(unit), Kind::Slab { .. })
}

/// Ends the input: a rule does not hold.
///
/// # Panics
/// Always.
pub fn broken(b: &Broken) -> ! {
    panic!(
        "broken rule: {}; at {} = {:#x}, found {}, wanted {}",
        b.rule, b.at, b.at, b.found, b.wanted
    )
}
