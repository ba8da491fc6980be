//! Programs of the machine: compilers, binutils, valgrind.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Missing;

/// A program that was found on this machine.
#[derive(Clone, Debug)]
pub struct Tool(PathBuf);

impl Tool {
    /// Looks `name` up in `PATH`.
    ///
    /// # Errors
    /// [`Missing`], with the Debian package to install where one is known.
    pub fn find(name: &str) -> Result<Self, Missing> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
            .map(Self)
            .ok_or_else(|| {
                let package = match name {
                    "cc" => "gcc",
                    "c++" => "g++",
                    "nm" | "objdump" => "binutils",
                    "aarch64-linux-gnu-gcc" => "gcc-aarch64-linux-gnu",
                    "aarch64-linux-gnu-g++" => "g++-aarch64-linux-gnu",
                    other => other,
                };
                Missing(format!(
                    "no program {name} in PATH (Debian package {package})"
                ))
            })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A command that runs it without the library, whatever the environment of the tests says.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        command
            .env_remove("LD_PRELOAD")
            .env_remove("AETHALLOC_CONF")
            .env("LC_ALL", "C");
        command
    }

    /// Runs it and returns what it printed.
    ///
    /// # Panics
    /// If it cannot be started or fails: then the test cannot go on.
    pub fn output(&self, args: &[&str]) -> String {
        let output = self
            .command()
            .args(args)
            .output()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.0.display()));
        assert!(
            output.status.success(),
            "{} {args:?} failed ({}):\n{}",
            self.0.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
