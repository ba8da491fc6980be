//! Address space: reserve, commit, purge, move.

use crate::call::{Errno, call3, call6, nr};
use crate::process;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

const PROT_READ: usize = 1;
const PROT_WRITE: usize = 2;
const PROT_MTE: usize = 0x20;
const MAP_PRIVATE_ANON_NORESERVE: usize = 0x2 | 0x20 | 0x4000;
const MADV_DONTNEED: usize = 4;
const MADV_HUGEPAGE: usize = 14;
const MADV_NOHUGEPAGE: usize = 15;
const MADV_WIPEONFORK: usize = 18;
const MADV_COLD: usize = 20;
const MADV_POPULATE_WRITE: usize = 23;
const MADV_DONTFORK: usize = 10;
const MADV_GUARD_INSTALL: usize = 102;
const MADV_GUARD_REMOVE: usize = 103;
const MREMAP_MAYMOVE: usize = 1;
const MREMAP_FIXED: usize = 2;
const MREMAP_DONTUNMAP: usize = 4;

/// Memory that is written to has tags.
static TAGGED: AtomicBool = AtomicBool::new(false);

/// From now on memory that is made writable has tags, 0 at first ([`crate::mte`]).
pub fn tag_from_now_on() {
    TAGGED.store(true, Relaxed);
}

/// What a range may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Nothing: address space only, charged to nobody.
    None,
    /// Reading: zeroes, not charged under strict overcommit.
    Read,
    /// Reading and writing.
    Write,
}

impl Access {
    fn bits(self) -> usize {
        match self {
            Access::None => 0,
            Access::Read => PROT_READ,
            Access::Write if TAGGED.load(Relaxed) => PROT_READ | PROT_WRITE | PROT_MTE,
            Access::Write => PROT_READ | PROT_WRITE,
        }
    }
}

/// Maps `len` bytes of private anonymous memory somewhere.
pub fn map(len: usize, access: Access) -> Result<NonNull<u8>, Errno> {
    // SAFETY: a new mapping at an address of the kernel's choice changes no existing memory.
    let r = unsafe {
        call6(
            nr::MMAP,
            [
                0,
                len,
                access.bits(),
                MAP_PRIVATE_ANON_NORESERVE,
                usize::MAX,
                0,
            ],
        )
    }?;
    NonNull::new(fresh(r)).ok_or(crate::errno::ENOMEM)
}

/// The pointer to a mapping that the kernel just made at `address`. It exposes the provenance; every pointer of the
/// allocator derives from such a result.
fn fresh(address: usize) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(address)
}

/// Unmaps a range.
///
/// # Safety
/// The range is ours and nobody uses it any more.
pub unsafe fn unmap(at: *mut u8, len: usize) {
    // SAFETY: the caller's promise. A failure (max_map_count) leaves the mapping, which is only address space.
    let _ = unsafe { call3(nr::MUNMAP, at as usize, len, 0) };
}

/// Changes what a range may be used for.
///
/// # Safety
/// The range is ours, page aligned, and nobody relies on an access that is taken away.
pub unsafe fn protect(at: *mut u8, len: usize, access: Access) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    unsafe { call3(nr::MPROTECT, at as usize, len, access.bits()) }.map(|_| ())
}

/// Gives the range's pages back: the next access reads zeroes. EINVAL for locked pages.
///
/// # Safety
/// The range is ours, page aligned, and nobody needs its contents.
pub unsafe fn discard(at: *mut u8, len: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    unsafe { call3(nr::MADVISE, at as usize, len, MADV_DONTNEED) }.map(|_| ())
}

/// Has the kernel back the range by pages now, as if each had been written to (Linux 5.14).
///
/// # Safety
/// The range is ours, writable and page aligned.
pub unsafe fn populate(at: *mut u8, len: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise; contents do not change.
    unsafe { call3(nr::MADVISE, at as usize, len, MADV_POPULATE_WRITE) }.map(|_| ())
}

/// Whether the kernel is to back the range by huge pages: asked to, or forbidden to from now on. Those that are there stay.
///
/// # Safety
/// The range is ours and page aligned.
pub unsafe fn want_huge(at: *mut u8, len: usize, yes: bool) -> Result<(), Errno> {
    let advice = if yes { MADV_HUGEPAGE } else { MADV_NOHUGEPAGE };
    // SAFETY: the caller's promise.
    unsafe { call3(nr::MADVISE, at as usize, len, advice) }.map(|_| ())
}

/// Whether the system backs any memory by huge pages, asked or not; `None`: it does not say. Opens a file.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
pub fn huge_everywhere() -> Option<bool> {
    let fd = process::open(b"/sys/kernel/mm/transparent_hugepage/enabled\0").ok()?;
    let mut text = [0u8; 64];
    let n = process::read(fd, &mut text);
    process::close(fd);
    const CHOSEN: &[u8] = b"[always]";
    let text = text.get(..n).filter(|text| !text.is_empty())?;
    Some(text.windows(CHOSEN.len()).any(|w| w == CHOSEN))
}

/// Splits the huge page that `at` lies in, if it does: to call a part of one cold (Linux 5.4) splits it, and parts that are
/// discarded afterwards are free at once. Otherwise they would be when the system runs short.
///
/// # Safety
/// The `len` bytes are ours, page aligned, and smaller than a huge page.
pub unsafe fn split_huge(at: *mut u8, len: usize) {
    // SAFETY: the caller's promise; contents do not change.
    let _ = unsafe { call3(nr::MADVISE, at as usize, len, MADV_COLD) };
}

