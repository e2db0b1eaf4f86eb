//! The real ring beside the specification: one operation at a time, everything it says checked.

use super::ops::perform;
use super::ram::{self, CONTROLS, Guest, Image, Ram, address, peek, poke};
use super::{Bug, Doubt, Ghost, MARKED, RxOp, Shape, TxOp, Verdict, content};
use shmq_core::distance;
use shmq_core::layout::{Control, FREE, FREED, READ, RECEIVED, Role, SEQUENCE, TAIL};
use shmq_core::word::{self, RecordKind};
use shmq_core::{Poll, Record, RecordRx, RecordTx, Recording, Refused, RingState, Store, Window, Words};

/// What an operation did, once it has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that the other end could see.
    None,
    /// These messages are sent, all at once.
    Sent(Vec<u64>),
    /// These messages are sent, one after the other.
    SentEach(Vec<u64>),
    /// End of data is declared.
    Finished,
    /// So many messages are taken.
    Took(usize),
}

impl Effect {
    /// Of two operations, one behind the other. `None` if the specification has no word for what is in doubt then.
    pub fn then(self, next: Self) -> Option<Self> {
        Some(match (self, next) {
            (Self::None, effect) | (effect, Self::None) => effect,
            (Self::Took(a), Self::Took(b)) => Self::Took(a + b),
            (Self::Sent(mut a) | Self::SentEach(mut a), Self::Sent(b) | Self::SentEach(b)) => {
                a.extend(b);
                Self::SentEach(a)
            }
            _ => return None,
        })
    }
}

/// Both ends, as far as they live, and what they ought to know.
#[derive(Clone, Debug)]
pub struct Live<T = RecordTx<Ram>, R = RecordRx<Ram>> {
    /// The producer; `None` while the role is free.
    pub tx: Option<T>,
    /// The consumer.
    pub rx: Option<R>,
    /// What they ought to know.
    pub ghost: Ghost,
}

/// A memory and the two views of it.
#[derive(Debug)]
pub struct Rig {
    /// The ring under test.
    pub shape: Shape,
    words: Words,
    recording: Recording,
    rams: [Ram; 2],
    pub(crate) guest: Guest,
    /// Also hold the shared words against the ends' private ones. Off when a planted bug must be found by its consequences.
    pub white_box: bool,
}

macro_rules! ensure {
    ($cond:expr, $($what:tt)*) => { if !$cond { return Err(format!($($what)*)); } };
}

impl Rig {
    /// A ring that nobody has attached to, with a bug planted in both ends.
    pub fn new(shape: Shape, bug: Bug) -> Self {
        let parts = ram::parts(shape.capacity);
        let words = Words::new(parts.ring + shape.capacity as usize);
        let recording = Recording::new(words.clone());
        let guest = Guest::default();
        let rams = [(); 2].map(|()| Ram::new(recording.clone(), bug, guest.clone()));
        let rig = Self { shape, words, recording, rams, guest, white_box: bug == Bug::None };
        for control in CONTROLS {
            poke(&rig.words, address(control), ram::at_first(control, &shape));
        }
        rig
    }

    /// Both roles free, nothing sent.
    pub fn vacant(&self) -> Live {
        Live { tx: None, rx: None, ghost: Ghost::new(&self.shape) }
    }

    /// All of the memory that matters.
    pub fn save(&self) -> Image {
        ram::save(&self.words, self.shape.capacity)
    }

    /// Puts an image back.
    pub fn restore(&self, image: &[u64]) {
        ram::restore(&self.words, image);
        self.rams.iter().for_each(Ram::reset);
        self.recording.take_log();
    }

    /// Does stores again, behind the protocol's back.
    pub fn replay(&self, log: &[Store]) {
        log.iter().for_each(|&(at, value)| poke(&self.words, at, value));
    }

    /// The stores since the last call.
    pub fn take_log(&self) -> Vec<Store> {
        self.recording.take_log()
    }

    /// For each of them, how many of the first must come before it; see [`Recording::bounds`].
    pub fn bounds(&self) -> Vec<usize> {
        self.recording.bounds()
    }

    fn window(&self, role: Role) -> Window<Ram> {
        let ram = self.rams[role as usize].clone();
        Window::new(ram, ram::parts(self.shape.capacity)).expect("the rig's parts are in order")
    }

    fn word(&self, control: Control) -> u64 {
        peek(&self.words, address(control))
    }

