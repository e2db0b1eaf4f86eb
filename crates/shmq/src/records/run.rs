//! Looking at a run of messages first and acknowledging it later: for whoever must hand messages on before letting go of them.

use crate::receiving::DrainLimit;
use crate::view::View;
use shmq_core::End;
use shmq_core::memory::Map;
use shmq_core::ring::{Ahead, RecordRx};

/// A run of messages, looked at one after the other and acknowledged together by [`Run::acknowledge`].
///
/// Dropped or forgotten it leaves all of them: the next receive starts with its first message again, and so does a successor
/// if this process dies. So a program can write a run to a file, and acknowledge it only once the file has it.
///
/// ```
/// use std::io::Write;
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// tx.try_send_batch(&[b"a", b"b", b"c"])?;
/// let mut log = Vec::new(); // a file, say
/// let mut run = rx.try_run(100)?;
/// while let Some(message) = run.next() {
///     log.write_all(&message.to_vec())?; // an error here leaves all three queued
/// }
/// log.flush()?;
/// assert_eq!((run.messages(), run.bytes()), (3, 3));
/// assert_eq!(run.acknowledge(), 3);
/// assert!(rx.try_recv().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It borrows the consumer, as a [`crate::Message`] does, and must not be used in a child of `fork`.
#[derive(Debug)]
#[must_use = "a run that is not acknowledged stays in the queue"]
pub struct Run<'a> {
    end: &'a mut End<RecordRx<Map>>,
    limit: DrainLimit,
    ahead: Ahead,
    messages: usize,
    bytes: usize,
}

impl<'a> Run<'a> {
    pub(crate) fn new(end: &'a mut End<RecordRx<Map>>, limit: DrainLimit) -> Self {
        let ahead = end.ring.ahead();
        Self { end, limit, ahead, messages: 0, bytes: 0 }
    }

    /// The next message of the run, in place. `None` at its limit, or when no more are there now; a later
    /// call may then find more. The first call finds one.
    #[allow(
        clippy::should_implement_trait,
        reason = "each message borrows the run, which an iterator cannot say"
    )]
    pub fn next(&mut self) -> Option<View<'_>> {
        if self.messages > 0 && self.limit.is_reached(self.messages, self.bytes) {
            return None;
        }
        let record = self.end.ring.look(&mut self.ahead)?;
        self.messages += 1;
        self.bytes += record.len as usize;
        Some(View::of_record(self.end, &record))
    }

    /// Acknowledges the first messages of those looked at, at most so many, and keeps the rest: for a program that passes messages on
    /// and learns piece by piece that they have arrived. Returns how many: fewer than asked for only if no more
    /// were looked at, or a hostile producer has changed them since.
    ///
    /// What is left counts against the limit of the run as if it had begun there. If this process is killed within this call, all of them
    /// are acknowledged or none.
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send_batch(&[b"a", b"b", b"c"])?;
    /// let mut run = rx.try_run(2)?;
    /// while let Some(message) = run.next() {
    ///     // Sent to another machine, say; two are on their way.
    /// }
    /// assert_eq!(run.acknowledge_first(1), 1); // that one has arrived, so there is credit for one more
    /// assert_eq!(run.next().unwrap().to_vec(), b"c");
    /// assert_eq!(run.messages(), 2); // on their way now: b and c
    /// drop(run);
    /// assert_eq!(rx.try_recv()?, b"b");
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn acknowledge_first(&mut self, messages: usize) -> usize {
        let (mut part, mut taken, mut bytes) = (self.end.ring.ahead(), 0, 0);
        while taken < messages.min(self.messages) {
            let Some(record) = self.end.ring.look(&mut part) else { break };
            taken += 1;
            bytes += record.len as usize;
        }
        if taken > 0 && self.end.ring.acknowledge_to(&part) {
            self.end.published();
        }
        self.messages -= taken;
        self.bytes = self.bytes.saturating_sub(bytes);
        taken
    }

    /// Messages looked at and not yet acknowledged.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Their bytes of payload.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Acknowledges all messages looked at: all of them or none, if this process dies meanwhile. Returns how many.
    pub fn acknowledge(self) -> usize {
        let end = self.end;
        if self.messages > 0 && end.ring.acknowledge_to(&self.ahead) {
            end.published();
        }
        self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, TryRecvError, pair};

    /// Looks at up to `n` messages of a run and says what they were.
    fn look(run: &mut Run<'_>, n: usize) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        while seen.len() < n {
            let Some(message) = run.next() else { break };
            seen.push(message.to_vec());
        }
        seen
    }

    #[test]
    fn p2_a_run_that_is_not_acknowledged_is_shown_again() {
        let (mut tx, mut rx) = pair(&Options::new()).unwrap();
        tx.try_send_batch(&["a", "b", "c"]).unwrap();
        tx.finish().unwrap();
        for _ in 0..2 {
            // It runs into the end of data, which must not end the messages before it.
            assert_eq!(look(&mut rx.try_run(10).unwrap(), 10), [b"a", b"b", b"c"]);
        }
        assert_eq!(rx.next_sequence(), 0);
        let mut run = rx.try_run(2).unwrap();
        assert_eq!(look(&mut run, 10), [b"a", b"b"]);
        assert_eq!((run.messages(), run.bytes()), (2, 2));
        assert_eq!(run.acknowledge(), 2);
        assert_eq!(rx.try_recv().unwrap(), b"c");
        assert_eq!(rx.try_run(1).err(), Some(TryRecvError::Finished));
    }

    #[test]
    fn p2_only_what_was_looked_at_is_acknowledged() {
        let (mut tx, mut rx) = pair(&Options::new()).unwrap();
        tx.try_send_batch(&["a", "b", "c"]).unwrap();
        let mut run = rx.try_run(10).unwrap();
        look(&mut run, 1);
        run.acknowledge();
        assert_eq!(rx.try_run(10).unwrap().acknowledge(), 0);
        assert_eq!(rx.try_recv().unwrap(), b"b");
    }

    #[test]
    fn p6_runs_over_a_small_ring_stay_in_order_and_starve_nobody() {
        let (mut tx, mut rx) = pair(&Options::new().capacity(4096).max_message(512)).unwrap();
        let message = |i: usize| vec![i as u8; i * 37 % 513];
        let (mut sent, mut got) = (0, 0);
        while got < 5000 {
            while sent < 5000 && tx.try_send(&message(sent)).is_ok() {
                sent += 1;
            }
            let mut run = rx.try_run(usize::MAX).unwrap();
            let seen = look(&mut run, usize::MAX);
            for m in &seen {
                assert_eq!(*m, message(got), "message {got}");
                got += 1;
            }
            assert_eq!(run.acknowledge(), seen.len());
        }
    }
}
