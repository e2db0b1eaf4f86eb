//! Shared memory as it is, and the smallest step up from it.
//!
//! A [`Region`] is bytes that several processes have mapped: a file, a bare name in `/dev/shm`, or a sealed memfd, made and
//! attached by the same code as a queue of `shmq`. [`Cell`] and [`Slice`] are typed places in it. They are loaded and stored
//! with **no synchronization at all**. A [`Writer`] and its [`Reader`]s share a seqlock cell in it: the latest value, never torn.
//!
//! # What raw memory does not promise
//!
//! * **Not whole.** A value that is being written may be read half old and half new, and two writers may leave a mix. Values of
//!   1, 2, 4 and 8 bytes at a multiple of their size are whole.
//! * **Not fresh, and in no order.** Of two values written one after the other, a reader may see the second and not yet the
//!   first. A flag in raw memory that says *the data is there* is a mistake, even if it works on your machine.
//! * **Not everything.** What is overwritten before it was read is lost, and nobody notices.
//! * **Nobody waits.** A reader cannot tell whether there is something new, or whether the writer lives.
//! * **Nothing about crashes.** A writer that dies in the middle leaves the half it had written.
//!
//! What it does promise: no access is out of bounds, no outcome is undefined behaviour in Rust whatever others write at the
//! same time, and a block of 4 KiB or more moves as fast as `memcpy`.
//!
//! # When it is good enough
//!
//! When each value stands alone and the next one makes up for a bad one: a level meter, a progress bar, a picture
//! that is drawn again anyway, a parameter of one word, statistics. Or when the order comes from elsewhere: the writer is done
//! before the reader starts, as with a file. When a value of several words must be whole, take a seqlock cell;
//! when every message counts, a queue. [`guide`] has the table.
//!
//! ```
//! # let name = format!("shmq-doc-raw-lib-{}", std::process::id());
//! use shmq_raw::{Options, Region};
//! // One process:
//! let region = Region::open_or_create(&name, &Options::new().elements::<f32>(8).tag("levels/1"))?;
//! region.as_slice::<f32>()?.store(3, 0.7)?;
//! // Any number of others:
//! let levels = Region::open_read_only(&name, &Options::new().tag("levels/1"))?;
//! assert_eq!(levels.as_slice::<f32>()?.load(3)?, 0.7);
//! # region.remove()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Why it is sound
//!
//! Rust has atomics for memory that others write, but racing atomics of two widths on the same bytes are undefined, and raw
//! memory is used in all widths at once. So none of its accesses is one of Rust's: each is an instruction, or a routine, that
//! the compiler does not see into, and what one does to another in the same process is no more than what another process could do to
//! it. No reference into a region is ever made. The seqlock's own words are 8-byte atomics, and always only that.
//!
//! # Who can hurt you
//!
//! Whoever may write the file can write anything into it, and truncate it: whoever touches it then gets SIGBUS. Not so an
//! anonymous region. A value can be nonsense, so only types for which any bytes are a value can be read.

mod cell;
mod error;
mod options;
mod region;
mod seqlock;

pub use cell::{Cell, Slice};
pub use error::{PlaceError, ReadError, WriterError};
pub use options::Options;
pub use region::{ReadOnly, ReadWrite, Region};
pub use seqlock::{Reader, Writer, cell_bytes};
pub use shmq::{AttachError, CreateError, Error, OpenError};

#[doc = include_str!("../docs/RAW.md")]
pub mod guide {}

/// The seqlock's protocol, for this project's own tests and fuzzers. Promises nothing.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing {
    pub use crate::seqlock::protocol::*;
}
