//! The in-process pair: `std::sync::mpsc::sync_channel` for one sender and plain values, only faster.

use super::{Consumer, Producer};
use crate::Trusted;
use bytemuck::Pod;
use shmq_core::Corruption;
use shmq_core::End;
use shmq_core::end::apart;
use shmq_core::error::{CreateError, RecvError as Recv, TryRecvError as TryRecv};
use shmq_core::geometry::{Geometry, Options};
use shmq_core::layout::Role;
use shmq_core::memory::Span;
use shmq_core::memory::Window;
use shmq_core::ring::{Refused, SlotRx, SlotTx};
use shmq_core::role::Seat;
use shmq_core::segment;
use shmq_core::wait::{Until, Waiting};
use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};
use std::time::Duration;

/// A channel for `depth` messages between two threads of this process, over private memory.
///
/// Names, errors and disconnection are those of [`std::sync::mpsc::sync_channel`]: a send fails once the receiver is gone, a
/// receive fails once the sender is gone and everything was received. The differences: messages are
/// [`Pod`], there is no `Clone`, a depth of 0 (rendezvous) is refused, and the ends are borrowed mutably. And a send
/// that meets the receiver in the act of leaving may fail although the message was received.
///
/// Allocates and makes system calls: see [costs](crate#what-a-call-costs).
///
/// ```
/// let (mut tx, mut rx) = shmq::channel::<u64>(100)?;
/// std::thread::spawn(move || (0..1000).try_for_each(|i| tx.send(i)));
/// assert!(rx.iter().eq(0..1000));
/// # Ok::<(), shmq::CreateError>(())
/// ```
///
/// # Errors
/// [`CreateError::Options`] for a depth of 0 or a type that is too large or aligned to more than 8 bytes.
pub fn channel<P: Pod>(depth: u64) -> Result<(Sender<P>, Receiver<P>), CreateError> {
    let options = Options::new();
    let geometry = Geometry::slots(size_of::<P>() as u64, align_of::<P>() as u32, depth, &options)?;
    let failed = |source| CreateError::Io { doing: "get private memory".into(), source };
    let map = segment::map_private(geometry.length, &options).map_err(failed)?;
    let fresh = || {
        Window::new(map.clone(), geometry.parts).ok_or_else(|| failed(std::io::ErrorKind::OutOfMemory.into()))
    };
    let wrong = |what: Corruption| CreateError::Options { why: what.to_string() };
    let shape = geometry.slot_layout().ok_or_else(|| wrong(Corruption::Position))?;
    let tx = SlotTx::attach(fresh()?, shape).map_err(wrong)?;
    let rx = SlotRx::attach(fresh()?, shape).map_err(wrong)?;
    let (mut a, mut b) = (Seat::private(Role::Producer, fresh()?), Seat::private(Role::Consumer, fresh()?));
    for seat in [&mut a, &mut b] {
        seat.enter().map_err(|_| failed(std::io::ErrorKind::Other.into()))?;
    }
    let (tx, rx) = (End::new(tx, a, geometry.limits), End::new(rx, b, geometry.limits));
    Ok((Sender { producer: Producer::new(tx) }, Receiver { consumer: Consumer::new(rx) }))
}

/// The sending end of a [`channel`]. It can move to another thread, but not be shared.
///
/// ```
/// use shmq::Waiting;
/// use std::sync::mpsc::TrySendError;
/// let (mut tx, rx) = shmq::channel::<u32>(2)?;
/// tx.set_waiting(Waiting::low_power());
/// tx.send(1).unwrap();
/// tx.try_send(2).unwrap();
/// assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
/// assert_eq!((tx.try_send_slice(&[3, 4]), tx.try_send_iter(3..5)), (0, 0));
/// drop(rx);
/// assert_eq!(tx.try_send(3), Err(TrySendError::Disconnected(3)));
/// assert!(tx.send(3).is_err());
/// # Ok::<(), shmq::CreateError>(())
/// ```
#[derive(Debug)]
pub struct Sender<P: Pod> {
    producer: Producer<P, Trusted>,
}

