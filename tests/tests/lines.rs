//! What ends do to lines for the sake of speed alone: no store of it changes a byte, and no test of another kind would miss it.
//! Each line that a consumer gives back has been stored to once more; and a producer asks for each line that it comes to, early, once, and only when it is free.

use shmq_core::layout::{CACHE_LINE, Parts};
use shmq_core::{
    Hostile, LinePolicy, Memory, Poll, RecordRx, RecordTx, Recording, SlotLayout, SlotPoll, SlotRx, SlotTx,
    Store, Window, Words,
};
use std::collections::BTreeSet;

const SMALL: u64 = 64 << 10;
const LARGE: u64 = 4 << 20;

fn memory(capacity: u64) -> Recording {
    Recording::new(Words::new(Parts::standard(capacity).ring + capacity as usize))
}

fn window<M: Memory>(memory: M, capacity: u64) -> Window<M> {
    Window::new(memory, Parts::standard(capacity)).expect("the parts fit")
}

/// Lines of the ring that were stored to.
fn lines(log: &[Store], capacity: u64) -> BTreeSet<u64> {
    let ring = Parts::standard(capacity).ring;
    log.iter().filter(|(at, _)| *at >= ring).map(|(at, _)| (at - ring) as u64 / CACHE_LINE).collect()
}

/// What a consumer stores to while it takes what is there, and that it changes nothing: a look at all it does to a ring.
fn stored(memory: &Recording, capacity: u64, take_all: impl FnOnce()) -> BTreeSet<u64> {
    let ring = Parts::standard(capacity).ring / 8;
    let before = memory.words().image();
    memory.take_log();
    take_all();
    let after = memory.words().image();
    assert!(before[..ring] != after[..ring], "something was taken");
    assert!(before[ring..] == after[ring..], "the ring itself stays as it is");
    lines(&memory.take_log(), capacity)
}

/// Lines that a third of a ring full of records takes, and those that its consumer stores to.
fn records(capacity: u64) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let memory = memory(capacity);
    let mut tx = RecordTx::attach(window(memory.words().clone(), capacity), 5000, None).expect("a good ring");
    let mut rx = RecordRx::attach(window(memory.clone(), capacity), 5000, None).expect("a good ring");
    let mut sent = 0;
    for len in (0..5000).step_by(77).cycle() {
        if sent > capacity / 3 {
            break;
        }
        tx.try_send(&vec![7; len]).expect("room");
        sent += 8 + len.next_multiple_of(8) as u64;
    }
    let stored = stored(&memory, capacity, || {
        while let Poll::Message(record) = rx.poll() {
            rx.acknowledge(&record);
        }
    });
    ((0..sent.div_ceil(CACHE_LINE)).collect(), stored)
}

/// The same of a third of all groups of slots.
fn slots(shape: SlotLayout) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let memory = memory(shape.capacity);
    let groups = shape.groups / 3;
    let mut tx = SlotTx::attach(window(memory.words().clone(), shape.capacity), shape).expect("a good ring");
    let mut rx = SlotRx::attach(window(memory.clone(), shape.capacity), shape).expect("a good ring");
    for _ in 0..groups * shape.group {
        tx.try_send(&vec![7; shape.size as usize]).expect("room");
    }
    let stored = stored(&memory, shape.capacity, || {
        while let SlotPoll::Messages(_) = rx.poll() {
            rx.skip();
            rx.settle();
        }
    });
    ((0..groups * shape.group_bytes / CACHE_LINE).collect(), stored)
}

#[test]
fn each_line_of_what_was_taken_is_handed_back() {
    for capacity in [SMALL, LARGE] {
        let (lines, stored) = records(capacity);
        assert!(lines == stored, "records in {capacity} bytes");
    }
    for (size, depth, group) in [(8, 700, 7), (64, 1000, 1), (1000, 60, 3), (4096, 1024, 1)] {
        let (lines, stored) = slots(SlotLayout::new(size, depth, group).expect("a shape"));
        assert!(lines == stored, "{depth} slots of {size} bytes");
    }
}

