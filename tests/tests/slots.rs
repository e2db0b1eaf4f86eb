//! P1, P2, P3, P4 and P5 for fixed-size messages: a model, every crash state of small rings, and a hostile peer.

use shmq::{TryRecvError, TrySendError};
use shmq_core::layout::Parts;
use shmq_core::{
    Fault, Faulty, Hostile, Memory, Recording, Refused, RingState, SlotLayout, SlotPoll, SlotRx, SlotTx,
    Store, Window, Words,
};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What message `i` holds: never zero, and different for every lap.
fn content(i: u64) -> [u8; 8] {
    (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()
}

fn memory(shape: &SlotLayout) -> Words {
    Words::new(Parts::standard(shape.capacity).ring + shape.capacity as usize)
}

fn window<M: Memory>(memory: M, shape: &SlotLayout) -> Window<M> {
    Window::new(memory, Parts::standard(shape.capacity)).expect("the parts fit")
}

fn tx<M: Memory>(memory: M, shape: &SlotLayout) -> SlotTx<M> {
    SlotTx::attach(window(memory, shape), *shape).expect("a good ring")
}

fn rx<M: Memory>(memory: M, shape: &SlotLayout) -> SlotRx<M> {
    SlotRx::attach(window(memory, shape), *shape).expect("a good ring")
}

fn send<M: Memory>(tx: &mut SlotTx<M>) -> Result<u64, Refused> {
    tx.try_send(&content(tx.sequence()))
}

fn batch<M: Memory>(tx: &mut SlotTx<M>, messages: u64, commit: bool) -> Result<(), Refused> {
    let mut draft = tx.begin();
    tx.reserve(&draft, messages)?;
    for i in 0..messages {
        tx.fill(&draft, &content(tx.sequence() + i));
        tx.seal(&mut draft);
    }
    if commit {
        tx.publish(draft);
    }
    Ok(())
}

/// Takes one message and checks it against its number.
fn take<M: Memory>(rx: &mut SlotRx<M>) -> Option<u64> {
    let SlotPoll::Messages(_) = rx.poll() else { return None };
    let mut bytes = [0; 8];
    rx.copy_out(&mut bytes);
    let sequence = rx.sequence();
    assert_eq!(bytes, content(sequence), "message {sequence} is torn or another");
    rx.skip();
    rx.settle();
    Some(sequence)
}

/// Small numbers from a fixed seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What one end hands out and takes back holds addresses of its own ring: another end refuses it, whatever that is of.
#[test]
fn p5_what_belongs_to_another_end_is_refused() {
    let [small, large] = [1, 64].map(|depth| SlotLayout::new(8, depth, 7).expect("a layout"));
    let (small_memory, large_memory) = (memory(&small), memory(&large));
    let refused = |what: &mut dyn FnMut()| {
        let text = catch_unwind(AssertUnwindSafe(what)).expect_err("it was taken");
        assert_eq!(text.downcast_ref::<&str>(), Some(&"this belongs to another end of a queue"));
    };
    let (mut one, mut other) = (tx(small_memory.clone(), &small), tx(large_memory.clone(), &large));
    let mut draft = other.begin();
    refused(&mut || _ = one.reserve(&draft, 1));
    refused(&mut || one.fill(&draft, &content(0)));
    refused(&mut || one.seal(&mut draft));
    refused(&mut || _ = one.publish(draft));
    let ahead = rx(large_memory.clone(), &large).ahead();
    let mut rx = rx(small_memory.clone(), &small);
    refused(&mut || _ = rx.acknowledge_to(&ahead));
    refused(&mut || _ = rx.look_ahead(&mut ahead.clone()));
    // The control: its own are taken, and nothing has come of the others.
    assert_eq!(small_memory.image(), memory(&small).image());
    send(&mut one).expect("room");
    assert_eq!(take(&mut rx), Some(0));
}

#[test]
fn p2_a_ring_of_slots_is_a_bounded_queue() {
    let mut dice = Dice(1);
    for depth in [1, 2, 3, 5, 7, 8, 15, 64] {
        for group in [1, 2, 3, 7] {
            let shape = SlotLayout::new(8, depth, group).expect("a shape");
            let words = memory(&shape);
            let (mut tx, mut rx) = (tx(words.clone(), &shape), rx(words.clone(), &shape));
            let mut model = VecDeque::new();
            for _ in 0..3000 {
                match dice.below(8) {
                    0..=2 => {
                        let next = tx.sequence();
                        let expected =
                            if model.len() as u64 == depth { Err(Refused::Full) } else { Ok(next) };
                        assert_eq!(send(&mut tx), expected, "depth {depth} is exact");
                        if expected.is_ok() {
                            model.push_back(next);
                        }
                    }
                    3 => {
                        let (n, next) = (dice.below(depth + 2), tx.sequence());
                        let sent = batch(&mut tx, n, true);
                        if n > depth {
                            assert_eq!(sent, Err(Refused::TooLarge));
                        } else if model.len() as u64 + n > depth {
                            assert_eq!(sent, Err(Refused::Full));
                        } else {
                            assert_eq!(sent, Ok(()));
                            model.extend(next..next + n);
                        }
                    }
                    4 => _ = batch(&mut tx, dice.below(depth) + 1, false),
                    5 if dice.below(4) == 0 => {
                        let next = tx.sequence();
                        tx = self::tx(words.clone(), &shape);
                        assert_eq!(tx.sequence(), next);
                    }
                    6 if dice.below(4) == 0 => rx = self::rx(words.clone(), &shape),
                    _ => assert_eq!(take(&mut rx), model.pop_front()),
                }
                assert_eq!(tx.pending(), model.len() as u64);
                assert_eq!(rx.pending(), model.len() as u64);
            }
        }
    }
}

/// Message `i` in `N` bytes.
fn wide<const N: usize>(i: u64) -> [u8; N] {
    let words = [content(i), content(i + 1000), content(i + 2000)].concat();
    std::array::from_fn(|byte| words[byte])
}

/// Slices, batches and messages written in place, sent and received, as a plain queue has them.
fn many_ways<const N: usize>(depth: u64, group: u64)
where
    [u8; N]: bytemuck::Pod,
{
    let shape = SlotLayout::new(N as u64, depth, group).expect("a shape");
    let words = memory(&shape);
    let (mut tx, mut rx) = (tx(words.clone(), &shape), rx(words.clone(), &shape));
    let (mut sent, mut taken, mut dice) = (0, 0, Dice(2));
    for _ in 0..2000 {
        let (n, room) = (dice.below(depth + 2), depth - (sent - taken));
        let messages: Vec<[u8; N]> = (sent..sent + n).map(wide).collect();
        match dice.below(8) {
            4 => {
                let (some, mut rest) = (n.min(room), messages.into_iter());
                assert_eq!(tx.try_send_iter(&mut rest), Ok(some as usize));
                sent += some;
                assert_eq!(rest.next(), (some < n).then(|| wide(sent)), "what has no room is not asked for");
            }
            5 => {
                let mut next = taken;
                let some = rx.drain(n as usize, |message: [u8; N]| {
                    assert_eq!(message, wide(next));
                    next += 1;
                    true
                });
                assert_eq!((some as u64, next), (n.min(depth).min(sent - taken), taken + some as u64));
                rx.settle();
                taken = next;
            }
            0 => {
                let some = n.min(room);
                assert_eq!(tx.try_send_slice(&messages), Ok(some as usize));
                sent += some;
            }
            1 => {
                let all = match n {
                    _ if n > depth => Err(Refused::TooLarge),
                    _ if n > room => Err(Refused::Full),
                    _ => Ok(sent),
                };
                assert_eq!(tx.try_send_batch(&messages), all);
                sent += all.map_or(0, |_| n);
            }
            2 if tx.need_room().is_ok() => {
                assert!(room > 0);
                tx.window().copy_in_at(tx.next_place(), &wide::<N>(sent));
                assert_eq!(tx.commit(), sent);
                sent += 1;
            }
            2 => assert_eq!(room, 0),
            // Given up, which leaves nothing.
            3 if n <= room => {
                let mut draft = tx.begin();
                tx.reserve(&draft, n).expect("room");
                for _ in 0..n {
                    tx.fill(&draft, &[7; N]);
                    tx.seal(&mut draft);
                }
            }
            _ => {
                let mut got = vec![[0; N]; n as usize];
                let some = rx.copy_slice(&mut got);
                assert_eq!(some as u64, n.min(sent - taken));
                let expected: Vec<[u8; N]> = (taken..taken + some as u64).map(wide).collect();
                assert_eq!(got[..some], expected);
                rx.settle();
                taken += some as u64;
            }
        }
        assert_eq!((tx.sequence(), rx.sequence(), tx.pending()), (sent, taken, sent - taken));
        assert!(!tx.is_taken(taken) && (taken == 0 || tx.is_taken(taken - 1)));
    }
    assert!(taken > 200, "{taken} messages");
}

#[test]
fn p1_p2_an_iterator_that_panics_sends_whole_groups_and_a_drain_that_panics_takes_what_it_was_done_with() {
    let (mut tx, mut rx) = shmq::slots::pair::<u64>(100).expect("memory");
    let broken = (0..100).inspect(|n| assert!(*n != 40, "on purpose"));
    assert!(catch_unwind(AssertUnwindSafe(|| tx.try_send_iter(broken))).is_err());
    // Seven to a group.
    assert_eq!(tx.try_send_iter(35..40), Ok(5));
    let mut seen = Vec::new();
    let drained = catch_unwind(AssertUnwindSafe(|| {
        rx.try_drain(100, |n| {
            assert!(n != 17, "on purpose");
            seen.push(n);
        })
    }));
    assert!(drained.is_err());
    assert_eq!((seen, rx.try_recv()), ((0..17).collect(), Ok(17)));
    let mut rest = Vec::new();
    assert_eq!((rx.try_drain(5, |n| rest.push(n)), rx.pending()), (Ok(5), 17));
    assert_eq!(rx.try_drain(100, |n| rest.push(n)), Ok(17));
    assert_eq!(rx.try_drain(100, |_| {}), Err(TryRecvError::Empty));
    assert_eq!(rest, (18..40).collect::<Vec<_>>());
    assert_eq!(tx.try_send_iter(0..1000), Ok(100), "all of it has come back");
    drop(rx);
    assert_eq!(tx.try_send_iter(0..1000), Err(TrySendError::ConsumerLeft));
}

#[test]
fn p2_slices_batches_and_messages_in_place_are_one_queue() {
    for depth in [1, 2, 3, 7, 8, 15, 64] {
        for group in [1, 2, 3, 7] {
            many_ways::<8>(depth, group);
            many_ways::<12>(depth, group);
            many_ways::<24>(depth, group);
        }
    }
    // Rings in which a consumer lets its producer run ahead, and then goes through full groups as a whole; the last of each but one
    // has as many to a group as is usual.
    for group in [1, 5, 7] {
        many_ways::<8>(700, group);
    }
    for group in [3, 4, 15] {
        many_ways::<16>(700, group);
    }
    for group in [4, 5, 7] {
        many_ways::<12>(700, group);
        many_ways::<24>(700, group);
    }
}

/// How a run of messages is taken.
#[derive(Clone, Copy, Debug)]
enum Run {
    Slice,
    Drain,
}

/// Takes what is there at once, and checks it; returns how many.
fn take_run(rx: &mut SlotRx<Words>, run: Run) -> u64 {
    let first = rx.sequence();
    let mut got = Vec::new();
    match run {
        Run::Slice => {
            got.resize(1000, [0; 8]);
            let some = rx.copy_slice(&mut got);
            got.truncate(some);
        }
        Run::Drain => {
            rx.drain(1000, |message: [u8; 8]| {
                got.push(message);
                true
            });
        }
    }
    assert!(got.iter().zip(first..).all(|(message, i)| *message == content(i)), "{run:?}");
    rx.settle();
    got.len() as u64
}

/// A run goes through full groups without a look at anything but their words, and believes none that cannot be.
#[test]
fn p5_a_run_ends_where_a_word_says_nonsense() {
    let shape = SlotLayout::new(8, 700, 7).expect("a shape");
    let all = 350;
    for (group, word, taken, what) in [
        (20, 140, 140, "the word of a lap ago"),
        (20, 141, 141, "but one message"),
        (20, 146, 146, "all but one"),
        (20, 147, all, "the control: all of them"),
        (20, all, all, "of a later lap, as if this one were done"),
        (20, 840, all, "as many as can be"),
        (20, 841, 140, "one more than can be"),
        (20, u64::MAX, 140, "far too many"),
        (20, 147 | 1 << 63, all, "the end of data in a full group, where it never is"),
        (20, 143 | 1 << 63, 143, "the end of data"),
        (1, 7, 7, "behind the first group"),
        (1, 708, 7, "too many there"),
    ] {
        for run in [Run::Slice, Run::Drain] {
            let words = memory(&shape);
            let (mut tx, mut rx) = (tx(words.clone(), &shape), rx(words.clone(), &shape));
            (0..all).for_each(|_| _ = send(&mut tx).expect("room"));
            let place = Parts::standard(shape.capacity).ring + (group * shape.group_bytes) as usize;
            // SAFETY: `Words` checks bounds itself.
            unsafe { words.store(place, word, shmq_core::memory::at::COMMIT) };
            let got = take_run(&mut rx, run);
            assert_eq!(got, taken, "{what}, {run:?}");
            // What cannot be is reported, and nothing more is taken.
            let corrupt = matches!(rx.poll(), SlotPoll::Corrupt(_));
            assert_eq!(corrupt, [841, 708, u64::MAX].contains(&word), "{what}, {run:?}");
        }
    }
}

/// A depth of less than a group: no honest group is ever full before its first message is taken.
#[test]
fn p5_a_run_takes_no_full_group_that_is_more_than_the_depth() {
    for (depth, taken) in [(4, 1), (6, 1), (7, 8)] {
        let shape = SlotLayout::new(8, depth, 7).expect("a shape");
        let words = memory(&shape);
        let (mut tx, mut rx) = (tx(words.clone(), &shape), rx(words.clone(), &shape));
        for _ in 0..6 {
            send(&mut tx).expect("room");
            take(&mut rx).expect("a message");
        }
        send(&mut tx).expect("room");
        let group = Parts::standard(shape.capacity).ring + shape.word_offset(7) as usize;
        for (i, message) in (7..14).map(content).enumerate() {
            // SAFETY: `Words` checks bounds itself.
            unsafe { words.copy_in(group + (shape.head as usize) + 8 * i, &message) };
        }
        // A word that says that all of the next group is there, too.
        // SAFETY: as above.
        unsafe { words.store(group, 14, shmq_core::memory::at::COMMIT) };
        assert_eq!(take_run(&mut rx, Run::Slice), taken, "depth {depth}");
        assert_eq!(matches!(rx.poll(), SlotPoll::Corrupt(_)), depth < 7, "depth {depth}");
    }
}

#[test]
fn p3_the_end_needs_no_room_and_nothing_follows_it() {
    for depth in [1, 2, 7, 8] {
        let shape = SlotLayout::new(8, depth, 7).expect("a shape");
        for before in 0..20 {
            let words = memory(&shape);
            let (mut tx, mut rx) = (tx(words.clone(), &shape), rx(words.clone(), &shape));
            for _ in 0..before {
                send(&mut tx).expect("room");
                take(&mut rx).expect("a message");
            }
            while send(&mut tx).is_ok() {}
            tx.finish().expect("the end");
            assert_eq!(send(&mut tx), Err(Refused::Finished));
            assert_eq!(self::tx(words.clone(), &shape).state(), RingState::Finished);
            assert_eq!(std::iter::from_fn(|| take(&mut rx)).count() as u64, depth);
            assert_eq!(rx.poll(), SlotPoll::Finished);
            assert_eq!(self::rx(words.clone(), &shape).poll(), SlotPoll::Finished);
        }
    }
}

#[test]
fn p3_who_comes_to_a_finished_ring_does_not_erase_the_end() {
    let shape = SlotLayout::new(8, 4, 2).expect("a shape");
    let words = memory(&shape);
    let (mut tx, mut rx) = (tx(words.clone(), &shape), rx(words.clone(), &shape));
    for _ in 0..2 {
        send(&mut tx).expect("room");
        take(&mut rx).expect("a message");
    }
    // Words run ahead of a batch that is given up, and the end takes the first one's place.
    batch(&mut tx, 4, false).expect("room");
    tx.finish().expect("the end");
    let mut late = self::tx(words.clone(), &shape);
    assert_eq!(send(&mut late), Err(Refused::Finished));
    assert_eq!(self::tx(words.clone(), &shape).state(), RingState::Finished);
    assert_eq!(rx.poll(), SlotPoll::Finished);
}

/// What is done when the process dies.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Send,
    Batch(u64),
    Forgotten(u64),
    ForgottenThenSend(u64),
    Finish,
    Take(u64),
    AttachTx,
    AttachRx,
}

