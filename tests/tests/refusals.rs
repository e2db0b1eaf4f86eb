//! P5, P8: what a ring's own words may say at most, to the byte: at the bound they are believed, beyond it the ring is
//! refused.

use shmq_core::layout::{Control, DIRTY, FREE, FREED, PAGE, READ, RECEIVED, SEQUENCE, TAIL};
use shmq_core::slot_layout::{COUNT_LIMIT, END};
use shmq_core::word::{RecordKind, word};
use shmq_core::{
    Corruption, Hostile, Poison, Poll, RecordRx, RecordTx, Refused, RingState, SlotLayout, SlotPoll, SlotRx,
    SlotTx, Window, Words,
};
use shmq_tests::model::{address, parts, poke};

const CAPACITY: u64 = 64;
const REFUSED: Result<(), Corruption> = Err(Corruption::Position);

/// An empty ring of records whose words say this instead.
fn ring(says: &[(Control, u64)], record: &[(u64, u64)]) -> Words {
    let words = Words::new(parts(CAPACITY).ring + CAPACITY as usize);
    for &(control, value) in says {
        poke(&words, address(control), value);
    }
    for &(at, value) in record {
        poke(&words, parts(CAPACITY).ring + at as usize, value);
    }
    words
}

fn tx(says: &[(Control, u64)], record: &[(u64, u64)]) -> Result<(), Corruption> {
    let window = Window::new(ring(says, record), parts(CAPACITY)).expect("the parts fit");
    RecordTx::attach(window, 16, None).map(|_| ())
}

fn rx(says: &[(Control, u64)]) -> Result<(), Corruption> {
    let window = Window::new(ring(says, &[]), parts(CAPACITY)).expect("the parts fit");
    RecordRx::attach(window, 16, None).map(|_| ())
}

#[test]
fn p5_a_producer_believes_positions_up_to_a_ring_apart() {
    assert_eq!(tx(&[(TAIL, 4), (READ, 4), (FREE, 0)], &[]), REFUSED, "no multiple of 8");
    assert_eq!(tx(&[(TAIL, 8), (READ, 8), (FREE, 4)], &[]), REFUSED);
    assert_eq!(tx(&[(TAIL, 4), (READ, 4), (FREE, 4)], &[]), REFUSED);
    // The consumer ahead, as after a commit that the stored tail does not know of: but then the words are there.
    let message = |len, sequence| word(RecordKind::Message, len, sequence);
    let ahead = |by, record: &[_]| tx(&[(READ, by), (FREE, by)], record);
    assert_eq!(ahead(24, &[(0, message(16, 0))]), Ok(()));
    assert_eq!(ahead(32, &[(0, message(16, 0))]), REFUSED, "given back, but never sent");
    assert_eq!(ahead(CAPACITY + 8, &[]), REFUSED);
    assert_eq!(tx(&[(READ, 8 * CAPACITY), (FREE, 8 * CAPACITY)], &[]), REFUSED);
    // The consumer behind: so much may be pending, and the word at the tail stays free.
    assert_eq!(tx(&[(TAIL, CAPACITY - 8)], &[]), Ok(()));
    assert_eq!(tx(&[(TAIL, CAPACITY)], &[]), REFUSED);
    assert_eq!(tx(&[(TAIL, CAPACITY + 8)], &[]), REFUSED);
    assert_eq!(tx(&[(TAIL, CAPACITY), (FREE, 8)], &[]), Ok(()));
    assert_eq!(tx(&[(TAIL, CAPACITY + 8), (FREE, 16)], &[]), REFUSED);
}

#[test]
fn p5_a_producer_believes_counts_up_to_a_ring() {
    assert_eq!(tx(&[(SEQUENCE, CAPACITY / 8)], &[]), Ok(()));
    assert_eq!(tx(&[(SEQUENCE, CAPACITY / 8 + 1)], &[]), REFUSED);
    assert_eq!(tx(&[(SEQUENCE, 100), (FREED, 100 - CAPACITY / 8)], &[]), Ok(()));
    assert_eq!(tx(&[(FREED, 1)], &[]), REFUSED, "more given back than sent");
}

