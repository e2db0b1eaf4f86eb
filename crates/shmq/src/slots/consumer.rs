//! The receiving end of a queue of fixed-size messages.

use super::Marker;
use crate::error::{RecvError, TryRecvError};
use crate::layout::Counter;
use crate::memory::Map;
use crate::queue::End;
use crate::ring::{SlotPoll, SlotRx};
use crate::role::PeerState;
use crate::wait::{Stop, Until, Waiting};
use crate::{Checked, Trusted};
use bytemuck::Pod;
use std::marker::PhantomData;
use std::ops::Deref;

/// The receiving end of a queue of fixed-size messages. Everything said of [`crate::Consumer`] holds.
///
/// `try_` calls do not allocate, make no system call unless the producer sleeps, and take bounded time.
#[derive(Debug)]
pub struct Consumer<P: ?Sized, T = Checked> {
    pub(super) end: End<SlotRx<Map>>,
    marker: Marker<P, T>,
}

impl<P: ?Sized> Consumer<P> {
    /// Vouches for the producer's process: messages can then be read in place.
    ///
    /// # Safety
    /// As for [`crate::Consumer::trust_peer`].
    pub unsafe fn trust_peer(self) -> Consumer<P, Trusted> {
        Consumer { end: self.end, marker: PhantomData }
    }
}

impl<P: Pod, T> Consumer<P, T> {
    /// Receives the next message.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`], [`TryRecvError::Finished`], [`TryRecvError::Corrupt`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<P, TryRecvError> {
        self.ready()?;
        let message = self.copy();
        self.take();
        Ok(message)
    }

    /// As [`Consumer::try_recv`], waiting for a message.
    ///
    /// # Errors
    /// [`RecvError`].
    #[inline]
    pub fn recv(&mut self, until: impl Into<Until>) -> Result<P, RecvError> {
        self.wait(until.into())?;
        let message = self.copy();
        self.take();
        Ok(message)
    }

    /// The next message, which stays.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    pub fn try_peek(&mut self) -> Result<P, TryRecvError> {
        self.ready()?;
        Ok(self.copy())
    }

    /// Receives as many messages as there are and the slice takes; returns how many, at least 1 unless the slice is
    /// empty.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], if there was not a single message.
    pub fn try_recv_slice(&mut self, messages: &mut [P]) -> Result<usize, TryRecvError> {
        let mut got = 0;
        while got < messages.len() {
            let SlotPoll::Messages(there) = self.end.ring.poll() else { break };
            let n = (messages.len() - got).min(there as usize);
            for message in &mut messages[got..got + n] {
                self.end.ring.copy_out(bytemuck::bytes_of_mut(message));
                self.end.ring.skip();
            }
            got += n;
        }
        if got == 0 && !messages.is_empty() {
            self.ready()?;
        }
        self.settle();
        Ok(got)
    }

    #[inline(always)]
    fn copy(&self) -> P {
        let mut message = P::zeroed();
        self.end.ring.copy_out(bytemuck::bytes_of_mut(&mut message));
        message
    }
}

impl<P: Pod> Consumer<P, Trusted> {
    /// The next message in place; dropping the guard takes it, forgetting it leaves it.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    pub fn try_read(&mut self) -> Result<Message<'_, P>, TryRecvError> {
        self.ready()?;
        Ok(Message { consumer: self })
    }
}

impl<T> Consumer<[u8], T> {
    /// Receives the next message into a buffer of at least [`Consumer::message_size`] bytes; returns its sequence number.
    ///
    /// # Errors
    /// As for values, and [`TryRecvError::WrongLength`] if the buffer is too small; the message stays.
    pub fn try_recv_into(&mut self, buffer: &mut [u8]) -> Result<u64, TryRecvError> {
        self.ready()?;
        self.take_into(buffer)
    }

    /// As [`Consumer::try_recv_into`], waiting for a message.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv_into(&mut self, buffer: &mut [u8], until: impl Into<Until>) -> Result<u64, RecvError> {
        self.wait(until.into())?;
        self.take_into(buffer).map_err(blocking)
    }

    fn take_into(&mut self, buffer: &mut [u8]) -> Result<u64, TryRecvError> {
        let (len, size) = (self.message_size(), buffer.len() as u64);
        let Some(into) = buffer.get_mut(..len as usize) else {
            self.end.seat.count(Counter::Refused);
            return Err(TryRecvError::WrongLength { len, buffer: size });
        };
        let sequence = self.end.ring.sequence();
        self.end.ring.copy_out(into);
        self.take();
        Ok(sequence)
    }
}