fn run<M: Memory + Clone>(memory: &M, shape: &SlotLayout, operation: Operation) {
    let sending = |act: &dyn Fn(&mut SlotTx<M>)| act(&mut tx(memory.clone(), shape));
    match operation {
        Operation::Send => sending(&|tx| _ = send(tx)),
        Operation::Batch(n) => sending(&|tx| _ = batch(tx, n, true)),
        Operation::Forgotten(n) => sending(&|tx| _ = batch(tx, n, false)),
        Operation::ForgottenThenSend(n) => sending(&|tx| {
            let _ = batch(tx, n, false);
            let _ = send(tx);
        }),
        Operation::Finish => sending(&|tx| _ = tx.finish()),
        Operation::Take(n) => {
            let mut rx = rx(memory.clone(), shape);
            for _ in 0..n {
                take(&mut rx);
            }
        }
        Operation::AttachTx => drop(tx(memory.clone(), shape)),
        Operation::AttachRx => drop(rx(memory.clone(), shape)),
    }
}

/// The log of an operation on a copy of the memory.
fn log_of(before: &[u64], shape: &SlotLayout, operation: Operation, fault: Fault) -> Vec<Store> {
    let recording = Recording::new(Words::from_image(before));
    run(&Faulty::new(recording.clone(), fault), shape, operation);
    recording.take_log()
}

