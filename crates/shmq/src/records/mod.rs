//! Queues of messages of any length up to a limit.

mod claim;
mod consumer;
mod marked;
mod message;
mod producer;
mod queue;
mod run;
mod sending;

pub use claim::{Batch, Claim};
pub use consumer::Consumer;
pub use message::Message;
pub use producer::Producer;
pub use queue::{Queue, pair};
pub use run::Run;
