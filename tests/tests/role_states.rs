//! P3, P4: killed while it takes a role or leaves it, a process leaves behind one of the states that are told apart, in
//! every order that a compiler may give its stores.

use shmq::PeerState::{self, Left, Lost, NeverAttached};
use shmq_core::layout::{Parts, Role};
use shmq_core::role::{enter, is_from_another_boot, leave, state_in};
use shmq_core::{
    Fault, Faulty, Hostile, Memory, RecordRx, RecordTx, Recording, SlotLayout, SlotRx, SlotTx, Store, Window,
    Words,
};
use shmq_tests::crash::Cut;
use std::panic::{AssertUnwindSafe, catch_unwind};

const TODAY: [u8; 16] = [7; 16];
const YESTERDAY: [u8; 16] = [3; 16];
const ROLES: [Role; 2] = [Role::Producer, Role::Consumer];

fn shape() -> SlotLayout {
    SlotLayout::new(8, 4, 2).expect("a shape")
}

fn window<M: Memory>(memory: M) -> Window<M> {
    Window::new(memory, Parts::standard(256)).expect("the parts fit")
}

fn empty() -> Words {
    Words::new(Parts::standard(256).ring + 256)
}

/// What a look at a role says whose lock is free.
fn state(words: &Words, role: Role) -> PeerState {
    state_in(&window(words.clone()), role, || false)
}

/// Everything that can be left behind of what `act` stores, with how often that is, and at the end all of it.
fn cuts(
    before: &Words,
    fault: Fault,
    act: impl FnOnce(&Window<Faulty<Recording>>),
    mut check: impl FnMut(&Words),
) -> usize {
    let image = before.image();
    let recording = Recording::new(Words::from_image(&image));
    act(&window(Faulty::new(recording.clone(), fault)));
    let (bounds, log): (_, Vec<Store>) = (recording.bounds(), recording.take_log());
    let mut states = 1;
    Cut::Compiler
        .each(&log, &bounds, &mut |there| {
            let made: Vec<_> = log.iter().zip(there).filter(|(_, there)| **there).map(|(s, _)| *s).collect();
            check(&Words::from_image(&Recording::prefix(&image, &made, made.len())));
            states += 1;
            Ok(())
        })
        .expect("checks panic");
    check(&Words::from_image(&Recording::prefix(&image, &log, log.len())));
    states
}

/// A role as its last holder left it: from that boot.
fn predecessor(role: Role, state: PeerState, boot: &[u8; 16]) -> Words {
    let words = empty();
    let window = window(words.clone());
    if state != NeverAttached {
        let epoch = enter(&window, role, boot, 1);
        if state == Left {
            leave(&window, role, epoch);
        }
    }
    words
}

fn taking(fault: Fault) -> usize {
    let mut states = 0;
    for role in ROLES {
        for (before, boot) in [(NeverAttached, TODAY), (Left, TODAY), (Left, YESTERDAY), (Lost, TODAY)] {
            let words = predecessor(role, before, &boot);
            assert_eq!(state(&words, role), before);
            let epoch = role.words().epoch;
            let was = window(words.clone()).load(epoch, shmq_core::at::OBSERVE);
            let act = |window: &Window<_>| assert_eq!(enter(window, role, &TODAY, 2), was + 1);
            states += cuts(&words, fault, act, |left| {
                let raised = window(left.clone()).load(epoch, shmq_core::at::OBSERVE) != was;
                assert_eq!(state(left, role), if raised { Lost } else { before }, "of the {role}");
                assert_eq!(state(left, role.peer()), NeverAttached);
                assert!(!is_from_another_boot(&window(left.clone()), role, &TODAY), "a successor is refused");
            });
        }
    }
    states
}

#[test]
fn p3_killed_while_taking_a_role_a_process_is_lost_or_was_never_there() {
    println!("{} crash states", taking(Fault::None));
}

#[test]
fn p3_null_control_without_its_ordering_a_successor_is_refused_after_a_crash() {
    assert!(catch_unwind(AssertUnwindSafe(|| taking(Fault::Weaken("ROLE_STORE")))).is_err());
}

#[test]
fn p8_a_holder_from_another_boot_counts_until_it_has_left() {
    for role in ROLES {
        let from_another_boot = |state| {
            let words = predecessor(role, state, &YESTERDAY);
            is_from_another_boot(&window(words), role, &TODAY)
        };
        assert_eq!([NeverAttached, Left, Lost].map(from_another_boot), [false, false, true]);
        let unknown = predecessor(role, Lost, &[0; 16]);
        assert!(!is_from_another_boot(&window(unknown), role, &TODAY));
        assert!(!is_from_another_boot(&window(predecessor(role, Lost, &YESTERDAY)), role, &[0; 16]));
    }
}