#[test]
fn p5_a_walking_producer_goes_no_further_than_a_ring() {
    let message = |len, sequence| word(RecordKind::Message, len, sequence);
    // A word at every place: the walk comes round to the first one, and ends.
    let full = [(0, message(24, 0)), (32, message(16, 1)), (56, message(0, 2))];
    assert_eq!(tx(&[(FREE, 8)], &full), Err(Corruption::Sequence));
    assert_eq!(tx(&[(FREE, 8)], &[(0, message(CAPACITY - 8, 0))]), Err(Corruption::Sequence));
    // Padding has the number of what is behind it, so this one could go on for ever.
    assert_eq!(tx(&[(FREE, 8)], &[(0, word(RecordKind::Padding, CAPACITY - 8, 0))]), REFUSED);
    assert_eq!(
        tx(&[], &[(0, message(CAPACITY - 7, 0))]),
        Err(Corruption::Word),
        "beyond the end of the ring"
    );
    assert_eq!(tx(&[], &[(0, message(8, 0)), (16, message(8, 2))]), Err(Corruption::Sequence));
    assert_eq!(tx(&[], &[(0, 4)]), Err(Corruption::Word), "no known kind");
}

#[test]
fn p5_a_consumer_believes_positions_up_to_a_ring_apart() {
    for at in [4, 6] {
        assert_eq!(rx(&[(READ, at), (FREE, 0)]), REFUSED, "no multiple of 8");
        assert_eq!(rx(&[(READ, 8), (FREE, at)]), REFUSED);
        assert_eq!(rx(&[(READ, at), (FREE, at)]), REFUSED);
    }
    assert_eq!(rx(&[(READ, CAPACITY), (TAIL, CAPACITY)]), Ok(()));
    assert_eq!(rx(&[(READ, CAPACITY + 8), (TAIL, CAPACITY)]), REFUSED, "more to give back than there is");
    assert_eq!(rx(&[(FREE, 8)]), REFUSED, "given back before it was taken");
    for (read, tail, expected) in
        [(0, CAPACITY, Ok(())), (CAPACITY, 0, Ok(())), (0, CAPACITY + 8, REFUSED), (CAPACITY + 8, 0, REFUSED)]
    {
        assert_eq!(rx(&[(READ, read), (FREE, read), (TAIL, tail)]), expected, "{read} of {tail}");
    }
}

#[test]
fn p5_a_producer_believes_what_is_given_back_up_to_its_own_positions() {
    let give = |free, freed| {
        let words = ring(&[(TAIL, 32), (SEQUENCE, 2)], &[]);
        let window = Window::new(words.clone(), parts(CAPACITY)).expect("the parts fit");
        let mut tx = RecordTx::attach(window, 16, None).expect("a good ring");
        poke(&words, address(FREE), free);
        poke(&words, address(FREED), freed);
        let outcome = tx.refresh();
        let again = tx.begin().map(|_| ());
        assert_eq!(outcome, again, "corruption is sticky");
        outcome
    };
    let refused = Err(Refused::Corrupt(Corruption::Position));
    assert_eq!(give(32, 2), Ok(()));
    assert_eq!(give(0, 0), Ok(()));
    assert_eq!(give(40, 2), refused);
    assert_eq!(give(32, 3), refused);
    assert_eq!(give(20, 1), refused, "no multiple of 8");
}

fn received(record: &[(u64, u64)], max_message: u64) -> Poll {
    let words = ring(&[(TAIL, 48), (READ, 32), (FREE, 32)], record);
    let window = Window::new(words, parts(CAPACITY)).expect("the parts fit");
    let mut rx = RecordRx::attach(window, max_message, None).expect("a good ring");
    let poll = rx.poll();
    if let Poll::Corrupt(_) = poll {
        assert_eq!(rx.poll(), poll, "corruption is sticky");
    }
    poll
}

