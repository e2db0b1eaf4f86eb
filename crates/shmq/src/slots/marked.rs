//! Exactly once through a stage, and what a bridge needs, as for records: [`crate::Producer::try_send_marked`].

use super::claim::{Batch, Claim};
use super::consumer::Consumer;
use super::producer::Producer;
use bytemuck::Pod;
use shmq_core::error::{SendError, TrySendError};
use shmq_core::ring::{Mark, Origin};
use shmq_core::wait::Until;
use std::ops::Range;

impl<P: Pod> Producer<P> {
    /// Sends one message, and with it a note of your own: both are there or neither, also when this process is killed. All that
    /// [`crate::Producer::try_send_marked`] says.
    ///
    /// ```
    /// # let queue = shmq::slots::Queue::<u64>::anonymous(8, &shmq::Options::new())?;
    /// let mut tx = queue.producer()?;
    /// tx.try_send_marked(&42, *b"input 7, part 1.")?;
    /// drop(tx); // or killed at any moment from here on
    /// let tx = queue.producer()?;
    /// assert_eq!(tx.mark(), Some(shmq::Mark { sequence: 0, note: *b"input 7, part 1." }));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Producer::try_send`]; the mark is then what it was.
    pub fn try_send_marked(&mut self, message: &P, note: [u8; 16]) -> Result<u64, TrySendError> {
        let first = self.end.ring.sequence();
        let sent = self.end.ring.try_send_marked(bytemuck::bytes_of(message), &note);
        self.done(sent, first, 1)
    }

    /// As [`Producer::try_send_marked`], with its example, waiting for room.
    ///
    /// # Errors
    /// As [`Producer::send`]; the mark is then what it was.
    pub fn send_marked(
        &mut self,
        message: &P,
        note: [u8; 16],
        until: impl Into<Until>,
    ) -> Result<u64, SendError> {
        let message = bytemuck::bytes_of(message);
        self.wait_and_publish(until.into(), 1, |ring| ring.try_send_marked(message, &note))
    }

    /// As [`Producer::try_send_batch`], with a note of your own that is there if and only if the batch is; see
    /// [`crate::Producer::try_send_batch_marked`].
    ///
    /// # Errors
    /// As [`Producer::try_send_batch`]; the mark is then what it was.
    pub fn try_send_batch_marked(
        &mut self,
        messages: &[P],
        note: [u8; 16],
    ) -> Result<Range<u64>, TrySendError> {
        let first = self.end.ring.sequence();
        let sent = self.end.ring.try_send_batch_marked(messages, &note);
        self.done(sent, first, messages.len() as u64)?;
        Ok(first..self.end.ring.sequence())
    }

    /// As [`Producer::try_send_batch_marked`], waiting for room for all of them.
    ///
    /// # Errors
    /// As [`Producer::send_batch`]; the mark is then what it was.
    pub fn send_batch_marked(
        &mut self,
        messages: &[P],
        note: [u8; 16],
        until: impl Into<Until>,
    ) -> Result<Range<u64>, SendError> {
        let wants = messages.len() as u64;
        let first =
            self.wait_and_publish(until.into(), wants, |ring| ring.try_send_batch_marked(messages, &note))?;
        Ok(first..self.end.ring.sequence())
    }
}

impl Producer<[u8]> {
    /// Sends one message of exactly [`Producer::message_size`] bytes with a note of your own; as the example of `try_send_marked` for values.
    ///
    /// # Errors
    /// As [`Producer::try_send`]; the mark is then what it was.
    pub fn try_send_marked(&mut self, message: &[u8], note: [u8; 16]) -> Result<u64, TrySendError> {
        self.check(message.len())?;
        let first = self.end.ring.sequence();
        let sent = self.end.ring.try_send_marked(message, &note);
        self.done(sent, first, 1)
    }

    /// As `try_send_marked`, waiting for room.
    ///
    /// # Errors
    /// As [`Producer::send`]; the mark is then what it was.
    pub fn send_marked(
        &mut self,
        message: &[u8],
        note: [u8; 16],
        until: impl Into<Until>,
    ) -> Result<u64, SendError> {
        self.check(message.len())?;
        self.wait_and_publish(until.into(), 1, |ring| ring.try_send_marked(message, &note))
    }
}

impl<P: ?Sized> Producer<P> {
    /// As [`crate::Producer::mark`].
    pub fn mark(&self) -> Option<Mark> {
        self.end.ring.mark()
    }

    /// As [`crate::Producer::set_origin`], and its example.
    pub fn set_origin(&mut self, queue_id: [u8; 16], next: u64) {
        self.end.ring.set_origin(&Origin { queue_id, next });
    }

    /// As [`crate::Producer::origin`].
    pub fn origin(&self) -> Option<Origin> {
        self.end.ring.origin()
    }
}

impl<P: ?Sized> Claim<'_, P> {
    /// As [`Claim::commit`], with a note of your own.
    pub fn commit_marked(self, note: [u8; 16]) -> u64 {
        let sequence = self.end.ring.commit_marked(&note);
        self.end.published();
        sequence
    }
}

impl<P: ?Sized> Batch<'_, P> {
    /// As [`Batch::commit`], with a note of your own.
    pub fn commit_marked(self, note: [u8; 16]) -> Range<u64> {
        let messages = self.messages();
        let first = self.end.ring.publish_marked(self.draft, &note);
        self.end.published();
        first..first + messages
    }
}

impl<P: ?Sized> Consumer<P> {
    /// As [`crate::Consumer::peer_mark`], and its example.
    pub fn peer_mark(&self) -> Option<Mark> {
        self.end.ring.mark()
    }
}
