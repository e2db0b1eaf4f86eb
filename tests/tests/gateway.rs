//! P10: a service that waits for twelve queues, a listener, connections and a timer in one thread loses nothing, whoever is killed or
//! stopped. The service is the example's (`crates/shmq/examples/gateway.rs`), in a process of its own.
//!
//! What is promised: **exactly once** as long as the gateway itself is not killed, whatever happens to those around it, in both
//! directions; **at least once** when it is, for what came by TCP and was not answered, and for what was in a batch that was not acknowledged.
#![allow(clippy::disallowed_types, reason = "counters of the test's own threads")]

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType, connect, socket};
use shmq::{Consumer, Options, Queue, RecvError, TryRecvError, Waiting};
use shmq_tests::process::{Child, Dice, LIMIT, Scratch, eventually};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");
const QUEUES: usize = 12;

/// The queues of one gateway, in a folder of their own.
struct Place {
    folder: Scratch,
}

impl Place {
    fn new() -> Self {
        let this = Self { folder: Scratch::directory("gateway") };
        for n in 0..QUEUES {
            Queue::create(this.name(n), &Options::new().capacity(4096).max_message(64)).unwrap();
        }
        let out = Options::new().capacity(1 << 16).max_message(64).max_messages(32);
        Queue::create(this.out(), &out).unwrap();
        this
    }

    fn name(&self, queue: usize) -> String {
        format!("{}-{queue}", self.prefix())
    }

    fn out(&self) -> String {
        format!("{}-out", self.prefix())
    }

    fn prefix(&self) -> String {
        format!("{}/q", self.folder.name())
    }

    fn start(&self) -> (Child, SocketAddr) {
        let gateway = Child::spawn(HELPER, &["gateway", &self.prefix(), &QUEUES.to_string()]);
        let address = gateway.line().parse().unwrap();
        (gateway, address)
    }

    fn feed(&self, queue: usize, messages: u64) -> Child {
        Child::spawn(HELPER, &["gateway-feed", &self.name(queue), &messages.to_string()])
    }

    /// Nothing is left that nobody acknowledged.
    fn is_at_its_end(&self) {
        for n in 0..QUEUES {
            let mut rx = Consumer::open(self.name(n)).unwrap();
            assert_eq!(rx.try_recv(), Err(TryRecvError::Finished), "queue {n}");
        }
    }
}

/// Whole lines until the connection ends, however it does.
fn lines(connection: &TcpStream) -> impl Iterator<Item = String> {
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    std::iter::from_fn(move || {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(n) if n > 0 && line.ends_with('\n') => Some(line.trim_end().to_owned()),
            Ok(_) => None,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came for {LIMIT:?}"),
            Err(_) => None,
        }
    })
}

/// What is known of numbers that must come in order, from 0.
#[derive(Clone, Default)]
struct Order {
    next: u64,
    repeated: u64,
}

impl Order {
    fn see(&mut self, n: u64) {
        assert!(n <= self.next, "{n} instead of {}: something was lost", self.next);
        self.repeated += u64::from(n < self.next);
        self.next = self.next.max(n + 1);
    }
}

/// A line that came out of a queue: of which, and its number, which its text has as well.
fn see(orders: &mut [Order], line: &str) {
    let mut words = line.splitn(3, ' ');
    let [queue, sequence] = [(); 2].map(|()| words.next().unwrap().parse::<u64>().unwrap());
    assert_eq!(words.next(), Some(&*format!("message {sequence}")));
    orders[queue as usize].see(sequence);
}

/// Number of a line that went in.
fn number(line: &str) -> u64 {
    line.strip_prefix("line ").unwrap().parse().unwrap()
}

/// Sends lines from `first` on until the connection ends or `enough`, and then waits for the answers; how many are answered in all.
fn send_lines(connection: &TcpStream, first: u64, enough: &AtomicBool, sent: &AtomicU64) -> u64 {
    let mut upstream = connection.try_clone().unwrap();
    let mut answered = first;
    sent.store(first, Ordering::Relaxed);
    scope(|s| {
        s.spawn(move || {
            for n in first.. {
                if enough.load(Ordering::Relaxed) || writeln!(upstream, "line {n}").is_err() {
                    break;
                }
                sent.store(n + 1, Ordering::Relaxed);
                if n % 16 == 0 {
                    sleep(Duration::from_millis(1));
                }
            }
            // The answers to all of them come, and then the gateway closes.
            let _ = upstream.shutdown(std::net::Shutdown::Write);
        });
        for line in lines(connection) {
            if let Some(count) = line.strip_prefix("ok ") {
                answered = first + count.parse::<u64>().unwrap();
            }
        }
    });
    answered
}

/// A client that does not read, with little room for what it does not.
fn sluggard(address: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    set_socket_recv_buffer_size(&socket, 4096).unwrap();
    connect(&socket, &address).unwrap();
    socket.into()
}

