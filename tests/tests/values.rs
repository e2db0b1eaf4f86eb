//! Values of one size take a fast path through a ring, as long as nothing is in it: no end of the ring, no padding, no message
//! of another length. Whatever comes, they arrive as they were sent.

use shmq::{DrainLimit, Options, Producer, RecvError, TryRecvError, TrySendError, Until, pair};
use std::collections::VecDeque;

/// A number for each message, told by its bytes whatever their length.
fn bytes(n: u64, len: usize) -> Vec<u8> {
    (0..len).map(|i| (n * 31 + i as u64) as u8).collect()
}

fn value(n: u64) -> [u8; 12] {
    bytes(n, 12).try_into().expect("twelve bytes")
}

/// Sends a value, or every so often something else.
fn send(tx: &mut Producer, n: u64, other: u64, queue: &mut VecDeque<(u64, usize)>) -> bool {
    let len = if n % other == other - 1 { (n * 7 % 60) as usize } else { 12 };
    let sent = if len == 12 { tx.try_send_value(&value(n)) } else { tx.try_send(&bytes(n, len)) };
    if sent.is_ok() {
        assert_eq!(sent, Ok(n));
        queue.push_back((n, len));
    }
    sent.is_ok()
}

#[test]
fn p2_values_among_other_messages_arrive_in_order_whatever_the_way_they_are_taken() {
    for (other, capacity) in [(2, 4096), (17, 4096), (1000, 4096), (5, 8192)] {
        let (mut tx, mut rx) = pair(&Options::new().capacity(capacity).max_message(64)).unwrap();
        let (mut queue, mut sent, mut got) = (VecDeque::new(), 0, 0);
        for round in 0u64.. {
            if sent > 20_000 {
                break;
            }
            for _ in 0..round * 13 % 200 {
                sent += u64::from(send(&mut tx, sent, other, &mut queue));
            }
            for _ in 0..round * 29 % 230 {
                // Ways that look further or take more stand between values now and then, also at the ring's end.
                match (round + 7 * got) % 23 {
                    0 => {
                        let mut seen = 0;
                        let mut run = match rx.try_run(DrainLimit { messages: 3, ..Default::default() }) {
                            Ok(run) => run,
                            Err(error) => {
                                assert_eq!((error, queue.len()), (TryRecvError::Empty, 0));
                                break;
                            }
                        };
                        while let Some(message) = run.next() {
                            let (n, len) = queue[seen];
                            assert_eq!((message.sequence(), message.to_vec()), (n, bytes(n, len)));
                            seen += 1;
                        }
                    }
                    1 => {
                        let most = DrainLimit { messages: 2, ..Default::default() };
                        let drained = rx.try_drain(most, |message| {
                            let (n, len) = queue.pop_front().expect("it was sent");
                            assert_eq!((message.sequence(), message.to_vec()), (n, bytes(n, len)));
                        });
                        got += drained.unwrap_or(0) as u64;
                    }
                    _ => match (rx.try_recv_value::<[u8; 12]>(), queue.front().copied()) {
                        (Ok(found), Some((n, 12))) => {
                            assert_eq!(found, value(n));
                            queue.pop_front();
                            got += 1;
                        }
                        (Err(TryRecvError::WrongLength { len, buffer: 12 }), Some((n, there))) => {
                            assert_eq!((len, there != 12), (there as u64, true));
                            assert_eq!(rx.try_recv(), Ok(bytes(n, there)), "it stayed");
                            queue.pop_front();
                            got += 1;
                        }
                        (Err(TryRecvError::Empty), None) => break,
                        (found, expected) => panic!("{found:?} instead of {expected:?}"),
                    },
                }
                assert_eq!(rx.next_sequence(), got);
            }
        }
        assert!(got > 15_000);
    }
}

#[test]
fn p6_after_the_last_value_comes_the_end_of_data() {
    for count in [1, 2, 100] {
        let (mut tx, mut rx) = pair(&Options::new().capacity(4096).max_message(64)).unwrap();
        (0..count).for_each(|n: u64| assert_eq!(tx.send_value(&n, Until::Forever), Ok(n)));
        tx.finish().unwrap();
        (0..count).for_each(|n| assert_eq!(rx.recv_value(Until::Forever), Ok(n)));
        for _ in 0..2 {
            assert_eq!(rx.try_recv_value::<u64>(), Err(TryRecvError::Finished));
            assert_eq!(rx.recv_value::<u64>(Until::Forever), Err(RecvError::Finished));
        }
    }
}

#[test]
fn p1_a_value_of_another_length_stays() {
    let (mut tx, mut rx) = pair(&Options::new()).unwrap();
    for n in 0..10u64 {
        tx.try_send_value(&n).unwrap();
        tx.try_send_value(&(n as u32)).unwrap();
        assert_eq!(rx.try_recv_value::<u64>(), Ok(n));
        let wrong = TryRecvError::WrongLength { len: 4, buffer: 8 };
        assert_eq!(rx.try_recv_value::<u64>(), Err(wrong));
        assert!(rx.recv_value::<u64>(Until::Forever).is_err());
        assert_eq!(rx.recv_value::<u32>(Until::Forever), Ok(n as u32));
    }
    assert_eq!(rx.pending(), 0);
}

#[test]
fn p6_the_fast_path_is_closed_to_messages_over_the_limit() {
    let (mut tx, mut rx) = pair(&Options::new().capacity(4096).max_message(16)).unwrap();
    for n in 0..3 {
        assert_eq!(tx.try_send_value(&[n; 2]), Ok(n), "as large as the limit");
    }
    for _ in 0..2 {
        let refused = Err(TrySendError::TooLarge { len: 17, max: 16 });
        assert_eq!(tx.try_send_value(&[0_u8; 17]), refused);
        assert_eq!(tx.try_send(&[0; 17]), refused);
    }
    assert_eq!(tx.try_send_value(&[3_u64; 2]), Ok(3));
    for n in 0..4_u64 {
        assert_eq!(rx.try_recv_value(), Ok([n; 2]));
    }
}
