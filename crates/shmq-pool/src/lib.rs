//! Large blocks of shared memory, passed from one process to another without a copy, guarded by two queues.
//!
//! A pool is one file: blocks of one size, and two rings of handles. The [`Writer`] gets a block on loan, fills it
//! where it is, and sends it; the [`Reader`] reads it where it is, and by acknowledging it gives it back. Only the handle
//! travels, 8 bytes of it, so that passing a block costs the same whether it has 4 KiB or 16 MiB.
//!
//! # Limits first
//!
//! * One writer and one reader at a time, each one thread of one process. Linux on x86-64 or aarch64. For messages
//!   small enough to be copied (up to about 16 KiB), the queues of [`shmq`] are simpler and as fast.
//! * Number and size of the blocks are fixed at creation: 1 to 65 536 blocks, 1 TiB in all. Blocks begin on pages of
//!   4 KiB.
//! * Waiting readers and writers get blocks in the order sent; a block that is held on to is missing at the other end.
//! * Whoever may write the file can send nonsense, truncate it (SIGBUS; not so an anonymous pool) or refuse you an
//!   end. Nonsense leads to an error or wrong contents, never to undefined behaviour, a hang or a panic, nor to one
//!   block with two owners in one process.
//!
//! # Ten lines for each end
//!
//! ```
//! # let name = format!("shmq-doc-pool-lib-{}", std::process::id());
//! # let name = &name[..];
//! # std::thread::scope(|s| {
//! # s.spawn(|| {
//! use shmq_pool::{Options, Pool, RecvError, Until};
//! // The writer. Killed at any moment and started again, it resumes at `next_sequence`.
//! let tx = Pool::open_or_create(name, 8, 1 << 20, &Options::new())?.writer()?;
//! for i in tx.next_sequence()..3 {
//!     let mut loan = tx.loan(Until::Forever)?;
//!     loan.write_at(0, format!("frame {i}").as_bytes())?;
//!     loan.send(7)?;
//! }
//! tx.finish()?;
//! # Ok::<(), shmq_pool::Error>(()) });
//! # s.spawn(|| {
//! # use shmq_pool::{Options, Pool, RecvError, Until};
//! // The reader, in another process.
//! let rx = Pool::open_or_create(name, 8, 1 << 20, &Options::new())?.reader()?;
//! loop {
//!     match rx.read(Until::Forever) {
//!         Ok(block) => {
//!             println!("{}: {} bytes", block.sequence(), block.len());
//!             block.acknowledge(); // dropped without that, it is shown again
//!         }
//!         Err(RecvError::Finished) => break,
//!         Err(gone) => return Err(gone.into()),
//!     }
//! }
//! # Ok::<(), shmq_pool::Error>(()) });
//! # });
//! # shmq_pool::Pool::open(name)?.remove()?;
//! # Ok::<(), shmq_pool::Error>(())
//! ```
//!
//! # When the other end dies
//!
//! The kernel frees its end together with its memory; blocked calls say *lost* within about 20 ms, after what was
//! sent is received. No block is lost. A new writer finds free again what the dead one had on loan. A new reader sees
//! again, first of all, what the dead one had received and not acknowledged. Until it comes, these blocks are missing.
//! [`guide`] goes through every state that a kill can leave.
//!
//! # What a call costs
//!
//! | call | allocates | system calls | bounded |
//! |---|---|---|---|
//! | `try_loan`, `send`, dropping a loan | no | none; a send wakes a reader that sleeps | yes |
//! | `try_read`, `acknowledge`, dropping a block | no | none; acknowledging wakes a writer that sleeps | yes, dropping by the number of blocks |
//! | `loan`, `read` | no | none while it spins, see [waiting](shmq::guide::waiting) | by `until` |
//! | `write_at`, `read_into`, `fill` and the like | no | none | by what is copied |
//! | `pending`, `free`, `next_sequence`, `to_be_seen_again`, `epoch`, `peer_epoch`, `set_waiting`, `set_stop` | no | none | by the number of blocks |
//! | `peer` | no | one | yes |
//! | create, open, taking an end, `finish`, dropping an end | yes | yes | by the number of blocks, creating by their size |
//!
//! Of [`Options`], those that size a queue of records (`capacity`, `max_message`, `max_messages`) are refused here.

mod ends;
mod error;
mod inspect;
mod layout;
mod pool;
mod protocol;
mod reader;
mod writer;

pub use error::{Corruption, Error, LoanError, RecvError, SendError, TryLoanError, TryRecvError};
pub use inspect::{Inspector, METRICS, Pending, PendingBlock, Place, Snapshot};
pub use pool::Pool;
pub use reader::{Block, Reader};
pub use writer::{Loan, Writer};

pub use shmq::{
    AttachError, CreateError, Mark, OpenError, Options, OutOfBounds, PeerState, StopHandle, Until, Waiting,
};

use bytemuck::Pod;
use std::mem::size_of;

fn check(offset: usize, len: usize, available: usize) -> Result<(), OutOfBounds> {
    match offset.checked_add(len) {
        Some(end) if end <= available => Ok(()),
        _ => Err(OutOfBounds { offset, len, available }),
    }
}

/// Offset of value number `first`; beyond every block if there can be none of that number.
fn positions<V>(first: usize) -> usize {
    first.saturating_mul(size_of::<V>())
}

/// As many values as the bytes hold whole; none if they do not begin where values may.
fn cast<V: Pod>(bytes: &[u8]) -> &[V] {
    let whole = bytes.len() - bytes.len() % size_of::<V>().max(1);
    bytemuck::try_cast_slice(&bytes[..whole]).unwrap_or(&[])
}

/// As [`cast`], to write.
fn cast_mut<V: Pod>(bytes: &mut [u8]) -> &mut [V] {
    let whole = bytes.len() - bytes.len() % size_of::<V>().max(1);
    bytemuck::try_cast_slice_mut(&mut bytes[..whole]).unwrap_or(&mut [])
}

static_assertions::assert_impl_all!(Writer: Send);
static_assertions::assert_impl_all!(Reader: Send);
static_assertions::assert_not_impl_any!(Writer: Sync, Clone);
static_assertions::assert_not_impl_any!(Reader: Sync, Clone);
static_assertions::assert_not_impl_any!(Loan<'static>: Send, Sync, Clone);
static_assertions::assert_not_impl_any!(Block<'static>: Send, Sync, Clone);

// What the document calls a file is defined first, and so leads to a page.
#[doc = "[FORMAT.md]: shmq::guide::format\n"]
#[doc = "[DESIGN.md]: shmq::guide::design\n"]
#[doc = "[DESIGN.md#a-hostile-peer]: shmq::guide::design#a-hostile-peer\n"]
#[doc = "[OPERATIONS.md]: shmq::guide::operations\n"]
#[doc = include_str!("../docs/POOL.md")]
pub mod guide {}

/// The inside, for this project's own tests and fuzzers. Promises nothing.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing {
    pub use crate::inspect::survey::Survey;
    pub use crate::layout::*;
    pub use crate::protocol::*;
}