/// After `Finish` returned, the end must be there; `sends` being none says nothing of it, so it is checked apart.
fn check_end(image: &[u64], shape: &SlotLayout) {
    assert_eq!(tx(Words::from_image(image), shape).state(), RingState::Finished);
}

/// Checks one crash state: `read` messages were taken for certain, `sent` were sent; the operation may have added
/// `sends` (all of them or none), or taken up to `takes`.
fn check(image: &[u64], shape: &SlotLayout, read: u64, sent: u64, sends: u64, takes: u64) {
    let words = Words::from_image(image);
    let mut alive = rx(words.clone(), shape);
    let seen = alive.sequence();
    assert!((read..=read + takes).contains(&seen), "the consumer resumes at {seen}");
    let mut tx = tx(words.clone(), shape);
    let next = tx.sequence();
    assert!(
        next == sent || next == sent + sends,
        "the producer resumes at {next}, {sent} were sent and {sends} in doubt"
    );
    // Everything in between is there, in order and whole; and the ring goes on for two laps.
    for expected in seen..next {
        assert_eq!(take(&mut alive), Some(expected));
    }
    assert_eq!(take(&mut alive), None, "nothing that was not sent");
    if tx.state() == RingState::Open {
        for i in 0..2 * shape.groups * shape.group + 1 {
            assert_eq!(send(&mut tx), Ok(next + i));
            assert_eq!(take(&mut alive), Some(next + i));
            assert_eq!(take(&mut alive), None, "nothing that was not sent");
        }
    }
}

