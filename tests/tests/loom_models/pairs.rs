//! Every operation of one end beside every operation of the other, for both shapes: two threads, two messages, whole and
//! in order. Takeovers are operations as well. What only one of these pairs shows is in the other models.

use crate::ring::{BEFORE_THE_WRAP, FIRST, content, receiver, sender};
use crate::slots;
use loom::thread::{spawn, yield_now};
use shmq_core::layout::{FREE, FREED, READ, RECEIVED, SEQUENCE, TAIL};
use shmq_core::{
    Poll, Record, RecordRx, RecordTx, Refused, RingState, SlotPoll, SlotRx, SlotTx, Window, at, distance,
};
use shmq_tests::loom_memory::{Death, Faults, LoomMemory, explore};

type Tx = RecordTx<LoomMemory>;
type Rx = RecordRx<LoomMemory>;

/// What a producer of records does to send two messages.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sends {
    OneByOne,
    /// In pieces that are no whole words, as several slices are.
    Slices,
    Batch,
    /// A claim that is committed with less than it has.
    Part,
    /// A claim that is filled and given up, then two empty messages where its payload was.
    Abort,
    /// One message and the end of data.
    Finish,
    /// The first was committed by a predecessor that died just then.
    Takeover,
}

const SENDS: [Sends; 7] =
    [Sends::OneByOne, Sends::Slices, Sends::Batch, Sends::Part, Sends::Abort, Sends::Finish, Sends::Takeover];

/// What a consumer of records does to receive them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Receives {
    OneByOne,
    /// From an odd byte on.
    Extract,
    /// All there is, given back at once.
    Drain,
    /// Looks at all there is, then takes it.
    Look,
    /// A predecessor took a message before these and died before it gave it back.
    Takeover,
}

const RECEIVES: [Receives; 5] =
    [Receives::OneByOne, Receives::Extract, Receives::Drain, Receives::Look, Receives::Takeover];

fn bytes(sequence: u64, len: usize) -> Vec<u8> {
    content(sequence).into_iter().cycle().take(len).collect()
}

/// Waits for room and fills a claim, in pieces.
fn claim(tx: &mut Tx, len: usize, commit: usize, pieces: usize) {
    let sequence = tx.sequence();
    let mut draft = tx.begin().expect("a living end");
    let place = loop {
        match tx.reserve(&mut draft, len as u64) {
            Ok(place) => break place,
            Err(Refused::Full) => yield_now(),
            Err(refused) => panic!("{refused:?}"),
        }
    };
    let bytes = bytes(sequence, len);
    for (i, piece) in bytes.chunks(pieces).enumerate() {
        tx.patch(&place, (i * pieces) as u64, piece);
    }
    tx.seal(&mut draft, &place, commit as u64);
    tx.publish(draft);
}

fn send(tx: &mut Tx, how: Sends) {
    match how {
        Sends::OneByOne => (0..2).for_each(|_| crate::ring::send(tx)),
        Sends::Slices => (0..2).for_each(|_| claim(tx, 13, 13, 5)),
        Sends::Batch => crate::ring::send_batch(tx),
        Sends::Part => (0..2).for_each(|_| claim(tx, 16, 5, 16)),
        Sends::Abort => {
            let mut draft = tx.begin().expect("a living end");
            let place = tx.reserve(&mut draft, 16).expect("room");
            tx.fill(&place, &[0xff; 16]);
            (0..2).for_each(|_| crate::ring::send_empty(tx));
        }
        Sends::Finish => {
            crate::ring::send(tx);
            tx.finish().expect("a living end");
        }
        Sends::Takeover => crate::ring::send(tx),
    }
    assert!(tx.state() == RingState::Finished || tx.pending() <= 3);
}

fn check(rx: &Rx, record: &Record, sequence: u64, from: usize) {
    assert_eq!(record.sequence, sequence, "the next message");
    let mut found = vec![0xee; record.len as usize];
    if from < found.len() {
        rx.extract(record, from as u64, &mut found[from..]);
        assert_eq!(found[from..], bytes(sequence, found.len())[from..], "message {sequence}");
    }
}

