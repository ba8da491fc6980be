//! Waking a thread that sleeps until there is something to do, without a call where nobody sleeps.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::{self, Thread};

/// How often to look again before sleeping; about a microsecond.
const SPINS: u32 = 100;

/// One thread waits, any thread rings.
///
/// Orderings: the waiter says that it sleeps, then looks; the ringer makes its change, then looks for a sleeper. Each has
/// a full fence between the two, so at least one sees the other.
#[derive(Default)]
#[repr(align(128))]
pub struct Bell {
    sleeping: AtomicBool,
    waiter: OnceLock<Thread>,
}

impl Bell {
    /// Waits until `ready`. Always called by the same thread.
    pub fn wait(&self, mut ready: impl FnMut() -> bool) {
        for _ in 0..SPINS {
            if ready() {
                return;
            }
            std::hint::spin_loop();
        }
        self.waiter.get_or_init(thread::current);
        self.sleeping.store(true, Ordering::Release);
        // ORDERING: SeqCst, pairs with the fence in `ring`.
        fence(Ordering::SeqCst);
        while !ready() {
            thread::park();
        }
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Wakes the waiter if it sleeps. The caller has made its change before.
    pub fn ring(&self) {
        // ORDERING: SeqCst, pairs with the fence in `wait`; Acquire, so that the waiter's handle is seen.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Acquire)
            && let Some(waiter) = self.waiter.get()
        {
            waiter.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn no_ring_is_lost() {
        const TURNS: u64 = 20_000;
        let (bells, turn) = ([Bell::default(), Bell::default()], AtomicU64::new(0));
        let play = |me: usize| {
            for i in (me as u64..TURNS).step_by(2) {
                bells[me].wait(|| turn.load(Ordering::Acquire) == i);
                turn.store(i + 1, Ordering::Release);
                bells[1 - me].ring();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| play(0));
            scope.spawn(|| play(1));
        });
        assert_eq!(turn.into_inner(), TURNS);
    }
}
