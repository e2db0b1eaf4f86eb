//! Rings of fixed-size messages, both ends alive.

use crate::ring::content;
use loom::cell::UnsafeCell;
use loom::thread::{spawn, yield_now};
use shmq_core::find_sequence;
use shmq_core::layout::READ;
use shmq_core::{Memory, Refused, SlotLayout, SlotPoll, SlotRx, SlotTx, Window, at};
use shmq_tests::loom_memory::{Faults, LoomMemory, explore};
use std::rc::Rc;

pub fn shape(depth: u64, group: u64) -> SlotLayout {
    SlotLayout::new(8, depth, group).expect("a shape")
}

pub fn sender<M: Memory>(window: Window<M>, shape: SlotLayout) -> SlotTx<M> {
    SlotTx::attach(window, shape).expect("a good ring")
}

pub fn receiver<M: Memory>(window: Window<M>, shape: SlotLayout) -> SlotRx<M> {
    SlotRx::attach(window, shape).expect("a good ring")
}

/// Sends so many messages, each once there is room.
pub fn send<M: Memory>(tx: &mut SlotTx<M>, messages: u64) {
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
pub fn send_batch<M: Memory>(tx: &mut SlotTx<M>, messages: u64) {
    let first = tx.sequence();
    let contents: Vec<_> = (0..messages).map(|i| content(first + i)).collect();
    assert_eq!(tx.try_send_batch(&contents), Ok(first));
}

/// Takes the next message if there is one and checks it.
pub fn try_recv<M: Memory>(rx: &mut SlotRx<M>) -> Option<u64> {
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
pub fn recv<M: Memory>(rx: &mut SlotRx<M>, messages: u64) {
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
pub const BATCH: u64 = 3;
/// The first message alone, then that batch; and one more group so that it does not meet itself.
pub const DEPTH: u64 = 4;

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

/// What a consumer says is pending can be received, right away.
pub fn counted(faults: Faults) {
    let shape = shape(2, 1);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (sender(memory.window(), shape), receiver(memory.window(), shape));
    let producer = spawn(move || {
        send(&mut tx, 1);
        send_batch(&mut tx, 1);
    });
    if rx.pending() > 0 {
        assert!(try_recv(&mut rx).is_some(), "pending, and not there");
    }
    producer.join().unwrap();
}

/// Messages of a batch that was given up are never counted.
pub fn abort_counted(faults: Faults) {
    let shape = shape(DEPTH, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let mut tx = sender(memory.window(), shape);
    send(&mut tx, 1);
    let producer = spawn(move || {
        let mut draft = tx.begin();
        tx.reserve(&draft, BATCH).expect("room");
        for _ in 0..BATCH {
            tx.fill(&draft, &[0xff; 8]);
            tx.seal(&mut draft);
        }
        send_batch(&mut tx, 2);
    });
    let (sent, _) = find_sequence(&memory.window(), &shape, at::OBSERVE).expect("a good ring");
    assert!(sent == 1 || sent == 3, "{sent} sent");
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
    let (sent, _) = find_sequence(&window, &shape, at::OBSERVE).expect("a good ring");
    assert!((read..=2).contains(&sent), "{sent} sent, {read} received");
    ends.join().unwrap();
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
fn what_is_pending_in_slots_can_be_received() {
    explore(3, || counted(Faults::default())).unwrap();
}

#[test]
fn p1_a_batch_given_up_is_never_counted() {
    explore(3, || abort_counted(Faults::default())).unwrap();
}

#[test]
fn an_observer_of_slots_never_sees_more_received_than_sent() {
    explore(3, || observer(Faults::default())).unwrap();
}
