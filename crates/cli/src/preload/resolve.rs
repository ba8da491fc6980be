//! From a program's name to its file, as execvp(3) finds it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fail::{Failure, Outcome};
use crate::sys;

/// What execvp searches when `PATH` is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The file that `name` starts: itself if it has a slash, else the first executable of that name in `search_path`.
pub fn program(name: &OsStr, search_path: Option<&OsStr>) -> Outcome<PathBuf> {
    let shown = name.display();
    if name.is_empty() {
        return Err(Failure::not_found("the program's name is empty"));
    }
    if name.as_bytes().contains(&b'/') {
        let path = Path::new(name);
        return executable(path).map(|()| path.to_owned());
    }
    let mut refused = None;
    for folder in std::env::split_paths(search_path.unwrap_or(OsStr::new(DEFAULT_PATH))) {
        // An empty entry means the current folder; "./" keeps the result a path, not a name to search.
        let path = match folder.as_os_str().is_empty() {
            true => Path::new(".").join(name),
            false => folder.join(name),
        };
        match executable(&path) {
            Ok(()) => return Ok(path),
            Err(failure) if failure.code == Failure::CANNOT_RUN && !path.is_dir() => {
                refused.get_or_insert(failure);
            }
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| Failure::not_found(format!("{shown}: not found in PATH"))))
}

/// Is `path` a file that we may execute?
fn executable(path: &Path) -> Outcome<()> {
    let shown = path.display();
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(error) if is_missing(&error) => {
            return Err(Failure::not_found(format!("{shown}: no such file")));
        }
        Err(error) => return Err(Failure::cannot_run(format!("{shown}: {error}"))),
    };
    if meta.is_dir() {
        return Err(Failure::cannot_run(format!("{shown} is a directory")));
    }
    if !meta.is_file() || sys::may_execute(path).is_err() {
        return Err(Failure::cannot_run(format!("{shown} is not executable")));
    }
    Ok(())
}

fn is_missing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn put(path: &Path, mode: u32) {
        fs::write(path, "x").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn search_order_is_that_of_execvp() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|d| dir.path().join(d));
        for d in [&a, &b, &c] {
            fs::create_dir(d).unwrap();
        }
        put(&a.join("tool"), 0o644);
        put(&b.join("tool"), 0o755);
        put(&c.join("tool"), 0o755);
        put(&a.join("data"), 0o644);
        fs::create_dir(a.join("folder")).unwrap();
        let path: OsString = std::env::join_paths([&a, &b, &c]).unwrap();
        let find = |name: &str| program(OsStr::new(name), Some(&path));

        assert_eq!(find("tool").unwrap(), b.join("tool"));
        assert_eq!(find("data").unwrap_err().code, Failure::CANNOT_RUN);
        assert_eq!(find("folder").unwrap_err().code, Failure::NOT_FOUND);
        assert_eq!(find("absent").unwrap_err().code, Failure::NOT_FOUND);
        assert_eq!(find("").unwrap_err().code, Failure::NOT_FOUND);
    }

    #[test]
    fn a_name_with_a_slash_is_not_searched() {
        let code = |name: &str| program(OsStr::new(name), None).map_err(|f| f.code);
        assert_eq!(code("/bin/sh"), Ok(PathBuf::from("/bin/sh")));
        assert_eq!(code("/bin/sh/x"), Err(Failure::NOT_FOUND));
        assert_eq!(code("/no/such/thing"), Err(Failure::NOT_FOUND));
        assert_eq!(code("/tmp"), Err(Failure::CANNOT_RUN));
        assert_eq!(code("/dev/null"), Err(Failure::CANNOT_RUN));
    }

    #[test]
    fn without_a_path_the_default_is_searched() {
        assert_eq!(
            program(OsStr::new("sh"), None).unwrap(),
            Path::new("/bin/sh")
        );
    }

    #[test]
    fn an_empty_entry_is_the_current_folder() {
        // Tests run in the package's folder; it has no executable of this name, so the search goes on behind it.
        assert_eq!(
            program(OsStr::new("sh"), Some(OsStr::new(":/bin"))).unwrap(),
            Path::new("/bin/sh")
        );
    }
}