/// One last operation, then the mark of a clean leave: whoever sees that sees the operation.
fn leaving(fault: Fault) -> usize {
    let records = |words: &Words| RecordTx::attach(window(words.clone()), 32, None).expect("a good ring");
    let slots = |words: &Words| SlotTx::attach(window(words.clone()), shape()).expect("a good ring");
    let mut states = 0;
    let sent = predecessor(Role::Producer, Lost, &TODAY);
    let check = |left: &Words, role, done: bool| match state(left, role) {
        Left => assert!(done, "the mark came before the last operation"),
        state => assert_eq!(state, Lost),
    };
    let act = |window: &Window<Faulty<Recording>>| {
        let mut tx = RecordTx::attach(window.clone(), 32, None).expect("a good ring");
        tx.try_send(b"the last").expect("room");
        leave(window, Role::Producer, 1);
    };
    states += cuts(&sent, fault, act, |left| check(left, Role::Producer, records(left).sequence() == 1));
    let act = |window: &Window<Faulty<Recording>>| {
        let mut tx = SlotTx::attach(window.clone(), shape()).expect("a good ring");
        tx.try_send(b"the last").expect("room");
        leave(window, Role::Producer, 1);
    };
    states += cuts(&sent, fault, act, |left| check(left, Role::Producer, slots(left).sequence() == 1));

    let pending = predecessor(Role::Consumer, Lost, &TODAY);
    records(&pending).try_send(b"the last").expect("room");
    let act = |window: &Window<Faulty<Recording>>| {
        let mut rx = RecordRx::attach(window.clone(), 32, None).expect("a good ring");
        let record = rx.front().expect("a message");
        rx.acknowledge(&record);
        leave(window, Role::Consumer, 1);
    };
    states += cuts(&pending, fault, act, |left| {
        let rx = RecordRx::attach(window(left.clone()), 32, None).expect("a good ring");
        check(left, Role::Consumer, rx.sequence() == 1);
    });
    let pending = predecessor(Role::Consumer, Lost, &TODAY);
    slots(&pending).try_send(b"the last").expect("room");
    let act = |window: &Window<Faulty<Recording>>| {
        let mut rx = SlotRx::attach(window.clone(), shape()).expect("a good ring");
        assert!(rx.has_next());
        rx.skip();
        rx.settle();
        leave(window, Role::Consumer, 1);
    };
    states += cuts(&pending, fault, act, |left| {
        let rx = SlotRx::attach(window(left.clone()), shape()).expect("a good ring");
        check(left, Role::Consumer, rx.sequence() == 1);
    });
    states
}

#[test]
fn p3_killed_while_leaving_a_process_is_lost_or_has_left_with_all_it_did() {
    println!("{} crash states", leaving(Fault::None));
}

#[test]
fn p3_null_control_without_its_ordering_the_mark_comes_before_the_last_operation() {
    assert!(catch_unwind(AssertUnwindSafe(|| leaving(Fault::Weaken("ROLE_STORE")))).is_err());
}

#[test]
fn p3_a_successor_that_comes_between_two_looks_is_not_taken_for_the_one_that_died() {
    let held = |loads: &[u64], held: &[bool]| {
        let window = window(Hostile::new(empty(), loads.to_vec()));
        let held = std::cell::RefCell::new(held.iter());
        state_in(&window, Role::Producer, || *held.borrow_mut().next().expect("asked so often"))
    };
    // Epoch and mark, the lock, the epoch once more, and if it is the same the mark.
    assert_eq!(held(&[0], &[]), PeerState::NeverAttached);
    assert_eq!(held(&[1, 1], &[]), PeerState::Left);
    assert_eq!(held(&[1, 0], &[true]), PeerState::Attached);
    assert_eq!(held(&[1, 0, 1, 0], &[false]), PeerState::Lost);
    assert_eq!(held(&[1, 0, 1, 1, 1, 1], &[false]), PeerState::Left, "it left before the lock was asked for");
    assert_eq!(held(&[1, 0, 2, 2, 0], &[false, true]), PeerState::Attached, "another has come");
    assert_eq!(held(&[1, 0, 2, 2, 0, 2, 0], &[false, false]), PeerState::Lost, "and has died, too");
    assert_eq!(held(&[1, 0, 2, 2, 0, 3, 3, 0, 4, 4, 0, 5], &[false; 4]), PeerState::Attached);
}
