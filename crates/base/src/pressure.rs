//! Memory pressure: what the kernel's files say, and whether free memory is to go back at once. Pure: the caller reads them.
//!
//! Two signs. The group of processes (cgroup) is *near* its limit with memory that the kernel cannot simply drop: page
//! cache does not count. Or tasks *stall*: of the time since the last look some waited for memory, by the kernel's
//! pressure figures (PSI).

/// The group's memory controller, and the group's path below where that is mounted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group<'a> {
    /// None is known.
    None,
    /// Of the first version: limits are read, stalls are the whole machine's.
    V1(&'a [u8]),
    /// Of the second.
    V2(&'a [u8]),
}

/// What `/proc/self/cgroup` says: lines of `number:controllers:path`.
pub fn own_group(text: &[u8]) -> Group<'_> {
    let mut found = Group::None;
    for line in text.split(|b| *b == b'\n') {
        let mut parts = line.splitn(3, |b| *b == b':');
        let (Some(number), Some(controllers), Some(path)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if controllers.split(|b| *b == b',').any(|c| c == b"memory") {
            return Group::V1(path); // a controller is in one hierarchy only
        }
        if number == b"0" && controllers.is_empty() {
            found = Group::V2(path);
        }
    }
    found
}

/// Limits from here on are the kernel's way to say that there is none.
const UNLIMITED: u64 = 1 << 60;

/// A file that holds one number of bytes, or `max`.
pub fn bytes(text: &[u8]) -> Option<u64> {
    number(text).filter(|n| *n < UNLIMITED)
}

/// The number that `text` begins with.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit());
    let (mut n, mut any) = (0u64, false);
    for d in digits {
        n = n.checked_mul(10)?.checked_add((d - b'0') as u64)?;
        any = true;
    }
    any.then_some(n)
}

/// Bytes of page cache of the group, by `memory.stat`: lines of `key value`, the first version's with the groups below.
pub fn cache(stat: &[u8]) -> u64 {
    const KEYS: [&[u8]; 2] = [b"inactive_file ", b"active_file "];
    const TOTAL: &[u8] = b"total_";
    let sum = |prefix: &[u8]| {
        let lines = stat.split(|b| *b == b'\n');
        let lines = lines.filter_map(|l| l.strip_prefix(prefix));
        let values = lines.filter_map(|l| {
            let value = KEYS.iter().find_map(|k| l.strip_prefix(*k));
            number(value?)
        });
        values.fold(0, u64::saturating_add)
    };
    match sum(TOTAL) {
        0 => sum(b""),
        n => n,
    }
}

/// Microseconds in which some task waited for memory, by a pressure file: `some avg10=… avg60=… avg300=… total=…`.
pub fn stalled(text: &[u8]) -> Option<u64> {
    let line = text.split(|b| *b == b'\n').next()?;
    let figures = line.strip_prefix(b"some ")?.split(|b| *b == b' ');
    let mut totals = figures.filter_map(|f| f.strip_prefix(b"total="));
    number(totals.next()?)
}

/// Bytes until `used` is near `limit`: within a sixteenth.
pub const fn room(used: u64, limit: u64) -> u64 {
    (limit - limit / 16).saturating_sub(used)
}

/// What was read in one look.
#[derive(Clone, Copy, Default, Debug)]
pub struct Seen {
    /// Of the group's use without page cache; `None` without a limit.
    pub room: Option<u64>,
    /// See [`stalled`].
    pub stalled: Option<u64>,
}

/// What is remembered from look to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// The last look: when, in milliseconds, and the stalls until then.
    last: Option<(u64, u64)>,
    /// Pressure is assumed until then.
    until: u64,
}

/// Stalls are pressure from one part in so many on.
const PART: u64 = 10;
/// Pressure is assumed for so many milliseconds after its last sign.
const HOLD: u64 = 1000;

impl Watch {
    /// Nothing was seen.
    pub const fn new() -> Self {
        Watch {
            last: None,
            until: 0,
        }
    }

