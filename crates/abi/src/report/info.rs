//! `malloc_info`: the heap as XML, in the elements that glibc uses.

use core::ffi::{c_char, c_int, c_void};

use aethalloc_core::stats::{self, Stats};

use super::classes;
use super::text::{Sink, Text};
use crate::os;

unsafe extern "C" {
    #[cold]
    fn fputs(text: *const c_char, stream: *mut c_void) -> c_int;
}

/// The caller's stream.
struct Stream(*mut c_void);

impl Sink for Stream {
    #[cold]
    fn put(&mut self, bytes: &[u8]) -> bool {
        // SAFETY: `malloc_info`'s caller gave a stream; a zero byte follows the text (`Sink`). No lock of ours is
        // held: the stream may allocate.
        unsafe { fputs(bytes.as_ptr().cast(), self.0) >= 0 }
    }
}

/// `int malloc_info(int options, FILE *stream)`: 0; EINVAL for options other than 0; -1 if the stream has an error.
///
/// One `heap` element stands for all threads. `size` elements list the free blocks inside slabs, `fast` the blocks in
/// thread caches (bytes only: they are not counted), `rest` the free blocks and pages, `mmap` the large objects.
///
/// # Safety
/// `stream` is an open stream.
#[unsafe(no_mangle)]
#[cold]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut c_void) -> c_int {
    if options != 0 || stream.is_null() {
        os::set_errno(os::EINVAL);
        return os::EINVAL;
    }
    let stats = stats::snapshot();
    let mut out = Text::new(Stream(stream));
    out.text("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n");
    let (mut blocks, mut bytes) = (0u64, 0u64);
    for class in classes() {
        let free = class.capacity.saturating_sub(class.out) as u64;
        if free == 0 {
            continue;
        }
        let size = class.size as u64;
        out.text("  <size from=\"").number(size);
        out.text("\" to=\"").number(size);
        out.text("\" total=\"").number(free.wrapping_mul(size));
        out.text("\" count=\"").number(free).text("\"/>\n");
        blocks += free;
        bytes = bytes.wrapping_add(free.wrapping_mul(size));
    }
    out.text("</sizes>\n");
    totals(&mut out, &stats, blocks, bytes);
    out.text("</heap>\n");
    totals(&mut out, &stats, blocks, bytes);
    out.text("</malloc>\n");
    if out.finish() { 0 } else { -1 }
}

/// The figures of the heap, which are the process's too.
#[cold]
fn totals(out: &mut Text<Stream>, stats: &Stats, blocks: u64, bytes: u64) {
    let rest = bytes.saturating_add(stats.retained as u64);
    out.text("<total type=\"fast\" size=\"")
        .number(stats.cached as u64);
    out.text("\"/>\n<total type=\"rest\" count=\"")
        .number(blocks);
    out.text("\" size=\"").number(rest);
    out.text("\"/>\n<total type=\"mmap\" count=\"")
        .number(stats.large_count as u64);
    out.text("\" size=\"").number(stats.allocated_large as u64);
    out.text("\"/>\n<system type=\"current\" size=\"")
        .number(stats.mapped as u64);
    out.text("\"/>\n<aspace type=\"total\" size=\"")
        .number(stats.mapped as u64);
    out.text("\"/>\n<aspace type=\"mprotect\" size=\"")
        .number(stats.mapped as u64);
    out.text("\"/>\n");
}
