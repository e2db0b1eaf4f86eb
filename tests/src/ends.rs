//! Both ends of a queue of either shape, and everything that can be done with them through the public calls, by name:
//! for tests that do the same to both shapes, in this process or in a child.

mod problem;
mod records;
mod slots;

pub use problem::Problem;

use crate::process::{Dice, SlotMessage, slot_content};
use shmq::slots::Queue as SlotQueue;
use shmq::{AttachError, Consumer, Kind, Producer, Queue, Role, Waiting};
use std::time::Duration;

/// How long an operation that waits does so.
const SHORT: Duration = Duration::from_millis(2);

/// Something one end does. Lengths are of records; slots have one length, and there only the number of messages counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// One message.
    Send(usize),
    /// One message, waiting for room for a moment.
    SendWaiting(usize),
    /// One message in three pieces.
    Slices(usize),
    /// All of these or none, in one call.
    Batch(Vec<usize>),
    /// One message with a mark.
    Mark(usize),
    /// All of these or none, with a mark.
    MarkBatch(Vec<usize>),
    /// A message filled in place, with a mark.
    MarkClaim(usize),
    /// What comes next has this number in another queue.
    Origin(u64),
    /// As many as there is room for: of records, call by call; of slots in one call, visible group by group.
    Several(Vec<usize>),
    /// A batch that is built one by one.
    Pushes(Vec<usize>),
    /// The same, with a mark.
    MarkPushes(Vec<usize>),
    /// A batch that is given up.
    AbortBatch(Vec<usize>),
    /// A message filled in place, in pieces.
    Claim(usize),
    /// A claim of the first length, committed with the second.
    Part(usize, usize),
    /// A claim that is filled and given up; to forget it is the same.
    Abort(usize),
    /// End of data.
    Finish,
    /// Takes a message.
    Recv,
    /// Takes a message into a vector, waiting for it for a moment.
    RecvWaiting,
    /// Takes as many as are there, up to so many, in one call.
    Drain(usize),
    /// Reads in place, then takes.
    Guard,
    /// Reads in place and leaves it.
    Keep,
    /// Looks at up to so many, then takes them.
    Run(usize),
    /// Looks at up to so many and leaves them.
    Look(usize),
    /// Asks all that can be asked.
    Ask(Role),
    /// Takes a role.
    Attach(Role),
    /// Gives it up.
    Leave(Role),
}

impl Op {
    /// Whose operation it is.
    pub fn role(&self) -> Role {
        match self {
            Self::Recv
            | Self::RecvWaiting
            | Self::Drain(_)
            | Self::Guard
            | Self::Keep
            | Self::Run(_)
            | Self::Look(_) => Role::Consumer,
            Self::Ask(role) | Self::Attach(role) | Self::Leave(role) => *role,
            _ => Role::Producer,
        }
    }
}

/// What an operation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Lengths of the messages it sent.
    pub sent: Vec<usize>,
    /// Sequence number of the first of them.
    pub first: u64,
    /// Number and bytes of the messages it took.
    pub took: Vec<(u64, Vec<u8>)>,
}

/// The bytes of message number `sequence`; of slots, its length is what all have.
pub fn message(kind: Kind, sequence: u64, len: usize) -> Vec<u8> {
    if kind == Kind::Slots {
        return slot_content(sequence).iter().flat_map(|word| word.to_le_bytes()).collect();
    }
    let mut dice = Dice(sequence ^ 0x57e9);
    let words = (0..len.div_ceil(8)).flat_map(|_| (dice.next() | 1).to_le_bytes());
    words.take(len).collect()
}

/// What is noted with the message before this number.
pub fn note(label: u64) -> [u8; 16] {
    crate::model::note(label.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// An open queue of either shape.
#[derive(Debug)]
pub enum AnyQueue {
    /// Of records.
    Records(Queue),
    /// Of slots.
    Slots(SlotQueue<SlotMessage>),
}

impl AnyQueue {
    /// Opens the queue of that shape.
    ///
    /// # Errors
    /// As the library says.
    pub fn open(path: &std::path::Path, kind: Kind) -> Result<Self, shmq::OpenError> {
        Ok(match kind {
            Kind::Slots => Self::Slots(SlotQueue::open(path)?),
            _ => Self::Records(Queue::open(path)?),
        })
    }

    /// Takes the sending end.
    ///
    /// # Errors
    /// As the library says.
    pub fn producer(&self) -> Result<Tx, AttachError> {
        Ok(match self {
            Self::Records(queue) => Tx::Records(queue.producer()?),
            Self::Slots(queue) => Tx::Slots(queue.producer()?),
        })
    }

    /// Takes the receiving end.
    ///
    /// # Errors
    /// As the library says.
    pub fn consumer(&self) -> Result<Rx, AttachError> {
        Ok(match self {
            Self::Records(queue) => Rx::Records(queue.consumer()?),
            Self::Slots(queue) => Rx::Slots(queue.consumer()?),
        })
    }

    /// Which shape.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Records(_) => Kind::Records,
            Self::Slots(_) => Kind::Slots,
        }
    }
}

/// A sending end.
#[derive(Debug)]
#[allow(missing_docs, reason = "named after what they hold")]
pub enum Tx {
    Records(Producer),
    Slots(shmq::slots::Producer<SlotMessage>),
}

/// A receiving end.
#[derive(Debug)]
#[allow(missing_docs, reason = "named after what they hold")]
pub enum Rx {
    Records(Consumer),
    Slots(shmq::slots::Consumer<SlotMessage>),
}

macro_rules! any {
    ($end:expr, $as:ident => $what:expr) => {
        match $end {
            Self::Records($as) => $what,
            Self::Slots($as) => $what,
        }
    };
}

