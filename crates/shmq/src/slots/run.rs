//! Looking at a run of messages first and acknowledging it later, as [`crate::Run`] is for records.

use super::Consumer;
use crate::{Checked, OutOfBounds};
use bytemuck::Pod;
use shmq_core::error::{RecvError, TryRecvError};
use shmq_core::memory::Map;
use shmq_core::ring::{SlotAhead, SlotRx};
use shmq_core::wait::Until;

/// A run of messages, looked at one after the other and acknowledged together by [`Run::acknowledge`].
///
/// Dropped or forgotten it leaves all of them: the next receive starts with its first message again. So a program can
/// write a run to a file, and acknowledge it only once the file has it. It allocates nothing and makes no system
/// call; acknowledging wakes a producer that sleeps. If this process is killed, its successor is shown what was not acknowledged.
///
/// ```
/// # let name = format!("shmq-doc-slots-run-{}", std::process::id());
/// use shmq::{Options, slots};
/// let queue = slots::Queue::<u64>::create(&name, 8, &Options::new())?;
/// let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
/// tx.try_send_batch(&[1, 2, 3])?;
/// let mut sum = 0;
/// let mut run = rx.try_run(2)?;
/// while let Some(message) = run.next() {
///     sum += message; // leaving here would leave all three queued
/// }
/// assert_eq!((sum, run.acknowledge()), (3, 2));
/// assert_eq!(rx.try_recv()?, 3);
/// # drop((tx, rx)); queue.remove()?;
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a run that is not acknowledged stays in the queue"]
pub struct Run<'a, P: ?Sized, T = Checked> {
    consumer: &'a mut Consumer<P, T>,
    ahead: SlotAhead,
    limit: usize,
    messages: usize,
}

impl<P: ?Sized, T> Run<'_, P, T> {
    fn look(&mut self) -> Option<(u64, u64)> {
        if self.messages >= self.limit {
            return None;
        }
        let found = self.consumer.end.ring.look_ahead(&mut self.ahead)?;
        self.messages += 1;
        Some(found)
    }

    /// Messages looked at so far; as the example of [`crate::Run`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Takes all messages looked at out of the queue, at once; returns how many. See the example of [`Run`].
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    pub fn acknowledge(self) -> usize {
        let end = &mut self.consumer.end;
        if self.messages > 0 && end.ring.take_to(&self.ahead) {
            end.published();
        }
        self.messages
    }
}

impl<P: Pod, T> Run<'_, P, T> {
    /// The next message of the run, copied. `None` at its limit, or when no more are there now; a later call
    /// may then find more. The first call finds one, unless the limit is 0. See the example of [`Run`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator that may go on after its end, and whose items count only once acknowledged, misleads"
    )]
    pub fn next(&mut self) -> Option<P> {
        let (place, _) = self.look()?;
        let mut message = P::zeroed();
        let ring = &self.consumer.end.ring;
        ring.window().copy_out_at(place, bytemuck::bytes_of_mut(&mut message));
        Some(message)
    }
}

impl<T> Run<'_, [u8], T> {
    /// The next message of the run, in place. `None` at its limit, or when no more are there now; a later call
    /// may then find more. The first call finds one, unless the limit is 0.
    ///
    /// ```
    /// # let name = format!("shmq-doc-slots-view-{}", std::process::id());
    /// use shmq::{Options, slots};
    /// let queue = slots::Queue::<[u8]>::create_bytes(&name, 3, 8, &Options::new())?;
    /// let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
    /// tx.try_send(b"abc")?;
    /// let mut run = rx.try_run(usize::MAX)?;
    /// assert_eq!(run.next().unwrap().to_vec(), b"abc");
    /// assert_eq!(run.acknowledge(), 1);
    /// # drop((tx, rx)); queue.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    #[allow(
        clippy::should_implement_trait,
        reason = "each message borrows the run, which an iterator cannot say"
    )]
    pub fn next(&mut self) -> Option<View<'_>> {
        let (place, sequence) = self.look()?;
        Some(View { ring: &self.consumer.end.ring, place, sequence })
    }
}

