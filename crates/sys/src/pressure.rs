//! The kernel's files about memory: the limit of the process's group (cgroup), its use, and pressure (PSI).
//!
//! ```text
//! /proc/self/cgroup                     which group: base::pressure::own_group
//! /sys/fs/cgroup/PATH/memory.{high,max,current,stat,pressure}               version 2, PATH and every group above it
//! /sys/fs/cgroup/memory/PATH/memory.{limit_in_bytes,usage_in_bytes,stat}    version 1
//! /proc/pressure/memory                 the machine's, where the group has no figures of its own
//! ```
//! Opened once and read again and again (`pread`), so that a filter of system calls that comes later finds no call that
//! opens files. For a thread with a table of files of its own, or a process that expects us to open some.

use crate::call::{call6, nr};
use crate::process;
use aethalloc_base::pressure::{self, Group, Seen};

/// Which kind of group has the memory controller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// None that is known.
    None,
    /// Version 1.
    V1,
    /// Version 2.
    V2,
}

/// The open files.
#[derive(Debug)]
pub struct Source {
    /// The kind of group.
    pub kind: Kind,
    /// The tightest limit of the group and those above it, 0: none.
    pub limit: u64,
    /// Where some task's stalls are counted: known or not.
    pub stalls: bool,
    current: i32,
    stat: i32,
    pressure: i32,
}

/// Names of one version's files.
struct Names {
    mount: &'static [u8],
    limits: &'static [&'static [u8]],
    current: &'static [u8],
}
const V2: Names = Names {
    mount: b"/sys/fs/cgroup",
    limits: &[b"/memory.high", b"/memory.max"],
    current: b"/memory.current",
};
const V1: Names = Names {
    mount: b"/sys/fs/cgroup/memory",
    limits: &[b"/memory.limit_in_bytes"],
    current: b"/memory.usage_in_bytes",
};
const STAT: &[u8] = b"/memory.stat";
const PRESSURE: &[u8] = b"/memory.pressure";

/// Bytes of a file that are looked at.
const TEXT: usize = 4096;

impl Source {
    /// No file at all.
    pub const fn none() -> Self {
        Source {
            kind: Kind::None,
            limit: 0,
            stalls: false,
            current: -1,
            stat: -1,
            pressure: -1,
        }
    }

    /// Opens what there is. `root` is put before every path: empty but for tests.
    #[cold]
    #[unsafe(link_section = ".text.unknown.later")]
    pub fn open(root: &[u8]) -> Self {
        let mut s = Source::none();
        let mut text = [0u8; TEXT];
        let own = read_once(&[root, b"/proc/self/cgroup"], &mut text);
        let (kind, names, group) = match pressure::own_group(own) {
            Group::None => (Kind::None, &V2, &b""[..]),
            Group::V1(path) => (Kind::V1, &V1, path),
            Group::V2(path) => (Kind::V2, &V2, path),
        };
        s.kind = kind;
        if kind != Kind::None {
            s.limited(root, names, group);
        }
        if kind == Kind::V2 {
            let group = trimmed(group);
            s.pressure = open(&[root, names.mount, group, PRESSURE]);
        }
        if s.pressure < 0 {
            s.pressure = open(&[root, b"/proc/pressure/memory"]);
        }
        s.stalls = s.pressure >= 0;
        s
    }

    /// Finds the group with the tightest limit, from `group` up.
    #[unsafe(link_section = ".text.unknown.later")]
    fn limited(&mut self, root: &[u8], names: &Names, group: &[u8]) {
        let mut at = trimmed(group);
        let mut tightest: Option<(u64, usize)> = None;
        loop {
            for file in names.limits {
                let mut text = [0u8; 32];
                let limit = pressure::bytes(read_once(&[root, names.mount, at, *file], &mut text));
                if let Some(limit) = limit
                    && tightest.is_none_or(|(least, _)| limit < least)
                {
                    tightest = Some((limit, at.len()));
                }
            }
            let Some(slash) = at.iter().rposition(|b| *b == b'/') else {
                break;
            };
            at = trimmed(at.get(..slash).unwrap_or(&[]));
        }
        let Some((limit, len)) = tightest else { return };
        let at = group.get(..len).unwrap_or(&[]);
        self.current = open(&[root, names.mount, at, names.current]);
        self.stat = open(&[root, names.mount, at, STAT]);
        if self.current >= 0 {
            self.limit = limit;
        }
    }

    /// Reads what there is to read now.
    #[unsafe(link_section = ".text.unknown.later")]
    pub fn look(&self) -> Seen {
        let mut text = [0u8; TEXT];
        let stalled = pressure::stalled(read_from(self.pressure, &mut text));
        let room = self.room(&mut text);
        Seen { room, stalled }
    }

    fn room(&self, text: &mut [u8; TEXT]) -> Option<u64> {
        if self.limit == 0 {
            return None;
        }
        let mut used = pressure::bytes(read_from(self.current, text))?;
        // Page cache is looked up only where it may matter.
        if used >= self.limit / 2 {
            used = used.saturating_sub(pressure::cache(read_from(self.stat, text)));
        }
        Some(pressure::room(used, self.limit))
    }

    /// Closes the files.
    pub fn close(self) {
        for fd in [self.current, self.stat, self.pressure] {
            if fd >= 0 {
                process::close(fd);
            }
        }
    }
}

/// Without slashes at the end.
fn trimmed(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    path
}

/// Opens the file whose path consists of `parts`; -1 if it cannot be.
fn open(parts: &[&[u8]]) -> i32 {
    let mut path = [0u8; 1024];
    let mut len = 0;
    for b in parts.iter().flat_map(|part| part.iter()) {
        match path.get_mut(len) {
            Some(slot) => *slot = *b,
            None => return -1,
        }
        len += 1;
    }
    match path.get(..len + 1) {
        Some(path) => process::open(path).unwrap_or(-1),
        None => -1,
    }
}

fn read_once<'a>(parts: &[&[u8]], text: &'a mut [u8]) -> &'a [u8] {
    let fd = open(parts);
    if fd < 0 {
        return &[];
    }
    let n = process::read(fd, text);
    process::close(fd);
    text.get(..n).unwrap_or(&[])
}

/// What the file says now, from its beginning.
fn read_from(fd: i32, text: &mut [u8]) -> &[u8] {
    if fd < 0 {
        return &[];
    }
    let a = [fd as usize, text.as_mut_ptr() as usize, text.len(), 0, 0, 0];
    // SAFETY: the kernel writes at most `text.len()` bytes into `text`.
    let n = unsafe { call6(nr::PREAD64, a) }.unwrap_or(0);
    text.get(..n).unwrap_or(&[])
}
