//! Threads that only allocate and threads that only free, whole batches between them through one list that
//! all share (after xmalloc-test): 1 to 1, 1 to many, many to 1.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::heap::Block;
use crate::params::Params;
use crate::report::{Report, timed};
use crate::rng::Rng;
use crate::single;
use crate::table::Table;

type Batch = Table<Option<Block>>;

/// Batches on their way; their number is fixed, so that nothing but blocks is allocated.
struct Pool {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    full: Vec<Batch>,
    empty: Vec<Batch>,
    producers: usize,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty batch; waits until a consumer has brought one back.
    fn empty(&self) -> Batch {
        let mut state = self.lock();
        loop {
            if let Some(batch) = state.empty.pop() {
                return batch;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A full batch; none when all producers are done.
    fn full(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if let Some(batch) = state.full.pop() {
                return Some(batch);
            }
            if state.producers == 0 {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.lock());
        self.changed.notify_all();
    }
}

/// `producers=P consumers=C low=A high=B batch=N batches=N ops=N`: `batches` are on their way at most, each producer
/// fills `ops`.
pub fn run(params: &mut Params) -> Report {
    let producers = params.need("producers");
    let consumers = params.need("consumers");
    let (low, high) = (params.need("low"), params.need("high"));
    let batch = params.need("batch") as usize;
    let batches = params.need("batches") as usize;
    let ops = params.need("ops");
    let mut state = State {
        full: Vec::with_capacity(batches),
        empty: Vec::with_capacity(batches),
        producers: producers as usize,
    };
    for _ in 0..batches {
        state.empty.push(Table::new(batch, |_| None));
    }
    let pool = Pool {
        state: Mutex::new(state),
        changed: Condvar::new(),
    };
    let checksum = AtomicU64::new(0);
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            for producer in 0..producers {
                let pool = &pool;
                scope.spawn(move || {
                    let mut rng = Rng::new(20, producer);
                    for _ in 0..ops {
                        let mut batch = pool.empty();
                        for slot in batch.iter_mut() {
                            *slot = Some(Block::new(rng.between(low, high), rng.next() as u32));
                        }
                        pool.change(|state| state.full.push(batch));
                    }
                    pool.change(|state| state.producers -= 1);
                });
            }
            for _ in 0..consumers {
                let (pool, checksum) = (&pool, &checksum);
                scope.spawn(move || {
                    let mut sum = 0u64;
                    while let Some(mut batch) = pool.full() {
                        sum = sum.wrapping_add(single::empty(&mut batch));
                        pool.change(|state| state.empty.push(batch));
                    }
                    checksum.fetch_add(sum, Ordering::Relaxed);
                });
            }
        });
    });
    Report::new(
        checksum.load(Ordering::Relaxed),
        producers * ops * batch as u64,
        seconds,
    )
}
