//! Random sequences of calls against an oracle that knows every live object: alignment, overlap, contents, zeroing,
//! usable sizes, on a thread that lives on and on threads that end after each sequence.

mod common;

use aethalloc_base::class;
use aethalloc_base::units::{GRANULE, LINE, PAGE};
use aethalloc_core::front;
use common::Object;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Call {
    Allocate(usize),
    Zeroed(usize),
    Aligned(usize, usize),
    Reallocate(Index, usize),
    Free(Index),
    FreeMany(Index, usize),
    Purge,
}

fn sizes() -> impl Strategy<Value = usize> {
    let boundary =
        (class::FIRST..class::COUNT, 0..3usize).prop_map(|(c, d)| class::SIZES[c] as usize + 1 - d);
    prop_oneof![
        30 => boundary,
        30 => 0..1100usize,
        10 => 0..40_000usize,
        4 => 32_000..1_000_000usize,
        1 => 1_000_000..=(16usize << 20),
    ]
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        20 => sizes().prop_map(Call::Allocate),
        5 => sizes().prop_map(Call::Zeroed),
        5 => (0..=20u32, sizes()).prop_map(|(a, s)| Call::Aligned(1 << a, s)),
        8 => (any::<Index>(), sizes()).prop_map(|(i, s)| Call::Reallocate(i, s.max(1))),
        16 => any::<Index>().prop_map(Call::Free),
        1 => (any::<Index>(), 2..200usize).prop_map(|(i, n)| Call::FreeMany(i, n)),
        1 => Just(Call::Purge),
    ];
    // A call is repeated: one by one a class would never become hot.
    vec(
        (call, prop_oneof![6 => Just(1usize), 1 => 2..150usize]),
        1..80,
    )
    .prop_map(|v| {
        v.into_iter()
            .flat_map(|(c, n)| std::iter::repeat_n(c, n))
            .collect()
    })
}

#[derive(Default)]
struct Oracle {
    /// By address: the object and its usable size.
    live: BTreeMap<usize, (Object, usize)>,
    bytes: usize,
    made: u64,
}

/// Live bytes from which on large requests are made small.
const MOST: usize = 256 << 20;

impl Oracle {
    fn limited(&self, size: usize) -> usize {
        if self.bytes + size > MOST {
            size % 1024
        } else {
            size
        }
    }

    fn admit(&mut self, p: *mut u8, size: usize, align: usize) {
        self.made += 1;
        assert!(!p.is_null(), "null for {size} bytes at {align}");
        assert_eq!(
            p.addr() % align.max(GRANULE),
            0,
            "{size} bytes at {p:?} are not aligned to {align}"
        );
        // SAFETY: live.
        let usable = unsafe { front::usable_size(p) };
        let good = front::good_size(size, align);
        assert!(
            good >= size && good > 0,
            "good size {good} of {size} at {align}"
        );
        // A thread with few objects of a class gets blocks of the next class of whole lines, and the first few of the
        // process blocks of up to twice the size.
        let most = if good > 1024 {
            good
        } else {
            good.next_multiple_of(LINE) * 2
        };
        assert!(
            (good..=most).contains(&usable),
            "usable {usable}, good size {good} of {size} at {align}"
        );
        if let Some((at, (o, n))) = self.live.range(..p.addr() + usable).next_back() {
            assert!(
                at + n <= p.addr(),
                "{usable} bytes at {p:?} overlap {o:x?} of {n} usable bytes"
            );
        }
        let object = Object::new(p, size, self.made.wrapping_mul(0x2545_f491_4f6c_dd1d));
        self.bytes += usable;
        self.live.insert(p.addr(), (object, usable));
    }

    fn key(&self, i: &Index) -> Option<usize> {
        (!self.live.is_empty()).then(|| {
            *self
                .live
                .keys()
                .nth(i.index(self.live.len()))
                .expect("an index within")
        })
    }

    fn remove(&mut self, key: usize) -> Object {
        let (object, usable) = self.live.remove(&key).expect("a live object");
        self.bytes -= usable;
        object
    }

