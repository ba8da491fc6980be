//! One heap block with a stamp in it.

/// Blocks are at least as large as their stamp.
pub const MIN: u64 = 8;

/// A block from malloc. Holds `(size << 32) | tag` in its first 8 bytes and, if longer, the tag's low
/// byte in its last; both are compared when it is released, so overlapping or overwritten blocks are found.
/// Not freed on drop: losing one is a leak in the workload.
#[must_use]
pub struct Block {
    at: *mut u8,
    size: u32,
}

// SAFETY: a block is exclusively owned memory; malloc'ed memory may be used and freed on any thread.
unsafe impl Send for Block {}

impl Block {
    /// malloc, stamped; one byte per page is written, so that the whole block is resident.
    #[inline]
    pub fn new(size: u64, tag: u32) -> Block {
        let size = size.max(MIN) as u32;
        // SAFETY: any size may be asked for.
        let at = unsafe { libc::malloc(size as usize) }.cast::<u8>();
        if at.is_null() {
            out_of_memory(size);
        }
        let mut block = Block { at, size };
        block.stamp(tag);
        block
    }

    /// malloc, every byte written.
    #[inline]
    pub fn filled(size: u64, tag: u32) -> Block {
        let mut block = Block::new(size, tag);
        // SAFETY: the block has `size` bytes.
        unsafe { block.at.write_bytes(tag as u8, block.size as usize) };
        block.stamp(tag);
        block
    }

    /// calloc, checked to be zero in its first and last word, then stamped.
    #[inline]
    pub fn zeroed(size: u64, tag: u32) -> Block {
        let size = size.max(MIN) as u32;
        // SAFETY: any size may be asked for.
        let at = unsafe { libc::calloc(1, size as usize) }.cast::<u8>();
        if at.is_null() {
            out_of_memory(size);
        }
        let mut block = Block { at, size };
        // SAFETY: the first word and the last byte lie inside the block.
        let (first, last) = unsafe {
            (
                at.cast::<u64>().read_unaligned(),
                at.add(size as usize - 1).read(),
            )
        };
        if first != 0 || last != 0 {
            block.corrupt();
        }
        block.stamp(tag);
        block
    }

    /// posix_memalign, checked for its alignment, then stamped.
    #[inline]
    pub fn aligned(align: usize, size: u64, tag: u32) -> Block {
        let size = size.max(MIN) as u32;
        let mut at = std::ptr::null_mut();
        // SAFETY: `at` is a valid place for the result.
        if unsafe { libc::posix_memalign(&mut at, align, size as usize) } != 0 {
            out_of_memory(size);
        }
        let mut block = Block {
            at: at.cast(),
            size,
        };
        if !(block.at as usize).is_multiple_of(align) {
            block.corrupt();
        }
        block.stamp(tag);
        block
    }

    /// realloc: the stamp must have survived; stamped anew for the new size.
    #[inline]
    pub fn resize(self, size: u64) -> Block {
        let tag = self.verify() as u32;
        let size = size.max(MIN) as u32;
        // SAFETY: the pointer came from malloc and is given up here.
        let at = unsafe { libc::realloc(self.at.cast(), size as usize) }.cast::<u8>();
        if at.is_null() {
            out_of_memory(size);
        }
        // SAFETY: at least 8 bytes were kept.
        if unsafe { at.cast::<u64>().read_unaligned() } as u32 != tag {
            self.corrupt();
        }
        let mut block = Block { at, size };
        block.stamp(tag);
        block
    }

    /// free; returns the stamp it held.
    #[inline]
    pub fn release(self) -> u64 {
        let stamp = self.verify();
        // SAFETY: the pointer came from malloc and is given up here.
        unsafe { libc::free(self.at.cast()) };
        stamp
    }

    /// Gives up the block as a plain pointer (for atomic slots).
    #[inline]
    pub fn into_raw(self) -> *mut u8 {
        self.at
    }

    /// The block that `into_raw` gave up. Its size is in its stamp.
    ///
    /// # Safety
    /// `at` came from `into_raw` and was not taken back before.
    #[inline]
    pub unsafe fn from_raw(at: *mut u8) -> Block {
        // SAFETY: by the contract the block is alive and stamped.
        let stamp = unsafe { at.cast::<u64>().read_unaligned() };
        Block {
            at,
            size: (stamp >> 32) as u32,
        }
    }

    /// Bytes asked for.
    pub fn size(&self) -> u64 {
        u64::from(self.size)
    }

    /// Writes the byte at `offset` (for workloads that work on their blocks).
    #[inline]
    pub fn poke(&mut self, offset: usize, value: u8) {
        debug_assert!(offset >= 8 && offset + 1 < self.size as usize);
        // SAFETY: the caller stays inside the block, between stamp and last byte.
        unsafe { self.at.add(offset).write_volatile(value) };
    }

    /// Reads the byte at `offset`.
    #[inline]
    pub fn peek(&self, offset: usize) -> u8 {
        debug_assert!(offset < self.size as usize);
        // SAFETY: the caller stays inside the block.
        unsafe { self.at.add(offset).read_volatile() }
    }

    #[inline]
    fn stamp(&mut self, tag: u32) {
        let size = self.size as usize;
        let stamp = (u64::from(self.size) << 32) | u64::from(tag);
        // SAFETY: all offsets lie below `size`, which is at least 8.
        unsafe {
            self.at.cast::<u64>().write_unaligned(stamp);
            let mut page = 4096;
            while page < size {
                self.at.add(page).write_volatile(tag as u8);
                page += 4096;
            }
            if size > 8 {
                self.at.add(size - 1).write_volatile(tag as u8);
            }
        }
    }

    #[inline]
    fn verify(&self) -> u64 {
        let size = self.size as usize;
        // SAFETY: the block is at least 8 bytes long and stamped.
        let stamp = unsafe { self.at.cast::<u64>().read_unaligned() };
        // SAFETY: the last byte lies inside.
        let last = unsafe { self.at.add(size - 1).read_volatile() };
        if (stamp >> 32) as u32 != self.size || (size > 8 && last != stamp as u8) {
            self.corrupt();
        }
        stamp
    }

    #[cold]
    fn corrupt(&self) -> ! {
        eprintln!("bench-work: block of {} bytes lost its content", self.size);
        std::process::exit(3)
    }
}

#[cold]
fn out_of_memory(size: u32) -> ! {
    eprintln!("bench-work: no memory for {size} bytes");
    std::process::exit(4)
}
