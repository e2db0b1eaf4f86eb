//! Acknowledging is an act: an early return, a panic or a full file system never takes a message out of the queue.

use shmq::{Consumer, Options, Producer, Queue, TryRecvError, Until, slots};
use shmq_pool::{Pool, Reader};
use std::fs::File;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a program comes to leave a message alone.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// By `?` on a file system without room.
    Full,
    /// By a panic.
    Panics,
    /// By an early return.
    Returns,
}

const LEAVINGS: [Leaving; 3] = [Leaving::Full, Leaving::Panics, Leaving::Returns];

impl Leaving {
    /// Never gets done with the message, as it says.
    fn handle(self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Full => File::options().write(true).open("/dev/full")?.write_all(message),
            Self::Panics => panic!("on purpose"),
            Self::Returns => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    /// Runs what is to be left so.
    fn run(self, handler: impl FnOnce() -> io::Result<()>) {
        let outcome = catch_unwind(AssertUnwindSafe(handler));
        match self {
            Self::Full => {
                assert_eq!(outcome.unwrap().unwrap_err().kind(), io::ErrorKind::StorageFull);
            }
            Self::Panics => assert!(outcome.is_err()),
            Self::Returns => assert!(outcome.unwrap().is_err()),
        }
    }
}

fn records() -> (Producer, Consumer) {
    let queue = Queue::anonymous(&Options::new()).unwrap();
    (queue.producer().unwrap(), queue.consumer().unwrap())
}

#[test]
fn p2_a_record_that_is_not_acknowledged_is_shown_again() {
    for leaving in LEAVINGS {
        let (mut tx, mut rx) = records();
        tx.try_send_batch(&["one", "two"]).unwrap();
        leaving.run(|| {
            let message = rx.try_read().unwrap();
            leaving.handle(&message.to_vec())?;
            message.acknowledge();
            Ok(())
        });
        assert_eq!((tx.pending(), rx.next_sequence()), (2, 0), "{leaving:?}");
        let message = rx.try_read().unwrap();
        assert_eq!((message.sequence(), message.to_vec()), (0, b"one".to_vec()), "{leaving:?}");
        message.acknowledge();
        assert_eq!(rx.try_recv().unwrap(), b"two", "acknowledged once is for good");
    }
}

#[test]
fn p2_a_slot_that_is_not_acknowledged_is_shown_again() {
    for leaving in LEAVINGS {
        let queue = slots::Queue::<u64>::anonymous(8, &Options::new()).unwrap();
        let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
        tx.try_send_batch(&[1, 2]).unwrap();
        leaving.run(|| {
            let message = rx.try_read().unwrap();
            leaving.handle(bytemuck::bytes_of(&message.get()))?;
            message.acknowledge();
            Ok(())
        });
        assert_eq!((tx.pending(), rx.next_sequence()), (2, 0), "{leaving:?}");
        let message = rx.try_read().unwrap();
        assert_eq!((message.sequence(), message.get()), (0, 1), "{leaving:?}");
        message.acknowledge();
        assert_eq!(rx.try_recv(), Ok(2), "acknowledged once is for good");
    }
}

#[test]
fn p2_between_two_threads_as_well() {
    for leaving in LEAVINGS {
        let (mut tx, mut rx) = shmq::pair(&Options::new()).unwrap();
        tx.try_send(b"one").unwrap();
        leaving.run(|| {
            let message = rx.try_read().unwrap();
            leaving.handle(&message.to_vec())?;
            message.acknowledge();
            Ok(())
        });
        drop(tx);
        assert_eq!(rx.try_recv().unwrap(), b"one", "{leaving:?}");
        assert_eq!(rx.try_recv(), Err(TryRecvError::ProducerLeft));
    }
}

#[test]
fn p2_a_run_that_is_not_acknowledged_is_shown_again() {
    for leaving in LEAVINGS {
        let (mut tx, mut rx) = records();
        tx.try_send_batch(&["one", "two", "three"]).unwrap();
        leaving.run(|| {
            let mut run = rx.try_run(10).unwrap();
            run.next();
            let second = run.next().unwrap().to_vec();
            leaving.handle(&second)?;
            run.acknowledge();
            Ok(())
        });
        assert_eq!(rx.try_recv().unwrap(), b"one", "{leaving:?}");

        let queue = slots::Queue::<u64>::anonymous(8, &Options::new()).unwrap();
        let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
        tx.try_send_batch(&[1, 2, 3]).unwrap();
        leaving.run(|| {
            let mut run = rx.try_run(10).unwrap();
            run.next();
            leaving.handle(bytemuck::bytes_of(&run.next().unwrap()))?;
            run.acknowledge();
            Ok(())
        });
        assert_eq!(rx.try_recv(), Ok(1), "{leaving:?}");
    }
}

fn pool() -> (Pool, shmq_pool::Writer) {
    let pool = Pool::anonymous(4, 64, &shmq_pool::Options::new()).unwrap();
    let tx = pool.writer().unwrap();
    (pool, tx)
}

fn send(tx: &shmq_pool::Writer) {
    let number = tx.next_sequence();
    let mut loan = tx.try_loan().unwrap();
    loan.write_values(0, &[number]).unwrap();
    loan.send(8).unwrap();
}

/// What comes next, and whether again; acknowledged.
fn next(rx: &Reader) -> (u64, bool) {
    let block = rx.try_read().unwrap();
    let mut number = [0];
    block.read_values(0, &mut number).unwrap();
    assert_eq!(number[0], block.sequence());
    let seen = (block.sequence(), block.is_again());
    block.acknowledge();
    seen
}

#[test]
fn p2_a_block_that_is_not_acknowledged_is_shown_again() {
    for leaving in LEAVINGS {
        let (pool, tx) = pool();
        let rx = pool.reader().unwrap();
        (0..3).for_each(|_| send(&tx));
        leaving.run(|| {
            let block = rx.try_read().unwrap();
            leaving.handle(&block.to_vec())?;
            block.acknowledge();
            Ok(())
        });
        assert_eq!((rx.to_be_seen_again(), tx.free()), (1, 1), "{leaving:?}");
        assert_eq!([next(&rx), next(&rx)], [(0, true), (1, false)], "{leaving:?}");
    }
}

#[test]
fn p2_blocks_that_are_dropped_in_any_order_are_shown_again_in_the_order_sent() {
    let (pool, tx) = pool();
    let rx = pool.reader().unwrap();
    (0..4).for_each(|_| send(&tx));
    let [a, b, c] = [(); 3].map(|()| rx.try_read().unwrap());
    drop(c);
    b.acknowledge();
    drop(a);
    // A successor is shown them as well.
    drop(rx);
    let rx = pool.reader().unwrap();
    assert_eq!(rx.to_be_seen_again(), 2);
    let again = rx.try_read().unwrap();
    assert_eq!(again.sequence(), 0);
    drop(again);
    assert_eq!([(); 3].map(|()| next(&rx)), [(0, true), (2, true), (3, false)]);
    assert_eq!((rx.to_be_seen_again(), tx.free()), (0, 4));
}

/// Whole files of it are right or wrong; a file system with room for so many bytes stands in for a small one.
#[test]
fn p2_no_line_is_missing_after_a_full_file_system_and_a_restart() {
    let (mut tx, mut rx) = records();
    for i in 0..100 {
        tx.try_send(format!("{i}\n").as_bytes()).unwrap();
    }
    tx.finish().unwrap();
    let mut disk = vec![];
    for room in [10, 25, 26, 1000] {
        // Half a line is cut off, as whoever starts again does.
        let whole = disk.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        disk.truncate(whole);
        let _ = ship(&mut rx, &mut disk, room);
    }
    let expected: String = (0..100).map(|i| format!("{i}\n")).collect();
    assert_eq!(String::from_utf8(disk).unwrap(), expected);
}

fn ship(rx: &mut Consumer, disk: &mut Vec<u8>, room: usize) -> Result<(), Box<dyn std::error::Error>> {
    loop {
        let message = rx.try_read()?;
        let free = room - disk.len();
        disk.extend(message.to_vec().iter().take(free));
        if message.len() > free {
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
        message.acknowledge();
    }
}

#[test]
fn p2_what_a_panicking_drain_had_returned_for_is_acknowledged_and_no_more() {
    let (mut tx, mut rx) = records();
    tx.try_send_batch(&["one", "two", "three"]).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        rx.try_drain(10, |message| assert_ne!(message.sequence(), 1, "on purpose"))
    }));
    assert!(panicked.is_err());
    assert_eq!(rx.try_recv().unwrap(), b"two");

    let queue = slots::Queue::<u64>::anonymous(8, &Options::new()).unwrap();
    let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    tx.try_send_batch(&[1, 2, 3]).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| rx.try_drain(10, |n| assert_ne!(n, 2, "on purpose"))));
    assert!(panicked.is_err());
    assert_eq!(rx.try_recv(), Ok(2));
}

