//! Sets of iceoryx2's. Each queue has two services: its messages, and the events that say that there are some. Whoever has sent
//! notifies; whoever receives waits in a set for the events, takes them, and then all messages.
//!
//! For a set of a hundred one limit is raised, that of a process's descriptors: a thousand do not suffice. None of iceoryx2's is in
//! the way: the kernel says how many fit into a set (`fs.epoll.max_user_watches`), and each queue has services of its own, with one
//! port at each end. Only a subscriber's buffer is deeper than the usual two messages.

use super::super::child::Child;
use super::super::errand::{Errand, Medium};
use super::super::sets::{BATCH, BYTES, CAPACITY, Stock, WORDS};
use super::super::word::Wire;
use crate::contenders::peers_processes::{Scraps, node as plain_node};
use crate::processors::pinned;
use crate::run::Figures;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::{
    BackpressureStrategy, CallbackProgression, Node, SignalHandlingMode, WaitSet, WaitSetAttachmentId,
    WaitSetBuilder, WaitSetGuard, ZeroCopySend, ipc,
};
use iceoryx2::service::port_factory::{event, publish_subscribe};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shmq_tool::print;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hint::spin_loop;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A node, in a process that may have many descriptors.
fn node(folder: &Path) -> Node<ipc::Service> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    plain_node(folder)
}

/// The services of one queue.
struct Queue<M: ZeroCopySend + Debug + 'static> {
    messages: publish_subscribe::PortFactory<ipc::Service, M, ()>,
    events: event::PortFactory<ipc::Service>,
}

fn events(node: &Node<ipc::Service>, name: &str) -> event::PortFactory<ipc::Service> {
    let name = name.try_into().expect("a plain name");
    let service = node.service_builder(&name).event().max_notifiers(1).max_listeners(1);
    service.open_or_create().expect("a service of events")
}

impl<M: ZeroCopySend + Debug + 'static> Queue<M> {
    fn new(node: &Node<ipc::Service>, name: &str, depth: u64) -> Self {
        let service = name.try_into().expect("a plain name");
        let messages = node
            .service_builder(&service)
            .publish_subscribe::<M>()
            .enable_safe_overflow(false)
            .history_size(0)
            .max_publishers(1)
            .max_subscribers(1)
            .subscriber_max_buffer_size(depth as usize);
        Self { messages: messages.open_or_create().expect("a service"), events: events(node, name) }
    }

    fn sender(
        &self,
        when_full: BackpressureStrategy,
    ) -> (Publisher<ipc::Service, M, ()>, Notifier<ipc::Service>) {
        let publisher = self.messages.publisher_builder().backpressure_strategy(when_full).create();
        (publisher.expect("a publisher"), notifier(&self.events))
    }

    fn receiver(&self) -> (Subscriber<ipc::Service, M, ()>, Listener<ipc::Service>) {
        (self.messages.subscriber_builder().create().expect("a subscriber"), listener(&self.events))
    }
}

fn notifier(events: &event::PortFactory<ipc::Service>) -> Notifier<ipc::Service> {
    events.notifier_builder().create().expect("a notifier")
}

fn listener(events: &event::PortFactory<ipc::Service>) -> Listener<ipc::Service> {
    events.listener_builder().create().expect("a listener")
}

/// Both ends of so many more services of events, at which nothing happens.
fn silent(
    node: &Node<ipc::Service>,
    of: &str,
    count: usize,
) -> Vec<(Notifier<ipc::Service>, Listener<ipc::Service>)> {
    let both = |n| {
        let events = events(node, &format!("{of} {n}"));
        (notifier(&events), listener(&events))
    };
    (0..count).map(both).collect()
}

fn set() -> WaitSet<ipc::Service> {
    let set = WaitSetBuilder::new().signal_handling_mode(SignalHandlingMode::Disabled);
    set.create::<ipc::Service>().expect("a set")
}

fn attach<'a>(
    set: &'a WaitSet<ipc::Service>,
    listener: &'a Listener<ipc::Service>,
) -> WaitSetGuard<'a, 'a, ipc::Service> {
    set.attach_notification(listener).expect("room in the set")
}

struct Words<'a> {
    tx: Publisher<ipc::Service, u64, ()>,
    notifier: Notifier<ipc::Service>,
    rx: Subscriber<ipc::Service, u64, ()>,
    listener: &'a Listener<ipc::Service>,
    guard: WaitSetGuard<'a, 'a, ipc::Service>,
    set: &'a WaitSet<ipc::Service>,
}

impl Wire for Words<'_> {
    fn send(&mut self, word: u64) {
        assert_eq!(self.tx.send_copy(word).expect("room"), 1, "somebody gets it");
        assert_eq!(self.notifier.notify().expect("an event"), 1, "somebody is told");
    }

    fn recv(&mut self) -> u64 {
        let mut word = None;
        while word.is_none() {
            let waited = self.set.wait_and_process_once(|which| {
                if which.has_event_from(&self.guard) {
                    self.listener.try_wait(|_| {}).expect("its events");
                    while let Some(message) = self.rx.receive().expect("a publisher") {
                        word = Some(*message);
                    }
                }
                CallbackProgression::Continue
            });
            waited.expect("an event");
        }
        word.expect("a word")
    }
}

