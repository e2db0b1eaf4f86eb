//! How soon a blocked receiver is told that its producer was killed, and how soon a successor reaches it.

use super::child::{Child, Name, now_ns};
use super::errand::Errand;
use crate::bench::Bench;
use crate::compare::Contender;
use crate::run::Figures;
use shmq::{AttachError, Consumer, Inspector, Options, PeerState, Queue, RecvError, Role, Until, Waiting};
use shmq_tool::print;
use std::process::Stdio;
use std::thread::{sleep, yield_now};
use std::time::Duration;

/// Longest that anything here may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The child's part: has the role, says so, and does nothing more.
pub fn hold(name: &str) {
    let mut tx = Queue::open(name).expect("the queue").producer().expect("its producer");
    tx.try_send(&[]).expect("an empty queue");
    loop {
        sleep(LIMIT);
    }
}

/// The successor's part: takes the role as soon as it is free, and says when it sent.
pub fn succeed(name: &str) {
    let queue = Queue::open(name).expect("the queue");
    assert!(matches!(queue.producer(), Err(AttachError::Busy { .. })), "it is still held");
    let _ = print::out("ready\n");
    loop {
        match queue.producer() {
            Ok(mut tx) => {
                tx.try_send_value(&now_ns()).expect("an empty queue");
                return;
            }
            Err(AttachError::Busy { .. }) => sleep(Duration::from_micros(100)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A queue whose producer is a child about to die.
struct Scene {
    inspector: Inspector,
    rx: Consumer,
    holder: Child,
    name: Name,
}

impl Scene {
    fn set(capacity: u64) -> Self {
        let name = Name::fresh();
        let queue = Queue::create(name.as_str(), &Options::new().capacity(capacity)).expect("a queue");
        let mut rx = queue.consumer().expect("its consumer");
        let holder = Child::start(&Errand::Hold { name: name.as_str().to_owned() });
        rx.recv(LIMIT).expect("the word that it is there");
        Self { inspector: queue.inspect().expect("a look at it"), rx, holder, name }
    }
}

/// Waits until the receiver sleeps, then a little more, another time in each trial: its slices are 10 ms.
fn until_asleep(inspector: &Inspector) {
    while inspector.snapshot().consumer.stalled_since_ns.is_none() {
        sleep(Duration::from_micros(100));
    }
    sleep(Duration::from_nanos(now_ns() % 20_000_000));
}

/// From the kill to the freed role, to the receiver's being told.
fn lost(capacity: u64) -> Figures {
    let Scene { inspector, mut rx, mut holder, name: _name } = Scene::set(capacity);
    std::thread::scope(|threads| {
        let told = threads.spawn(move || {
            assert_eq!(rx.recv(LIMIT), Err(RecvError::ProducerLost), "nothing else can have happened");
            now_ns()
        });
        until_asleep(&inspector);
        let killed = now_ns();
        holder.kill();
        while inspector.state(Role::Producer) == PeerState::Attached {
            yield_now();
        }
        let freed = now_ns();
        let told = told.join().expect("the receiver");
        vec![
            ("kill_to_lost_ns", (told - killed) as f64),
            ("kill_to_freed_ns", (freed - killed) as f64),
            // The receiver may have seen it first.
            ("freed_to_lost_ns", told.saturating_sub(freed) as f64),
        ]
    })
}

/// From the kill to a waiting successor's first message; and from that message's sending.
fn succeeded(capacity: u64) -> Figures {
    let Scene { inspector, mut rx, mut holder, name } = Scene::set(capacity);
    rx.set_waiting(Waiting::new().across_restarts(true));
    std::thread::scope(|threads| {
        let told = threads.spawn(move || {
            let sent: u64 = rx.recv_value(Until::After(LIMIT)).expect("the successor's message");
            (now_ns(), sent)
        });
        let errand = Errand::Succeed { name: name.as_str().to_owned() };
        let mut successor = Child::start_with(&errand, Stdio::null(), Stdio::piped());
        successor.ready();
        until_asleep(&inspector);
        let killed = now_ns();
        holder.kill();
        let (told, sent) = told.join().expect("the receiver");
        vec![
            ("kill_to_message_ns", (told - killed) as f64),
            // The role freed, taken by the successor, and the queue's memory made ready for it.
            ("kill_to_sent_ns", (sent - killed) as f64),
            ("sent_to_message_ns", told.saturating_sub(sent) as f64),
        ]
    })
}

/// For a small queue, and for one whose memory takes the kernel a while to tear down.
pub fn run(bench: &mut Bench) {
    let large = if bench.is_quick() { 16 << 20 } else { 256 << 20 };
    let large_name = if bench.is_quick() { "16 MiB" } else { "256 MiB" };
    let contenders = |trial: fn(u64) -> Figures| -> Vec<Contender> {
        vec![
            Contender::new("64 KiB", move || trial(64 << 10)),
            Contender::new(large_name, move || trial(large)),
        ]
    };
    bench.compare_anywhere("death, lost", contenders(lost), 100);
    bench.compare_anywhere("death, successor", contenders(succeeded), 100);
}
