//! Ways to pass one word to a sleeping process and back.

#![allow(clippy::disallowed_types, reason = "the bare futex is what the queues are measured against")]

use super::awaited;
use super::child::{Child, Name};
use super::errand::{Awaiting, Errand, Medium, Preset};
#[cfg(feature = "peers")]
use super::peers;
use super::word::Wire;
use crate::mq;
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::thread::futex;
use shmq::{Event, Inspector, Options, Queue, TryRecvError, Until, WaitSet, slots};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

/// Messages that may be pending; there is never more than one.
const DEPTH: u64 = 8;

/// The child's part: sends back every word until it is killed.
pub fn echo(medium: &Medium) {
    let inherited = || {
        let from = io::stdin().as_fd().try_clone_to_owned().expect("an inherited descriptor");
        let to = io::stdout().as_fd().try_clone_to_owned().expect("an inherited descriptor");
        (from, to)
    };
    if awaited::echo(medium, || inherited().0) {
        return;
    }
    let mut wire: Box<dyn Wire> = match medium {
        Medium::Awaited(..) | Medium::AwaitedSocket => unreachable!("they never end"),
        #[cfg(feature = "peers")]
        Medium::Ringfire(ask, answer) => peers::ringfire::echo(ask, answer),
        #[cfg(feature = "peers")]
        Medium::Iceoryx(folder, ends) => peers::iceoryx::echo(folder, *ends),
        Medium::Futex => Box::new(Futex::map(inherited().0, PONG, PING)),
        Medium::Descriptors => {
            let (from, to) = inherited();
            Box::new(Descriptors { from, to })
        }
        Medium::MessageQueues => {
            let (from, to) = inherited();
            Box::new(MessageQueues { from, to })
        }
        Medium::Records(ask, answer) => Box::new(Records::take(
            &Queue::open(answer).expect("the queue back"),
            &Queue::open(ask).expect("the queue there"),
        )),
        Medium::Slots(ask, answer) => Box::new(Slots::take(
            &slots::Queue::open(answer).expect("the queue back"),
            &slots::Queue::open(ask).expect("the queue there"),
        )),
        Medium::Set(ask, answer, others) => Box::new(Set::take(
            &Queue::open(answer).expect("the queue back"),
            &Queue::open(ask).expect("the queue there"),
            others,
        )),
    };
    loop {
        let word = wire.recv();
        wire.send(word);
    }
}

/// A wire with a child at its other end that sends back every word.
pub struct Call {
    // Goes first: it would take the end of the wire for a failure.
    _child: Child,
    pub wire: Box<dyn Wire>,
    /// For looking at the queues, there and back.
    pub inspectors: Vec<Inspector>,
    _names: Vec<Name>,
}

impl Call {
    fn new(wire: impl Wire + 'static, medium: Medium, stdin: Stdio, stdout: Stdio, processor: usize) -> Self {
        let child = Child::start_with(&Errand::Echo(medium, processor), stdin, stdout);
        Self { wire: Box::new(wire), inspectors: Vec::new(), _child: child, _names: Vec::new() }
    }

    /// The least that can be slept on.
    pub fn futex(processor: usize) -> Self {
        let memory = memfd_create("futex", MemfdFlags::CLOEXEC).expect("a memory file");
        ftruncate(&memory, LENGTH as u64).expect("room in it");
        let inherited = memory.try_clone().expect("another descriptor");
        Self::new(Futex::map(memory, PING, PONG), Medium::Futex, inherited.into(), Stdio::null(), processor)
    }

    /// Two pipes.
    pub fn pipes(processor: usize) -> Self {
        let (asked, ask) = io::pipe().expect("a pipe");
        let (answered, answer) = io::pipe().expect("a pipe");
        let wire = Descriptors { from: answered.into(), to: ask.into() };
        Self::new(wire, Medium::Descriptors, asked.into(), answer.into(), processor)
    }

    /// A pair of Unix sockets that keep messages apart.
    pub fn sockets(processor: usize) -> Self {
        let (here, there) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .expect("a pair of sockets");
        let again = there.try_clone().expect("another descriptor");
        let wire = Descriptors { from: here.try_clone().expect("another descriptor"), to: here };
        Self::new(wire, Medium::Descriptors, there.into(), again.into(), processor)
    }

    /// Two POSIX message queues, if this kernel has them.
    ///
    /// # Errors
    /// What the system said.
    pub fn message_queues(processor: usize) -> io::Result<Self> {
        let queue = || mq::create(Name::fresh().as_str(), DEPTH as usize, 8);
        let (ask, answer) = (queue()?, queue()?);
        let (asked, answered) = (ask.try_clone()?, answer.try_clone()?);
        let wire = MessageQueues { from: answered, to: ask };
        Ok(Self::new(wire, Medium::MessageQueues, asked.into(), answer.into(), processor))
    }

