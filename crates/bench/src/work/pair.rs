//! malloc and free of one size, one after the other, one thread: the fast path and nothing else.

use crate::params::Params;
use crate::report::{Report, timed};

/// `sizes=16,64 ops=N`: N pairs per size. `ns_SIZE` is the time of one pair.
pub fn run(params: &mut Params) -> Report {
    let sizes = params.list("sizes");
    let ops = params.need("ops");
    let mut checksum = 0u64;
    let mut total = 0.0;
    let mut figures = Vec::new();
    for &size in &sizes {
        pairs(size as usize, ops / 100);
        let (sum, seconds) = timed(|| pairs(size as usize, ops));
        checksum = checksum.wrapping_add(sum.wrapping_mul(size));
        total += seconds;
        figures.push((format!("ns_{size}"), seconds * 1e9 / ops as f64));
    }
    let mut report = Report::new(checksum, ops * sizes.len() as u64, total);
    for (name, value) in figures {
        report.extra(name, value);
    }
    report
}

fn pairs(size: usize, ops: u64) -> u64 {
    let mut sum = 0u64;
    for i in 0..ops {
        // SAFETY: the block is written and read within its size (at least 8 by the definitions) and freed once;
        // black_box keeps the compiler from removing the pair.
        unsafe {
            let block = std::hint::black_box(libc::malloc(size)).cast::<u64>();
            if block.is_null() {
                crate::params::fail("malloc returned null");
            }
            block.write(i);
            sum = sum.wrapping_add(std::hint::black_box(block).read());
            libc::free(block.cast());
        }
    }
    sum
}
