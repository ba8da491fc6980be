//! The support thread gives back at once what demand would keep for an hour, when the kernel's files say that memory is
//! short: made-up files below a folder of the test's.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::support::pressure;
use aethalloc_core::{bell, config, front, life, pages};
use aethalloc_sys::pressure::{Kind, Source};
use common::{Object, Root};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

static ROUNDS: AtomicU64 = AtomicU64::new(0);

fn probe(step: u32) {
    if step == 11 {
        ROUNDS.fetch_add(1, Relaxed);
    }
}

/// Fills and frees 64 MiB.
fn leave_behind() {
    let objects: Vec<_> = (0..640)
        .map(|i| Object::new(front::allocate(100_000), 100_000, i))
        .collect();
    objects.into_iter().for_each(Object::free);
}

/// Has rounds made until `done`; a hang guard, not a measurement.
fn rounds_until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        bell::poke();
        std::thread::sleep(Duration::from_millis(5));
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
    }
}

fn some_rounds() {
    let from = ROUNDS.load(Relaxed);
    rounds_until("rounds", || ROUNDS.load(Relaxed) >= from + 5);
}

const APP: &str = "sys/fs/cgroup/app/";

fn stalls(root: &Root, total: u64) {
    let text = format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={total}\nfull total=0\n");
    root.write(&format!("{APP}web/memory.pressure"), &text);
}

#[test]
fn short_memory_goes_back_at_once() {
    let root = Root::new("aethalloc-pressure");
    root.write("proc/self/cgroup", "0::/app/web\n");
    for file in ["web/memory.high", "web/memory.max", "memory.high"] {
        root.write(&format!("{APP}{file}"), "max\n");
    }
    // The limit is that of a group above.
    let app = |file: &str, text: &str| root.write(&format!("{APP}{file}"), text);
    app("memory.max", &format!("{}\n", 256 * MIB));
    app("memory.current", &format!("{}\n", 100 * MIB));
    app("memory.stat", "anon 1\ninactive_file 1\nactive_file 1\n");
    stalls(&root, 5_000_000);
    pressure::look_below(root.bytes().leak());

    // SAFETY: null is allowed.
    unsafe { life::start(std::ptr::null()) };
    bell::probe_with(probe);
    config::set(Key::support, 2);
    config::set(Key::decay, 3_600_000);
    config::set(Key::retain, 1 << 30);
    leave_behind();
    some_rounds();
    assert_eq!(pressure::known(), "v2");
    assert_eq!(pressure::limit(), 256 * MIB as u64);
    let stays = || {
        some_rounds();
        assert_eq!(pressure::pressed(), 0);
        assert!(pages::stats().dirty >= 48 * MIB, "{:?}", pages::stats());
    };
    stays();

    // Near the limit, but for page cache.
    app("memory.current", &format!("{}\n", 250 * MIB));
    app(
        "memory.stat",
        &format!("inactive_file {}\nactive_file {}\n", 10 * MIB, 20 * MIB),
    );
    stays();

    // And without.
    app("memory.stat", "inactive_file 4096\nactive_file 4096\n");
    let gone = || pages::stats().dirty == 0;
    rounds_until("near the limit", gone);
    assert!(pressure::pressed() > 0);

    // Calm again: what is freed stays, after a while.
    app("memory.current", &format!("{}\n", 100 * MIB));
    rounds_until("calm", || {
        let before = pressure::pressed();
        leave_behind();
        some_rounds();
        pressure::pressed() == before
    });
    assert!(pages::stats().dirty >= 48 * MIB);

    // Tasks wait for memory.
    stalls(&root, 900_000_000_000);
    rounds_until("stalls", gone);

    // Switched off nothing is looked at.
    config::set(Key::support_pressure, 0);
    let before = pressure::pressed();
    leave_behind();
    app("memory.current", &format!("{}\n", 256 * MIB));
    some_rounds();
    assert_eq!(pressure::pressed(), before);
    assert!(pages::stats().dirty >= 48 * MIB);
}

#[test]
fn what_there_is_is_found() {
    let root = Root::new("aethalloc-groups");
    let open = || Source::open(&root.bytes());
    let s = open();
    assert_eq!((s.kind, s.limit, s.stalls), (Kind::None, 0, false));
    assert_eq!(s.look().room, None);
    s.close();

    root.write("proc/pressure/memory", "some avg10=0.00 total=77\n");
    root.write("proc/self/cgroup", "4:memory:/a/b\n0::/\n");
    root.write("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "1000\n");
    root.write("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "999\n");
    root.write(
        "sys/fs/cgroup/memory/a/b/memory.stat",
        "total_inactive_file 0\n",
    );
    root.write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2000\n");
    root.write(
        "sys/fs/cgroup/memory/memory.limit_in_bytes",
        "9223372036854771712\n",
    );
    let s = open();
    assert_eq!((s.kind, s.limit, s.stalls), (Kind::V1, 1000, true));
    let seen = s.look();
    assert!(seen.room == Some(0) && seen.stalled == Some(77), "{seen:?}");
    root.write("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "500\n");
    assert_eq!(s.look().room, Some(438), "the same files are read again");
    s.close();

    // In a container the group is the root of what can be seen.
    root.write("proc/self/cgroup", "0::/\n");
    root.write("sys/fs/cgroup/memory.high", "4000\n");
    root.write("sys/fs/cgroup/memory.max", "5000\n");
    root.write("sys/fs/cgroup/memory.current", "3900\n");
    let s = open();
    assert_eq!((s.kind, s.limit), (Kind::V2, 4000));
    assert_eq!(s.look().room, Some(0));
    s.close();

    // A path that is too long, or leads elsewhere, is no group.
    root.write("proc/self/cgroup", &format!("0::/{}\n", "x".repeat(2000)));
    fs::remove_file(root.path().join("sys/fs/cgroup/memory.high")).expect("the file");
    fs::remove_file(root.path().join("sys/fs/cgroup/memory.max")).expect("the file");
    let s = open();
    assert_eq!((s.kind, s.limit), (Kind::V2, 0));
    s.close();
}
