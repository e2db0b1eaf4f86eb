//! What the calls of a pool say and do, in one process: bounds, values, order, and who may have what.

use shmq_pool::{
    Inspector, LoanError, OpenError, Options, Pool, RecvError, SendError, TryLoanError, TryRecvError, Until,
};
use shmq_tests::process::{LIMIT, Scratch, patiently};
use std::os::fd::AsFd;

fn pool(blocks: u64, size: usize) -> Pool {
    Pool::anonymous(blocks, size, &Options::new()).unwrap()
}

#[test]
fn p5_bytes_at_every_offset_round_trip_and_leave_their_neighbours() {
    for size in [1, 7, 8, 9, 100, 600] {
        let pool = pool(3, size);
        let (tx, rx) = (pool.writer().unwrap(), pool.reader().unwrap());
        for offset in 0..=size {
            for len in (0..=size - offset).step_by(1 + size / 60) {
                let mut loan = tx.try_loan().unwrap();
                loan.fill(0xee);
                let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + 1) as u8).collect();
                loan.write_at(offset, &bytes).unwrap();
                let mut own = vec![0; len];
                loan.read_into(offset, &mut own).unwrap();
                assert_eq!(own, bytes);
                loan.send(size).unwrap();
                let block = rx.try_read().unwrap();
                let mut whole = vec![0xee; size];
                whole[offset..offset + len].copy_from_slice(&bytes);
                assert_eq!(block.to_vec(), whole, "{len} bytes at {offset} of {size}");
                let mut part = vec![0; len];
                block.read_into(offset, &mut part).unwrap();
                assert_eq!(part, bytes);
                block.acknowledge();
            }
        }
    }
}

#[test]
fn p5_what_does_not_lie_inside_is_refused_and_changes_nothing() {
    let pool = pool(2, 100);
    let (tx, rx) = (pool.writer().unwrap(), pool.reader().unwrap());
    let mut loan = tx.try_loan().unwrap();
    loan.fill(1);
    for (offset, len) in [(0, 101), (100, 1), (1, 100), (usize::MAX, 1), (usize::MAX - 3, 100)] {
        let refused = loan.write_at(offset, &vec![2; len]).unwrap_err();
        assert_eq!((refused.offset, refused.len, refused.available), (offset, len, 100));
        assert!(loan.read_into(offset, &mut vec![0; len]).is_err());
    }
    assert!(loan.write_values(13, &[0u64]).is_err() && loan.write_values(usize::MAX, &[0u64]).is_err());
    loan.write_values(11, &[u64::MAX]).unwrap();
    assert_eq!(loan.capacity(), 100);
    loan.send(50).unwrap();
    let block = rx.try_read().unwrap();
    assert_eq!(block.to_vec(), [1; 50]);
    // Only what was sent is there.
    assert!(block.read_into(50, &mut [0]).is_err() && block.read_into(0, &mut [0; 51]).is_err());
    assert!(block.read_values(6, &mut [0u64]).is_err() && block.read_values(5, &mut [0u64]).is_ok());
    assert_eq!(tx.try_loan().unwrap().send(101), Err(SendError::TooLong { len: 101, max: 100 }));
    assert_eq!(tx.free(), 1, "a refused block is back");
}

#[test]
fn p5_slices_of_a_trusted_end_are_the_shared_memory_itself() {
    let pool = pool(2, 4099);
    let (mut tx, mut rx) = (pool.writer().unwrap(), pool.reader().unwrap());
    assert!(tx.try_loan().unwrap().as_mut_slice().is_none(), "not without trust");
    // SAFETY: the pool is anonymous, and its descriptor was given to nobody.
    unsafe {
        tx.trust_peer();
        rx.trust_peer();
    }
    let mut loan = tx.try_loan().unwrap();
    assert_eq!(loan.values_mut::<u64>().unwrap().len(), 512);
    assert_eq!(loan.values_mut::<[u8; 4096]>().unwrap().len(), 1);
    assert!(loan.values_mut::<()>().unwrap().is_empty(), "values without bytes are none");
    loan.values_mut::<u64>().unwrap()[511] = 7;
    loan.as_mut_slice().unwrap()[4098] = 9;
    loan.send(4099).unwrap();
    let block = rx.try_read().unwrap();
    assert_eq!(
        (block.len(), block.values::<u64>().unwrap()[511], block.as_slice().unwrap()[4098]),
        (4099, 7, 9)
    );
    assert_eq!((block.read_value(511 * 8), block.read_value::<[u8; 2]>(4098).is_err()), (Ok(7u64), true));
    // Slices, other than blocks, may go to other threads.
    let values = block.values::<u64>().unwrap();
    let sum = std::thread::scope(|s| s.spawn(|| values.iter().sum::<u64>()).join().unwrap());
    assert_eq!(sum, 7);
}