impl<P: ?Sized, T> Consumer<P, T> {
    /// The messages that are there now, up to so many, to be looked at first and acknowledged later; see the example of [`Run`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// [`TryRecvError::Empty`], [`TryRecvError::Finished`], [`TryRecvError::Corrupt`].
    pub fn try_run(&mut self, limit: usize) -> Result<Run<'_, P, T>, TryRecvError> {
        self.ready()?;
        Ok(self.run_from_here(limit))
    }

    /// As [`Consumer::try_run`], waiting for the first message; see the example of [`Run`].
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// [`RecvError`]. A producer that has left or died is reported once everything was received.
    pub fn run(&mut self, limit: usize, until: impl Into<Until>) -> Result<Run<'_, P, T>, RecvError> {
        self.wait(until.into())?;
        Ok(self.run_from_here(limit))
    }

    fn run_from_here(&mut self, limit: usize) -> Run<'_, P, T> {
        let ahead = self.end.ring.ahead();
        Run { consumer: self, ahead, limit, messages: 0 }
    }
}

/// A message of bytes in place, lent by a run. Its bytes are copied out, as the peer could change them meanwhile.
///
/// ```
/// # let name = format!("shmq-doc-slots-lent-{}", std::process::id());
/// # let queue = shmq::slots::Queue::create_bytes(&name, 3, 8, &shmq::Options::new())?;
/// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
/// tx.try_send(b"abc")?;
/// let mut run = rx.try_run(1)?;
/// let message = run.next().unwrap();
/// let mut head = [0; 2];
/// message.read_into(&mut head)?;
/// assert_eq!((&head, message.len(), message.sequence()), (b"ab", 3, 0));
/// assert_eq!(message.to_vec(), b"abc");
/// # drop((tx, rx)); queue.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct View<'a> {
    ring: &'a SlotRx<Map>,
    place: u64,
    sequence: u64,
}