/// What became of an attempt to send.
enum Tried {
    Sent,
    Full,
    InVain,
}

impl<P: Pod> Sender<P> {
    /// Sends a message, waiting for room; see the example of [`Sender`].
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by the other end: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// The message back, if the receiver is gone.
    #[inline(always)]
    pub fn send(&mut self, message: P) -> Result<(), SendError<P>> {
        let bytes = bytemuck::bytes_of(&message);
        let sent = self.producer.end.ring.try_send(bytes);
        let quiet = sent.is_ok() && self.producer.end.seat.signals.is_quiet();
        if quiet || apart(bytes, |message| self.send_slowly(sent, message)) {
            Ok(())
        } else {
            Err(SendError(message))
        }
    }

    /// Sends a message if there is room; see the example of [`Sender`].
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// The message back, if the channel is full or the receiver is gone.
    #[inline(always)]
    pub fn try_send(&mut self, message: P) -> Result<(), TrySendError<P>> {
        let sent = self.producer.end.ring.try_send(bytemuck::bytes_of(&message));
        if sent.is_ok() && self.producer.end.seat.signals.is_quiet() {
            return Ok(());
        }
        match self.outcome(sent) {
            Tried::Sent => Ok(()),
            Tried::Full => Err(TrySendError::Full(message)),
            Tried::InVain => Err(TrySendError::Disconnected(message)),
        }
    }

    /// What became of an attempt that failed, or met a receiver that calls for attention: to sleep, or to go.
    #[cold]
    #[inline(never)]
    fn outcome(&mut self, sent: Result<u64, Refused>) -> Tried {
        match sent {
            Ok(sequence) => {
                self.producer.end.seat.signals.published();
                if self.is_in_vain(sequence) { Tried::InVain } else { Tried::Sent }
            }
            Err(_) if self.producer.end.is_deserted() => Tried::InVain,
            Err(_) => Tried::Full,
        }
    }

    /// Whether a message was sent after all, whose first attempt ended so.
    #[cold]
    #[inline(never)]
    fn send_slowly(&mut self, sent: Result<u64, Refused>, message: &[u8]) -> bool {
        match self.outcome(sent) {
            Tried::Sent => true,
            Tried::InVain => false,
            Tried::Full => {
                let sent = self.producer.wait_bytes(message, Until::Forever);
                sent.is_ok_and(|sequence| !self.is_in_vain(sequence))
            }
        }
    }

    /// Whether what was sent lies in a ring where nobody will look any more. A receiver that took it and was dropped then
    /// did receive it.
    fn is_in_vain(&mut self, sequence: u64) -> bool {
        self.producer.end.is_deserted() && !self.producer.end.ring.is_taken(sequence)
    }

    /// Sends as many of the messages as there is room for; returns how many, 0 also when the receiver is gone. See
    /// the example of [`Sender`].
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
    pub fn try_send_slice(&mut self, messages: &[P]) -> usize {
        if self.producer.end.is_deserted() { 0 } else { self.producer.try_send_slice(messages).unwrap_or(0) }
    }

    /// Sends messages of an iterator as long as there is room; returns how many, 0 also when the receiver is gone. One that finds
    /// no room is not asked for. As [`super::Producer::try_send_iter`]; see the example of [`Sender`].
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
    pub fn try_send_iter(&mut self, messages: impl IntoIterator<Item = P>) -> usize {
        if self.producer.end.is_deserted() { 0 } else { self.producer.try_send_iter(messages).unwrap_or(0) }
    }

    /// Sets how `send` waits; see the example of [`Sender`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.producer.set_waiting(waiting);
    }
}