/// Every prefix of the operation's stores, and of the recovery's, is an allowed state. Returns how many there were.
fn explore(before: &[u64], shape: &SlotLayout, operation: Operation, fault: Fault) -> u64 {
    let (read, sent) =
        (rx(Words::from_image(before), shape).sequence(), tx(Words::from_image(before), shape).sequence());
    let room = shape.depth - (sent - read);
    let (sends, takes) = match operation {
        Operation::Send | Operation::ForgottenThenSend(_) => (1.min(room), 0),
        Operation::Batch(n) => (if n <= room { n } else { 0 }, 0),
        Operation::Take(n) => (0, n.min(sent - read)),
        _ => (0, 0),
    };
    let log = log_of(before, shape, operation, fault);
    let mut states = 0;
    for n in 0..=log.len() {
        let image = Recording::prefix(before, &log, n);
        if n == log.len() {
            // It returned: nothing is in doubt.
            check(&image, shape, read + takes, sent + sends, 0, 0);
            if let Operation::Finish = operation {
                check_end(&image, shape);
            }
        }
        check(&image, shape, read, sent, sends, takes);
        states += 1;
        for recovery in [Operation::AttachTx, Operation::AttachRx] {
            let again = log_of(&image, shape, recovery, Fault::None);
            for m in 0..=again.len() {
                check(&Recording::prefix(&image, &again, m), shape, read, sent, sends, takes);
                states += 1;
            }
        }
    }
    states
}

