//! The support thread outlasts short times in which the program has one thread: else rounds of threads would have everything that is
//! free given back between two of them.
//!
//! One test, because there is one support thread per process.

use aethalloc_base::options::Key;
use aethalloc_core::{bell, config, front, life};
use aethalloc_sys::thread;
use std::time::{Duration, Instant};

/// Less than what the support thread waits (50 ms).
const SHORT: Duration = Duration::from_millis(40);

/// A thread that allocates and frees, from its begin to its end.
fn one_thread() {
    let work = || {
        let p = front::allocate(64);
        bell::ring();
        // Long enough for a look at how many threads there are.
        std::thread::sleep(Duration::from_millis(30));
        // SAFETY: a block of the test's, freed once.
        unsafe { front::deallocate(p) };
    };
    std::thread::spawn(work).join().expect("it ends");
}

#[test]
fn it_outlasts_short_times_alone() {
    if thread::cpus() < 2 {
        println!("no support thread with one CPU");
        return;
    }
    // SAFETY: null is allowed.
    unsafe { life::start(std::ptr::null()) };
    // It looks every 8 ms.
    config::set(Key::decay, 80);
    // The main thread counts as one.
    let own = front::allocate(64);
    let start = Instant::now();
    let mut judged = 0;
    while judged < 5 {
        // A hang guard, and how long a machine that is never that fast is asked.
        if start.elapsed() > Duration::from_secs(60) {
            println!("{judged} short times only");
            break;
        }
        one_thread();
        let (alone, served) = (Instant::now(), bell::is_served());
        std::thread::sleep(Duration::from_millis(25));
        let still = bell::is_served();
        // Where the machine was slow in between nothing is said.
        if served && alone.elapsed() < SHORT {
            assert!(still, "the support thread ended within {SHORT:?}");
            judged += 1;
        }
    }
    // SAFETY: as above.
    unsafe { front::deallocate(own) };
}
