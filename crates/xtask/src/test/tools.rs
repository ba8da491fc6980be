//! The tools that steps need: how to see that one is there, and which Debian package brings it.

use std::path::Path;
use std::process::{Command, Stdio};

/// How a tool is recognised.
enum Probe {
    /// A program in `PATH`.
    Program(&'static str),
    /// A cargo subcommand: `cargo NAME --version` works. The name is also the rustup component's.
    Cargo(&'static str, &'static str),
    /// A file or folder.
    File(&'static str),
}

struct Tool {
    name: &'static str,
    probe: Probe,
    packages: &'static [&'static str],
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "rustfmt",
        probe: Probe::Cargo("fmt", "rustfmt"),
        packages: &[],
    },
    Tool {
        name: "clippy",
        probe: Probe::Cargo("clippy", "clippy"),
        packages: &[],
    },
    program("gcc", &["gcc", "libc6-dev"]),
    program("g++", &["g++"]),
    program("objdump", &["binutils"]),
    program("strace", &["strace"]),
    program("valgrind", &["valgrind"]),
    program("chromium", &["chromium", "fonts-dejavu-core"]),
    program("redis-server", &["redis-server"]),
    program("memcached", &["memcached"]),
    Tool {
        name: "rustc for aarch64",
        probe: Probe::File("/usr/bin/rustc"),
        packages: &["rustc-web"],
    },
    Tool {
        name: "Rust library for aarch64",
        probe: Probe::File("/usr/lib/rustlib/aarch64-unknown-linux-gnu/lib"),
        packages: &["libstd-rust-web-dev:arm64"],
    },
    program("aarch64-linux-gnu-gcc", &["gcc-aarch64-linux-gnu"]),
    program("aarch64-linux-gnu-g++", &["g++-aarch64-linux-gnu"]),
    program("qemu-aarch64", &["qemu-user"]),
    Tool {
        name: "C library for aarch64",
        probe: Probe::File("/usr/aarch64-linux-gnu/lib/crt1.o"),
        packages: &["libc6-dev-arm64-cross"],
    },
];

const fn program(name: &'static str, packages: &'static [&'static str]) -> Tool {
    Tool {
        name,
        probe: Probe::Program(name),
        packages,
    }
}

fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

impl Tool {
    fn present(&self) -> bool {
        match self.probe {
            Probe::Program(name) => in_path(name),
            Probe::Cargo(command, _) => quiet(Command::new("cargo").args([command, "--version"])),
            Probe::File(path) => Path::new(path).exists(),
        }
    }
}

/// Which of the named tools are not here, each with what brings it.
pub fn missing(names: &[&str]) -> Vec<String> {
    names
        .iter()
        .filter_map(|name| match find(name) {
            None => Some(format!("{name} (no such tool in the table)")),
            Some(tool) if tool.present() => None,
            Some(tool) => Some(match tool.probe {
                Probe::Cargo(_, component) => {
                    format!("{name} (rustup component add {component})")
                }
                _ => format!("{name} (apt-get install {})", tool.packages.join(" ")),
            }),
        })
        .collect()
}

/// The packages that bring what is missing of the named tools; rustup's components are added at once. What
/// cannot be installed is found by the steps that need it.
pub fn packages(names: &[&str]) -> Vec<String> {
    let mut packages = Vec::new();
    for tool in names.iter().filter_map(|name| find(name)) {
        if tool.present() {
            continue;
        }
        if let Probe::Cargo(_, component) = tool.probe {
            report(Command::new("rustup").args(["component", "add", component]));
        }
        packages.extend(tool.packages.iter().map(|p| (*p).to_owned()));
    }
    packages
}

/// Installs Debian packages, when there are any, we are root and apt is there.
pub fn install_packages(mut packages: Vec<String>) {
    packages.sort();
    packages.dedup();
    if packages.is_empty() || !is_root() || !in_path("apt-get") {
        return;
    }
    println!("==== installing {}", packages.join(" "));
    if packages.iter().any(|p| p.ends_with(":arm64")) {
        report(Command::new("dpkg").args(["--add-architecture", "arm64"]));
    }
    report(Command::new("apt-get").args(["update", "-q"]));
    let _quiet_services = NoServices::new();
    // One package that cannot be had keeps apt from all: then each alone.
    if !install(&packages) && packages.len() > 1 {
        for package in &packages {
            install(std::slice::from_ref(package));
        }
    }
}

/// Whether apt installed them.
fn install(packages: &[String]) -> bool {
    report(
        Command::new("apt-get")
            .args(["install", "-y", "-q", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// While it lives, packages that bring a server do not start it (Debian's `policy-rc.d`).
struct NoServices(bool);

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let ours = !Path::new(POLICY).exists()
            && std::fs::write(POLICY, "#!/bin/sh\nexit 101\n").is_ok()
            && std::fs::set_permissions(POLICY, std::fs::Permissions::from_mode(0o755)).is_ok();
        NoServices(ours)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.0 {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}

fn in_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(name).is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

fn quiet(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs an installer: whether it succeeded. A failure is printed and shows again in the step that misses the tool.
fn report(command: &mut Command) -> bool {
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => return true,
        Ok(status) => println!("{:?}: {status}", command.get_program()),
        Err(e) => println!("{:?}: {e}", command.get_program()),
    }
    false
}
