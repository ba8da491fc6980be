//! The progress line: where it stands and how long it will take.

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Shown on standard error: a bar on a terminal, a line per twentieth elsewhere.
pub struct Progress {
    total: f64,
    done: f64,
    steps: (usize, usize),
    start: Instant,
    terminal: bool,
    printed: usize,
}

impl Progress {
    /// `total` is any measure of work, `steps` how many pieces it comes in.
    pub fn new(total: f64, steps: usize) -> Progress {
        Progress {
            total,
            done: 0.0,
            steps: (0, steps),
            start: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            printed: 0,
        }
    }

    /// Says what is running now.
    pub fn show(&mut self, what: &str) {
        let share = if self.total > 0.0 {
            (self.done / self.total).min(1.0)
        } else {
            0.0
        };
        let left = self.left();
        if self.terminal {
            let filled = (share * 30.0) as usize;
            let bar: String = (0..30)
                .map(|i| if i < filled { '#' } else { '.' })
                .collect();
            eprint!(
                "\r\x1b[K[{bar}] {}/{} {left} {what}",
                self.steps.0, self.steps.1
            );
            let _ = std::io::stderr().flush();
        } else if (share * 20.0) as usize >= self.printed {
            self.printed = (share * 20.0) as usize + 1;
            eprintln!("{}/{} {left} {what}", self.steps.0, self.steps.1);
        }
    }

    /// One piece of the given work is done.
    pub fn step(&mut self, work: f64) {
        self.done += work;
        self.steps.0 += 1;
    }

    /// The estimate of the whole changed.
    pub fn retotal(&mut self, total: f64) {
        self.total = total;
    }

    /// Clears the bar.
    pub fn end(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }

    fn left(&self) -> String {
        if self.steps.0 == 0 || self.done <= 0.0 {
            return "time left: ?".into();
        }
        let seconds =
            self.start.elapsed().as_secs_f64() * (self.total - self.done).max(0.0) / self.done;
        format!("time left: {}", words(seconds))
    }
}

/// A duration as a person says it.
pub fn words(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