#[test]
fn p5_a_consumer_believes_words_that_a_producer_can_write() {
    let corrupt = |what| Poll::Corrupt(what);
    let message = |len, sequence| word(RecordKind::Message, len, sequence);
    let padding = |len, sequence| word(RecordKind::Padding, len, sequence);
    assert!(matches!(received(&[(32, message(16, 0))], 16), Poll::Message(r) if r.len == 16));
    assert_eq!(received(&[(32, message(17, 0))], 16), corrupt(Corruption::Word), "over the limit");
    assert!(matches!(received(&[(32, message(24, 0))], 100), Poll::Message(r) if r.len == 24));
    assert_eq!(received(&[(32, message(25, 0))], 100), corrupt(Corruption::Word), "beyond the end");
    assert_eq!(received(&[(32, 1 << 33 | 8)], 16), corrupt(Corruption::Word), "no kind");
    assert_eq!(received(&[(32, word(RecordKind::End, 0, 0))], 16), Poll::Finished);
    assert_eq!(received(&[(32, word(RecordKind::End, 8, 0))], 16), corrupt(Corruption::Word));
    // The padding's number is corrected by none: the attached consumer takes it from the word.
    assert!(
        matches!(received(&[(32, padding(24, 0)), (0, message(8, 0))], 16), Poll::Message(r) if r.payload == 72)
    );
    assert_eq!(received(&[(32, padding(16, 0)), (0, message(8, 0))], 16), corrupt(Corruption::Padding));
    assert_eq!(received(&[(32, padding(24, 0))], 16), corrupt(Corruption::Padding), "nothing behind it");
    assert_eq!(
        received(&[(32, padding(24, 0)), (0, word(RecordKind::End, 0, 0))], 16),
        corrupt(Corruption::Padding)
    );
    assert_eq!(
        received(&[(32, padding(24, 0)), (0, message(8, 1))], 16),
        corrupt(Corruption::Sequence),
        "another number"
    );
    assert_eq!(received(&[(32, padding(24, 0)), (0, message(17, 0))], 16), corrupt(Corruption::Word));
    assert!(matches!(received(&[(32, padding(24, 0)), (0, message(24, 0))], 100), Poll::Message(_)));
    assert_eq!(
        received(&[(32, padding(24, 0)), (0, message(25, 0))], 100),
        corrupt(Corruption::Position),
        "into what is not given back"
    );
}

#[test]
fn p5_a_message_that_comes_between_two_looks_is_judged_as_any_other() {
    // The first look finds nothing, the second this; as long as allowed, and to the end of the ring.
    let second = |len| {
        let says = [(RECEIVED, 0), (SEQUENCE, 1), (TAIL, 32), (READ, 32), (FREE, 32)];
        let words = ring(&says, &[]);
        let attached = [32, 0, 32, 32, 0];
        let script = attached.into_iter().chain([0, word(RecordKind::Message, len, 0)]).collect();
        let window = Window::new(Hostile::new(words, script), parts(CAPACITY)).expect("the parts fit");
        RecordRx::attach(window, 24, None).expect("a good ring").poll()
    };
    assert!(matches!(second(24), Poll::Message(record) if record.len == 24));
    assert_eq!(second(25), Poll::Corrupt(Corruption::Word));
}

/// A ring of slots whose words say this: SEQUENCE, DIRTY, READ, and the groups' words.
fn slots(sequence: u64, dirty: u64, read: u64, words: &[u64]) -> (Words, SlotLayout) {
    let shape = SlotLayout::new(8, 4, 2).expect("a shape");
    let memory = Words::new(parts(shape.capacity).ring + shape.capacity as usize);
    for (control, value) in [(SEQUENCE, sequence), (DIRTY, dirty), (READ, read)] {
        poke(&memory, address(control), value);
    }
    for (i, &value) in words.iter().enumerate() {
        poke(&memory, 2 * PAGE + i * shape.group_bytes as usize, value);
    }
    (memory, shape)
}

