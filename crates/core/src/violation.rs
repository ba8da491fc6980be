//! Detected misuse: one line to standard error, then SIGABRT. The text is a part of the interface (tests match it).
//!
//! ```text
//! aethalloc: double free of 0x7f12345678 (size class 64)
//! aethalloc: invalid free of 0x7f12345678 (not the start of a block, size class 64)
//! ```
//! No allocation, no formatting machinery, no lock: a fixed buffer on the stack and one write(2). The support thread, which
//! has no file of the program open, borrows its standard error.

use aethalloc_sys::process;

/// A line being put together.
pub struct Line {
    text: [u8; 200],
    len: usize,
}

impl Line {
    /// `aethalloc: `.
    #[cold]
    pub fn new() -> Self {
        Line {
            text: [0; 200],
            len: 0,
        }
        .text("aethalloc: ")
    }
    /// Adds text; what does not fit is cut.
    #[cold]
    pub fn text(self, s: &str) -> Self {
        self.bytes(s.as_bytes())
    }
    /// Adds bytes.
    #[cold]
    pub fn bytes(mut self, s: &[u8]) -> Self {
        for b in s {
            if let Some(slot) = self.text.get_mut(self.len) {
                *slot = *b;
                self.len += 1;
            }
        }
        self
    }
    /// Adds an address.
    #[cold]
    pub fn address(self, v: usize) -> Self {
        self.text("0x").number(v, 16)
    }
    /// Adds a decimal number.
    #[cold]
    pub fn decimal(self, v: usize) -> Self {
        self.number(v, 10)
    }
    #[cold]
    fn number(self, mut v: usize, radix: usize) -> Self {
        let mut digits = [0u8; 20];
        let mut n = digits.len();
        loop {
            n -= 1;
            let d = (v % radix) as u8;
            if let Some(slot) = digits.get_mut(n) {
                *slot = if d < 10 { b'0' + d } else { b'a' + d - 10 };
            }
            v /= radix;
            if v == 0 || n == 0 {
                break;
            }
        }
        self.bytes(digits.get(n..).unwrap_or(&[]))
    }
    /// Writes the line.
    #[cold]
    pub fn print(self) {
        let line = self.bytes(b"\n");
        process::complain(line.text.get(..line.len).unwrap_or(&[]));
    }
    /// Writes the line and ends the process.
    #[cold]
    pub fn abort(self) -> ! {
        self.print();
        process::abort()
    }
}

impl Default for Line {
    #[cold]
    fn default() -> Self {
        Self::new()
    }
}

/// What the program asked for when it was caught.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// `free` and its kin.
    Free,
    /// `realloc`.
    Realloc,
    /// `malloc_usable_size`.
    UsableSize,
}

impl Verb {
    #[cold]
    fn name(self) -> &'static str {
        match self {
            Verb::Free => "free",
            Verb::Realloc => "realloc",
            Verb::UsableSize => "malloc_usable_size",
        }
    }
}

/// The block is free already.
#[cold]
#[inline(never)]
pub fn double_free(p: usize, size: usize) -> ! {
    used_after_free(Verb::Free, p, size)
}

/// A free block of size class `size` (0: a large object) was freed or resized.
#[cold]
#[inline(never)]
pub fn used_after_free(verb: Verb, p: usize, size: usize) -> ! {
    let line = match verb {
        Verb::Free => Line::new().text("double free of "),
        _ => Line::new()
            .text("invalid ")
            .text(verb.name())
            .text(" of freed "),
    };
    let line = line.address(p);
    if size == 0 {
        line.text(" (large)").abort()
    } else {
        line.text(" (size class ").decimal(size).text(")").abort()
    }
}

/// An address inside a slab that is not the start of a block.
#[cold]
#[inline(never)]
pub fn interior(verb: Verb, p: usize, size: usize) -> ! {
    let line = Line::new()
        .text("invalid ")
        .text(verb.name())
        .text(" of ")
        .address(p);
    line.text(" (not the start of a block, size class ")
        .decimal(size)
        .text(")")
        .abort()
}

/// Byte `at` of the free block of `size` bytes at `p` is not as it was left.
#[cold]
#[inline(never)]
pub fn written_while_free(p: usize, size: usize, at: usize) -> ! {
    Line::new()
        .text("write into the free block of ")
        .decimal(size)
        .text(" bytes at ")
        .address(p)
        .text(": byte ")
        .decimal(at)
        .text(" was changed")
        .abort()
}

/// A block of size class `size` that was never handed out was freed or resized.
#[cold]
#[inline(never)]
pub fn never_allocated(verb: Verb, p: usize, size: usize) -> ! {
    Line::new()
        .text("invalid ")
        .text(verb.name())
        .text(" of ")
        .address(p)
        .text(" (never allocated, size class ")
        .decimal(size)
        .text(")")
        .abort()
}

/// An object of `size` bytes was freed as one of `said` bytes.
#[cold]
#[inline(never)]
pub fn wrong_size(p: usize, size: usize, said: usize) -> ! {
    Line::new()
        .text("invalid free of ")
        .address(p)
        .text(" (an object of ")
        .decimal(size)
        .text(" bytes freed as one of ")
        .decimal(said)
        .text(")")
        .abort()
}

/// Bytes around an object of `size` bytes were changed; `at` is the first.
#[cold]
#[inline(never)]
pub fn overflow(p: usize, size: usize, at: usize, when: &str) -> ! {
    let line = Line::new().text("overflow: byte ");
    let line = if at < p {
        line.text("-").decimal(p - at)
    } else {
        line.decimal(at - p)
    };
    line.text(" of the object of ")
        .decimal(size)
        .text(" bytes at ")
        .address(p)
        .text(" was changed (found ")
        .text(when)
        .text(")")
        .abort()
}

/// An address inside a large object.
#[cold]
#[inline(never)]
pub fn inside_large(verb: Verb, p: usize) -> ! {
    Line::new()
        .text("invalid ")
        .text(verb.name())
        .text(" of ")
        .address(p)
        .text(" (inside a large object)")
        .abort()
}

/// An address that no allocator of this process can have handed out.
#[cold]
#[inline(never)]
pub fn not_ours(verb: Verb, p: usize) -> ! {
    Line::new()
        .text("invalid ")
        .text(verb.name())
        .text(" of ")
        .address(p)
        .text(" (not allocated by aethalloc)")
        .abort()
}
