//! What a program needs again only now and then costs little time: frees do not keep it.
//!
//! One test, because what was missed is remembered by the process.

mod common;

use aethalloc_base::policy;
use aethalloc_base::units::UNIT;
use aethalloc_core::pages;

#[test]
fn memory_that_is_seldom_missed_is_given_back() {
    common::start_with("support:off");
    // A load that comes and goes eight times a second at most: less than is regretted.
    let units = (6 << 20) / UNIT;
    for _ in 0..20 {
        let runs: Vec<_> = (0..units)
            .map(|_| pages::take(1).expect("memory for a run"))
            .collect();
        for mut run in runs {
            run.clean = false;
            pages::give(run);
        }
        let s = pages::stats();
        let bound = policy::retained_limit(s.used, 2 << 20, 10);
        assert!(s.dirty <= bound, "more than the default bound: {s:?}");
        std::thread::sleep(std::time::Duration::from_millis(125));
    }
}