/// Makes the range read zero in children.
///
/// # Safety
/// The range is ours and page aligned.
pub unsafe fn wipe_on_fork(at: *mut u8, len: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    unsafe { call3(nr::MADVISE, at as usize, len, MADV_WIPEONFORK) }.map(|_| ())
}

/// How a range of a file is read, for the kernel. Ranges with different ways are different mappings, and a page fault maps neighbours of one
/// mapping only.
#[derive(Clone, Copy)]
pub enum Reading {
    /// A page here, a page there.
    Random = 1,
    /// One after the other.
    Sequential = 2,
}

/// Tells the kernel how the range will be read.
///
/// # Safety
/// The range is ours and page aligned.
pub unsafe fn expect(at: *mut u8, len: usize, reading: Reading) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    unsafe { call3(nr::MADVISE, at as usize, len, reading as usize) }.map(|_| ())
}

/// Leaves the range out of children.
///
/// # Safety
/// The range is ours and page aligned.
pub unsafe fn hide_from_fork(at: *mut u8, len: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    unsafe { call3(nr::MADVISE, at as usize, len, MADV_DONTFORK) }.map(|_| ())
}

/// Makes every access to the range fault and drops its contents, without a mapping of its own. Linux 6.13; EINVAL before,
/// and for locked pages.
///
/// # Safety
/// The range is ours, page aligned, and nobody needs its contents.
pub unsafe fn install_guard(at: *mut u8, len: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    unsafe { call3(nr::MADVISE, at as usize, len, MADV_GUARD_INSTALL) }.map(|_| ())
}

/// Takes guards of [`install_guard`] off; other pages of the range stay as they are.
///
/// # Safety
/// The range is ours and page aligned.
pub unsafe fn remove_guard(at: *mut u8, len: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    unsafe { call3(nr::MADVISE, at as usize, len, MADV_GUARD_REMOVE) }.map(|_| ())
}

/// Copies up to `to.len()` bytes from `from`, which may be any address; how many could be read.
pub fn peek(from: usize, to: &mut [u8]) -> usize {
    peek_at(&[[from, to.len()]], to)
}

/// As [`peek`], one after the other, from several places: address and length of each. What could be read ends where a place cannot be read to
/// its end.
pub fn peek_at(from: &[[usize; 2]], to: &mut [u8]) -> usize {
    let local = [to.as_mut_ptr() as usize, to.len()];
    let (local, remote) = (local.as_ptr() as usize, from.as_ptr() as usize);
    let me = process::pid() as usize;
    // SAFETY: the kernel writes at most `to.len()` bytes into `to`; what it cannot read it reports.
    unsafe { call6(nr::PROCESS_VM_READV, [me, local, 1, remote, from.len(), 0]) }.unwrap_or(0)
}

/// How a [`move_pages`] ended.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moved {
    /// The pages are at `to`; `from` stays mapped and reads zero.
    Yes,
    /// Nothing changed.
    No,
    /// Nothing changed at `from`, but `to` may be a hole in the address space by now: never use it again.
    Lost,
}

/// Moves the pages of `from` to `to` (both mapped, `len` bytes). Needs Linux 5.7.
///
/// In two steps: out of the reservation to a place of the kernel's choice (a failure changes nothing; from 6.16 back
/// the kernel refuses a range of several mappings), then over `to`. The kernel unmaps `to` before it is sure of
/// success, so that the second step must not be the one that can be refused.
///
/// # Safety
/// Both ranges are ours, page aligned and disjoint; nobody needs the contents of `to`.
pub unsafe fn move_pages(from: *mut u8, to: *mut u8, len: usize) -> Moved {
    // SAFETY: the caller's promise; `at` is a mapping that only this function knows.
    unsafe {
        let flags = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
        let Ok(at) = call6(nr::MREMAP, [from as usize, len, len, flags, 0, 0]) else {
            return Moved::No;
        };
        if call6(
            nr::MREMAP,
            [at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to as usize, 0],
        )
        .is_ok()
        {
            return Moved::Yes;
        }
        let at = fresh(at);
        core::ptr::copy_nonoverlapping(at, from, len);
        unmap(at, len);
        Moved::Lost
    }
}

/// Replaces a range by memory that nobody has touched: it reads zero, and where moved pages had made mappings of their
/// own, the kernel joins it with its neighbours into one again. `No` changes nothing; after `Lost` the range may be a
/// hole.
///
/// A mapping that nobody has touched takes its new place's offset when it moves, so it can be joined; and what can be
/// refused is refused before the range is given up.
///
/// # Safety
/// The range is ours, page aligned, writable, and nobody needs its contents.
pub unsafe fn renew(at: *mut u8, len: usize) -> Moved {
    let Ok(fresh) = map(len, Access::Write) else {
        return Moved::No;
    };
    let flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    // SAFETY: the caller's promise; `fresh` is a mapping that only this function knows.
    unsafe {
        let fresh = fresh.as_ptr();
        let args = [fresh as usize, len, len, flags, at as usize, 0];
        if call6(nr::MREMAP, args).is_ok() {
            return Moved::Yes;
        }
        unmap(fresh, len);
        Moved::Lost
    }
}

/// The limit of the process's resource `which` in bytes, `None` when infinite or unreadable.
fn limit(which: usize) -> Option<usize> {
    let mut out = [0u64; 2];
    // SAFETY: the kernel writes two words into `out`.
    unsafe {
        call6(
            nr::PRLIMIT64,
            [0, which, 0, out.as_mut_ptr() as usize, 0, 0],
        )
    }
    .ok()?;
    (out[0] != u64::MAX).then_some(out[0] as usize)
}

/// RLIMIT_AS: bytes of address space the process may have, `None` when unlimited.
pub fn address_space_limit() -> Option<usize> {
    limit(9)
}
