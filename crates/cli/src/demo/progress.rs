//! Progress on stderr: a bar on a terminal, one line per round elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pipeline::Measured;
use crate::text;

/// How far the demo is.
pub struct Progress {
    /// `None` where stderr is no terminal.
    bar: Option<ProgressBar>,
    started: Instant,
    doing: String,
}

impl Progress {
    /// A demo that takes `expected` in all.
    pub fn new(expected: Duration) -> Self {
        let seconds = expected.as_secs_f64().round();
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(
                Some(expected.as_millis() as u64),
                ProgressDrawTarget::stderr(),
            );
            // The fallback is indicatif's own style; the template below is a constant.
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}") {
                bar.set_style(style.progress_chars("━╾─"));
            }
            bar
        });
        if bar.is_none() {
            eprintln!("aethalloc demo: about {seconds} s");
        }
        Self {
            bar,
            started: Instant::now(),
            doing: String::new(),
        }
    }

    /// The next step begins.
    pub fn begin(&mut self, what: &str) {
        self.doing = what.into();
        self.tick();
    }

    /// Time passes.
    pub fn tick(&mut self) {
        let Some(bar) = &self.bar else { return };
        let position = self.started.elapsed().as_millis() as u64;
        let total = bar.length().unwrap_or(position);
        bar.set_position(position.min(total));
        let left = total.saturating_sub(position).div_ceil(1000);
        bar.set_message(format!("{} ({left} s left)", self.doing));
    }

    /// The step ended with these figures.
    pub fn done(&mut self, measured: &Measured) {
        let line = format!(
            "{}: {} packets/s, {} while idle",
            self.doing,
            text::millions(measured.packets_per_second),
            text::bytes(measured.rss_idle)
        );
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Nothing more to come.
    pub fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
