//! What the kernel says about this process's memory.

use std::fs::{self, File};
use std::io::Read;

use crate::fail::{Failure, Outcome};
use crate::sys;

/// Resident sizes in bytes.
pub struct Resident {
    /// Now (`VmRSS`).
    pub now: u64,
    /// The highest since exec (`VmHWM`).
    pub peak: u64,
}

/// Reads them without allocating.
pub fn now() -> Outcome<Resident> {
    const FILE: &str = "/proc/self/status";
    let mut buffer = [0; 8192];
    let mut len = 0;
    let mut file = File::open(FILE).map_err(|e| Failure::failed(format!("{FILE}: {e}")))?;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) => return Err(Failure::failed(format!("{FILE}: {e}"))),
        }
    }
    parse(&buffer[..len]).ok_or_else(|| Failure::failed(format!("{FILE} has no VmRSS and VmHWM")))
}

fn parse(status: &[u8]) -> Option<Resident> {
    let field = |name: &str| {
        let line = status
            .split(|b| *b == b'\n')
            .find_map(|line| line.strip_prefix(name.as_bytes()))?;
        let kib = std::str::from_utf8(line).ok()?.trim().strip_suffix("kB")?;
        kib.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some(Resident {
        now: field("VmRSS:")?,
        peak: field("VmHWM:")?,
    })
}

/// The file whose mapping holds the code that a call of `malloc` reaches.
pub fn malloc_from() -> Outcome<String> {
    let maps = fs::read_to_string("/proc/self/maps")
        .map_err(|e| Failure::failed(format!("/proc/self/maps: {e}")))?;
    mapping_at(&maps, sys::malloc_address())
        .map(String::from)
        .ok_or_else(|| Failure::failed("/proc/self/maps does not show where malloc comes from"))
}

/// The file mapped at `address`: `7f00-7f40 r-xp 0000 08:01 42    /lib/libc.so.6`.
fn mapping_at(maps: &str, address: usize) -> Option<&str> {
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let parse = |hex| usize::from_str_radix(hex, 16).ok();
        let inside = (parse(start)?..parse(end)?).contains(&address);
        inside.then(|| rest.splitn(5, ' ').nth(4).map(str::trim_start))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_formats() {
        let r = parse(b"Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\nThreads:\t1\n").unwrap();
        assert_eq!((r.now, r.peak), (1 << 20, 2 << 20));
        assert!(parse(b"VmRSS:\t1 kB\n").is_none());
        let maps = "1000-2000 r--p 0000 08:01 42                         /lib/a b.so\n\
                    2000-3000 rw-p 0000 00:00 0 \n\
                    f000-ffff r-xp 0000 08:01 42    /lib/c.so\n";
        assert_eq!(mapping_at(maps, 0x1fff), Some("/lib/a b.so"));
        assert_eq!(mapping_at(maps, 0x2000), Some(""));
        assert_eq!(mapping_at(maps, 0xf00f), Some("/lib/c.so"));
        assert_eq!(mapping_at(maps, 0x3000), None);
    }

    #[test]
    fn this_process() {
        let r = now().unwrap();
        assert!(r.peak >= r.now && r.now > 100_000);
        assert!(malloc_from().unwrap().starts_with('/'));
    }
}
