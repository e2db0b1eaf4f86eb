//! The two ends of the stream. Each may be killed at any moment; what it had done is in the page's notes.

use super::input::Input;
use super::note::{self, Note};
use super::plan::{BLOCK, Cuts};
use super::scene::{PAGE, STREAM, Scene};
use crate::args::{Fault, PartArgs};
use crate::attach::patiently;
use crate::shape::{Message, Producer, Queue};
use shmq::{Options, RecvError, Until, Waiting};
use shmq_tool::failure::Failure;
use shmq_tool::page::Page;

/// Messages the consumer takes at once: after its death, so many may come again.
pub const RUN: u64 = 64;

/// What both ends know.
struct Stage {
    queue: Queue,
    page: Page,
    input: Input,
    cuts: Cuts,
}

impl Stage {
    fn new(args: &PartArgs) -> Result<Self, Failure> {
        let scene = Scene::of_parent(&args.scene);
        Ok(Self {
            queue: Queue::open(scene.queue(STREAM).as_ref(), &Options::new())?,
            page: note::open(&scene.path(PAGE))?,
            input: Input::open(&args.input, args.input_bytes)?,
            cuts: Cuts::new(args.seed, args.slots),
        })
    }
}

/// Sends the stream from where it stands.
pub fn produce(args: &PartArgs) -> Result<(), Failure> {
    let Stage { queue, page, input, cuts } = Stage::new(args)?;
    let mut producer = patiently(|| queue.producer())?;
    producer.set_waiting(Waiting::new().across_restarts(true));
    let mut next = producer.next_sequence();
    // A send that had returned must be there; one that had not may be, and no more than one.
    let sent = page.get(Note::Sent);
    page.add(Note::Lost, sent.saturating_sub(next));
    page.add(Note::Disorder, next.saturating_sub(sent + 1));
    let skip = u64::from(args.plant == Some(Fault::Skipped) && next > 0);
    let mut tear = args.plant == Some(Fault::Torn);
    let mut message = Vec::with_capacity(BLOCK as usize);
    while !(1..=next).contains(&page.get(Note::Enough)) {
        let number = next + skip;
        if tear && cuts.len(number) > 0 && next >= args.messages / 2 {
            tear = false;
            assemble(&input, cuts, number, &mut message);
            let middle = message.len() / 2;
            message[middle] ^= 1;
            producer.send(&message, Until::Forever)?;
        } else {
            send(&mut producer, &input, cuts, number, &mut message)?;
        }
        next += 1;
        page.set(Note::Sent, next);
    }
    let total = producer.finish()?;
    page.set(Note::Total, total);
    Ok(())
}

/// What a message holds: a piece of the input, behind its number if it is of fixed size.
fn assemble(input: &Input, cuts: Cuts, number: u64, message: &mut Vec<u8>) {
    message.clear();
    if let Cuts::Fixed = cuts {
        message.extend_from_slice(&number.to_le_bytes());
    }
    for piece in input.pieces(cuts.start(number), cuts.len(number)) {
        message.extend_from_slice(piece);
    }
}

/// Sends a message: straight from the input where it is one piece of it.
fn send(
    producer: &mut Producer,
    input: &Input,
    cuts: Cuts,
    number: u64,
    message: &mut Vec<u8>,
) -> Result<(), Failure> {
    let (start, len) = (cuts.start(number), cuts.len(number));
    let first = input.pieces(start, len).next().unwrap_or_default();
    if first.len() == len && matches!(cuts, Cuts::Varied { .. }) {
        producer.send(first, Until::Forever)?;
    } else {
        assemble(input, cuts, number, message);
        producer.send(message, Until::Forever)?;
    }
    Ok(())
}

/// Receives and checks the stream from where it stands.
pub fn consume(args: &PartArgs) -> Result<(), Failure> {
    let Stage { queue, page, input, cuts } = Stage::new(args)?;
    let mut consumer = patiently(|| queue.consumer())?;
    consumer.set_waiting(Waiting::new().across_restarts(true));
    let mut checker = Checker::new(page, input, cuts, consumer.next_sequence());
    let mut lose = args.plant == Some(Fault::Lost);
    loop {
        let mut run = match consumer.run(RUN as usize, Until::Forever) {
            Ok(run) => run,
            Err(RecvError::Finished) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        while let Some(message) = run.next() {
            if lose && checker.next >= args.messages / 2 {
                // Not looked at, and taken with the others.
                lose = false;
            } else {
                checker.check(&message);
            }
        }
        run.acknowledge();
    }
}

struct Checker {
    page: Page,
    input: Input,
    cuts: Cuts,
    /// The sequence number that comes next.
    next: u64,
    /// Up to where all was checked, by predecessors too.
    checked: u64,
    buffer: Vec<u8>,
}

impl Checker {
    fn new(page: Page, input: Input, cuts: Cuts, next: u64) -> Self {
        let checked = page.get(Note::Checked);
        page.add(Note::Lost, next.saturating_sub(checked));
        page.add(Note::Redelivered, checked.saturating_sub(next));
        page.raise(Note::MostRedelivered, checked.saturating_sub(next));
        Self { page, input, cuts, next, checked, buffer: Vec::with_capacity(BLOCK as usize) }
    }

    fn check(&mut self, message: &Message<'_>) {
        let sequence = message.sequence();
        self.note_order(sequence);
        self.buffer.clear();
        message.append_to(&mut self.buffer);
        if !self.is_whole(sequence) {
            self.page.add(Note::Torn, 1);
        }
        self.next = sequence + 1;
        // Noted before it is released: so nothing that a successor misses was merely not noted.
        if self.next > self.checked {
            self.checked = self.next;
            self.page.set(Note::Checked, self.checked);
        }
    }

    /// Whether the buffer holds this message.
    fn is_whole(&self, sequence: u64) -> bool {
        let piece = match self.cuts {
            Cuts::Varied { .. } => &self.buffer[..],
            Cuts::Fixed => match self.buffer.strip_prefix(&sequence.to_le_bytes()) {
                Some(piece) => piece,
                None => return false,
            },
        };
        piece.len() == self.cuts.len(sequence) && self.input.holds(self.cuts.start(sequence), piece)
    }

    fn note_order(&self, sequence: u64) {
        if sequence != self.next {
            self.page.add(Note::Lost, sequence.saturating_sub(self.next));
            self.page.add(Note::Disorder, u64::from(sequence < self.next));
        }
    }
}
