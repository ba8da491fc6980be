//! What the allocator can say about itself.

use crate::guard::pages::Means;
use crate::space::entry::{self, Kind};
use crate::span::central;
use crate::span::slab::Slab;
use crate::span::{live, owners};
use crate::sync::Ordering::*;
use crate::thread::cache::{Cache, me};
use crate::thread::inside::Inside;
use aethalloc_base::class;
use aethalloc_base::options::Key;
use aethalloc_sys::process;

/// Figures in bytes unless named a count; one instant's view, not a consistent cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Bytes in live objects (usable size).
    pub allocated: usize,
    /// Bytes in live objects that are large (have a span of their own).
    pub allocated_large: usize,
    /// Number of live large objects.
    pub large_count: usize,
    /// Bytes in spans that hold at least one object.
    pub active: usize,
    /// Bytes of address space made accessible.
    pub mapped: usize,
    /// Bytes of free spans that were touched and not yet given back.
    pub retained: usize,
    /// Bytes of the allocator's own descriptors and caches made accessible.
    pub metadata: usize,
    /// Bytes of free blocks that threads have reserved.
    pub cached: usize,
    /// Count: blocks handed out or reserved by threads, plus large allocations, since the start.
    pub allocations: u64,
    /// Count: those of them that are free again.
    pub deallocations: u64,
    /// Count: groups of blocks reserved by threads, one compare-and-swap each.
    pub reservations: u64,
    /// Count: purge calls to the system.
    pub purges: u64,
    /// Bytes given back to the system since the start.
    pub purged: u64,
    /// Count: threads that have a cache now.
    pub threads: usize,
    /// Bytes that count against the options `limit` and `limit_soft`.
    pub charged: usize,
    /// Count: runs of memory (slabs, large objects) that `limit` refused.
    pub refused: u64,
    /// Count: looks of the support thread that found memory short.
    pub pressed: u64,
}

/// One size class's figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassStats {
    /// Block size in bytes.
    pub size: usize,
    /// Count: slabs.
    pub slabs: usize,
    /// Count: blocks handed out and not freed.
    pub out: usize,
    /// Count: blocks that fit in the class's slabs.
    pub capacity: usize,
}

/// A snapshot of the process.
#[cold]
pub fn snapshot() -> Stats {
    let mut s = Stats::default();
    // A signal handler that interrupted a slow path is told nothing.
    let Some(_inside) = Inside::enter(me()) else {
        return s;
    };
    if !crate::space::ready() {
        return s;
    }
    let pages = crate::pages::stats();
    let (large_bytes, large_count, large_made) = crate::front::large::stats();
    let (mut taken, mut reservations) = live::retired();
    {
        let _held = owners::lock().take();
        owners::each(|owner| {
            let cache = owner.cast::<Cache>();
            // SAFETY: registered, and the registry's lock keeps it so; counters are atomics, the rest racy reads.
            unsafe {
                taken += (*cache).taken.load(Relaxed);
                reservations += (*cache).owner.reservations.load(Relaxed);
                s.cached += crate::thread::cache::held_bytes(cache);
            }
        });
        s.threads = owners::live();
    }
    let (mut out_bytes, mut out) = (0, 0);
    let mut i = 0;
    while let Some(c) = class(i) {
        out_bytes += c.out * c.size;
        out += c.out as u64;
        i += 1;
    }
    let (guarded_bytes, guarded_made, guarded_ended) = crate::guard::figures();
    s.allocated = out_bytes + large_bytes + guarded_bytes;
    s.allocated_large = large_bytes;
    s.large_count = large_count;
    s.active = pages.used;
    s.mapped = pages.committed;
    s.retained = pages.dirty;
    s.metadata = crate::space::meta::committed();
    s.allocations = taken + large_made + guarded_made;
    let ended = taken.saturating_sub(out) + large_made - large_count as u64;
    s.deallocations = ended.wrapping_add(guarded_ended);
    s.reservations = reservations;
    s.purges = pages.purges;
    s.purged = pages.purged;
    s.charged = crate::pages::limit::charged();
    s.refused = crate::pages::limit::refused();
    s.pressed = crate::support::pressure::pressed();
    s
}