/// Where a producer resumes, and whether it is finished.
fn slot_tx(sequence: u64, dirty: u64, read: u64, words: &[u64]) -> Result<(u64, bool), Corruption> {
    let (memory, shape) = slots(sequence, dirty, read, words);
    let window = Window::new(memory, parts(shape.capacity)).expect("the parts fit");
    SlotTx::attach(window, shape).map(|tx| (tx.sequence(), tx.state() == RingState::Finished))
}

#[test]
fn p5_counts_of_slots_end_before_they_could_wrap() {
    let sends_until = |sequence: u64| {
        let (memory, shape) = slots(sequence, sequence, sequence, &[]);
        let window = Window::new(memory.clone(), parts(shape.capacity)).expect("the parts fit");
        let mut tx = SlotTx::attach(window, shape).expect("a good ring");
        let sent = (0..10).take_while(|_| {
            let sent = tx.try_send(&[7; 8]).is_ok();
            poke(&memory, address(READ), tx.sequence());
            sent
        });
        (sent.count(), tx.state())
    };
    assert_eq!(sends_until(COUNT_LIMIT - 16), (10, RingState::Open));
    // Each look for room finds four; one at the limit is still right.
    assert_eq!(sends_until(COUNT_LIMIT - 4), (8, RingState::Corrupt(Corruption::Position)));
    assert_eq!(sends_until(COUNT_LIMIT - 3), (4, RingState::Corrupt(Corruption::Position)));
}

#[test]
fn p5_slots_that_are_larger_than_the_ring_are_refused() {
    let (memory, shape) = slots(0, 0, 0, &[]);
    let ring = |capacity| Window::new(memory.clone(), parts(capacity)).expect("the parts fit");
    let refused =
        |capacity| (SlotTx::attach(ring(capacity), shape).err(), SlotRx::attach(ring(capacity), shape).err());
    assert_eq!(refused(shape.capacity), (None, None));
    let position = Some(Corruption::Position);
    assert_eq!(refused(shape.capacity / 2), (position, position));
}

#[test]
fn p5_a_producer_of_slots_believes_counts_up_to_its_depth() {
    assert_eq!(slot_tx(0, 0, 0, &[2, 4]), Ok((4, false)));
    assert_eq!(slot_tx(0, 0, 0, &[1]), Ok((1, false)));
    assert_eq!(slot_tx(4, 0, 0, &[2, 4]), Ok((4, false)), "as many as the depth pending");
    assert_eq!(slot_tx(5, 0, 0, &[2, 4]), Err(Corruption::Position));
    assert_eq!(slot_tx(4, 0, 5, &[2, 4]), Err(Corruption::Position), "more taken than sent");
    assert_eq!(slot_tx(4, 8, 4, &[2, 4]), Ok((4, false)));
    assert_eq!(slot_tx(4, 9, 4, &[2, 4]), Err(Corruption::Position), "more dirt than a batch makes");
    // A word may be as far ahead of the stored count as a batch and its group.
    assert_eq!(slot_tx(0, 0, 4, &[6, 6, 6]), Ok((6, false)));
    assert_eq!(slot_tx(0, 0, 4, &[7]), Err(Corruption::Word));
    assert_eq!(slot_tx(0, 0, 0, &[END]), Ok((0, true)));
    assert_eq!(slot_tx(0, 0, 0, &[END | 1]), Ok((1, true)));
    assert_eq!(slot_tx(0, 0, 0, &[2, END | 2]), Ok((2, true)));
    assert_eq!(slot_tx(COUNT_LIMIT + 1, 0, COUNT_LIMIT + 1, &[]), Err(Corruption::Position));
    let lap = COUNT_LIMIT / 6 * 6;
    assert_eq!(slot_tx(lap, 0, lap, &[lap]), Ok((lap, false)));
}

