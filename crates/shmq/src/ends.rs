//! What all ends do alike, whatever the shape of their messages: how an attempt becomes a result.

use shmq_core::end::End;
use shmq_core::error::{CreateError, RecvError, SendError, TryRecvError, TrySendError};
use shmq_core::geometry::{Geometry, Limits, Options};
use shmq_core::layout::{Counter, Role};
use shmq_core::memory::{Map, Window};
use shmq_core::ring::{Poll, RecordRx, RecordTx, Refused, SlotPoll, SlotRx, SlotTx};
use shmq_core::role::RoleGuard;
use shmq_core::segment;
use shmq_core::wait::Until;
use shmq_core::{Corruption, Poison};

/// A ring's sending end.
pub trait Sending: Poison {
    /// Number of the next message.
    fn next(&self) -> u64;
    /// Whether the consumer has taken the message of this number.
    fn has_taken(&self, sequence: u64) -> bool;
    /// Declares the end of data.
    fn end_data(&mut self) -> Result<(), Refused>;
    /// What was refused for good, having `len` bytes or messages.
    fn too_large(limits: &Limits, len: u64) -> TrySendError;
    /// Whether sending so much would come to something other than a full ring: bytes of one message, or messages.
    fn is_ready_for(&mut self, len: u64) -> bool;
}

macro_rules! sending {
    ($ring:ty, too_large($limits:ident, $len:ident) $max:expr) => {
        impl Sending for $ring {
            fn next(&self) -> u64 {
                self.sequence()
            }

            fn has_taken(&self, sequence: u64) -> bool {
                self.is_taken(sequence)
            }

            fn end_data(&mut self) -> Result<(), Refused> {
                self.finish()
            }

            fn too_large($limits: &Limits, $len: u64) -> TrySendError {
                TrySendError::TooLarge { len: $len, max: $max }
            }

            fn is_ready_for(&mut self, len: u64) -> bool {
                <$ring>::is_ready_for(self, len)
            }
        }
    };
}

// A batch whose messages are small enough one by one is over the ring as a whole.
sending!(RecordTx<Map>, too_large(limits, len) if len > limits.max_message { limits.max_message } else { limits.capacity });
sending!(SlotTx<Map>, too_large(limits, len) limits.max_messages.unwrap_or(0));

/// Whether a call would find room for so much, or an error.
pub fn is_ready_for<S: Sending>(end: &mut End<S>, len: u64) -> bool {
    end.guard.is_torn() || end.ring.is_ready_for(len) || end.is_deserted()
}

/// What became of an attempt to send messages from number `first` on: wakes a sleeping consumer, and notices one that was dropped.
#[inline(always)]
pub fn sent<S: Sending, R>(
    end: &mut End<S>,
    sent: Result<R, Refused>,
    first: u64,
    len: u64,
) -> Result<R, TrySendError> {
    match sent {
        Ok(sent) if end.guard.signals.published() => Ok(sent),
        sent => sent_slowly(end, sent, first, len),
    }
}

#[cold]
#[inline(never)]
fn sent_slowly<S: Sending, R>(
    end: &mut End<S>,
    sent: Result<R, Refused>,
    first: u64,
    len: u64,
) -> Result<R, TrySendError> {
    if end.is_torn() {
        return Err(Corruption::Truncated.into());
    }
    let gone = match sent {
        Ok(_) => is_in_vain(end, first),
        Err(Refused::Full) => end.is_deserted(),
        Err(_) => false,
    };
    if gone {
        return Err(TrySendError::ConsumerLeft);
    }
    sent.map_err(|what| refused(end, what, len))
}

/// Whether what was sent from `first` on lies in a ring where nobody will look any more. A consumer that took it
/// and was dropped then did receive it.
fn is_in_vain<S: Sending>(end: &mut End<S>, first: u64) -> bool {
    end.is_deserted() && !end.ring.has_taken(first)
}

