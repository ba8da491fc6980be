//! Target `front`: every call of the allocator from four threads, in any order.
//!
//! After each action: the rules of `core::inspect`; the blocks that are out are exactly the small objects, and every large object is known; no object overlaps another, what was asked for is usable, aligned, zero where promised; the
//! contents of every object that is resized or freed, and of all now and then. At the end of an input nothing is left.

use crate::Target;
use crate::input::{self, Setting, Size, THREADS, Times, Which, Who};
use crate::objects::{Object, Objects};
use crate::threads::Threads;
use aethalloc_base::units::UNIT;
use aethalloc_core::inspect::Census;
use aethalloc_core::thread::inside::Inside;
use aethalloc_core::thread::{cache, exit};
use aethalloc_core::{front, pages};
use arbitrary::Arbitrary;

/// The target.
pub const TARGET: Target = Target { name: "front", run };

/// What may happen.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Action {
    /// `malloc`, several times.
    Allocate(Who, Size, Times),
    /// `free` of the oldest, newest or any objects, several times.
    Free(Who, Which, Times),
    /// `calloc`.
    Zeroed(Who, Size),
    /// At a multiple of 2 to the power of the number (modulo 21).
    Aligned(Who, u8, Size),
    /// `realloc`.
    Reallocate(Who, Which, Size),
    /// `malloc` and `free` in a signal handler that interrupted a slow path of the thread.
    Interrupted(Who, Size, Which),
    /// `malloc_trim`.
    Purge(Who),
    /// The thread ends; another takes its place.
    End(Who),
    /// The thread's cache is gone, as in late destructors, but it goes on.
    Over(Who),
    /// An option changes.
    Set(Setting),
}

/// What a signal handler does that interrupted a slow path of the thread: it gets spare memory, and what it frees ends then or
/// later.
fn interrupt(size: usize, old: Option<Object>) {
    let inside = Inside::enter(cache::me());
    assert!(
        inside.is_some(),
        "a thread that waits for an action is inside"
    );
    // SAFETY: live objects, used within their sizes and not after their end.
    unsafe {
        let p = front::allocate(size);
        assert!(
            !p.is_null() && front::usable_size(p) >= size,
            "{size} bytes"
        );
        p.write_bytes(0x5a, size);
        let p = front::reallocate(p, size + 100);
        assert!(!p.is_null() && front::usable_size(p) >= size + 100);
        for at in [0, size / 2, size.saturating_sub(1)] {
            assert!(size == 0 || p.add(at).read() == 0x5a, "byte {at} of {size}");
        }
        let zeroed = front::allocate_zeroed(size);
        assert!(!zeroed.is_null() && (0..size).all(|i| zeroed.add(i).read() == 0));
        front::deallocate(p);
        if let Some(old) = old {
            front::deallocate(old.pointer());
        }
        drop(inside);
        front::deallocate(zeroed);
        // What waits ends with the next slow path.
        front::deallocate(front::allocate_aligned(UNIT, UNIT));
    }
}

fn run(bytes: &[u8]) {
    let mut world = World::default();
    for (i, action) in input::actions::<Action>(bytes, 300).into_iter().enumerate() {
        world.act(action);
        world.objects.check_structures();
        if i % 16 == 15 {
            world.objects.check_contents();
        }
    }
    world.finish();
}

/// The threads and the objects; an object belongs to all of them.
#[derive(Default)]
pub struct World {
    /// The threads.
    pub threads: Threads,
    /// The objects.
    pub objects: Objects,
}

impl World {
    fn act(&mut self, action: Action) {
        match action {
            Action::Allocate(who, size, times) => self.allocate(who.0, size.0, times.0),
            Action::Free(who, which, times) => self.free(who.0, which, times.0),
            Action::Zeroed(Who(who), Size(size)) => {
                let size = self.objects.limited(size);
                let p = self.threads.run(who, move || {
                    let p = front::allocate_zeroed(size);
                    // SAFETY: a live object of that size, or null and of size 0.
                    let all = unsafe { std::slice::from_raw_parts(p, size) };
                    assert!(all.iter().all(|b| *b == 0), "{size} bytes are not zero");
                    p.addr()
                });
                self.objects.admit(p, size, 1);
            }
            Action::Aligned(Who(who), log, Size(size)) => {
                let (align, size) = (1 << (log % 21), self.objects.limited(size));
                let p = self
                    .threads
                    .run(who, move || front::allocate_aligned(align, size).addr());
                self.objects.admit(p, size, align);
            }
            Action::Reallocate(Who(who), which, Size(size)) => {
                if self.objects.is_empty() {
                    return;
                }
                let size = self.objects.limited(size).max(1);
                let old = self.objects.remove(which.of(self.objects.len()));
                // SAFETY: live; the old address is not used afterwards.
                let resize = move || unsafe { front::reallocate(old.pointer(), size) }.addr();
                let p = self.threads.run(who, resize);
                self.objects.resized(old, p, size);
            }
            Action::Interrupted(Who(who), Size(size), which) => {
                let size = self.objects.limited(size);
                let old = (!self.objects.is_empty())
                    .then(|| self.objects.remove(which.of(self.objects.len())));
                self.threads.run(who, move || interrupt(size, old));
            }
            Action::Purge(who) => self.purge(who.0),
            Action::End(who) => self.threads.end(who.0),
            Action::Over(who) => self.threads.run(who.0, || exit::thread_ends(cache::me())),
            Action::Set(setting) => setting.apply(),
        }
    }

    /// Thread `who` makes objects.
    pub fn allocate(&mut self, who: usize, size: usize, times: usize) {
        let sizes: Vec<usize> = (0..times).map(|_| self.objects.limited(size)).collect();
        let made = self.threads.run(who, move || {
            let make = |size| (front::allocate(size).addr(), size);
            sizes.into_iter().map(make).collect::<Vec<_>>()
        });
        for (p, size) in made {
            self.objects.admit(p, size, 1);
        }
    }

    /// Thread `who` frees objects.
    pub fn free(&mut self, who: usize, which: Which, times: usize) {
        let n = times.min(self.objects.len());
        let old: Vec<_> = (0..n)
            .map(|_| self.objects.remove(which.of(self.objects.len())))
            .collect();
        self.threads.run(who, move || {
            for object in old {
                // SAFETY: live, and nothing uses it afterwards.
                unsafe { front::deallocate(object.pointer()) };
            }
        });
    }

    /// Thread `who` gives back what it can.
    pub fn purge(&mut self, who: usize) {
        self.threads.run(who, front::purge);
        assert_eq!(pages::stats().dirty, 0, "free pages after a purge");
    }

    /// Frees everything and ends all threads: nothing may be left.
    pub fn finish(mut self) {
        self.objects.check_contents();
        let half = self.objects.len() / 2;
        self.free(0, Which::First, half);
        self.free(1, Which::Last, half + 1);
        for who in 0..THREADS - 1 {
            self.threads.end(who);
        }
        input::reset_settings();
        self.threads.end(THREADS - 1);
        self.threads.run(0, front::purge);
        self.threads.end(0);
        let left = self.objects.check_structures();
        assert_eq!(left, Census::default(), "left when all is freed and over");
    }
}
