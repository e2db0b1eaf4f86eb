//! Sleeping and waking, in both directions, with and without `membarrier`. Nobody wakes by time: what is lost is a
//! deadlock.

use crate::ring::{FIRST, receiver, recv, send, sender, try_recv};
use loom::thread::spawn;
use shmq_core::layout::{CONSUMER, Control, PRODUCER, Role, SEQUENCE};
use shmq_core::wake::wake_through;
use shmq_core::{Park, Poll, RecordRx, RecordTx, Refused, Signals, Window, at};
use shmq_tests::loom_memory::{Barrier, Faults, LoomMemory, explore};
use std::time::Duration;

const INTERRUPT: Faults =
    Faults { weak: &[], acq_rel: &[], barrier: Barrier::Interrupt, mute: false, reached: None };
const FOR_EVER: Duration = Duration::MAX;

/// As a blocking call does: poll; else sleep, unless a last poll finds something.
pub fn block<T>(signals: &mut Signals<LoomMemory>, mut poll: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = poll() {
            return found;
        }
        let announced = signals.announce();
        if let Some(found) = poll() {
            return found;
        }
        signals.rest(announced, FOR_EVER);
    }
}

/// The same, asleep deeply: as the waiting loop does after a slice that ended by time. `LATE`, a planted bug: what was
/// announced before it listened counts.
fn block_deeply<const LATE: bool, T>(
    signals: &mut Signals<LoomMemory>,
    mut poll: impl FnMut() -> Option<T>,
) -> T {
    let mut announced = None;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        let listens = announced.is_some() || signals.listens();
        if listens && !signals.listens() {
            assert!(signals.listen());
            announced = announced.filter(|_| LATE);
        }
        let standing = announced.filter(|&a| signals.stands(a)).unwrap_or_else(|| signals.announce());
        announced = Some(standing);
        if let Some(found) = poll() {
            return found;
        }
        if listens {
            signals.rest_deeply(FOR_EVER);
        }
    }
}

fn recv_asleep(rx: &mut RecordRx<LoomMemory>, signals: &mut Signals<LoomMemory>) {
    block(signals, || try_recv(rx));
}

fn send_asleep(tx: &mut RecordTx<LoomMemory>, signals: &mut Signals<LoomMemory>) {
    let bytes = crate::ring::content(tx.sequence());
    block(signals, || match tx.try_send(&bytes) {
        Ok(_) => Some(()),
        Err(Refused::Full) => None,
        Err(refused) => panic!("send refused: {refused:?}"),
    });
}

/// The consumer sleeps on an empty ring; two messages, either of which may find it asleep.
pub fn empty(faults: Faults) {
    let memory = LoomMemory::new(64, 0, FIRST, faults);
    let (mut rx, mut asleep) = (receiver(memory.window()), Signals::new(memory.window(), Role::Consumer));
    let window = memory.interruptible();
    let (mut tx, mut awake) = (sender(window.clone()), Signals::new(window, Role::Producer));
    let producer = spawn(move || {
        for _ in 0..2 {
            send(&mut tx);
            awake.published();
        }
        tx.window().memory().retire();
    });
    recv_asleep(&mut rx, &mut asleep);
    recv_asleep(&mut rx, &mut asleep);
    producer.join().unwrap();
}

/// One message, where the sleeper interrupts. The waker comes first, so that two preemptions are enough for a lost wake.
pub fn interrupted(faults: Faults) {
    let memory = LoomMemory::new(64, 0, FIRST, Faults { barrier: Barrier::Interrupt, ..faults });
    let (mut rx, mut asleep) = (receiver(memory.window()), Signals::new(memory.window(), Role::Consumer));
    let window = memory.interruptible();
    let (mut tx, mut awake) = (sender(window.clone()), Signals::new(window, Role::Producer));
    let consumer = spawn(move || recv_asleep(&mut rx, &mut asleep));
    send(&mut tx);
    awake.published();
    tx.window().memory().retire();
    consumer.join().unwrap();
}

/// The consumer sleeps deeply on an empty ring; two messages.
pub fn deep<const LATE: bool>(faults: Faults) {
    let memory = LoomMemory::new(64, 0, FIRST, faults);
    let (mut rx, mut asleep) = (receiver(memory.window()), Signals::new(memory.window(), Role::Consumer));
    let window = memory.interruptible();
    let (mut tx, mut awake) = (sender(window.clone()), Signals::new(window, Role::Producer));
    let producer = spawn(move || {
        for _ in 0..2 {
            send(&mut tx);
            awake.published();
        }
        tx.window().memory().retire();
    });
    for _ in 0..2 {
        block_deeply::<LATE, _>(&mut asleep, || try_recv(&mut rx));
    }
    producer.join().unwrap();
}

