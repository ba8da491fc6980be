//! Compiles the programs of `tests/c`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use crate::library::workspace;
use crate::{Library, Missing, Run, Tool, emulator};

/// Keeps the compiler from removing or assuming anything about an allocation: the allocator is what is tested.
const COMMON_FLAGS: &[&str] = &[
    "-g",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-builtin",
    "-pthread",
];

/// The language of a source, by its ending.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Language {
    /// `.c`
    C,
    /// `.cpp`
    Cpp,
}

/// How a program gets its allocator.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Linkage {
    /// From the environment: glibc, or a preloaded library.
    Dynamic,
    /// `libaethalloc.a` inside a dynamically linked program.
    Archive,
    /// `libaethalloc.a` in a program with no dynamic linker at all.
    FullyStatic,
    /// A shared library for other programs to load.
    SharedObject,
}

/// A source file of `tests/c`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Source {
    name: &'static str,
    language: Language,
}

/// An executable, or a shared library, ready to be used.
#[derive(Clone, Debug)]
pub struct Program {
    name: &'static str,
    file: PathBuf,
}

impl Source {
    /// `tests/c/NAME.c`
    pub const fn c(name: &'static str) -> Self {
        Self {
            name,
            language: Language::C,
        }
    }

    /// `tests/c/NAME.cpp`
    pub const fn cpp(name: &'static str) -> Self {
        Self {
            name,
            language: Language::Cpp,
        }
    }

    /// A program that takes its allocator from the environment.
    ///
    /// # Errors
    /// [`Missing`] without a compiler; so for the other three.
    pub fn build(self) -> Result<Program, Missing> {
        self.compile(Linkage::Dynamic)
    }

    /// A program with `libaethalloc.a` in it.
    ///
    /// # Errors
    /// See [`Source::build`].
    pub fn build_with_archive(self) -> Result<Program, Missing> {
        self.compile(Linkage::Archive)
    }

    /// A program with `libaethalloc.a` in it, linked with `-static`.
    ///
    /// # Errors
    /// See [`Source::build`].
    pub fn build_fully_static(self) -> Result<Program, Missing> {
        self.compile(Linkage::FullyStatic)
    }

    /// A shared library.
    ///
    /// # Errors
    /// See [`Source::build`].
    pub fn build_shared(self) -> Result<Program, Missing> {
        self.compile(Linkage::SharedObject)
    }

    /// A program that is linked to a shared library of [`Source::build_shared`].
    ///
    /// # Errors
    /// See [`Source::build`].
    pub fn build_linked_to(self, library: &Program) -> Result<Program, Missing> {
        self.compile_now(Linkage::Dynamic, Some(library.path()))
    }

    fn file(self) -> PathBuf {
        let ending = match self.language {
            Language::C => "c",
            Language::Cpp => "cpp",
        };
        sources().join(self.name).with_extension(ending)
    }

    /// Compiles once per test program, however many tests ask.
    fn compile(self, linkage: Linkage) -> Result<Program, Missing> {
        type Slot = Arc<Mutex<Option<Program>>>;
        static BUILT: OnceLock<Mutex<HashMap<(Source, Linkage), Slot>>> = OnceLock::new();
        let slot = lock(BUILT.get_or_init(Mutex::default))
            .entry((self, linkage))
            .or_default()
            .clone();
        let mut slot = lock(&slot);
        if let Some(program) = &*slot {
            return Ok(program.clone());
        }
        Ok(slot.insert(self.compile_now(linkage, None)?).clone())
    }

    fn compile_now(self, linkage: Linkage, library: Option<&Path>) -> Result<Program, Missing> {
        let compiler = Tool::find(&emulator::compiler(match self.language {
            Language::C => "cc",
            Language::Cpp => "c++",
        }))?;
        let file = output_folder().join(match linkage {
            Linkage::Dynamic => self.name.to_owned(),
            Linkage::Archive => format!("{}-archive", self.name),
            Linkage::FullyStatic => format!("{}-static", self.name),
            Linkage::SharedObject => format!("{}.so", self.name),
        });
        let mut command = compiler.command();
        command.args(COMMON_FLAGS);
        command.arg(match self.language {
            Language::C => "-std=gnu17",
            Language::Cpp => "-std=c++17",
        });
        match linkage {
            Linkage::Dynamic => command.arg("-rdynamic"),
            Linkage::Archive => command.arg("-DLINKED_WITH_ARCHIVE"),
            Linkage::FullyStatic => command.args(["-DLINKED_WITH_ARCHIVE", "-static"]),
            Linkage::SharedObject => command.args(["-shared", "-fPIC"]),
        };
        command.arg("-o").arg(&file).arg(self.file());
        if matches!(linkage, Linkage::Archive | Linkage::FullyStatic) {
            command.arg(&Library::get().archive);
        }
        command.args(library).args(["-lpthread", "-ldl"]);
        let output = command.output().unwrap_or_else(|error| {
            panic!("{} does not start: {error}", compiler.path().display())
        });
        assert!(
            output.status.success(),
            "{} does not compile ({linkage:?}):\n{}",
            self.file().display(),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Program {
            name: self.name,
            file,
        })
    }
}

impl Program {
    /// A program that something else built.
    pub fn existing(name: &'static str, file: impl Into<PathBuf>) -> Self {
        Self {
            name,
            file: file.into(),
        }
    }

    /// Its name in messages.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// A run with the allocator that is linked into it: glibc's, or the archive's.
    pub fn as_built(&self) -> Run {
        Run::new(self.name, &self.file)
    }

    /// A run on plain glibc, to check the test itself. The program sees it by `AETHALLOC_ORACLE=1`.
    pub fn on_oracle(&self) -> Run {
        self.as_built().env("AETHALLOC_ORACLE", "1")
    }

    /// A run under `LD_PRELOAD`.
    pub fn preloaded(&self) -> Run {
        self.as_built().preload(&Library::get().so)
    }
}

/// The folder of the sources.
fn sources() -> PathBuf {
    workspace().join("tests/c")
}

/// A folder in cargo's target directory, one per test program: they may run side by side.
fn output_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap_or_else(|error| panic!("own path: {error}"));
        let name = test.file_stem().unwrap_or(test.as_os_str()).to_owned();
        let folder = test
            .ancestors()
            .nth(2)
            .unwrap_or_else(|| panic!("{} is in no target folder", test.display()))
            .join("testkit")
            .join(name);
        std::fs::create_dir_all(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        folder
    })
}

/// A failed test must not fail the others through a poisoned lock.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
