//! A malicious peer: loads return anything.

use super::Bytes;
use crate::model::{CONTROLS, Shape, address, at_first, note, parts, poke};
use shmq_core::word::{self, RecordKind};
use shmq_core::{Hostile, Memory, Origin, Poll, RecordRx, RecordTx, Refused, RingState, Window, Words};

/// A word that is likely to get far: near a position, near a count, or a commit word.
fn word_(bytes: &mut Bytes<'_>, shape: &Shape) -> u64 {
    let near = bytes.below(2 * shape.capacity + 16).wrapping_sub(8);
    match bytes.below(8) {
        0 => 0,
        1 => bytes.word(),
        2 => shape.position.wrapping_add(near),
        3 => shape.position.wrapping_add(near & !7),
        4 => shape.sequence.wrapping_add(near & 15),
        kind => {
            let kind = [RecordKind::Message, RecordKind::Message, RecordKind::Padding][kind as usize - 5];
            let kind = if near == 77 { RecordKind::End } else { kind };
            word::word(kind, bytes.below(shape.capacity), shape.sequence.wrapping_add(near & 3))
        }
    }
}

/// Both ends of a ring whose loads are answered by a script, over a memory that holds anything at the start.
pub fn hostile(data: &[u8]) {
    hostile_seen(data);
}

/// As [`hostile`]; says what came of it.
pub fn hostile_seen(data: &[u8]) -> Seen {
    let mut bytes = Bytes::new(data);
    let shape = super::shape(&mut bytes);
    let size = parts(shape.capacity).ring + shape.capacity as usize;
    let words = Words::new(size);
    let wild = bytes.below(4) == 0;
    for control in CONTROLS {
        let healthy = at_first(control, &shape);
        poke(&words, address(control), if wild { word_(&mut bytes, &shape) } else { healthy });
    }
    for _ in 0..bytes.below(6) {
        let at = parts(shape.capacity).ring as u64 + 8 * bytes.below(shape.capacity / 8);
        poke(&words, at as usize, word_(&mut bytes, &shape));
    }
    let script = (0..bytes.below(24)).map(|_| word_(&mut bytes, &shape)).collect();
    let memory = Hostile::new(words, script);
    exercise(&shape, &memory, || memory.accesses(), &mut bytes)
}

/// What came of it, so that a test can see that its lies get far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Ends that attached.
    pub attached: usize,
    /// Messages sent.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// Ends that found nonsense after attaching.
    pub corrupt: usize,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.attached += other.attached;
        self.sent += other.sent;
        self.received += other.received;
        self.corrupt += other.corrupt;
    }
}

/// Attaches both ends and works them as the bytes say; panics if a call does more than its bound, or an end forgets that
/// it has seen nonsense, or says something impossible.
pub fn exercise<M: Memory + Clone>(
    shape: &Shape,
    memory: &M,
    accesses: impl Fn() -> u64,
    bytes: &mut Bytes<'_>,
) -> Seen {
    let Shape { capacity, max_message, depth, .. } = *shape;
    let words = capacity / 8;
    let window = || Window::new(memory.clone(), parts(capacity)).expect("the parts are in order");
    let bounded = |what: &str, before: u64, most: u64| {
        let did = accesses() - before;
        assert!(did <= most, "{what} took {did} accesses, over {most}");
    };
    let before = accesses();
    let mut tx = RecordTx::attach(window(), max_message, depth).ok();
    // The walk: each word once.
    bounded("attaching a producer", before, words + 16);
    let before = accesses();
    let mut rx = RecordRx::attach(window(), max_message, depth).ok();
    // A word of each line that was taken, twice.
    bounded("attaching a consumer", before, words / 4 + 16);
    let mut seen =
        Seen { attached: usize::from(tx.is_some()) + usize::from(rx.is_some()), ..Seen::default() };
    for _ in 0..64 {
        if !bytes.more() {
            break;
        }
        let before = accesses();
        match (bytes.below(2), &mut tx, &mut rx) {
            (0, Some(tx), _) => {
                let op = super::tx(bytes, shape);
                let most = bound_of(&op, max_message);
                let first = tx.sequence();
                produce(tx, &op, shape);
                seen.sent += tx.sequence().wrapping_sub(first);
                bounded(&format!("{op:?}"), before, most);
            }
            (_, _, Some(rx)) => {
                let [from, ..] = rx.private();
                let run = consume(rx, bytes.below(6) as usize, shape);
                seen.received += run;
                let took = rx.private()[0].wrapping_sub(from) / 8;
                // Of each message two words and its bytes, twice; then a word of each line, twice, of what it took or of a quarter
                // of the ring.
                let lazy = capacity.min(64 << 10) / 4 / 8;
                bounded(
                    "receiving",
                    before,
                    4 * took + took / 4 + lazy / 4 + 8 * run + 3 * max_message / 8 + 16,
                );
            }
            _ => {}
        }
    }
    let before = accesses();
    if let Some(tx) = &mut tx {
        let _ = (tx.mark(), tx.origin(), tx.try_send_marked(b"", &note(1)));
        tx.set_origin(&Origin { queue_id: [7; 16], next: 1 });
        let _ = (tx.mark(), tx.origin());
    }
    if let Some(rx) = &rx {
        rx.mark();
    }
    // A reader of notes gives up.
    bounded("notes", before, 64_000);
    let corrupt = |state: Option<RingState>| usize::from(matches!(state, Some(RingState::Corrupt(_))));
    seen.corrupt = corrupt(tx.map(|tx| tx.state())) + corrupt(rx.map(|rx| rx.state()));
    seen
}

