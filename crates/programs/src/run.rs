//! One run of one program: with the library or without, in a private folder, with a clean environment.

use crate::launch::{Launch, Running};
use crate::program::{Failure, Level, Safety};
use std::cell::Cell;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Where programs are looked up: Debian's own first, whatever the caller's `PATH` puts in front.
const SEARCH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// The surroundings of a run.
pub struct Run {
    /// How long it may take.
    pub level: Level,
    /// The library, or none for the run on glibc.
    pub library: Option<PathBuf>,
    /// The safety mode, with the library.
    pub safety: Option<Safety>,
    folder: PathBuf,
    launches: Cell<u32>,
}

impl Run {
    /// A run inside `folder`, which exists and is empty.
    pub fn new(
        level: Level,
        library: Option<&Path>,
        safety: Option<Safety>,
        folder: PathBuf,
    ) -> Result<Run, Failure> {
        let run = Run {
            level,
            library: library.map(Path::to_owned),
            safety,
            folder,
            launches: Cell::new(0),
        };
        for part in [run.work(), run.traces()] {
            make_folder(&part)?;
        }
        // Processes that give up their rights append too.
        std::fs::write(run.stats(), "").map_err(|e| format!("{}: {e}", run.stats().display()))?;
        set_mode(&run.stats(), 0o666)?;
        Ok(run)
    }

    /// The folder in which the programs run.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// The file to which the library reports.
    pub fn stats(&self) -> PathBuf {
        self.folder.join("stats")
    }

    /// The folder of the traces of `execve`.
    pub fn traces(&self) -> PathBuf {
        self.folder.join("traces")
    }

    /// A path in the working folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    /// Writes a file into the working folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
        }
        std::fs::write(&path, content).map_err(|e| format!("{name}: {e}"))?;
        Ok(path)
    }

    /// Reads a file of the working folder.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, Failure> {
        std::fs::read(self.path(name)).map_err(|e| format!("{name}: {e}"))
    }

    /// A size that depends on the level.
    pub fn size(&self, quick: usize, normal: usize) -> usize {
        match self.level {
            Level::Quick => quick,
            Level::Normal | Level::Full => normal,
        }
    }

    /// A process to start: `name` is looked up in Debian's folders.
    pub fn launch(&self, name: &str) -> Launch<'_> {
        let number = self.launches.get();
        self.launches.set(number + 1);
        Launch::new(self, name, number)
    }

    /// A port of the loopback interface that nothing listens on.
    pub fn free_port(&self) -> Result<u16, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("loopback: {e}"))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        Ok(address.port())
    }

    /// Fails when the library is not mapped into a server that runs now.
    pub fn must_be_active(&self, process: &Running) -> Result<(), Failure> {
        match &self.library {
            Some(library) if !process.maps(&library.to_string_lossy())? => {
                Err("the library is not mapped into the server".into())
            }
            _ => Ok(()),
        }
    }

    /// The environment of every process, without the library's variables.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let work = self.work().to_string_lossy().into_owned();
        vec![
            ("PATH", SEARCH.into()),
            ("HOME", work.clone()),
            ("TMPDIR", work),
            ("LC_ALL", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
        ]
    }
}

/// Where a program is, if it is installed.
pub fn find(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') {
        return Some(PathBuf::from(name)).filter(|p| p.exists());
    }
    std::env::split_paths(SEARCH)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Makes a folder that every user can read.
pub fn make_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|e| format!("{}: {e}", path.display()))?;
    set_mode(path, 0o755)
}

/// Sets permissions.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|e| format!("{}: {e}", path.display()))
}
