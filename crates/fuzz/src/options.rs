//! Target `options`: the parser of `AETHALLOC_CONF` against a second one that is written as plainly as possible.
//!
//! Texts are made of pieces that are almost right, or of any bytes. Compared: every value, the span of each path, and
//! which pieces are complained about, why and in which order.

use crate::Target;
use crate::input;
use aethalloc_base::options::{COUNT, Declared, Kind, LIST, Options, Problem};
use arbitrary::Arbitrary;

/// The target.
pub const TARGET: Target = Target {
    name: "options",
    run,
};

/// A piece of the text.
#[derive(Arbitrary, Clone, Debug)]
pub enum Piece {
    /// A key and a number with an ending.
    Number(u8, u64, Ending),
    /// A key and a word.
    Word(u8, Word),
    /// A key and a path of so many bytes.
    Path(u8, u16),
    /// A key and digits, as many as there are.
    Digits(u8, u8, u8),
    /// A key, and any bytes after the colon.
    Value(u8, [u8; 3]),
    /// A key alone.
    Key(u8),
    /// Nothing between two commas.
    Empty,
    /// Any bytes.
    Bytes([u8; 5]),
}

/// What follows a number.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Ending {
    /// Nothing.
    None,
    /// One of `kmgtKMGT`.
    Unit(u8),
    /// Any byte.
    Byte(u8),
}

/// Words for switches, right and wrong.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Word {
    /// `on`
    On,
    /// `off`
    Off,
    /// `true`
    True,
    /// `false`
    False,
    /// `ON`
    Upper,
    /// `of`
    Short,
    /// `0`
    Zero,
    /// `1`
    One,
}

fn text(pieces: &[Piece]) -> Vec<u8> {
    let mut text = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        let mut key = |k: u8| {
            text.extend(LIST[k as usize % LIST.len()].key.as_bytes());
            text.push(b':');
        };
        match piece {
            Piece::Number(k, n, ending) => {
                key(*k);
                // As many of each length.
                text.extend((n >> (n % 64)).to_string().as_bytes());
                match ending {
                    Ending::None => {}
                    Ending::Unit(u) => text.push(b"kmgtKMGT"[*u as usize % 8]),
                    Ending::Byte(b) => text.push(*b),
                }
            }
            Piece::Word(k, word) => {
                key(*k);
                text.extend(
                    match word {
                        Word::On => "on",
                        Word::Off => "off",
                        Word::True => "true",
                        Word::False => "false",
                        Word::Upper => "ON",
                        Word::Short => "of",
                        Word::Zero => "0",
                        Word::One => "1",
                    }
                    .as_bytes(),
                );
            }
            Piece::Path(k, n) => {
                key(*k);
                text.extend(std::iter::repeat_n(b'/', *n as usize % 4200));
            }
            Piece::Digits(k, digit, n) => {
                key(*k);
                text.extend(std::iter::repeat_n(b'0' + digit % 10, *n as usize % 50));
            }
            Piece::Value(k, bytes) => {
                key(*k);
                text.extend(bytes);
            }
            Piece::Key(k) => text.extend(LIST[*k as usize % LIST.len()].key.as_bytes()),
            Piece::Empty => {}
            Piece::Bytes(bytes) => text.extend(bytes),
        }
    }
    text
}

fn run(bytes: &[u8]) {
    compare(&text(&input::actions::<Piece>(bytes, 60)));
    compare(bytes);
}

fn compare(text: &[u8]) {
    let mut options = Options::new();
    let mut complaints = Vec::new();
    options.parse(text, |problem, piece| {
        complaints.push((problem, piece.to_vec()))
    });
    let (values, wanted) = plain(text);
    let shown = String::from_utf8_lossy(text);
    assert_eq!(complaints, wanted, "complaints about {shown:?}");
    assert_eq!(options.values, values, "values of {shown:?}");
}

type Complaint = (Problem, Vec<u8>);

/// The plain parser.
fn plain(text: &[u8]) -> ([usize; COUNT], Vec<Complaint>) {
    let mut values = Options::new().values;
    let mut complaints = Vec::new();
    let mut at = 0;
    for piece in text.split(|b| *b == b',') {
        let start = at;
        at += piece.len() + 1;
        if piece.is_empty() {
            continue;
        }
        let mut complain = |problem| complaints.push((problem, piece.to_vec()));
        let Some(colon) = piece.iter().position(|b| *b == b':') else {
            complain(Problem::NoValue);
            continue;
        };
        let (key, value) = (&piece[..colon], &piece[colon + 1..]);
        let Some(i) = LIST.iter().position(|d| d.key.as_bytes() == key) else {
            complain(Problem::UnknownKey);
            continue;
        };
        match plain_value(&LIST[i], value, start + colon + 1) {
            Some(v) => values[i] = v,
            None => complain(Problem::BadValue),
        }
    }
    (values, complaints)
}

fn plain_value(d: &Declared, value: &[u8], at: usize) -> Option<usize> {
    let word = std::str::from_utf8(value);
    match d.kind {
        Kind::Switch => match word.ok()? {
            "on" | "true" | "1" => Some(1),
            "off" | "false" | "0" => Some(0),
            _ => None,
        },
        Kind::Choice(words) => words.iter().position(|w| w.as_bytes() == value),
        Kind::Path => (1..4096)
            .contains(&value.len())
            .then_some((at << 16) + value.len()),
        Kind::Count | Kind::Size => {
            let mut digits = word.ok()?.to_ascii_lowercase();
            let units = ["k", "m", "g", "t"];
            let unit = units.iter().position(|u| digits.ends_with(u));
            let factor = match unit {
                Some(i) if d.kind == Kind::Size => {
                    digits.pop();
                    1u128 << (10 * (i + 1))
                }
                _ => 1,
            };
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let significant = digits.trim_start_matches('0');
            if significant.len() > 25 {
                return None;
            }
            let n: u128 = if significant.is_empty() {
                0
            } else {
                significant.parse().ok()?
            };
            let v = usize::try_from(n * factor).ok()?;
            (d.range.0 <= v && v <= d.range.1).then_some(v)
        }
    }
}