/// Lines of the ring that a producer of records asked for, one after the other, while it sent `bytes` of records to a consumer
/// that takes them at once, or to none.
fn asked_for_records(capacity: u64, bytes: u64, taken: bool) -> Vec<u64> {
    let memory = memory(capacity);
    let mut tx = RecordTx::attach(window(memory.clone(), capacity), 2000, None).expect("a good ring");
    let mut rx = RecordRx::attach(window(memory.words().clone(), capacity), 2000, None).expect("a good ring");
    let mut sent = 0;
    for len in (0..1000).step_by(9).cycle() {
        sent += 8 + (len as u64).next_multiple_of(8);
        if sent > bytes || tx.try_send(&vec![7; len]).is_err() {
            break;
        }
        if let (true, Poll::Message(record)) = (taken, rx.poll()) {
            rx.acknowledge(&record);
        }
    }
    places(&memory, capacity)
}

/// The same of slots.
fn asked_for_slots(shape: SlotLayout, messages: u64, batch: u64, taken: bool) -> Vec<u64> {
    let memory = memory(shape.capacity);
    let mut tx = SlotTx::attach(window(memory.clone(), shape.capacity), shape).expect("a good ring");
    let mut rx = SlotRx::attach(window(memory.words().clone(), shape.capacity), shape).expect("a good ring");
    for _ in 0..messages / batch {
        let mut draft = tx.begin();
        if tx.reserve(&draft, batch).is_err() {
            break;
        }
        for _ in 0..batch {
            tx.fill(&draft, &vec![7; shape.size as usize]);
            tx.seal(&mut draft);
        }
        tx.publish(draft);
        while let (true, SlotPoll::Messages(_)) = (taken, rx.poll()) {
            rx.skip();
            rx.settle();
        }
    }
    places(&memory, shape.capacity)
}

fn places(memory: &Recording, capacity: u64) -> Vec<u64> {
    lines_of(&memory.take_asked(), capacity)
}

fn lines_of(asked: &[usize], capacity: u64) -> Vec<u64> {
    let ring = Parts::standard(capacity).ring;
    let place = |at: &usize| {
        let at = (at - ring) as u64;
        assert!(at.is_multiple_of(CACHE_LINE), "the beginning of a line");
        at / CACHE_LINE
    };
    asked.iter().map(place).collect()
}

/// One after the other, round and round a ring of so many lines; but for some that are passed over, where a producer goes to the
/// beginning of the ring or did not know yet that they are free.
fn in_order(asked: &[u64], lines: u64) -> bool {
    let steps = || asked.windows(2).map(|two| (two[1] + lines - two[0]) % lines);
    let ones = steps().filter(|&step| step == 1).count();
    steps().all(|step| (1..48).contains(&step)) && ones > asked.len() / 50 * 49
}

#[test]
fn a_producer_asks_early_for_each_line_it_comes_to() {
    let asked = asked_for_records(SMALL, 10 * SMALL, true);
    assert!(in_order(&asked, SMALL / CACHE_LINE), "each line once in each lap");
    assert_eq!(asked[0], 17, "so many lines behind the one that is written");
    let laps = asked.len() as u64 * CACHE_LINE / SMALL;
    assert!((9..=10).contains(&laps), "{laps} laps");

    for batch in [1, 21] {
        let shape = SlotLayout::new(8, 700, 7).expect("a shape");
        let asked = asked_for_slots(shape, 7000, batch, true);
        assert!(in_order(&asked, shape.groups), "batches of {batch}");
        assert!((800..=1000).contains(&asked.len()), "{} of 1000 groups", asked.len());
        assert_eq!(asked[0], 17, "so many groups behind the one that comes next");
    }
}

#[test]
fn a_producer_asks_for_each_line_of_a_group() {
    // Two lines to a group, eight groups ahead.
    let shape = SlotLayout::new(24, 700, 5).expect("a shape");
    let asked = asked_for_slots(shape, 3000, 1, true);
    assert!(in_order(&asked, shape.capacity / CACHE_LINE), "each line once in each lap");
    assert_eq!(asked[..2], [18, 19]);
}

