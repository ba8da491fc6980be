//! The smallest program that allocates: one block, one line, exit. Its start-up time and resident
//! size, with and without a library in front, is what the library costs a program that needs none of it.

#[path = "../work/proc.rs"]
#[allow(dead_code)]
mod proc;

fn main() {
    // SAFETY: malloc and free of one block, written within its size.
    unsafe {
        let block = std::hint::black_box(libc::malloc(100)).cast::<u8>();
        if block.is_null() {
            std::process::exit(1);
        }
        block.write(1);
        libc::free(block.cast());
    }
    // Reading smaps_rollup costs time that start-up runs must not pay.
    if std::env::args_os().len() > 1 {
        let memory = proc::memory();
        println!(
            "{{\"marks\":{{\"end\":{{\"rss_kib\":{},\"pss_kib\":{},\"private_dirty_kib\":{},\"anonymous_kib\":{},\"huge_kib\":{}}}}}}}",
            memory.rss_kib,
            memory.pss_kib,
            memory.private_dirty_kib,
            memory.anonymous_kib,
            memory.huge_kib
        );
    }
}
