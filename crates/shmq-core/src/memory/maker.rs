//! What depends on the maker of the processor, as measured: docs/BENCHMARKS.md has the figures.
#![allow(clippy::disallowed_types, reason = "private to this process")]

use std::sync::atomic::{AtomicU64, Ordering};

/// How the ends of a ring treat its lines. Nothing but speed depends on it: each end may go by another one. Lengths are in lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePolicy {
    /// Whether a consumer stores each line that it has read once more before it gives it back. A line that was only read stays in both
    /// caches, and the producer's next store there has to take it away from the other first. Where that costs more than the store,
    /// as on AMD's processors by a multiple, lines are rewritten. On Intel's the store costs more.
    pub rewrites: bool,
    /// How far ahead a consumer asks for what it will read, while it is known to be so far behind.
    pub read_ahead: u16,
    /// The same only of groups of slots that are not longer; the lines of longer ones the processor asks for by itself.
    pub longest_read_ahead: u16,
    /// A producer asks for the lines of slots before it writes them, if they are not longer.
    pub longest_write_ahead: u16,
}

impl LinePolicy {
    /// For processors of AMD, and of whoever was not measured.
    pub const AMD: Self =
        Self { rewrites: true, read_ahead: 2, longest_read_ahead: 1, longest_write_ahead: 8 };
    /// For processors of Intel.
    pub const INTEL: Self =
        Self { rewrites: false, read_ahead: 16, longest_read_ahead: 256, longest_write_ahead: 256 };

    /// For the processor that this runs on.
    pub fn here() -> Self {
        Self::unpacked(KNOWN.load(Ordering::Relaxed)).unwrap_or_else(|| {
            // Asked once: in a virtual machine the question takes tens of microseconds.
            let policy = if is_intel() { Self::INTEL } else { Self::AMD };
            policy.set();
            policy
        })
    }

    /// For benchmarks: ends that are attached from here on go by it, whoever made the processor.
    pub fn set(self) {
        KNOWN.store(self.packed(), Ordering::Relaxed);
    }

    /// In one word, which is not 0.
    fn packed(self) -> u64 {
        let lengths = [self.read_ahead, self.longest_read_ahead, self.longest_write_ahead];
        lengths.into_iter().fold(2 | u64::from(self.rewrites), |word, length| word << 16 | u64::from(length))
    }

    fn unpacked(word: u64) -> Option<Self> {
        let length = |shift: u32| (word >> shift) as u16;
        (word != 0).then(|| Self {
            rewrites: word >> 48 & 1 == 1,
            read_ahead: length(32),
            longest_read_ahead: length(16),
            longest_write_ahead: length(0),
        })
    }
}

/// What was found out, or said: 0 is nothing yet.
static KNOWN: AtomicU64 = AtomicU64::new(0);

/// The vendor's name, in the order of the registers.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "a safe call in later versions of Rust")]
fn is_intel() -> bool {
    // SAFETY: every processor of this architecture has the instruction.
    let leaf = unsafe { std::arch::x86_64::__cpuid(0) };
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_intel() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_comes_back_from_its_word() {
        for policy in [LinePolicy::AMD, LinePolicy::INTEL] {
            assert_eq!(LinePolicy::unpacked(policy.packed()), Some(policy));
        }
        let all = LinePolicy {
            rewrites: false,
            read_ahead: u16::MAX,
            longest_read_ahead: 0,
            longest_write_ahead: u16::MAX,
        };
        assert_eq!(LinePolicy::unpacked(all.packed()), Some(all));
        assert_eq!(LinePolicy::unpacked(0), None);
    }
}
