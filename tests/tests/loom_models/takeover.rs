//! One end dies between two of its stores, and a successor takes over while the other end works.
//!
//! What the dead one stored is made before the threads start, or in the successor's own thread: the role's lock
//! orders the two. How far it came decides what the recovered ring must hold.

use crate::ring::{
    BEFORE_THE_WRAP, FIRST, observe, received_if_pending, receiver, recv, send, send_batch, send_empty,
    sender, try_recv,
};
use loom::thread::{spawn, yield_now};
use shmq_core::layout::{FREE, READ, TAIL};
use shmq_core::{Poll, RecordRx, RecordTx, at};
use shmq_tests::loom_memory::{Death, Faults, LoomMemory, explore};

/// Where a batch of two messages of 8 bytes has padding in its middle, in a ring of 64 bytes.
const PADDED: u64 = BEFORE_THE_WRAP.wrapping_sub(16);
/// What that batch stores: payload, padding word, payload, second word, next word, COMMIT, SEQUENCE, TAIL.
const BATCH_STORES: usize = 8;
const BATCH_COMMITS_AT: usize = 6;

/// A producer died having made `stores` stores of a batch of two; a successor walks, and sends one more message,
/// while the consumer takes.
pub fn producer_after(stores: usize, faults: Faults) {
    let memory = LoomMemory::new(64, PADDED, FIRST, faults);
    let mut rx = receiver(memory.window());
    send_batch(&mut sender_that_dies(&memory, stores));
    let messages = if stores >= BATCH_COMMITS_AT { 2 } else { 0 };
    let window = memory.window();
    assert_eq!(window.load_word(PADDED, at::RECOVER) != 0, messages != 0, "how far the dead one came");
    assert_eq!(window.load(TAIL, at::RECOVER) != PADDED, stores == BATCH_STORES, "how far the dead one came");
    let producer = spawn(move || {
        let mut tx = sender(window);
        assert_eq!(tx.sequence(), FIRST.wrapping_add(messages as u64), "where to resume");
        send(&mut tx);
    });
    recv(&mut rx, messages + 1);
    producer.join().unwrap();
    assert_eq!(rx.poll(), Poll::Empty);
}

fn sender_that_dies(memory: &LoomMemory, stores: usize) -> RecordTx<LoomMemory> {
    // Taking the role stores two words: SEQUENCE, TAIL.
    sender(memory.dying(Death::After(2 + stores)))
}

/// As above, killed just after the commit: the stored tail lags by two messages.
pub fn producer(faults: Faults) {
    producer_after(BATCH_COMMITS_AT, faults);
}

/// As above; what the successor counts of its predecessor's messages can be received, right away.
pub fn counted(faults: Faults) {
    let memory = LoomMemory::new(64, 0, FIRST, faults);
    let mut rx = receiver(memory.window());
    let (dying, window) = (memory.dying(Death::AfterSite("COMMIT")), memory.window());
    let producer = spawn(move || {
        send(&mut sender(dying));
        sender(window);
    });
    received_if_pending(&mut rx);
    producer.join().unwrap();
}

/// As above, in a ring that has no more room: the successor's message goes where the consumer has just read.
pub fn producer_of_a_full_ring(faults: Faults) {
    let memory = LoomMemory::new(32, 0, FIRST, faults);
    let mut rx = receiver(memory.window());
    send(&mut sender(memory.dying(Death::AfterSite("COMMIT"))));
    let window = memory.window();
    let producer = spawn(move || {
        let mut tx = sender(window);
        assert_eq!(tx.sequence(), FIRST.wrapping_add(1), "where to resume");
        send(&mut tx);
        send(&mut tx);
    });
    recv(&mut rx, 3);
    producer.join().unwrap();
}

/// As above; the successor finds space given back when it comes, and fills it without another look.
pub fn producer_of_space_given_back(faults: Faults) {
    let memory = LoomMemory::new(32, 0, FIRST, faults);
    let (mut rx, mut dead) = (receiver(memory.window()), sender(memory.window()));
    send(&mut dead);
    send_empty(&mut dead);
    let window = memory.window();
    let producer = spawn(move || {
        let mut tx = sender(window);
        // The second goes where the consumer has just read.
        send_empty(&mut tx);
        send_empty(&mut tx);
    });
    recv(&mut rx, 4);
    producer.join().unwrap();
}

/// What taking a message of 8 bytes behind padding stores: RECEIVED, READ, a word in each of two lines, FREED, FREE.
const TAKE_STORES: usize = 6;
const TAKE_READS_AT: usize = 2;

/// A consumer died having made `stores` stores of taking the first of two messages; a successor goes on, while the
/// producer sends two more into a ring that has no room for both.
pub fn consumer_after(stores: usize, faults: Faults) {
    let memory = LoomMemory::new(64, BEFORE_THE_WRAP, FIRST, faults);
    let mut tx = sender(memory.window());
    send(&mut tx);
    send(&mut tx);
    assert_eq!(try_recv(&mut receiver_that_dies(&memory, stores)), Some(FIRST));
    let window = memory.window();
    let moved = [READ, FREE].map(|word| window.load(word, at::RECOVER) != BEFORE_THE_WRAP);
    assert_eq!(moved, [stores >= TAKE_READS_AT, stores == TAKE_STORES], "how far the dead one came");
    let producer = spawn(move || {
        send(&mut tx);
        send(&mut tx);
    });
    let mut rx = receiver(window);
    let again = stores < TAKE_READS_AT;
    assert_eq!(
        rx.sequence(),
        FIRST.wrapping_add(u64::from(!again)),
        "taken is not seen again, and nothing is lost"
    );
    recv(&mut rx, 3 + usize::from(again));
    producer.join().unwrap();
    assert_eq!(rx.poll(), Poll::Empty);
}

