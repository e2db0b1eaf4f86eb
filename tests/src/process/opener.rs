//! Damaged and forged files, opened in a child: there a SIGBUS or a SIGSEGV is a failed test, and not the end of it.

use super::{Child, Scratch};
use shmq_core::layout;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A directory with files to open, and the child that opens them.
#[derive(Debug)]
pub struct Opener {
    directory: Scratch,
    child: Child,
}

/// What became of forged geometries.
#[derive(Debug, Default)]
pub struct Forged {
    /// How many were refused.
    pub refused: u32,
    /// How many changed nothing that matters, by the field's offset.
    pub harmless: BTreeMap<usize, u32>,
}

impl Opener {
    /// `script` is what the child runs: it is told paths, and says for each what became of opening it.
    pub fn new(helper: &str, script: &str, label: &str) -> Self {
        Self { directory: Scratch::directory(label), child: Child::spawn(helper, &[script]) }
    }

    /// Where a file of this name is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What becomes of opening it.
    #[track_caller]
    pub fn open(&mut self, path: impl AsRef<Path>) -> String {
        let path = path.as_ref();
        self.child.say(path.to_str().expect("plain ASCII"));
        self.child.try_line().unwrap_or_else(|| panic!("opening {} killed the process", path.display()))
    }

    /// What becomes of opening a file with these bytes. The label tells what is the matter with them.
    #[track_caller]
    pub fn open_bytes(&mut self, label: &str, bytes: &[u8]) -> String {
        let path = self.path("file");
        std::fs::write(&path, bytes).expect("write a file");
        self.child.say(path.to_str().expect("plain ASCII"));
        let outcome = self.child.try_line().unwrap_or_else(|| panic!("{label}: opening killed the process"));
        std::fs::remove_file(path).expect("remove a file");
        outcome
    }

    /// Puts each field of a whole file's geometry off by a little and by a lot. With the old checksum it must be refused for that;
    /// with the right one, refused or harmless.
    pub fn forge(&mut self, whole: &[u8]) -> Forged {
        assert_eq!(self.open_bytes("whole", whole), "harmless");
        let length = whole.len() as u64;
        let mut forged = Forged::default();
        for (at, width) in geometry_fields() {
            let mut value = [0; 8];
            value[..width].copy_from_slice(&whole[at..at + width]);
            let v = u64::from_le_bytes(value);
            let near = [1, 2, 7, 8, 16, 64, 4096];
            let near = near.into_iter().flat_map(|d| [v.wrapping_add(d), v.wrapping_sub(d)]);
            let far = [0, 1, 2, 3, 4, 16, 4096, 8192, 12288, length, length - 4096]
                .into_iter()
                .chain([16, 31, 32, 40, 62, 63].map(|bit| 1 << bit));
            let edge = [0, 7, 4095, 12287].map(|d| u64::MAX - d);
            for value in near.chain(far).chain(edge).chain([v.wrapping_mul(2), v / 2]) {
                let mut bytes = whole.to_vec();
                put(&mut bytes, at, value, width);
                if bytes == whole {
                    continue;
                }
                let label = format!("field at {at:#x} from {v:#x} to {value:#x}");
                let outcome = self.open_bytes(&label, &bytes);
                assert!(
                    ["NotAQueue", "Older", "Newer"].contains(&&outcome[..]),
                    "{label}, not sealed: {outcome}"
                );
                seal(&mut bytes);
                match &self.open_bytes(&label, &bytes)[..] {
                    "harmless" => *forged.harmless.entry(at).or_default() += 1,
                    "NotAQueue" | "Older" | "Newer" | "Truncated" | "WrongKind" => forged.refused += 1,
                    outcome => panic!("{label}: {outcome}"),
                }
            }
        }
        forged
    }

    /// As [`Opener::forge`], of several files, added up and printed.
    pub fn forge_all(&mut self, wholes: &[Vec<u8>]) -> Forged {
        let mut all = Forged::default();
        for whole in wholes {
            let Forged { refused, harmless } = self.forge(whole);
            all.refused += refused;
            harmless.into_iter().for_each(|(at, n)| *all.harmless.entry(at).or_default() += n);
        }
        eprintln!("forged geometries: {} refused; harmless by field: {:x?}", all.refused, all.harmless);
        all
    }
}

/// Offset and width of each field of the geometry, but for the magic and the user's own bytes.
fn geometry_fields() -> impl Iterator<Item = (usize, usize)> {
    [(8, 4), (12, 4)]
        .into_iter()
        .chain((0x10..0x58).step_by(8).map(|at| (at, 8)))
        .chain([(0xa0, 4), (0xa4, 4)])
        .chain((0xa8..layout::CHECKSUM_AT).step_by(8).map(|at| (at, 8)))
}

/// Writes a number of so many bytes.
pub fn put(bytes: &mut [u8], at: usize, value: u64, width: usize) {
    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// Makes the checksum right again.
pub fn seal(bytes: &mut [u8]) {
    let sum = layout::fnv1a(&bytes[..layout::CHECKSUM_AT]);
    put(bytes, layout::CHECKSUM_AT, sum, 8);
}
