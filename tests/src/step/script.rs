//! What is done under the tracer, and what must come of it.

use crate::ends::{Done, Op, message, note};
use crate::process::SlotMessage;
use shmq::{Kind, Mark, Origin, Role};
use std::collections::VecDeque;

/// One line of a script.
#[derive(Clone, Debug)]
pub enum Step {
    /// Traced.
    Do(Op),
    /// Traced, and must do nothing.
    Refuse(Op),
    /// Not traced: messages of this length until there is no more room. The child says how many.
    Fill(usize),
}

/// The script of that name.
///
/// # Panics
/// If there is none.
pub fn script(name: &str) -> Vec<Step> {
    use Role::{Consumer, Producer};
    match name {
        "life" => life(),
        "producer" => vec![Step::Do(Op::Attach(Producer))],
        "consumer" => vec![Step::Do(Op::Attach(Consumer))],
        "finished" => vec![Step::Refuse(Op::Attach(Producer))],
        // What the planted bugs are in.
        "bare" => bare().map(Step::Do).into(),
        other => panic!("no script {other:?}"),
    }
}

fn bare() -> [Op; 8] {
    use Op::*;
    [Send(24), Send(100), Send(3), Recv, Recv, Send(40), Recv, Mark(9)]
}

/// Everything that two ends do in their lives. A queue of slots is to have a depth of 16.
fn life() -> Vec<Step> {
    use Op::*;
    use Role::{Consumer, Producer};
    use Step::{Do, Fill, Refuse};
    vec![
        Do(Attach(Producer)),
        Do(Attach(Consumer)),
        Do(Ask(Producer)),
        Do(Ask(Consumer)),
        Refuse(Recv),
        // The second value takes the fast path.
        Do(Send(24)),
        Do(Send(24)),
        Do(Recv),
        Do(Recv),
        // The third mark goes over the copy of the first.
        Do(Mark(24)),
        Do(MarkBatch(vec![8, 0])),
        Do(Send(3)),
        Do(MarkClaim(13)),
        Do(Origin(1000)),
        Do(MarkPushes(vec![5, 16])),
        Do(Origin(7)),
        Do(Several(vec![1, 24, 9])),
        Do(Drain(100)),
        Do(Send(0)),
        Do(Send(5)),
        Do(Slices(37)),
        Do(Batch(vec![0, 24, 100])),
        Do(Pushes(vec![8, 13])),
        Do(Claim(40)),
        Do(Part(64, 9)),
        Do(Abort(32)),
        Do(Send(8)),
        Do(Abort(48)),
        Do(Send(16)),
        Do(AbortBatch(vec![16, 0])),
        Do(Batch(vec![9; 4])),
        Refuse(Batch(vec![2000; 3])),
        Do(Recv),
        Do(RecvWaiting),
        Do(Guard),
        Do(Keep),
        Do(Drain(3)),
        Do(Look(2)),
        Do(Run(3)),
        Do(Drain(100)),
        // Full, and across the end of the ring.
        Fill(300),
        Refuse(Send(300)),
        Refuse(SendWaiting(300)),
        Do(Drain(4)),
        Do(Send(100)),
        Do(Batch(vec![20, 0, 30])),
        Do(Look(100)),
        Do(Recv),
        Do(Pushes(vec![1])),
        // A run is at most half a ring.
        Do(Drain(3)),
        Do(Run(100)),
        // The consumer sleeps, and is called.
        Refuse(RecvWaiting),
        Do(Send(24)),
        Do(Recv),
        // Long enough for the loop of vectors.
        Do(Send(900)),
        Do(Recv),
        Do(Leave(Consumer)),
        Do(Send(8)),
        Do(Attach(Consumer)),
        Do(Leave(Producer)),
        Do(Attach(Producer)),
        Do(Batch(vec![40; 5])),
        Do(Recv),
        Do(Finish),
        Do(Drain(2)),
        Do(Drain(100)),
        Refuse(Recv),
        Do(Leave(Consumer)),
        Refuse(Attach(Producer)),
        Do(Attach(Consumer)),
        Refuse(Recv),
    ]
}

