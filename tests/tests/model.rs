//! P1, P2, P6, P7: the ring does what a plain queue does, wherever its counters stand.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use shmq_core::layout::Role;
use shmq_core::word;
use shmq_tests::model::{Play, RxOp, Shape, Step, TxOp};

/// Rings of 16 bytes to 64 KiB, most of them tiny, shortly before a counter wraps or anywhere.
fn shape() -> impl Strategy<Value = Shape> {
    let capacity =
        prop_oneof![40 => 4u32..=8, 8 => 9u32..=12, 1 => Just(16u32)].prop_map(|bits| 1u64 << bits);
    let origin =
        |wraps: [u64; 4]| prop_oneof![4 => prop::sample::select(wraps.to_vec()), 1 => any::<u64>()].boxed();
    let depth = prop_oneof![2 => Just(None), 1 => (1u64..5).prop_map(Some)];
    let position = (origin([0, 1 << 32, 1 << 63, 0]), 0u64..4, 0u64..1 << 13);
    let sequence = (origin([0, 1 << 30, 1 << 32, 1 << 63]), 0u64..20);
    (capacity, depth, position, sequence, 0..=4u64).prop_map(|(capacity, depth, p, s, limit)| {
        let mut shape = Shape::new(capacity);
        shape.max_message = shape.max_message * (4 - limit) / 4;
        shape.depth = depth;
        let before = p.1.wrapping_mul(capacity).wrapping_add(p.2 % capacity);
        shape.at(p.0.wrapping_sub(before), s.0.wrapping_sub(s.1))
    })
}

/// Lengths: none, a few bytes, anything, the largest, and now and then one more.
fn len(shape: Shape) -> impl Strategy<Value = u64> + Clone {
    let max = shape.max_message;
    prop_oneof![2 => Just(0), 4 => 0..=max.min(40), 2 => 0..=max, 2 => Just(max), 1 => Just(max + 1)]
}

fn tx(shape: Shape) -> impl Strategy<Value = TxOp> + Clone {
    let len = len(shape);
    let some = prop::collection::vec(len.clone(), 0..5);
    prop_oneof![
        6 => len.clone().prop_map(TxOp::Send),
        2 => (len.clone(), 1..20u64).prop_map(|(len, cut)| TxOp::Slices(len, cut)),
        3 => some.clone().prop_map(TxOp::Batch),
        2 => len.clone().prop_map(TxOp::Mark),
        1 => some.clone().prop_map(TxOp::MarkBatch),
        2 => some.clone().prop_map(TxOp::Pushes),
        2 => (len.clone(), len.clone()).prop_map(|(claimed, len)| TxOp::Part(claimed, len)),
        2 => len.prop_map(TxOp::Abort),
        1 => some.prop_map(TxOp::AbortBatch),
    ]
}

fn rx() -> impl Strategy<Value = RxOp> + Clone {
    prop_oneof![
        4 => Just(RxOp::Recv),
        1 => Just(RxOp::Keep),
        2 => (1..6usize, 0..200u64).prop_map(|(messages, bytes)| RxOp::Drain(messages, bytes)),
        1 => Just(RxOp::Drain(usize::MAX, u64::MAX)),
    ]
}

fn role() -> impl Strategy<Value = Role> + Clone {
    prop::sample::select(vec![Role::Producer, Role::Consumer])
}