/// The producer sleeps deeply on a full ring until the consumer gives back.
pub fn deep_full(faults: Faults) {
    let memory = LoomMemory::new(32, 0, FIRST, faults);
    let (mut tx, mut asleep) = (sender(memory.window()), Signals::new(memory.window(), Role::Producer));
    let window = memory.interruptible();
    let (mut rx, mut awake) = (receiver(window.clone()), Signals::new(window, Role::Consumer));
    send(&mut tx);
    let consumer = spawn(move || {
        assert_eq!(try_recv(&mut rx), Some(FIRST));
        awake.published();
        rx.window().memory().retire();
        rx
    });
    let bytes = crate::ring::content(tx.sequence());
    block_deeply::<false, _>(&mut asleep, || match tx.try_send(&bytes) {
        Ok(_) => Some(()),
        Err(Refused::Full) => None,
        Err(refused) => panic!("send refused: {refused:?}"),
    });
    recv(&mut consumer.join().unwrap(), 1);
}

/// A deep sleeper whose producer commits and dies before it looks for one; its successor wakes it as taking a role does,
/// without a fence of its own before the bell.
pub fn deep_successor(faults: Faults) {
    let memory = LoomMemory::new(32, 0, FIRST, faults);
    let (mut rx, mut asleep) = (receiver(memory.window()), Signals::new(memory.window(), Role::Consumer));
    let (dying, window) = (memory.interruptible(), memory.interruptible());
    let producer = spawn(move || {
        send(&mut sender(dying));
        Signals::new(window.clone(), Role::Producer).ring();
        window.memory().retire();
    });
    block_deeply::<false, _>(&mut asleep, || try_recv(&mut rx));
    producer.join().unwrap();
}

/// A deep sleeper whose producer leaves: mark, fence, bell, lock, wake, the last through another mapping.
pub fn deep_leave(faults: Faults) {
    let memory = LoomMemory::new(32, 0, FIRST, faults);
    let (ours, theirs) = (memory.window(), memory.interruptible());
    let mut asleep = Signals::new(memory.window(), Role::Consumer);
    ours.store(PRODUCER.epoch, 1, at::ROLE_STORE);
    let producer = spawn(move || {
        theirs.store(PRODUCER.left, 1, at::ROLE_STORE);
        theirs.fence(at::LEAVE_FENCE);
        Signals::new(theirs.clone(), Role::Producer).change_bell();
        wake_through(theirs.memory(), theirs.parts().page(Role::Producer), Role::Producer.words());
        theirs.memory().retire();
    });
    block_deeply::<false, _>(&mut asleep, || (ours.load(PRODUCER.left, at::ROLE_LOAD) == 1).then_some(()));
    producer.join().unwrap();
}

/// The producer sleeps on a full ring until the consumer gives back.
pub fn full(faults: Faults) {
    let memory = LoomMemory::new(32, 0, FIRST, faults);
    let (mut tx, mut asleep) = (sender(memory.window()), Signals::new(memory.window(), Role::Producer));
    let window = memory.interruptible();
    let (mut rx, mut awake) = (receiver(window.clone()), Signals::new(window, Role::Consumer));
    send(&mut tx);
    let consumer = spawn(move || {
        assert_eq!(try_recv(&mut rx), Some(FIRST));
        awake.published();
        rx.window().memory().retire();
        rx
    });
    send_asleep(&mut tx, &mut asleep);
    recv(&mut consumer.join().unwrap(), 1);
}

/// Both sleep: the consumer until there is a message, the producer until there is room.
pub fn both(faults: Faults) {
    let memory = LoomMemory::new(32, 0, FIRST, faults);
    let (mut rx, mut rx_signals) = (receiver(memory.window()), Signals::new(memory.window(), Role::Consumer));
    let (mut tx, mut tx_signals) = (sender(memory.window()), Signals::new(memory.window(), Role::Producer));
    let producer = spawn(move || {
        for _ in 0..2 {
            send_asleep(&mut tx, &mut tx_signals);
            tx_signals.published();
        }
    });
    for _ in 0..2 {
        recv_asleep(&mut rx, &mut rx_signals);
        rx_signals.published();
    }
    producer.join().unwrap();
}

