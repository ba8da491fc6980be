//! Programs that a compiler built with a sanitizer: their run time is an allocator too, and most do not start beside another one.

use super::elf::Facts;

/// A sanitizer that a program is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sanitizer {
    name: &'static str,
    /// What becomes of the program with a library preloaded.
    effect: Effect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Its run time ends the program when another `malloc` comes before it.
    Ends,
    /// It works on and sees nothing of what the library allocates.
    Blind,
    /// It wants the addresses that the library reserves.
    Crowded,
}

/// Starts of the names of shared run times, of GCC and of clang.
const LIBRARIES: &[(&str, Sanitizer)] = &[
    (
        "libasan.so",
        Sanitizer::new("AddressSanitizer", Effect::Ends),
    ),
    (
        "libclang_rt.asan",
        Sanitizer::new("AddressSanitizer", Effect::Ends),
    ),
    (
        "libhwasan.so",
        Sanitizer::new("HWAddressSanitizer", Effect::Ends),
    ),
    (
        "libclang_rt.hwasan",
        Sanitizer::new("HWAddressSanitizer", Effect::Ends),
    ),
    (
        "libtsan.so",
        Sanitizer::new("ThreadSanitizer", Effect::Ends),
    ),
    (
        "libclang_rt.tsan",
        Sanitizer::new("ThreadSanitizer", Effect::Ends),
    ),
    ("liblsan.so", Sanitizer::new("LeakSanitizer", Effect::Blind)),
];

/// What the run time of MemorySanitizer defines in every program that contains it.
pub const MEMORY_SANITIZER: &[u8] = b"__msan_init";

impl Sanitizer {
    const fn new(name: &'static str, effect: Effect) -> Self {
        Self { name, effect }
    }

    /// The one that the program's file names.
    pub fn of(program: &Facts) -> Option<Self> {
        if program.has_memory_sanitizer {
            return Some(Self::new("MemorySanitizer", Effect::Crowded));
        }
        LIBRARIES
            .iter()
            .find(|(start, _)| program.needs_one_of(start))
            .map(|(_, sanitizer)| *sanitizer)
    }

    /// What to tell about a program: a reason to refuse it, or a note.
    pub fn tell(self) -> Result<String, String> {
        let built = format!("is built with {}", self.name);
        match self.effect {
            Effect::Ends => Err(format!(
                "{built}, which ends it where another malloc comes first"
            )),
            Effect::Blind => Ok(format!(
                "{built}, which sees nothing of what this library allocates"
            )),
            Effect::Crowded => Ok(format!(
                "{built}, which wants the addresses that this library reserves: --conf reserve:256g leaves them"
            )),
        }
    }
}