#[test]
fn p2_blocks_arrive_in_order_whatever_the_order_of_loans_and_returns() {
    let pool = pool(4, 8);
    let (tx, rx) = (pool.writer().unwrap(), pool.reader().unwrap());
    let mut number = 0u64;
    for round in 0..200usize {
        let mut loans: Vec<_> = (0..4).map(|_| tx.try_loan().unwrap()).collect();
        assert_eq!(tx.loan(Until::Forever).unwrap_err(), LoanError::AllLent);
        for i in 0..4 {
            let mut loan = loans.swap_remove((round + i) % loans.len());
            loan.write_values(0, &[number]).unwrap();
            assert_eq!(loan.send(8), Ok(number));
            number += 1;
        }
        assert_eq!(tx.try_loan().unwrap_err(), TryLoanError::NoneFree);
        let mut blocks: Vec<_> = (0..4).map(|_| rx.try_read().unwrap()).collect();
        assert_eq!(rx.read(Until::Forever).unwrap_err(), RecvError::AllHeld);
        for (block, expected) in blocks.iter().zip(number - 4..) {
            let mut value = [0u64];
            block.read_values(0, &mut value).unwrap();
            assert_eq!((block.sequence(), value), (expected, [expected]));
        }
        for i in 0..4 {
            blocks.swap_remove((round * 3 + i) % blocks.len()).acknowledge();
        }
    }
}

#[test]
fn p4_what_is_forgotten_comes_back_with_the_next_holder_of_the_end() {
    let pool = pool(3, 8);
    let tx = pool.writer().unwrap();
    std::mem::forget(tx.try_loan().unwrap());
    tx.try_loan().unwrap().send(1).unwrap();
    assert_eq!(tx.free(), 1);
    drop(tx);
    let tx = patiently(|| pool.writer()).unwrap();
    assert_eq!(tx.free(), 2);
    let rx = pool.reader().unwrap();
    std::mem::forget(rx.try_read().unwrap());
    assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Empty);
    drop(rx);
    let rx = patiently(|| pool.reader()).unwrap();
    assert_eq!(rx.to_be_seen_again(), 1);
    let block = rx.try_read().unwrap();
    assert!(block.is_again() && block.sequence() == 0);
    block.acknowledge();
    assert_eq!((rx.to_be_seen_again(), tx.free()), (0, 3));
}

#[test]
fn p7_a_pool_of_which_few_blocks_are_in_use_touches_few() {
    let pool = pool(100, 8);
    let (tx, rx) = (pool.writer().unwrap(), pool.reader().unwrap());
    for _ in 0..1000 {
        let loan = tx.try_loan().unwrap();
        assert!(loan.index() < 2, "block {}", loan.index());
        loan.send(1).unwrap();
        rx.try_read().unwrap().acknowledge();
    }
}

#[test]
fn p3_the_end_comes_after_the_last_block_and_is_for_good() {
    let pool = pool(2, 8);
    let (tx, rx) = (pool.writer().unwrap(), pool.reader().unwrap());
    tx.try_loan().unwrap().send(1).unwrap();
    tx.try_loan().unwrap().send(2).unwrap();
    assert_eq!(tx.finish(), Ok(2));
    let (first, second) = (rx.try_read().unwrap(), rx.try_read().unwrap());
    assert_eq!((first.len(), second.len()), (1, 2));
    assert_eq!(rx.read(Until::Forever).unwrap_err(), RecvError::Finished, "also with all blocks in hand");
    first.acknowledge();
    second.acknowledge();
    assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Finished);
    assert!(matches!(patiently(|| pool.writer()), Err(shmq_pool::AttachError::Finished { .. })));
}

