//! Both shapes of queue behind one face: which one it is shows when it is opened.

use crate::args::QueueOptions;
use shmq::{
    AttachError, CreateError, Inspector, Kind, OpenError, Options, RecvError, SendError, TrySendError, Until,
    Waiting, slots,
};
use shmq_tool::failure::Failure;
use shmq_tool::units::show_bytes;
use std::ffi::OsStr;
use std::path::Path;

/// A queue of either shape.
#[derive(Debug)]
pub enum Queue {
    Records(shmq::Queue),
    Slots(slots::Queue<[u8]>),
}

/// How long messages may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    UpTo(u64),
    Exactly(u64),
}

impl Length {
    /// The longest.
    pub fn longest(self) -> u64 {
        match self {
            Self::UpTo(bytes) | Self::Exactly(bytes) => bytes,
        }
    }

    /// Whether a message may have so many bytes.
    pub fn allows(self, bytes: u64) -> bool {
        match self {
            Self::UpTo(most) => bytes <= most,
            Self::Exactly(exactly) => bytes == exactly,
        }
    }
}

impl Queue {
    /// Makes a queue of the shape that the options say.
    pub fn create(name: &OsStr, limits: &QueueOptions) -> Result<Self, CreateError> {
        let options = limits.options();
        match limits.slots() {
            Some((size, depth)) => slots::Queue::create_bytes(name, size, depth, &options).map(Self::Slots),
            None => shmq::Queue::create(name, &options).map(Self::Records),
        }
    }

    /// Opens a queue of whatever shape.
    pub fn open(name: &OsStr, options: &Options) -> Result<Self, OpenError> {
        match shmq::Queue::open_with(name, options).map(Self::Records) {
            Err(OpenError::WrongKind { found: Kind::Slots, .. }) => {
                slots::Queue::open_bytes(name, options).map(Self::Slots)
            }
            done => done,
        }
    }

    /// Opens a queue, or makes it if there is none. One that exists must have the shape asked for.
    pub fn open_or_create(name: &OsStr, limits: &QueueOptions) -> Result<Self, Failure> {
        // Each failure means that someone else removed or made it in between; nobody does that for ever.
        for _ in 0..100 {
            match Self::open(name, &limits.options()) {
                Err(OpenError::NotFound { .. }) => {}
                done => return done?.of_shape(name, limits),
            }
            match Self::create(name, limits) {
                Err(CreateError::AlreadyExists { .. }) => {}
                done => return Ok(done?),
            }
        }
        Ok(Self::open(name, &limits.options())?)
    }

    fn of_shape(self, name: &OsStr, limits: &QueueOptions) -> Result<Self, Failure> {
        let asked = limits.slots().map(|(size, _)| size);
        let clash = match (self.length(), asked) {
            (Length::UpTo(_), Some(asked)) => {
                format!("holds messages of any length, not --slots {asked}; leave --slots and --depth out")
            }
            (Length::Exactly(size), Some(asked)) if asked != size => {
                format!("holds messages of exactly {}, not {asked}; send those", show_bytes(size))
            }
            (Length::Exactly(size), None) if limits.any_records_limit() => format!(
                "holds messages of exactly {}, to which the limits given do not apply; leave them out",
                show_bytes(size)
            ),
            _ => {
                self.agrees_with(name, limits)?;
                return Ok(self);
            }
        };
        let path = self.path().map(Path::display).map(|path| path.to_string()).unwrap_or_default();
        Err(Failure::new(format!("the queue {path} exists already and {clash}, or choose another name")))
    }

    /// That it has the limits asked for, whose kind it has.
    fn agrees_with(&self, name: &OsStr, limits: &QueueOptions) -> Result<(), Failure> {
        match (self, limits.slots()) {
            (Self::Records(_), None) if limits.any_records_limit() => {
                shmq::Queue::open_or_create(name, &limits.options())?;
            }
            (Self::Slots(queue), Some((_, asked))) if queue.depth() != asked => {
                return Err(OpenError::OtherLimit {
                    path: queue.path().map(Path::to_path_buf),
                    what: "depth",
                    asked,
                    found: Some(queue.depth()),
                }
                .into());
            }
            _ => {}
        }
        Ok(())
    }

    pub fn length(&self) -> Length {
        match self {
            Self::Records(queue) => Length::UpTo(queue.limits().max_message),
            Self::Slots(queue) => Length::Exactly(queue.message_size()),
        }
    }

    pub fn producer(&self) -> Result<Producer, AttachError> {
        Ok(match self {
            Self::Records(queue) => Producer::Records(queue.producer()?),
            Self::Slots(queue) => Producer::Slots(queue.producer()?),
        })
    }

