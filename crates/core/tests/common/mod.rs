//! What the tests share: seeds, random numbers, patterns in objects. The tests' own memory is the system's.
#![allow(dead_code)]

use aethalloc_base::class;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The tests run on an emulator, which keeps notes of every page of the reservation: it is small.
pub fn emulated() -> bool {
    std::env::var_os("AETHALLOC_EMULATOR").is_some()
}

/// A command that runs this test program, on the emulator if it runs there.
pub fn this_program() -> std::process::Command {
    let me = std::env::current_exe().expect("this program");
    let words = std::env::var("AETHALLOC_EMULATOR").unwrap_or_default();
    let mut words = words.split_whitespace();
    match words.next() {
        None => std::process::Command::new(me),
        Some(emulator) => {
            let mut command = std::process::Command::new(emulator);
            command.args(words).arg(me);
            command
        }
    }
}

/// Starts the library with `options`; an emulator, which keeps notes of every page that is reserved, gets a small space.
pub fn start_with(options: &str) {
    let reserve = if emulated() { ",reserve:8g" } else { "" };
    let conf = format!("AETHALLOC_CONF={options}{reserve}\0");
    let environment = [conf.leak().as_ptr(), std::ptr::null()];
    // SAFETY: zero-terminated, and terminated by null.
    unsafe { aethalloc_core::life::start(environment.as_ptr().cast()) };
}

const ROLE: &str = "AETHALLOC_TEST_ROLE";

/// The test `role`, again, in a process of its own.
pub fn again(role: &str) -> std::process::Output {
    let mut command = this_program();
    command.args([role, "--exact", "--nocapture"]);
    command.env(ROLE, role).output().expect("it runs")
}

/// Whether this is such a process.
pub fn is_role() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Whether this is the process of its own of the test `name`; else false, after that process has ended well.
pub fn is_process_of(name: &str) -> bool {
    if is_role() {
        return true;
    }
    let out = again(name);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{text}");
    false
}

/// A folder that goes with the test.
pub struct Root(PathBuf);

impl Root {
    /// An empty one.
    pub fn new(name: &str) -> Root {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Root(path)
    }
    /// Writes a file, in place: who has it open sees it.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// The same, as the library takes it.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.as_os_str().as_encoded_bytes().to_vec()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all::<&Path>(&self.0);
    }
}

/// The seed of this run: `AETHALLOC_SEED`, else the time. Printed, so that a failure can be repeated.
pub fn seed() -> u64 {
    let seed = match std::env::var("AETHALLOC_SEED") {
        Ok(text) => text.parse().expect("AETHALLOC_SEED is a number"),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a time after 1970")
            .as_nanos() as u64,
    };
    // Not println: what that prints is lost when the allocator ends the process.
    let line = format!("seed {seed} (AETHALLOC_SEED={seed} repeats this run)\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error");
    seed
}

/// SplitMix64.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// Stream `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Random {
        let mut r = Random(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        r.next();
        r
    }
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    /// True once in `n`.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    /// A size at or beside a class boundary, or anywhere below `most`.
    pub fn size(&mut self, most: usize) -> usize {
        let size = if self.once_in(2) {
            class::SIZES[class::FIRST + self.below(class::COUNT - class::FIRST)] as usize + 1
                - self.below(3)
        } else {
            // As many in each doubling.
            (1 << self.below(most.ilog2() as usize + 1)) + self.below(64)
        };
        size.min(most)
    }
}