    /// A successor takes a free role. A finished ring takes no producer.
    pub fn attach(&self, live: &mut Live, role: Role) -> Verdict {
        self.attach_while(live, role, |_| Ok(()))
    }

    /// `meanwhile` tells what the other end did until the attach was over.
    pub(crate) fn attach_while(
        &self,
        live: &mut Live,
        role: Role,
        meanwhile: impl FnOnce(&mut Live) -> Verdict,
    ) -> Verdict {
        let Shape { max_message, depth, .. } = self.shape;
        let window = self.window(role);
        match role {
            Role::Producer => {
                let tx = RecordTx::attach(window, max_message, depth)
                    .map_err(|c| format!("a producer could not attach: {c}"))?;
                meanwhile(live)?;
                let finished = tx.state() == RingState::Finished;
                live.ghost.see_producer(tx.sequence(), finished)?;
                live.ghost.see_mark(tx.mark())?;
                live.tx = (!finished).then_some(tx);
            }
            Role::Consumer => {
                let rx = RecordRx::attach(window, max_message, depth)
                    .map_err(|c| format!("a consumer could not attach: {c}"))?;
                meanwhile(live)?;
                live.ghost.see_consumer(rx.sequence())?;
                live.rx = Some(rx);
            }
        }
        Ok(())
    }

    /// A living producer does something. The ghost is not changed: the caller applies the effect, or cuts it short.
    pub fn send(&self, live: &mut Live, op: &TxOp) -> Verdict<Effect> {
        let tx = live.tx.as_mut().expect("the producer lives");
        let idle = live.rx.is_some() && live.ghost.is_idle();
        let before = self.recording.stores();
        let room = {
            let _ = tx.refresh();
            tx.room()
        };
        let (lens, outcome) = perform(tx, op);
        let effect = match outcome {
            Ok(None) => Effect::None,
            Ok(Some(first)) if *op == TxOp::Finish => {
                ensure!(first == live.ghost.next(), "finished at {first}");
                ensure!(tx.begin().err() == Some(Refused::Finished), "a finished end goes on");
                live.tx = None;
                Effect::Finished
            }
            Ok(Some(first)) => {
                ensure!(first == live.ghost.next(), "sent as {first} instead of {}", live.ghost.next());
                Effect::Sent(lens.clone())
            }
            Err(Refused::TooLarge) => {
                let lens: Vec<u64> = lens.iter().map(|len| len & !MARKED).collect();
                ensure!(!self.shape.allows(&lens), "{lens:?} is within the limits and was refused");
                Effect::None
            }
            Err(Refused::Full) => {
                ensure!(!idle, "{lens:?} found no room in an empty ring");
                Effect::None
            }
            Err(refused) => return Err(format!("{refused:?}")),
        };
        if let ([len], TxOp::Send(_)) = (&lens[..], op)
            && *len <= self.shape.max_message
        {
            let fits = room.is_some_and(|room| *len <= room);
            ensure!(fits == (effect != Effect::None), "room {room:?}, but sending {len}: {effect:?}");
        }
        // Every word written once; then the next commit word, the first one, padding's word, count, tail. A piece that is no
        // whole word costs up to two.
        let pieces = if let TxOp::Slices(len, cut) = op { 2 * len / cut } else { 0 };
        // A mark: its copy opened, two words, its label.
        let bound = pieces + op.words(self.shape.max_message) + 5 + 4;
        let stores = (self.recording.stores() - before) as u64;
        ensure!(stores <= bound, "{op:?} took {stores} stores, over {bound}");
        Ok(effect)
    }