/// Sends as soon as an attempt succeeds.
#[inline(always)]
pub fn send<S: Sending, R>(
    end: &mut End<S>,
    until: Until,
    len: u64,
    mut attempt: impl FnMut(&mut S) -> Result<R, Refused>,
) -> Result<R, SendError> {
    let first = end.ring.next();
    match attempt(&mut end.ring) {
        Ok(sent) if end.guard.signals.published() => Ok(sent),
        tried => send_slowly(end, tried.ok(), first, until, len, attempt),
    }
}

/// What is left of a send after its first attempt. Apart, so that a send that finds room stays in registers.
#[inline(never)]
pub fn send_slowly<S: Sending, R>(
    end: &mut End<S>,
    sent: Option<R>,
    first: u64,
    until: Until,
    len: u64,
    attempt: impl FnMut(&mut S) -> Result<R, Refused>,
) -> Result<R, SendError> {
    let sent = match sent {
        Some(sent) => sent,
        None => wait_for_room(end, until, len, attempt)?,
    };
    let quiet = end.guard.signals.published();
    if end.is_torn() {
        return Err(SendError::Corrupt { what: Corruption::Truncated });
    }
    if !quiet && is_in_vain(end, first) {
        return Err(SendError::ConsumerLeft);
    }
    Ok(sent)
}

/// The loop of every blocking send. What it finds is not published yet, or nobody was told.
#[inline(always)]
pub fn wait_for_room<S: Sending, R>(
    end: &mut End<S>,
    until: Until,
    len: u64,
    mut attempt: impl FnMut(&mut S) -> Result<R, Refused>,
) -> Result<R, SendError> {
    let outcome = end.block(until, |ring| match attempt(ring) {
        Err(Refused::Full) => None,
        done => Some(done),
    });
    match outcome {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(what)) => Err(SendError::from(refused(end, what, len))),
        Err(stop) => Err(end.remembered(stop).into()),
    }
}

/// Why an attempt failed.
#[cold]
pub fn refused<S: Sending>(end: &mut End<S>, refused: Refused, len: u64) -> TrySendError {
    match refused {
        // Between two threads nobody will make room any more.
        Refused::Full if end.is_deserted() => TrySendError::ConsumerLeft,
        Refused::Full => {
            end.guard.count(Counter::Refused);
            TrySendError::Full
        }
        Refused::TooLarge => {
            end.guard.count(Counter::Refused);
            S::too_large(&end.limits, len)
        }
        // `finish` consumes the producer, so nobody sends after it.
        Refused::Finished => TrySendError::Corrupt { what: Corruption::Word },
        Refused::Corrupt(what) => TrySendError::Corrupt { what: end.cause(what) },
    }
}

/// Declares the end of data; returns how many messages there were.
pub fn finish<S: Sending>(end: &mut End<S>) -> Result<u64, TrySendError> {
    match end.ring.end_data() {
        Ok(()) if !end.published() => Err(Corruption::Truncated.into()),
        Ok(()) => {
            end.guard.who().finished(end.ring.next());
            Ok(end.ring.next())
        }
        Err(what) => Err(refused(end, what, 0)),
    }
}

/// A ring's receiving end.
pub trait Receiving: Poison {
    /// Whether there is a message, or never will be; `None`: nothing yet.
    fn look(&mut self) -> Option<Result<(), TryRecvError>>;
    /// Whether a look would find anything; does not wait a moment for more, as that may.
    fn is_ready(&mut self) -> bool;
    /// Waits that moment, if it is time for it.
    fn let_run_ahead(&mut self);
}

macro_rules! receiving {
    ($ring:ty, $poll:ident::$message:ident) => {
        impl Receiving for $ring {
            #[inline(always)]
            fn look(&mut self) -> Option<Result<(), TryRecvError>> {
                match self.poll() {
                    $poll::$message(_) => Some(Ok(())),
                    $poll::Empty => None,
                    $poll::Finished => Some(Err(TryRecvError::Finished)),
                    $poll::Corrupt(what) => Some(Err(TryRecvError::Corrupt { what })),
                }
            }

            fn is_ready(&mut self) -> bool {
                <$ring>::is_ready(self)
            }

            fn let_run_ahead(&mut self) {
                <$ring>::let_run_ahead(self);
            }
        }
    };
}