fn mix(mut v: u64) -> u64 {
    v = (v ^ v >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    v = (v ^ v >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    v ^ v >> 31
}

/// A live object of the allocator under test.
#[derive(Debug)]
pub struct Object {
    /// Where.
    pub address: usize,
    /// Bytes asked for.
    pub size: usize,
    /// What it is filled with.
    pub tag: u64,
}

impl Object {
    /// An object just allocated, filled.
    pub fn new(p: *mut u8, size: usize, tag: u64) -> Object {
        assert!(!p.is_null(), "out of memory at {size} bytes");
        let o = Object {
            address: p.addr(),
            size,
            tag,
        };
        o.fill();
        o
    }
    /// Its pointer.
    pub fn pointer(&self) -> *mut u8 {
        aethalloc_core::space::pointer(self.address)
    }
    /// Word `i` of its pattern.
    fn word(&self, i: usize) -> u64 {
        self.tag ^ (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
    /// Writes the pattern.
    pub fn fill(&self) {
        let p = self.pointer();
        for i in 0..self.size / 8 {
            // SAFETY: inside the object; blocks are aligned to 16.
            unsafe { p.cast::<u64>().add(i).write(self.word(i)) };
        }
        for i in self.size & !7..self.size {
            // SAFETY: inside the object.
            unsafe { p.add(i).write(self.word(i) as u8) };
        }
    }
    /// Ends the test if a byte of the first `n` changed.
    pub fn check(&self, n: usize) {
        let p = self.pointer();
        let whole = self.size / 8;
        for i in 0..n.min(self.size) / 8 {
            // SAFETY: inside the object.
            let found = unsafe { p.cast::<u64>().add(i).read() };
            assert_eq!(found, self.word(i), "{self:x?} changed at byte {}", i * 8);
        }
        for i in (n.min(self.size) & !7)..n.min(self.size) {
            // SAFETY: inside the object.
            let found = unsafe { p.add(i).read() };
            let wanted = if i / 8 < whole {
                self.word(i / 8).to_ne_bytes()[i % 8]
            } else {
                self.word(i) as u8
            };
            assert_eq!(found, wanted, "{self:x?} changed at byte {i}");
        }
    }
    /// Checks and frees it.
    pub fn free(self) {
        self.check(self.size);
        // SAFETY: live, and nothing uses it afterwards.
        unsafe { aethalloc_core::front::deallocate(self.pointer()) };
    }
}

/// Panics unless the `n` bytes at `p` are zero.
///
/// # Safety
/// They are readable, `p` a multiple of 8.
pub unsafe fn assert_zero(p: *const u8, n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..n / 8 {
            assert_eq!(
                p.cast::<u64>().add(i).read(),
                0,
                "byte {} of {n} at {p:?} is not zero",
                i * 8
            );
        }
        for i in n & !7..n {
            assert_eq!(p.add(i).read(), 0, "byte {i} of {n} at {p:?} is not zero");
        }
    }
}

/// A figure of the process's memory (`smaps_rollup`), in bytes.
pub fn memory_figure(name: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("smaps_rollup");
    let line = text.lines().find(|l| l.starts_with(name));
    let figure = line.and_then(|l| l.split_whitespace().nth(1));
    figure
        .expect("a figure")
        .parse::<usize>()
        .expect("a number")
        << 10
}

/// Sizes of the process's mappings for which huge pages were asked for (proc(5), VmFlags); `None` where huge pages are for all, or for none.
pub fn asked_for_huge() -> Option<Vec<usize>> {
    let system = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if !system.unwrap_or_default().contains("[madvise]") || emulated() {
        return None;
    }
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("the process's mappings");
    let (mut sizes, mut kib) = (Vec::new(), 0);
    for line in maps.lines() {
        if let Some(size) = line.strip_prefix("Size:") {
            kib = size.trim().trim_end_matches(" kB").parse().expect("kB");
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && flags.split_whitespace().any(|word| word == "hg")
        {
            sizes.push(kib << 10);
        }
    }
    Some(sizes)
}

/// Addresses of `count` blocks of `size` bytes, for [`give_back`].
pub fn take(count: usize, size: usize) -> Vec<usize> {
    let one = |_| aethalloc_core::front::allocate(size).expose_provenance();
    (0..count).map(one).collect()
}

/// Frees what [`take`] returned.
pub fn give_back(blocks: Vec<usize>) {
    for p in blocks {
        // SAFETY: a block of the test's, freed once.
        unsafe { aethalloc_core::front::deallocate(std::ptr::with_exposed_provenance_mut(p)) };
    }
}
