//! `malloc_stats`: a summary on standard error.

use core::ffi::c_int;

use aethalloc_core::stats;
use aethalloc_sys::process;

use super::classes;
use super::text::{Sink, Text};
use crate::os;

struct Fd(c_int);

impl Sink for Fd {
    #[cold]
    fn put(&mut self, bytes: &[u8]) -> bool {
        process::write(self.0, bytes);
        true
    }
}

/// `void malloc_stats(void)`: writes by system calls, past stdio's buffer, and allocates nothing.
#[unsafe(no_mangle)]
#[cold]
pub extern "C" fn malloc_stats() {
    let stats = stats::snapshot();
    let mut out = Text::new(Fd(os::STDERR));
    out.text(concat!("aethalloc ", env!("CARGO_PKG_VERSION"), "\n"));
    let figures: [(&str, u64); 17] = [
        ("bytes allocated", stats.allocated as u64),
        ("  in large objects", stats.allocated_large as u64),
        ("bytes active", stats.active as u64),
        ("bytes mapped", stats.mapped as u64),
        ("bytes retained", stats.retained as u64),
        ("bytes of metadata", stats.metadata as u64),
        ("bytes in caches", stats.cached as u64),
        ("bytes purged", stats.purged),
        ("purges", stats.purges),
        ("bytes charged", stats.charged as u64),
        ("refused by limit", stats.refused),
        ("times memory short", stats.pressed),
        ("large objects", stats.large_count as u64),
        ("threads", stats.threads as u64),
        ("allocations", stats.allocations),
        ("deallocations", stats.deallocations),
        ("reservations", stats.reservations),
    ];
    for (label, value) in figures {
        out.text(label);
        for _ in label.len()..20 {
            out.text(" ");
        }
        out.padded(value, 20).text("\n");
    }
    out.text("      size      slabs        out   capacity\n");
    for class in classes() {
        out.padded(class.size as u64, 10)
            .text(" ")
            .padded(class.slabs as u64, 10)
            .text(" ")
            .padded(class.out as u64, 10)
            .text(" ")
            .padded(class.capacity as u64, 10)
            .text("\n");
    }
    out.finish();
}