/// Receives what is there; how many there were, or `None` at the end of data.
fn receive(rx: &mut Rx, how: Receives) -> Option<u64> {
    let first = rx.sequence();
    if how == Receives::Look {
        let mut ahead = rx.ahead();
        let mut seen = 0;
        while let Some(record) = rx.look(&mut ahead) {
            check(rx, &record, first.wrapping_add(seen), 0);
            seen += 1;
        }
        if seen > 0 {
            rx.acknowledge_to(&ahead);
            return Some(seen);
        }
    }
    let mut took = 0;
    loop {
        match rx.poll() {
            Poll::Message(record) => {
                check(rx, &record, first.wrapping_add(took), if how == Receives::Extract { 3 } else { 0 });
                rx.skip(&record);
                took += 1;
            }
            Poll::Finished if took == 0 => return None,
            Poll::Empty | Poll::Finished => break,
            Poll::Corrupt(what) => panic!("{what}"),
        }
        if how != Receives::Drain {
            break;
        }
    }
    if took != 0 {
        rx.settle();
    }
    assert!(rx.pending() <= 2);
    Some(took)
}

fn records(sends: Sends, receives: Receives, faults: Faults) {
    let memory = LoomMemory::new(64, BEFORE_THE_WRAP, FIRST, faults);
    let mut rx = receiver(memory.window());
    if receives == Receives::Takeover {
        crate::ring::send_empty(&mut sender(memory.window()));
        // Taking the role stores three words, taking the message two before it gives it back.
        let mut dying = receiver(memory.dying(Death::After(3 + 2)));
        assert_eq!(receive(&mut dying, Receives::OneByOne), Some(1));
    }
    let mut messages = 2;
    if sends == Sends::Takeover {
        crate::ring::send(&mut sender(memory.dying(Death::AfterSite("COMMIT"))));
    }
    if sends == Sends::Finish {
        messages = 1;
    }
    let tx = (sends != Sends::Takeover).then(|| sender(memory.window()));
    let window = memory.window();
    let producer = spawn(move || send(&mut tx.unwrap_or_else(|| sender(window)), sends));
    if receives == Receives::Takeover {
        rx = receiver(memory.window());
    }
    let mut seen = 0;
    while seen < messages {
        match receive(&mut rx, receives).expect("the end came before the last message") {
            0 => yield_now(),
            more => seen += more,
        }
    }
    while sends == Sends::Finish && receive(&mut rx, receives).is_some() {
        yield_now();
    }
    producer.join().unwrap();
    assert_eq!(seen, messages);
}

/// What a producer of slots does to send two messages.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SlotSends {
    OneByOne,
    Batch,
    /// Visible group by group.
    Slice,
    /// A batch that is given up, then two messages.
    Abort,
    /// One message and the end of data.
    Finish,
    /// The first was committed by a predecessor that died just then.
    Takeover,
}

const SLOT_SENDS: [SlotSends; 6] = [
    SlotSends::OneByOne,
    SlotSends::Batch,
    SlotSends::Slice,
    SlotSends::Abort,
    SlotSends::Finish,
    SlotSends::Takeover,
];

/// What a consumer of slots does to receive them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SlotReceives {
    OneByOne,
    /// All there is, given back at once.
    Run,
    /// Looks at all there is, then takes it.
    Look,
    /// A predecessor took a message before these and died.
    Takeover,
}

const SLOT_RECEIVES: [SlotReceives; 4] =
    [SlotReceives::OneByOne, SlotReceives::Run, SlotReceives::Look, SlotReceives::Takeover];

fn send_slots(tx: &mut SlotTx<LoomMemory>, how: SlotSends) {
    match how {
        SlotSends::OneByOne => slots::send(tx, 2),
        SlotSends::Batch => slots::send_batch(tx, 2),
        SlotSends::Slice => {
            let first = tx.sequence();
            let sent = tx.try_send_slice(&[content(first), content(first + 1)]);
            assert_eq!(sent, Ok(2));
        }
        SlotSends::Abort => {
            let mut draft = tx.begin();
            tx.reserve(&draft, 2).expect("room");
            for _ in 0..2 {
                tx.fill(&draft, &[0xff; 8]);
                tx.seal(&mut draft);
            }
            slots::send(tx, 2);
        }
        SlotSends::Finish => {
            slots::send(tx, 1);
            tx.finish().expect("a living end");
        }
        SlotSends::Takeover => slots::send(tx, 1),
    }
    assert!(tx.pending() <= 3);
}

