//! P1, P6: room is counted to the byte, what a plan says is what a batch then meets, and who looks ahead sees all there is.

use shmq_core::layout::Parts;
use shmq_core::{Poll, RecordRx, RecordTx, Refused, SlotLayout, SlotPoll, SlotRx, SlotTx, Window, Words};

const CAPACITY: u64 = 64;
const LENS: [u64; 3] = [0, 9, 24];

/// Both ends of a ring of records.
struct Ring {
    memory: Words,
    depth: Option<u64>,
    tx: RecordTx<Words>,
    rx: RecordRx<Words>,
}

impl Ring {
    fn new(depth: Option<u64>) -> Self {
        Self::of(&Words::new(Parts::standard(CAPACITY).ring + CAPACITY as usize), depth)
    }

    fn of(memory: &Words, depth: Option<u64>) -> Self {
        let window = || Window::new(memory.clone(), Parts::standard(CAPACITY)).expect("the parts fit");
        let tx = RecordTx::attach(window(), LENS[2], depth).expect("a good ring");
        let rx = RecordRx::attach(window(), LENS[2], depth).expect("a good ring");
        Self { memory: memory.clone(), depth, tx, rx }
    }

    /// The same in memory of its own, with a producer that has just looked.
    fn copy(&self) -> Self {
        Self::of(&Words::from_image(&self.memory.image()), self.depth)
    }

    fn send(&mut self, len: u64) -> Result<u64, Refused> {
        self.tx.try_send(&vec![7; len as usize])
    }

    fn take(&mut self) -> bool {
        let Poll::Message(record) = self.rx.poll() else { return false };
        self.rx.acknowledge(&record);
        self.rx.give_back();
        true
    }

    /// What becomes of a batch when it is written.
    fn batch(&mut self, lens: &[u64]) -> Result<u64, Refused> {
        let mut draft = self.tx.begin()?;
        for &len in lens {
            let place = self.tx.reserve(&mut draft, len)?;
            self.tx.seal(&mut draft, &place, len);
        }
        Ok(self.tx.publish(draft))
    }

    /// The same as the plan says.
    fn planned(&mut self, lens: &[u64]) -> Result<u64, Refused> {
        let plan = self.tx.plan(lens.iter().copied())?;
        self.tx.try_room(&plan)?;
        Ok(self.tx.sequence())
    }
}

/// How a ring came to be as it is.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    depth: Option<u64>,
    /// Words from the start of the ring to where both ends are at first.
    start: u64,
    /// Up to three messages, as far as there is room: digits to the base 3.
    pending: usize,
    /// How many are taken since the producer looked.
    taken: usize,
}

impl Recipe {
    fn all() -> impl Iterator<Item = Self> {
        let each = |depth, start| {
            let one = move |pending, taken| Self { depth, start, pending, taken };
            (0..27).flat_map(move |pending| (0..3).map(move |taken| one(pending, taken)))
        };
        [None, Some(2)]
            .into_iter()
            .flat_map(move |depth| (0..CAPACITY / 8).flat_map(move |start| each(depth, start)))
    }

    fn make(self) -> Ring {
        let mut ring = Ring::new(self.depth);
        for _ in 0..self.start {
            ring.send(0).expect("room");
            assert!(ring.take());
        }
        for i in lens(self.pending) {
            let _ = ring.send(i);
        }
        (0..self.taken).for_each(|_| _ = ring.take());
        ring
    }
}

/// Three lengths for three digits.
fn lens(digits: usize) -> [u64; 3] {
    [digits % 3, digits / 3 % 3, digits / 9].map(|i| LENS[i])
}

#[test]
fn p1_an_end_that_has_not_looked_says_what_one_says_that_has() {
    for recipe in Recipe::all() {
        for len in 0..=LENS[2] + 1 {
            let said = recipe.make().send(len);
            assert_eq!(said, recipe.make().copy().send(len), "{len} bytes, {recipe:?}");
        }
    }
}

#[test]
fn p6_the_last_byte_of_the_ring_is_used() {
    let mut ring = Ring::new(None);
    // The word behind the last message takes 8 bytes, and nothing else does.
    for (len, then) in [(0, Ok(0)), (16, Ok(1)), (16, Ok(2)), (0, Err(Refused::Full))] {
        assert_eq!(ring.send(len), then);
    }
    // A look finds exactly enough.
    assert!(ring.take());
    assert_eq!(ring.send(0), Ok(3));
    assert_eq!(ring.send(0), Err(Refused::Full));
    assert!(ring.take());
    assert_eq!(ring.send(17), Err(Refused::Full));
    assert_eq!(ring.send(16), Ok(4));
    assert_eq!(ring.send(0), Err(Refused::Full));
}

