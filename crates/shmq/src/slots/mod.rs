//! Queues of fixed-size messages: the classic message queue, size and depth set at creation.
//!
//! Small messages share cache lines with their commit word, so a `u64` costs less than a line transfer. Choose this
//! shape when all messages are of one [`Pod`](bytemuck::Pod) type; choose [`crate::Queue`] when their lengths vary, or when they are large and
//! mostly not full. For one size it is the faster one from 8 bytes to 4 KiB; from 1 KiB on fill
//! and read messages in place ([`Producer::try_claim`], [`Consumer::try_read`]) or through slices, as every move of a large
//! value is a copy. Waiting, roles, sequence numbers, end of data, takeover and inspection are the same for both.
//!
//! ```
//! # let name = format!("shmq-doc-slots-{}", std::process::id());
//! use shmq::{Options, slots};
//! let queue = slots::Queue::<u64>::create(&name, 1000, &Options::new().tag("ticks/1"))?;
//! let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
//! tx.try_send(&42)?;
//! assert_eq!(rx.try_recv()?, 42);
//! # drop((tx, rx)); queue.remove()?;
//! # Ok::<(), shmq::Error>(())
//! ```

/// What both ends say of their messages.
macro_rules! sizes {
    () => {
        /// Bytes of a message.
        pub fn message_size(&self) -> u64 {
            self.end.limits.max_message
        }

        /// Messages that fit, exactly.
        pub fn depth(&self) -> u64 {
            self.end.ring.layout().depth
        }
    };
}

mod claim;
mod consumer;
mod marked;
mod message;
mod producer;
mod queue;
mod run;

pub use claim::{Batch, Claim};
pub use consumer::Consumer;
pub use message::Message;
pub use producer::Producer;
pub use queue::{Queue, pair};
pub use run::Run;

use std::cell::Cell;
use std::marker::PhantomData;

/// Send but not Sync; the type of the messages.
type Marker<P> = PhantomData<(Cell<()>, fn(&P))>;