fn receiver_that_dies(memory: &LoomMemory, stores: usize) -> RecordRx<LoomMemory> {
    // Taking the role stores three words: RECEIVED, FREED, FREE.
    receiver(memory.dying(Death::After(3 + stores)))
}

/// As above, killed when the message is taken and nothing of it given back.
pub fn consumer(faults: Faults) {
    consumer_after(TAKE_READS_AT, faults);
}

/// Both: the producer died after its commit, and while its successor walks, the consumer dies after taking and its
/// successor gives back.
pub fn both(faults: Faults) {
    let memory = LoomMemory::new(64, PADDED, FIRST, faults);
    let mut rx = receiver_that_dies(&memory, TAKE_READS_AT);
    send_batch(&mut sender(memory.dying(Death::AfterSite("COMMIT"))));
    let window = memory.window();
    let producer = spawn(move || {
        let mut tx = sender(window);
        assert_eq!(tx.sequence(), FIRST.wrapping_add(2), "where to resume");
        send(&mut tx);
    });
    recv(&mut rx, 1);
    let mut rx = receiver(memory.window());
    recv(&mut rx, 2);
    producer.join().unwrap();
    assert_eq!(rx.poll(), Poll::Empty);
}

/// As above, but the consumer's successor only takes its role while the producer's walks.
pub fn both_in_taking_their_roles(faults: Faults) {
    let memory = LoomMemory::new(64, 0, FIRST, faults);
    let mut rx = receiver_that_dies(&memory, TAKE_READS_AT);
    send(&mut sender(memory.dying(Death::AfterSite("COMMIT"))));
    let window = memory.window();
    let producer =
        spawn(move || assert_eq!(sender(window).sequence(), FIRST.wrapping_add(1), "where to resume"));
    recv(&mut rx, 1);
    receiver(memory.window());
    producer.join().unwrap();
}

/// An observer, while a producer dies after its commit and a successor stores the tail it finds.
pub fn observer(faults: Faults) {
    let memory = LoomMemory::new(64, 0, 0, faults);
    let (dying, window) = (memory.dying(Death::AfterSite("COMMIT")), memory.window());
    let producer = spawn(move || {
        send(&mut sender(dying));
        assert_eq!(sender(window).sequence(), 1);
    });
    observe(&memory.window());
    producer.join().unwrap();
}

/// The end of data that a dead producer declared is found by its successor, and is not overwritten.
pub fn finished(faults: Faults) {
    let memory = LoomMemory::new(64, BEFORE_THE_WRAP, 0, faults);
    let mut rx = receiver(memory.window());
    let mut tx = sender(memory.dying(Death::AfterSite("COMMIT")));
    send(&mut tx);
    let end = shmq_core::word::word(shmq_core::word::RecordKind::End, 0, 1);
    memory.window().store_word(BEFORE_THE_WRAP.wrapping_add(24), end, at::FINISH);
    let window = memory.window();
    let producer = spawn(move || {
        let mut tx = sender(window);
        assert_eq!(tx.try_send(&[]), Err(shmq_core::Refused::Finished));
        assert_eq!(tx.sequence(), 1);
    });
    recv(&mut rx, 1);
    while rx.poll() == Poll::Empty {
        yield_now();
    }
    assert_eq!(rx.poll(), Poll::Finished);
    producer.join().unwrap();
}

#[test]
fn p4_a_producer_dead_after_any_store_is_succeeded_while_the_consumer_works() {
    for stores in 0..=BATCH_STORES {
        explore(2, move || producer_after(stores, Faults::default())).unwrap();
    }
}

#[test]
fn p4_a_successor_producer_writes_only_what_the_consumer_has_given_back() {
    explore(2, || producer_of_a_full_ring(Faults::default())).unwrap();
}

#[test]
fn p4_a_successor_producer_uses_space_given_back_as_it_comes() {
    explore(2, || producer_of_space_given_back(Faults::default())).unwrap();
}

#[test]
fn p4_a_consumer_dead_after_any_store_is_succeeded_while_the_producer_works() {
    for stores in 0..=TAKE_STORES {
        explore(2, move || consumer_after(stores, Faults::default())).unwrap();
    }
}

#[test]
fn p4_both_ends_die_and_are_succeeded() {
    explore(2, || both(Faults::default())).unwrap();
    explore(3, || both_in_taking_their_roles(Faults::default())).unwrap();
}

#[test]
fn p4_an_observer_never_sees_a_successors_tail_lead() {
    explore(3, || observer(Faults::default())).unwrap();
}

#[test]
fn p3_a_successor_of_a_finished_producer_is_finished() {
    explore(3, || finished(Faults::default())).unwrap();
}

#[test]
fn what_a_successor_counts_can_be_received() {
    explore(3, || counted(Faults::default())).unwrap();
}
