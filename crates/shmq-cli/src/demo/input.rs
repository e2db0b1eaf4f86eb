//! What is streamed: a file, over and over.

use shmq_tool::failure::Failure;
use shmq_tool::units::shown;
use std::fs::File;
use std::path::Path;

/// A file mapped for reading, as an endless repetition of itself.
#[derive(Debug)]
pub struct Input {
    map: memmap2::Mmap,
}

impl Input {
    /// Maps the first `bytes` of a file: so many as it had when the demo began.
    pub fn open(path: &Path, bytes: u64) -> Result<Self, Failure> {
        let failed = |e| Failure::io(format_args!("read {}", shown(path)), &e);
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() < bytes || bytes == 0 {
            return Err(Failure::new(format!("{} shrank while it was read", shown(path))));
        }
        // SAFETY: mapped for reading only, and privately. That nobody changes the file meanwhile is a condition of the
        // demo, written in its help; whoever breaks it sees messages called torn, or a SIGBUS.
        let map = unsafe { memmap2::MmapOptions::new().len(bytes as usize).map(&file) };
        Ok(Self { map: map.map_err(failed)? })
    }

    /// `len` bytes from a position of the endless repetition, in one piece or, where the file starts again, in two.
    /// At most as many as the file has: see [`Input::pieces`].
    fn piece(&self, start: u64, len: usize) -> &[u8] {
        let at = (start % self.map.len() as u64) as usize;
        &self.map[at..(at + len).min(self.map.len())]
    }

    /// The pieces of `len` bytes from a position on: one, two where the file starts again, more if it is very short.
    pub fn pieces(&self, start: u64, len: usize) -> impl Iterator<Item = &[u8]> {
        let (mut start, mut left) = (start, len);
        std::iter::from_fn(move || {
            let piece = self.piece(start, left);
            start += piece.len() as u64;
            left -= piece.len();
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Whether `bytes` are what is at a position.
    pub fn holds(&self, start: u64, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        self.pieces(start, bytes.len()).all(|piece| {
            let (head, tail) = rest.split_at(piece.len());
            rest = tail;
            head == piece
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_file_repeats_itself() {
        let path = std::env::temp_dir().join(format!("shmq-input-{}", std::process::id()));
        std::fs::write(&path, b"abc").unwrap();
        let input = Input::open(&path, 3).unwrap();
        let shrunk = Input::open(&path, 4);
        std::fs::remove_file(&path).unwrap();
        assert!(shrunk.is_err());
        assert_eq!(input.pieces(1, 7).collect::<Vec<_>>(), [&b"bc"[..], b"abc", b"ab"]);
        assert_eq!(input.pieces(1, 0).count(), 0);
        assert!(input.holds(4, b"bca") && input.holds(9, b"") && !input.holds(4, b"bcb"));
    }
}
