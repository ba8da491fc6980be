//! Options: one declarative list, from which parser, defaults, help and documentation come.
//!
//! Syntax: `AETHALLOC_CONF=key:value,key:value`. Sizes take the suffixes `k`, `m`, `g`, `t` (powers of 1024).
//! A bad key or value is reported by the caller in one line and leaves the default.

/// What a value looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A whole number.
    Count,
    /// Bytes, with an optional suffix.
    Size,
    /// `on` or `off`.
    Switch,
    /// The rest of the value up to the next comma.
    Path,
    /// One of these words; the value is its position.
    Choice(&'static [&'static str]),
}

/// One option as declared.
pub struct Declared {
    /// Its key.
    pub key: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its default (bytes, count, 0/1); unused for paths.
    pub default: usize,
    /// Smallest and largest value allowed.
    pub range: (usize, usize),
    /// One line for people.
    pub help: &'static str,
}

macro_rules! options {
    ($($name:ident: $kind:ident $(($words:expr))? = $default:expr, $low:expr, $high:expr, $help:literal;)*) => {
        /// Position of each option in [`LIST`] and [`Options::values`].
        #[allow(non_camel_case_types, missing_docs)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub enum Key { $($name),* }
        /// Every option, in the order in which help prints them.
        pub const LIST: &[Declared] = &[$(Declared {
            key: stringify!($name), kind: Kind::$kind $(($words))?, default: $default, range: ($low, $high), help: $help,
        }),*];
    };
}

options! {
    reserve: Size = 16 << 40, 1 << 20, 16 << 40, "address space to reserve; halved until the system grants it";
    retain: Size = 2 << 20, 0, usize::MAX, "free memory that may stay committed whatever the live size";
    retain_share: Count = 10, 0, 1000, "free memory that may stay committed, in percent of live memory";
    limit: Size = 0, 0, usize::MAX, "most memory that the heap may hold, in use, free or its own; beyond it allocation fails; 0: no limit";
    limit_soft: Size = 0, 0, usize::MAX, "from this much on free memory goes back before more is taken; 0: no limit";
    batch_count: Count = 64, 1, 64, "free blocks of one class that a thread may reserve at a time (anti-hoarding threshold)";
    batch_bytes: Size = 16 << 10, 4096, 1 << 30, "the same threshold in bytes; at least one block";
    cache: Switch = 1, 0, 1, "reservations of blocks by threads; off: every malloc takes a lock";
    remap: Switch = 1, 0, 1, "move the pages of large objects in realloc instead of copying (mremap)";
    huge_pages: Choice(&["auto", "system", "always", "never"]) = 0, 0, 3, "transparent huge pages; auto: as the system is set, and asked for where much memory is in use, but not where it is given back in part";
    huge_page_us: Count = 1000, 0, 1000000, "huge_pages:auto: microseconds of CPU that a huge page may take to come; after a slower one the next ones are not asked for; 0: however long";
    ahead: Switch = 1, 0, 1, "have several pages of a slab backed by one system call, when its first blocks are about to be used";
    page_size: Size = 0, 0, 64 << 10, "least size of the system's pages to assume, for tests; 0: what the system says";
    safety: Choice(&crate::safety::PROFILES) = 0, 0, crate::safety::PROFILES.len() - 1, "what stands against misuse beyond the default checks";
    guard_rate: Count = 1 << 18, 1, 1 << 40, "safety:guard: allocations per sampled object";
    guard_pages: Choice(&crate::safety::GUARD_PAGES) = 0, 0, crate::safety::GUARD_PAGES.len() - 1, "how guard pages are made: auto takes MADV_GUARD_INSTALL where the kernel has it";
    quarantine: Size = 64 << 10, 0, 1 << 30, "safety:hardened: freed bytes of a size that each thread keeps from reuse";
    mte_mode: Choice(&crate::safety::MTE_MODES) = 0, 0, crate::safety::MTE_MODES.len() - 1, "safety:mte: when an access with the wrong tag is reported; async is faster and does not say where";
    safety_summary: Switch = 0, 0, 1, "print at exit what the safety mode guarded and checked";
    support: Choice(&["off", "auto", "on"]) = 1, 0, 2, "a thread that gives memory back later; auto: once the program has a second thread and a second CPU";
    support_purge: Switch = 1, 0, 1, "the support thread gives free runs back that recent demand does not ask for";
    support_sweep: Switch = 1, 0, 1, "the support thread gives empty pages inside slabs back after a fall";
    support_pressure: Switch = 1, 0, 1, "the support thread gives all free memory back while memory is short: in the process's group or by the kernel's pressure figures";
    decay: Count = 500, 80, 3600000, "milliseconds after which the support thread gives back what was not needed again";
    stats_file: Path = 0, 0, 0, "append a line of JSON to this file at start, fork and exit";
    help: Switch = 0, 0, 1, "print these options to standard error at start";
}

/// Number of options.
pub const COUNT: usize = LIST.len();

/// Parsed options: plain values, and the span of each path inside the text that was parsed.
#[derive(Clone, Copy)]
pub struct Options {
    /// Value by [`Key`]; of a path: offset << 16 | length, 0 when not set.
    pub values: [usize; COUNT],
}

impl Options {
    /// All defaults.
    pub const fn new() -> Self {
        let mut values = [0; COUNT];
        let mut i = 0;
        while i < COUNT {
            values[i] = LIST[i].default;
            i += 1;
        }
        Options { values }
    }

