//! Many threads with small stacks, each holding a few small objects: what a thread costs in memory.
//!
//! `mode=none` is the same program with its malloc calls compiled out (the `Source` of its objects is
//! a constant of the generic thread body); threads are made by pthread_create directly, because a Rust
//! thread allocates. Difference of both = objects + what the allocator keeps per thread.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::heap::Block;
use crate::params::{self, Params};
use crate::proc;
use crate::report::{Report, timed};
use crate::rng::Rng;
use crate::table::Table;

/// Most objects a thread can hold: its array lives on its stack.
const MOST: usize = 256;

static ARRIVED: AtomicU32 = AtomicU32::new(0);
static RELEASED: AtomicU32 = AtomicU32::new(0);
static CHECKSUM: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static OBJECTS: AtomicU64 = AtomicU64::new(0);
static SMALLEST: AtomicU64 = AtomicU64::new(0);
static LARGEST: AtomicU64 = AtomicU64::new(0);

/// `threads=2000 stack=64k objects=64 low=16 high=560 mode=malloc|none`
pub fn run(params: &mut Params) -> Report {
    let count = params.need("threads") as usize;
    let stack = params.need("stack") as usize;
    let objects = params.need("objects");
    if objects as usize > MOST {
        params::fail("objects: at most 256");
    }
    OBJECTS.store(objects, Ordering::Relaxed);
    SMALLEST.store(params.need("low"), Ordering::Relaxed);
    LARGEST.store(params.need("high"), Ordering::Relaxed);
    let body = match params.word("mode", "malloc").as_str() {
        "malloc" => body::<true>,
        "none" => body::<false>,
        other => params::fail(&format!("mode: malloc or none, not '{other}'")),
    };
    let mut handles = Table::new(count, |_| 0 as libc::pthread_t);
    let (memory, seconds) = timed(|| {
        start_all(&mut handles, stack, body);
        while ARRIVED.load(Ordering::Acquire) < count as u32 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let memory = proc::memory();
        RELEASED.store(1, Ordering::Release);
        futex(libc::FUTEX_WAKE, i32::MAX as u32);
        for handle in handles.iter() {
            // SAFETY: each handle is joined once.
            unsafe { libc::pthread_join(*handle, std::ptr::null_mut()) };
        }
        memory
    });
    let mut report = Report::new(
        CHECKSUM.load(Ordering::Relaxed),
        count as u64 * objects,
        seconds,
    );
    report.mark("full", memory);
    report.extra("objects_kib", BYTES.load(Ordering::Relaxed) as f64 / 1024.0);
    report
}

fn start_all(
    handles: &mut [libc::pthread_t],
    stack: usize,
    body: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void,
) {
    // SAFETY: the attributes are initialised before use; each handle is a valid place.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        libc::pthread_attr_init(&mut attributes);
        libc::pthread_attr_setstacksize(&mut attributes, stack);
        for (index, handle) in handles.iter_mut().enumerate() {
            let argument = std::ptr::without_provenance_mut(index);
            if libc::pthread_create(handle, &attributes, body, argument) != 0 {
                params::fail("pthread_create failed: too many threads for this system");
            }
        }
        libc::pthread_attr_destroy(&mut attributes);
    }
}

extern "C" fn body<const MALLOC: bool>(argument: *mut libc::c_void) -> *mut libc::c_void {
    let mut rng = Rng::new(2000, argument.addr() as u64);
    let mut held: [Option<Block>; MOST] = [const { None }; MOST];
    let objects = OBJECTS.load(Ordering::Relaxed) as usize;
    let (low, high) = (
        SMALLEST.load(Ordering::Relaxed),
        LARGEST.load(Ordering::Relaxed),
    );
    let mut bytes = 0;
    for slot in &mut held[..objects] {
        let size = rng.between(low, high);
        if MALLOC {
            *slot = Some(Block::filled(size, rng.next() as u32));
            bytes += size;
        }
    }
    BYTES.fetch_add(bytes, Ordering::Relaxed);
    // ORDERING: Release, pairs with the Acquire in run: the objects are there.
    ARRIVED.fetch_add(1, Ordering::Release);
    while RELEASED.load(Ordering::Acquire) == 0 {
        futex(libc::FUTEX_WAIT, 0);
    }
    let mut sum = 0u64;
    for block in held.iter_mut().filter_map(Option::take) {
        sum = sum.wrapping_add(block.release());
    }
    CHECKSUM.fetch_add(sum, Ordering::Relaxed);
    std::ptr::null_mut()
}

fn futex(operation: libc::c_int, value: u32) {
    let none = std::ptr::null::<libc::timespec>();
    // SAFETY: the futex word is static; wrong wake-ups are handled by the loop around.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            RELEASED.as_ptr(),
            operation | libc::FUTEX_PRIVATE_FLAG,
            value,
            none,
        )
    };
}
