//! Receiving where the reader says what it has finished, and only that is taken. So what lies in a pipe, or in the hands of a
//! reader that dies, is still in the queue.
//!
//! New messages are given out while earlier ones are not yet finished: a reader may finish many at once, as one does that
//! commits to a database.

use super::{NOW, Next, Receiver, SLICE, take};
use crate::acks::{Acks, Answer};
use crate::shape::Consumer;
use shmq::{Inspector, PeerState, RecvError, Role, Until};
use shmq_tool::failure::Failure;
use shmq_tool::units::show_messages;
use std::time::{Duration, Instant};

/// Pauses between two looks for a message beyond those that were given out, as no call waits for that. An answer ends a
/// pause.
const PAUSES: std::ops::Range<Duration> = Duration::from_millis(1)..Duration::from_millis(16);

/// What the reader has in its hands.
#[derive(Debug)]
struct Given {
    /// Messages that it has not acknowledged.
    open: u64,
    /// Nothing more will be given to it.
    ended: bool,
    /// It has acknowledged something.
    answered: bool,
    /// It will acknowledge no more.
    silent: bool,
}

impl Receiver<'_> {
    pub(super) fn receive_acknowledged(
        &mut self,
        mut consumer: Consumer,
        inspector: &Inspector,
        acks: &Acks,
    ) -> Result<Next, Failure> {
        let mut given = Given { open: 0, ended: false, answered: false, silent: false };
        let mut pause = Duration::ZERO;
        loop {
            if self.take_answered(&mut consumer, acks, &mut given, pause)? {
                pause = Duration::ZERO;
            }
            self.look_up()?;
            if given.open == 0 && (given.ended || given.silent && given.answered) {
                return self.all_answered(&mut consumer);
            }
            if given.silent {
                return Err(unanswered(given.open));
            }
            if given.ended {
                pause = SLICE;
            } else if given.open == 0 {
                match consumer.run(1, if self.args.no_wait { NOW } else { self.slice() }) {
                    Ok(_) => drop(self.give(&mut consumer, &mut given)?),
                    Err(error) => {
                        if let Some(next) = self.ended(error)? {
                            return Ok(next);
                        }
                    }
                }
            } else {
                // Asked before the look: then nothing can come after it.
                let over = self.args.no_wait || self.is_over(inspector);
                if self.give(&mut consumer, &mut given)? {
                    pause = Duration::ZERO;
                } else if over {
                    self.end(&mut given);
                } else {
                    pause = (2 * pause).clamp(PAUSES.start, PAUSES.end);
                }
            }
            if given.open > 0 && self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(RecvError::TimedOut.into());
            }
        }
    }

    /// Takes what the reader says it has finished, waiting for a first word of it; whether there was one.
    fn take_answered(
        &mut self,
        consumer: &mut Consumer,
        acks: &Acks,
        given: &mut Given,
        mut within: Duration,
    ) -> Result<bool, Failure> {
        let mut any = false;
        while !given.silent {
            match acks.next(within)? {
                Answer::None => break,
                Answer::End => given.silent = true,
                Answer::Finished(messages) if messages > given.open => {
                    return Err(Failure::new(format!(
                        "the reader acknowledges {}, but holds {}; nothing of it was taken",
                        show_messages(messages),
                        given.open
                    )));
                }
                Answer::Finished(messages) => {
                    let bytes = take(consumer, messages)?;
                    given.open -= messages;
                    self.progress.add(messages, bytes);
                    (any, given.answered, within) = (true, true, Duration::ZERO);
                    self.restart_clock();
                }
            }
        }
        Ok(any)
    }

    /// Gives out what is there beyond that which was given; whether there was anything.
    fn give(&mut self, consumer: &mut Consumer, given: &mut Given) -> Result<bool, Failure> {
        let mut run = consumer.run(usize::MAX, NOW)?;
        for _ in 0..given.open {
            run.next();
        }
        self.gather(&mut run);
        if self.ends.is_empty() {
            return Ok(false);
        }
        let messages = match self.out.write(&self.gathered, self.interrupt) {
            Ok(()) => self.ends.len(),
            Err(broken) => {
                let whole = self.given_whole(&broken);
                broken.explain(&self.out, self.interrupt)?;
                // It reads no more, and may still acknowledge.
                given.ended = true;
                whole
            }
        };
        given.open += messages as u64;
        self.wanted -= messages as u64;
        if self.wanted == 0 {
            self.end(given);
        }
        self.restart_clock();
        Ok(true)
    }

    /// Shows the reader the end, so that it finishes what it has.
    fn end(&mut self, given: &mut Given) {
        given.ended = true;
        self.out.close();
    }

    /// Whether no more messages will come.
    fn is_over(&self, inspector: &Inspector) -> bool {
        let gone = |state| matches!(state, PeerState::Left | PeerState::Lost);
        inspector.snapshot().finished || !self.args.follow && gone(inspector.state(Role::Producer))
    }

    /// All that was given out is taken: why there was no more.
    fn all_answered(&self, consumer: &mut Consumer) -> Result<Next, Failure> {
        if self.wanted == 0 || self.args.no_wait {
            return Ok(Next::Done);
        }
        // Not without waiting: that would not ask after the sender.
        match consumer.run(1, Until::After(SLICE)) {
            Ok(_) | Err(RecvError::TimedOut) => Ok(Next::Done),
            Err(error) => Ok(self.ended(error)?.unwrap_or(Next::Done)),
        }
    }
}

fn unanswered(open: u64) -> Failure {
    let what = if open == 0 { "anything".into() } else { show_messages(open) };
    Failure::new(format!("the reader ended without acknowledging {what}; what it did not stays in the queue"))
}
