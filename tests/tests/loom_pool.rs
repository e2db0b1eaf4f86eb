//! Loom models of a pool: a block is handed over and back, with contents in which loom sees every data race; and an
//! end dies between two of its stores and is succeeded while the other end works.

use loom::thread::{spawn, yield_now};
use shmq_core::layout::{DIRTY, READ, RECEIVED, SEQUENCE};
use shmq_core::{Memory, Order, at as ring_at};
use shmq_pool::testing::{HELD, LENT, Layout, NoLoan, PoolRx, PoolTx, SITES, Survey, Take};
use shmq_tests::loom_memory::{Death, Faults, Looking, LoomMemory, explore, notes};
use shmq_tests::pool::content;

/// Bytes of a block.
const BLOCK: u64 = 8;

fn layout(blocks: u64, group: u64) -> Layout {
    Layout::with_unit(blocks, BLOCK, group, BLOCK).expect("a possible pool")
}

fn memory(layout: &Layout, faults: Faults) -> LoomMemory {
    let mut words = Vec::new();
    for parts in [layout.full, layout.empty] {
        words.extend([SEQUENCE, DIRTY].map(|control| parts.producer + control.offset()));
        words.extend(notes().map(|control| parts.producer + control.offset()));
        words.extend([READ, RECEIVED].map(|control| parts.consumer + control.offset()));
        words.extend((parts.ring..parts.ring + parts.capacity as usize).step_by(8));
    }
    for (start, entry) in [(layout.lent, LENT), (layout.held, HELD), (layout.first, BLOCK)] {
        words.extend((start..start + (layout.blocks * entry) as usize).step_by(8));
    }
    LoomMemory::of(words, layout.full.ring, layout.length as usize, faults)
}

type Tx = PoolTx<LoomMemory>;
type Rx = PoolRx<LoomMemory>;

fn writer(layout: &Layout, memory: &LoomMemory, death: Death) -> Tx {
    PoolTx::attach(&layout.windows(&memory.process(death)).expect("in order")).expect("a good pool")
}

fn reader(layout: &Layout, memory: &LoomMemory, death: Death) -> Rx {
    PoolRx::attach(&layout.windows(&memory.process(death)).expect("in order")).expect("a good pool")
}

fn send(tx: &mut Tx, blocks: u64) {
    for _ in 0..blocks {
        let block = loop {
            match tx.try_loan() {
                Ok(block) => break block,
                Err(NoLoan::NoneFree) => yield_now(),
                Err(NoLoan::Corrupt(what)) => panic!("corrupt: {what}"),
            }
        };
        let sequence = tx.sequence();
        tx.bytes().write(block, 0, &content(sequence).to_le_bytes());
        assert_eq!(tx.send(block, BLOCK), Ok(sequence));
    }
}

/// Takes the next block, if there is one, and checks it: which block, its number, and whether it is seen again.
fn try_take(rx: &mut Rx) -> Option<(u32, u64, bool)> {
    match rx.try_take() {
        Take::Block(taken) => {
            let mut found = [0; 8];
            rx.bytes().read(taken.block, 0, &mut found);
            assert_eq!(u64::from_le_bytes(found), content(taken.sequence), "contents of {taken:?}");
            Some((taken.block, taken.sequence, taken.again))
        }
        Take::Empty => None,
        other => panic!("expected a block, found {other:?}"),
    }
}

fn take(rx: &mut Rx) -> (u32, u64, bool) {
    loop {
        match try_take(rx) {
            Some(taken) => return taken,
            None => yield_now(),
        }
    }
}

/// Takes and gives back so many, one by one, from this number on.
fn pass(rx: &mut Rx, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let (block, sequence, again) = take(rx);
        assert_eq!((sequence, again), (number, false));
        assert!(rx.give_back(block));
    }
}

/// One block, again and again: each way round, what is written next must not meet what is still read.
fn hand_over(blocks: u64, group: u64, faults: Faults) {
    let layout = layout(blocks, group);
    let memory = memory(&layout, faults);
    let (mut tx, mut rx) = (writer(&layout, &memory, Death::Never), reader(&layout, &memory, Death::Never));
    let messages = blocks + 2;
    let producer = spawn(move || send(&mut tx, messages));
    pass(&mut rx, 0..messages);
    producer.join().unwrap();
    assert_eq!(try_take(&mut rx), None);
}