/// Receives what is there; how many there were, or `None` at the end of data.
fn receive_slots(rx: &mut SlotRx<LoomMemory>, how: SlotReceives) -> Option<u64> {
    let first = rx.sequence();
    let mut found = [0; 8];
    if how == SlotReceives::Look {
        let mut ahead = rx.ahead();
        while let Some((place, sequence)) = rx.look_ahead(&mut ahead) {
            rx.window().copy_out_at(place, &mut found);
            assert_eq!(found, content(sequence), "message {sequence}");
        }
        rx.acknowledge_to(&ahead);
        if rx.sequence() != first {
            return Some(rx.sequence() - first);
        }
    }
    loop {
        match rx.poll() {
            SlotPoll::Messages(_) => {
                rx.copy_out(&mut found);
                assert_eq!(found, content(rx.sequence()), "message {}", rx.sequence());
                rx.skip();
            }
            SlotPoll::Finished if rx.sequence() == first => return None,
            SlotPoll::Empty | SlotPoll::Finished => break,
            SlotPoll::Corrupt(what) => panic!("{what}"),
        }
        if how != SlotReceives::Run {
            break;
        }
    }
    let took = rx.sequence() - first;
    if took != 0 {
        rx.settle();
    }
    assert!(rx.pending() <= 3);
    Some(took)
}

fn slots(sends: SlotSends, receives: SlotReceives, faults: Faults) {
    // One message to a group where a batch must span groups, two where a word is stored again.
    let shape = slots::shape(3, if sends == SlotSends::Batch { 1 } else { 2 });
    let memory = LoomMemory::slots(&shape, faults);
    let mut rx = slots::receiver(memory.window(), shape);
    if receives == SlotReceives::Takeover {
        slots::send(&mut slots::sender(memory.window(), shape), 1);
        let mut dying = slots::receiver(memory.dying(Death::After(1)), shape);
        assert_eq!(receive_slots(&mut dying, SlotReceives::OneByOne), Some(1));
    }
    if sends == SlotSends::Takeover {
        slots::send(&mut slots::sender(memory.dying(Death::AfterSite("COMMIT")), shape), 1);
    }
    let messages = if sends == SlotSends::Finish { 1 } else { 2 };
    let tx = (sends != SlotSends::Takeover).then(|| slots::sender(memory.window(), shape));
    let window = memory.window();
    let producer = spawn(move || send_slots(&mut tx.unwrap_or_else(|| slots::sender(window, shape)), sends));
    if receives == SlotReceives::Takeover {
        rx = slots::receiver(memory.window(), shape);
    }
    let mut seen = 0;
    while seen < messages {
        match receive_slots(&mut rx, receives).expect("the end came before the last message") {
            0 => yield_now(),
            more => seen += more,
        }
    }
    while sends == SlotSends::Finish && receive_slots(&mut rx, receives).is_some() {
        yield_now();
    }
    producer.join().unwrap();
    assert_eq!(seen, messages);
}

/// What an inspector reads, in its order, of a ring of records at which both ends work. Positions carry each other, counts
/// do not: `RECEIVED` is relaxed, so it may be seen before the `SEQUENCE` of what was received, and the difference saturates.
pub fn inspector(faults: Faults) {
    let memory = LoomMemory::new(32, BEFORE_THE_WRAP, FIRST, faults);
    let (mut tx, mut rx) = (sender(memory.window()), receiver(memory.window()));
    let ends = spawn(move || {
        for _ in 0..2 {
            crate::ring::send(&mut tx);
            crate::ring::recv(&mut rx, 1);
        }
    });
    let window = memory.window();
    let [free, read, received, sent, tail] =
        [FREE, READ, RECEIVED, SEQUENCE, TAIL].map(|control| window.load(control, at::OBSERVE));
    assert!(distance(tail, read) >= 0 && distance(read, free) >= 0, "{free}, {read}, {tail}");
    let messages = [0, 1, 2].map(|n| FIRST.wrapping_add(n));
    assert!(messages.contains(&sent) && messages.contains(&received), "{received} received of {sent}");
    let taken = distance(read, BEFORE_THE_WRAP) > 0;
    assert!(!taken || sent != FIRST && received != FIRST, "a position before its count");
    ends.join().unwrap();
}

