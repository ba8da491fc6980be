//! Is another bench running? It cannot disturb our figures' files (each bench has its own folder), but it
//! takes CPU time: a result measured beside one says so.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

const PREFIX: &str = "aethalloc-bench-running-";

/// Our sign that we run: a locked file in the temporary folder, named by our process id. The lock ends with
/// the process, however it ends; the file is removed on drop, or by the next bench that finds it unlocked.
#[derive(Debug)]
pub struct Sign {
    path: PathBuf,
    _locked: File,
}

impl Sign {
    /// Puts the sign up.
    pub fn put_up(folder: &Path) -> Result<Sign, String> {
        let path = folder.join(format!("{PREFIX}{}", std::process::id()));
        let file = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if !try_lock(&file) {
            return Err(format!("{}: locked by another process", path.display()));
        }
        Ok(Sign {
            path,
            _locked: file,
        })
    }

    /// Process ids of other benches that run now.
    pub fn others(&self) -> Vec<u32> {
        let Some(folder) = self.path.parent() else {
            return Vec::new();
        };
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| self.live(&entry.path()))
            .collect()
    }

    fn live(&self, path: &Path) -> Option<u32> {
        let pid = path
            .file_name()?
            .to_str()?
            .strip_prefix(PREFIX)?
            .parse()
            .ok()?;
        if path == self.path {
            return None;
        }
        let file = File::open(path).ok()?;
        if try_lock(&file) {
            let _ = std::fs::remove_file(path);
            return None;
        }
        Some(pid)
    }
}

impl Drop for Sign {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn try_lock(file: &File) -> bool {
    // SAFETY: a plain system call on a descriptor we own.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_a_held_lock_and_clears_a_stale_one() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let sign = Sign::put_up(folder.path())?;
        let held = File::create(folder.path().join(format!("{PREFIX}4242")))?;
        assert!(try_lock(&held));
        let stale = folder.path().join(format!("{PREFIX}4243"));
        File::create(&stale)?;
        assert_eq!(sign.others(), [4242]);
        assert!(!stale.exists());
        drop(held);
        // A child that another test is starting may hold a copy of the descriptor until it calls exec.
        let start = std::time::Instant::now();
        while !sign.others().is_empty() {
            assert!(start.elapsed().as_secs() < 10, "a lock outlived its file");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Ok(())
    }
}
