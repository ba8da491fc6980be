//! Threads that work one at a time: each does what it is told and says when it is done, so that between two actions
//! nobody is inside the allocator.

use crate::input::THREADS;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

type Job = Box<dyn FnOnce() + Send>;

/// The threads; one starts at its first job.
#[derive(Default)]
pub struct Threads {
    workers: [Option<(Sender<Job>, JoinHandle<()>)>; THREADS],
}

impl Threads {
    /// Has thread `who` do `job` and waits for it.
    ///
    /// # Panics
    /// If the job does.
    pub fn run<R: Send + 'static>(
        &mut self,
        who: usize,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> R {
        let (jobs, _) = self.workers[who].get_or_insert_with(|| {
            let (send, receive) = channel::<Job>();
            let body = move || receive.iter().for_each(|job| job());
            (send, std::thread::spawn(body))
        });
        let (done, result) = channel();
        let job = Box::new(move || {
            let r = job();
            let _ = done.send(r);
        });
        assert!(jobs.send(job).is_ok(), "thread {who} has failed");
        match result.recv() {
            Ok(r) => r,
            Err(_) => panic!("thread {who} failed, see above"),
        }
    }

    /// Ends thread `who` and waits until it is gone; the next job finds a new one in its place.
    ///
    /// # Panics
    /// If the thread did.
    pub fn end(&mut self, who: usize) {
        if let Some((jobs, thread)) = self.workers[who].take() {
            drop(jobs);
            assert!(thread.join().is_ok(), "thread {who} failed");
        }
    }
}