#[test]
fn lines_are_handed_back_in_turn_also_round_the_end_of_the_ring() {
    let capacity = 4096;
    let memory = memory(capacity);
    let mut tx = RecordTx::attach(window(memory.words().clone(), capacity), 2000, None).expect("a good ring");
    let mut rx = RecordRx::attach(window(memory.clone(), capacity), 2000, None).expect("a good ring");
    let (mut handed, mut sent) = (Vec::new(), 0);
    let mut lens = (0..700).step_by(9).cycle();
    while sent < 20 * capacity {
        // Several at a time, so that what is given back at once lies on both sides of the end.
        for len in lens.by_ref().take(4) {
            sent += 8 + (len as u64).next_multiple_of(8);
            tx.try_send(&vec![7; len]).expect("room");
        }
        while let Poll::Message(record) = rx.poll() {
            rx.acknowledge(&record);
        }
        let ring = Parts::standard(capacity).ring;
        let stores: Vec<usize> =
            memory.take_log().iter().map(|&(at, _)| at).filter(|&at| at >= ring).collect();
        handed.extend(stores.iter().map(|at| (at - ring) as u64 / CACHE_LINE));
    }
    // One that a message ends in, once more with the next.
    assert!(handed.windows(2).all(|two| (two[1] + 64 - two[0]) % 64 <= 1), "{handed:?}");
    handed.dedup();
    assert!(handed.len() as u64 > 19 * capacity / CACHE_LINE);
}

/// Lines that a consumer of so many slots asked for while it took them, when it knew how far the producer had come.
fn wanted(shape: SlotLayout, messages: u64, taken: u64) -> Vec<u64> {
    wanted_by(LinePolicy::AMD, shape, messages, taken)
}

fn wanted_by(policy: LinePolicy, shape: SlotLayout, messages: u64, taken: u64) -> Vec<u64> {
    let memory = memory(shape.capacity).with_policy(policy);
    let mut tx = SlotTx::attach(window(memory.words().clone(), shape.capacity), shape).expect("a good ring");
    let mut rx = SlotRx::attach(window(memory.clone(), shape.capacity), shape).expect("a good ring");
    for _ in 0..messages {
        tx.try_send(&vec![7; shape.size as usize]).expect("room");
    }
    for _ in 0..taken {
        assert!(matches!(rx.poll(), SlotPoll::Messages(_)));
        rx.skip();
        rx.settle();
    }
    lines_of(&memory.take_wanted(), shape.capacity)
}

#[test]
fn a_consumer_far_behind_asks_for_the_line_after_the_next() {
    let shape = SlotLayout::new(8, 700, 7).expect("a shape");
    assert_eq!(
        wanted(shape, 140, 70),
        (3..=11).collect::<Vec<_>>(),
        "from the second group on, known by then"
    );
    // Not for what the producer may still be writing: the last two groups, and one that its stored count lags behind by.
    assert_eq!(wanted(shape, 70, 70), [3, 4, 5, 6, 7]);
    // Not of groups of several lines, which processors ask for by themselves.
    assert_eq!(wanted(SlotLayout::new(24, 700, 5).expect("a shape"), 100, 50), []);
}

#[test]
fn on_intel_a_consumer_far_behind_asks_for_all_lines_of_what_is_sixteen_lines_further_on() {
    let wanted = |size, depth, group, messages, taken| {
        let shape = SlotLayout::new(size, depth, group).expect("a shape");
        wanted_by(LinePolicy::INTEL, shape, messages, taken)
    };
    assert_eq!(wanted(8, 700, 7, 280, 70), (17..=25).collect::<Vec<_>>(), "one line to a group");
    // Two lines to a group, eight groups ahead.
    assert_eq!(wanted(24, 700, 5, 100, 25), (18..=25).collect::<Vec<_>>());
    // Of a group of seventeen lines that is one group.
    assert_eq!(wanted(1024, 40, 1, 20, 4), (34..=84).collect::<Vec<_>>());
    // Again not for what the producer may still be writing.
    assert_eq!(wanted(8, 700, 7, 140, 140), [17]);
    assert_eq!(wanted(8, 700, 7, 112, 112), []);
}

