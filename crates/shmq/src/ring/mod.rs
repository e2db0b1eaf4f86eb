//! The protocols: one file for each end of each shape. They know neither files nor futexes nor processes.
//!
//! | file | what happens there |
//! |---|---|
//! | [`word`] | the commit word and record arithmetic |
//! | [`records_tx`] | reserve, fill, publish, finish; what a successor producer does |
//! | [`records_rx`] | poll, take, give back; what a successor consumer does |
//! | [`shape`] | how fixed-size messages lie in groups that share a commit word |
//! | [`slots_tx`], [`slots_rx`] | the same two ends for fixed-size messages |
//!
//! **What happens on a crash?** Each end's file answers at its `attach`, which is the only recovery code there is.

pub mod records_rx;
pub mod records_tx;
mod rhythm;
pub mod shape;
pub mod slots_rx;
pub mod slots_tx;
pub mod word;

pub use records_rx::{Ahead, Poll, Record, RecordRx};
pub use records_tx::{Draft, Place, Plan, RecordTx, Refused};
pub use rhythm::Rhythm;
pub use shape::Shape;
pub use slots_rx::{SlotAhead, SlotPoll, SlotRx};
pub use slots_tx::{SlotDraft, SlotTx};

/// Why a ring cannot be trusted any more. Sticky in the handle that saw it; nothing else is affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corruption {
    /// A position that the peer stores went backwards, beyond ours, or is not a multiple of 8.
    Position,
    /// A commit word of no known kind, or with a length that no message can have.
    Word,
    /// A commit word whose sequence number is not the one that comes next.
    Sequence,
    /// Padding that does not reach the end of the ring, or that nothing follows.
    Padding,
    /// The file was truncated under the mapping.
    Truncated,
}

impl std::fmt::Display for Corruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Position => "a position contradicts the others",
            Self::Word => "a commit word is damaged",
            Self::Sequence => "a sequence number is out of order",
            Self::Padding => "a padding record is damaged",
            Self::Truncated => "the file was truncated",
        })
    }
}

/// How far ahead of the message at hand a producer asks for the lines that it will write: far enough to hide the way
/// from the other processor, near enough for the first-level cache.
const AHEAD: u64 = 16 * crate::layout::LINE64;

/// In a ring up to this size what the consumer has read is still in its core's own caches when the producer comes round,
/// wherever the two run.
const SMALL: u64 = 2 << 20;

/// Whether a consumer hands lines back: always, but in a large ring whose ends share a cache.
fn hands_back(capacity: u64, shared_cache: bool) -> bool {
    capacity <= SMALL || !shared_cache
}

/// Whether an end still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It does.
    No,
    /// The producer declared the end of data.
    Finished,
    /// The ring contradicts itself.
    Corrupt(Corruption),
}

/// An end that can be stopped for good from outside.
pub trait Condemn {
    /// From here on, it says this.
    fn condemn(&mut self, what: Corruption);
}

/// `a - b` of two positions or counts that may have wrapped, as a signed distance.
#[inline(always)]
pub fn distance(a: u64, b: u64) -> i64 {
    a.wrapping_sub(b) as i64
}
