//! The bell's word: whether a support thread exists, sleeps, or looks around anyway.
//!
//! ```text
//! | 31            3 | 2 POKED | 1  mode  0 |
//!
//!            begin            awake            park
//!   ABSENT ---------> STARTING -----> AWAKE --------> PARKED
//!     ^                  |            ^   ^-- unpark, ring --'  |
//!     |                  | abort      | poke: AWAKE | POKED     |
//!     +------------------+            |                         |
//!     +---------------------------------------------------------+ end
//! ```
//! # Roles
//! Anyone rings after changing something that the support thread may care about (the *truth*: counts of dirty units, of bytes
//! out). One thread begins. The support thread parks, unparks and ends; there is one at most, from `begin` to `end`.
//! # Who waits for whom
//! Nobody for the support thread. It sleeps with a limit while AWAKE, and until it is rung while PARKED.
//! # Orderings
//! Parking is store-buffering (Dekker): the support thread stores PARKED and then looks at the truth once more; a ringer
//! stores the truth and then looks at the mode. One of them must see the other. Ringing happens often and parking
//! seldom, so the barrier is the parker's (membarrier runs it on every thread); the ringer pays a compiler fence.

use crate::sync::{AtomicU32, Ordering::*};

const MODE: u32 = 3;
/// No support thread.
pub const ABSENT: u32 = 0;
/// Somebody creates one.
pub const STARTING: u32 = 1;
/// It works, or will look again within a moment by itself.
pub const AWAKE: u32 = 2;
/// It sleeps until it is rung.
pub const PARKED: u32 = 3;
/// It is to look now.
pub const POKED: u32 = 4;

/// What a ringer must do.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// Nothing.
    Nothing,
    /// Wake the sleeper (a futex on the word).
    Wake,
    /// There is no support thread: start one if that is allowed.
    Start,
}

/// The word. Zero is ABSENT, so that a page of zeroes (a fork's child) has none.
#[repr(transparent)]
pub struct Word(AtomicU32);

impl Word {
    /// ABSENT.
    pub const fn new() -> Self {
        Word(AtomicU32::new(0))
    }

    /// The atomic, for the futex.
    pub fn futex(&self) -> &AtomicU32 {
        &self.0
    }

    /// The mode.
    pub fn mode(&self) -> u32 {
        self.0.load(Relaxed) & MODE
    }

    /// The truth has changed. `light_fence` keeps the compiler from moving the change behind the look at the mode.
    #[inline]
    pub fn ring(&self, light_fence: impl Fn()) -> After {
        light_fence();
        // ORDERING: Relaxed: see above; the parker's barrier is the other half.
        match self.0.load(Relaxed) & MODE {
            ABSENT => After::Start,
            PARKED => self.wake(0),
            _ => After::Nothing,
        }
    }

    /// The support thread is to look now, whatever it does.
    pub fn poke(&self) -> After {
        self.wake(POKED)
    }

    fn wake(&self, flag: u32) -> After {
        let mut now = self.0.load(Relaxed);
        loop {
            let new = match now & MODE {
                PARKED => AWAKE | flag,
                AWAKE if now & flag != flag => now | flag,
                ABSENT => return After::Start,
                _ => return After::Nothing,
            };
            // ORDERING: Release, pairs with Acquire in `unpark` and `take_poke`.
            match self.0.compare_exchange(now, new, Release, Relaxed) {
                Ok(_) => return After::Wake,
                Err(v) => now = v,
            }
        }
    }

    /// Claims the right to create the support thread.
    pub fn begin(&self) -> bool {
        // ORDERING: Acquire, pairs with Release in `end` and `abort`: what the last one left is seen.
        self.0
            .compare_exchange(ABSENT, STARTING, Acquire, Relaxed)
            .is_ok()
    }

    /// The support thread is gone without having ended (whoever is sure of that); false if it had not begun.
    pub fn bury(&self) -> bool {
        let now = self.0.load(Relaxed);
        // ORDERING: Release, pairs with Acquire in `begin`.
        now & MODE >= AWAKE
            && self
                .0
                .compare_exchange(now, ABSENT, Release, Relaxed)
                .is_ok()
    }

    /// It could not be created.
    pub fn abort(&self) {
        self.0.store(ABSENT, Release);
    }

    /// The support thread has begun.
    pub fn awake(&self) {
        self.0.store(AWAKE, Release);
    }

    /// The support thread: was it poked? Forgets it.
    pub fn take_poke(&self) -> bool {
        // ORDERING: Acquire, pairs with Release in `wake`.
        self.0.fetch_and(!POKED, Acquire) & POKED != 0
    }

    /// The support thread announces that it will sleep until rung: true if nobody poked it. It must look at the truth once
    /// more before it sleeps, and [`Word::unpark`] if it finds something.
    pub fn park(&self, heavy_fence: impl FnOnce()) -> bool {
        let parked = self
            .0
            .compare_exchange(AWAKE, PARKED, Relaxed, Relaxed)
            .is_ok();
        heavy_fence();
        parked
    }

    /// The support thread goes on, whether somebody rang or not.
    pub fn unpark(&self) {
        // ORDERING: Acquire, pairs with Release in `wake`.
        let _ = self.0.compare_exchange(PARKED, AWAKE, Acquire, Acquire);
    }

    /// The parked support thread ends, unless somebody rang.
    pub fn end(&self) -> bool {
        // ORDERING: Release, pairs with Acquire in `begin`: the next one continues with its state.
        self.0
            .compare_exchange(PARKED, ABSENT, Release, Relaxed)
            .is_ok()
    }
}

impl Default for Word {
    fn default() -> Self {
        Self::new()
    }
}
