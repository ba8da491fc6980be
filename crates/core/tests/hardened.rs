//! `safety:hardened` inside: what is read-only after the start, and heaps while a fork is under way. Tests run this program again, because the mode
//! is the process's.

mod common;

use aethalloc_base::options::Key;
use aethalloc_base::units::UNIT;
use aethalloc_core::guard::hardened::slab::{FREED, LIVE, Slab};
use aethalloc_core::space::{self, entry, entry::Kind};
use aethalloc_core::{config, front, guard, pages};
use common::{again, is_role};
use core::sync::atomic::AtomicU8;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

fn start() {
    common::start_with("safety:hardened,support:off");
    assert!(guard::is_hardened());
}

/// Starts the mode, where this is the process for the test `name`; else false, after that process has ended well.
fn starts_as(name: &str) -> bool {
    let here = common::is_process_of(name);
    if here {
        start();
    }
    here
}

#[test]
fn options_are_read_only_after_the_start() {
    if !is_role() {
        let out = again("options_are_read_only_after_the_start");
        let text = String::from_utf8_lossy(&out.stderr);
        if text.contains("not sealed: larger pages") {
            return;
        }
        assert!(text.contains("options can be set"), "{text}");
        // An emulator may end by the signal itself or report it.
        assert_eq!(out.status.signal(), Some(11), "{text}");
        return;
    }
    start();
    let Some((first, last)) = config::sealed() else {
        assert_ne!(aethalloc_core::space::os_page(), 4096);
        eprintln!("not sealed: larger pages");
        return;
    };
    // By the library's own function they can be changed.
    config::set(Key::retain, 123 << 16);
    assert_eq!(config::get(Key::retain), 123 << 16);
    assert!(guard::is_hardened());
    eprintln!("options can be set");
    let word = core::ptr::with_exposed_provenance_mut::<u8>((first + last) / 2);
    // SAFETY: it is the stray write that has to fault.
    unsafe { word.write_volatile(0) };
    eprintln!("written");
}

/// A heap that a thread makes after the fork handlers have closed all locks would be closed by nobody.
#[test]
fn no_heap_is_made_while_a_fork_is_under_way() {
    if !starts_as("no_heap_is_made_while_a_fork_is_under_way") {
        return;
    }
    static DONE: AtomicBool = AtomicBool::new(false);
    static BEGUN: AtomicBool = AtomicBool::new(false);
    let other = std::thread::spawn(|| {
        // The thread's cache and first heap are made.
        assert!(!front::allocate(100).is_null());
        BEGUN.store(true, SeqCst);
        while BEGUN.load(SeqCst) {
            std::hint::spin_loop();
        }
        assert!(!front::allocate(5000).is_null());
        DONE.store(true, SeqCst);
    });
    while !BEGUN.load(SeqCst) {
        std::hint::spin_loop();
    }
    guard::each_lock(|l| l.close());
    BEGUN.store(false, SeqCst);
    std::thread::sleep(Duration::from_millis(200));
    assert!(!DONE.load(SeqCst), "a heap was made");
    guard::each_lock(|l| l.reopen());
    other.join().expect("the other thread");
    assert!(DONE.load(SeqCst));
}

/// The state byte of the block at `p`.
fn state(p: *mut u8) -> &'static AtomicU8 {
    let unit = space::unit_of(p.addr()).expect("of the space");
    let Kind::Hardened { slab, .. } = entry::load(unit) else {
        panic!("not in a hardened slab");
    };
    let slab = Slab::at(slab);
    slab.state(slab.block_at(p.addr()).expect("a block's start"))
}

