//! Progress on stderr, when that is a terminal and the data itself does not go over it.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::Duration;

/// Bytes between two updates: drawing must not cost throughput.
const STEP: u64 = 64 << 10;
const UNKNOWN: &str = "{spinner} {binary_bytes}  {binary_bytes_per_sec}  {elapsed}  {msg}";
const KNOWN: &str =
    "{bar:30} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left  {msg}";

/// A bar, a spinner where the total is not known, or nothing.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    messages: u64,
    bytes: u64,
    shown: u64,
}

impl Progress {
    /// `data_on_terminal`: the data itself comes from or goes to one.
    pub fn new(total_bytes: Option<u64>, data_on_terminal: bool) -> Self {
        let visible = stderr().is_terminal() && !data_on_terminal;
        let bar = visible.then(|| {
            let (bar, template) = match total_bytes {
                Some(total) => (ProgressBar::new(total), KNOWN),
                None => (ProgressBar::new_spinner(), UNKNOWN),
            };
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, messages: 0, bytes: 0, shown: 0 }
    }

    /// So much more has passed.
    pub fn add(&mut self, messages: u64, bytes: u64) {
        self.set(self.messages + messages, self.bytes + bytes);
    }

    /// So much has passed in all.
    pub fn set(&mut self, messages: u64, bytes: u64) {
        (self.messages, self.bytes) = (messages, bytes);
        if self.bar.is_some() && self.bytes.wrapping_sub(self.shown) >= STEP {
            self.show();
        }
    }

    /// Messages and bytes so far.
    pub fn done(&self) -> (u64, u64) {
        (self.messages, self.bytes)
    }

    fn show(&mut self) {
        self.shown = self.bytes;
        if let Some(bar) = &self.bar {
            bar.set_position(self.bytes);
            bar.set_message(format!("{} messages", self.messages));
        }
    }

    /// A line above the bar.
    pub fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| shmq_tool::failure::say(text)),
            None => shmq_tool::failure::say(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