    /// Two queues of records.
    pub fn records(processor: usize) -> Self {
        let options = Options::new().capacity(4096).max_message(8);
        let names = vec![Name::fresh(), Name::fresh()];
        let [ask, answer] =
            [0, 1].map(|i: usize| Queue::create(names[i].as_str(), &options).expect("a queue"));
        let medium = Medium::Records(names[0].as_str().to_owned(), names[1].as_str().to_owned());
        let wire = Records::take(&ask, &answer);
        let inspectors = [ask, answer].map(|queue| queue.inspect().expect("a look at it")).into();
        let call = Self::new(wire, medium, Stdio::null(), Stdio::null(), processor);
        Self { inspectors, _names: names, ..call }
    }

    /// Two queues of fixed-size messages.
    pub fn slots(processor: usize) -> Self {
        let names = vec![Name::fresh(), Name::fresh()];
        let [ask, answer] = [0, 1].map(|i: usize| {
            slots::Queue::create(names[i].as_str(), DEPTH, &Options::new()).expect("a queue")
        });
        let medium = Medium::Slots(names[0].as_str().to_owned(), names[1].as_str().to_owned());
        let wire = Slots::take(&ask, &answer);
        let inspectors = [ask, answer].map(|queue| queue.inspect().expect("a look at it")).into();
        let call = Self::new(wire, medium, Stdio::null(), Stdio::null(), processor);
        Self { inspectors, _names: names, ..call }
    }
}

impl Call {
    /// As [`Call::records`], awaited.
    pub fn awaited(how: Awaiting, processor: usize) -> Self {
        let options = Options::new().capacity(4096).max_message(8);
        let names = vec![Name::fresh(), Name::fresh()];
        let [ask, answer] =
            [0, 1].map(|i: usize| Queue::create(names[i].as_str(), &options).expect("a queue"));
        let medium = Medium::Awaited(names[0].as_str().into(), names[1].as_str().into(), how);
        let call =
            Self::new(awaited::take(&ask, &answer, how), medium, Stdio::null(), Stdio::null(), processor);
        Self { _names: names, ..call }
    }

    /// A Unix socket, awaited under tokio.
    pub fn awaited_socket(processor: usize) -> Self {
        let (here, there) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .expect("a pair of sockets");
        Self::new(awaited::socket(here), Medium::AwaitedSocket, there.into(), Stdio::null(), processor)
    }

    /// As [`Call::records`], and each receiver waits in a set of so many ends, at the others of which nothing happens.
    pub fn set(ends: usize, processor: usize) -> Self {
        let options = Options::new().capacity(4096).max_message(8);
        let names: Vec<_> = (0..2 * ends).map(|_| Name::fresh()).collect();
        let queues: Vec<_> =
            names.iter().map(|name| Queue::create(name.as_str(), &options).expect("a queue")).collect();
        let text = |names: &[Name]| names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
        let (ours, theirs) = (text(&names[2..=ends]), text(&names[ends + 1..]));
        let medium = Medium::Set(names[0].as_str().into(), names[1].as_str().into(), theirs);
        let wire = Set::take(&queues[0], &queues[1], &ours);
        let inspectors = queues[..2].iter().map(|queue| queue.inspect().expect("a look at it")).collect();
        let call = Self::new(wire, medium, Stdio::null(), Stdio::null(), processor);
        Self { inspectors, _names: names, ..call }
    }
}

/// Where the two words are, on lines of their own.
const PING: usize = 0;
const PONG: usize = 128;
const LENGTH: usize = 4096;

/// The two words, and which of them is whose.
pub struct Futex {
    memory: MmapRaw,
    own: usize,
    peers: usize,
    seen: u32,
}

impl Futex {
    /// What sends one way, and what receives there.
    pub fn one_way() -> (Self, Self) {
        let memory = memfd_create("futex", MemfdFlags::CLOEXEC).expect("a memory file");
        ftruncate(&memory, LENGTH as u64).expect("room in it");
        let other = memory.try_clone().expect("another descriptor");
        (Self::map(memory, PING, PONG), Self::map(other, PONG, PING))
    }

    fn map(memory: OwnedFd, own: usize, peers: usize) -> Self {
        let memory = MmapOptions::new().len(LENGTH).map_raw(&memory).expect("map the words");
        Self { memory, own, peers, seen: 0 }
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: inside the mapping, which lives as long as `self`, aligned, and only ever used as an atomic.
        unsafe { AtomicU32::from_ptr(self.memory.as_mut_ptr().add(at).cast()) }
    }
}