/// Two threads free one object at the same instant: the second has seen it LIVE, and its canary, before the first changed either. That is made
/// here by putting both back, so that it does not depend on time. Found when the block is handed out for the second time, or comes back to its
/// slab.
#[test]
fn two_frees_at_the_same_instant_are_found() {
    if !is_role() {
        let out = again("two_frees_at_the_same_instant_are_found");
        let text = String::from_utf8_lossy(&out.stderr);
        let at = text
            .lines()
            .find_map(|l| l.strip_prefix("both are let through: "))
            .unwrap_or_else(|| panic!("{text}"));
        assert!(text.contains(&format!("double free of {at}")), "{text}");
        assert!(!out.status.success(), "{text}");
        return;
    }
    start();
    const SIZE: usize = 100;
    // In the same block whatever is written to its object: the class of 112 bytes.
    const BLOCK: usize = 112;
    let p = front::allocate(SIZE);
    let mut whole = [0u8; BLOCK];
    // SAFETY: objects of this test's, and the block that one of them lies in.
    unsafe {
        p.write_bytes(0xa5, SIZE);
        p.copy_to_nonoverlapping(whole.as_mut_ptr(), BLOCK);
        front::deallocate(p);
        assert_eq!(state(p).load(SeqCst), FREED);
        p.copy_from_nonoverlapping(whole.as_ptr(), BLOCK);
        state(p).store(LIVE, SeqCst);
        front::deallocate(p);
    }
    assert_eq!(state(p).load(SeqCst), FREED);
    eprintln!("both are let through: {:#x}", p.addr());
    let mut handed_out = 0;
    // A block leaves the quarantine after 216 others; then one in 32 or fewer is taken at each call.
    for _ in 0..1_000_000 {
        let other = front::allocate(SIZE);
        if other == p {
            handed_out += 1;
            assert_eq!(handed_out, 1, "handed out twice");
        } else {
            // SAFETY: allocated above.
            unsafe { front::deallocate(other) };
        }
    }
    eprintln!("not found");
}

/// Aligned objects: at their multiple, zero, as large as asked for, and the short way and the long one agree on the block.
#[test]
fn aligned_objects_are_what_was_asked_for() {
    if !starts_as("aligned_objects_are_what_was_asked_for") {
        return;
    }
    for align in (5..=13).map(|log| 1usize << log) {
        for size in [
            0, 1, 8, 24, 25, 56, 100, 1000, 4088, 4096, 20_000, 32_760, 32_768, 32_769, 40_000,
            57_344, 65_528, 65_536, 100_000,
        ] {
            // The first of a class comes by the long way, most of the others by the short one.
            for round in 0..4 {
                let p = front::allocate_aligned(align, size);
                assert!(!p.is_null());
                assert_eq!(p.addr() % align, 0, "{size} at {align}");
                // SAFETY: an object of this test's.
                unsafe {
                    let usable = front::usable_size(p);
                    // An object with a run of its own has a byte at least.
                    assert!(
                        usable == size || size == 0 && usable == 1,
                        "{usable} for {size} at {align}"
                    );
                    assert!((0..size).all(|i| p.add(i).read() == 0), "{size} at {align}");
                    p.write_bytes(round, size);
                    front::deallocate_sized(p, size);
                }
            }
        }
    }
    for size in [
        usize::MAX,
        usize::MAX - 7,
        usize::MAX - 4096,
        isize::MAX as usize,
    ] {
        assert!(front::allocate_aligned(64, size).is_null());
    }
}

/// Whether the byte at `p` can be read: asked of the kernel.
fn is_readable(p: *const u8) -> bool {
    aethalloc_sys::memory::peek(p.addr(), &mut [0]) == 1
}

/// Whether there are guards, and [`is_readable`] can see them.
fn has_guards() -> bool {
    guard::pages::size() != 0 && is_readable([0u8].as_ptr())
}

/// Objects of `size` bytes, all freed again: more than quarantines and depots hold, so that slabs end.
fn fill_and_free(bytes: usize, size: usize) -> Vec<*mut u8> {
    let all: Vec<*mut u8> = (0..bytes / size).map(|_| front::allocate(size)).collect();
    for p in &all {
        // SAFETY: allocated above, freed once.
        unsafe {
            p.write_bytes(0xa5, size);
            front::deallocate(*p);
        }
    }
    all
}

/// The units that some of `all` lie in.
fn units(all: &[*mut u8]) -> std::collections::BTreeSet<usize> {
    all.iter()
        .filter_map(|p| space::unit_of(p.addr()))
        .collect()
}

