//! Exactly once through a stage, and what a bridge needs: marks, and the origin of a queue.

use super::claim::{Batch, Claim};
use super::consumer::Consumer;
use super::producer::Producer;
use super::sending::{batch_len, draft_of};
use crate::view::OutOfBounds;
use shmq_core::error::{SendError, TrySendError};
use shmq_core::ring::{Mark, Origin};
use shmq_core::wait::Until;
use std::ops::Range;

impl Producer {
    /// Sends one message, and with it a note of your own: both are there or neither, also when this process is killed.
    ///
    /// The note is what [`Producer::mark`] tells from then on, this process or a successor, until another message is marked. A
    /// stage that reads one queue and writes another notes how far it has read; its guide is
    /// [exactly once through a pipeline](crate::guide::pipeline).
    ///
    /// It costs four stores more than [`Producer::try_send`], to a line that nobody else reads. What is sent without a mark
    /// costs nothing more.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// let mut tx = queue.producer()?;
    /// assert_eq!(tx.mark(), None);
    /// tx.try_send_marked(b"from input 7", *b"input 7, part 1.")?;
    /// tx.try_send(b"something else")?;
    /// drop(tx); // or killed at any moment from here on
    /// let tx = queue.producer()?;
    /// assert_eq!(tx.mark(), Some(shmq::Mark { sequence: 0, note: *b"input 7, part 1." }));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Producer::try_send`]; the mark is then what it was.
    pub fn try_send_marked(&mut self, message: &[u8], note: [u8; 16]) -> Result<u64, TrySendError> {
        let first = self.end.ring.sequence();
        let sent = self.end.ring.try_send_marked(message, &note);
        self.done(sent, first, message.len() as u64)
    }

    /// As [`Producer::try_send_marked`], with its example, waiting for room.
    ///
    /// # Errors
    /// As [`Producer::send`]; the mark is then what it was.
    pub fn send_marked(
        &mut self,
        message: &[u8],
        note: [u8; 16],
        until: impl Into<Until>,
    ) -> Result<u64, SendError> {
        self.wait_and_publish(until.into(), message.len() as u64, |ring| ring.try_send_marked(message, &note))
    }

    /// As [`Producer::try_send_batch`], with a note of your own that is there if and only if the batch is; see
    /// [`Producer::try_send_marked`]. A batch of no messages sends no mark either.
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send_batch_marked(&["debit", "credit"], *b"transfer no. 41.")?;
    /// assert_eq!(rx.peer_mark(), Some(shmq::Mark { sequence: 1, note: *b"transfer no. 41." }));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Producer::try_send_batch`]; the mark is then what it was.
    pub fn try_send_batch_marked<B: AsRef<[u8]>>(
        &mut self,
        messages: &[B],
        note: [u8; 16],
    ) -> Result<Range<u64>, TrySendError> {
        let first = self.end.ring.sequence();
        let sent = draft_of(&mut self.end.ring, messages).map(|draft| {
            let first = self.end.ring.publish_marked(draft, &note);
            first..self.end.ring.sequence()
        });
        self.done(sent, first, batch_len(messages))
    }

    /// As [`Producer::try_send_batch_marked`], with its example, waiting for room for all of them.
    ///
    /// # Errors
    /// As [`Producer::send_batch`]; the mark is then what it was.
    pub fn send_batch_marked<B: AsRef<[u8]>>(
        &mut self,
        messages: &[B],
        note: [u8; 16],
        until: impl Into<Until>,
    ) -> Result<Range<u64>, SendError> {
        self.wait_and_publish(until.into(), batch_len(messages), |ring| {
            let first = draft_of(ring, messages).map(|draft| ring.publish_marked(draft, &note))?;
            Ok(first..ring.sequence())
        })
    }

    /// The note of the last message that was sent with one, and that message's sequence number; `None` if none was.
    /// It does not matter who had the role then: so it is what a successor goes on from.
    ///
    /// Exact after any death. Only another process that writes to this file without this library can make it wrong.
    pub fn mark(&self) -> Option<Mark> {
        self.end.ring.mark()
    }

    /// Says which queue this one continues: the next message to be sent here has number `next` in the queue of id
    /// `queue_id`, the one after it `next + 1`, and so on until it is said anew. For whoever carries a queue to another place.
    ///
    /// It stands in the file, for successors ([`Producer::origin`]) and observers, and changes as a whole: killed within this call,
    /// the old one stands or the new one.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// let mut tx = queue.producer()?;
    /// assert_eq!(tx.origin(), None);
    /// let source = [7; 16]; // the other queue's `Inspector::queue_id`
    /// tx.set_origin(source, 1000);
    /// tx.try_send(b"its message 1000")?;
    /// drop(tx); // or killed
    /// let tx = queue.producer()?;
    /// assert_eq!(tx.origin(), Some(shmq::Origin { queue_id: source, next: 1001 }));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn set_origin(&mut self, queue_id: [u8; 16], next: u64) {
        self.end.ring.set_origin(&Origin { queue_id, next });
    }

    /// Which queue this one continues, and which of its messages is to be sent next; `None` if nobody has said so.
    pub fn origin(&self) -> Option<Origin> {
        self.end.ring.origin()
    }
}

impl Claim<'_> {
    /// As [`Claim::commit`], with a note of your own.
    pub fn commit_marked(mut self, note: [u8; 16]) -> u64 {
        let len = self.len();
        self.publish_marked(len as u64, &note)
    }

    /// As [`Claim::commit_part`], with a note of your own.
    ///
    /// # Errors
    /// As [`Claim::commit_part`].
    pub fn commit_part_marked(mut self, len: usize, note: [u8; 16]) -> Result<u64, OutOfBounds> {
        OutOfBounds::check(0, len, self.len())?;
        Ok(self.publish_marked(len as u64, &note))
    }
}

impl Batch<'_> {
    /// As [`Batch::commit`], with a note of your own.
    pub fn commit_marked(self, note: [u8; 16]) -> Range<u64> {
        self.publish(|ring, draft| ring.publish_marked(draft, &note))
    }
}

impl Consumer {
    /// What the producer noted with the last message that it sent with a mark, received here already or not; see
    /// [`Producer::try_send_marked`] and the example of [`Producer::try_send_batch_marked`].
    ///
    /// At least as new as the marks of all messages that were received here. `None` if there is no mark; also if the
    /// producer wrote marks so fast that a thousand looks found none whole.
    pub fn peer_mark(&self) -> Option<Mark> {
        self.end.ring.mark()
    }
}