    /// A living consumer does something; as for `send`.
    pub fn receive(&self, live: &mut Live, op: RxOp) -> Verdict<Effect> {
        let rx = live.rx.as_mut().expect("the consumer lives");
        let before = self.recording.stores();
        let [from, ..] = rx.private();
        if let RxOp::Look(messages) = op {
            look(rx, &mut live.ghost, messages, false)?;
            let took = look(rx, &mut live.ghost, messages, true)?;
            return self.took(rx, from, before, took, op);
        }
        // As a program does that receives values of one size: the fast path if it goes as far as this, else the slow one.
        if let (RxOp::Recv, Some(&len)) = (op, live.ghost.queue.front()) {
            let (sequence, mut bytes) = (rx.sequence(), vec![0xee; len as usize]);
            if rx.receive_at_once(&mut bytes).is_some() {
                live.ghost.see_message(0, sequence, len)?;
                ensure!(bytes == content(sequence, len), "message {sequence} is torn: {bytes:x?}");
                return self.took(rx, from, before, 1, op);
            }
        }
        let (most, bytes) = match op {
            RxOp::Drain(messages, bytes) => (messages.max(1), bytes),
            RxOp::Recv | RxOp::Keep | RxOp::Look(_) => (1, 0),
        };
        let (mut took, mut seen) = (0, 0);
        loop {
            match rx.poll() {
                Poll::Message(record) => {
                    live.ghost.see_message(took, record.sequence, record.len)?;
                    compare(rx, &record)?;
                    if op == RxOp::Keep {
                        return Ok(Effect::None);
                    }
                    rx.skip(&record);
                    (took, seen) = (took + 1, seen + record.len);
                }
                Poll::Empty => {
                    live.ghost.see_empty(took)?;
                    break;
                }
                Poll::Finished => {
                    live.ghost.see_end(took)?;
                    ensure!(rx.poll() == Poll::Finished, "a finished ring goes on");
                    break;
                }
                Poll::Corrupt(what) => return Err(format!("a healthy ring is called corrupt: {what}")),
            }
            if took >= most || seen >= bytes || rx.run_is_long() {
                break;
            }
        }
        if took != 0 {
            rx.settle();
        }
        if op == RxOp::Recv {
            rx.look_how_far();
        }
        self.took(rx, from, before, took, op)
    }

    /// A run from `from` on was taken, with the stores since there were `before` of them.
    fn took(&self, rx: &RecordRx<Ram>, from: u64, before: usize, took: usize, op: RxOp) -> Verdict<Effect> {
        if took == 0 {
            return Ok(Effect::None);
        }
        let run = rx.private()[0].wrapping_sub(from);
        let bound = (run + lazy(self.shape.capacity)) / 8 + 4;
        let stores = (self.recording.stores() - before) as u64;
        ensure!(stores <= bound, "{op:?} took {stores} stores, over {bound}");
        Ok(Effect::Took(took))
    }

    /// What must hold between any two operations.
    pub fn inspect(&self, live: &Live) -> Verdict {
        let Shape { capacity, .. } = self.shape;
        let [read, free] = [READ, FREE].map(|c| self.word(c));
        let ghost = &live.ghost;
        let pending = ghost.queue.len() as u64;
        if let Some(tx) = &live.tx {
            ensure!(tx.sequence() == ghost.next(), "the next message is {}", tx.sequence());
            ensure!(tx.state() == RingState::Open, "the producer stopped: {:?}", tx.state());
            let said = tx.pending();
            let least = pending.saturating_sub(ghost.released as u64);
            ensure!((least..=pending).contains(&said), "the producer calls {said} of {pending} pending");
            self.agrees(tx)?;
            ghost.see_mark(tx.mark())?;
        }
        if let Some(rx) = &live.rx {
            ensure!(rx.sequence() == ghost.taken, "the consumer is at {}", rx.sequence());
            let said = rx.pending();
            let most = if live.tx.is_some() || ghost.finished { pending } else { 0 };
            ensure!(said >= most && said <= pending + in_doubt(ghost), "the consumer calls {said} pending");
            if live.tx.is_some() || ghost.finished {
                ghost.see_mark(rx.mark())?;
            } else {
                ghost.see_lagging_mark(rx.mark())?;
            }
            let [at, received, freed, ..] = rx.private();
            if self.white_box {
                let stored = [READ, RECEIVED, FREE].map(|c| self.word(c));
                ensure!(stored == [at, received, freed], "the consumer's page says {stored:?}");
                let backlog = at.wrapping_sub(freed);
                ensure!(backlog <= lazy(capacity), "{backlog} bytes wait to be given back");
            }
            ensure!(!ghost.is_idle() || read == free, "an idle consumer keeps space to itself");
        }
        Ok(())
    }

    fn ring_word(&self, position: u64) -> u64 {
        let index = position & (self.shape.capacity - 1);
        peek(&self.words, ram::parts(self.shape.capacity).ring + index as usize)
    }