    /// The value of `key`.
    pub fn get(&self, key: Key) -> usize {
        self.values.get(key as usize).copied().unwrap_or(0)
    }

    /// Takes over every good pair of `text`; calls `bad` with each piece that is not.
    #[cold]
    pub fn parse(&mut self, text: &[u8], mut bad: impl FnMut(Problem, &[u8])) {
        let mut start = 0;
        for piece in text.split(|b| *b == b',') {
            let at = start;
            start += piece.len() + 1;
            if piece.is_empty() {
                continue;
            }
            let mut halves = piece.splitn(2, |b| *b == b':');
            let key = halves.next().unwrap_or(b"");
            let Some(value) = halves.next() else {
                bad(Problem::NoValue, piece);
                continue;
            };
            let Some(i) = LIST.iter().position(|d| d.key.as_bytes() == key) else {
                bad(Problem::UnknownKey, piece);
                continue;
            };
            let (Some(d), Some(slot)) = (LIST.get(i), self.values.get_mut(i)) else {
                continue;
            };
            match parse_value(d, value, at + key.len() + 1) {
                Some(v) => *slot = v,
                None => bad(Problem::BadValue, piece),
            }
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a piece was not taken over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// No option has this key.
    UnknownKey,
    /// No `:` in the piece.
    NoValue,
    /// Not a value of the option's kind, or out of its range.
    BadValue,
}

#[cold]
fn parse_value(d: &Declared, text: &[u8], at: usize) -> Option<usize> {
    match d.kind {
        Kind::Switch => match text {
            b"on" | b"1" | b"true" => Some(1),
            b"off" | b"0" | b"false" => Some(0),
            _ => None,
        },
        Kind::Choice(words) => words.iter().position(|w| w.as_bytes() == text),
        Kind::Path => {
            (!text.is_empty() && text.len() < 4096 && at < 1 << 32).then_some(at << 16 | text.len())
        }
        Kind::Count | Kind::Size => {
            let v = parse_number(text, d.kind == Kind::Size)?;
            (d.range.0 <= v && v <= d.range.1).then_some(v)
        }
    }
}

fn parse_number(text: &[u8], suffix: bool) -> Option<usize> {
    let (digits, shift) = match text.split_last()? {
        (last, rest) if suffix => match last.to_ascii_lowercase() {
            b'k' => (rest, 10),
            b'm' => (rest, 20),
            b'g' => (rest, 30),
            b't' => (rest, 40),
            _ => (text, 0),
        },
        _ => (text, 0),
    };
    if digits.is_empty() {
        return None;
    }
    let mut v = 0usize;
    for b in digits {
        if !b.is_ascii_digit() {
            return None;
        }
        v = v.checked_mul(10)?.checked_add((b - b'0') as usize)?;
    }
    v.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[cold]
    fn parse(text: &str) -> (Options, Vec<Problem>) {
        let (mut o, mut problems) = (Options::new(), Vec::new());
        o.parse(text.as_bytes(), |p, _| problems.push(p));
        (o, problems)
    }

    #[test]
    fn good_pairs_are_taken_and_bad_ones_leave_the_default() {
        let (o, p) = parse("retain:16m,nonsense:1,retain_share:x,cache:off,,batch_count");
        assert_eq!(o.get(Key::retain), 16 << 20);
        assert_eq!(o.get(Key::retain_share), 10);
        assert_eq!(o.get(Key::cache), 0);
        assert_eq!(
            p,
            [Problem::UnknownKey, Problem::BadValue, Problem::NoValue]
        );
    }

    #[test]
    fn the_support_thread_is_off_automatic_or_on() {
        assert_eq!(parse("").0.get(Key::support), 1);
        for (text, value) in [("off", 0), ("auto", 1), ("on", 2)] {
            let (o, p) = parse(&std::format!("support:{text}"));
            assert!(p.is_empty());
            assert_eq!(o.get(Key::support), value, "{text}");
        }
        assert_eq!(parse("support:maybe").1, [Problem::BadValue]);
    }

    #[test]
    fn numbers_keep_their_ranges() {
        assert_eq!(parse("reserve:1").1, [Problem::BadValue]);
        assert_eq!(parse("retain:99999999999999999999").1, [Problem::BadValue]);
        assert_eq!(parse("retain:17179869184g").1, [Problem::BadValue]);
        assert_eq!(parse("retain:").1, [Problem::BadValue]);
        assert_eq!(parse("retain:k").1, [Problem::BadValue]);
        assert_eq!(parse("reserve:1T").0.get(Key::reserve), 1 << 40);
    }

    #[test]
    fn a_choice_is_one_of_its_words() {
        assert_eq!(parse("safety:off").0.get(Key::safety), 0);
        assert_eq!(parse("safety:guard").0.get(Key::safety), 1);
        assert_eq!(parse("safety:").1, [Problem::BadValue]);
        assert_eq!(parse("safety:Guard").1, [Problem::BadValue]);
    }

    #[test]
    fn a_path_is_a_span_of_the_text() {
        let text = "retain:1m,stats_file:/tmp/x.json,cache:on";
        let (o, p) = parse(text);
        assert!(p.is_empty());
        let span = o.get(Key::stats_file);
        assert_eq!(&text[span >> 16..][..span & 0xffff], "/tmp/x.json");
    }
}