/// Units of slabs that ended serve other sizes as they are: zero, and with their guard. A purge gives them back.
#[test]
fn units_of_slabs_that_ended_are_used_again() {
    if !starts_as("units_of_slabs_that_ended_are_used_again") {
        return;
    }
    let before = units(&fill_and_free(4 << 20, 100));
    let used = pages::used_units();
    let all: Vec<*mut u8> = (0..256).map(|_| front::allocate(5000)).collect();
    let after = units(&all);
    let again = after.intersection(&before).count();
    // All but what the heap's first slab of this size may have taken before one was kept.
    assert!(again + 1 >= after.len(), "{again} of {}", after.len());
    assert!(pages::used_units() <= used + 1, "others were taken");
    for p in &all {
        // SAFETY: objects of this test's.
        assert!(unsafe { (0..5000).all(|i| p.add(i).read() == 0) });
    }
    if has_guards() {
        let page = guard::pages::size();
        for unit in &after {
            let guard = space::address_of(unit + 1).wrapping_sub(page);
            assert!(is_readable(guard.wrapping_sub(1)) && !is_readable(guard));
        }
    }
    for p in all {
        // SAFETY: as above.
        unsafe { front::deallocate(p) };
    }
    let used = pages::used_units();
    front::purge();
    assert!(pages::used_units() < used, "a purge gave nothing back");
}

/// Where no support thread looks, as many of them stay as the bound on retained memory allows.
#[test]
fn few_units_are_kept_where_nobody_looks() {
    if !starts_as("few_units_are_kept_where_nobody_looks") {
        return;
    }
    let most = pages::used_units() + pages::guarded_limit_units();
    drop(fill_and_free(96 << 20, 1000));
    let now = pages::used_units();
    // And what is in quarantine.
    assert!(now <= most + 64, "{now} units, {most} allowed");
}

/// One unit more than there are places for goes back like any other: a purge leaves no more in use than there was.
#[test]
fn no_unit_is_lost_when_all_places_are_taken() {
    if !starts_as("no_unit_is_lost_when_all_places_are_taken") {
        return;
    }
    config::set(Key::retain, 1 << 30);
    // `MOST` in `kept.rs`, and one to three objects in a unit.
    const PLACES: usize = 4096;
    const SIZE: usize = 20_000;
    let before = pages::used_units();
    let all: Vec<*mut u8> = (0..PLACES * 4).map(|_| front::allocate(SIZE)).collect();
    assert!(units(&all).len() > PLACES + 1000);
    for p in all {
        // SAFETY: allocated above, freed once.
        unsafe { front::deallocate(p) };
    }
    let kept = pages::used_units() - before;
    assert!(kept >= PLACES, "{kept} units in use: not all are taken");
    front::purge();
    // What is in quarantine stays, and a slab for each heap.
    let left = pages::used_units() - before;
    assert!(left < 500, "{left} of {kept} units stay in use");
}

/// Whether the object at `p`, of whatever size, is one of the mode's.
fn is_hardened(p: *mut u8) -> bool {
    let unit = space::unit_of(p.addr()).expect("of the space");
    matches!(
        entry::load(unit),
        Kind::Hardened { .. } | Kind::Sampled { .. }
    )
}

/// No more units may be in use than are now, and some for metadata.
fn limit_what_is_used() {
    let used = pages::limit::charged() - pages::stats().dirty;
    config::set(Key::limit, used + 4 * UNIT);
}

/// Before the option `limit` refuses a large object, what is kept of slabs goes back, and the object is one of the mode's.
#[test]
fn kept_units_go_back_before_a_large_object_is_refused() {
    if !starts_as("kept_units_go_back_before_a_large_object_is_refused") {
        return;
    }
    drop(fill_and_free(12 << 20, 100));
    limit_what_is_used();
    let p = front::allocate(4 << 20);
    assert!(!p.is_null(), "refused: {:?}", pages::stats());
    assert!(is_hardened(p));
    // What is kept was not without an end.
    assert!(front::allocate(32 << 20).is_null());
}

