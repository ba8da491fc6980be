//! Statistics, purge and options of a process that does nothing else at the same time: one test, in order.

use aethalloc::{SetOptionError, Value, options, purge, set_option, stats};

#[global_allocator]
static ALLOCATOR: aethalloc::Aethalloc = aethalloc::Aethalloc;

/// Bytes of this process that are resident.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("smaps_rollup");
    let line = text
        .lines()
        .find(|l| l.starts_with("Rss:"))
        .expect("a line Rss");
    let kib = line.split_whitespace().nth(1).expect("a figure");
    kib.parse::<usize>().expect("a number") << 10
}

/// A heap of `count` objects of `size` bytes, all touched.
fn objects(count: usize, size: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| vec![1u8; size]).collect()
}

fn figures_follow_the_heap() {
    const COUNT: usize = 50_000;
    const SIZE: usize = 320;
    purge();
    let (before, resident_before) = (stats(), resident());
    let heap = objects(COUNT, SIZE);
    let during = stats();
    let grown = during.allocated - before.allocated;
    assert!(
        (COUNT * SIZE..COUNT * SIZE * 9 / 8 + (4 << 20)).contains(&grown),
        "{grown} bytes for {COUNT} objects of {SIZE}"
    );
    assert!(
        during.active >= during.allocated && during.mapped >= during.active,
        "{during:?}"
    );
    assert!(during.allocations - before.allocations >= COUNT as u64);
    let class = aethalloc::class_stats()
        .find(|c| c.size >= SIZE)
        .expect("a class");
    assert!(class.size < SIZE + SIZE / 8);
    // The first blocks of a process may come from a larger class that has a slab already.
    assert!(
        class.out + 64 >= COUNT && class.capacity >= class.out && class.slabs > 0,
        "{class:?}"
    );
    let all: usize = aethalloc::class_stats().map(|c| c.out * c.size).sum();
    assert!(
        all + during.allocated_large >= during.allocated,
        "classes hold {all}: {during:?}"
    );
    assert!(resident() >= resident_before + COUNT * SIZE);

    drop(heap);
    purge();
    let after = stats();
    assert!(
        after.allocated < before.allocated + (1 << 20),
        "{before:?} {after:?}"
    );
    assert_eq!(after.retained, 0);
    assert!(after.purged >= before.purged + (COUNT * SIZE) as u64 / 2);
    assert!(
        after.deallocations - before.deallocations >= COUNT as u64,
        "{before:?} {after:?}"
    );
    let now = resident();
    assert!(
        now < resident_before + (3 << 20),
        "{now} resident, {resident_before} before"
    );
}

/// Free memory is brought under the bound, by the frees themselves or, where there is one, a little later by the support
/// thread; a bound that changes is obeyed.
fn retain_bounds_free_memory() {
    for (retain, most) in [("0", 0), ("32m", 32 << 20), ("1m", 1 << 20)] {
        set_option("retain", retain).expect("a good value");
        set_option("retain_share", "0").expect("a good value");
        drop(objects(1000, 100_000));
        let at_once = stats().retained;
        assert!(
            most == 0 || at_once >= most / 4,
            "only {at_once} bytes kept, retain is {retain}"
        );
        let mut kept = at_once;
        for _ in 0..300 {
            if kept <= most {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            kept = stats().retained;
        }
        assert!(kept <= most, "{kept} bytes kept, retain is {retain}");
    }
}

fn options_tell_what_was_set() {
    let find = |key: &str| options().find(|o| o.key == key).expect("an option");
    for (key, value) in [
        ("retain", "3m"),
        ("retain_share", "77"),
        ("batch_count", "32"),
        ("batch_bytes", "12345"),
        ("remap", "off"),
    ] {
        assert!(find(key).changeable);
        assert_ne!(find(key).default.to_string(), value);
        set_option(key, value).expect("a good value");
        assert_eq!(find(key).value.to_string(), value);
    }
    assert_eq!(find("remap").value, Value::Switch(false));
    assert_eq!(find("stats_file").value, Value::Path(None));
    for o in options().filter(|o| !o.changeable) {
        assert_eq!(
            set_option(o.key, "1"),
            Err(SetOptionError::ReadAtStart { key: o.key })
        );
    }
    assert_eq!(
        set_option("no_such_thing", "1"),
        Err(SetOptionError::Unknown)
    );
    let huge = "9".repeat(500);
    for bad in ["", "x", "-1", "1 ", "5,retain:1", "3:4", "1001", &huge] {
        let error = set_option("retain_share", bad).expect_err(bad);
        assert_eq!(
            error.to_string(),
            "bad value for option retain_share: it takes 0 to 1000"
        );
    }
    assert_eq!(find("retain_share").value, Value::Count(77));
}

#[test]
fn figures_and_options() {
    figures_follow_the_heap();
    retain_bounds_free_memory();
    options_tell_what_was_set();
}