/// What a queue holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its shape.
    pub kind: Kind,
    /// Number of the first message that is not taken.
    pub first: u64,
    /// Lengths of the messages from there on.
    pub lens: VecDeque<usize>,
    /// Whether end of data is declared.
    pub finished: bool,
    /// The number behind the last message with a mark.
    pub mark: Option<u64>,
    /// What was said last of another queue: the number there, and the number here that it belongs to.
    pub origin: Option<(u64, u64)>,
}

impl Spec {
    /// A new queue.
    pub fn new(kind: Kind) -> Self {
        Self { kind, first: 0, lens: VecDeque::new(), finished: false, mark: None, origin: None }
    }

    /// Number of the next message to be sent.
    pub fn next(&self) -> u64 {
        self.first + self.lens.len() as u64
    }

    /// The mark that is to be found.
    pub fn mark(&self) -> Option<Mark> {
        self.mark.map(|label| Mark { sequence: label - 1, note: note(label) })
    }

    /// The origin that is to be found.
    pub fn origin(&self) -> Option<Origin> {
        self.origin.map(|(there, here)| Origin { queue_id: note(there), next: there + self.next() - here })
    }

    /// Bytes of the `nth` message.
    pub fn message(&self, nth: usize) -> Vec<u8> {
        message(self.kind, self.first + nth as u64, self.lens[nth])
    }

    /// With messages of these lengths sent; of slots, all have one length.
    pub fn sent(&self, lens: &[usize]) -> Self {
        let mut more = self.clone();
        let of_slots = (self.kind == Kind::Slots).then_some(size_of::<SlotMessage>());
        more.lens.extend(lens.iter().map(|&len| of_slots.unwrap_or(len)));
        more
    }

    /// With a mark, too.
    fn marked(self) -> Self {
        Self { mark: Some(self.next()), ..self }
    }

    /// With the first messages taken.
    pub fn took(&self, messages: usize) -> Self {
        let mut less = self.clone();
        less.first += messages as u64;
        less.lens.drain(..messages);
        less
    }

    /// All that the queue may lawfully hold while an operation goes on, in this order: what it held before comes first, what it
    /// holds when the call has returned comes last.
    pub fn during(&self, op: &Op) -> Vec<Self> {
        let after = match op {
            Op::Send(len) | Op::SendWaiting(len) | Op::Slices(len) | Op::Claim(len) | Op::Part(_, len) => {
                self.sent(&[*len])
            }
            Op::Mark(len) | Op::MarkClaim(len) => self.sent(&[*len]).marked(),
            Op::MarkBatch(lens) | Op::MarkPushes(lens) => self.sent(lens).marked(),
            Op::Origin(there) => Self { origin: Some((*there, self.next())), ..self.clone() },
            Op::Several(lens) => {
                return (0..=lens.len()).map(|n| self.sent(&lens[..n])).collect();
            }
            Op::Batch(lens) | Op::Pushes(lens) => self.sent(lens),
            Op::Finish => Self { finished: true, ..self.clone() },
            Op::Recv | Op::RecvWaiting | Op::Guard => self.took(1),
            Op::Drain(most) | Op::Run(most) => self.took(self.lens.len().min(*most)),
            _ => return vec![self.clone()],
        };
        vec![self.clone(), after]
    }

    /// Whether an operation did what it had to.
    ///
    /// # Errors
    /// What it did instead.
    pub fn agrees(&self, after: &Self, done: &Done) -> Result<(), String> {
        let took = (after.first - self.first) as usize;
        let sent = after.lens.len() + took - self.lens.len();
        let messages = (0..took).map(|nth| (self.first + nth as u64, self.message(nth))).collect::<Vec<_>>();
        let lens: Vec<usize> = after.lens.iter().skip(after.lens.len() - sent).copied().collect();
        if done.took != messages || done.sent != lens || sent > 0 && done.first != self.next() {
            return Err(format!("it did {done:?} to {self:?}"));
        }
        Ok(())
    }
}
