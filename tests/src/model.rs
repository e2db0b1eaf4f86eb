//! What the record ring must do, as a plain queue, and a rig that runs the real ring beside it.
//!
//! [`Ghost`] is the specification: a list of message lengths (their bytes follow from their sequence numbers), and
//! what is in doubt after a death. Everything either end of the ring says is held against it. [`Rig`] runs one
//! operation at a time the way the public calls do, over a memory that logs every store.

mod ops;
mod play;
mod ram;
mod rig;
mod slots;

pub use ops::perform;
pub use play::{Play, Step};
pub use ram::{Bug, CONTROLS, Guest, Image, MARKS, Ram, address, at_first, index_of, parts, poke};
pub use rig::{Effect, Live, Rig};
pub use slots::{SlotLive, SlotRig, SlotRxOp, SlotTxOp};

use shmq_core::{Mark, distance, word};
use std::collections::VecDeque;

/// What a violation says.
pub type Verdict<T = ()> = Result<T, String>;

/// A ring to test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Ring bytes.
    pub capacity: u64,
    /// Largest message.
    pub max_message: u64,
    /// Most messages that may be pending.
    pub depth: Option<u64>,
    /// Position of both ends at the beginning: a multiple of 8.
    pub position: u64,
    /// Sequence number of the first message.
    pub sequence: u64,
}

impl Shape {
    /// A ring of this capacity with the largest limit it allows, at position and sequence number 0.
    pub fn new(capacity: u64) -> Self {
        Self { capacity, max_message: word::largest_message(capacity), depth: None, position: 0, sequence: 0 }
    }

    /// With a limit of pending messages.
    pub fn depth(self, depth: u64) -> Self {
        Self { depth: Some(depth), ..self }
    }

    /// With both ends somewhere else.
    pub fn at(self, position: u64, sequence: u64) -> Self {
        Self { position: position & !7, sequence, ..self }
    }

    /// Whether a batch of these lengths can ever be sent: the rule that the documentation of `try_send_batch` states.
    pub fn allows(&self, lens: &[u64]) -> bool {
        let sizes = || lens.iter().map(|&len| word::size(len));
        let alone = lens.len() < 2;
        lens.iter().all(|&len| len <= self.max_message)
            && lens.len() as u64 <= self.depth.unwrap_or(u64::MAX)
            && (alone || sizes().sum::<u64>() + sizes().max().unwrap_or(0) <= self.capacity)
    }
}

/// Something a producer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxOp {
    /// One message in one piece.
    Send(u64),
    /// One message in pieces of this many bytes.
    Slices(u64, u64),
    /// All or none, planned first.
    Batch(Vec<u64>),
    /// One message with a mark.
    Mark(u64),
    /// All or none, with a mark.
    MarkBatch(Vec<u64>),
    /// All that fit, one by one, visible together.
    Pushes(Vec<u64>),
    /// A claim of the first length, committed with the second.
    Part(u64, u64),
    /// A claim that is filled and given up; to forget it, as `mem::forget` does, is the same.
    Abort(u64),
    /// A batch that is filled and given up or forgotten.
    AbortBatch(Vec<u64>),
    /// End of data.
    Finish,
}

/// Something a consumer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxOp {
    /// Takes the next message.
    Recv,
    /// Looks at the next message and leaves it, as a kept or forgotten guard does.
    Keep,
    /// Takes a run: at most so many messages, and no more after so many bytes.
    Drain(usize, u64),
    /// Looks at so many messages, then takes all it has seen.
    Look(usize),
}

/// What a dead producer's last operation may or may not have done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// Nothing.
    None,
    /// All of these messages or none of them.
    Messages(Vec<u64>),
    /// The first few of these messages: more than one operation was under way.
    Some(Vec<u64>),
    /// End of data.
    End,
}

/// The specification's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// Sequence number of the first message that is not certainly taken.
    pub taken: u64,
    /// Lengths of the messages from there on that are certainly sent.
    pub queue: VecDeque<u64>,
    /// The number behind the last message with a mark that is certainly sent.
    pub mark: Option<u64>,
    /// Whether end of data is certain.
    pub finished: bool,
    /// What a dead producer left in doubt, behind `queue`.
    pub doubt: Doubt,
    /// How many of the first messages a dead consumer may have released.
    pub released: usize,
}

