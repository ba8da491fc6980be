//! The process's mappings, read from `/proc/self/maps` without memory of our own: for telling code from data, and for naming
//! addresses as module + offset, as `addr2line -e module` takes them.

use crate::violation::Line;
use aethalloc_sys::{memory, process};

/// One mapping.
pub struct Mapping<'a> {
    /// First byte.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// Code may run there.
    pub executable: bool,
    /// Offset in its file.
    pub offset: usize,
    /// Its file or name.
    pub path: &'a [u8],
}

/// The reader.
pub struct Maps;

impl Maps {
    /// Calls `f` with each mapping, lowest first, until it says false. Long paths lose their beginning.
    #[cold]
    pub fn each(mut f: impl FnMut(&Mapping) -> bool) {
        let Ok(fd) = process::open(b"/proc/self/maps\0") else {
            return;
        };
        let mut buffer = [0u8; 256];
        let (mut line, mut len) = ([0u8; 200], 0);
        'all: loop {
            let n = process::read(fd, &mut buffer);
            if n == 0 {
                break;
            }
            for b in buffer.iter().take(n) {
                if *b == b'\n' {
                    if let Some(m) = line.get(..len).and_then(parse)
                        && !f(&m)
                    {
                        break 'all;
                    }
                    len = 0;
                } else if let Some(slot) = line.get_mut(len) {
                    *slot = *b;
                    len += 1;
                } else if let Some(path) = line.get_mut(80..) {
                    // Keeps the end of the path, where the file's name is.
                    path.rotate_left(1);
                    if let Some(last) = path.last_mut() {
                        *last = *b;
                    }
                }
            }
        }
        process::close(fd);
    }
}

/// `start-end perms offset device inode   path`
#[cold]
fn parse(line: &[u8]) -> Option<Mapping<'_>> {
    let mut fields = line.splitn(6, |b| *b == b' ');
    let mut range = fields.next()?.splitn(2, |b| *b == b'-');
    let (start, end) = (hex(range.next()?)?, hex(range.next()?)?);
    let executable = fields.next()?.get(2) == Some(&b'x');
    let offset = hex(fields.next()?)?;
    let path = fields.nth(2).unwrap_or(b"").trim_ascii_start();
    Some(Mapping {
        start,
        end,
        executable,
        offset,
        path,
    })
}

#[cold]
fn hex(text: &[u8]) -> Option<usize> {
    let mut v = 0usize;
    for b in text {
        let d = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            _ => return None,
        };
        v = v << 4 | d as usize;
    }
    Some(v)
}

/// Writes `prefix`, then where code address `at` lies: `/usr/bin/program+0x1234`.
#[cold]
pub fn print_place(prefix: &str, at: usize) {
    let (mut name, mut len, mut base, mut found) = ([0u8; 200], 0, 0, false);
    Maps::each(|m| {
        let same = m.path == name.get(..len).unwrap_or(&[]);
        if m.offset == 0 && !m.path.is_empty() && !same {
            // A file's first mapping: its addresses count from here.
            base = m.start;
            len = m.path.len();
            if let Some(to) = name.get_mut(..len) {
                to.copy_from_slice(m.path);
            }
        }
        if (m.start..m.end).contains(&at) {
            found = !m.path.is_empty() && m.path == name.get(..len).unwrap_or(&[]);
            return false;
        }
        true
    });
    let line = Line::new().text(prefix);
    if !found {
        return line.address(at).print();
    }
    // Programs that are not position independent are named by their addresses.
    let mut kind = [0u8; 2];
    let fixed = memory::peek(base + 16, &mut kind) == 2 && kind == [2, 0];
    let offset = if fixed { at } else { at - base };
    let path = name.get(..len).unwrap_or(&[]);
    let shown = path.get(path.len().saturating_sub(120)..).unwrap_or(path);
    line.bytes(shown).text("+").address(offset).print();
}
