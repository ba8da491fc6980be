//! Judges that answer like another kernel than the one that runs.

use std::collections::BTreeMap;

use super::{Call, Verdict};

const PROT_WRITE: u64 = libc::PROT_WRITE as u64;
const PAGE: u64 = 4096;

fn up(value: u64, to: u64) -> u64 {
    value.next_multiple_of(to)
}

/// A kernel with pages of `size` bytes: it refuses an address inside a page and rounds lengths up, so that a call on
/// less than a page reaches the whole of it. New mappings begin at a page.
pub fn pages_of(size: u64) -> impl FnMut(&Call) -> Verdict {
    // Where nothing else is: below the places that the kernel chooses itself.
    let mut next = 0x1000_0000_0000;
    move |call| {
        let mut args = call.args;
        let inside = args[0] % size != 0;
        match call.number {
            libc::SYS_mmap => {
                args[1] = up(args[1], size);
                if args[3] & libc::MAP_FIXED as u64 != 0 {
                    if inside {
                        return Verdict::Refuse(libc::EINVAL);
                    }
                } else if args[0] == 0 {
                    args[0] = next;
                    next += up(args[1], 1 << 30) + (1 << 30) + size;
                }
            }
            libc::SYS_mprotect | libc::SYS_munmap | libc::SYS_madvise => {
                if inside {
                    return Verdict::Refuse(libc::EINVAL);
                }
                args[1] = up(args[1], size);
            }
            libc::SYS_mremap => {
                if inside || (args[3] & libc::MREMAP_FIXED as u64 != 0 && args[4] % size != 0) {
                    return Verdict::Refuse(libc::EINVAL);
                }
                args[1] = up(args[1], size);
                args[2] = up(args[2], size);
            }
            _ => return Verdict::Pass,
        }
        Verdict::Change(args)
    }
}

/// A kernel that never overcommits (`vm.overcommit_memory=2`) with `bytes` left: memory counts from the moment it may be
/// written, touched or not, and more is refused.
pub fn strict_commit(bytes: u64) -> impl FnMut(&Call) -> Verdict {
    let mut charged = Ranges::default();
    move |call| {
        let [at, len, prot, ..] = call.args;
        match call.number {
            libc::SYS_mprotect if prot & PROT_WRITE != 0 => {
                let new = len - charged.covered(at, at + len);
                if charged.total() + new > bytes {
                    return Verdict::Refuse(libc::ENOMEM);
                }
                charged.add(at, at + up(len, PAGE));
            }
            libc::SYS_mmap if prot & PROT_WRITE != 0 => {
                // Where it will be is not known; such mappings are few and stay.
                if charged.total() + len > bytes {
                    return Verdict::Refuse(libc::ENOMEM);
                }
                charged.elsewhere += len;
            }
            _ => {}
        }
        Verdict::Pass
    }
}

/// Disjoint address ranges.
#[derive(Default)]
struct Ranges {
    /// Start to end.
    ranges: BTreeMap<u64, u64>,
    elsewhere: u64,
}

impl Ranges {
    fn total(&self) -> u64 {
        self.elsewhere
            + self
                .ranges
                .iter()
                .map(|(start, end)| end - start)
                .sum::<u64>()
    }

    fn covered(&self, from: u64, to: u64) -> u64 {
        self.ranges
            .iter()
            .map(|(start, end)| to.min(*end).saturating_sub(from.max(*start)))
            .sum()
    }

    fn add(&mut self, mut from: u64, mut to: u64) {
        self.ranges.retain(|start, end| {
            let apart = *end < from || to < *start;
            if !apart {
                from = from.min(*start);
                to = to.max(*end);
            }
            apart
        });
        self.ranges.insert(from, to);
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Ranges, Verdict, pages_of, strict_commit};

    #[test]
    fn ranges_merge() {
        let mut ranges = Ranges::default();
        ranges.add(10, 20);
        ranges.add(30, 40);
        assert_eq!((ranges.total(), ranges.covered(15, 35)), (20, 10));
        ranges.add(20, 31);
        assert_eq!((ranges.total(), ranges.ranges.len()), (30, 1));
    }

    #[test]
    fn a_kernel_with_large_pages_rounds_up_and_refuses_what_is_inside_one() {
        let mut judge = pages_of(65536);
        let mut discard = |at, len| {
            judge(&Call {
                number: libc::SYS_madvise,
                args: [at, len, 4, 0, 0, 0],
            })
        };
        assert!(matches!(
            discard(65536, 4096),
            Verdict::Change([65536, 65536, 4, ..])
        ));
        assert!(matches!(
            discard(65536 + 4096, 4096),
            Verdict::Refuse(libc::EINVAL)
        ));
    }

    #[test]
    fn strict_commit_counts_a_range_once() {
        let mut judge = strict_commit(3 * 4096);
        let mut write = |at, len, prot| {
            let args = [at, len, prot, 0, 0, 0];
            let call = Call {
                number: libc::SYS_mprotect,
                args,
            };
            matches!(judge(&call), Verdict::Pass)
        };
        assert!(write(0, 8192, 3) && write(4096, 8192, 3) && write(65536, 8192, 1));
        assert!(!write(65536, 4096, 3));
    }
}