#[test]
fn p10_a_gateway_that_is_not_killed_hands_everything_on_exactly_once() {
    const EACH: u64 = 1500;
    let place = Place::new();
    let (gateway, address) = place.start();
    let mut out = Consumer::open(place.out()).unwrap();
    let (seen, sent, never) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    // Connected in this order, so that the first one is there from the first message on.
    let subscriber = TcpStream::connect(address).unwrap();
    let client = TcpStream::connect(address).unwrap();
    let idle = sluggard(address);
    scope(|s| {
        let subscriber = s.spawn(|| {
            let mut orders = vec![Order::default(); QUEUES];
            for line in lines(&subscriber) {
                see(&mut orders, &line);
                seen.fetch_add(1, Ordering::Relaxed);
            }
            orders
        });
        let client = s.spawn(|| send_lines(&client, 0, &never, &sent));
        let receiver = s.spawn(|| {
            let mut order = Order::default();
            loop {
                match out.recv(LIMIT) {
                    Ok(line) => order.see(number(std::str::from_utf8(&line).unwrap())),
                    Err(RecvError::Finished) => return order,
                    Err(error) => panic!("{error}"),
                }
                // At first the queue out is full.
                if order.next < 300 {
                    sleep(Duration::from_millis(1));
                }
            }
        });
        let (mut dice, mut kills) = (Dice(0x9a7e), 0);
        let mut feeders: Vec<Child> = (0..QUEUES).map(|n| place.feed(n, EACH)).collect();
        for round in 0..60 {
            sleep(Duration::from_micros(dice.below(10_000)));
            let n = dice.below(QUEUES as u64) as usize;
            feeders.remove(n).kill();
            feeders.insert(n, place.feed(n, EACH));
            kills += 1;
            if round % 10 == 0 {
                gateway.stop();
                sleep(Duration::from_millis(20));
                gateway.signal(libc::SIGCONT);
            }
        }
        println!("{kills} kills");
        let all = QUEUES as u64 * EACH;
        eventually("every message was handed on", || seen.load(Ordering::Relaxed) >= all);
        // The client is in the middle of its lines.
        let before = sent.load(Ordering::Relaxed);
        eventually("lines go on", || sent.load(Ordering::Relaxed) > before + 100);
        gateway.signal(libc::SIGTERM);
        gateway.succeed();
        for (queue, order) in subscriber.join().unwrap().iter().enumerate() {
            assert_eq!((order.next, order.repeated), (EACH, 0), "queue {queue}");
        }
        let (answered, order) = (client.join().unwrap(), receiver.join().unwrap());
        println!("{} lines, {answered} answered, {} sent", order.next, sent.load(Ordering::Relaxed));
        assert_eq!(order.repeated, 0);
        assert!(order.next >= 300 && answered <= order.next, "{answered} answered, {} came", order.next);
        for feeder in feeders {
            feeder.succeed();
        }
    });
    // It has read nothing of what is more than sockets hold. So it was cut, and not waited for.
    drop(idle);
    place.is_at_its_end();
}

#[test]
fn p10_a_gateway_that_is_killed_loses_nothing_and_repeats_what_was_not_acknowledged() {
    const EACH: u64 = 8000;
    const KILLS: u32 = 25;
    let place = Place::new();
    let mut out = Consumer::open(place.out()).unwrap();
    out.set_waiting(Waiting::new().across_restarts(true));
    let (calm, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let seen = AtomicU64::new(0);
    scope(|s| {
        let receiver = s.spawn(|| {
            let mut order = Order::default();
            loop {
                match out.recv(LIMIT) {
                    Ok(line) => order.see(number(std::str::from_utf8(&line).unwrap())),
                    Err(RecvError::Finished) => return order,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let feeders: Vec<Child> = (0..QUEUES).map(|n| place.feed(n, EACH)).collect();
        let mut orders = vec![Order::default(); QUEUES];
        let (mut dice, mut answered, mut kills) = (Dice(0xdead), 0, 0);
        loop {
            let (gateway, address) = place.start();
            // In this order: a message goes to whoever is there.
            let (subscriber, client) =
                (TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap());
            answered = scope(|s| {
                let subscriber = s.spawn(|| {
                    for line in lines(&subscriber) {
                        see(&mut orders, &line);
                        let all = orders.iter().map(|order| order.next).sum();
                        seen.store(all, Ordering::Relaxed);
                    }
                });
                let client = s.spawn(|| send_lines(&client, answered, &calm, &sent));
                if kills < KILLS {
                    sleep(Duration::from_micros(5000 + dice.below(40_000)));
                    gateway.kill();
                    kills += 1;
                } else {
                    eventually("every message was handed on", || {
                        seen.load(Ordering::Relaxed) == QUEUES as u64 * EACH
                    });
                    calm.store(true, Ordering::Relaxed);
                    // The client's connection is closed when all of its lines are answered.
                    let answered = client.join().unwrap();
                    gateway.signal(libc::SIGTERM);
                    gateway.succeed();
                    subscriber.join().unwrap();
                    return answered;
                }
                subscriber.join().unwrap();
                client.join().unwrap()
            });
            if calm.load(Ordering::Relaxed) {
                break;
            }
        }
        for feeder in feeders {
            feeder.succeed();
        }
        let order = receiver.join().unwrap();
        let repeated: u64 = orders.iter().map(|order| order.repeated).sum();
        println!(
            "{kills} kills, {repeated} messages and {} of {} lines repeated",
            order.repeated, order.next
        );
        assert!(orders.iter().all(|order| order.next == EACH));
        // Some of an earlier life may have come without an answer, and the last client did not want to send them again.
        assert!(answered == sent.load(Ordering::Relaxed) && answered <= order.next);
    });
    place.is_at_its_end();
}

#[test]
#[should_panic(expected = "something was lost")]
fn null_control_a_message_that_is_missing_is_seen() {
    let mut orders = vec![Order::default(); QUEUES];
    ["3 0 message 0", "3 2 message 2"].iter().for_each(|line| see(&mut orders, line));
}
