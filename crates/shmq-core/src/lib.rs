//! The engine of [shmq](https://crates.io/crates/shmq): link that instead. What is here may change with every release, so the
//! crates that are built on it name one exact version.
//!
//! Modules know only what stands above them in this table; a test reads the imports and holds them to it.
//!
//! | module | what lives there |
//! |---|---|
//! | `layout` | offsets, the geometry page; no behaviour |
//! | `slot_layout` | how fixed-size messages lie in groups that share a commit word |
//! | `corruption` | why a ring cannot be trusted any more |
//! | `memory` | the one seam to shared bytes |
//! | `observe` | what happens seldom, told to `tracing` |
//! | `text` | names and other people's text, fit for a terminal |
//! | `error` | one enum for each operation |
//! | `ring` | the protocols, one file for each end of each shape |
//! | `geometry` | options, limits, and the geometry page that says them |
//! | `segment` | files: made, opened, checked, mapped |
//! | `sigbus` | truncated files |
//! | `stop` | ending a blocked call from outside |
//! | `wake` | sleeping and waking |
//! | `role` | who holds which end, and whether the other one lives |
//! | `waitable` | what can be waited for beside others, and what is known of it |
//! | `processors` | whether spinning can help |
//! | `wait` | spin, yield, sleep: the loop of every blocking call |
//! | `wait_set` | one thread that waits for many ends |
//! | `end` | what every end of a queue is made of |
//! | `inspect` | looking without touching |
//! | `metrics` | what an inspector sees, as numbers with names |
//! | `file` | an open queue file, and the way to its two roles |

#[cfg(not(all(
    target_os = "linux",
    target_endian = "little",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!(
    "shmq works on Linux on x86-64 and aarch64 only: its file format and its memory ordering are proved there"
);

#[macro_use]
mod macros;

pub mod corruption;
pub mod end;
pub mod error;
pub mod file;
pub mod geometry;
pub mod inspect;
pub mod layout;
pub mod memory;
pub mod metrics;
pub mod observe;
pub mod processors;
pub mod ring;
pub mod role;
pub mod segment;
pub mod sigbus;
pub mod slot_layout;
pub mod stop;
pub mod text;
pub mod wait;
pub mod wait_set;
pub mod waitable;
pub mod wake;

pub use corruption::{Corruption, Poison};
pub use end::End;
pub use file::QueueFile;
pub use geometry::Geometry;
pub use inspect::seen::Seen;
pub use inspect::walk::{Walk, WalkedMessage};
#[cfg(feature = "testing")]
pub use memory::testing::*;
pub use memory::{Access, LinePolicy, Map, Memory, Order, SITES, Site, SiteDoc, Window, at, opaque};
pub use ring::{
    Ahead, CatchUpBackoff, Draft, Mark, Origin, Place, Plan, Poll, Record, RecordRx, RecordTx, Refused,
    RingState, SlotAhead, SlotDraft, SlotPoll, SlotRx, SlotTx, distance, find_sequence, slots_rx, slots_tx,
    word,
};
pub use slot_layout::SlotLayout;
pub use wait::block;
pub use wake::file_watch::{FileEvent, FileWatch};
pub use wake::{Announced, Park, Signals};
