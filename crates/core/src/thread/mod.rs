//! The thread cache: what makes `malloc` and `free` a few instructions.
//!
//! ```text
//! TLS, 32 B           cache, every thread             bins, threads that do much
//! bins, budget, ...    stash and heat per class        per class: a mask of blocks to hand out, the slab they lie in
//! ```
//! A class is *cold* in a thread until it was used often (`policy::heat`): blocks are taken one by one, so that 2000 threads
//! with a few objects each cost next to nothing; several at a time in a thread that took many of other classes, or follows such threads (`expect`).
//! Then its bin is filled by `refill`, a group of blocks at a time.
//! Called by `front`; uses spans and space. Thread life: `exit`, and `life` beside this folder.

pub mod bins;
pub mod cache;
pub mod cold;
pub mod exit;
pub mod expect;
pub mod inside;
pub mod stock;
pub mod tls;
