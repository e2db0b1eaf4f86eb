//! Looking at a queue without touching it: a read-only mapping, and no role.
//!
//! | file | what happens there |
//! |---|---|
//! | `inspector` | the mapping, and what the pages of both ends say |
//! | `seen` | the bytes, of a file that may be shorter than it says |
//! | `walk` | from message to message, safe against ends that go on |
//! | `pending` | the messages, for users |
//! | `check` | whether everything is as it must be |
//! | `process` | what the kernel tells of the process behind an end |

mod check;
mod inspector;
mod pending;
mod process;
pub mod seen;
pub mod walk;

pub use check::{Check, Outcome};
pub use inspector::{EndSnapshot, Inspector, Snapshot};
pub use pending::{Pending, PendingMessage};
pub use process::{Condition, Process};
pub use walk::{Damage, PendingEnd};
