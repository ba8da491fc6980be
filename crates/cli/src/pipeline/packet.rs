//! One packet: a block from libc's `malloc` with a header and a payload that is checked when it is freed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;

/// Smallest and largest packet, header included: Ethernet's.
pub const SIZES: std::ops::RangeInclusive<usize> = 64..=1500;
/// The most payload bytes that are written: what a receive path parses, not what the card's DMA fills.
const WRITTEN: usize = 96;

/// What stands at the start of each packet.
#[repr(C)]
struct Header {
    len: u32,
    /// Every written payload byte has this value, and so has the last byte.
    fill: u8,
    /// Nanoseconds since the run's time zero; 0 if the packet is not timed.
    stamp: u64,
    sequence: u64,
}

const HEADER: usize = size_of::<Header>();
const _: () = assert!(HEADER + 8 <= *SIZES.start());

/// A received packet. Dropping it frees it.
pub struct Packet(NonNull<Header>);

// SAFETY: a Packet is the only pointer to its block, and malloc's blocks may be freed by any thread.
unsafe impl Send for Packet {}

/// What a packet says when it has been freed.
pub struct Done {
    /// Its length.
    pub len: usize,
    /// Its stamp.
    pub stamp: u64,
    /// Its content was as written.
    pub intact: bool,
}

impl Packet {
    /// Allocates a packet of `len` bytes (one of [`SIZES`]) and writes it; `None` when memory is exhausted.
    pub fn receive(len: usize, sequence: u64, stamp: u64) -> Option<Self> {
        assert!(SIZES.contains(&len));
        let fill = sequence as u8;
        // SAFETY: the layout's size is not 0.
        let block = NonNull::new(unsafe { System.alloc(layout(len)) })?;
        let header = block.cast::<Header>();
        // SAFETY: the block is ours alone, of `len` > HEADER bytes, and aligned to 16 by its layout.
        unsafe {
            header.write(Header {
                len: len as u32,
                fill,
                stamp,
                sequence,
            });
            let payload = block.add(HEADER);
            payload.write_bytes(fill, written(len));
            block.add(len - 1).write(fill);
        }
        Some(Self(header))
    }

    /// Reads the packet and frees it.
    pub fn finish(self) -> Done {
        let block = self.0.cast::<u8>();
        // SAFETY: `receive` initialised the header, `written(len)` bytes behind it and the last byte.
        unsafe {
            let header = self.0.as_ref();
            let len = header.len as usize;
            let intact = SIZES.contains(&len)
                && header.fill == header.sequence as u8
                && block.add(HEADER + written(len) - 1).read() == header.fill
                && block.add(len - 1).read() == header.fill;
            Done {
                len,
                stamp: header.stamp,
                intact,
            }
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: the block came from System.alloc; libc's free needs no size, so a damaged `len` does no harm.
        unsafe {
            let len = self.0.as_ref().len as usize;
            System.dealloc(self.0.as_ptr().cast(), layout(len));
        }
    }
}

/// Payload bytes that are written in a packet of `len` bytes.
fn written(len: usize) -> usize {
    (len - HEADER).min(WRITTEN)
}

/// Alignment 16 is what malloc gives, so the standard library calls plain malloc and free.
fn layout(len: usize) -> Layout {
    let len = len.clamp(*SIZES.start(), *SIZES.end());
    Layout::from_size_align(len, 16).unwrap_or(Layout::new::<[u128; 4]>())
}

/// A small generator of packet sizes, the same for every run.
pub struct Sizes(u64);

impl Sizes {
    /// The sequence number `seed`.
    pub fn new(seed: usize) -> Self {
        Self(0x9E37_79B9_7F4A_7C15 ^ ((seed as u64 + 1) << 20))
    }

    /// The next size, evenly spread over [`SIZES`].
    pub fn draw(&mut self) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let span = (SIZES.end() - SIZES.start() + 1) as u64;
        SIZES.start() + (((self.0 >> 32) * span) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_comes_back_as_it_was_written() {
        for (i, len) in [64, 65, 127, 128, 129, 1499, 1500].into_iter().enumerate() {
            let packet = Packet::receive(len, 250 + i as u64, 7).unwrap();
            let done = packet.finish();
            assert!(done.intact && done.len == len && done.stamp == 7);
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        for at in [1499, HEADER + WRITTEN - 1] {
            let packet = Packet::receive(1500, 3, 0).unwrap();
            // SAFETY: the packet has 1500 bytes.
            unsafe { *packet.0.cast::<u8>().add(at).as_mut() ^= 1 };
            assert!(!packet.finish().intact);
        }
    }

    #[test]
    fn sizes_are_even_and_in_range() {
        let mut sizes = Sizes::new(0);
        let drawn: Vec<usize> = (0..100_000).map(|_| sizes.draw()).collect();
        assert!(drawn.iter().all(|len| SIZES.contains(len)));
        let mean = drawn.iter().sum::<usize>() as f64 / drawn.len() as f64;
        assert!((mean - 782.0).abs() < 6.0, "{mean}");
        assert!(drawn.contains(&64) && drawn.contains(&1500));
    }
}