impl Wire for Futex {
    fn send(&mut self, word: u64) {
        self.word(self.own).store(word as u32, Ordering::Release);
        futex::wake(self.word(self.own), futex::Flags::empty(), 1).expect("a wake call");
    }

    fn recv(&mut self) -> u64 {
        loop {
            let word = self.word(self.peers).load(Ordering::Acquire);
            if word != self.seen {
                self.seen = word;
                return word.into();
            }
            // Woken, changed meanwhile, or interrupted: look again.
            let _ = futex::wait(self.word(self.peers), futex::Flags::empty(), self.seen, None);
        }
    }
}

struct Descriptors {
    from: OwnedFd,
    to: OwnedFd,
}

impl Wire for Descriptors {
    fn send(&mut self, word: u64) {
        assert_eq!(rustix::io::write(&self.to, &word.to_ne_bytes()), Ok(8), "a word is written whole");
    }

    fn recv(&mut self) -> u64 {
        let mut word = [0; 8];
        assert_eq!(rustix::io::read(&self.from, &mut word), Ok(8), "a word is read whole");
        u64::from_ne_bytes(word)
    }
}

struct MessageQueues {
    from: OwnedFd,
    to: OwnedFd,
}

impl Wire for MessageQueues {
    fn send(&mut self, word: u64) {
        mq::send(&self.to, &word.to_ne_bytes()).expect("room");
    }

    fn recv(&mut self) -> u64 {
        let mut word = [0; 8];
        assert_eq!(mq::receive(&self.from, &mut word).expect("a word"), 8, "a word is received whole");
        u64::from_ne_bytes(word)
    }
}

struct Records {
    tx: shmq::Producer,
    rx: shmq::Consumer,
}

impl Records {
    fn take(to: &Queue, from: &Queue) -> Self {
        let mut tx = to.producer().expect("the sending end");
        let mut rx = from.consumer().expect("the receiving end");
        tx.set_waiting(Preset::LowPower.waiting());
        rx.set_waiting(Preset::LowPower.waiting());
        Self { tx, rx }
    }
}

impl Wire for Records {
    fn send(&mut self, word: u64) {
        self.tx.send_value(&word, Until::Forever).expect("room");
    }

    fn recv(&mut self) -> u64 {
        self.rx.recv_value(Until::Forever).expect("a word")
    }
}

struct Set {
    tx: shmq::Producer,
    /// The first of them is the one that matters.
    receivers: Vec<shmq::Consumer>,
    _idle: Vec<shmq::Producer>,
    set: WaitSet,
    events: Vec<Event>,
}

impl Set {
    fn take(to: &Queue, from: &Queue, others: &[String]) -> Self {
        let mut tx = to.producer().expect("the sending end");
        tx.set_waiting(Preset::LowPower.waiting());
        let mut receivers = vec![from.consumer().expect("the receiving end")];
        let mut idle = Vec::new();
        for name in others {
            let queue = Queue::open(name).expect("one more queue");
            idle.push(queue.producer().expect("its sending end"));
            receivers.push(queue.consumer().expect("its receiving end"));
        }
        let mut set = WaitSet::new().expect("a set");
        set.set_waiting(Preset::LowPower.waiting());
        Self { tx, receivers, _idle: idle, set, events: Vec::new() }
    }
}

impl Wire for Set {
    fn send(&mut self, word: u64) {
        self.tx.send_value(&word, Until::Forever).expect("room");
    }

    fn recv(&mut self) -> u64 {
        loop {
            match self.receivers[0].try_recv_value() {
                Ok(word) => return word,
                Err(TryRecvError::Empty) => {}
                Err(error) => panic!("{error}"),
            }
            self.set.wait(&mut self.receivers, &mut self.events, Until::Forever).expect("a word");
        }
    }
}

struct Slots {
    tx: slots::Producer<u64>,
    rx: slots::Consumer<u64>,
}

impl Slots {
    fn take(to: &slots::Queue<u64>, from: &slots::Queue<u64>) -> Self {
        let mut tx = to.producer().expect("the sending end");
        let mut rx = from.consumer().expect("the receiving end");
        tx.set_waiting(Preset::LowPower.waiting());
        rx.set_waiting(Preset::LowPower.waiting());
        Self { tx, rx }
    }
}

impl Wire for Slots {
    fn send(&mut self, word: u64) {
        self.tx.send(&word, Until::Forever).expect("room");
    }

    fn recv(&mut self) -> u64 {
        self.rx.recv(Until::Forever).expect("a word")
    }
}