receiving!(RecordRx<Map>, Poll::Message);
receiving!(SlotRx<Map>, SlotPoll::Messages);

/// Whether a call would find a message, or an error.
pub fn is_ready<R: Receiving>(end: &mut End<R>) -> bool {
    end.guard.is_torn() || end.ring.is_ready() || end.is_deserted()
}

/// That there is a message, or why there is none.
#[inline(never)]
pub fn ready<R: Receiving>(end: &mut End<R>) -> Result<(), TryRecvError> {
    let found = end.ring.look();
    if !matches!(found, Some(Ok(()))) && end.is_torn() {
        return Err(Corruption::Truncated.into());
    }
    // Between two threads there may be nothing any more. What a producer sent before it was dropped is there by now.
    if found.is_none() && end.is_deserted() {
        return end.ring.look().unwrap_or(Err(TryRecvError::ProducerLeft));
    }
    found.unwrap_or(Err(TryRecvError::Empty))
}

/// The loop of every blocking receive: until there is a message.
#[inline(never)]
pub fn wait<R: Receiving>(end: &mut End<R>, until: Until) -> Result<(), RecvError> {
    match end.block(until, R::look) {
        Ok(Err(TryRecvError::Corrupt { what })) => Err(RecvError::Corrupt { what: end.cause(what) }),
        Ok(found) => found.map_err(RecvError::from),
        Err(stop) => Err(end.remembered(stop).into()),
    }
}

/// The buffer or type does not fit the next message, which stays.
#[cold]
pub fn wrong_length<R>(end: &End<R>, len: u64, buffer: usize) -> TryRecvError {
    end.guard.count(Counter::Refused);
    TryRecvError::WrongLength { len, buffer: buffer as u64 }
}

/// Both ends of a queue in private memory.
pub fn pair<S, R>(
    geometry: Geometry,
    options: &Options,
    sender: impl FnOnce(Window<Map>) -> Result<S, Corruption>,
    receiver: impl FnOnce(Window<Map>) -> Result<R, Corruption>,
) -> Result<(End<S>, End<R>), CreateError> {
    let failed = |source| CreateError::Io { doing: "get private memory".into(), source };
    let map = segment::map_private(geometry.length, options).map_err(failed)?;
    let fresh = || {
        Window::new(map.clone(), geometry.parts).ok_or_else(|| failed(std::io::ErrorKind::OutOfMemory.into()))
    };
    let wrong = |what: Corruption| CreateError::Options { why: what.to_string() };
    let (tx, rx) = (sender(fresh()?).map_err(wrong)?, receiver(fresh()?).map_err(wrong)?);
    let (mut a, mut b) =
        (RoleGuard::private(Role::Producer, fresh()?), RoleGuard::private(Role::Consumer, fresh()?));
    for guard in [&mut a, &mut b] {
        guard.enter().map_err(|_| failed(std::io::ErrorKind::Other.into()))?;
    }
    Ok((End::new(tx, a, geometry.limits), End::new(rx, b, geometry.limits)))
}

/// The messages that come until waiting ends, of whatever `recv` makes of them.
pub fn messages<M>(
    mut recv: impl FnMut() -> Result<M, RecvError>,
) -> impl Iterator<Item = Result<M, RecvError>> {
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let next = recv();
        done = next.is_err();
        if matches!(next, Err(RecvError::Finished)) { None } else { Some(next) }
    })
}

