//! Who left and who is lost. The role's lock is a word without any ordering: nothing here leans on kernel paths.
//!
//! The library asks these questions of a mapping only, so the accesses are repeated here in its order: `leave` is what
//! dropping a guard does, `state` is what `peer()` does.

use crate::ring::{receiver, send, sender, try_recv};
use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use loom::thread::spawn;
use shmq_core::layout::{Counter, PAGE, PRODUCER, Role};
use shmq_core::role::{enter, is_from_another_boot, leave as mark_left};
use shmq_core::{Window, at};
use shmq_tests::loom_memory::{Faults, LoomMemory, explore};
use std::rc::Rc;

#[derive(Debug, PartialEq)]
enum State {
    Attached,
    Left,
    Lost,
}

fn leave(window: &Window<LoomMemory>, lock: &AtomicU64) {
    window.store(PRODUCER.left, 1, at::ROLE_STORE);
    window.fence(at::LEAVE_FENCE);
    lock.store(0, Relaxed);
}

fn state(window: &Window<LoomMemory>, lock: &AtomicU64) -> State {
    let epoch = window.load(PRODUCER.epoch, at::ROLE_LOAD);
    if window.load(PRODUCER.left, at::ROLE_LOAD) == epoch {
        return State::Left;
    }
    if lock.load(Relaxed) != 0 {
        return State::Attached;
    }
    window.fence(at::LOST_FENCE);
    if window.load(PRODUCER.left, at::ROLE_LOAD) == epoch { State::Left } else { State::Lost }
}

/// A producer sends and leaves; the consumer asks after it and polls once more.
pub fn clean_leave(faults: Faults) {
    let memory = LoomMemory::new(32, 0, 0, faults);
    let (ours, theirs) = (memory.window(), memory.window());
    let (mut tx, mut rx) = (sender(memory.window()), receiver(memory.window()));
    ours.store(PRODUCER.epoch, 1, at::ROLE_STORE);
    let lock = Rc::new(AtomicU64::new(1));
    let held = lock.clone();
    let producer = spawn(move || {
        send(&mut tx);
        leave(&theirs, &held);
    });
    let received = try_recv(&mut rx).is_some();
    match state(&ours, &lock) {
        State::Attached => {}
        State::Lost => panic!("a clean leave is taken for a death"),
        State::Left => assert!(received || try_recv(&mut rx).is_some(), "the last message is overlooked"),
    }
    producer.join().unwrap();
}

/// A producer sends and dies; the kernel then frees its lock, which fences as `LEAVE_FENCE` does.
pub fn death(faults: Faults) {
    let memory = LoomMemory::new(32, 0, 0, faults);
    let (ours, theirs) = (memory.window(), memory.window());
    let (mut tx, mut rx) = (sender(memory.window()), receiver(memory.window()));
    ours.store(PRODUCER.epoch, 1, at::ROLE_STORE);
    let lock = Rc::new(AtomicU64::new(1));
    let held = lock.clone();
    let producer = spawn(move || {
        send(&mut tx);
        theirs.fence(at::LEAVE_FENCE);
        held.store(0, Relaxed);
    });
    let received = try_recv(&mut rx).is_some();
    match state(&ours, &lock) {
        State::Attached => {}
        State::Left => panic!("a death is taken for a clean leave"),
        State::Lost => assert!(received || try_recv(&mut rx).is_some(), "the last message is overlooked"),
    }
    producer.join().unwrap();
}

const YESTERDAY: [u8; 16] = [1; 16];
const TODAY: [u8; 16] = [2; 16];

/// A planted bug: asks for the boot id first.
fn boot_first(window: &Window<LoomMemory>) -> bool {
    let boot = PRODUCER.boot.map(|word| window.load(word, at::ROLE_LOAD));
    let [epoch, left] = [PRODUCER.epoch, PRODUCER.left].map(|word| window.load(word, at::ROLE_LOAD));
    boot != [u64::from_le_bytes([2; 8]); 2] && epoch != left
}

/// A producer of yesterday left cleanly, one of today comes; meanwhile somebody asks whether the queue is from yesterday.
fn asked_while_it_enters(faults: Faults, is_old: fn(&Window<LoomMemory>) -> bool) {
    let common = [PRODUCER.epoch, PRODUCER.left, PRODUCER.pid, PRODUCER.since];
    let words = common.into_iter().chain(PRODUCER.boot).chain([PRODUCER.counter(Counter::StalledSince)]);
    let memory = LoomMemory::of(words.map(|word| word.offset()), 2 * PAGE, 2 * PAGE + 16, faults);
    let (ours, theirs) = (memory.window(), memory.window());
    let epoch = enter(&ours, Role::Producer, &YESTERDAY, 1);
    mark_left(&ours, Role::Producer, epoch);
    let producer = spawn(move || {
        enter(&theirs, Role::Producer, &TODAY, 2);
    });
    assert!(!is_old(&ours), "refused as from another boot");
    producer.join().unwrap();
}

pub fn entering(faults: Faults) {
    asked_while_it_enters(faults, |window| is_from_another_boot(window, Role::Producer, &TODAY));
}

#[test]
fn p8_a_queue_that_a_process_of_this_boot_enters_is_not_from_another() {
    explore(3, || entering(Faults::default())).unwrap();
}

#[test]
fn null_control_the_boot_id_asked_for_first_is_of_another_holder() {
    explore(3, || asked_while_it_enters(Faults::default(), boot_first)).unwrap_err();
}

#[test]
fn p3_a_clean_leave_is_never_taken_for_a_death_nor_before_the_last_message() {
    explore(3, || clean_leave(Faults::default())).unwrap();
}

#[test]
fn p3_a_death_is_not_believed_before_the_last_message() {
    explore(3, || death(Faults::default())).unwrap();
}