    /// Puts into free space what would do most harm if anybody looked at it: the next messages. What was there before is
    /// as good as gone, so states do not differ by it.
    pub fn scorch(&self, image: &mut [u64], live: &Live) {
        let capacity = self.shape.capacity;
        let (controls, ring) = image.split_at_mut(CONTROLS.len());
        let [tail, sequence, _, _, _, free, ..] = *controls else { unreachable!() };
        let index = |position: u64| (position & (capacity - 1)) as usize / 8;
        let (mut tail, mut sequence) = (tail, sequence);
        match &live.tx {
            Some(tx) => [tail, sequence, ..] = tx.private(),
            // What was committed by the last store is there, though nobody counts it yet.
            None => {
                let end = tail.wrapping_add(capacity);
                while let word = ring[index(tail)]
                    && matches!(word::kind(word), RecordKind::Message | RecordKind::Padding)
                    && distance(end, tail) > 0
                {
                    sequence = word::sequence(word, sequence)
                        .wrapping_add(u64::from(word::kind(word) == RecordKind::Message));
                    tail = tail.wrapping_add(word::size(word::len(word)));
                }
            }
        }
        // Not where a successor begins its walk, although the space may be given back: it stores where it got to first.
        let ends = [free, controls[0]].map(|from| distance(from.wrapping_add(capacity), tail));
        let mut at = tail.wrapping_add(8);
        while distance(at, tail) < ends[0].min(ends[1]) {
            ring[index(at)] = word::word(RecordKind::Message, 0, sequence);
            at = at.wrapping_add(8);
        }
    }

    /// The producer's page against its private words, and `room` against the plain definition.
    fn agrees(&self, tx: &RecordTx<Ram>) -> Verdict {
        let Shape { capacity, max_message, depth, .. } = self.shape;
        let [tail, sequence, free, freed, _] = tx.private();
        let [now, now_freed] = [FREE, FREED].map(|c| self.word(c));
        if !self.white_box {
            return Ok(());
        }
        let stored = [TAIL, SEQUENCE].map(|c| self.word(c));
        ensure!(stored == [tail, sequence], "the producer's page says {stored:?}");
        ensure!(tail.wrapping_sub(now) <= capacity - 8, "tail {tail} has outrun free {now}");
        ensure!(distance(now, free) >= 0 && distance(now_freed, freed) >= 0, "space was taken back");
        ensure!(self.ring_word(tail) == word::NONE, "invariant Z: the word at the tail is not zero");
        let mut tx = tx.clone();
        let _ = tx.refresh();
        let deep = sequence.wrapping_sub(now_freed) >= depth.unwrap_or(u64::MAX);
        let space = capacity - tail.wrapping_sub(now) - 8;
        let to_end = capacity - (tail & (capacity - 1));
        let fits = |&len: &u64| {
            let size = word::size(len);
            size + if size > to_end { to_end } else { 0 } <= space
        };
        // What is said to fit does, and what is larger does not; sizes grow with lengths, so one step more is enough.
        let larger = tx.room().map_or(0, |room| room + 1);
        let right = tx.room().is_none_or(|room| !deep && fits(&room))
            && (deep || larger > max_message || !fits(&larger));
        ensure!(right, "room says {:?}", tx.room());
        Ok(())
    }
}

/// Most bytes a consumer may have taken and not given back when a call returns.
fn lazy(capacity: u64) -> u64 {
    (capacity / 4).min(16 << 10)
}

pub(super) fn in_doubt(ghost: &Ghost) -> u64 {
    if let Doubt::Messages(lens) | Doubt::Some(lens) = &ghost.doubt { lens.len() as u64 } else { 0 }
}

/// Looks at so many messages, then takes what it has seen, or leaves it. How many there were.
fn look(rx: &mut RecordRx<Ram>, ghost: &mut Ghost, messages: usize, take: bool) -> Verdict<usize> {
    let (mut ahead, mut seen) = (rx.ahead(), 0);
    while seen < messages
        && let Some(record) = rx.look(&mut ahead)
    {
        ghost.see_message(seen, record.sequence, record.len)?;
        compare(rx, &record)?;
        seen += 1;
    }
    if take && seen != 0 {
        rx.acknowledge_to(&ahead);
    }
    Ok(seen)
}

/// The payload, whole and from an odd offset.
fn compare(rx: &RecordRx<Ram>, record: &Record) -> Verdict {
    let expected = content(record.sequence, record.len);
    let mut bytes = vec![0xee; record.len as usize];
    rx.copy_out(record, &mut bytes);
    ensure!(bytes == expected, "message {} is torn: {bytes:x?}", record.sequence);
    if record.len > 3 {
        let mut bytes = vec![0xee; record.len as usize - 3];
        rx.extract(record, 3, &mut bytes);
        ensure!(bytes == expected[3..], "message {} is torn from byte 3 on: {bytes:x?}", record.sequence);
    }
    Ok(())
}