impl Ghost {
    /// Of an empty ring.
    pub fn new(shape: &Shape) -> Self {
        let queue = VecDeque::new();
        Self { taken: shape.sequence, queue, mark: None, finished: false, doubt: Doubt::None, released: 0 }
    }

    /// Messages of these lengths are certainly sent.
    pub fn sent(&mut self, lens: impl IntoIterator<Item = u64>) {
        for len in lens {
            self.queue.push_back(len & !MARKED);
            // There is no label for the one message behind which the count begins anew.
            if len & MARKED != 0 && self.next() != 0 {
                self.mark = Some(self.next());
            }
        }
    }

    /// Whether this is the mark of the last message that certainly has one.
    pub fn see_mark(&self, found: Option<Mark>) -> Verdict {
        let expected = self.mark.map(mark_behind);
        if found == expected {
            Ok(())
        } else {
            Err(format!("the mark is {found:x?} instead of {expected:x?}"))
        }
    }

    /// Whether this may be what a consumer finds of the marks of a producer that is dead, whose count may lag.
    pub fn see_lagging_mark(&self, found: Option<Mark>) -> Verdict {
        let label = found.map(|mark| mark.sequence.wrapping_add(1));
        let doubt = if let Doubt::Messages(lens) | Doubt::Some(lens) = &self.doubt { lens.len() } else { 0 };
        let end = self.next().wrapping_add(doubt as u64);
        let taken = self.mark.filter(|&mark| distance(mark, self.taken) <= 0);
        let too_new = label.is_some_and(|label| distance(label, end) > 0);
        let too_old = taken.is_some_and(|mark| label.is_none_or(|label| distance(label, mark) < 0));
        if too_new || too_old || found != label.map(mark_behind) {
            return Err(format!("a mark of {found:x?}, where {:?} is certain, {end} the end", self.mark));
        }
        Ok(())
    }

    /// Sequence number of the next message to be sent, as far as it is certain.
    pub fn next(&self) -> u64 {
        self.taken.wrapping_add(self.queue.len() as u64)
    }

