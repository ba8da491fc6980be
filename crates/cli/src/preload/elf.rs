//! What an ELF file says about itself.

use std::fmt;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use memchr::memmem;
use memmap2::Mmap;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endian, Endianness, FileKind};

use super::sanitizer;

/// The facts that decide whether a preloaded library is active.
#[derive(Debug)]
pub struct Facts {
    /// Machine, word size and byte order.
    pub target: Target,
    /// The loader that it asks for (`PT_INTERP`); `None` for static programs and libraries.
    pub loader: Option<PathBuf>,
    /// Is it a shared object (which static-pie programs and loaders are too)?
    pub is_shared: bool,
    /// Its own name as a library.
    pub soname: Option<Vec<u8>>,
    /// Does it define `malloc` for others to bind to?
    pub defines_malloc: bool,
    /// An allocator that is linked into it.
    pub own_allocator: Option<OwnAllocator>,
    /// Does it contain the run time of MemorySanitizer?
    pub has_memory_sanitizer: bool,
    needed: Vec<Vec<u8>>,
}

/// What a file is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    machine: elf::Machine,
    is_64: bool,
    little_endian: bool,
}

/// An allocator that a program brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnAllocator {
    /// Its name, if it is one that we know.
    name: Option<&'static str>,
    /// It takes the place of `malloc` for the whole program.
    replaces_malloc: bool,
}

/// Reads the facts; `None` if `file` is not an ELF file at all.
pub fn read(file: &File) -> Result<Option<Facts>, String> {
    if file.metadata().map_err(|e| e.to_string())?.len() == 0 {
        return Ok(None);
    }
    // SAFETY: the mapping is read-only and private to this function. If someone truncates the file meanwhile this
    // command dies with SIGBUS before it has done anything; if someone writes to it the parsed facts are wrong, but
    // `object` checks every offset against the mapping's length.
    let data = unsafe { Mmap::map(file) }.map_err(|e| e.to_string())?;
    let data: &[u8] = &data;
    if !data.starts_with(&elf::ELFMAG) {
        return Ok(None);
    }
    match FileKind::parse(data) {
        Ok(FileKind::Elf32) => facts::<elf::FileHeader32<Endianness>>(data),
        Ok(FileKind::Elf64) => facts::<elf::FileHeader64<Endianness>>(data),
        _ => return Err("is not a valid ELF file".into()),
    }
    .map(Some)
    .map_err(|error| format!("is not a valid ELF file ({error})"))
}

fn facts<Elf: FileHeader<Endian = Endianness>>(data: &[u8]) -> object::Result<Facts> {
    let header = Elf::parse(data)?;
    let endian = header.endian()?;
    let target = Target {
        machine: header.e_machine(endian),
        is_64: header.is_type_64(),
        little_endian: endian.is_little_endian(),
    };
    let mut loader = None;
    for segment in header.program_headers(endian, data)? {
        if let Some(path) = segment.interpreter(endian, data)? {
            loader = Some(PathBuf::from(std::ffi::OsStr::from_bytes(path)));
        }
    }
    let mut facts = Facts {
        target,
        loader,
        is_shared: header.e_type(endian) == elf::ET_DYN,
        soname: None,
        defines_malloc: false,
        own_allocator: None,
        has_memory_sanitizer: false,
        needed: Vec::new(),
    };
    // A file may come without a section table; then nothing is known about its symbols.
    let Ok(sections) = header.sections(endian, data) else {
        return Ok(facts);
    };
    if let Some((entries, strings)) = sections.dynamic(endian, data)? {
        let strings = sections.strings(endian, data, strings)?;
        for entry in entries {
            let text = || entry.val32(endian).and_then(|at| strings.get(at).ok());
            match entry.tag(endian) {
                elf::DT_NEEDED => facts.needed.extend(text().map(<[u8]>::to_vec)),
                elf::DT_SONAME => facts.soname = text().map(<[u8]>::to_vec),
                _ => {}
            }
        }
    }
    let mut name = None;
    for table in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
        let symbols = sections.symbols(endian, data, table)?;
        for symbol in symbols.iter().filter(|s| !s.is_undefined(endian)) {
            let symbol_name = symbol.name(endian, symbols.strings()).unwrap_or_default();
            if symbol_name == b"malloc" && table == elf::SHT_DYNSYM {
                facts.defines_malloc = true;
            }
            facts.has_memory_sanitizer |= symbol_name == sanitizer::MEMORY_SANITIZER;
            name = name.or_else(|| OwnAllocator::by_symbol(symbol_name));
        }
    }
    if name.is_none() {
        let constants = sections
            .enumerate()
            .filter(|(_, s)| sections.section_name(endian, s) == Ok(b".rodata"));
        for (_, section) in constants {
            name = name.or_else(|| OwnAllocator::by_text(section.data(endian, data).ok()?));
        }
    }
    if facts.defines_malloc || name.is_some() {
        facts.own_allocator = Some(OwnAllocator {
            name,
            replaces_malloc: facts.defines_malloc,
        });
    }
    Ok(facts)
}