/// Stores of a writer that takes a block back, fills it and sends it: note, READ; contents; note, handle, commit
/// word. SEQUENCE of a full group comes with the next one.
const WRITER_STORES: usize = 6;
const WRITER_COMMITS_AT: usize = 6;

/// A writer died after so many stores; a successor goes on while the reader works.
fn writer_after(stores: usize) {
    let layout = layout(1, 2);
    let memory = memory(&layout, Faults::default());
    let mut rx = reader(&layout, &memory, Death::Never);
    send(&mut writer(&layout, &memory, Death::Never), 1);
    pass(&mut rx, 0..1);
    // Taking the role stores SEQUENCE.
    send(&mut writer(&layout, &memory, Death::After(1 + stores)), 1);
    let sent = 1 + u64::from(stores >= WRITER_COMMITS_AT);
    let (successor, sizes) = (memory.clone(), layout);
    let producer = spawn(move || {
        let mut tx = writer(&sizes, &successor, Death::Never);
        assert_eq!(tx.sequence(), sent, "where to resume");
        send(&mut tx, 2);
    });
    pass(&mut rx, 1..sent + 2);
    producer.join().unwrap();
    assert_eq!(try_take(&mut rx), None);
    assert_eq!(writer(&layout, &memory, Death::Never).free(), 1, "a block was lost");
}

/// Stores of a reader that takes a block and gives it back: length, note, READ; handle, commit word, note.
const READER_STORES: usize = 6;
const READER_TAKES_AT: usize = 3;
const READER_RETURNS_AT: usize = 5;

/// A reader died after so many stores; a successor goes on while the writer works.
fn reader_after(stores: usize) {
    let layout = layout(1, 2);
    let memory = memory(&layout, Faults::default());
    let mut tx = writer(&layout, &memory, Death::Never);
    send(&mut tx, 1);
    // Taking the role stores SEQUENCE.
    let mut dead = reader(&layout, &memory, Death::After(1 + stores));
    let (block, 0, false) = take(&mut dead) else { panic!("another block") };
    dead.give_back(block);
    let producer = spawn(move || send(&mut tx, 1));
    let mut rx = reader(&layout, &memory, Death::Never);
    if stores < READER_RETURNS_AT {
        let (block, sequence, again) = take(&mut rx);
        assert_eq!((sequence, again), (0, stores >= READER_TAKES_AT));
        assert!(rx.give_back(block));
    }
    pass(&mut rx, 1..2);
    producer.join().unwrap();
    assert_eq!(writer(&layout, &memory, Death::Never).free(), 1, "a block was lost");
}

#[test]
fn p1_a_block_is_nobody_elses_while_it_is_written_or_read() {
    explore(3, || hand_over(1, 1, Faults::default())).unwrap();
    explore(2, || hand_over(1, 2, Faults::default())).unwrap();
    explore(2, || hand_over(2, 1, Faults::default())).unwrap();
}

#[test]
fn p4_a_writer_of_blocks_dead_after_any_store_is_succeeded_while_the_reader_works() {
    for stores in 0..=WRITER_STORES {
        explore(2, move || writer_after(stores)).unwrap();
    }
}

#[test]
fn p4_a_reader_of_blocks_dead_after_any_store_is_succeeded_while_the_writer_works() {
    for stores in 0..=READER_STORES {
        explore(2, move || reader_after(stores)).unwrap();
    }
}

/// What `Inspector::read_at` does while the writer takes the block back and fills it anew: if it says true, the bytes are those of
/// the message.
fn read_while_it_is_filled_anew(faults: Faults) {
    let layout = layout(1, 2);
    let memory = memory(&layout, faults);
    let (mut tx, mut rx) = (writer(&layout, &memory, Death::Never), reader(&layout, &memory, Death::Never));
    send(&mut tx, 1);
    pass(&mut rx, 0..1);
    let producer = spawn(move || send(&mut tx, 1));
    // SAFETY: the block is a word of the memory.
    let bytes = unsafe { memory.load(layout.first, ring_at::COUNT_LOAD) };
    memory.fence(ring_at::LOOK_FENCE);
    let windows = layout.windows(&Looking(memory)).expect("in order");
    if Survey(&windows).note(0) == 1 {
        assert_eq!(bytes, content(0), "copied from the message behind it");
    }
    producer.join().unwrap();
}

