//! What a queue is doing, what there is to know about it, and how bad that is.

use serde::Serialize;

/// What a queue is doing, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Messages move.
    Flowing,
    /// Nothing waits, nothing moves.
    Idle,
    /// Messages wait, and none moved between two looks, or there was only one look.
    Waiting,
    /// Nobody takes what waits, and somebody ought to: an end is stopped, blocked or missing.
    Stuck,
    /// The end of data was declared; messages still wait.
    Finished,
    /// The end of data was declared, and everything was taken.
    Done,
    /// No end was ever taken.
    Unused,
    /// It contradicts itself, or the file is not what it says.
    Damaged,
    /// From before the machine last started, and not left cleanly.
    OldBoot,
    /// Not a queue of messages.
    Memory,
}

impl State {
    pub fn words(self) -> &'static str {
        match self {
            Self::Flowing => "flowing",
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Stuck => "stuck",
            Self::Finished => "finished",
            Self::Done => "done",
            Self::Unused => "unused",
            Self::Damaged => "damaged",
            Self::OldBoot => "old boot",
            Self::Memory => "memory",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Note,
    /// May become trouble.
    Warning,
    /// Somebody waits for somebody.
    Trouble,
}

/// One thing to know about a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub level: Level,
    /// Stable, for alerts.
    pub code: &'static str,
    pub says: String,
    /// What to do about it.
    pub todo: Option<String>,
}