impl Facts {
    /// Is it the dynamic loader itself, run as a program (`ld.so PROGRAM`)? It preloads into what it starts.
    pub fn is_loader(&self) -> bool {
        self.is_shared
            && self.soname.as_ref().is_some_and(|n| {
                [&b"ld-linux"[..], b"ld.so", b"ld64.so"]
                    .iter()
                    .any(|l| n.starts_with(l))
            })
    }

    /// Does it name `library` as one that it needs?
    pub fn needs(&self, library: &str) -> bool {
        self.needed.iter().any(|n| n == library.as_bytes())
    }

    /// Does it name a library that it needs whose name starts so?
    pub fn needs_one_of(&self, start: &str) -> bool {
        self.needed.iter().any(|n| n.starts_with(start.as_bytes()))
    }
}

impl OwnAllocator {
    /// Symbols that only the allocator itself defines.
    const SYMBOLS: [(&'static str, &'static [&'static str]); 4] = [
        (
            "jemalloc",
            &[
                "je_malloc",
                "_rjem_malloc",
                "_rjem_mallocx",
                "je_mallocx",
                "mallocx",
            ],
        ),
        ("mimalloc", &["mi_malloc", "mi_heap_malloc"]),
        ("tcmalloc", &["tc_malloc", "TCMallocInternalMalloc"]),
        ("rpmalloc", &["rpmalloc"]),
    ];
    /// Texts that only the allocator itself contains; a bar is taken out before the search, so that this program does
    /// not contain them too.
    const TEXTS: [(&'static str, &'static str); 3] = [
        ("jemalloc", "<jemal|loc>: "),
        ("mimalloc", "mimal|loc: warning: "),
        ("tcmalloc", "tcmalloc.current_total_|thread_cache_bytes"),
    ];

    fn by_symbol(symbol: &[u8]) -> Option<&'static str> {
        Self::SYMBOLS
            .iter()
            .find(|(_, symbols)| symbols.iter().any(|s| s.as_bytes() == symbol))
            .map(|(name, _)| *name)
    }

    fn by_text(constants: &[u8]) -> Option<&'static str> {
        Self::TEXTS
            .iter()
            .find(|(_, text)| memmem::find(constants, text.replace('|', "").as_bytes()).is_some())
            .map(|(name, _)| *name)
    }

    /// What to tell the user about `program`.
    pub fn note(self, program: &Path) -> String {
        let shown = program.display();
        match (self.name, self.replaces_malloc) {
            (Some(name), true) => {
                format!("{shown} has {name} linked in as its malloc: that stays in use")
            }
            (None, _) => format!("{shown} defines malloc itself: its own allocator stays in use"),
            (Some(name), false) => {
                format!("{shown} has {name} linked in: what it allocates through that stays there")
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.is_64 { 64 } else { 32 };
        let name = match (self.machine, self.is_64) {
            (elf::EM_X86_64, true) => "x86_64",
            (elf::EM_X86_64, false) => "x32",
            (elf::EM_386, _) => "i386",
            (elf::EM_AARCH64, _) => "aarch64",
            (elf::EM_ARM, _) => "arm",
            (elf::EM_RISCV, _) => "riscv",
            (elf::EM_PPC64, _) => "ppc64",
            (elf::EM_S390, _) => "s390",
            (elf::EM_LOONGARCH, _) => "loongarch",
            (elf::Machine(n), _) => return write!(f, "machine {n} ({bits}-bit)"),
        };
        let order = if self.little_endian {
            ""
        } else {
            ", big-endian"
        };
        write!(f, "{name} ({bits}-bit{order})")
    }
}
