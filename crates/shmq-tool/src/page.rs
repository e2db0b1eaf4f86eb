//! A page of words that several processes share: their notes, which outlive a kill, and bare cache lines that a queue
//! is compared with.

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

/// A name for a word of a page: the variants of an enum, as a rule.
pub trait Note: Copy {
    /// Which word, counting from 0.
    fn index(self) -> usize;
}

/// The page, mapped. It is gone once all have unmapped it and its file is removed.
#[derive(Debug)]
pub struct Page {
    map: MmapRaw,
    words: usize,
}

#[allow(clippy::disallowed_types, reason = "see the import")]
impl Page {
    /// Makes the file, for so many words, and maps it.
    ///
    /// # Errors
    /// What the system said.
    pub fn create(path: &Path, words: usize) -> Result<Self, Failure> {
        Self::map(path, words, OpenOptions::new().read(true).write(true).create_new(true).mode(0o600))
    }

    /// Maps the file that the parent made, for as many words.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(path: &Path, words: usize) -> Result<Self, Failure> {
        Self::map(path, words, OpenOptions::new().read(true).write(true))
    }

    fn map(path: &Path, words: usize, options: &OpenOptions) -> Result<Self, Failure> {
        let failed = |e| Failure::io(format_args!("share {}", crate::units::shown(path)), &e);
        let bytes = words * APART;
        let file = options.open(path).map_err(failed)?;
        file.set_len(bytes as u64).map_err(failed)?;
        let map = MmapOptions::new().len(bytes).map_raw(&file).map_err(failed)?;
        Ok(Self { map, words })
    }

    fn word(&self, note: impl Note) -> &AtomicU64 {
        assert!(note.index() < self.words);
        let at = self.map.as_mut_ptr().wrapping_add(note.index() * APART);
        // SAFETY: inside the mapping, which lives as long as `self`; aligned to 128 bytes; all processes touch
        // it as this atomic only.
        unsafe { AtomicU64::from_ptr(at.cast()) }
    }

    /// A word, and with it what was stored before it was set.
    pub fn get(&self, note: impl Note) -> u64 {
        self.word(note).load(Ordering::Acquire)
    }

    /// Sets a word: whoever sees it sees what was stored before.
    pub fn set(&self, note: impl Note, value: u64) {
        self.word(note).store(value, Ordering::Release);
    }

    /// Adds to a word.
    pub fn add(&self, note: impl Note, value: u64) {
        self.word(note).fetch_add(value, Ordering::Release);
    }

    /// Sets a word, but only ever upwards.
    pub fn raise(&self, note: impl Note, value: u64) {
        self.word(note).fetch_max(value, Ordering::Release);
    }
}