/// Figures of size class number `i` (from 0), `None` past the last. Walks the page map and the class's state bytes: about a
/// nanosecond for each block that fits its slabs.
#[cold]
pub fn class(i: usize) -> Option<ClassStats> {
    let c = i + class::FIRST;
    if c >= class::COUNT {
        return None;
    }
    let size = class::size(c);
    let slabs = central::of(c).slabs.load(Relaxed) as usize;
    let mut out = 0;
    if slabs > 0 {
        let mut seen = 0;
        for u in crate::space::first_unit()..crate::pages::top_unit() {
            if let Kind::Slab {
                class,
                part: 0,
                state,
                ..
            } = entry::load(u)
                && class == c
            {
                out += Slab::of_entry(c, 0, state).out_count(c);
                seen += 1;
                if seen >= slabs {
                    break;
                }
            }
        }
    }
    Some(ClassStats {
        size,
        slabs,
        out,
        capacity: slabs * class::blocks(c),
    })
}

/// Appends a line of JSON about this process to the file of option `stats_file`.
pub fn report(event: &str) {
    if let Some(path) = crate::life::path_option(Key::stats_file) {
        append(path, event);
    }
}

#[cold]
#[inline(never)]
fn append(path: &[u8], event: &str) {
    let mut name = [0u8; 4096];
    let Some(room) = name.get_mut(..path.len()) else {
        return;
    };
    room.copy_from_slice(path);
    let Some(file) = name.get(..path.len() + 1) else {
        return;
    };
    let Ok(fd) = process::open_append(file) else {
        return;
    };
    let mut exe = [0u8; 512];
    let n = process::read_link(b"/proc/self/exe\0", &mut exe);
    let mut line = Json::new();
    line.text("{\"event\":\"")
        .text(event)
        .text("\",\"pid\":")
        .number(process::pid() as u64);
    line.text(",\"exe\":\"")
        .escaped(exe.get(..n).unwrap_or(&[]))
        .text("\"");
    let s = snapshot();
    for (name, v) in [
        ("allocations", s.allocations),
        ("deallocations", s.deallocations),
        ("allocated", s.allocated as u64),
        ("active", s.active as u64),
        ("mapped", s.mapped as u64),
        ("retained", s.retained as u64),
        ("metadata", s.metadata as u64),
        ("cached", s.cached as u64),
        ("purged", s.purged),
        ("threads", s.threads as u64),
        ("charged", s.charged as u64),
        ("refused", s.refused),
        ("pressed", s.pressed),
        ("group_limit", crate::support::pressure::limit()),
    ] {
        line.text(",\"").text(name).text("\":").number(v);
    }
    line.text(",\"group\":\"")
        .text(crate::support::pressure::known())
        .text("\"");
    line.text(",\"safety\":\"")
        .text(crate::guard::name())
        .text("\",\"guards\":\"")
        .text(match crate::guard::pages::means() {
            Means::None => "none",
            Means::Install => "install",
            Means::Protect => "protect",
        })
        .text("\"");
    for (name, v) in crate::guard::counts() {
        line.text(",\"").text(name).text("\":").number(v);
    }
    line.text("}\n");
    process::write(fd, line.as_bytes());
    process::close(fd);
}

/// A line of JSON in a fixed buffer; what does not fit is cut.
struct Json {
    text: [u8; 2048],
    len: usize,
}

impl Json {
    #[cold]
    fn new() -> Self {
        Json {
            text: [0; 2048],
            len: 0,
        }
    }
    #[cold]
    fn byte(&mut self, b: u8) {
        if let Some(slot) = self.text.get_mut(self.len) {
            *slot = b;
            self.len += 1;
        }
    }
    #[cold]
    fn text(&mut self, s: &str) -> &mut Self {
        for b in s.bytes() {
            self.byte(b);
        }
        self
    }
    #[cold]
    fn escaped(&mut self, s: &[u8]) -> &mut Self {
        for b in s {
            match *b {
                b'"' | b'\\' => {
                    self.byte(b'\\');
                    self.byte(*b);
                }
                0..0x20 => self.byte(b'?'),
                b => self.byte(b),
            }
        }
        self
    }
    #[cold]
    fn number(&mut self, v: u64) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut n = digits.len();
        let mut v = v;
        loop {
            n -= 1;
            if let Some(d) = digits.get_mut(n) {
                *d = b'0' + (v % 10) as u8;
            }
            v /= 10;
            if v == 0 || n == 0 {
                break;
            }
        }
        for d in digits.get(n..).unwrap_or(&[]) {
            self.byte(*d);
        }
        self
    }
    #[cold]
    fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or(&[])
    }
}
