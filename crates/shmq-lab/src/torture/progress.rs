//! How far it is, on a terminal.

use indicatif::ProgressBar;
use shmq_tool::units::{show_count, show_duration};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// A line on a terminal that says how far it is.
pub struct Progress {
    bar: Option<ProgressBar>,
    begin: Instant,
}

impl Progress {
    pub fn new(begin: Instant) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, begin }
    }

    /// So many have died, and so many messages have passed.
    pub fn show(&self, kills: u64, messages: u64) {
        let Some(bar) = &self.bar else { return };
        let time = show_duration(Duration::from_secs(self.begin.elapsed().as_secs()));
        let (kills, messages) = (show_count(kills), show_count(messages));
        bar.set_message(format!("{time}: {kills} killed, {messages} messages, all in order so far"));
    }

    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