const ASK: &str = "ask";
const ANSWER: &str = "answer";
/// Messages that may be pending; there is never more than one.
const DEPTH: u64 = 8;

/// An end of the words, and what else its receiver waits for.
fn with_words<R>(
    folder: &Path,
    [to, from]: [&str; 2],
    ends: usize,
    meet: impl FnOnce(),
    body: impl FnOnce(&mut Words<'_>) -> R,
) -> R {
    let node = node(folder);
    let (to, from) = (Queue::new(&node, to, DEPTH), Queue::<u64>::new(&node, from, DEPTH));
    let (tx, notifier) = to.sender(BackpressureStrategy::RetryUntilDelivered);
    let (rx, listener) = from.receiver();
    let others = silent(&node, &std::process::id().to_string(), ends - 1);
    let set = set();
    let guard = attach(&set, &listener);
    let _guards: Vec<_> = others.iter().map(|(_, listener)| attach(&set, listener)).collect();
    meet();
    body(&mut Words { tx, notifier, rx, listener: &listener, guard, set: &set })
}

/// Words there and back, with a child at the other end; each receiver waits in a set of so many listeners.
pub fn call<R>(ends: usize, processor: usize, body: impl FnOnce(&mut dyn Wire) -> R) -> R {
    let scraps = Scraps::new(std::env::temp_dir());
    let medium = Medium::Iceoryx(scraps.path().into(), ends);
    let mut child = None;
    let start = || {
        let errand = Errand::Echo(medium, processor);
        // A message sent before somebody is there would be lost.
        child.insert(Child::start_with(&errand, Stdio::null(), Stdio::piped())).ready();
    };
    with_words(scraps.path(), [ASK, ANSWER], ends, start, |words| body(words))
}

/// The child's part.
pub fn echo(folder: &Path, ends: usize) -> ! {
    let ready = || {
        let _ = print::out("ready\n");
    };
    with_words(folder, [ANSWER, ASK], ends, ready, |words| {
        loop {
            let word = words.recv();
            words.send(word);
        }
    })
}

/// Waits for what does not come, in a set of so many listeners.
pub fn wait(ends: usize, time: Duration, ready: impl FnOnce()) {
    let scraps = Scraps::new(std::env::temp_dir());
    let node = node(scraps.path());
    let (others, set) = (silent(&node, "silent", ends), set());
    let _guards: Vec<_> = others.iter().map(|(_, listener)| attach(&set, listener)).collect();
    ready();
    let nothing = |_| panic!("nothing happens");
    set.wait_and_process_once_with_timeout(nothing, time).expect("no event");
}

/// The folder's queues.
fn queues(node: &Node<ipc::Service>, count: usize) -> Vec<Queue<[u64; WORDS]>> {
    (0..count).map(|n| Queue::new(node, &n.to_string(), CAPACITY / BYTES as u64)).collect()
}

/// As those of [`super::super::sets`]: some messages to each in turn, as it has room, then one notification for all of them.
pub fn feed(folder: &Path, count: usize, messages: u64) {
    let node = node(folder);
    // A full buffer takes nothing, and says so; to wait for room in one of them would be to sleep.
    let senders = |queue: &Queue<_>| queue.sender(BackpressureStrategy::DiscardData);
    let senders: Vec<_> = queues(&node, count).iter().map(senders).collect();
    let mut sent = vec![0; senders.len()];
    while sent.iter().any(|&sent| sent < messages) {
        for ((tx, notifier), sent) in senders.iter().zip(&mut sent) {
            let before = *sent;
            for _ in 0..BATCH {
                if *sent == messages || tx.send_copy([*sent; WORDS]).expect("a subscriber") == 0 {
                    spin_loop();
                    break;
                }
                *sent += 1;
            }
            if *sent > before {
                assert_eq!(notifier.notify().expect("an event"), 1, "somebody is told");
            }
        }
    }
    // Its messages go with it.
    loop {
        std::thread::park();
    }
}

/// Receives all of it in a set of so many queues, each message read where it is; nanoseconds for a message.
pub fn measure(count: usize, messages: u64) -> Figures {
    let scraps = Scraps::new(std::env::temp_dir());
    let node = node(scraps.path());
    let receivers: Vec<_> = queues(&node, count).iter().map(Queue::receiver).collect();
    let set = set();
    let guards: Vec<_> = receivers.iter().map(|(_, listener)| attach(&set, listener)).collect();
    let which: HashMap<_, usize> =
        guards.iter().enumerate().map(|(n, guard)| (WaitSetAttachmentId::from_guard(guard), n)).collect();
    let mut stock = Stock::new(count, messages);
    let errand = Errand::FeedServices { folder: scraps.path().into(), queues: count, messages: stock.each() };
    let _feeder = Child::start(&errand);
    pinned(0, || {
        while !stock.is_whole() {
            let waited = set.wait_and_process_once(|ready| {
                let (rx, listener) = &receivers[which[&ready]];
                listener.try_wait(|_| {}).expect("its events");
                while let Some(message) = rx.receive().expect("a publisher") {
                    stock.take(|sum| sum.words(message.payload()));
                }
                CallbackProgression::Continue
            });
            waited.expect("more");
        }
    });
    stock.figures()
}