/// The same of a ring with a limit on messages, where what is given back is counted for each.
pub fn inspector_of_counts(faults: Faults) {
    let memory = LoomMemory::new(64, 0, 0, faults);
    let mut tx = sender(memory.window());
    (0..2).for_each(|_| crate::ring::send_empty(&mut tx));
    let mut rx = RecordRx::attach(memory.window(), 16, Some(2)).expect("a good ring");
    let consumer = spawn(move || crate::ring::recv(&mut rx, 1));
    let window = memory.window();
    let [freed, received] = [FREED, RECEIVED].map(|control| window.load(control, at::OBSERVE));
    assert!(freed <= received, "{freed} given back of {received} received");
    consumer.join().unwrap();
}

/// The same of a ring of slots, while messages are taken in a run.
pub fn inspector_of_slots(faults: Faults) {
    let shape = slots::shape(2, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (slots::sender(memory.window(), shape), slots::receiver(memory.window(), shape));
    let ends = spawn(move || {
        slots::send_batch(&mut tx, 2);
        assert_eq!(receive_slots(&mut rx, SlotReceives::Run), Some(2));
        tx.finish().expect("a living end");
    });
    let window: Window<_> = memory.window();
    let read = window.load(READ, at::OBSERVE);
    let found = shmq_core::find_sequence(&window, &shape, at::OBSERVE);
    let (sent, finished) = found.expect("a good ring");
    assert!((read..=2).contains(&sent) && (sent == 2 || !finished), "{sent} sent, {read} received");
    ends.join().unwrap();
}

#[test]
fn p1_p2_every_operation_beside_every_other_on_records() {
    for sends in SENDS {
        for receives in RECEIVES {
            let run = explore(2, move || records(sends, receives, Faults::default()));
            let executions = run.unwrap_or_else(|e| panic!("{sends:?} beside {receives:?}: {e}"));
            println!("records, {sends:?} beside {receives:?}: {executions}");
        }
    }
}

#[test]
fn p1_p2_every_operation_beside_every_other_on_slots() {
    for sends in SLOT_SENDS {
        for receives in SLOT_RECEIVES {
            let run = explore(2, move || slots(sends, receives, Faults::default()));
            let executions = run.unwrap_or_else(|e| panic!("{sends:?} beside {receives:?}: {e}"));
            println!("slots, {sends:?} beside {receives:?}: {executions}");
        }
    }
}

#[test]
fn null_control_without_publication_every_pair_that_takes_a_message_tears_it() {
    for sends in SENDS {
        for receives in [Receives::OneByOne, Receives::Look] {
            // Empty messages have nothing to tear; what a dead one committed is published by the role.
            if sends == Sends::Abort {
                continue;
            }
            let faults = Faults { weak: &["COMMIT"], ..Faults::default() };
            assert!(explore(2, move || records(sends, receives, faults)).is_err(), "{sends:?}, {receives:?}");
        }
    }
    for sends in SLOT_SENDS {
        let faults = Faults { weak: &["COMMIT"], ..Faults::default() };
        let run = explore(2, move || slots(sends, SlotReceives::Look, faults));
        assert!(run.is_err(), "{sends:?}");
    }
}

#[test]
fn an_inspector_sees_positions_in_order_and_counts_that_were_there() {
    explore(3, || inspector(Faults::default())).unwrap();
    explore(3, || inspector_of_counts(Faults::default())).unwrap();
    explore(3, || inspector_of_slots(Faults::default())).unwrap();
}
