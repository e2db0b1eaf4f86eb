//! P12: ends that are awaited, under tokio, async-io and an executor of one's own; their peers; their runtimes.

use futures_util::future::{Either, join, select};
use futures_util::{SinkExt, StreamExt};
use shmq::{Options, Queue, RecvError, SendError, TryRecvError, Waiting, slots};
use shmq_async::{Async, Consumer, Producer, Reactor};
use shmq_tests::process::{Child, LIMIT, Scratch};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::{coop, yield_now};
use tokio::time::timeout;

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");
const SOON: Duration = Duration::from_millis(20);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs to its end in good time, or the test fails.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.expect("it is never woken")
}

/// The same under async-io.
fn soon_by_async_io<T>(work: impl Future<Output = T>) -> T {
    async_io::block_on(async {
        let (work, limit) = (pin!(work), async_io::Timer::after(LIMIT));
        match select(work, limit).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => panic!("it is never woken"),
        }
    })
}

/// A queue for few messages, whose ends hear of each other by its file.
fn ends(messages: u64) -> (shmq::Producer, shmq::Consumer) {
    let queue = Queue::anonymous(&Options::new().max_messages(messages)).unwrap();
    (queue.producer().unwrap(), queue.consumer().unwrap())
}

fn awaited(messages: u64) -> (Producer, Consumer) {
    let (tx, rx) = ends(messages);
    (Async::new(tx).unwrap(), Async::new(rx).unwrap())
}

