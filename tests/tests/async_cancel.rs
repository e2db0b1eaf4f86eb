//! P12: futures that are dropped at any of their polls; afterwards every message is there exactly once, and in order.

use futures_util::{SinkExt, StreamExt};
use shmq::{Options, slots};
use shmq_async::{Async, End, Reactor, Receiving, Sending};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Polls that a future lives for, at most: more than any of them needs.
const POLLS: usize = 5;
const ROUNDS: usize = 60;

type Work<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
/// A way to receive: the messages that were taken.
type Receive<E> = for<'a> fn(&'a mut Async<E>) -> Work<'a, Vec<u64>>;
/// A way to send numbers from one on: how many were.
type Send<E> = for<'a> fn(&'a mut Async<E>, u64) -> Work<'a, u64>;

/// Remembers that it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Polls a future so many times at most, doing something before each but the first; drops it.
fn poll_and_drop<T>(mut work: Work<'_, T>, polls: usize, mut between: impl FnMut()) -> Option<T> {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    for poll in 0..polls {
        if poll != 0 {
            between();
            // Nobody polls what was not woken. So a wake that is missing shows.
            if !woken.0.swap(false, Ordering::SeqCst) {
                continue;
            }
        }
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(done);
        }
    }
    None
}

/// What was lost, doubled or out of order; nothing if all is well. `send` sends one message if there is room, `left` receives the rest.
fn receiving<E: Receiving>(
    (reactor, mut rx): (&Reactor, Async<E>),
    mut send: impl FnMut() -> u64,
    next: fn(&E) -> u64,
    receive: Receive<E>,
    number: fn(E::Item) -> u64,
) -> Result<(), String> {
    let (mut got, mut sent) = (Vec::new(), 0);
    for polls in 0..POLLS {
        for round in 0..ROUNDS {
            let before = next(rx.get_ref());
            if round % 3 == 0 {
                sent = send();
            }
            let work = receive(&mut rx);
            let done = poll_and_drop(work, polls, || {
                sent = send();
                reactor.turn().unwrap();
            });
            match done {
                Some(messages) => got.extend(messages),
                None if next(rx.get_ref()) != before => return Err("a dropped future took a message".into()),
                None => {}
            }
            // The room runs out otherwise.
            while let (0, Ok(message)) = (polls, rx.get_mut().try_recv()) {
                got.push(number(message));
            }
        }
    }
    while let Ok(message) = rx.get_mut().try_recv() {
        got.push(number(message));
    }
    let all: Vec<_> = (0..sent).collect();
    if sent < 100 {
        Err(format!("only {sent} were sent"))
    } else {
        (got == all).then_some(()).ok_or(format!("{got:?}"))
    }
}

/// The same for sends; `receive` takes one message if there is one.
fn sending<E: Sending>(
    (reactor, mut tx): (&Reactor, Async<E>),
    mut receive: impl FnMut() -> Option<u64>,
    next: fn(&E) -> u64,
    send: Send<E>,
) -> Result<(), String> {
    let (mut sent, mut got) = (0, Vec::new());
    for polls in 0..POLLS {
        for round in 0..ROUNDS {
            let before = next(tx.get_ref());
            if round % 3 == 0 {
                got.extend(receive());
            }
            let work = send(&mut tx, sent);
            let done = poll_and_drop(work, polls, || {
                got.extend(receive());
                reactor.turn().unwrap();
            });
            match done {
                Some(messages) => sent += messages,
                None if next(tx.get_ref()) != before => return Err("a dropped future sent a message".into()),
                None => {}
            }
        }
    }
    got.extend(std::iter::from_fn(receive));
    let all: Vec<_> = (0..sent).collect();
    if sent < 100 {
        Err(format!("only {sent} were sent"))
    } else {
        (got == all).then_some(()).ok_or(format!("{got:?}"))
    }
}

fn records_number(message: Vec<u8>) -> u64 {
    u64::from_le_bytes(message.try_into().unwrap())
}

/// How the ends under test are connected, and how they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Queues with files; woken at once.
    Files,
    /// Pairs between threads, which are woken in another way.
    Pair,
    /// Queues with files, which look for so long that they are never woken.
    Looking,
}

const EVERY: [How; 3] = [How::Files, How::Pair, How::Looking];