impl<P: ?Sized, T> Consumer<P, T> {
    pub(crate) fn new(end: End<SlotRx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    #[inline(always)]
    pub(super) fn ready(&mut self) -> Result<(), TryRecvError> {
        found(self.end.ring.poll()).unwrap_or(Err(TryRecvError::Empty))
    }

    #[inline(always)]
    pub(super) fn wait(&mut self, until: Until) -> Result<(), RecvError> {
        match self.end.block(until, |ring| found(ring.poll())) {
            Ok(found) => found.map_err(blocking),
            Err(Stop::TimedOut) => Err(RecvError::TimedOut),
            Err(Stop::Left) => Err(RecvError::ProducerLeft),
            Err(Stop::Lost) => Err(RecvError::ProducerLost),
            Err(Stop::Removed) => Err(RecvError::Removed),
        }
    }

    #[inline(always)]
    fn take(&mut self) {
        self.end.ring.skip();
        self.settle();
    }

    #[inline(always)]
    fn settle(&mut self) {
        if self.end.ring.settle() {
            self.end.seat.signals.published();
        }
    }

    /// State of the producer. One system call if it has the role.
    pub fn peer(&self) -> PeerState {
        self.end.seat.peer()
    }

    /// How often the producer's role was taken: a change means another one.
    pub fn peer_epoch(&self) -> u64 {
        self.end.seat.peer_epoch()
    }

    /// How often the consumer's role was taken, this time included.
    pub fn epoch(&self) -> u64 {
        self.end.seat.epoch()
    }

    /// Messages published and not taken. May be more at once, never less without a receive.
    pub fn pending(&self) -> u64 {
        self.end.ring.pending()
    }

    /// Bytes of a message.
    pub fn message_size(&self) -> u64 {
        self.end.limits.max_message
    }

    /// Messages that fit, exactly.
    pub fn depth(&self) -> u64 {
        self.end.ring.shape().depth
    }

    /// Sequence number of the next message.
    pub fn next_sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Sets how the blocking calls wait.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.end.waiting = waiting;
    }
}

/// `None`: nothing yet.
#[inline(always)]
fn found(poll: SlotPoll) -> Option<Result<(), TryRecvError>> {
    match poll {
        SlotPoll::Messages(_) => Some(Ok(())),
        SlotPoll::Empty => None,
        SlotPoll::Finished => Some(Err(TryRecvError::Finished)),
        SlotPoll::Corrupt(what) => Some(Err(TryRecvError::Corrupt { what })),
    }
}

fn blocking(error: TryRecvError) -> RecvError {
    match error {
        TryRecvError::Empty => RecvError::TimedOut,
        TryRecvError::ProducerLeft => RecvError::ProducerLeft,
        TryRecvError::WrongLength { len, buffer } => RecvError::WrongLength { len, buffer },
        TryRecvError::Finished => RecvError::Finished,
        TryRecvError::Corrupt { what } => RecvError::Corrupt { what },
    }
}

/// The next message, in place. Dropping it takes it; kept or forgotten, the next receive gets it again.
#[derive(Debug)]
pub struct Message<'a, P: Pod> {
    consumer: &'a mut Consumer<P, Trusted>,
}

impl<P: Pod> Message<'_, P> {
    /// Its sequence number.
    pub fn sequence(&self) -> u64 {
        self.consumer.next_sequence()
    }

    /// Leaves the message in the queue, for the next receive.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl<P: Pod> Drop for Message<'_, P> {
    fn drop(&mut self) {
        self.consumer.take();
    }
}

impl<P: Pod> Deref for Message<'_, P> {
    type Target = P;

    fn deref(&self) -> &P {
        let ring = &self.consumer.end.ring;
        // SAFETY: a message lies inside the ring, at a multiple of 8, and alignment and size were checked when the queue
        // was opened; any bytes make a `P`; it is published and not released, so a vouched-for peer does not write it.
        unsafe { &*ring.window().pointer_at(ring.place()).cast() }
    }
}
