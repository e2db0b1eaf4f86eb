//! Looking at a pool without touching it: a read-only mapping, and no role.
//!
//! | file | what happens there |
//! |---|---|
//! | `inspector` | what is mapped, and what a snapshot says |
//! | `survey` | where every block is |
//! | `check` | whether every block is in exactly one place |
//! | `pending` | the blocks that a reader would get |
//! | `metrics` | the numbers, for Prometheus |

mod check;
mod inspector;
mod metrics;
mod pending;
pub(crate) mod survey;

pub use inspector::{Inspector, Snapshot};
pub use metrics::METRICS;
pub use survey::{Pending, PendingBlock, Place};