#[test]
fn p5_a_consumer_of_slots_believes_counts_up_to_its_depth() {
    let rx = |sequence, read| {
        let (memory, shape) = slots(sequence, 0, read, &[]);
        let window = Window::new(memory, parts(shape.capacity)).expect("the parts fit");
        SlotRx::attach(window, shape).map(|rx| rx.sequence())
    };
    for (sequence, read) in [(6, 0), (0, 6), (COUNT_LIMIT, COUNT_LIMIT)] {
        assert_eq!(rx(sequence, read), Ok(read));
    }
    for (sequence, read) in [(7, 0), (0, 7), (COUNT_LIMIT + 1, COUNT_LIMIT + 1)] {
        assert_eq!(rx(sequence, read), Err(Corruption::Position));
    }
}

#[test]
fn p5_a_consumer_of_slots_believes_words_up_to_its_depth() {
    let poll = |word| {
        let (memory, shape) = slots(0, 0, 0, &[word]);
        let window = Window::new(memory, parts(shape.capacity)).expect("the parts fit");
        SlotRx::attach(window, shape).expect("a good ring").poll()
    };
    assert_eq!(poll(1), SlotPoll::Messages(1));
    assert_eq!(poll(4), SlotPoll::Messages(2), "of this group");
    assert_eq!(poll(5), SlotPoll::Corrupt(Corruption::Word));
    assert_eq!(poll(END), SlotPoll::Finished);
    assert_eq!(poll(END | 1), SlotPoll::Messages(1));
    assert_eq!(poll(END | 5), SlotPoll::Corrupt(Corruption::Word));
}

#[test]
fn p5_a_producer_of_slots_believes_what_is_taken_up_to_its_own_count() {
    let taken = |read| {
        let (memory, shape) = slots(4, 0, 2, &[2, 4]);
        let window = Window::new(memory.clone(), parts(shape.capacity)).expect("the parts fit");
        let mut tx = SlotTx::attach(window, shape).expect("a good ring");
        poke(&memory, address(READ), read);
        let outcome = tx.refresh();
        assert_eq!(outcome.is_err(), tx.try_send(&[0; 8]).is_err(), "corruption is sticky");
        outcome.map(|()| tx.pending())
    };
    assert_eq!(taken(2), Ok(3));
    assert_eq!(taken(4), Ok(1));
    assert_eq!(taken(1), Err(Refused::Corrupt(Corruption::Position)), "taken back");
    assert_eq!(taken(5), Err(Refused::Corrupt(Corruption::Position)));
}

#[test]
fn p5_messages_that_were_sent_before_damage_was_seen_are_counted_and_then_it_is_told() {
    for room in [0, 2] {
        let (memory, shape) = slots(0, 0, 0, &[]);
        let window = Window::new(memory.clone(), parts(shape.capacity)).expect("the parts fit");
        let mut tx = SlotTx::attach(window, shape).expect("a new ring");
        for _ in 0..4 - room {
            tx.try_send(&[7; 8]).expect("room");
        }
        // It has room for so many more, and finds damage when it looks for the rest.
        poke(&memory, address(READ), 1 << 40);
        let mut more = std::iter::repeat(9_u64);
        let corrupt = Err(Refused::Corrupt(Corruption::Position));
        let first = if room == 0 { corrupt } else { Ok(room) };
        assert_eq!(tx.try_send_iter(&mut more), first);
        assert_eq!(tx.try_send_iter(&mut more), corrupt);
    }
}

#[test]
fn p6_the_largest_message_follows_from_the_capacity() {
    use shmq_core::word::{carries, kind, largest_message};
    for (capacity, largest) in
        [(16, 0), (32, 0), (64, 16), (4096, 2032), (1 << 33, (1 << 32) - 16), (1 << 40, (1 << 32) - 16)]
    {
        assert_eq!(largest_message(capacity), largest, "{capacity}");
    }
    assert_eq!(kind(word(RecordKind::None, 5, 3)), RecordKind::None);
    assert!(carries(word(RecordKind::Message, 5, 3), 3) && !carries(word(RecordKind::Message, 5, 3), 4));
}

