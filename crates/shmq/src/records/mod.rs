//! Queues of messages of any length up to a limit.

mod claim;
mod consumer;
mod message;
mod producer;
mod queue;
mod run;

pub use claim::{Batch, Claim};
pub use consumer::{Consumer, DrainLimit, Received};
pub use message::{Message, Messages, View};
pub use producer::Producer;
pub use queue::{Queue, pair};
pub use run::Run;
