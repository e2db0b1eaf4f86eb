//! The protocols: one file for each end of each shape. They know neither files nor futexes nor processes.
//!
//! | file | what happens there |
//! |---|---|
//! | [`word`] | the commit word and record arithmetic |
//! | [`records_tx`] | reserve, fill, publish, finish; what a successor producer does |
//! | [`records_rx`] | poll, take, give back; what a successor consumer does |
//! | [`slots_tx`], [`slots_rx`] | the same two ends for fixed-size messages, which lie as [`crate::slot_layout`] says |
//! | [`sequence`] | how far a producer of those has come, as its words tell it |
//! | [`note`] | what a producer notes with a message: its mark, its origin |
//!
//! **What happens on a crash?** Each end's file answers at its `attach`, which is the only recovery code there is.

/// What every end says of itself.
macro_rules! every_end {
    () => {
        /// Whether it still works.
        pub fn state(&self) -> RingState {
            self.state
        }

        /// The memory view.
        pub fn window(&self) -> &Window<M> {
            &self.ring
        }
    };
    (slots) => {
        every_end!();

        /// Sizes.
        pub fn layout(&self) -> &SlotLayout {
            self.groups.layout()
        }

        /// Where the group ends that it is in.
        #[cfg(feature = "testing")]
        pub fn group_end(&self) -> u64 {
            self.cursor.end()
        }
    };
}

mod backoff;
pub mod note;
pub mod records_rx;
pub mod records_tx;
pub mod sequence;
pub mod slots_rx;
pub mod slots_tx;
pub mod word;

use crate::corruption::{Corruption, Poison};
pub use backoff::CatchUpBackoff;
pub use note::{Mark, Origin};
pub use records_rx::{Ahead, Poll, Record, RecordRx};
pub use records_tx::{Draft, Place, Plan, RecordTx, Refused};
pub use sequence::find_sequence;
pub use slots_rx::{SlotAhead, SlotPoll, SlotRx};
pub use slots_tx::{SlotDraft, SlotTx};

/// How far ahead of the message at hand a producer asks for the lines that it will write: far enough to hide the way
/// from the other processor, near enough for the first-level cache.
const AHEAD: u64 = 16 * crate::layout::CACHE_LINE;

/// Whether an end still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingState {
    /// It does.
    Open,
    /// The producer declared the end of data.
    Finished,
    /// The ring contradicts itself.
    Corrupt(Corruption),
}

/// Which end of which queue something belongs to that was handed out and comes back. No two ends of a process have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EndId(u64);

impl EndId {
    #[allow(clippy::disallowed_types, reason = "private to this process")]
    fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        Self(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

/// What belongs to one end was given to another: an error of the program, as an index out of bounds is.
#[cold]
#[inline(never)]
fn another_end() -> ! {
    panic!("this belongs to another end of a queue")
}

/// `a - b` of two positions or counts that may have wrapped, as a signed distance.
#[inline(always)]
pub fn distance(a: u64, b: u64) -> i64 {
    a.wrapping_sub(b) as i64
}