/// The calls that every end of a queue has, with what they say of themselves: whose end it is, and whose the other.
macro_rules! every_end {
    ($own:literal, $peer:literal) => {
        #[doc = concat!("State of the ", $peer, ". One system call if it has the role or died; none between two threads.")]
        #[doc = concat!("Whoever is attached may be gone a moment later, and whoever has left or died may have a successor. But a ", $peer)]
        /// that lives is never said to be lost, and one that came is never again said not to have come.
        ///
        /// ```
        /// use shmq::PeerState;
        /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
        /// let rx = queue.consumer()?;
        /// assert_eq!(rx.peer(), PeerState::NeverAttached);
        /// let tx = queue.producer()?;
        /// assert_eq!((rx.peer(), rx.peer_epoch()), (PeerState::Attached, 1));
        /// drop(tx);
        /// assert_eq!(rx.peer(), PeerState::Left);
        /// let tx = queue.producer()?; // another one: `peer_epoch` tells
        /// assert_eq!((rx.peer(), rx.peer_epoch()), (PeerState::Attached, 2));
        /// assert_eq!((tx.epoch(), rx.epoch()), (2, 1));
        /// # Ok::<(), shmq::Error>(())
        /// ```
        pub fn peer(&self) -> shmq_core::role::PeerState {
            self.end.guard.peer()
        }

        #[doc = concat!("How often the ", $peer, "'s role was taken, 0 for never: a change means another one.")]
        /// May have grown a moment later; never shrinks.
        pub fn peer_epoch(&self) -> u64 {
            self.end.guard.peer_epoch()
        }

        #[doc = concat!("How often the ", $own, "'s role was taken, this time included. Fixed for this handle.")]
        pub fn epoch(&self) -> u64 {
            self.end.guard.epoch()
        }

        /// The limits, fixed at creation.
        pub fn limits(&self) -> shmq_core::geometry::Limits {
            self.end.limits
        }

        /// Lets a [handle](crate::StopHandle) end the blocked calls of this end. Replaces the one it had; `None`: none does.
        pub fn set_stop<'s>(&mut self, stop: impl Into<Option<&'s shmq_core::stop::StopHandle>>) {
            self.end.set_stop(stop);
        }

        /// Drops this end as if its process had died: the other end goes on with what is there and is then told that its peer is
        /// lost, and a successor may come. For whoever holds it on behalf of a process somewhere else, which did die. Between
        /// two threads, where nobody dies alone, it is the same as dropping it.
        ///
        /// As after a death, a file that outlives a start of the machine is refused after one, if no successor came before.
        ///
        /// ```
        /// use shmq::{RecvError, SendError, Until};
        /// # let queue = shmq::Queue::anonymous(&shmq::Options::new().max_messages(1))?;
        /// let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
        /// tx.try_send(b"its last")?;
        /// tx.leave_as_lost();
        /// assert_eq!(rx.recv(Until::Forever)?, b"its last");
        /// assert_eq!(rx.recv(Until::Forever), Err(RecvError::ProducerLost));
        /// let mut tx = queue.producer()?; // a successor
        /// tx.try_send(b"never received")?;
        /// rx.leave_as_lost();
        /// assert_eq!(tx.send(b"another", Until::Forever), Err(SendError::ConsumerLost));
        /// # Ok::<(), shmq::Error>(())
        /// ```
        pub fn leave_as_lost(mut self) {
            self.end.guard.leave_as_lost();
        }

        #[doc = concat!("Vouches for the ", $peer, "'s process: messages in place can then be had as slices and references")]
        /// (`as_slice` and the like), which are `None` without. The ends of a pair need it not, as they share one program.
        ///
        /// # Safety
        /// As long as this end lives, no other process may write to the memory of this queue except through
        /// this crate, which writes neither to claimed space nor to a message that is not acknowledged, nor change the length
        /// of its file or punch holes in it: what is cut off and grown again comes back as zeros, under a slice that is lent.
        /// So no process may have the file open for writing that is not known to run correct code. The library upholds the
        /// rest, whatever the two ends do through it, and whoever dies.
        ///
        /// ```
        /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
        /// let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
        /// tx.try_send(b"hello")?;
        /// assert_eq!(rx.try_read()?.as_slice(), None);
        /// // SAFETY: the queue is anonymous, and its descriptor was given to nobody.
        /// unsafe { rx.trust_peer() };
        /// assert_eq!(rx.try_read()?.as_slice(), Some(&b"hello"[..]));
        /// # Ok::<(), shmq::Error>(())
        /// ```
        pub unsafe fn trust_peer(&mut self) {
            // SAFETY: the caller's promise is this one.
            unsafe { self.end.trust_peer() }
        }
    };
}
pub(crate) use every_end;
