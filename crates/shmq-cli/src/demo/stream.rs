//! The two ends of the stream. Each may be killed at any moment; what it had done is in the page's notes.

use super::input::Input;
use super::page::{Note, Page};
use super::plan::Cuts;
use super::scene::{PAGE, STREAM, Scene};
use crate::args::{Fault, PartArgs};
use crate::attach::patiently;
use crate::failure::Failure;
use shmq::{DrainLimit, Queue, RecvError, Until, View, Waiting};
use std::io::IoSlice;

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
            queue: Queue::open(scene.queue(STREAM))?,
            page: Page::open(&scene.path(PAGE))?,
            input: Input::open(&args.input, args.input_bytes)?,
            cuts: Cuts::new(args.seed),
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
    while !(1..=next).contains(&page.get(Note::Enough)) {
        let (start, len) = (cuts.start(next + skip), cuts.len(next + skip));
        if tear && len > 0 && next >= args.messages / 2 {
            tear = false;
            let mut message: Vec<u8> = input.pieces(start, len).flatten().copied().collect();
            message[len / 2] ^= 1;
            producer.send(&message, Until::Forever)?;
        } else {
            send(&mut producer, &input, start, len)?;
        }
        next += 1;
        page.set(Note::Sent, next);
    }
    let total = producer.finish()?;
    page.set(Note::Total, total);
    Ok(())
}

fn send(producer: &mut shmq::Producer, input: &Input, start: u64, len: usize) -> Result<(), Failure> {
    let mut pieces = input.pieces(start, len);
    let first = pieces.next().unwrap_or_default();
    if first.len() == len {
        producer.send(first, Until::Forever)?;
    } else {
        let slices: Vec<_> = std::iter::once(first).chain(pieces).map(IoSlice::new).collect();
        producer.send_slices(&slices, Until::Forever)?;
    }
    Ok(())
}

/// Receives and checks the stream from where it stands.
pub fn consume(args: &PartArgs) -> Result<(), Failure> {
    let Stage { queue, page, input, cuts } = Stage::new(args)?;
    let mut consumer = patiently(|| queue.consumer())?;
    consumer.set_waiting(Waiting::new().across_restarts(true));
    let mut checker = Checker::new(page, input, cuts, consumer.next_sequence());
    let limit = DrainLimit { messages: RUN as usize, bytes: usize::MAX };
    let mut lose = args.plant == Some(Fault::Lost);
    loop {
        match consumer.drain(limit, Until::Forever, |message| checker.check(message)) {
            Ok(_) => {}
            Err(RecvError::Finished) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if lose && checker.next >= args.messages / 2 {
            lose = false;
            drop(consumer.recv(Until::Forever)?);
        }
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
        Self { page, input, cuts, next, checked, buffer: vec![0; super::plan::BLOCK as usize] }
    }

    fn check(&mut self, message: &View<'_>) {
        let sequence = message.sequence();
        self.note_order(sequence);
        let (start, len) = (self.cuts.start(sequence), self.cuts.len(sequence));
        let whole = message.len() == len && {
            let copy = &mut self.buffer[..len];
            message.read_into(0, copy).is_ok() && self.input.holds(start, copy)
        };
        if !whole {
            self.page.add(Note::Torn, 1);
        }
        self.next = sequence + 1;
        // Noted before it is released: so nothing that a successor misses was merely not noted.
        if self.next > self.checked {
            self.checked = self.next;
            self.page.set(Note::Checked, self.checked);
        }
    }

    fn note_order(&self, sequence: u64) {
        if sequence != self.next {
            self.page.add(Note::Lost, sequence.saturating_sub(self.next));
            self.page.add(Note::Disorder, u64::from(sequence < self.next));
        }
    }
}