#[test]
fn p1_a_plan_says_what_a_batch_then_meets() {
    let (mut fit, mut full, mut never) = (0, 0, 0);
    for recipe in Recipe::all() {
        let ring = recipe.make();
        for lens in (0..27).map(lens) {
            let (planned, met) = (ring.copy().planned(&lens), ring.copy().batch(&lens));
            match planned {
                Ok(_) => fit += 1,
                Err(Refused::Full) => full += 1,
                Err(_) => never += 1,
            }
            let ready = ring.copy().tx.is_ready_for_batch(lens.iter().copied());
            assert_eq!(ready, planned != Err(Refused::Full), "{lens:?}, {recipe:?}");
            // One after the other they may meet a full ring before it shows that they never fit.
            let right = planned == met || planned == Err(Refused::TooLarge) && met == Err(Refused::Full);
            assert!(right, "{planned:?} {met:?} {lens:?}, {recipe:?}");
        }
    }
    assert!(fit.min(full).min(never) > 100, "{fit} {full} {never}");
}

#[test]
fn p2_who_looks_ahead_sees_each_message_that_begins_in_half_a_ring() {
    let mut ring = Ring::new(None);
    for sequence in 0..7 {
        assert_eq!(ring.send(0), Ok(sequence));
    }
    let mut ahead = ring.rx.ahead();
    for sequence in 0..5 {
        assert_eq!(ring.rx.look(&mut ahead).map(|record| record.sequence), Some(sequence));
    }
    // The sixth begins behind it. Nothing is taken until it is said so.
    assert_eq!(ring.rx.look(&mut ahead), None);
    assert_eq!((ring.rx.sequence(), ring.send(0)), (0, Err(Refused::Full)));
    ring.rx.acknowledge_to(&ahead);
    ring.rx.give_back();
    assert_eq!((ring.rx.sequence(), ring.send(0)), (5, Ok(7)));
    // Then come the rest, over the end of the ring, and no more.
    let mut ahead = ring.rx.ahead();
    let seen = std::iter::from_fn(|| ring.rx.look(&mut ahead)).map(|record| record.sequence);
    assert_eq!(seen.collect::<Vec<_>>(), [5, 6, 7]);
    assert!(!ring.rx.run_is_long());
}

#[test]
fn p7_a_run_is_long_when_it_has_come_through_half_a_ring() {
    let mut ring = Ring::new(None);
    (0..7).for_each(|sequence| assert_eq!(ring.send(0), Ok(sequence)));
    let long = (0..7).map(|_| {
        let Poll::Message(record) = ring.rx.poll() else { panic!("seven were sent") };
        ring.rx.skip(&record);
        ring.rx.run_is_long()
    });
    // More than four records of eight bytes.
    assert_eq!(long.collect::<Vec<_>>(), [false, false, false, false, true, true, true]);
    ring.rx.settle();
    assert!(!ring.rx.run_is_long());
}

#[test]
fn p3_a_consumer_says_when_a_producer_may_have_room_for_more() {
    // Space comes back a quarter of the ring at a time, and with the last; what counts messages is told of each.
    for (depth, then) in [(None, [false, true, true]), (Some(3), [true; 3])] {
        let mut ring = Ring::new(depth);
        (0..3).for_each(|sequence| assert_eq!(ring.send(0), Ok(sequence)));
        let said = [(); 3].map(|()| {
            let Poll::Message(record) = ring.rx.poll() else { panic!("three were sent") };
            ring.rx.acknowledge(&record)
        });
        assert_eq!(said, then, "{depth:?}");
    }
}

#[test]
fn p2_who_looks_ahead_sees_each_slot() {
    let shape = SlotLayout::new(8, 5, 2).expect("a shape");
    let parts = Parts::standard(shape.capacity);
    let memory = Words::new(parts.ring + shape.capacity as usize);
    let window = || Window::new(memory.clone(), parts).expect("the parts fit");
    let mut tx = SlotTx::attach(window(), shape).expect("a good ring");
    let mut rx = SlotRx::attach(window(), shape).expect("a good ring");
    for from in (0..50).step_by(5) {
        let send = |tx: &mut SlotTx<_>| tx.try_send(&[7; 8]);
        (from..from + 5).for_each(|sequence| assert_eq!(send(&mut tx), Ok(sequence)));
        let mut ahead = rx.ahead();
        let seen = std::iter::from_fn(|| rx.look_ahead(&mut ahead)).map(|(_, sequence)| sequence);
        assert_eq!(seen.collect::<Vec<_>>(), (from..from + 5).collect::<Vec<_>>());
        assert_eq!((rx.sequence(), send(&mut tx)), (from, Err(Refused::Full)));
        rx.acknowledge_to(&ahead);
        assert!(matches!(rx.poll(), SlotPoll::Empty));
    }
}
