//! A page of words that the processes of the demo share: their notes, which outlive a kill, and the bare cache lines
//! that the queue is compared with.

use crate::failure::Failure;
use memmap2::{MmapOptions, MmapRaw};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
#[allow(
    clippy::disallowed_types,
    reason = "this is the bare memory that the queue is compared with; no queue is in it"
)]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Words are this far apart, so that no two share a line or a pair of lines.
const APART: usize = 128;

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
    /// And back.
    Back,
    /// Not a word: how many there are.
    Count,
}

/// The page, mapped. It is gone once all have unmapped it and its file is removed.
#[derive(Debug)]
pub struct Page {
    map: MmapRaw,
}

#[allow(clippy::disallowed_types, reason = "see the import")]
impl Page {
    /// Makes the file and maps it.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        Self::map(path, OpenOptions::new().read(true).write(true).create_new(true).mode(0o600))
    }

    /// Maps the file that the parent made.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        Self::map(path, OpenOptions::new().read(true).write(true))
    }

    fn map(path: &Path, options: &OpenOptions) -> Result<Self, Failure> {
        let failed = |e| Failure::io(format_args!("share {}", path.display()), &e);
        let bytes = Note::Count as usize * APART;
        let file = options.open(path).map_err(failed)?;
        file.set_len(bytes as u64).map_err(failed)?;
        let map = MmapOptions::new().len(bytes).map_raw(&file).map_err(failed)?;
        Ok(Self { map })
    }

    fn word(&self, note: Note) -> &AtomicU64 {
        assert!((note as usize) < Note::Count as usize);
        let at = self.map.as_mut_ptr().wrapping_add(note as usize * APART);
        // SAFETY: inside the mapping, which lives as long as `self`; aligned to 128 bytes; all processes touch
        // it as this atomic only.
        unsafe { AtomicU64::from_ptr(at.cast()) }
    }

    pub fn get(&self, note: Note) -> u64 {
        self.word(note).load(Ordering::Acquire)
    }

    pub fn set(&self, note: Note, value: u64) {
        self.word(note).store(value, Ordering::Release);
    }

    pub fn add(&self, note: Note, value: u64) {
        self.word(note).fetch_add(value, Ordering::Release);
    }

    /// Only ever upwards.
    pub fn raise(&self, note: Note, value: u64) {
        self.word(note).fetch_max(value, Ordering::Release);
    }
}