#[test]
fn a_received_count_counts() {
    let words = ring(&[(TAIL, 32), (SEQUENCE, 2), (RECEIVED, 1)], &[]);
    let window = Window::new(words, parts(CAPACITY)).expect("the parts fit");
    let tx = RecordTx::attach(window, 16, None).expect("a good ring");
    assert_eq!((tx.pending(), tx.is_taken(0), tx.is_taken(1)), (1, true, false));
}

#[test]
fn p5_a_count_that_the_peer_stores_makes_no_more_pending_than_there_can_be() {
    let pending = |sent, received| {
        let ring = ring(&[(SEQUENCE, sent), (FREED, sent), (RECEIVED, received)], &[]);
        let window = || Window::new(ring.clone(), parts(CAPACITY)).expect("the parts fit");
        let tx = RecordTx::attach(window(), 16, None).expect("a good ring");
        poke(&ring, address(RECEIVED), received);
        tx.pending()
    };
    assert_eq!(pending(100, 97), 3);
    assert_eq!(pending(100, 100 - CAPACITY / 8), CAPACITY / 8);
    assert_eq!(pending(100, 100 - CAPACITY / 8 - 1), CAPACITY / 8);
    assert_eq!(pending(100, 0), CAPACITY / 8);
    assert_eq!(pending(100, 101), 0, "a takeover may correct the count");
    assert_eq!(pending(100, u64::MAX), CAPACITY / 8, "a distance of 101");
}

#[test]
fn p5_the_fast_path_of_a_consumer_is_closed_to_what_the_slow_one_refuses() {
    let ends = |max_message| {
        let words = Words::new(parts(4096).ring + 4096);
        let window = || Window::new(words.clone(), parts(4096)).expect("the parts fit");
        let tx = RecordTx::attach(window(), 64, None).expect("a good ring");
        (tx, RecordRx::attach(window(), max_message, None).expect("a good ring"))
    };
    let take = |rx: &mut RecordRx<Words>| {
        let Poll::Message(record) = rx.poll() else { panic!("one was sent") };
        rx.acknowledge(&record);
        rx.look_how_far();
    };

    // Over the limit.
    let (mut tx, mut rx) = ends(16);
    for len in [8, 8, 24] {
        tx.try_send(&vec![7; len]).expect("room");
    }
    take(&mut rx);
    assert!(rx.receive_at_once(&mut [0; 8]).is_some());
    assert_eq!(rx.receive_at_once(&mut [0; 24]), None);
    assert_eq!(rx.poll(), Poll::Corrupt(Corruption::Word));

    // Behind a file that was truncated, though a message is known to be there.
    let (mut tx, mut rx) = ends(16);
    for _ in 0..3 {
        tx.try_send(&[7; 8]).expect("room");
    }
    take(&mut rx);
    rx.poison(Corruption::Truncated);
    rx.look_how_far();
    assert_eq!(rx.receive_at_once(&mut [0; 8]), None);

    // Behind padding, which is known before the message is taken.
    let (mut tx, mut rx) = ends(64);
    for _ in 0..4096 / 72 {
        tx.try_send(&[7; 64]).expect("room");
        take(&mut rx);
    }
    tx.try_send(&[9; 64]).expect("room");
    let Poll::Message(record) = rx.poll() else { panic!("one was sent") };
    assert_eq!(record.payload % 4096, 8, "at the beginning of the ring");
    rx.look_how_far();
    assert_eq!(rx.receive_at_once(&mut [0; 64]), None);
    take(&mut rx);
    tx.try_send(&[9; 64]).expect("room");
    assert!(rx.receive_at_once(&mut [0; 64]).is_some());
}