#[test]
fn messages_in_slices_and_iterators_are_asked_for_as_single_ones_are() {
    for policy in [LinePolicy::AMD, LinePolicy::INTEL] {
        let shape = SlotLayout::new(8, 700, 7).expect("a shape");
        let all: Vec<u64> = (0..280).collect();
        let alone = wanted_by(policy, shape, 280, 210);
        assert!(alone.len() > 20);
        for iterators in [false, true] {
            let memory = memory(shape.capacity).with_policy(policy);
            let mut tx = SlotTx::attach(window(memory.clone(), shape.capacity), shape).expect("a good ring");
            let mut rx = SlotRx::attach(window(memory.clone(), shape.capacity), shape).expect("a good ring");
            let (sent, got) = if iterators {
                (tx.try_send_iter(&mut all.iter().copied()), rx.drain(210, |_: u64| true))
            } else {
                (tx.try_send_slice(&all), rx.copy_slice(&mut [0u64; 210]))
            };
            assert_eq!((sent, got), (Ok(280), 210));
            // Perhaps one more, as the producer has said that its last group is full.
            let wanted = lines_of(&memory.take_wanted(), shape.capacity);
            assert!(wanted.starts_with(&alone) && wanted.len() <= alone.len() + 1, "{wanted:?}, {alone:?}");
            assert_eq!(places(&memory, shape.capacity), (17..=56).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_producer_asks_for_messages_of_up_to_512_bytes_and_never_a_lap_ahead() {
    let asked =
        |size, depth| asked_for_slots(SlotLayout::new(size, depth, 1).expect("a shape"), 100, 1, true);
    assert!(asked(504, 40).len() > 700 && asked(512, 40).len() > 700);
    assert_eq!(asked(513, 40), [], "processors see to larger ones themselves");
    // Groups of a line: 16 further on lies the one that comes next.
    assert_eq!(asked(8, 16), []);
    assert!(asked(8, 40).len() > 50);
}

#[test]
fn a_producer_asks_for_nothing_that_is_not_free() {
    // From an empty ring that nobody takes from, nothing beyond its end, which is where the first message lies.
    let asked = asked_for_records(SMALL, u64::MAX, false);
    assert!(in_order(&asked, 1 << 40), "never round the ring");
    assert!(asked.len() as u64 > SMALL / CACHE_LINE - 64, "{}", asked.len());
    let shape = SlotLayout::new(8, 700, 7).expect("a shape");
    let asked = asked_for_slots(shape, u64::MAX, 1, false);
    assert!(in_order(&asked, 1 << 40) && asked.len() > 50, "{asked:?}");
}

/// Loads of a consumer that takes three messages, one after the other, each before the next is sent.
fn loads(shape: Option<SlotLayout>, adaptive: bool) -> u64 {
    let capacity = shape.map_or(SMALL, |shape| shape.capacity);
    let memory = Words::new(Parts::standard(capacity).ring + capacity as usize);
    let counted = Hostile::new(memory.clone(), Vec::new());
    let (ours, theirs) = (window(counted.clone(), capacity), window(memory, capacity));
    if let Some(shape) = shape {
        let mut tx = SlotTx::attach(theirs, shape).expect("a good ring");
        let mut rx = SlotRx::attach(ours, shape).expect("a good ring");
        rx.set_adaptive(adaptive);
        let attached = counted.accesses();
        for _ in 0..3 {
            tx.try_send(&vec![7; shape.size as usize]).expect("room");
            assert!(matches!(rx.poll(), SlotPoll::Messages(1)));
            rx.skip();
            rx.settle();
        }
        return counted.accesses() - attached;
    }
    let mut tx = RecordTx::attach(theirs, 64, None).expect("a good ring");
    let mut rx = RecordRx::attach(ours, 64, None).expect("a good ring");
    rx.set_adaptive(adaptive);
    let attached = counted.accesses();
    for _ in 0..3 {
        tx.try_send(&[7; 64]).expect("room");
        let Poll::Message(record) = rx.poll() else { panic!("one was sent") };
        rx.acknowledge(&record);
    }
    counted.accesses() - attached
}

#[test]
fn a_consumer_that_may_not_wait_does_not_look_how_far_the_producer_is() {
    for shape in [None, SlotLayout::new(64, 1000, 1)] {
        assert!(loads(shape, true) > loads(shape, false), "{shape:?}");
    }
}
