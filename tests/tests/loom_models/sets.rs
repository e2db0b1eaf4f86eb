//! One thread asleep on several ends, by one instance that listens to all their files. Nobody wakes by time: what is lost is a
//! deadlock.

use crate::ring::{FIRST, content, receiver, send, sender, try_recv};
use loom::thread::spawn;
use shmq_core::layout::Role;
use shmq_core::{RecordRx, RecordTx, Refused, Signals, Window};
use shmq_tests::loom_memory::{Barrier, Faults, LoomMemory, explore};
use std::time::Duration;

const INTERRUPT: Faults =
    Faults { weak: &[], acq_rel: &[], barrier: Barrier::Interrupt, mute: false, reached: None };

/// Bugs to plant in what a set does before it sleeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Planted {
    None,
    /// It does not look once more when it has announced.
    LooksNoMore,
    /// It fences after the first announcement, and not after the others.
    FencesTooEarly,
    /// It listens after it has announced and looked.
    ListensLate,
    /// What it announced stands although the peer has rung since.
    StandsForEver,
}

/// One end in a set.
struct Place<'a> {
    signals: Signals<LoomMemory>,
    announced: Option<u32>,
    /// Does what is waited for, once it can.
    act: Box<dyn FnMut() -> bool + 'a>,
    done: bool,
}

impl<'a> Place<'a> {
    fn new(signals: Signals<LoomMemory>, act: impl FnMut() -> bool + 'a) -> Self {
        Self { signals, announced: None, act: Box::new(act), done: false }
    }

    fn look(&mut self) -> bool {
        self.done = self.done || (self.act)();
        self.done
    }

    fn announce(&mut self, planted: Planted) -> bool {
        let stands = self
            .announced
            .is_some_and(|seen| planted == Planted::StandsForEver || self.signals.is_silent_since(seen));
        if !stands {
            if planted != Planted::ListensLate {
                assert!(self.signals.listens() || self.signals.listen());
            }
            self.announced = Some(self.signals.announce_to_file());
        }
        !stands
    }
}

