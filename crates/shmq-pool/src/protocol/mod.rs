//! The protocol: who has which block. It knows neither files nor futexes nor processes.
//!
//! | file | what happens there |
//! |---|---|
//! | `handle` | the word that travels |
//! | `tx` | the writer: lend, send, take back; what a successor writer does |
//! | `rx` | the reader: take, give back; what a successor reader does |
//! | `bytes` | copies into and out of blocks |
//! | `site` | every access to the two tables by name |
//!
//! **Four places, four stores.** A block is *at home* (the writer's to lend), *under way* in the ring of full blocks,
//! *held* by the reader, or *coming back* in the ring of empty blocks. Each step from one place to the next is one
//! store into a ring:
//!
//! ```text
//!        commit word of full              READ of full
//!   home ------------------> under way ------------------> held
//!    ^                                                      |
//!    +------------------- coming back <---------------------+
//!        READ of empty                  commit word of empty
//! ```
//!
//! So at each instant a block is in exactly one of them, whoever dies. What the rings do not say is which of the
//! blocks in neither ring are at home and which are held. So each end notes its own in a table that only it writes:
//! the writer *before* it sends and before it takes back, the reader before it takes and *after* it gives back. Each
//! note carries the sequence number of the message, which is never used again; so a successor compares one number
//! with one position of a ring to tell whether the step that a note speaks of was made. **What happens on a crash?**
//! `PoolTx::attach` and `PoolRx::attach` answer.

mod bytes;
mod handle;
mod rx;
mod site;
mod tx;

pub use bytes::Bytes;
pub use handle::{Handle, LOW};
pub use rx::{PoolRx, Take, Taken};
#[cfg(feature = "testing")]
pub use site::SITES;
pub use site::at;
pub use tx::{NoLoan, PoolTx, Unsent};