/// The receiving end of a [`channel`]. It can move to another thread, but not be shared.
///
/// ```
/// use shmq::Waiting;
/// use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
/// use std::time::Duration;
/// let (mut tx, mut rx) = shmq::channel::<u32>(100)?;
/// rx.set_waiting(Waiting::low_power());
/// assert_eq!(tx.try_send_slice(&[1, 2, 3, 4, 5, 6]), 6);
/// assert_eq!((rx.recv(), rx.try_recv()), (Ok(1), Ok(2)));
/// let mut some = [0; 2];
/// assert_eq!((rx.try_recv_slice(&mut some), some), (2, [3, 4]));
/// assert_eq!(rx.try_iter().collect::<Vec<_>>(), [5, 6]);
/// assert_eq!((tx.try_send_iter(7..10), rx.try_drain(100, |n| assert!(n > 6))), (3, 3));
/// assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
/// drop(tx);
/// assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
/// # Ok::<(), shmq::CreateError>(())
/// ```
#[derive(Debug)]
pub struct Receiver<P: Pod> {
    consumer: Consumer<P, Trusted>,
}

impl<P: Pod> Receiver<P> {
    /// Receives a message, waiting for one; see the example of [`Receiver`].
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by the other end: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// If the sender is gone and everything was received.
    #[inline(always)]
    pub fn recv(&mut self) -> Result<P, RecvError> {
        self.consumer.recv(Until::Forever).map_err(|_| RecvError)
    }

    /// Receives a message if there is one; see the example of [`Receiver`].
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// If there is none, or the sender is gone as well.
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<P, TryRecvError> {
        let place = match self.consumer.end.ring.find() {
            Some(place) => place,
            None => self.ready_at()?,
        };
        // SAFETY: found just above.
        unsafe { self.consumer.next(&place, || TryRecvError::Disconnected) }
    }

    #[cold]
    #[inline(never)]
    fn ready_at(&mut self) -> Result<Span, TryRecvError> {
        match self.consumer.ready_at() {
            Ok(place) => Ok(place),
            Err(TryRecv::Empty) if !self.consumer.end.is_deserted() => Err(TryRecvError::Empty),
            // The sender is gone; what it sent last is there by now.
            Err(TryRecv::Empty) => self.consumer.ready_at().map_err(|_| TryRecvError::Disconnected),
            Err(_) => Err(TryRecvError::Disconnected),
        }
    }

    /// Receives a message, waiting for one no longer than `timeout`; see the example of [`Receiver`].
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `timeout`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// If the time was up, or the sender is gone and everything was received.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<P, RecvTimeoutError> {
        self.consumer.recv(timeout).map_err(|error| match error {
            Recv::TimedOut => RecvTimeoutError::Timeout,
            _ => RecvTimeoutError::Disconnected,
        })
    }

    /// Receives as many messages as there are and the slice takes; returns how many, 0 also when the sender is gone.
    /// See the example of [`Receiver`].
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    pub fn try_recv_slice(&mut self, messages: &mut [P]) -> usize {
        self.consumer.try_recv_slice(messages).unwrap_or(0)
    }

    /// Hands the messages that are there to `each`, at most so many, and takes them at the end; returns how many, 0 also when the sender
    /// is gone. As [`super::Consumer::try_drain`]; see the example of [`Receiver`].
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    pub fn try_drain(&mut self, most: usize, each: impl FnMut(P)) -> usize {
        self.consumer.try_drain(most, each).unwrap_or(0)
    }

    /// The messages one by one, waiting for each, until the sender is gone; see the example of [`channel`].
    pub fn iter(&mut self) -> impl Iterator<Item = P> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// The messages that are there, without waiting; see the example of [`Receiver`].
    pub fn try_iter(&mut self) -> TryIter<'_, P> {
        TryIter { receiver: self }
    }

    /// Sets how `recv` waits; see the example of [`Receiver`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.consumer.set_waiting(waiting);
    }
}

/// Iterator over the messages that are there; see [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, P: Pod> {
    receiver: &'a mut Receiver<P>,
}

impl<P: Pod> Iterator for TryIter<'_, P> {
    type Item = P;

    fn next(&mut self) -> Option<P> {
        self.receiver.try_recv().ok()
    }
}
