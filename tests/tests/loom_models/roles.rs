//! Who left and who is lost. The role's lock is a word without any ordering: nothing here leans on kernel paths.
//!
//! The library asks these questions of a mapping only, so the accesses are repeated here in its order: `leave` is what
//! dropping a seat does, `state` is what `peer()` does.

use crate::ring::{receiver, send, sender, try_recv};
use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use loom::thread::spawn;
use shmq_core::layout::PRODUCER;
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

#[test]
fn p3_a_clean_leave_is_never_taken_for_a_death_nor_before_the_last_message() {
    explore(3, || clean_leave(Faults::default())).unwrap();
}

#[test]
fn p3_a_death_is_not_believed_before_the_last_message() {
    explore(3, || death(Faults::default())).unwrap();
}
