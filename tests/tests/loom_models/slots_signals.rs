//! Sleeping on a ring of slots. Its consumer looks for a sleeping producer only when it has taken all it knows of; nobody may
//! sleep on for ever because of that.

use crate::ring::content;
use crate::signals::block;
use crate::slots::{receiver, send, sender, shape};
use loom::thread::spawn;
use shmq_core::layout::Role;
use shmq_core::{Refused, Signals, SlotPoll, SlotRx, SlotTx};
use shmq_tests::loom_memory::{Faults, LoomMemory, explore};

/// Takes the next message, asleep until it comes, and wakes the producer when the library would.
fn recv_asleep(rx: &mut SlotRx<LoomMemory>, signals: &mut Signals<LoomMemory>) {
    block(signals, || matches!(rx.poll(), SlotPoll::Messages(_)).then_some(()));
    let mut bytes = [0; 8];
    rx.copy_out(&mut bytes);
    assert_eq!(bytes, content(rx.sequence()));
    rx.skip();
    if rx.settle() {
        signals.published();
    }
}

fn send_asleep(tx: &mut SlotTx<LoomMemory>, signals: &mut Signals<LoomMemory>) {
    let bytes = content(tx.sequence());
    block(signals, || match tx.try_send(&bytes) {
        Ok(_) => Some(()),
        Err(Refused::Full) => None,
        Err(refused) => panic!("send refused: {refused:?}"),
    });
    signals.published();
}

/// The consumer sleeps on an empty ring; two messages of one group, either of which may find it asleep.
pub fn empty(faults: Faults) {
    let shape = shape(2, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let mut rx = receiver(memory.window(), shape);
    let mut asleep = Signals::new(memory.window(), Role::Consumer);
    let window = memory.interruptible();
    let (mut tx, mut awake) = (sender(window.clone(), shape), Signals::new(window, Role::Producer));
    let producer = spawn(move || {
        for _ in 0..2 {
            send(&mut tx, 1);
            awake.published();
        }
        tx.window().memory().retire();
    });
    recv_asleep(&mut rx, &mut asleep);
    recv_asleep(&mut rx, &mut asleep);
    producer.join().unwrap();
}

/// Both sleep: on a ring that is full, the producer; on an empty one, the consumer.
pub fn both(faults: Faults) {
    let shape = shape(2, 2);
    let memory = LoomMemory::slots(&shape, faults);
    let mut rx = receiver(memory.window(), shape);
    let mut rx_signals = Signals::new(memory.window(), Role::Consumer);
    let mut tx = sender(memory.window(), shape);
    let mut tx_signals = Signals::new(memory.window(), Role::Producer);
    send(&mut tx, 2);
    let producer = spawn(move || send_asleep(&mut tx, &mut tx_signals));
    for _ in 0..3 {
        recv_asleep(&mut rx, &mut rx_signals);
    }
    producer.join().unwrap();
}

#[test]
fn p3_no_wake_is_lost_on_slots() {
    explore(2, || empty(Faults::default())).unwrap();
    explore(2, || both(Faults::default())).unwrap();
}