/// The consumer sleeps; the producer declares the end.
pub fn finish(faults: Faults) {
    let memory = LoomMemory::new(32, 0, 0, faults);
    let (mut rx, mut asleep) = (receiver(memory.window()), Signals::new(memory.window(), Role::Consumer));
    let window = memory.interruptible();
    let (mut tx, mut awake) = (sender(window.clone()), Signals::new(window, Role::Producer));
    let producer = spawn(move || {
        tx.finish().unwrap();
        awake.published();
        tx.window().memory().retire();
    });
    block(&mut asleep, || (rx.poll() == Poll::Finished).then_some(()));
    producer.join().unwrap();
}

/// A producer commits and dies before it looks for a sleeper; its successor changes the bell and wakes, as taking a
/// role does. It does not fence: the bell itself carries what was committed. Then it may send one more.
pub fn successor<const GOES_ON: bool>(faults: Faults) {
    let memory = LoomMemory::new(32, 0, FIRST, faults);
    let (mut rx, mut asleep) = (receiver(memory.window()), Signals::new(memory.window(), Role::Consumer));
    let (dying, window) = (memory.interruptible(), memory.interruptible());
    let producer = spawn(move || {
        send(&mut sender(dying));
        // The bell is read when the role is taken, and rung when the ring is in order.
        let mut awake = Signals::new(window.clone(), Role::Producer);
        let mut tx = sender(window);
        awake.ring();
        if GOES_ON {
            send(&mut tx);
            awake.published();
        }
        tx.window().memory().retire();
    });
    recv_asleep(&mut rx, &mut asleep);
    if GOES_ON {
        recv_asleep(&mut rx, &mut asleep);
    }
    producer.join().unwrap();
}

/// The same of a consumer that gives back and dies before it looks for a sleeper.
pub fn successor_of_a_consumer(faults: Faults) {
    let memory = LoomMemory::new(32, 0, FIRST, faults);
    let (mut tx, mut asleep) = (sender(memory.window()), Signals::new(memory.window(), Role::Producer));
    let (dying, window) = (memory.interruptible(), memory.interruptible());
    send(&mut tx);
    let consumer = spawn(move || {
        assert_eq!(try_recv(&mut receiver(dying)), Some(FIRST));
        let mut awake = Signals::new(window.clone(), Role::Consumer);
        let rx = receiver(window);
        awake.ring();
        rx.window().memory().retire();
    });
    send_asleep(&mut tx, &mut asleep);
    consumer.join().unwrap();
}

/// An end of a pair is dropped, in the order that dropping a guard has: mark, fence, bell, ticket. The other one asks whether
/// it is alone, as each of its calls does; once the first is gone for sure it must be told so, or it asks for ever.
pub fn dropped(faults: Faults) {
    let memory = LoomMemory::new(32, 0, 0, faults);
    let (ours, theirs) = (memory.window(), memory.window());
    let mut polling = Signals::new(memory.window(), Role::Consumer);
    ours.store(PRODUCER.epoch, 1, at::ROLE_STORE);
    let producer = spawn(move || {
        theirs.store(PRODUCER.left, 1, at::ROLE_STORE);
        theirs.fence(at::LEAVE_FENCE);
        let mut signals = Signals::new(theirs.clone(), Role::Producer);
        signals.change_bell();
        signals.call();
    });
    polling.has_left();
    producer.join().unwrap();
    assert!(polling.has_left(), "the other end is gone, and this one is never told");
}

/// A successor of one that left announces its sleep: whoever serves its ticket does not take it for the one that left.
pub fn successor_announces(faults: Faults) {
    let memory = LoomMemory::new(32, 0, 0, faults);
    let (ours, theirs) = (memory.window(), memory.window());
    ours.store(PRODUCER.epoch, 1, at::ROLE_STORE);
    ours.store(PRODUCER.left, 1, at::ROLE_STORE);
    let mut awake = Signals::new(memory.window(), Role::Consumer);
    let producer = spawn(move || {
        theirs.store(PRODUCER.epoch, 2, at::ROLE_STORE);
        let mut signals = Signals::new(theirs, Role::Producer);
        // As `ring` where that wakes somebody, and so pokes nobody and does not fence.
        signals.change_bell();
        signals.announce();
    });
    assert!(!awake.has_left(), "a successor is called left");
    producer.join().unwrap();
}