/// Somebody lists what is held while a block comes, goes back and comes again with another length.
fn lengths(faults: Faults) {
    let layout = layout(1, 1);
    let memory = memory(&layout, faults);
    let (mut tx, mut rx) = (writer(&layout, &memory, Death::Never), reader(&layout, &memory, Death::Never));
    let windows = layout.windows(&Looking(memory)).expect("in order");
    let ends = spawn(move || {
        for len in [3, 5] {
            let block = tx.try_loan().expect("at home");
            tx.send(block, len).expect("a living end");
            let Take::Block(taken) = rx.try_take() else { panic!("a block was sent") };
            rx.give_back(taken.block);
        }
    });
    for held in Survey(&windows).held() {
        assert_eq!(held.len, [3, 5][held.sequence as usize], "of message {}", held.sequence);
    }
    ends.join().unwrap();
}

/// Somebody counts while the reader gives a block back: as long as nothing moves, it is in exactly one place.
fn everywhere(faults: Faults) {
    let layout = layout(1, 2);
    let memory = memory(&layout, faults);
    let (mut tx, mut rx) = (writer(&layout, &memory, Death::Never), reader(&layout, &memory, Death::Never));
    send(&mut tx, 1);
    let (block, ..) = take(&mut rx);
    let windows = layout.windows(&Looking(memory)).expect("in order");
    let survey = Survey(&windows);
    let consumer = spawn(move || assert!(rx.give_back(block)));
    let before = survey.positions();
    let account = survey.account();
    if before == survey.positions() {
        assert_eq!(account, Ok(1));
    }
    consumer.join().unwrap();
}

/// What the writer says is free can be lent, right away.
fn free(faults: Faults) {
    let layout = layout(2, 1);
    let memory = memory(&layout, faults);
    let (mut tx, mut rx) = (writer(&layout, &memory, Death::Never), reader(&layout, &memory, Death::Never));
    send(&mut tx, 2);
    // The count of what went back first comes with the second.
    let consumer = spawn(move || pass(&mut rx, 0..2));
    if tx.free() > 0 {
        assert!(tx.try_loan().is_ok(), "free, and not there");
    }
    consumer.join().unwrap();
}

fn turns(faults: Faults) {
    hand_over(1, 1, faults);
}

#[test]
fn p5_what_is_read_of_a_block_is_of_its_message_or_nothing_is_said() {
    explore(3, || read_while_it_is_filled_anew(Faults::default())).unwrap();
}

#[test]
fn a_block_that_is_held_has_the_length_of_its_message() {
    explore(2, || lengths(Faults::default())).unwrap();
}

#[test]
fn a_block_that_goes_back_is_in_one_place() {
    explore(3, || everywhere(Faults::default())).unwrap();
}

#[test]
fn what_is_free_can_be_lent() {
    explore(3, || free(Faults::default())).unwrap();
}

type Model = fn(Faults);

/// Each ordering with the models that fail without it: those of this crate, and what of the rings a pool leans on.
const NEEDED: &[(&str, &[Model])] = &[
    ("COMMIT", &[turns]),
    ("POLL", &[turns]),
    ("SEQUENCE", &[free]),
    // Shown by a litmus text alone, pool-12: the model `lengths` passes without it.
    ("HELD_LEN", &[]),
    ("HELD", &[lengths]),
    ("RELEASED", &[everywhere]),
    ("TABLE", &[lengths]),
    ("TAKE_LOG", &[read_while_it_is_filled_anew]),
];

#[test]
fn null_control_without_its_ordering_each_site_of_a_pool_fails_a_model() {
    for (label, models) in NEEDED {
        let weak: &'static [&'static str] = vec![*label].leak();
        for (i, model) in models.iter().enumerate() {
            let caught = explore(3, move || model(Faults { weak, ..Faults::default() }));
            let problem = caught.expect_err(&format!("{label} weakened passes its model {i}"));
            assert!(!problem.starts_with("not explored"), "{label}: {problem}");
        }
    }
}

#[test]
fn every_ordering_of_a_pool_has_a_model() {
    for doc in SITES.iter().filter(|doc| !matches!(doc.site.order, Order::Relaxed | Order::Compiler)) {
        assert!(NEEDED.iter().any(|(label, _)| *label == doc.site.label), "{}", doc.site.label);
    }
}
