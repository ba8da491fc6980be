//! A Rust program whose global allocator is the crate. Under `LD_PRELOAD`, the C library it calls uses the preloaded
//! library: two copies in one process, each with threads, thread ends and forks of its own. Prints what both counted.

use std::collections::HashMap;
use std::ffi::CString;
use std::thread;

#[global_allocator]
static ALLOCATOR: aethalloc::Aethalloc = aethalloc::Aethalloc;

/// Blocks of the C library, filled and checked.
fn of_c(count: usize) -> usize {
    let text = CString::new("x".repeat(300)).expect("no zero byte");
    // SAFETY: zero-terminated text; each copy is freed once, by the C library that made it.
    let copies: Vec<*mut libc::c_char> = (0..count)
        .map(|i| unsafe { libc::strndup(text.as_ptr(), i % 300) })
        .collect();
    copies
        .iter()
        .map(|copy| {
            // SAFETY: as above.
            unsafe {
                let length = libc::strlen(*copy);
                libc::free(copy.cast());
                length
            }
        })
        .sum()
}

/// Blocks of this program.
fn of_rust(count: usize) -> usize {
    let texts: HashMap<usize, String> = (0..count).map(|i| (i, "y".repeat(i % 300))).collect();
    let mut grown = Vec::new();
    for (key, text) in &texts {
        assert_eq!(text.len(), key % 300, "a text changed");
        grown.push(text.len());
    }
    grown.iter().sum()
}

fn both(count: usize) -> usize {
    of_c(count) + of_rust(count)
}

fn main() {
    let mut sum = both(20_000);
    for round in 0..20 {
        let threads: Vec<_> = (0..4)
            .map(|t| thread::spawn(move || both(500 + t * 100 + round)))
            .collect();
        // SAFETY: the child uses only what both allocators promise after fork, and leaves without destructors.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let good = both(400) == 2 * (0..400).map(|i| i % 300).sum::<usize>();
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!good)) };
        }
        let mut status = -1;
        // SAFETY: the kernel writes the status.
        let waited = unsafe { libc::waitpid(child, &mut status, 0) };
        assert!(
            waited == child && status == 0,
            "a child ended with {status:#x}"
        );
        for thread in threads {
            sum += thread.join().expect("a thread panicked");
        }
    }
    println!("{sum}");
}
