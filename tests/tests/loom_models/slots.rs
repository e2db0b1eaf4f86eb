//! Rings of fixed-size messages: both ends alive, and one end dead between two of its stores while the other works.

use crate::ring::content;
use loom::cell::UnsafeCell;
use loom::thread::{spawn, yield_now};
use shmq::testing::layout::{READ, SEQUENCE};
use shmq::testing::shape::find_sequence;
use shmq::testing::{Fault, Faulty, Halt, Memory, Refused, Shape, SlotPoll, SlotRx, SlotTx, Window, at};
use shmq_tests::loom_memory::{Death, Faults, LoomMemory, explore};
use std::rc::Rc;

fn shape(depth: u64, group: u64) -> Shape {
    Shape::new(8, depth, group).expect("a shape")
}

fn sender<M: Memory>(window: Window<M>, shape: Shape) -> SlotTx<M> {
    SlotTx::attach(window, shape).expect("a sound ring")
}

fn receiver<M: Memory>(window: Window<M>, shape: Shape) -> SlotRx<M> {
    SlotRx::attach(window, shape).expect("a sound ring")
}

/// Sends so many messages, each once there is room.
fn send<M: Memory>(tx: &mut SlotTx<M>, messages: u64) {
    for _ in 0..messages {
        let sequence = tx.sequence();
        loop {
            match tx.try_send(&content(sequence)) {
                Ok(sent) => break assert_eq!(sent, sequence),
                Err(Refused::Full) => yield_now(),
                Err(refused) => panic!("send refused: {refused:?}"),
            }
        }
    }
}

/// Sends so many at once; there is room.
fn send_batch<M: Memory>(tx: &mut SlotTx<M>, messages: u64) {
    let first = tx.sequence();
    let mut draft = tx.begin();
    tx.reserve(&draft, messages).expect("room");
    for i in 0..messages {
        tx.fill(&draft, &content(first + i));
        tx.seal(&mut draft);
    }
    assert_eq!(tx.publish(draft), first);
}

/// Takes the next message if there is one and checks it.
fn try_recv<M: Memory>(rx: &mut SlotRx<M>) -> Option<u64> {
    let sequence = rx.sequence();
    match rx.poll() {
        SlotPoll::Messages(_) => {
            let mut bytes = [0; 8];
            rx.copy_out(&mut bytes);
            assert_eq!(bytes, content(sequence), "content of message {sequence}");
            rx.skip();
            rx.settle();
            Some(sequence)
        }
        SlotPoll::Empty => None,
        other => panic!("expected a message, found {other:?}"),
    }
}

/// Takes and checks so many messages.
fn recv<M: Memory>(rx: &mut SlotRx<M>, messages: u64) {
    for _ in 0..messages {
        while try_recv(rx).is_none() {
            yield_now();
        }
    }
}

/// Through a full ring, with every slot used again: from group to group and round.
fn turns(depth: u64, group: u64, faults: Faults) {
    let shape = shape(depth, group);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (sender(memory.window(), shape), receiver(memory.window(), shape));
    // One more than there are slots.
    let messages = shape.groups * group + 1;
    let producer = spawn(move || send(&mut tx, messages));
    recv(&mut rx, messages);
    producer.join().unwrap();
    assert_eq!(rx.poll(), SlotPoll::Empty);
}

/// A word and a message in each group.
pub fn send_receive_full(faults: Faults) {
    turns(1, 1, faults);
}