    /// Whether nothing is in doubt and nothing is pending.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.doubt == Doubt::None && self.released == 0
    }

    /// A consumer finds a message where the `nth` not yet taken one must be.
    pub fn see_message(&mut self, nth: usize, sequence: u64, len: u64) -> Verdict {
        if nth == self.queue.len() {
            match std::mem::replace(&mut self.doubt, Doubt::None) {
                Doubt::Messages(lens) => self.sent(lens),
                Doubt::Some(mut lens) if !lens.is_empty() => {
                    self.sent([lens.remove(0)]);
                    self.doubt = Doubt::Some(lens);
                }
                doubt => self.doubt = doubt,
            }
        }
        let expected = self.taken.wrapping_add(nth as u64);
        match self.queue.get(nth) {
            None => Err(format!("message {sequence} came from nowhere")),
            Some(_) if sequence != expected => Err(format!("message {sequence} instead of {expected}")),
            Some(&l) if l != len => Err(format!("message {sequence} has {len} bytes instead of {l}")),
            Some(_) => Ok(()),
        }
    }

    /// A consumer finds nothing behind the first `nth`.
    pub fn see_empty(&mut self, nth: usize) -> Verdict {
        if nth < self.queue.len() {
            return Err(format!("message {} is lost", self.taken.wrapping_add(nth as u64)));
        }
        if self.finished {
            return Err("the end of data is lost".into());
        }
        self.doubt = Doubt::None;
        Ok(())
    }

    /// A consumer is told that nothing will come behind the first `nth`.
    pub fn see_end(&mut self, nth: usize) -> Verdict {
        if nth < self.queue.len() {
            return Err(format!("the end came before message {}", self.taken.wrapping_add(nth as u64)));
        }
        if self.doubt == Doubt::End {
            (self.finished, self.doubt) = (true, Doubt::None);
        }
        if self.finished { Ok(()) } else { Err("an end that nobody declared".into()) }
    }

    /// A successor producer says where it resumes.
    pub fn see_producer(&mut self, sequence: u64, finished: bool) -> Verdict {
        match std::mem::replace(&mut self.doubt, Doubt::None) {
            Doubt::Messages(lens) if sequence == self.next().wrapping_add(lens.len() as u64) => {
                self.sent(lens);
            }
            Doubt::Some(lens) => {
                let sent = sequence.wrapping_sub(self.next()).min(lens.len() as u64);
                self.sent(lens.into_iter().take(sent as usize));
            }
            Doubt::End => self.finished |= finished,
            _ => {}
        }
        if sequence != self.next() {
            return Err(format!("a new producer resumes at {sequence} instead of {}", self.next()));
        }
        if finished != self.finished {
            return Err(format!("finished: {finished} instead of {}", self.finished));
        }
        Ok(())
    }

    /// A successor consumer says where it resumes.
    pub fn see_consumer(&mut self, sequence: u64) -> Verdict {
        let taken = sequence.wrapping_sub(self.taken);
        if taken > self.released as u64 {
            let (from, most) = (self.taken, self.released);
            return Err(format!(
                "a new consumer resumes at {sequence}, at most {most} after {from} was allowed"
            ));
        }
        self.released = 0;
        self.release(taken as usize);
        Ok(())
    }

    /// The first messages are taken for certain.
    pub fn release(&mut self, messages: usize) {
        self.queue.drain(..messages);
        self.taken = self.taken.wrapping_add(messages as u64);
    }

    /// The other way round: messages of these lengths are not certainly taken.
    pub fn put_back(&mut self, lens: &[u64]) {
        lens.iter().rev().for_each(|&len| self.queue.push_front(len));
        self.taken = self.taken.wrapping_sub(lens.len() as u64);
    }

    /// An operation returned.
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::None => {}
            Effect::Sent(lens) | Effect::SentEach(lens) => self.sent(lens.iter().copied()),
            Effect::Finished => self.finished = true,
            Effect::Took(messages) => self.release(*messages),
        }
    }

    /// An operation was cut short by death.
    pub fn cut_short(&mut self, effect: &Effect) {
        match effect {
            Effect::None => {}
            Effect::Sent(lens) => self.doubt = Doubt::Messages(lens.clone()),
            Effect::SentEach(lens) => self.doubt = Doubt::Some(lens.clone()),
            Effect::Finished => self.doubt = Doubt::End,
            Effect::Took(messages) => self.released = *messages,
        }
    }
}

/// Beside the length of a message: it has a mark.
pub const MARKED: u64 = 1 << 63;

/// The last of these messages has a mark.
pub fn marked(mut lens: Vec<u64>) -> Vec<u64> {
    if let Some(last) = lens.last_mut() {
        *last |= MARKED;
    }
    lens
}

/// What is noted with the message before this number.
pub fn note(label: u64) -> [u8; 16] {
    bytemuck::cast([label, !label])
}

fn mark_behind(label: u64) -> Mark {
    Mark { sequence: label.wrapping_sub(1), note: note(label) }
}

/// The two copies of a mark in an image, and the one that is certain: but for how old they are of what was taken, and what a
/// copy without a label says.
pub(crate) fn relative_marks(image: &[u64], ghost: &Ghost) -> [u64; 4] {
    let age = |label: u64| distance(label, ghost.taken).max(0) as u64 + 1;
    let cells = MARKS.map(|at| match image[at..at + 3] {
        [0, ..] => 0,
        [label, a, b] => {
            let (whole, certain) = ((a, b) == (label, !label), Some(label) == ghost.mark);
            age(label) << 2 | u64::from(certain) << 1 | u64::from(whole)
        }
        _ => unreachable!("three words"),
    });
    let order = distance(image[MARKS[0]], image[MARKS[1]]) > 0;
    [cells[0], cells[1], u64::from(order), ghost.mark.map_or(0, age)]
}

/// The bytes of a message: words that hold its sequence number where a commit word does, a place inside the message,
/// and a kind of *not committed*; so no word is zero and none could pass for a commit word. A search that takes
/// states for one wants at least half a word: the explorer's lengths and cuts leave that much.
pub fn content(sequence: u64, len: u64) -> Vec<u8> {
    let words = len.div_ceil(8);
    let mut bytes: Vec<u8> = (1..=words)
        .flat_map(|i| word::word(word::RecordKind::None, 0x8d00_0000 | i, sequence).to_le_bytes())
        .collect();
    bytes.truncate(len as usize);
    bytes
}