#[test]
fn p5_an_anonymous_pool_travels_as_a_descriptor_and_a_plain_file_does_not_pass_for_one() {
    let made = pool(2, 5000);
    let same = Pool::from_fd(made.as_fd().try_clone_to_owned().unwrap(), &Options::new()).unwrap();
    assert_eq!((same.blocks(), same.block_size(), same.path()), (2, 5000, None));
    let (tx, rx) = (made.writer().unwrap(), same.reader().unwrap());
    tx.try_loan().unwrap().send(5000).unwrap();
    assert_eq!(rx.read(LIMIT).unwrap().len(), 5000);
    let scratch = Scratch::new("pool-unsealed");
    let file = Pool::create(scratch.path(), 2, 8, &Options::new()).unwrap();
    let fd = file.as_fd().try_clone_to_owned().unwrap();
    assert!(matches!(Pool::from_fd(fd, &Options::new()), Err(OpenError::NotSealed)));
}

#[test]
fn an_inspector_says_where_every_block_is_and_both_inspectors_agree() {
    let scratch = Scratch::new("pool-inspect");
    let pool = Pool::create(scratch.path(), 10, 8, &Options::new().tag("seen/1")).unwrap();
    let (tx, rx) = (pool.writer().unwrap(), pool.reader().unwrap());
    let it = Inspector::open(scratch.path()).unwrap();
    for sent in 1..=5 {
        tx.try_loan().unwrap().send(1).unwrap();
        assert_eq!(it.snapshot().sent, sent);
    }
    let (one, two, three) = (rx.try_read().unwrap(), rx.try_read().unwrap(), rx.try_read().unwrap());
    three.acknowledge();
    one.acknowledge();
    let seen = it.snapshot();
    assert_eq!((seen.sent, seen.received, seen.returned, seen.reclaimed), (5, 3, 2, 0));
    assert_eq!((seen.at_home, seen.under_way, seen.held, seen.coming_back), (5, 2, 1, 2));
    let loan = tx.try_loan().unwrap();
    let seen = it.snapshot();
    assert_eq!((seen.reclaimed, seen.at_home, seen.coming_back, seen.finished), (1, 6, 1, false));
    // As a file of any kind, its messages are the full blocks.
    let plain = shmq::Inspector::open(scratch.path()).unwrap();
    assert_eq!((plain.kind(), plain.limits().max_message), (shmq::Kind::Pool, 8));
    assert_eq!((plain.snapshot().sent, plain.snapshot().pending_messages), (5, 2));
    assert_eq!(plain.tag(), it.queue().tag());
    drop((loan, two));
    tx.finish().unwrap();
    assert!(it.snapshot().finished && plain.snapshot().finished);
}

#[test]
fn p14_a_block_is_sent_with_its_mark() {
    let pool = Pool::anonymous(3, 64, &Options::new()).unwrap();
    let (tx, rx) = (pool.writer().unwrap(), pool.reader().unwrap());
    assert_eq!((tx.mark(), rx.peer_mark()), (None, None));
    tx.try_loan().unwrap().send_marked(5, [1; 16]).unwrap();
    assert!(tx.try_loan().unwrap().send_marked(65, [2; 16]).is_err());
    tx.try_loan().unwrap().send(5).unwrap();
    let mark = Some(shmq_pool::Mark { sequence: 0, note: [1; 16] });
    assert_eq!((tx.mark(), rx.peer_mark()), (mark, mark));
    assert_eq!(pool.inspect().unwrap().queue().snapshot().mark, mark);
    tx.leave_as_lost();
    assert_eq!(rx.peer(), shmq_pool::PeerState::Lost);
    let tx = pool.writer().unwrap();
    assert_eq!((tx.mark(), tx.next_sequence()), (mark, 2));
    tx.try_loan().unwrap().send_marked(0, [3; 16]).unwrap();
    assert_eq!(rx.peer_mark(), Some(shmq_pool::Mark { sequence: 2, note: [3; 16] }));
}