/// A ring and what happens on it; deaths among it if asked for.
fn history(deaths: bool) -> impl Strategy<Value = (Shape, Vec<Step>)> {
    shape().prop_flat_map(move |shape| {
        let cut = 0..100usize;
        let lives = prop_oneof![
            12 => tx(shape).prop_map(Step::Tx),
            12 => rx().prop_map(Step::Rx),
            1 => role().prop_map(Step::Replace),
        ];
        let dies = prop_oneof![
            2 => (tx(shape), cut.clone()).prop_map(|(op, n)| Step::KillTx(op, n)),
            2 => (rx(), cut.clone()).prop_map(|(op, n)| Step::KillRx(op, n)),
            1 => (role(), cut).prop_map(|(role, n)| Step::KillSuccessor(role, n)),
        ];
        let step = if deaths { prop_oneof![3 => lives, 1 => dies].boxed() } else { lives.boxed() };
        let ends = prop_oneof![3 => Just(None), 1 => Just(Some(Step::Tx(TxOp::Finish)))];
        (prop::collection::vec(step, 0..120), ends, prop::collection::vec(rx().prop_map(Step::Rx), 0..10))
            .prop_map(move |(mut steps, end, rest)| {
                steps.extend(end);
                steps.extend(rest);
                (shape, steps)
            })
    })
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x5eed),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn p2_the_ring_is_a_queue((shape, steps) in history(false)) {
        Play::run(shape, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn p4_the_ring_is_a_queue_across_deaths((shape, steps) in history(true)) {
        Play::run(shape, &steps).map_err(TestCaseError::fail)?;
    }
}

/// Sends until there is no room, each message as large as room allows, at most `most` bytes.
fn fill(play: &mut Play, most: u64) -> u64 {
    let mut sent = 0;
    loop {
        let mut tx = play.live().tx.clone().expect("the producer lives");
        tx.refresh().expect("a healthy ring");
        let Some(room) = tx.room() else { return sent };
        play.step(&Step::Tx(TxOp::Send(room.min(most)))).expect("there was room");
        sent += 1;
    }
}

#[test]
fn p6_a_ring_filled_to_the_last_byte_holds_and_empties() {
    for capacity in [16, 32, 64, 256] {
        for offset in (0..capacity).step_by(8) {
            for most in [0, 8, 13, word::largest_message(capacity)] {
                let shape = Shape::new(capacity).at(offset, 0);
                let mut play = Play::new(shape).unwrap();
                let sent = fill(&mut play, most);
                let [tail, _, free, ..] = play.live().tx.as_ref().unwrap().private();
                assert_eq!(tail - free, capacity - 8, "the last word is the one that stays zero");
                assert!(sent > 0);
                play.step(&Step::Tx(TxOp::Send(0))).unwrap();
                assert_eq!(play.live().ghost.queue.len() as u64, sent, "full");
                for _ in 0..sent {
                    play.step(&Step::Rx(RxOp::Recv)).unwrap();
                }
                assert!(play.live().ghost.is_idle(), "all of it came out");
                play.step(&Step::Tx(TxOp::Send(shape.max_message))).unwrap();
                assert_eq!(play.live().ghost.queue.len(), 1);
            }
        }
    }
}

#[test]
fn p6_any_message_within_the_limits_goes_into_an_empty_ring() {
    for capacity in [16, 32, 64, 256, 4096] {
        for offset in (0..capacity).step_by(8) {
            let shape = Shape::new(capacity).at(u64::wrapping_sub(offset, 64), 0);
            for len in (0..=shape.max_message).step_by(if capacity > 256 { 97 } else { 1 }) {
                let mut play = Play::new(shape).unwrap();
                play.step(&Step::Tx(TxOp::Send(len))).unwrap();
                assert_eq!(play.live().ghost.queue.len(), 1, "{len} bytes at {offset} of {capacity}");
            }
        }
    }
}

#[test]
fn p6_a_message_over_half_a_ring_is_refused_for_good() {
    for capacity in [16, 32, 64, 256] {
        let mut play = Play::new(Shape::new(capacity)).unwrap();
        let mut tx = play.live().tx.clone().unwrap();
        for len in [word::largest_message(capacity) + 1, capacity / 2, capacity, u64::from(u32::MAX)] {
            let mut draft = tx.begin().unwrap();
            assert_eq!(tx.reserve(&mut draft, len).err(), Some(shmq_core::Refused::TooLarge));
        }
        play.step(&Step::Tx(TxOp::Send(0))).unwrap();
        assert_eq!(play.live().ghost.queue.len(), 1, "a refusal leaves the ring as it was");
    }
}

#[test]
fn p6_a_batch_is_refused_only_if_it_could_wait_for_ever() {
    // The rig checks both directions against the documented rule, from every position; here, that both happen.
    let mut outcomes = [0; 2];
    for offset in (0..64).step_by(8) {
        for lens in [vec![16, 8], vec![16, 16], vec![0; 7], vec![0; 8], vec![5, 0, 0], vec![8, 8, 8]] {
            let shape = Shape::new(64).at(offset, 0);
            let mut play = Play::new(shape).unwrap();
            play.step(&Step::Tx(TxOp::Batch(lens.clone()))).unwrap();
            let sent = play.live().ghost.queue.len();
            assert_eq!(sent, if shape.allows(&lens) { lens.len() } else { 0 }, "{lens:?} at {offset}");
            outcomes[usize::from(sent == 0)] += 1;
        }
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0);
}