    fn run(&mut self, call: &Call) {
        match call {
            Call::Allocate(size) => {
                let size = self.limited(*size);
                self.admit(front::allocate(size), size, 1);
            }
            Call::Zeroed(size) => {
                let size = self.limited(*size);
                let p = front::allocate_zeroed(size);
                if !p.is_null() {
                    // SAFETY: a live object of that size.
                    unsafe { common::assert_zero(p, size) };
                }
                self.admit(p, size, 1);
            }
            Call::Aligned(align, size) => {
                let size = self.limited(*size);
                self.admit(front::allocate_aligned(*align, size), size, *align);
            }
            Call::Reallocate(i, size) => {
                let Some(key) = self.key(i) else { return };
                let size = self.limited(*size).max(1);
                let old = self.remove(key);
                old.check(old.size);
                // SAFETY: live; the old address is not used afterwards.
                let p = unsafe { front::reallocate(old.pointer(), size) };
                assert!(!p.is_null(), "null for {old:x?} to {size} bytes");
                Object {
                    address: p.addr(),
                    ..old
                }
                .check(size);
                // In place its class may be a larger one.
                // SAFETY: live.
                let usable = unsafe { front::usable_size(p) };
                assert!(usable >= size, "{usable} usable bytes for {size}");
                self.admit_resized(p, size, usable);
            }
            Call::Free(i) => {
                if let Some(key) = self.key(i) {
                    self.remove(key).free();
                }
            }
            Call::FreeMany(i, n) => {
                let Some(key) = self.key(i) else { return };
                let keys: Vec<_> = self.live.range(key..).take(*n).map(|(k, _)| *k).collect();
                for k in keys {
                    self.remove(k).free();
                }
            }
            Call::Purge => {
                front::purge();
                for (o, _) in self.live.values() {
                    o.check(o.size);
                }
            }
        }
    }

    fn admit_resized(&mut self, p: *mut u8, size: usize, usable: usize) {
        self.made += 1;
        assert_eq!(p.addr() % GRANULE, 0);
        if let Some((at, (o, n))) = self.live.range(..p.addr() + usable).next_back() {
            assert!(
                at + n <= p.addr(),
                "{usable} bytes at {p:?} overlap {o:x?} of {n} usable bytes"
            );
        }
        self.bytes += usable;
        let object = Object::new(p, size, self.made.wrapping_mul(0x2545_f491_4f6c_dd1d));
        self.live.insert(p.addr(), (object, usable));
    }

    fn finish(&mut self) {
        while let Some((key, _)) = self.live.first_key_value() {
            let key = *key;
            self.remove(key).free();
        }
    }
}

fn sequence(calls: &[Call]) {
    let mut oracle = Oracle::default();
    for call in calls {
        oracle.run(call);
    }
    oracle.finish();
}

fn explore(cases: u32, test: impl Fn(Vec<Call>)) {
    let seed = common::seed();
    let mut bytes = [0u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(e) = runner.run(&calls(), |calls| {
        test(calls);
        Ok(())
    }) {
        panic!("seed {seed}: {e}");
    }
}

#[test]
fn sequences_on_a_thread_that_lives_on() {
    explore(150, |calls| sequence(&calls));
}

#[test]
fn sequences_on_threads_that_end() {
    explore(100, |calls| {
        let end = std::thread::spawn(move || sequence(&calls)).join();
        if let Err(panic) = end {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn every_size_up_to_the_first_large_ones() {
    let mut oracle = Oracle::default();
    for size in 0..=class::SMALL_MAX + PAGE {
        oracle.run(&Call::Allocate(size));
        if oracle.live.len() == 500 {
            oracle.finish();
        }
    }
    oracle.finish();
}

#[test]
fn requests_that_cannot_be_met_are_refused() {
    for size in [
        isize::MAX as usize,
        isize::MAX as usize + 1,
        usize::MAX - PAGE,
        usize::MAX,
    ] {
        assert!(front::allocate(size).is_null(), "{size:#x}");
        assert!(front::allocate_zeroed(size).is_null(), "{size:#x}");
        assert!(front::allocate_aligned(PAGE, size).is_null(), "{size:#x}");
    }
    let object = Object::new(front::allocate(100), 100, 7);
    // SAFETY: live.
    assert!(unsafe { front::reallocate(object.pointer(), usize::MAX - PAGE) }.is_null());
    object.free();
}
