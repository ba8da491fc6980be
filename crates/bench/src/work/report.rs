//! What a workload prints: one JSON line.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::proc::{self, Memory};

/// Figures of one run.
pub struct Report {
    /// Over what was read back from the blocks.
    pub checksum: u64,
    /// Operations of the measured part (what an operation is, the workload says).
    pub ops: u64,
    /// Duration of the measured part.
    pub seconds: f64,
    /// Resident memory at named moments.
    marks: Vec<(String, Memory)>,
    /// Further figures of this workload.
    extra: Vec<(String, f64)>,
}

impl Report {
    /// A report without marks.
    pub fn new(checksum: u64, ops: u64, seconds: f64) -> Report {
        Report {
            checksum,
            ops,
            seconds,
            marks: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// Adds memory as it was at a named moment.
    pub fn mark(&mut self, name: impl Into<String>, memory: Memory) {
        self.marks.push((name.into(), memory));
    }

    /// Adds a figure.
    pub fn extra(&mut self, name: impl Into<String>, value: f64) {
        self.extra.push((name.into(), value));
    }

    /// Takes the marks "end" and, after `idle` seconds in which nothing is called, "idle",
    /// unless the workload took them itself while its live set was still there.
    pub fn finish(&mut self, idle: u64) {
        if !self.has("end") {
            let memory = proc::memory();
            self.mark("end", memory);
        }
        if idle > 0 && !self.has("idle") {
            std::thread::sleep(Duration::from_secs(idle));
            let memory = proc::memory();
            self.mark("idle", memory);
        }
    }

    fn has(&self, name: &str) -> bool {
        self.marks.iter().any(|(n, _)| n == name)
    }

    /// The line.
    pub fn json(&self, workload: &str) -> String {
        let mut text = format!(
            "{{\"workload\":\"{workload}\",\"checksum\":\"{:016x}\",\"ops\":{},\"seconds\":{:.9},\"marks\":{{",
            self.checksum, self.ops, self.seconds
        );
        for (i, (name, m)) in self.marks.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(
                text,
                "{comma}\"{name}\":{{\"rss_kib\":{},\"pss_kib\":{},\"private_dirty_kib\":{},\"anonymous_kib\":{},\"huge_kib\":{}}}",
                m.rss_kib, m.pss_kib, m.private_dirty_kib, m.anonymous_kib, m.huge_kib
            );
        }
        text.push_str("},\"extra\":{");
        for (i, (name, value)) in self.extra.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(text, "{comma}\"{name}\":{value:.6}");
        }
        text.push_str("}}");
        text
    }
}

/// Runs `work` and returns its result and duration in seconds.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}