    /// It is `now` and this was seen: is there pressure?
    pub fn look(&mut self, now: u64, seen: Seen) -> bool {
        let mut sign = seen.room == Some(0);
        if let Some(total) = seen.stalled {
            if let Some((then, before)) = self.last {
                let waited = total.saturating_sub(before);
                let passed = now.saturating_sub(then) * 1000;
                sign |= waited > 0 && waited.saturating_mul(PART) >= passed;
            }
            self.last = Some((now, total));
        }
        if sign {
            self.until = now + HOLD;
        }
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_in_either_version() {
        assert_eq!(
            own_group(b"0::/user.slice/a\n"),
            Group::V2(b"/user.slice/a")
        );
        assert_eq!(own_group(b"0::/\n"), Group::V2(b"/"));
        let hybrid = b"9:name=systemd:/\n4:cpu,memory:/docker/x:y\n0::/\n";
        assert_eq!(own_group(hybrid), Group::V1(b"/docker/x:y"));
        assert_eq!(own_group(b"3:cpu:/a\n"), Group::None);
        assert_eq!(own_group(b"3:memory_not:/a\n"), Group::None);
        for none in [&b""[..], b"\n\n", b"0:", b"0::", b"garbage"] {
            let g = own_group(none);
            assert!(g == Group::None || g == Group::V2(b""), "{g:?}");
        }
    }

    #[test]
    fn limits_are_numbers_or_none() {
        assert_eq!(bytes(b"536870912\n"), Some(512 << 20));
        assert_eq!(bytes(b"0\n"), Some(0));
        for none in [
            &b"max\n"[..],
            b"9223372036854771712\n",
            b"",
            b"-1",
            b"99999999999999999999999",
        ] {
            assert_eq!(bytes(none), None);
        }
    }

    #[test]
    fn page_cache_of_both_versions() {
        let v2 = b"anon 5\nfile 70\ninactive_anon 5\nactive_anon 1\ninactive_file 30\nactive_file 12\nunevictable 0\n";
        assert_eq!(cache(v2), 42);
        let v1 = b"cache 9\ninactive_file 1\nactive_file 2\ntotal_cache 9\ntotal_inactive_file 300\ntotal_active_file 7\n";
        assert_eq!(cache(v1), 307);
        assert_eq!(cache(b""), 0);
        assert_eq!(cache(b"inactive_file x\nactive_file \n"), 0);
    }

    #[test]
    fn stalls_are_the_total_of_some() {
        let text = b"some avg10=0.12 avg60=0.00 avg300=0.00 total=7062155\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n";
        assert_eq!(stalled(text), Some(7_062_155));
        assert_eq!(stalled(b"full avg10=0.00 total=9\n"), None);
        assert_eq!(stalled(b""), None);
    }

    #[test]
    fn near_is_a_sixteenth_below() {
        assert_eq!(room(937, 1000), 1);
        assert_eq!((room(938, 1000), room(2000, 1000), room(0, 0)), (0, 0, 0));
    }

    #[test]
    fn a_group_at_its_limit_is_pressed_until_a_second_after() {
        let mut w = Watch::new();
        let seen = |room| Seen {
            room,
            stalled: None,
        };
        assert!(!w.look(5000, seen(Some(1))));
        assert!(w.look(5062, seen(Some(0))));
        assert!(w.look(6061, seen(Some(1))));
        assert!(!w.look(6062, seen(None)));
    }

    #[test]
    fn stalls_count_by_their_share_of_the_time() {
        let mut w = Watch::new();
        let seen = |total| Seen {
            room: None,
            stalled: Some(total),
        };
        assert!(!w.look(1000, seen(5_000_000)), "what was before counts not");
        assert!(!w.look(1100, seen(5_009_999)), "9.999 of 100 ms");
        assert!(w.look(1200, seen(5_019_999)), "10 of 100 ms");
        assert!(!w.look(3000, seen(5_020_000)), "a sign is forgotten");
        assert!(!w.look(3000, seen(5_020_000)), "no time, no stall");
        assert!(!w.look(3100, seen(4_000_000)), "never backwards");
    }
}