fn explore_all(operations: &[Operation], fault: Fault) -> u64 {
    let mut states = 0;
    for (depth, group) in [(1, 1), (1, 3), (2, 2), (3, 2), (4, 3), (5, 2), (6, 3)] {
        let shape = SlotLayout::new(8, depth, group).expect("a shape");
        for start in 0..=shape.groups * group {
            for pending in 0..=depth {
                let words = memory(&shape);
                let (mut tx, mut rx) = (tx(words.clone(), &shape), rx(words.clone(), &shape));
                for _ in 0..start {
                    send(&mut tx).expect("room");
                    take(&mut rx).expect("a message");
                }
                for _ in 0..pending {
                    send(&mut tx).expect("room");
                }
                for &operation in operations {
                    states += explore(&words.image(), &shape, operation, fault);
                }
            }
        }
    }
    states
}

const SENDS: [Operation; 6] = [
    Operation::Send,
    Operation::Batch(2),
    Operation::Batch(5),
    Operation::Forgotten(4),
    Operation::ForgottenThenSend(5),
    Operation::Finish,
];
const TAKES: [Operation; 4] =
    [Operation::Take(1), Operation::Take(4), Operation::AttachTx, Operation::AttachRx];

#[test]
fn p1_p4_every_crash_state_of_a_small_ring_of_slots_is_whole() {
    let states = explore_all(&SENDS, Fault::None) + explore_all(&TAKES, Fault::None);
    println!("{states} crash states");
    assert!(states > 10_000);
}

