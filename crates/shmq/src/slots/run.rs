//! Looking at a run of messages first and acknowledging it later, as [`crate::Run`] is for records.

use super::Marker;
use crate::receiving::DrainLimit;
use crate::view::View;
use bytemuck::Pod;
use shmq_core::End;
use shmq_core::memory::Map;
use shmq_core::ring::{SlotAhead, SlotRx};
use std::marker::PhantomData;

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
pub struct Run<'a, P: ?Sized> {
    end: &'a mut End<SlotRx<Map>>,
    limit: DrainLimit,
    ahead: SlotAhead,
    messages: usize,
    marker: Marker<P>,
}

impl<'a, P: ?Sized> Run<'a, P> {
    pub(crate) fn new(end: &'a mut End<SlotRx<Map>>, limit: DrainLimit) -> Self {
        let ahead = end.ring.ahead();
        Self { end, limit, ahead, messages: 0, marker: PhantomData }
    }

    fn look(&mut self) -> Option<(u64, u64)> {
        if self.messages > 0 && self.limit.is_reached(self.messages, self.bytes()) {
            return None;
        }
        let found = self.end.ring.look_ahead(&mut self.ahead)?;
        self.messages += 1;
        Some(found)
    }

    /// Acknowledges the first messages of those looked at, at most so many, and keeps the rest, as
    /// [`crate::Run::acknowledge_first`] does, and its example.
    pub fn acknowledge_first(&mut self, messages: usize) -> usize {
        let (mut part, mut taken) = (self.end.ring.ahead(), 0);
        while taken < messages.min(self.messages) && self.end.ring.look_ahead(&mut part).is_some() {
            taken += 1;
        }
        if taken > 0 && self.end.ring.acknowledge_to(&part) {
            self.end.published();
        }
        self.messages -= taken;
        taken
    }

    /// Messages looked at so far.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.messages * self.end.limits.max_message as usize
    }

    /// Acknowledges all messages looked at: all of them or none, if this process dies meanwhile. Returns how many.
    pub fn acknowledge(self) -> usize {
        if self.messages > 0 && self.end.ring.acknowledge_to(&self.ahead) {
            self.end.published();
        }
        self.messages
    }
}

impl<P: Pod> Run<'_, P> {
    /// The next message of the run, copied. `None` at its limit, or when no more are there now; a later call
    /// may then find more. The first call finds one.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator that may go on after its end, and whose items count only once acknowledged, misleads"
    )]
    pub fn next(&mut self) -> Option<P> {
        let (place, _) = self.look()?;
        let mut message = P::zeroed();
        self.end.ring.window().copy_out_at(place, bytemuck::bytes_of_mut(&mut message));
        Some(message)
    }
}

impl Run<'_, [u8]> {
    /// The next message of the run, in place. `None` at its limit, or when no more are there now; a later call
    /// may then find more. The first call finds one.
    ///
    /// ```
    /// use shmq::{Options, slots};
    /// let queue = slots::Queue::anonymous_bytes(3, 8, &Options::new())?;
    /// let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
    /// tx.try_send(b"abc")?;
    /// let mut run = rx.try_run(100)?;
    /// assert_eq!(run.next().unwrap().to_vec(), b"abc");
    /// assert_eq!((run.bytes(), run.acknowledge()), (3, 1));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    #[allow(
        clippy::should_implement_trait,
        reason = "each message borrows the run, which an iterator cannot say"
    )]
    pub fn next(&mut self) -> Option<View<'_>> {
        let (place, sequence) = self.look()?;
        Some(View::of_slot(self.end, place, sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Queue;
    use crate::{Options, TryRecvError};

    fn queue<P: Pod>(depth: u64) -> Queue<P> {
        Queue::anonymous(depth, &Options::new()).unwrap()
    }

    fn look<P: Pod>(run: &mut Run<'_, P>) -> Vec<P> {
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
            view.read_into(0, &mut part).unwrap();
            assert_eq!(part, [i; 5]);
            assert!(view.read_into(0, &mut [0; 14]).is_err());
        }
        assert!(run.next().is_none());
        assert_eq!(run.acknowledge(), 30);
    }
}
