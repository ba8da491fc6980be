//! The thread cache: what makes `malloc` and `free` a few instructions.
//!
//! ```text
//! TLS, 832 B          cache, 512 B, every thread      hot part, 2 KiB, threads that do much
//! limit, tops, heads,  stash and heat per class   ->   per class: held slab, own slabs, spare windows; outbox
//! ```
//! A class is *cold* in a thread until it was used `HEAT` times: blocks come and go one by one, so that 2000 threads
//! with a few objects each cost next to nothing. Then it gets a window (`window`), filled by `refill`, emptied by
//! `spill`. Called by `front`; uses spans, depot and space. Thread life: `life`.

pub mod cache;
pub mod cold;
pub mod exit;
pub mod flush;
pub mod gate;
pub mod magazine;
pub mod medium;
pub mod outbox;
pub mod tls;