    pub fn consumer(&self) -> Result<Consumer, AttachError> {
        Ok(match self {
            Self::Records(queue) => Consumer::Records(queue.consumer()?),
            Self::Slots(queue) => Consumer::Slots(queue.consumer()?),
        })
    }

    pub fn inspect(&self) -> Result<Inspector, OpenError> {
        match self {
            Self::Records(queue) => queue.inspect(),
            Self::Slots(queue) => queue.inspect(),
        }
    }

    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Records(queue) => queue.path(),
            Self::Slots(queue) => queue.path(),
        }
    }

    pub fn remove(&self) -> Result<(), AttachError> {
        match self {
            Self::Records(queue) => queue.remove(),
            Self::Slots(queue) => queue.remove(),
        }
    }
}

/// The sending end of either shape.
#[derive(Debug)]
pub enum Producer {
    Records(shmq::Producer),
    Slots(slots::Producer<[u8]>),
}

impl Producer {
    pub fn send(&mut self, message: &[u8], until: Until) -> Result<u64, SendError> {
        match self {
            Self::Records(producer) => producer.send(message, until),
            Self::Slots(producer) => producer.send(message, until),
        }
    }

    pub fn next_sequence(&self) -> u64 {
        match self {
            Self::Records(producer) => producer.next_sequence(),
            Self::Slots(producer) => producer.next_sequence(),
        }
    }

    pub fn set_waiting(&mut self, waiting: Waiting) {
        match self {
            Self::Records(producer) => producer.set_waiting(waiting),
            Self::Slots(producer) => producer.set_waiting(waiting),
        }
    }

    pub fn finish(self) -> Result<u64, TrySendError> {
        match self {
            Self::Records(producer) => producer.finish(),
            Self::Slots(producer) => producer.finish(),
        }
    }
}

/// The receiving end of either shape.
#[derive(Debug)]
pub enum Consumer {
    Records(shmq::Consumer),
    Slots(slots::Consumer<[u8]>),
}

impl Consumer {
    /// The messages that are there, once there is one, up to so many: to be looked at first and acknowledged later.
    pub fn run(&mut self, messages: usize, until: Until) -> Result<Run<'_>, RecvError> {
        Ok(match self {
            Self::Records(consumer) => Run::Records(consumer.run(messages, until)?),
            Self::Slots(consumer) => Run::Slots(consumer.run(messages, until)?),
        })
    }

    pub fn next_sequence(&self) -> u64 {
        match self {
            Self::Records(consumer) => consumer.next_sequence(),
            Self::Slots(consumer) => consumer.next_sequence(),
        }
    }

    pub fn longest(&self) -> u64 {
        match self {
            Self::Records(consumer) => consumer.limits().max_message,
            Self::Slots(consumer) => consumer.message_size(),
        }
    }

    pub fn set_waiting(&mut self, waiting: Waiting) {
        match self {
            Self::Records(consumer) => consumer.set_waiting(waiting),
            Self::Slots(consumer) => consumer.set_waiting(waiting),
        }
    }
}

/// Messages of either shape, looked at and not yet taken.
#[derive(Debug)]
pub enum Run<'a> {
    Records(shmq::Run<'a>),
    Slots(slots::Run<'a, [u8]>),
}

impl Run<'_> {
    pub fn next(&mut self) -> Option<Message<'_>> {
        match self {
            Self::Records(run) => run.next().map(Message::Records),
            Self::Slots(run) => run.next().map(Message::Slots),
        }
    }

    pub fn acknowledge(self) -> usize {
        match self {
            Self::Records(run) => run.acknowledge(),
            Self::Slots(run) => run.acknowledge(),
        }
    }
}

/// A message of either shape, in place.
#[derive(Debug)]
pub enum Message<'a> {
    Records(shmq::View<'a>),
    Slots(shmq::View<'a>),
}

impl Message<'_> {
    pub fn len(&self) -> usize {
        match self {
            Self::Records(view) => view.len(),
            Self::Slots(view) => view.len(),
        }
    }

    pub fn sequence(&self) -> u64 {
        match self {
            Self::Records(view) => view.sequence(),
            Self::Slots(view) => view.sequence(),
        }
    }

    /// Appends its bytes.
    pub fn append_to(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.resize(start + self.len(), 0);
        let inside = match self {
            Self::Records(view) => view.read_into(0, &mut bytes[start..]),
            Self::Slots(view) => view.read_into(0, &mut bytes[start..]),
        };
        debug_assert!(inside.is_ok());
    }
}
