//! The options as a program sees them: what they are now, and changing those that may change.

use aethalloc_base::options::{Declared, Key, Kind, LIST, Options};
use aethalloc_core::{config, life};
use core::fmt;

/// Options that take effect at once whenever they change.
const CHANGEABLE: [Key; 11] = [
    Key::retain,
    Key::retain_share,
    Key::limit,
    Key::limit_soft,
    Key::batch_count,
    Key::batch_bytes,
    Key::remap,
    Key::ahead,
    Key::support_purge,
    Key::support_sweep,
    Key::support_pressure,
];
const PATHS: [Key; 1] = [Key::stats_file];

/// Longest `key:value` that [`set_option`] takes.
const LONGEST: usize = 64;

/// A value of an option. Its text (`to_string`) is what `AETHALLOC_CONF` and [`set_option`] take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Value {
    /// A number.
    Count(usize),
    /// Bytes.
    Size(usize),
    /// On or off.
    Switch(bool),
    /// A word.
    Choice(&'static str),
    /// A file, if one was named.
    Path(Option<&'static [u8]>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Value::Count(n) => n.fmt(f),
            Value::Size(bytes) => match [(40, "t"), (30, "g"), (20, "m"), (10, "k")]
                .into_iter()
                .find(|(shift, _)| bytes != 0 && bytes.trailing_zeros() >= *shift)
            {
                Some((shift, suffix)) => write!(f, "{}{suffix}", bytes >> shift),
                None => bytes.fmt(f),
            },
            Value::Switch(on) => f.write_str(if on { "on" } else { "off" }),
            Value::Choice(word) => f.write_str(word),
            Value::Path(None) => Ok(()),
            Value::Path(Some(path)) => path.utf8_chunks().try_for_each(|c| {
                f.write_str(c.valid())?;
                f.write_str(if c.invalid().is_empty() {
                    ""
                } else {
                    "\u{fffd}"
                })
            }),
        }
    }
}

/// An option: what it is and what it is set to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OptionInfo {
    /// Its key.
    pub key: &'static str,
    /// What it is set to, now.
    pub value: Value,
    /// What it is if nothing sets it.
    pub default: Value,
    /// What it does, in a line.
    pub help: &'static str,
    /// True if [`set_option`] can change it; else it is read at start from `AETHALLOC_CONF`.
    pub changeable: bool,
}

/// Every option.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: aethalloc::Aethalloc = aethalloc::Aethalloc;
/// for o in aethalloc::options() {
///     println!("{}:{}  {}", o.key, o.value, o.help);
/// }
/// ```
pub fn options() -> impl Iterator<Item = OptionInfo> {
    config::all().map(|(declared, now)| OptionInfo {
        key: declared.key,
        value: value(declared, now, path_of(declared)),
        default: value(declared, declared.default, None),
        help: declared.help,
        changeable: key_in(&CHANGEABLE, declared.key).is_some(),
    })
}

fn value(declared: &Declared, v: usize, path: Option<&'static [u8]>) -> Value {
    match declared.kind {
        Kind::Count => Value::Count(v),
        Kind::Size => Value::Size(v),
        Kind::Switch => Value::Switch(v != 0),
        Kind::Choice(words) => Value::Choice(words.get(v).copied().unwrap_or("")),
        Kind::Path => Value::Path(path),
    }
}

fn path_of(declared: &Declared) -> Option<&'static [u8]> {
    life::path_option(key_in(&PATHS, declared.key)?)
}

fn key_in(keys: &[Key], key: &str) -> Option<Key> {
    let named = |k: &&Key| LIST.get(**k as usize).is_some_and(|d| d.key == key);
    keys.iter().find(named).copied()
}

/// Why an option was not set; the old value stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SetOptionError {
    /// No option has this key.
    Unknown,
    /// The option is read once, at start, from `AETHALLOC_CONF`.
    ReadAtStart {
        /// Its key.
        key: &'static str,
    },
    /// Not a value of this option.
    BadValue {
        /// Its key.
        key: &'static str,
        /// Smallest value.
        low: Value,
        /// Largest value.
        high: Value,
    },
}

impl fmt::Display for SetOptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetOptionError::Unknown => f.write_str("aethalloc has no such option"),
            SetOptionError::ReadAtStart { key } => {
                write!(
                    f,
                    "option {key} is read at start from AETHALLOC_CONF and cannot be changed later"
                )
            }
            SetOptionError::BadValue { key, low, high } => {
                write!(f, "bad value for option {key}: it takes {low} to {high}")
            }
        }
    }
}

impl core::error::Error for SetOptionError {}

/// Sets an option from now on, for all threads. `value` is written as in `AETHALLOC_CONF`.
///
/// `retain`, `retain_share`, `batch_count`, `batch_bytes`, `remap` and the jobs of the support thread can change. A lower bound on memory takes effect
/// with the next frees; [`purge`](crate::purge) does not wait for them.
///
/// # Errors
/// An unknown key, a key that is only read at start, a value that is malformed or out of range. The old value stays.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: aethalloc::Aethalloc = aethalloc::Aethalloc;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// aethalloc::set_option("retain", "2m")?;
/// let error = aethalloc::set_option("reserve", "1g").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "option reserve is read at start from AETHALLOC_CONF and cannot be changed later"
/// );
/// # Ok(())
/// # }
/// ```
pub fn set_option(key: &str, value: &str) -> Result<(), SetOptionError> {
    let Some(declared) = LIST.iter().find(|d| d.key == key) else {
        return Err(SetOptionError::Unknown);
    };
    let Some(k) = key_in(&CHANGEABLE, key) else {
        return Err(SetOptionError::ReadAtStart { key: declared.key });
    };
    let Some(v) = parse(k, declared.key, value) else {
        return Err(SetOptionError::BadValue {
            key: declared.key,
            low: self::value(declared, declared.range.0, None),
            high: self::value(declared, declared.range.1, None),
        });
    };
    config::set(k, v);
    Ok(())
}

/// Reads a value by the parser that reads `AETHALLOC_CONF`.
fn parse(k: Key, key: &str, value: &str) -> Option<usize> {
    let mut text = [0u8; LONGEST];
    let used = key.len() + 1 + value.len();
    let (name, rest) = text.get_mut(..used)?.split_at_mut_checked(key.len())?;
    let (colon, number) = rest.split_first_mut()?;
    name.copy_from_slice(key.as_bytes());
    *colon = b':';
    number.copy_from_slice(value.as_bytes());
    if value.contains(',') {
        return None;
    }
    let (mut options, mut good) = (Options::new(), true);
    options.parse(text.get(..used)?, |_, _| good = false);
    good.then(|| options.get(k))
}