impl How {
    fn wait<E: End>(self, end: E, reactor: &Reactor) -> Async<E> {
        if self != Self::Looking {
            return Async::with_reactor(end, reactor).unwrap();
        }
        // Whose runtime runs whatever woke itself.
        let mut end = Async::new(end).unwrap();
        end.set_spin(Duration::MAX);
        end
    }
}

fn records(how: How) -> (shmq::Producer, shmq::Consumer) {
    let options = Options::new().capacity(4096).max_message(64).max_messages(3);
    if how == How::Pair {
        return shmq::pair(&options).unwrap();
    }
    let queue = shmq::Queue::anonymous(&options).unwrap();
    (queue.producer().unwrap(), queue.consumer().unwrap())
}

fn receive_records(how: How, receive: Receive<shmq::Consumer>) -> Result<(), String> {
    let (mut tx, rx) = records(how);
    let reactor = Reactor::new().unwrap();
    let rx = how.wait(rx, &reactor);
    let send = || {
        let _ = tx.try_send(&tx.next_sequence().to_le_bytes());
        tx.next_sequence()
    };
    receiving((&reactor, rx), send, shmq::Consumer::next_sequence, receive, records_number)
}

fn receive_slots(how: How, receive: Receive<slots::Consumer<u64>>) -> Result<(), String> {
    let (mut tx, rx) = if how == How::Pair {
        slots::pair(3).unwrap()
    } else {
        let queue = slots::Queue::<u64>::anonymous(3, &Options::new()).unwrap();
        (queue.producer().unwrap(), queue.consumer().unwrap())
    };
    let reactor = Reactor::new().unwrap();
    let rx = how.wait(rx, &reactor);
    let send = || {
        let _ = tx.try_send(&tx.next_sequence());
        tx.next_sequence()
    };
    receiving((&reactor, rx), send, slots::Consumer::next_sequence, receive, |n| n)
}

fn send_records(how: How, send: Send<shmq::Producer>) -> Result<(), String> {
    let (tx, mut rx) = records(how);
    let reactor = Reactor::new().unwrap();
    let tx = how.wait(tx, &reactor);
    let receive = || rx.try_recv().ok().map(records_number);
    sending((&reactor, tx), receive, shmq::Producer::next_sequence, send)
}

fn send_slots(how: How, send: Send<slots::Producer<u64>>) -> Result<(), String> {
    let (tx, mut rx) = if how == How::Pair {
        slots::pair(3).unwrap()
    } else {
        let queue = slots::Queue::<u64>::anonymous(3, &Options::new()).unwrap();
        (queue.producer().unwrap(), queue.consumer().unwrap())
    };
    let reactor = Reactor::new().unwrap();
    let tx = how.wait(tx, &reactor);
    sending((&reactor, tx), || rx.try_recv().ok(), slots::Producer::next_sequence, send)
}

#[test]
fn p12_a_dropped_receive_has_taken_nothing() {
    let ways: &[(&str, Receive<shmq::Consumer>)] = &[
        ("recv", |rx| Box::pin(async { vec![records_number(rx.recv().await.unwrap())] })),
        ("recv_into", |rx| {
            Box::pin(async {
                let mut buffer = [0; 8];
                rx.recv_into(&mut buffer).await.unwrap();
                vec![u64::from_le_bytes(buffer)]
            })
        }),
        ("recv_value", |rx| Box::pin(async { vec![rx.recv_value().await.unwrap()] })),
        ("recv_many", |rx| {
            Box::pin(async {
                let mut buffer = Vec::new();
                let n = rx.recv_many(&mut buffer, 2).await.unwrap();
                assert!(n == buffer.len() && (1..=2).contains(&n));
                buffer.into_iter().map(records_number).collect()
            })
        }),
        ("read", |rx| {
            Box::pin(async {
                let message = rx.read().await.unwrap();
                let number = message.read_value(0).unwrap();
                message.acknowledge();
                vec![number]
            })
        }),
        ("run", |rx| {
            Box::pin(async {
                let mut run = rx.run(2).await.unwrap();
                let numbers = std::iter::from_fn(|| run.next().map(|m| m.read_value(0).unwrap())).collect();
                run.acknowledge();
                numbers
            })
        }),
        ("ready", |rx| {
            Box::pin(async {
                rx.ready().await.unwrap();
                vec![records_number(rx.get_mut().try_recv().unwrap())]
            })
        }),
        ("next", |rx| Box::pin(async { vec![records_number(rx.next().await.unwrap().unwrap())] })),
    ];
    for how in EVERY {
        for (name, way) in ways {
            assert_eq!(receive_records(how, *way), Ok(()), "{name}, {how:?}");
        }
    }
}

