//! Rings of fixed-size messages: one end dies between two of its stores, and a successor takes over while the other end
//! works.

use crate::slots::{BATCH, DEPTH, receiver, recv, send, send_batch, sender, shape, try_recv};
use loom::thread::spawn;
use shmq_core::layout::{READ, SEQUENCE};
use shmq_core::{Fault, Faulty, Refused, RingState, SlotPoll, Window, at};
use shmq_tests::loom_memory::{Death, Faults, LoomMemory, explore};

/// What a batch of three stores that begins in the middle of a group of two: three messages, DIRTY, the second group's word, COMMIT, SEQUENCE.
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
    let ahead = window.load_at(window.parts().ring as u64 + shape.group_bytes, at::RECOVER) != 0;
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

/// What a consumer stores to take the first message of a full group of one line: the word once more, and READ.
pub const TAKE_STORES: usize = 2;

/// A consumer died having taken the first of two messages, or before its last store of that; a successor goes on, while
/// the producer sends more than there is room for.
pub fn consumer_after(stores: usize, faults: Faults) {
    let shape = shape(2, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let mut tx = sender(memory.window(), shape);
    send(&mut tx, 2);
    let taken = u64::from(stores == TAKE_STORES);
    // Taking the role stores nothing.
    assert_eq!(try_recv(&mut receiver(memory.dying(Death::After(stores)), shape)), Some(0));
    let window = memory.window();
    assert_eq!(window.load(READ, at::RECOVER), taken, "how far the dead one came");
    let producer = spawn(move || send(&mut tx, 2));
    let mut rx = receiver(window, shape);
    assert_eq!(rx.sequence(), taken, "taken is not seen again, and nothing is lost");
    recv(&mut rx, 4 - taken);
    producer.join().unwrap();
    assert_eq!(rx.poll(), SlotPoll::Empty);
}

/// Both: the producer's successor comes while the consumer dies after a take and is succeeded.
pub fn both(faults: Faults) {
    let shape = shape(2, 1);
    let memory = LoomMemory::slots(&shape, faults);
    let mut rx = receiver(memory.dying(Death::After(TAKE_STORES)), shape);
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
        assert_eq!((tx.state(), tx.sequence()), (RingState::Finished, 2));
        assert_eq!(tx.try_send(&[0; 8]), Err(Refused::Finished));
    });
    recv(&mut rx, 2);
    assert_eq!(rx.poll(), SlotPoll::Finished);
    producer.join().unwrap();
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
    for stores in 0..=TAKE_STORES {
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