impl Tx {
    /// Does it.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn perform(&mut self, op: &Op) -> Result<Done, Problem> {
        match self {
            Self::Records(tx) => records::send(tx, op),
            Self::Slots(tx) => slots::send(tx, op),
        }
    }

    /// Declares the end of data.
    ///
    /// # Errors
    /// Why it could not.
    pub fn finish(self) -> Result<(), Problem> {
        any!(self, tx => tx.finish().map(drop).map_err(Problem::from))
    }

    /// Vouches for the other end, so that messages can be used where they lie.
    ///
    /// # Safety
    /// As for [`Producer::trust_peer`].
    pub unsafe fn vouch(mut self) -> Self {
        // SAFETY: the caller's.
        any!(&mut self, tx => unsafe { tx.trust_peer() });
        self
    }

    /// Number of the next message.
    pub fn next_sequence(&self) -> u64 {
        any!(self, tx => tx.next_sequence())
    }

    /// What was noted with the last marked message.
    pub fn mark(&self) -> Option<shmq::Mark> {
        any!(self, tx => tx.mark())
    }

    /// Which queue this one continues.
    pub fn origin(&self) -> Option<shmq::Origin> {
        any!(self, tx => tx.origin())
    }

    /// How to wait.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        any!(self, tx => tx.set_waiting(waiting));
    }

    fn ask(&mut self) {
        any!(self, tx => std::hint::black_box((tx.peer(), tx.peer_epoch(), tx.epoch(), tx.pending())));
        match self {
            Self::Records(tx) => std::hint::black_box(tx.room_bytes().is_some()),
            Self::Slots(tx) => std::hint::black_box(tx.room() > 0),
        };
    }
}

impl Rx {
    /// Does it.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn perform(&mut self, op: &Op) -> Result<Done, Problem> {
        match self {
            Self::Records(rx) => records::receive(rx, op),
            Self::Slots(rx) => slots::receive(rx, op),
        }
    }

    /// What the producer noted with the last marked message.
    pub fn peer_mark(&self) -> Option<shmq::Mark> {
        any!(self, rx => rx.peer_mark())
    }

    /// Vouches for the other end, so that messages can be used where they lie.
    ///
    /// # Safety
    /// As for [`Consumer::trust_peer`].
    pub unsafe fn vouch(mut self) -> Self {
        // SAFETY: the caller's.
        any!(&mut self, rx => unsafe { rx.trust_peer() });
        self
    }

    /// Number of the next message.
    pub fn next_sequence(&self) -> u64 {
        any!(self, rx => rx.next_sequence())
    }

    /// How to wait.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        any!(self, rx => rx.set_waiting(waiting));
    }

    fn ask(&mut self) {
        any!(self, rx => std::hint::black_box((rx.peer(), rx.peer_epoch(), rx.epoch(), rx.pending())));
        if let Self::Records(rx) = self {
            std::hint::black_box(rx.try_read().is_ok());
        }
    }
}

fn sent(lens: &[usize], first: u64) -> Done {
    Done { sent: lens.to_vec(), first, took: Vec::new() }
}

fn took(messages: Vec<(u64, Vec<u8>)>) -> Done {
    Done { took: messages, ..Done::default() }
}

/// Both ends, as far as this process holds them.
#[derive(Debug)]
pub struct Ends {
    /// The queue.
    pub queue: AnyQueue,
    /// The sending end.
    pub tx: Option<Tx>,
    /// The receiving end.
    pub rx: Option<Rx>,
    /// How they wait.
    pub waiting: Waiting,
    /// Whether to vouch for whoever is at the other end, so that slots can be used in place.
    vouched: bool,
}

impl Ends {
    /// Neither end yet.
    pub fn new(queue: AnyQueue, waiting: Waiting) -> Self {
        Self { queue, tx: None, rx: None, waiting, vouched: false }
    }

    /// Uses slots in place, too.
    ///
    /// # Safety
    /// As for [`Producer::trust_peer`], for all who come to be at the other end.
    pub unsafe fn vouched(self) -> Self {
        Self { vouched: true, ..self }
    }

    /// Does it. An end that is not held does nothing.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn perform(&mut self, op: &Op) -> Result<Done, Problem> {
        match op {
            Op::Attach(role) => self.attach(*role)?,
            Op::Leave(Role::Producer) => self.tx = None,
            Op::Leave(Role::Consumer) => self.rx = None,
            Op::Finish => self.tx.take().map_or(Err(Problem::Nothing), Tx::finish)?,
            Op::Ask(_) => {
                self.tx.iter_mut().for_each(Tx::ask);
                self.rx.iter_mut().for_each(Rx::ask);
            }
            op => {
                return match op.role() {
                    Role::Producer => self.tx.as_mut().map_or(Err(Problem::Nothing), |tx| tx.perform(op)),
                    Role::Consumer => self.rx.as_mut().map_or(Err(Problem::Nothing), |rx| rx.perform(op)),
                };
            }
        }
        Ok(Done::default())
    }

    fn attach(&mut self, role: Role) -> Result<(), Problem> {
        match role {
            Role::Producer => {
                let mut tx = self.queue.producer().map_err(Problem::Attach)?;
                tx.set_waiting(self.waiting);
                // SAFETY: promised to `vouched`.
                self.tx = Some(if self.vouched { unsafe { tx.vouch() } } else { tx });
            }
            Role::Consumer => {
                let mut rx = self.queue.consumer().map_err(Problem::Attach)?;
                rx.set_waiting(self.waiting);
                // SAFETY: promised to `vouched`.
                self.rx = Some(if self.vouched { unsafe { rx.vouch() } } else { rx });
            }
        }
        Ok(())
    }
}
