//! The control names, and the two ways to write one: text, and a MIB (an array of numbers).
//!
//! `#` in a name stands for a number. A MIB has one element per component: the number for `#`, else the name's place
//! in the table. So numbers may be replaced in a MIB, and no other element can be taken for another name's.

/// Components of the longest name.
pub const MAX_DEPTH: usize = 6;

macro_rules! names {
    ($($name:literal => $key:ident,)*) => {
        /// What a control name stands for.
        #[derive(Clone, Copy)]
        pub enum Key {
            $(#[doc = concat!("`", $name, "`")] $key,)*
        }

        static NAMES: &[(&str, Key)] = &[$(($name, Key::$key),)*];
    };
}

names! {
    "version" => Version,
    "epoch" => Epoch,
    "background_thread" => BackgroundThread,
    "thread.arena" => ThreadArena,
    "thread.tcache.flush" => ThreadFlush,
    "config.cache_oblivious" => ConfigCacheOblivious,
    "config.debug" => ConfigDebug,
    "config.fill" => ConfigFill,
    "config.lazy_lock" => ConfigLazyLock,
    "config.malloc_conf" => ConfigMallocConf,
    "config.prof" => ConfigProf,
    "config.prof_libgcc" => ConfigProfLibgcc,
    "config.prof_libunwind" => ConfigProfLibunwind,
    "config.stats" => ConfigStats,
    "config.utrace" => ConfigUtrace,
    "config.xmalloc" => ConfigXmalloc,
    "opt.abort" => OptAbort,
    "opt.abort_conf" => OptAbortConf,
    "opt.background_thread" => OptBackgroundThread,
    "opt.dss" => OptDss,
    "opt.junk" => OptJunk,
    "opt.narenas" => OptNarenas,
    "opt.percpu_arena" => OptPercpuArena,
    "opt.prof" => OptProf,
    "opt.retain" => OptRetain,
    "opt.stats_print" => OptStatsPrint,
    "opt.utrace" => OptUtrace,
    "opt.xmalloc" => OptXmalloc,
    "opt.zero" => OptZero,
    "arena.#.initialized" => ArenaInitialized,
    "arena.#.purge" => ArenaPurge,
    "arena.#.decay" => ArenaDecay,
    "arenas.narenas" => ArenasNarenas,
    "arenas.page" => ArenasPage,
    "arenas.quantum" => ArenasQuantum,
    "arenas.nbins" => ArenasNbins,
    "arenas.bin.#.size" => ArenasBinSize,
    "stats.allocated" => StatsAllocated,
    "stats.active" => StatsActive,
    "stats.mapped" => StatsMapped,
    "stats.metadata" => StatsMetadata,
    "stats.resident" => StatsResident,
    "stats.retained" => StatsRetained,
    "stats.arenas.#.nthreads" => StatsArenaThreads,
    "stats.arenas.#.pactive" => StatsArenaActivePages,
    "stats.arenas.#.pdirty" => StatsArenaDirtyPages,
    "stats.arenas.#.pmuzzy" => StatsArenaMuzzyPages,
    "stats.arenas.#.mapped" => StatsArenaMapped,
    "stats.arenas.#.resident" => StatsArenaResident,
    "stats.arenas.#.retained" => StatsArenaRetained,
    "stats.arenas.#.dirty_nmadvise" => StatsArenaPurges,
    "stats.arenas.#.dirty_purged" => StatsArenaPurgedPages,
    "stats.arenas.#.small.allocated" => StatsArenaSmall,
    "stats.arenas.#.large.allocated" => StatsArenaLarge,
    "stats.arenas.#.bins.#.curslabs" => StatsBinSlabs,
    "stats.arenas.#.bins.#.curregs" => StatsBinRegions,
}

/// A name with its numbers.
pub struct Path {
    place: usize,
    pub key: Key,
    /// The numbers in the name, in order; 0 where it has none.
    pub numbers: [usize; 2],
}

#[cold]
fn components(name: &str) -> impl Iterator<Item = &[u8]> {
    name.as_bytes().split(|&byte| byte == b'.')
}

#[cold]
fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0usize, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(usize::from(digit))
    })
}

/// `Some(numbers)` if every component of the name in the table is met: `meet` says what stands at a `#`, and whether a
/// literal stands where one is expected.
#[cold]
fn numbers_of<'n>(
    name: &'n str,
    mut meet: impl FnMut(&'n [u8]) -> Option<Option<usize>>,
) -> Option<[usize; 2]> {
    let mut numbers = [0; 2];
    let mut free = numbers.iter_mut();
    for component in components(name) {
        if let Some(number) = meet(component)? {
            *free.next()? = number;
        }
    }
    Some(numbers)
}

impl Path {
    /// The path that the text names.
    #[cold]
    pub fn from_name(text: &[u8]) -> Option<Self> {
        NAMES.iter().enumerate().find_map(|(place, &(name, key))| {
            let mut given = text.split(|&byte| byte == b'.');
            let numbers = numbers_of(name, |expected| match given.next()? {
                digits if expected == b"#" => number(digits).map(Some),
                literal => (literal == expected).then_some(None),
            })?;
            given.next().is_none().then_some(Self {
                place,
                key,
                numbers,
            })
        })
    }

    /// The path that the MIB names.
    #[cold]
    pub fn from_mib(mib: &[usize]) -> Option<Self> {
        let place = *mib.first()?;
        let &(name, key) = NAMES.get(place)?;
        let mut given = mib.iter().copied();
        let numbers = numbers_of(name, |expected| match given.next()? {
            number if expected == b"#" => Some(Some(number)),
            other => (other == place).then_some(None),
        })?;
        given.next().is_none().then_some(Self {
            place,
            key,
            numbers,
        })
    }

    /// Writes the MIB and gives its length.
    #[cold]
    pub fn to_mib(&self, mib: &mut [usize; MAX_DEPTH]) -> usize {
        let Some((name, _)) = NAMES.get(self.place) else {
            return 0;
        };
        let mut numbers = self.numbers.iter();
        let mut length = 0;
        for (slot, component) in mib.iter_mut().zip(components(name)) {
            *slot = if component == b"#" {
                numbers.next().copied().unwrap_or(0)
            } else {
                self.place
            };
            length += 1;
        }
        length
    }
}