#[test]
fn p1_null_control_the_explorer_finds_planted_bugs() {
    for fault in [Fault::PublishFirst, Fault::Drop("DIRTY"), Fault::Drop("COMMIT"), Fault::Drop("FINISH")] {
        let found = catch_unwind(AssertUnwindSafe(|| explore_all(&SENDS, fault))).is_err();
        assert!(found, "{fault:?} was not noticed");
    }
    assert!(catch_unwind(AssertUnwindSafe(|| explore_all(&TAKES, Fault::Drop("GIVE_BACK")))).is_err());
}

#[test]
fn p5_whatever_a_hostile_peer_writes_the_calls_end_and_stay_inside() {
    let mut dice = Dice(7);
    for round in 0..3000 {
        let shape =
            SlotLayout::new(1 + dice.below(40), 1 + dice.below(9), 1 + dice.below(7)).expect("a shape");
        let limit = 8 * (shape.groups + 2) + 2 * shape.capacity / 8 + 64;
        let script: Vec<u64> = (0..300)
            .map(|_| match dice.below(4) {
                0 => dice.below(20),
                1 => u64::MAX - dice.below(20),
                2 => 1 << dice.below(64),
                _ => dice.below(u64::MAX),
            })
            .collect();
        let hostile = Hostile::new(memory(&shape), script);
        let work = |done: &mut u64| {
            let spent = hostile.accesses() - *done;
            *done += spent;
            assert!(spent <= limit, "round {round}: one call made {spent} accesses");
        };
        let mut done = 0;
        if let Ok(mut tx) = SlotTx::attach(window(hostile.clone(), &shape), shape) {
            work(&mut done);
            for n in 0..20 {
                let bytes = vec![n as u8; shape.size as usize];
                let _ = tx.try_send(&bytes);
                work(&mut done);
                let mut draft = tx.begin();
                if tx.reserve(&draft, n % shape.depth).is_ok() {
                    for _ in 0..n % shape.depth {
                        tx.fill(&draft, &bytes);
                        tx.seal(&mut draft);
                    }
                    tx.publish(draft);
                }
                work(&mut done);
                if let RingState::Corrupt(_) = tx.state() {
                    assert!(matches!(tx.try_send(&bytes), Err(Refused::Corrupt(_))), "corruption is sticky");
                }
            }
        }
        done = hostile.accesses();
        if let Ok(mut rx) = SlotRx::attach(window(hostile.clone(), &shape), shape) {
            let mut bytes = vec![0; shape.size as usize];
            for _ in 0..40 {
                match rx.poll() {
                    SlotPoll::Messages(n) => {
                        assert!(n >= 1 && n <= shape.group);
                        rx.copy_out(&mut bytes);
                        rx.skip();
                        rx.settle();
                    }
                    SlotPoll::Corrupt(_) => {
                        assert!(matches!(rx.poll(), SlotPoll::Corrupt(_)), "corruption is sticky")
                    }
                    SlotPoll::Empty | SlotPoll::Finished => {}
                }
                work(&mut done);
            }
        }
    }
}

#[test]
fn p2_who_has_taken_all_it_knows_of_looks_for_a_sleeping_producer() {
    let shape = SlotLayout::new(8, 20, 3).expect("a shape");
    let memory = memory(&shape);
    let (mut tx, mut rx) = (tx(memory.clone(), &shape), rx(memory, &shape));
    for _ in 0..5 {
        send(&mut tx).expect("room");
    }
    let settled: Vec<bool> = (0..5)
        .map(|_| {
            assert!(matches!(rx.poll(), SlotPoll::Messages(_)));
            rx.skip();
            rx.settle()
        })
        .collect();
    assert_eq!(settled, [false, false, true, false, true], "a group is known at a time");
}
