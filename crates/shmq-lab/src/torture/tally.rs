//! What the torture adds up.

use super::footprint::Growth;
use super::note::Wrong;
use std::path::PathBuf;

/// Where a process was when it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// On its way to the queue.
    Starting,
    /// Taking its role, and putting the queue in order; or leaving.
    Taking,
    /// In the middle of a call, by its own notes.
    Calling,
    /// Between two.
    Between,
}

/// What all queues came to.
#[derive(Debug, Default)]
pub struct Tally {
    pub queues: u64,
    pub messages: u64,
    pub bytes: u64,
    pub producer_kills: u64,
    pub consumer_kills: u64,
    /// By [`Moment`].
    pub moments: [u64; 4],
    pub stops: u64,
    pub stopped_kills: u64,
    /// Looks at a stopped process, each of which must find it attached.
    pub looks: u64,
    /// Attempts to take a stopped process's role.
    pub rivals: u64,
    pub takeovers: u64,
    pub again: u64,
    pub told_lost: u64,
    pub told_left: u64,
    /// By [`Wrong`].
    pub wrong: [u64; Wrong::ALL.len()],
    pub crashed: u64,
    pub stuck: u64,
    /// What went wrong, in words.
    pub why: Vec<String>,
    pub kept: Vec<PathBuf>,
    /// In a soak: each end, by name.
    pub ends: Vec<(String, Growth)>,
}

impl Tally {
    pub fn kills(&self) -> u64 {
        self.producer_kills + self.consumer_kills
    }

    pub fn is_broken(&self) -> bool {
        !self.why.is_empty()
    }
}