#[tokio::test]
async fn p12_two_tasks_of_one_thread_talk_through_two_queues() {
    let ((mut ask, mut asked), (mut answer, mut answered)) = (awaited(1), awaited(1));
    let server = tokio::spawn(async move {
        while let Some(question) = asked.next().await {
            answer.send(&question.unwrap()).await.unwrap();
        }
        answer.into_inner().finish().unwrap();
    });
    soon(async {
        for n in 0..2000u64 {
            ask.send(&n.to_le_bytes()).await.unwrap();
            assert_eq!(answered.recv().await.unwrap(), n.to_le_bytes());
        }
        ask.into_inner().finish().unwrap();
        assert!(answered.next().await.is_none());
        server.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn p12_a_full_queue_holds_its_sender_back() {
    let (mut tx, mut rx) = awaited(2);
    assert_eq!(tx.send_many(&[b"1", b"2", b"3"]).await, Ok(2));
    assert!(timeout(SOON, tx.send(b"3")).await.is_err());
    assert!(timeout(SOON, tx.ready()).await.is_err());
    assert_eq!(rx.recv().await.unwrap(), b"1");
    assert_eq!(soon(tx.send(b"3")).await, Ok(2));
    let sender = tokio::spawn(async move { tx.send(b"4").await });
    yield_now().await;
    assert!(!sender.is_finished());
    let mut buffer = Vec::new();
    assert_eq!(soon(rx.recv_many(&mut buffer, 9)).await, Ok(2));
    assert_eq!(buffer, [b"2", b"3"]);
    assert_eq!(soon(sender).await.unwrap(), Ok(3));
    // What never fits is said at once, and by the first only.
    let (mut tx, rx) = awaited(2);
    let large = vec![0; rx.get_ref().limits().max_message as usize + 1];
    assert!(matches!(tx.send(&large).await, Err(SendError::TooLarge { .. })));
    assert_eq!(tx.send_many(&[&b"small"[..], &large]).await, Ok(1));
    assert!(matches!(tx.send_many(&[&large]).await, Err(SendError::TooLarge { .. })));
    assert_eq!(tx.send_many::<Vec<u8>>(&[]).await, Ok(0));
}

/// Less room than any message may need is enough for one that needs less.
#[tokio::test]
async fn p12_a_sender_wakes_for_the_room_that_it_needs() {
    let queue = Queue::anonymous(&Options::new().capacity(4096)).unwrap();
    let (mut tx, mut rx) =
        (Async::new(queue.producer().unwrap()).unwrap(), Async::new(queue.consumer().unwrap()).unwrap());
    while tx.get_mut().try_send(&[0; 56]).is_ok() {}
    let mut send = pin!(tx.send(&[1; 56]));
    assert!(timeout(SOON, send.as_mut()).await.is_err());
    // Memory comes back in pieces: as much as that takes, and no more.
    let mut taken = 0;
    while timeout(Duration::from_millis(1), send.as_mut()).await.is_err() {
        rx.get_mut().try_recv().unwrap();
        taken += 1;
        assert!(taken < 60, "it was never woken");
    }
    assert!(!rx.get_mut().try_recv().unwrap().is_empty());
}

#[tokio::test]
async fn p12_select_and_timeouts_lose_nothing() {
    let (mut tx, mut rx) = awaited(8);
    let (mut other_tx, mut other) =
        slots::pair::<u64>(8).map(|(tx, rx)| (tx, Async::new(rx).unwrap())).unwrap();
    let sender = tokio::spawn(async move {
        for n in 0..300u64 {
            tx.send(&n.to_le_bytes()).await.unwrap();
            while other_tx.try_send(&n).is_err() {
                yield_now().await;
            }
            if n % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
    });
    let (mut left, mut right, mut elapsed) = (0, 0, 0);
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    soon(async {
        while left < 300 || right < 300 {
            tokio::select! {
                message = rx.recv(), if left < 300 => {
                    assert_eq!(message.unwrap(), u64::to_le_bytes(left));
                    left += 1;
                }
                number = other.recv(), if right < 300 => {
                    assert_eq!(number, Ok(right));
                    right += 1;
                }
                _ = tick.tick() => elapsed += 1,
            }
        }
        sender.await.unwrap();
    })
    .await;
    assert!(elapsed > 1);
    assert!(matches!(timeout(SOON, rx.recv()).await, Ok(Err(RecvError::ProducerLeft))));
}

#[tokio::test]
async fn p12_a_queue_that_is_never_empty_starves_nobody() {
    const MESSAGES: u64 = 5000;
    let count = |consumer: fn(Consumer) -> tokio::task::JoinHandle<()>| async move {
        let (mut tx, rx) = ends(MESSAGES);
        for _ in 0..MESSAGES {
            tx.try_send(b"x").unwrap();
        }
        let consumer = consumer(Async::new(rx).unwrap());
        let mut turns = 0;
        while !consumer.is_finished() {
            yield_now().await;
            turns += 1;
        }
        consumer.await.unwrap();
        turns
    };
    async fn receive_all(mut rx: Consumer) {
        for _ in 0..MESSAGES {
            rx.recv().await.unwrap();
        }
    }
    let turns = count(|rx| tokio::spawn(receive_all(rx))).await;
    assert!(turns > 20, "{turns}");
    let control = count(|rx| tokio::spawn(coop::unconstrained(receive_all(rx)))).await;
    assert!(control < 5, "{control}");
}

#[tokio::test]
async fn p12_a_peer_that_leaves_ends_an_await_after_what_it_sent() {
    let (mut tx, mut rx) = awaited(2);
    let receiver = tokio::spawn(async move {
        assert_eq!(rx.recv().await.unwrap(), b"last");
        rx.recv().await
    });
    yield_now().await;
    tx.send(b"last").await.unwrap();
    yield_now().await;
    drop(tx);
    assert_eq!(soon(receiver).await.unwrap(), Err(RecvError::ProducerLeft));

    let (mut tx, rx) = awaited(1);
    tx.send(b"fills it").await.unwrap();
    let sender = tokio::spawn(async move { tx.send(b"more").await });
    yield_now().await;
    drop(rx);
    assert_eq!(soon(sender).await.unwrap(), Err(SendError::ConsumerLeft));

    let (mut tx, mut rx) = awaited(2);
    SinkExt::<&[u8]>::send(&mut tx, b"last").await.unwrap();
    tx.into_inner().finish().unwrap();
    assert_eq!(rx.next().await.unwrap().unwrap(), b"last");
    assert!(rx.next().await.is_none());
    assert_eq!(rx.recv().await, Err(RecvError::Finished));
}

/// Between threads nobody can follow, and no file tells.
#[tokio::test]
async fn p12_the_other_end_of_a_pair_is_dropped() {
    let (tx, rx) = shmq::pair(&Options::new().max_messages(1)).unwrap();
    let mut rx = Async::new(rx).unwrap();
    let receiver = tokio::spawn(async move { rx.recv().await });
    yield_now().await;
    drop(tx);
    assert_eq!(soon(receiver).await.unwrap(), Err(RecvError::ProducerLeft));
    let (tx, rx) = slots::pair::<u64>(1).unwrap();
    let mut tx = Async::new(tx).unwrap();
    assert_eq!(tx.send_many(&[1, 2]).await, Ok(1));
    let sender = tokio::spawn(async move { (tx.send_many(&[3]).await, tx.send(&4).await, tx.ready().await) });
    yield_now().await;
    drop(rx);
    let gone = SendError::ConsumerLeft;
    assert_eq!(soon(sender).await.unwrap().0, Err(gone));
}

#[tokio::test]
async fn p12_across_restarts_a_successor_goes_on() {
    let queue = Queue::anonymous(&Options::new().max_messages(1)).unwrap();
    let (first, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    rx.set_waiting(Waiting::new().across_restarts(true));
    let mut rx = Async::new(rx).unwrap();
    let receiver = tokio::spawn(async move { [rx.recv().await, rx.recv().await] });
    yield_now().await;
    drop(first);
    tokio::time::sleep(SOON).await;
    let mut second = queue.producer().unwrap();
    second.try_send(b"from a successor").unwrap();
    tokio::time::sleep(SOON).await;
    second.leave_as_lost();
    tokio::time::sleep(SOON).await;
    assert!(!receiver.is_finished());
    queue.producer().unwrap().finish().unwrap();
    assert_eq!(soon(receiver).await.unwrap(), [Ok(b"from a successor".to_vec()), Err(RecvError::Finished)]);
}

#[tokio::test]
async fn p12_a_killed_process_ends_an_await() {
    let scratch = Scratch::new("async-killed");
    let queue = Queue::create(scratch.path(), &Options::new().max_messages(1)).unwrap();
    let child = Child::spawn(HELPER, &["hold", scratch.name(), "producer"]);
    child.expect("held");
    let mut rx = Async::new(queue.consumer().unwrap()).unwrap();
    let receiver = tokio::spawn(async move { (rx.recv().await, rx) });
    tokio::time::sleep(SOON).await;
    assert!(!receiver.is_finished());
    // Stopped is not dead.
    child.stop();
    tokio::time::sleep(SOON).await;
    assert!(!receiver.is_finished());
    child.kill();
    let (lost, mut rx) = soon(receiver).await.unwrap();
    assert_eq!(lost, Err(RecvError::ProducerLost));
    // As a stream goes on with the next.
    assert_eq!(rx.next().await, Some(Err(RecvError::ProducerLost)));
    let mut tx = queue.producer().unwrap();
    tx.try_send(b"next").unwrap();
    assert_eq!(rx.next().await.unwrap().unwrap(), b"next");
    drop((tx, rx));

    let mut tx = Async::new(queue.producer().unwrap()).unwrap();
    let child = Child::spawn(HELPER, &["hold", scratch.name(), "consumer"]);
    child.expect("held");
    tx.send(b"fills it").await.unwrap();
    let sender = tokio::spawn(async move { tx.send(b"more").await });
    tokio::time::sleep(SOON).await;
    assert!(!sender.is_finished());
    child.kill();
    assert_eq!(soon(sender).await.unwrap(), Err(SendError::ConsumerLost));
}

#[test]
fn p12_a_runtime_that_is_gone_leaves_its_ends_to_the_next() {
    for threads in [0, 2] {
        let build = || match threads {
            0 => runtime(),
            n => Builder::new_multi_thread().worker_threads(n).enable_all().build().unwrap(),
        };
        let (tx, rx) = ends(1);
        let (first, second) = (build(), build());
        let (mut tx, mut rx) = first.block_on(async { (Async::new(tx).unwrap(), Async::new(rx).unwrap()) });
        // Pending in one task that is never finished, and in one that is not even run any more.
        let (_never_tx, never) = ends(1);
        first.spawn(async move { Async::new(never).unwrap().recv().await });
        first.block_on(async { assert!(timeout(SOON, rx.recv()).await.is_err()) });
        drop(first);
        let mut tx = second.block_on(soon(async {
            let begin = Arc::new(Notify::new());
            let begun = begin.clone();
            let sender = tokio::spawn(async move {
                begun.notified().await;
                for n in 0..50u64 {
                    tx.send(&n.to_le_bytes()).await.unwrap();
                }
                tx
            });
            {
                // It begins where no runtime is in sight.
                let mut recv = pin!(rx.recv());
                std::thread::scope(|s| {
                    let poll = || recv.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
                    assert!(s.spawn(poll).join().unwrap());
                });
                begin.notify_one();
                assert_eq!(recv.await.unwrap(), 0u64.to_le_bytes());
            }
            for n in 1..50u64 {
                assert_eq!(rx.recv().await.unwrap(), n.to_le_bytes());
            }
            sender.await.unwrap()
        }));
        // Ends outlive all runtimes.
        drop(second);
        tx.get_mut().try_send(b"x").unwrap();
        assert_eq!(rx.get_mut().try_recv().unwrap(), b"x");
        assert_eq!(rx.into_inner().try_recv(), Err(TryRecvError::Empty));
    }
}

/// Alive, and asleep outside of its loop: nobody would wake the end there.
#[test]
fn p12_an_end_moves_from_a_runtime_that_does_not_run() {
    let (first, second) = (runtime(), runtime());
    let (mut tx, rx) = ends(1);
    let mut rx = first.block_on(async { Async::new(rx).unwrap() });
    second.block_on(soon(async {
        tokio::task::spawn_blocking(move || {
            std::thread::sleep(SOON);
            tx.try_send(b"x").unwrap();
        });
        assert_eq!(rx.recv().await.unwrap(), b"x");
    }));
    drop(first);
}

#[test]
fn p12_a_runtime_ends_while_ends_of_it_are_awaited_elsewhere() {
    let first = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut tx, rx) = ends(1);
    let mut rx = first.block_on(async { Async::new(rx).unwrap() });
    std::thread::scope(|s| {
        let other = s.spawn(|| {
            // Not a runtime's thread: it stays with the one that it knows, until that is gone.
            soon_by_async_io(rx.recv())
        });
        std::thread::sleep(SOON);
        drop(first);
        std::thread::sleep(SOON);
        tx.try_send(b"x").unwrap();
        assert_eq!(other.join().unwrap().unwrap(), b"x");
    });
}

#[test]
fn p12_a_hundred_pairs_in_a_runtime_of_several_threads() {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(soon(async {
        let mut tasks = Vec::new();
        for i in 0..100u64 {
            let (tx, rx): (shmq::Producer, shmq::Consumer) =
                if i % 2 == 0 { ends(2) } else { shmq::pair(&Options::new().max_messages(2)).unwrap() };
            let (mut tx, mut rx) = (Async::new(tx).unwrap(), Async::new(rx).unwrap());
            tasks.push(tokio::spawn(async move {
                for n in 0..100u64 {
                    tx.send_value(&[i, n]).await.unwrap();
                }
                tx.into_inner().finish().unwrap();
            }));
            tasks.push(tokio::spawn(async move {
                for n in 0..100u64 {
                    assert_eq!(rx.recv_value().await, Ok([i, n]));
                }
                assert_eq!(rx.recv().await, Err(RecvError::Finished));
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    }));
}

#[test]
fn p12_every_shape_under_async_io() {
    soon_by_async_io(async {
        let (mut tx, mut rx) = awaited(1);
        let numbers = slots::Queue::<u64>::anonymous(1, &Options::new()).unwrap();
        let mut one = Async::new(numbers.producer().unwrap()).unwrap();
        let mut two = Async::new(numbers.consumer().unwrap()).unwrap();
        let bytes = slots::Queue::anonymous_bytes(4, 1, &Options::new());
        let bytes = bytes.or_else(|_| slots::Queue::anonymous_bytes(1, 4, &Options::new())).unwrap();
        let len = bytes.message_size() as usize;
        let mut raw_tx = Async::new(bytes.producer().unwrap()).unwrap();
        let mut raw_rx = Async::new(bytes.consumer().unwrap()).unwrap();
        let ask = async {
            for n in 0..100u64 {
                tx.send(&n.to_le_bytes()).await.unwrap();
                assert_eq!(two.recv().await, Ok(n));
                let mut buffer = vec![0; len];
                raw_rx.recv_into(&mut buffer).await.unwrap();
                assert_eq!(buffer, vec![n as u8; len]);
            }
        };
        let answer = async {
            for n in 0..100u64 {
                assert_eq!(rx.recv().await.unwrap(), n.to_le_bytes());
                one.send(&n).await.unwrap();
                raw_tx.send(&vec![n as u8; len]).await.unwrap();
            }
        };
        join(ask, answer).await;
    });
}

#[tokio::test]
async fn p12_blocks_of_a_pool_are_awaited() {
    let pool = shmq_pool::Pool::anonymous(1, 4096, &shmq_pool::Options::new()).unwrap();
    let (writer, reader) = (pool.writer().unwrap(), pool.reader().unwrap());
    let mut free = Async::new(&writer).unwrap();
    let mut sent = Async::new(reader).unwrap();
    let receiver = tokio::spawn(async move {
        for _ in 0..20 {
            sent.ready().await.unwrap();
            sent.get_ref().try_read().unwrap().acknowledge();
        }
        sent.ready().await
    });
    for _ in 0..20 {
        soon(free.ready()).await.unwrap();
        writer.try_loan().unwrap().send(1).unwrap();
    }
    drop(free);
    drop(writer);
    assert!(matches!(soon(receiver).await.unwrap(), Err(shmq_pool::RecvError::WriterLeft)));
}

/// Remembers that it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn p12_an_await_looks_as_long_as_it_was_told_and_then_sleeps() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let (mut tx, mut rx) = awaited(8);
    let woken = Arc::new(Woken::default());
    let (waker, took) = (Waker::from(woken.clone()), || woken.0.swap(false, Ordering::Relaxed));
    let mut context = Context::from_waker(&waker);
    for spin in [Duration::ZERO, Duration::from_millis(5), Duration::MAX] {
        rx.set_spin(spin);
        for _ in 0..3 {
            let mut recv = pin!(rx.recv());
            // By itself: it wants to be run again.
            let (mut looks, begin) = (0, Instant::now());
            while recv.as_mut().poll(&mut context).is_pending() && took() {
                looks += 1;
                assert!(begin.elapsed() < LIMIT, "it never sleeps");
            }
            assert_eq!(looks != 0, !spin.is_zero(), "{spin:?}");
            assert!(begin.elapsed() >= spin.min(Duration::from_millis(10)));
            tx.get_mut().try_send(b"x").unwrap();
            assert!(recv.as_mut().poll(&mut context).is_ready());
        }
    }
}

#[test]
fn p12_an_executor_of_ones_own() {
    let reactor = Reactor::new().unwrap();
    let (mut tx, rx) = ends(8);
    let mut rx = Async::with_reactor(rx, &reactor).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let _ = tx.try_send(b"x");
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        let mut set = shmq::WaitSet::new().unwrap();
        set.add_fd(0, &reactor, shmq::Interest::Read).unwrap();
        let (mut events, mut context) = (Vec::new(), Context::from_waker(Waker::noop()));
        for _ in 0..100 {
            let mut recv = pin!(rx.recv());
            while recv.as_mut().poll(&mut context).is_pending() {
                set.wait(&mut (), &mut events, LIMIT).unwrap();
                reactor.turn().unwrap();
            }
        }
        is_done.store(true, Ordering::Relaxed);
    });
}