#[test]
fn p12_a_dropped_receive_of_slots_has_taken_nothing() {
    let ways: &[(&str, Receive<slots::Consumer<u64>>)] = &[
        ("recv", |rx| Box::pin(async { vec![rx.recv().await.unwrap()] })),
        ("recv_many", |rx| {
            Box::pin(async {
                let mut buffer = Vec::new();
                rx.recv_many(&mut buffer, 2).await.unwrap();
                buffer
            })
        }),
        ("read", |rx| {
            Box::pin(async {
                let message = rx.read().await.unwrap();
                let number = message.get();
                message.acknowledge();
                vec![number]
            })
        }),
        ("run", |rx| {
            Box::pin(async {
                let mut run = rx.run(2).await.unwrap();
                let numbers = std::iter::from_fn(|| run.next()).collect();
                run.acknowledge();
                numbers
            })
        }),
        ("next", |rx| Box::pin(async { vec![rx.next().await.unwrap().unwrap()] })),
    ];
    for how in EVERY {
        for (name, way) in ways {
            assert_eq!(receive_slots(how, *way), Ok(()), "{name}, {how:?}");
        }
    }
}

#[test]
fn p12_a_dropped_send_has_sent_nothing() {
    let ways: &[(&str, Send<shmq::Producer>)] = &[
        ("send", |tx, n| {
            Box::pin(async move {
                assert_eq!(tx.send(&n.to_le_bytes()).await, Ok(n));
                1
            })
        }),
        ("send_value", |tx, n| {
            Box::pin(async move {
                tx.send_value(&n).await.unwrap();
                1
            })
        }),
        ("send_many", |tx, n| {
            Box::pin(async move {
                let messages: Vec<_> = (n..n + 5).map(u64::to_le_bytes).collect();
                let sent = tx.send_many(&messages).await.unwrap();
                assert!((1..=3).contains(&sent), "{sent}");
                sent as u64
            })
        }),
        ("claim", |tx, n| {
            Box::pin(async move {
                let mut claim = tx.claim(8).await.unwrap();
                claim.write_value(0, &n).unwrap();
                claim.commit();
                1
            })
        }),
        ("sink", |tx, n| {
            Box::pin(async move {
                SinkExt::send(tx, n.to_le_bytes().to_vec()).await.unwrap();
                1
            })
        }),
    ];
    for how in EVERY {
        for (name, way) in ways {
            assert_eq!(send_records(how, *way), Ok(()), "{name}, {how:?}");
        }
    }
}

#[test]
fn p12_a_dropped_send_of_slots_has_sent_nothing() {
    let ways: &[(&str, Send<slots::Producer<u64>>)] = &[
        ("send", |tx, n| {
            Box::pin(async move {
                assert_eq!(tx.send(&n).await, Ok(n));
                1
            })
        }),
        ("send_many", |tx, n| {
            Box::pin(async move {
                let messages: Vec<_> = (n..n + 5).collect();
                tx.send_many(&messages).await.unwrap() as u64
            })
        }),
        ("claim", |tx, n| {
            Box::pin(async move {
                let mut claim = tx.claim().await.unwrap();
                claim.write(&n);
                claim.commit();
                1
            })
        }),
        ("sink", |tx, n| {
            Box::pin(async move {
                SinkExt::send(tx, n).await.unwrap();
                1
            })
        }),
    ];
    for how in EVERY {
        for (name, way) in ways {
            assert_eq!(send_slots(how, *way), Ok(()), "{name}, {how:?}");
        }
    }
}

/// Pending once.
async fn once() {
    let mut was = false;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut was, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn control_a_future_that_waits_after_it_took_or_sent_is_found_out() {
    let took = receive_records(How::Files, |rx| {
        Box::pin(async {
            let message = rx.recv().await.unwrap();
            once().await;
            vec![records_number(message)]
        })
    });
    assert_eq!(took.as_ref().map_err(String::as_str), Err("a dropped future took a message"));
    let sent = send_records(How::Files, |tx, n| {
        Box::pin(async move {
            tx.send(&n.to_le_bytes()).await.unwrap();
            once().await;
            1
        })
    });
    assert_eq!(sent.as_ref().map_err(String::as_str), Err("a dropped future sent a message"));
}