/// Before it refuses a slab, the runs that are kept of large objects do.
#[test]
fn kept_runs_go_back_before_a_slab_is_refused() {
    if !starts_as("kept_runs_go_back_before_a_slab_is_refused") {
        return;
    }
    if guard::pages::means() != guard::pages::Means::Install {
        return; // no run is kept
    }
    // Of each length some that are all kept (up to 64 are: `EACH` in `runs.rs`), and as many as stay in the quarantine (`KEPT` in `ended.rs`).
    const OF_LENGTH: usize = 16;
    const QUARANTINE: usize = 256;
    let objects = |size: usize, n: usize| (0..n).map(|_| front::allocate(size)).collect::<Vec<_>>();
    let of_lengths = [2, 3, 4].map(|units| objects(units * UNIT - 10_000, OF_LENGTH));
    let later = objects(100_000, QUARANTINE);
    for p in of_lengths.into_iter().flatten().chain(later) {
        // SAFETY: allocated above, freed once.
        unsafe { front::deallocate(p) };
    }
    let kept = pages::guarded_limit_units().min(OF_LENGTH * (2 + 3 + 4));
    limit_what_is_used();
    let mut held = Vec::new();
    loop {
        let p = front::allocate(1000);
        if p.is_null() {
            break;
        }
        assert!(is_hardened(p));
        held.push(p);
    }
    let taken = units(&held).len();
    assert!(taken >= kept, "{taken} units of {kept}");
}

/// What is kept and may not stay goes back at each call of the sweep, wherever that is in the heap.
#[test]
fn kept_units_go_back_in_the_midst_of_a_sweep() {
    if !starts_as("kept_units_go_back_in_the_midst_of_a_sweep") {
        return;
    }
    // More than a call looks at (`SLICE` in `sweep.rs`).
    let all: Vec<*mut u8> = (0..400).map(|_| front::allocate(20_000)).collect();
    assert!(units(&all).len() > 64);
    assert!(guard::sweep_some());
    config::set(Key::retain, 1 << 30);
    drop(fill_and_free(8 << 20, 1000));
    let used = pages::used_units();
    config::set(Key::retain, 0);
    guard::sweep_some();
    let now = pages::used_units();
    assert!(now + 64 < used, "{now} units of {used} stay in use");
}

/// What is written into a unit while it is kept is found when its memory is handed out.
#[test]
fn writes_into_kept_units_are_found() {
    if !is_role() {
        let out = again("writes_into_kept_units_are_found");
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(text.contains("write into the free block of"), "{text}");
        assert!(!out.status.success(), "{text}");
        return;
    }
    start();
    let all = fill_and_free(4 << 20, 100);
    let kept = |p: &&*mut u8| {
        let unit = space::unit_of(p.addr()).expect("of the space");
        !matches!(entry::load(unit), Kind::Hardened { .. })
    };
    for p in all.iter().filter(kept) {
        // SAFETY: not our memory any more: the misuse. The page is there, because the unit is kept.
        unsafe { p.write(1) };
    }
    assert!(all.iter().any(|p| kept(&p)), "no slab has ended");
    for _ in 0..1024 {
        assert!(!front::allocate(3000).is_null());
    }
    eprintln!("not found");
}

/// The run of a large object that ended is used again: it faults until then, and then again behind the new object, whose bytes are all zero.
#[test]
fn runs_of_large_objects_are_used_again() {
    if !starts_as("runs_of_large_objects_are_used_again") {
        return;
    }
    if !has_guards() {
        return;
    }
    let page = guard::pages::size();
    const SIZE: usize = 100_000;
    let mut seen = std::collections::BTreeSet::new();
    let mut again = 0;
    // Later ones are smaller and larger than what was there before, in as many units.
    for round in 0..1000 {
        let size = SIZE - 5000 * (round % 5);
        let p = front::allocate(size);
        again += usize::from(!seen.insert(p));
        let end = p.wrapping_add(size.next_multiple_of(page));
        assert!(is_readable(end.wrapping_sub(1)) && !is_readable(end));
        // SAFETY: objects of this test's.
        unsafe {
            assert!((0..size).all(|i| p.add(i).read() == 0), "round {round}");
            p.write_bytes(0xa5, size);
            front::deallocate(p);
        }
        assert!(!is_readable(p) && !is_readable(end.wrapping_sub(1)));
    }
    assert!(again > 500, "{again}");
    let used = pages::used_units();
    // Those in the quarantine stay. Guards by taking access away are too dear to be kept.
    front::purge();
    let kept = guard::pages::means() == guard::pages::Means::Install;
    assert_eq!(pages::used_units() < used, kept, "a purge");
}
