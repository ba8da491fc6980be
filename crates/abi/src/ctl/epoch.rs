//! The figures that `stats.*` reports: taken when `epoch` is written, or at the first question, as jemalloc does.
//!
//! Roles: any thread refreshes, any thread reads. States: epoch 0 (nothing taken yet), then one more per refresh.
//! Who touches what when: every word is written whole, at any time. Orderings: all Relaxed; two threads that refresh
//! at once may mix their figures, which are not a consistent cut anyway, and no lock is left held in a forked child.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use aethalloc_core::stats::{self, Stats};

macro_rules! figures {
    ($($field:ident: $atomic:ident,)*) => {
        struct Figures {
            $($field: $atomic,)*
        }

        static FIGURES: Figures = Figures {
            $($field: $atomic::new(0),)*
        };

        #[cold]
        fn publish(stats: &Stats) {
            $(FIGURES.$field.store(stats.$field, Relaxed);)*
        }

        #[cold]
        fn published() -> Stats {
            Stats {
                $($field: FIGURES.$field.load(Relaxed),)*
                ..Stats::default()
            }
        }
    };
}

figures! {
    allocated: AtomicUsize,
    allocated_large: AtomicUsize,
    active: AtomicUsize,
    mapped: AtomicUsize,
    retained: AtomicUsize,
    metadata: AtomicUsize,
    purges: AtomicU64,
    purged: AtomicU64,
    threads: AtomicUsize,
}

static EPOCH: AtomicU64 = AtomicU64::new(0);

/// Takes new figures.
#[cold]
pub fn advance() {
    publish(&stats::snapshot());
    EPOCH.fetch_add(1, Relaxed);
}

/// Number of times figures were taken, at least 1.
#[cold]
pub fn current() -> u64 {
    if EPOCH.load(Relaxed) == 0 {
        advance();
    }
    EPOCH.load(Relaxed)
}

/// The figures of the current epoch; only the fields listed in this file.
#[cold]
pub fn figures() -> Stats {
    current();
    published()
}