/// The consumer sleeps until there are two messages, of which the first may be what answers its ticket. `LATE`, a planted bug: it
/// reads the bell behind the ticket, as a processor may that is not kept from it; loom executes loads in the order of the program,
/// so it does not do that by itself.
fn two_at_once<const LATE: bool>(faults: Faults) {
    let memory = LoomMemory::new(64, 0, FIRST, faults);
    let (mut tx, mut awake) = (sender(memory.window()), Signals::new(memory.window(), Role::Producer));
    let ours = memory.window();
    let producer = spawn(move || {
        for _ in 0..2 {
            send(&mut tx);
            awake.published();
        }
    });
    // Even: it sleeps in the futex.
    for ticket in (2..).step_by(2) {
        let early = ours.load(PRODUCER.bell, at::READ_BELL);
        ours.store(CONSUMER.ticket, ticket, at::ANNOUNCE);
        let bell = if LATE { ours.load(PRODUCER.bell, at::READ_BELL) } else { early };
        ours.fence(at::SLEEP_FENCE);
        if ours.load(SEQUENCE, at::OBSERVE) == FIRST.wrapping_add(2) {
            break;
        }
        // SAFETY: the bell is a word of the memory; the producer's page is its first.
        unsafe { ours.memory().park(PRODUCER.bell.offset(), bell as u32, FOR_EVER, None) };
    }
    producer.join().unwrap();
}

/// A planted bug: the sleeper's announcement and the waker's bell are one word, with every fence in place.
fn merged(_: Faults) {
    const WORD: Control = PRODUCER.bell;
    let memory = LoomMemory::new(64, 0, FIRST, Faults::default());
    let (mut rx, mut tx) = (receiver(memory.window()), sender(memory.window()));
    let (ours, theirs) = (memory.window(), memory.window());
    // SAFETY: the bell is a word of the memory; the producer's page is its first.
    let wake = |window: &Window<LoomMemory>| unsafe { window.memory().unpark(WORD.offset()) };
    let producer = spawn(move || {
        let mut served = 0;
        for _ in 0..2 {
            send(&mut tx);
            theirs.fence(at::WAKE_FENCE);
            let word = theirs.load(WORD, at::CHECK_TICKET);
            if word != served {
                served = word.wrapping_add(1);
                theirs.store(WORD, served, at::RING_BELL);
                wake(&theirs);
            }
        }
    });
    for _ in 0..2 {
        while try_recv(&mut rx).is_none() {
            let announced = ours.load(WORD, at::READ_BELL).wrapping_add(1);
            ours.store(WORD, announced, at::ANNOUNCE);
            ours.fence(at::SLEEP_FENCE);
            if rx.poll() == Poll::Empty {
                // SAFETY: as above.
                unsafe { ours.memory().park(WORD.offset(), announced as u32, FOR_EVER, None) };
            }
        }
    }
    producer.join().unwrap();
}

/// One end leaves, in the order that dropping a guard has: mark, fence, bell, lock, wake. The other goes to sleep as the
/// waiting loop does: announces, polls, asks after the peer, sleeps. `EARLY`, a planted bug: asks before it announces.
pub fn leave<const EARLY: bool>(faults: Faults) {
    let memory = LoomMemory::new(32, 0, 0, faults);
    let (ours, theirs) = (memory.window(), memory.interruptible());
    let (mut rx, mut asleep) = (receiver(memory.window()), Signals::new(memory.window(), Role::Consumer));
    ours.store(PRODUCER.epoch, 1, at::ROLE_STORE);
    let producer = spawn(move || {
        theirs.store(PRODUCER.left, 1, at::ROLE_STORE);
        theirs.fence(at::LEAVE_FENCE);
        Signals::new(theirs.clone(), Role::Producer).ring();
        theirs.memory().retire();
    });
    let left = || ours.load(PRODUCER.left, at::ROLE_LOAD) == 1;
    loop {
        assert_eq!(rx.poll(), Poll::Empty);
        // Asked only before it, the mark could be set and the bell rung between the two.
        if EARLY && left() {
            break;
        }
        let announced = asleep.announce();
        assert_eq!(rx.poll(), Poll::Empty);
        if !EARLY && left() {
            break;
        }
        asleep.rest(announced, FOR_EVER);
    }
    producer.join().unwrap();
}

#[test]
fn an_empty_ring_loses_no_wake() {
    explore(3, || empty(Faults::default())).unwrap();
}

#[test]
fn an_empty_ring_loses_no_wake_where_the_sleeper_interrupts() {
    explore(2, || empty(INTERRUPT)).unwrap();
}

#[test]
fn a_full_ring_loses_no_wake() {
    explore(3, || full(Faults::default())).unwrap();
}