/// As a set does, until each end has done its part: look at all; announce those whose announcement does not stand, fence once,
/// look at those, sleep.
fn wait_for_all(places: &mut [Place<'_>], planted: Planted) {
    loop {
        let left = places.iter_mut().filter_map(|place| (!place.look()).then_some(())).count();
        if left == 0 {
            return;
        }
        let mut fresh = Vec::new();
        for (i, place) in places.iter_mut().enumerate().filter(|(_, place)| !place.done) {
            if place.announce(planted) {
                fresh.push(i);
                if planted == Planted::FencesTooEarly && fresh.len() == 1 {
                    place.signals.fence_announced();
                }
            }
        }
        if let (Some(&first), false) = (fresh.first(), planted == Planted::FencesTooEarly) {
            places[first].signals.fence_announced();
        }
        let looks = if planted == Planted::LooksNoMore { 0 } else { fresh.len() };
        if fresh.iter().take(looks).any(|&i| places[i].look()) {
            continue;
        }
        if planted == Planted::ListensLate {
            for place in places.iter_mut().filter(|place| !place.done) {
                assert!(place.signals.listen());
            }
        }
        let listener = places.iter_mut().find(|place| place.signals.listens()).expect("one was announced");
        listener.signals.rest_deeply(Duration::MAX);
    }
}

fn awake_sender(window: Window<LoomMemory>) -> (RecordTx<LoomMemory>, Signals<LoomMemory>) {
    (sender(window.clone()), Signals::new(window, Role::Producer))
}

fn receives(rx: &mut RecordRx<LoomMemory>) -> bool {
    try_recv(rx).is_some()
}

fn sends(tx: &mut RecordTx<LoomMemory>) -> bool {
    match tx.try_send(&content(tx.sequence())) {
        Ok(_) => true,
        Err(Refused::Full) => false,
        Err(refused) => panic!("send refused: {refused:?}"),
    }
}

/// Two empty rings; a message comes in each.
fn two_receivers(faults: Faults, planted: Planted) {
    let a = LoomMemory::new(32, 0, FIRST, faults);
    let b = LoomMemory::new(32, 0, FIRST, faults).beside(&a);
    let (mut rx_a, mut rx_b) = (receiver(a.window()), receiver(b.window()));
    // The first message comes in the first, so that no later one makes up for the wake of the other.
    let mut places = [
        Place::new(Signals::new(b.window(), Role::Consumer), || receives(&mut rx_b)),
        Place::new(Signals::new(a.window(), Role::Consumer), || receives(&mut rx_a)),
    ];
    let senders = [b.interruptible(), a.interruptible()].map(awake_sender);
    let producer = spawn(move || {
        for (mut tx, mut awake) in senders {
            send(&mut tx);
            awake.published();
        }
        a.retire();
    });
    wait_for_all(&mut places, planted);
    producer.join().unwrap();
}

/// A full ring and an empty one: room comes in the first, a message in the second.
fn a_sender_and_a_receiver(faults: Faults, planted: Planted) {
    let a = LoomMemory::new(32, 0, FIRST, faults);
    let b = LoomMemory::new(32, 0, FIRST, faults).beside(&a);
    let (mut tx_a, mut rx_b) = (sender(a.window()), receiver(b.window()));
    send(&mut tx_a);
    let mut places = [
        Place::new(Signals::new(a.window(), Role::Producer), || sends(&mut tx_a)),
        Place::new(Signals::new(b.window(), Role::Consumer), || receives(&mut rx_b)),
    ];
    let (mut tx_b, mut awake_b) = awake_sender(b.interruptible());
    let (mut rx_a, mut awake_a) =
        (receiver(a.interruptible()), Signals::new(a.interruptible(), Role::Consumer));
    let other = spawn(move || {
        send(&mut tx_b);
        awake_b.published();
        assert_eq!(try_recv(&mut rx_a), Some(FIRST));
        awake_a.published();
        a.retire();
    });
    wait_for_all(&mut places, planted);
    other.join().unwrap();
}

/// Two messages in one of two rings and one in the other between them, so that an announcement is served and another one made while
/// the other stands.
fn one_of_two_again(faults: Faults, planted: Planted) {
    let a = LoomMemory::new(64, 0, FIRST, faults);
    let b = LoomMemory::new(32, 0, FIRST, faults).beside(&a);
    let (mut rx_a, mut rx_b) = (receiver(a.window()), receiver(b.window()));
    let mut got = 0;
    let mut places = [
        Place::new(Signals::new(b.window(), Role::Consumer), || receives(&mut rx_b)),
        Place::new(Signals::new(a.window(), Role::Consumer), || {
            while receives(&mut rx_a) {
                got += 1;
            }
            got == 2
        }),
    ];
    let [(mut tx_a, mut awake_a), (mut tx_b, mut awake_b)] =
        [a.interruptible(), b.interruptible()].map(awake_sender);
    let producer = spawn(move || {
        send(&mut tx_a);
        awake_a.published();
        send(&mut tx_b);
        awake_b.published();
        send(&mut tx_a);
        awake_a.published();
        a.retire();
    });
    wait_for_all(&mut places, planted);
    producer.join().unwrap();
}

/// Two messages that two processes send.
fn two_producers(faults: Faults, planted: Planted) {
    let a = LoomMemory::new(32, 0, FIRST, faults);
    let b = LoomMemory::new(32, 0, FIRST, faults).beside(&a);
    let (mut rx_a, mut rx_b) = (receiver(a.window()), receiver(b.window()));
    let mut places = [
        Place::new(Signals::new(a.window(), Role::Consumer), || receives(&mut rx_a)),
        Place::new(Signals::new(b.window(), Role::Consumer), || receives(&mut rx_b)),
    ];
    let producers = [a.window(), b.window()].map(awake_sender).map(|(mut tx, mut awake)| {
        spawn(move || {
            send(&mut tx);
            awake.published();
        })
    });
    wait_for_all(&mut places, planted);
    for producer in producers {
        producer.join().unwrap();
    }
}

/// The models as they are, for the table of what needs which ordering.
pub fn receivers(faults: Faults) {
    two_receivers(faults, Planted::None);
}

pub fn sender_and_receiver(faults: Faults) {
    a_sender_and_a_receiver(faults, Planted::None);
}

pub fn again(faults: Faults) {
    one_of_two_again(faults, Planted::None);
}

type Model = fn(Faults, Planted);
const MODELS: [Model; 3] = [two_receivers, a_sender_and_a_receiver, one_of_two_again];

#[test]
fn p10_a_set_of_two_ends_loses_no_wake() {
    for model in MODELS {
        explore(2, move || model(Faults::default(), Planted::None)).unwrap();
    }
}

#[test]
fn p10_a_set_loses_no_wake_where_it_interrupts() {
    for model in MODELS {
        explore(2, move || model(INTERRUPT, Planted::None)).unwrap();
    }
}

#[test]
fn p10_a_set_loses_no_wake_between_two_processes() {
    explore(1, || two_producers(Faults::default(), Planted::None)).unwrap();
}

#[track_caller]
fn is_lost(model: Model, faults: Faults, planted: Planted) {
    let problem = explore(2, move || model(faults, planted)).unwrap_err();
    assert!(problem.contains("deadlock"), "{problem}");
}

#[test]
fn null_control_a_set_that_does_less_before_it_sleeps_loses_a_wake() {
    is_lost(two_receivers, Faults::default(), Planted::LooksNoMore);
    is_lost(two_receivers, Faults::default(), Planted::FencesTooEarly);
    is_lost(two_receivers, Faults::default(), Planted::ListensLate);
    is_lost(one_of_two_again, Faults::default(), Planted::StandsForEver);
    is_lost(two_receivers, INTERRUPT, Planted::LooksNoMore);
    is_lost(two_receivers, INTERRUPT, Planted::ListensLate);
}

#[test]
fn null_control_without_a_poke_or_a_fence_a_set_sleeps_on() {
    for model in MODELS {
        is_lost(model, Faults { mute: true, ..Faults::default() }, Planted::None);
        is_lost(model, Faults { weak: &["SLEEP_FENCE"], ..Faults::default() }, Planted::None);
        is_lost(model, Faults { weak: &["WAKE_FENCE"], ..Faults::default() }, Planted::None);
        is_lost(model, Faults { barrier: Barrier::Broken, ..Faults::default() }, Planted::None);
    }
}
