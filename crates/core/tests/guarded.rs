//! `safety:guard` inside: where large objects lie. The test runs this program again, because the mode is the process's.

mod common;

use aethalloc_base::units::UNIT;
use aethalloc_core::space::entry::{self, Kind};
use aethalloc_core::{front, guard, pages, space};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;

const ROLE: &str = "AETHALLOC_TEST_GUARDED";

/// Exit status: one of the objects was a sample, which lies elsewhere; one in about a thousand is.
const SAMPLED: i32 = 77;

/// The unit that only the guard of a large object lies in comes back without pages, so that the next run of one unit does not take it: else
/// the next object of the size would find no room where the last one was.
#[test]
fn an_object_of_whole_regions_lies_where_the_last_one_did() {
    if std::env::var_os(ROLE).is_none() {
        let name = "an_object_of_whole_regions_lies_where_the_last_one_did";
        for _ in 0..5 {
            let mut command = common::this_program();
            let command = command.args([name, "--exact", "--nocapture"]);
            let out = command.env(ROLE, "1").output().expect("it runs");
            if out.status.code() != Some(SAMPLED) {
                let text = String::from_utf8_lossy(&out.stderr);
                assert!(out.status.success(), "{text}");
                return;
            }
        }
        panic!("samples each time");
    }
    common::start_with("safety:guard,support:off");
    assert!(guard::is_sampling());
    if guard::pages::means() != guard::pages::Means::Install {
        return; // Guards that drop nothing for sure.
    }
    let no_sample = || {
        if guard::COUNTS.sampled.load(Relaxed) > 0 {
            std::process::exit(SAMPLED);
        }
    };
    let take = || pages::take(1).expect("memory for a run");
    // Free units with pages for everybody who wants one, beside units in use.
    let units: Vec<_> = (0..64).map(|_| take()).collect();
    let mut kept = Vec::new();
    for (i, mut unit) in units.into_iter().enumerate() {
        if i % 2 == 0 {
            kept.push(unit);
        } else {
            unit.clean = false;
            pages::give(unit);
        }
    }
    for size in [2 << 20, 4 << 20] {
        let first = front::allocate(size);
        assert!(!first.is_null());
        no_sample();
        for _ in 0..8 {
            // SAFETY: a live object, its every page touched, and ended.
            unsafe {
                first.write_bytes(7, size);
                front::deallocate(first);
            }
            let one = take();
            let end = space::unit_of(first.addr()).map(|u| u + size / UNIT);
            assert_ne!(Some(one.first), end, "{size}");
            kept.push(one);
            let again = front::allocate(size);
            no_sample();
            assert_eq!(again, first, "{size}");
        }
    }
}

/// What constructors of other libraries made hot before the mode began gives no blocks without guards afterwards, in whatever thread:
/// none waits in a bin, where a reservation of such a class is one block.
#[test]
fn a_class_that_was_hot_before_the_mode_gives_no_blocks() {
    if !common::is_process_of("a_class_that_was_hot_before_the_mode_gives_no_blocks") {
        return;
    }
    const SIZE: usize = 40 << 10;
    const COUNT: usize = 32;
    let is_block = |p: &usize| {
        let unit = space::unit_of(*p).expect("an object of the heap");
        matches!(entry::load(unit), Kind::Slab { .. })
    };
    let blocks = |objects: &[usize]| objects.iter().filter(|p| is_block(p)).count();
    let (begun, begins) = channel::<()>();
    let (start, starts) = channel::<()>();
    let other = std::thread::spawn(move || {
        let before = common::take(COUNT, SIZE);
        begun.send(()).expect("the test listens");
        starts.recv().expect("the test says when");
        let after = common::take(COUNT, SIZE);
        (before, after)
    });
    begins.recv().expect("the other thread begins");
    let before = common::take(COUNT, SIZE);
    assert_eq!(blocks(&before), COUNT);
    common::start_with("safety:guard,support:off");
    assert!(guard::is_sampling());
    start.send(()).expect("the other thread waits");
    let after = common::take(COUNT, SIZE);
    let (others_before, others_after) = other.join().expect("the other thread ends");
    assert_eq!(blocks(&others_before), COUNT);
    if guard::pages::size() > 0 {
        assert_eq!(blocks(&after), 0);
        assert_eq!(blocks(&others_after), 0);
    }
    for objects in [before, after, others_before, others_after] {
        common::give_back(objects);
    }
}