#[test]
fn p2_an_error_ends_a_drain_and_is_told_and_its_message_is_shown_again() {
    let (mut tx, mut rx) = records();
    tx.try_send_batch(&["one", "two", "three"]).unwrap();
    let full = |message: &shmq::View<'_>| match message.sequence() {
        1 => File::options().write(true).open("/dev/full")?.write_all(&message.to_vec()),
        _ => Ok(()),
    };
    let ended = rx.try_drain(10, full).unwrap();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!((rx.next_sequence(), tx.pending()), (1, 2));
    assert_eq!(rx.drain(10, Until::Forever, |_| Err::<(), _>("at once")), Ok(Err("at once")));
    assert_eq!(rx.drain(10, Until::Forever, |_| Ok::<(), ()>(())), Ok(Ok(2)));

    let (mut tx, mut rx) = slots::pair::<u64>(8).unwrap();
    tx.try_send_batch(&[1, 2, 3]).unwrap();
    assert_eq!(rx.try_drain(10, |n| if n < 2 { Ok(()) } else { Err(n) }), Ok(Err(2)));
    assert_eq!((rx.next_sequence(), tx.pending()), (1, 2));
    assert_eq!(rx.drain(10, Until::Forever, |_| Err::<(), _>("at once")), Ok(Err("at once")));
    assert_eq!(rx.drain(10, Until::Forever, |_| Ok::<(), ()>(())), Ok(Ok(2)));

    let queue = slots::Queue::anonymous_bytes(1, 8, &Options::new()).unwrap();
    let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    for message in [b"a", b"b", b"c"] {
        tx.try_send(message).unwrap();
    }
    let ended =
        rx.try_drain(10, |message| if message.to_vec() == b"a" { Ok(()) } else { Err(message.sequence()) });
    assert_eq!((ended, rx.next_sequence()), (Ok(Err(1)), 1));
    assert!(
        catch_unwind(AssertUnwindSafe(|| rx.try_drain(10, |message| assert_eq!(message.sequence(), 1))))
            .is_err()
    );
    assert_eq!(rx.drain(10, Until::Forever, |_| {}), Ok(1));
    assert_eq!(rx.try_drain(10, |_| {}), Err(TryRecvError::Empty));
}
