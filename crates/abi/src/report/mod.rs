//! The functions by which a program asks libc about its heap, and `mallopt`.

mod info;
mod mallinfo;
mod mallopt;
mod summary;
mod text;

use aethalloc_core::stats::{self, ClassStats};

/// The classes that have slabs.
#[cold]
fn classes() -> impl Iterator<Item = ClassStats> {
    (0..)
        .map_while(stats::class)
        .filter(|class| class.slabs > 0)
}
