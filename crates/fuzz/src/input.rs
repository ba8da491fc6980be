//! How bytes become actions: sizes, counts, threads.

use aethalloc_base::class;
use arbitrary::{Arbitrary, Result, Unstructured};

/// The actions of an input, at most `most`.
pub fn actions<'a, A: Arbitrary<'a>>(bytes: &'a [u8], most: usize) -> Vec<A> {
    let mut u = Unstructured::new(bytes);
    let mut actions = Vec::new();
    while actions.len() < most && !u.is_empty() {
        match A::arbitrary(&mut u) {
            Ok(action) => actions.push(action),
            Err(_) => break,
        }
    }
    actions
}

/// Bytes asked for: near class boundaries more often than not, seldom large.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub usize);

impl<'a> Arbitrary<'a> for Size {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let kind: u8 = u.arbitrary()?;
        Ok(Size(match kind {
            0..100 => {
                let fast = class::SIZES[u.int_in_range(class::FIRST..=class::SHARING_COUNT - 1)?];
                fast as usize + 1 - u.int_in_range(0..=2)?
            }
            100..160 => u.int_in_range(0..=300)?,
            160..200 => {
                let any = class::SIZES[u.int_in_range(class::FIRST..=class::COUNT - 1)?];
                any as usize + 1 - u.int_in_range(0..=2)?
            }
            200..230 => u.int_in_range(0..=40_000)?,
            230..250 => u.int_in_range(32_000..=400_000)?,
            _ => u.int_in_range(400_000..=9 << 20)?,
        }))
    }
}

/// How often an action is done: mostly once, at times often enough to make a class hot and use up its reservations.
#[derive(Clone, Copy, Debug)]
pub struct Times(pub usize);

impl<'a> Arbitrary<'a> for Times {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Times(match u.arbitrary::<u8>()? {
            0..120 => 1,
            n @ 120..200 => n as usize - 118,
            n @ 200..248 => (n as usize - 198) * 4,
            n => (n as usize - 247) * 80,
        }))
    }
}

/// One of the threads.
#[derive(Clone, Copy, Debug)]
pub struct Who(pub usize);

/// Threads that there are.
pub const THREADS: usize = 4;

impl<'a> Arbitrary<'a> for Who {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Who(u.arbitrary::<u8>()? as usize % THREADS))
    }
}

/// Names one of `n` things, whatever `n` will be.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The one that has been there longest.
    First,
    /// The newest.
    Last,
    /// Any.
    Any(u16),
}

impl<'a> Arbitrary<'a> for Which {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.arbitrary::<u8>()? {
            0..60 => Which::First,
            60..140 => Which::Last,
            _ => Which::Any(u.arbitrary()?),
        })
    }
}

impl Which {
    /// Its index; `n` is not 0.
    pub fn of(self, n: usize) -> usize {
        match self {
            Which::First => 0,
            Which::Last => n - 1,
            Which::Any(i) => i as usize % n,
        }
    }
}

/// An option that may change while a program runs, with a value.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Which option.
    pub key: aethalloc_base::options::Key,
    /// Its value.
    pub value: usize,
}

impl<'a> Arbitrary<'a> for Setting {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        use aethalloc_base::options::Key;
        let small: u8 = u.arbitrary()?;
        let small = small as usize;
        Ok(match u.int_in_range(0..=5)? {
            0 => Setting {
                key: Key::retain,
                value: small << 18,
            },
            1 => Setting {
                key: Key::retain_share,
                value: small % 101,
            },
            2 => Setting {
                key: Key::batch_count,
                value: small * 32 + 1,
            },
            3 => Setting {
                key: Key::batch_bytes,
                value: (small + 1) << 12,
            },
            4 => Setting {
                key: Key::remap,
                value: small % 2,
            },
            _ => Setting {
                key: Key::cache,
                value: !small.is_multiple_of(4) as usize,
            },
        })
    }
}

impl Setting {
    /// Sets the option.
    pub fn apply(self) {
        aethalloc_core::config::set(self.key, self.value);
    }
}

/// All options as they are without any setting.
pub fn reset_settings() {
    aethalloc_core::config::adopt(&aethalloc_base::options::Options::new());
}