impl View<'_> {
    /// Bytes of the message: as many as of every other of this queue, and never 0. See the example of [`View`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    #[allow(clippy::len_without_is_empty, reason = "no message of this shape is empty")]
    pub fn len(&self) -> usize {
        self.ring.layout().size as usize
    }

    /// Its sequence number; see the example of [`View`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Copies its first `into.len()` bytes; see the example of [`View`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// [`OutOfBounds`] if the message does not have them; nothing is copied then.
    pub fn read_into(&self, into: &mut [u8]) -> Result<(), OutOfBounds> {
        OutOfBounds::check(0, into.len(), self.len())?;
        self.ring.window().copy_out_at(self.place, into);
        Ok(())
    }

    /// The whole message, copied; see the example of [`View`]. Allocates the vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut message = vec![0; self.len()];
        self.ring.window().copy_out_at(self.place, &mut message);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use crate::slots::Queue;

    fn queue<P: Pod>(depth: u64) -> Queue<P> {
        Queue::anonymous(depth, &Options::new()).unwrap()
    }

    fn look<P: Pod, T>(run: &mut Run<'_, P, T>) -> Vec<P> {
        std::iter::from_fn(|| run.next()).collect()
    }

    #[test]
    fn p2_a_run_that_is_not_acknowledged_is_shown_again() {
        let queue = queue::<u64>(20);
        let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
        let sent: Vec<u64> = (0..20).collect();
        tx.try_send_batch(&sent).unwrap();
        tx.finish().unwrap();
        for _ in 0..2 {
            // It runs into the end of data, which must not end the messages before it.
            let mut run = rx.try_run(usize::MAX).unwrap();
            assert_eq!(look(&mut run), sent);
        }
        assert_eq!((rx.next_sequence(), rx.pending()), (0, 20));
        let mut run = rx.try_run(9).unwrap();
        assert_eq!(look(&mut run), sent[..9]);
        assert_eq!((run.messages(), run.acknowledge()), (9, 9));
        assert_eq!(rx.try_recv().unwrap(), 9);
        let mut run = rx.try_run(usize::MAX).unwrap();
        assert_eq!((look(&mut run), run.acknowledge()), (sent[10..].to_vec(), 10));
        assert_eq!(rx.try_run(1).err(), Some(TryRecvError::Finished));
    }

    #[test]
    fn p2_only_what_was_looked_at_is_acknowledged() {
        let queue = queue::<u64>(3);
        let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
        tx.try_send_batch(&[1, 2, 3]).unwrap();
        let mut run = rx.try_run(10).unwrap();
        assert_eq!(run.next(), Some(1));
        assert!(tx.try_send(&4).is_err(), "what is not acknowledged makes no room");
        run.acknowledge();
        assert!(tx.try_send(&4).is_ok());
        assert_eq!(rx.try_run(10).unwrap().acknowledge(), 0);
        assert_eq!(rx.try_recv().unwrap(), 2);
    }

    #[test]
    fn p6_runs_over_small_rings_stay_in_order() {
        for depth in [1, 2, 6, 7, 8, 15] {
            let queue = queue::<u64>(depth);
            let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
            let (mut sent, mut got) = (0u64, 0u64);
            while got < 500 {
                while tx.try_send(&sent).is_ok() {
                    sent += 1;
                }
                let limit = 1 + (got % 5) as usize;
                let mut run = rx.try_run(limit).unwrap();
                let seen = look(&mut run);
                assert_eq!(run.acknowledge(), limit.min(depth as usize));
                assert_eq!(seen, (got..got + seen.len() as u64).collect::<Vec<_>>(), "depth {depth}");
                got += seen.len() as u64;
            }
        }
    }

    #[test]
    fn p5_a_run_ends_at_the_depth_whatever_the_words_say() {
        for depth in [5, 7] {
            let queue = queue::<u64>(depth);
            let (tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
            let shape = *tx.end.ring.layout();
            // Every message that is looked at, a producer that does not wait puts another group behind it.
            let publish = |count: u64| {
                let ring = tx.end.ring.window().parts().ring as u64;
                let word = ring + shape.word_offset(count - 1);
                tx.end.ring.window().store_at(word, count, shmq_core::memory::at::COMMIT);
            };
            publish(shape.group.min(depth));
            let mut run = rx.try_run(usize::MAX).unwrap();
            let mut seen = 0;
            while run.next().is_some() {
                seen += 1;
                publish((seen / shape.group + 1) * shape.group);
                publish((seen / shape.group + 2) * shape.group);
                assert!(seen <= depth, "more than {depth} messages in one run");
            }
            assert_eq!((seen, run.acknowledge() as u64), (depth, depth));
        }
    }

    #[test]
    fn p2_bytes_are_viewed_whole_with_their_numbers() {
        let name = format!("shmq-slots-run-{}", std::process::id());
        let queue = Queue::<[u8]>::create_bytes(&name, 13, 100, &Options::new()).unwrap();
        let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
        std::fs::remove_file(queue.path().unwrap()).unwrap();
        for i in 0..30u8 {
            tx.try_send(&[i; 13]).unwrap();
        }
        let mut run = rx.try_run(usize::MAX).unwrap();
        for i in 0..30u8 {
            let view = run.next().unwrap();
            assert_eq!((view.sequence(), view.len(), view.to_vec()), (i.into(), 13, vec![i; 13]));
            let mut part = [0; 5];
            view.read_into(&mut part).unwrap();
            assert_eq!(part, [i; 5]);
            assert!(view.read_into(&mut [0; 14]).is_err());
        }
        assert!(run.next().is_none());
        assert_eq!(run.acknowledge(), 30);
    }
}
