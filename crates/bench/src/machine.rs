//! What the measurements depend on besides the allocator.

use std::fs::read_to_string;

use serde::{Deserialize, Serialize};

/// The machine, as recorded in a result.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Model name of the first CPU.
    pub cpu: String,
    /// CPUs this process may run on.
    pub cpus: usize,
    /// Whether the CPU says that it is virtual.
    pub virtual_machine: bool,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
    /// Distribution.
    pub system: String,
    /// Transparent huge pages: the mode in brackets.
    pub huge_pages: String,
    /// Their defragmentation mode.
    pub huge_pages_defrag: String,
    /// Frequency governor, empty without.
    pub governor: String,
    /// vm.overcommit_memory.
    pub overcommit: String,
    /// Load average of the last minute when the bench started.
    pub load: f64,
    /// The compiler that built workloads and library.
    pub rustc: String,
}

/// Looks around.
pub fn look() -> Machine {
    let cpuinfo = read("/proc/cpuinfo");
    let memory = read("/proc/meminfo");
    let os = read("/etc/os-release");
    let rustc = std::process::Command::new("rustc")
        .arg("--version")
        .output();
    Machine {
        cpu: after(&cpuinfo, "model name\t: ")
            .unwrap_or(std::env::consts::ARCH)
            .to_string(),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        virtual_machine: after(&cpuinfo, "flags\t\t: ")
            .is_some_and(|f| f.split(' ').any(|w| w == "hypervisor")),
        memory_mib: after(&memory, "MemTotal:")
            .and_then(|v| v.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .unwrap_or(0)
            / 1024,
        kernel: read("/proc/sys/kernel/osrelease"),
        system: after(&os, "PRETTY_NAME=")
            .unwrap_or_default()
            .trim_matches('"')
            .to_string(),
        huge_pages: bracketed(&read("/sys/kernel/mm/transparent_hugepage/enabled")),
        huge_pages_defrag: bracketed(&read("/sys/kernel/mm/transparent_hugepage/defrag")),
        governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        overcommit: read("/proc/sys/vm/overcommit_memory"),
        load: read("/proc/loadavg")
            .split(' ')
            .next()
            .and_then(|v| v.parse().ok())
            .unwrap_or(0.0),
        rustc: rustc.map_or(String::new(), |o| {
            String::from_utf8_lossy(&o.stdout).trim().to_string()
        }),
    }
}

fn read(path: &str) -> String {
    read_to_string(path).unwrap_or_default().trim().to_string()
}

fn after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .map(str::trim)
}

fn bracketed(text: &str) -> String {
    text.split(['[', ']']).nth(1).unwrap_or(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_machine() {
        let machine = look();
        assert!(
            machine.cpus >= 1 && machine.memory_mib > 0 && !machine.kernel.is_empty(),
            "{machine:?}"
        );
    }

    #[test]
    fn the_mode_is_the_one_in_brackets() {
        assert_eq!(bracketed("always [madvise] never"), "madvise");
        assert_eq!(bracketed(""), "");
    }
}
