//! What the processes of the demo note, and the bare cache lines that the queue is compared with.

use shmq_tool::failure::Failure;
use shmq_tool::page::{self, Page};
use std::path::Path;

/// The words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Note {
    /// Messages for which `send` returned. The producer's.
    Sent,
    /// Messages checked: the next sequence number to check. The consumer's.
    Checked,
    /// Messages in all, once the producer declared the end.
    Total,
    /// How many messages are enough, once the parent kills no more; 0 before.
    Enough,
    /// Messages that are gone.
    Lost,
    /// Messages with wrong contents.
    Torn,
    /// Messages whose sequence number went backwards, and sequence numbers that nobody sent.
    Disorder,
    /// Messages that a successor saw again.
    Redelivered,
    /// The most after one kill.
    MostRedelivered,
    /// There, in the bare round trip.
    There,
    /// And back. The last one.
    Back,
}

const WORDS: usize = Note::Back as usize + 1;

impl page::Note for Note {
    fn index(self) -> usize {
        self as usize
    }
}

/// Makes the demo's page.
pub fn create(path: &Path) -> Result<Page, Failure> {
    Page::create(path, WORDS)
}

/// Maps the one that the parent made.
pub fn open(path: &Path) -> Result<Page, Failure> {
    Page::open(path, WORDS)
}