/// Two messages that share a word: the word is stored again before the first of them is taken.
pub fn shared_word(faults: Faults) {
    let shape = shape(2, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (sender(memory.window(), shape), receiver(memory.window(), shape));
    let producer = spawn(move || send(&mut tx, 3));
    recv(&mut rx, 3);
    producer.join().unwrap();
    assert_eq!(rx.poll(), SlotPoll::Empty);
}

/// What a batch of three does that begins in the middle of a group of two.
const BATCH: u64 = 3;
/// The first message alone, then that batch; and one more group so that it does not meet itself.
const DEPTH: u64 = 4;

/// A batch over two groups becomes visible at once.
pub fn batch(faults: Faults) {
    let shape = shape(DEPTH, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (sender(memory.window(), shape), receiver(memory.window(), shape));
    send(&mut tx, 1);
    recv(&mut rx, 1);
    let producer = spawn(move || send_batch(&mut tx, BATCH));
    recv(&mut rx, 1);
    for i in 2..=BATCH {
        assert_eq!(try_recv(&mut rx), Some(i), "part of a batch");
    }
    assert_eq!(rx.poll(), SlotPoll::Empty);
    producer.join().unwrap();
}

/// A batch that was given up leaves nothing behind, though words of its later groups were stored.
pub fn abort_send(faults: Faults) {
    let shape = shape(DEPTH, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (sender(memory.window(), shape), receiver(memory.window(), shape));
    send(&mut tx, 1);
    recv(&mut rx, 1);
    let producer = spawn(move || {
        let mut draft = tx.begin();
        tx.reserve(&draft, BATCH).expect("room");
        for _ in 0..BATCH {
            tx.fill(&draft, &[0xff; 8]);
            tx.seal(&mut draft);
        }
        // Over the end of the group in which it began, where the given up batch's word was.
        send(&mut tx, 2);
    });
    recv(&mut rx, 2);
    producer.join().unwrap();
    assert_eq!(rx.poll(), SlotPoll::Empty);
}

/// The end of data comes after the last message, and after whatever else the producer did before it. With `messages` less
/// than a group it shares the word of the last message, which may be seen by it alone.
fn finish_after(messages: u64, faults: Faults) {
    let shape = shape(2, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (sender(memory.window(), shape), receiver(memory.window(), shape));
    let elsewhere = Rc::new(UnsafeCell::new(false));
    let done = elsewhere.clone();
    let producer = spawn(move || {
        send(&mut tx, messages);
        // SAFETY: the consumer looks only after the end of data; loom checks that.
        done.with_mut(|done| unsafe { *done = true });
        tx.finish().unwrap();
    });
    let mut bytes = [0; 8];
    loop {
        match rx.poll() {
            SlotPoll::Messages(_) => {
                rx.copy_out(&mut bytes);
                assert_eq!(bytes, content(rx.sequence()));
                rx.skip();
                rx.settle();
            }
            SlotPoll::Empty => yield_now(),
            SlotPoll::Finished => break,
            SlotPoll::Corrupt(what) => panic!("{what}"),
        }
    }
    assert_eq!(rx.sequence(), messages, "finished before the last message");
    // SAFETY: the producer is done with it; loom checks that.
    assert!(elsewhere.with(|done| unsafe { *done }));
    producer.join().unwrap();
}

pub fn finish(faults: Faults) {
    finish_after(1, faults);
}

/// What a consumer says is pending is never less than what it knows of, nor more than was sent.
pub fn pending(faults: Faults) {
    let shape = shape(2, 1);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (sender(memory.window(), shape), receiver(memory.window(), shape));
    let producer = spawn(move || {
        send(&mut tx, 1);
        send_batch(&mut tx, 1);
        assert!(tx.pending() <= 2);
    });
    for _ in 0..2 {
        if let SlotPoll::Messages(known) = rx.poll() {
            assert!((known..=2).contains(&rx.pending()), "{known} known");
            recv(&mut rx, 1);
        }
    }
    producer.join().unwrap();
}

/// Whoever sees a message taken sees that it was sent.
pub fn observer(faults: Faults) {
    let shape = shape(2, 1);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (sender(memory.window(), shape), receiver(memory.window(), shape));
    let ends = spawn(move || {
        send(&mut tx, 2);
        recv(&mut rx, 2);
    });
    let window = memory.window();
    let read = window.load(READ, at::OBSERVE);
    let (sent, _) = find_sequence(&window, &shape, at::OBSERVE).expect("a sound ring");
    assert!((read..=2).contains(&sent), "{sent} sent, {read} received");
    ends.join().unwrap();
}

/// What that batch stores: three messages, DIRTY, the second group's word, COMMIT, SEQUENCE.
const BATCH_STORES: usize = 7;
const BATCH_RAN_AHEAD_AT: usize = 5;
const BATCH_COMMITS_AT: usize = 6;

/// A producer died having made `stores` stores of a batch; a successor sets back what ran ahead and sends over the end of
/// the group, while the consumer works.
pub fn producer_after(stores: usize, faults: Faults) {
    producer_with(Fault::None, stores, faults);
}

/// As above, with a bug planted in the successor.
fn producer_with(planted: Fault, stores: usize, faults: Faults) {
    let shape = shape(DEPTH, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let mut rx = receiver(memory.window(), shape);
    send(&mut sender(memory.window(), shape), 1);
    // Taking the role stores SEQUENCE.
    send_batch(&mut sender(memory.dying(Death::After(1 + stores)), shape), BATCH);
    let window = memory.window();
    let ahead = window.load_at(shape.group_bytes, at::RECOVER) != 0;
    assert_eq!(ahead, stores >= BATCH_RAN_AHEAD_AT, "how far the dead one came");
    let noted = window.load(SEQUENCE, at::RECOVER) == 1 + BATCH;
    assert_eq!(noted, stores == BATCH_STORES, "how far the dead one came");
    let sent = 1 + if stores >= BATCH_COMMITS_AT { BATCH } else { 0 };
    let producer = spawn(move || {
        let faulty = Faulty::new(window.memory().clone(), planted);
        let window = Window::new(faulty, *window.parts()).expect("the same parts");
        let mut tx = sender(window, shape);
        assert_eq!(tx.sequence(), sent, "where to resume");
        send(&mut tx, 2);
    });
    recv(&mut rx, sent + 2);
    producer.join().unwrap();
    assert_eq!(rx.poll(), SlotPoll::Empty);
}

/// A successor that finds messages taken when it comes fills their slots without another look.
pub fn producer_of_space_given_back(faults: Faults) {
    let shape = shape(2, 1);
    let memory = LoomMemory::slots(&shape, faults);
    let mut rx = receiver(memory.window(), shape);
    send(&mut sender(memory.window(), shape), 2);
    let window = memory.window();
    let producer = spawn(move || {
        let mut tx = sender(window, shape);
        assert_eq!(tx.sequence(), 2, "where to resume");
        // The second goes where the first message was.
        send(&mut tx, 2);
    });
    recv(&mut rx, 4);
    producer.join().unwrap();
}

/// A consumer died having taken the first of two messages, or just before (`stores`: 1 or 0); a successor goes on, while
/// the producer sends more than there is room for.
pub fn consumer_after(stores: usize, faults: Faults) {
    let shape = shape(2, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let mut tx = sender(memory.window(), shape);
    send(&mut tx, 2);
    // Taking the role stores nothing; taking a message stores READ.
    assert_eq!(try_recv(&mut receiver(memory.dying(Death::After(stores)), shape)), Some(0));
    let window = memory.window();
    assert_eq!(window.load(READ, at::RECOVER), stores as u64, "how far the dead one came");
    let producer = spawn(move || send(&mut tx, 2));
    let mut rx = receiver(window, shape);
    assert_eq!(rx.sequence(), stores as u64, "taken is not seen again, and nothing is lost");
    recv(&mut rx, 4 - stores as u64);
    producer.join().unwrap();
    assert_eq!(rx.poll(), SlotPoll::Empty);
}

/// Both: the producer's successor comes while the consumer dies after a take and is succeeded.
pub fn both(faults: Faults) {
    let shape = shape(2, 1);
    let memory = LoomMemory::slots(&shape, faults);
    let mut rx = receiver(memory.dying(Death::After(1)), shape);
    send_batch(&mut sender(memory.dying(Death::AfterSite("COMMIT")), shape), 2);
    let window = memory.window();
    let producer = spawn(move || {
        let mut tx = sender(window, shape);
        assert_eq!(tx.sequence(), 2, "where to resume");
        send(&mut tx, 1);
    });
    // The second take is not noted any more.
    recv(&mut rx, 2);
    let mut rx = receiver(memory.window(), shape);
    assert_eq!(rx.sequence(), 1, "one message comes again");
    recv(&mut rx, 2);
    producer.join().unwrap();
    assert_eq!(rx.poll(), SlotPoll::Empty);
}

/// The end that a dead producer declared is found by its successor, and is not overwritten.
pub fn finished(faults: Faults) {
    let shape = shape(2, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let mut rx = receiver(memory.window(), shape);
    let mut dead = sender(memory.dying(Death::AfterSite("FINISH")), shape);
    send(&mut dead, 2);
    dead.finish().unwrap();
    let window = memory.window();
    let producer = spawn(move || {
        let mut tx = sender(window, shape);
        assert_eq!((tx.halt(), tx.sequence()), (Halt::Finished, 2));
        assert_eq!(tx.try_send(&[0; 8]), Err(Refused::Finished));
    });
    recv(&mut rx, 2);
    assert_eq!(rx.poll(), SlotPoll::Finished);
    producer.join().unwrap();
}

#[test]
fn p2_messages_turn_from_group_to_group_of_a_full_ring_whole_and_in_order() {
    explore(3, || send_receive_full(Faults::default())).unwrap();
    explore(3, || shared_word(Faults::default())).unwrap();
    explore(2, || turns(2, 2, Faults::default())).unwrap();
    explore(2, || turns(2, 1, Faults::default())).unwrap();
}

#[test]
fn p1_a_batch_over_two_groups_is_seen_whole_or_not_at_all() {
    explore(3, || batch(Faults::default())).unwrap();
}

#[test]
fn p1_a_batch_given_up_leaves_nothing() {
    explore(3, || abort_send(Faults::default())).unwrap();
}

#[test]
fn p3_the_end_of_slots_comes_after_the_last_message() {
    for messages in 0..=2 {
        explore(3, move || finish_after(messages, Faults::default())).unwrap();
    }
}

#[test]
fn pending_is_never_less_than_what_is_known() {
    explore(3, || pending(Faults::default())).unwrap();
}

#[test]
fn an_observer_of_slots_never_sees_more_received_than_sent() {
    explore(3, || observer(Faults::default())).unwrap();
}

#[test]
fn p4_a_producer_of_slots_dead_after_any_store_is_succeeded_while_the_consumer_works() {
    for stores in 0..=BATCH_STORES {
        explore(2, move || producer_after(stores, Faults::default())).unwrap();
    }
}

#[test]
fn null_control_a_successor_that_does_not_set_back_what_ran_ahead_is_caught() {
    let without =
        |stores| explore(2, move || producer_with(Fault::Drop("LATER_WORD"), stores, Faults::default()));
    assert!(without(BATCH_RAN_AHEAD_AT).is_err());
    without(BATCH_RAN_AHEAD_AT - 1).unwrap();
}

#[test]
fn p4_a_successor_producer_of_slots_uses_space_given_back_as_it_comes() {
    explore(3, || producer_of_space_given_back(Faults::default())).unwrap();
}

#[test]
fn p4_a_consumer_of_slots_dead_after_any_store_is_succeeded_while_the_producer_works() {
    for stores in 0..=1 {
        explore(3, move || consumer_after(stores, Faults::default())).unwrap();
    }
}

#[test]
fn p4_both_ends_of_slots_die_and_are_succeeded() {
    explore(3, || both(Faults::default())).unwrap();
}

#[test]
fn p3_a_successor_of_a_finished_producer_of_slots_is_finished() {
    explore(3, || finished(Faults::default())).unwrap();
}