#[test]
fn a_full_ring_loses_no_wake_where_the_sleeper_interrupts() {
    explore(2, || full(INTERRUPT)).unwrap();
}

#[test]
fn two_sleepers_lose_no_wake() {
    explore(2, || both(Faults::default())).unwrap();
}

#[test]
fn a_deep_sleeper_on_an_empty_ring_loses_no_wake() {
    explore(2, || deep::<false>(Faults::default())).unwrap();
    explore(2, || deep::<false>(INTERRUPT)).unwrap();
}

#[test]
fn a_deep_sleeper_on_a_full_ring_loses_no_wake() {
    explore(2, || deep_full(Faults::default())).unwrap();
    explore(2, || deep_full(INTERRUPT)).unwrap();
}

#[test]
fn p4_a_successor_wakes_a_deep_sleeper() {
    explore(3, || deep_successor(Faults::default())).unwrap();
    explore(3, || deep_successor(INTERRUPT)).unwrap();
}

#[test]
fn null_control_a_waker_that_makes_no_sound_leaves_a_deep_sleeper_asleep() {
    for model in [deep::<false>, deep_full, deep_successor] {
        for faults in [Faults::default(), INTERRUPT] {
            let problem = explore(2, move || model(Faults { mute: true, ..faults })).unwrap_err();
            assert!(problem.contains("deadlock"), "{problem}");
        }
    }
}

#[test]
fn null_control_an_announcement_from_before_it_listened_loses_a_wake() {
    let problem = explore(3, || deep::<true>(Faults::default())).unwrap_err();
    assert!(problem.contains("deadlock"), "{problem}");
    let problem = explore(3, || deep::<true>(INTERRUPT)).unwrap_err();
    assert!(problem.contains("deadlock"), "{problem}");
}

#[test]
fn p3_end_of_data_wakes_a_sleeper() {
    explore(3, || finish(Faults::default())).unwrap();
    explore(2, || finish(INTERRUPT)).unwrap();
}

#[test]
fn p3_a_clean_leave_wakes_a_sleeper() {
    explore(3, || leave::<false>(Faults::default())).unwrap();
    explore(3, || leave::<false>(INTERRUPT)).unwrap();
}

#[test]
fn null_control_asking_after_the_peer_too_early_misses_a_clean_leave() {
    explore(3, || leave::<true>(Faults::default())).unwrap_err();
}

#[test]
fn p4_a_successor_wakes_whom_the_dead_one_left_asleep() {
    for faults in [Faults::default(), INTERRUPT] {
        explore(2, move || successor::<false>(faults)).unwrap();
        explore(2, move || successor::<true>(faults)).unwrap();
        explore(2, move || successor_of_a_consumer(faults)).unwrap();
    }
}

#[test]
fn null_control_bell_and_ticket_in_one_word_lose_a_wake() {
    explore(3, || merged(Faults::default())).unwrap_err();
}

#[test]
fn null_control_without_the_interrupt_a_wake_is_lost() {
    for model in [empty, full, finish] {
        let faults = Faults { barrier: Barrier::Broken, ..INTERRUPT };
        explore(3, move || model(faults)).unwrap_err();
    }
}

#[test]
fn p3_an_end_that_was_dropped_is_noticed() {
    explore(3, || dropped(Faults::default())).unwrap();
    explore(3, || dropped(INTERRUPT)).unwrap();
}

#[test]
fn p3_a_successor_that_goes_to_sleep_is_not_taken_for_the_one_that_left() {
    explore(3, || successor_announces(Faults::default())).unwrap();
}

#[test]
fn p3_a_clean_leave_wakes_a_deep_sleeper() {
    explore(3, || deep_leave(Faults::default())).unwrap();
    explore(3, || deep_leave(INTERRUPT)).unwrap();
}

#[test]
fn a_sleeper_that_the_first_of_two_wakes_too_early_loses_no_wake() {
    explore(3, || two_at_once::<false>(Faults::default())).unwrap();
}

#[test]
fn null_control_a_bell_that_is_read_behind_the_ticket_loses_a_wake() {
    let problem = explore(3, || two_at_once::<true>(Faults::default())).unwrap_err();
    assert!(problem.contains("deadlock"), "{problem}");
}

#[test]
fn null_control_a_compiler_that_looks_for_a_ticket_first_loses_a_wake() {
    let weak = Faults { weak: &["COMMIT_LOG"], ..Faults::default() };
    let problem = explore(2, move || interrupted(weak)).unwrap_err();
    assert!(problem.contains("deadlock"), "{problem}");
}