/// Accesses that an operation may take whatever the peer does.
fn bound_of(op: &crate::model::TxOp, max_message: u64) -> u64 {
    let pieces =
        if let crate::model::TxOp::Slices(len, cut) = op { 4 * len.min(&max_message) / cut } else { 0 };
    pieces + 4 * op.words(max_message) + 24
}

fn produce<M: Memory + Clone>(tx: &mut RecordTx<M>, op: &crate::model::TxOp, shape: &Shape) {
    let state = tx.state();
    let outcome = crate::model::perform(tx, op).1;
    match state {
        RingState::Open => {}
        RingState::Finished => assert_eq!(outcome, Err(Refused::Finished), "a finished end goes on"),
        RingState::Corrupt(what) => {
            assert_eq!(outcome, Err(Refused::Corrupt(what)), "corruption was forgotten")
        }
    }
    if let Err(Refused::Corrupt(what)) = outcome {
        assert_eq!(tx.state(), RingState::Corrupt(what), "corruption is sticky");
    }
    assert!(tx.pending() <= shape.capacity / 8);
    assert!(tx.room().is_none_or(|room| room <= shape.max_message));
    let [tail, _, free, ..] = tx.private();
    assert!(tail.wrapping_sub(free) <= shape.capacity - 8, "the producer has overtaken the consumer");
}

/// Receives at most `most` messages as one run; returns how many there were.
fn consume<M: Memory + Clone>(rx: &mut RecordRx<M>, most: usize, shape: &Shape) -> u64 {
    let state = rx.state();
    let mut run = 0;
    loop {
        let found = rx.poll();
        match state {
            RingState::Open => {}
            RingState::Finished => assert_eq!(found, Poll::Finished, "a finished ring goes on"),
            RingState::Corrupt(what) => assert_eq!(found, Poll::Corrupt(what), "corruption was forgotten"),
        }
        match found {
            Poll::Message(record) => {
                let index = record.payload & (shape.capacity - 1);
                assert!(record.len <= shape.max_message, "a message over the limit");
                assert!(record.len == 0 || index + record.len <= shape.capacity, "a message over the end");
                let mut into = vec![0; record.len as usize];
                rx.copy_out(&record, &mut into);
                rx.extract(&record, record.len / 3, &mut into[record.len as usize / 3..]);
                if most == 0 {
                    return 0;
                }
                rx.look_how_far();
                if most == 1 && rx.receive_at_once(&mut into).is_some() {
                    run = 1;
                    break;
                }
                rx.skip(&record);
                run += 1;
            }
            Poll::Corrupt(what) => {
                assert_eq!(rx.state(), RingState::Corrupt(what), "corruption is sticky");
                break;
            }
            Poll::Empty | Poll::Finished => break,
        }
        if run as usize >= most || rx.run_is_long() {
            break;
        }
    }
    if run != 0 {
        rx.settle();
    }
    let [read, _, free, ..] = rx.private();
    assert!(read.wrapping_sub(free) <= shape.capacity, "the consumer would give back more than the ring");
    rx.pending();
    run
}
