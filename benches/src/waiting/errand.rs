//! What the other process is to do, as it is told.

use serde::{Deserialize, Serialize};
use shmq::Waiting;
#[cfg(feature = "peers")]
use std::path::PathBuf;
use std::time::Duration;

/// What the other process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub enum Errand {
    /// Send back every message, from this of the first two processors.
    Echo(Medium, usize),
    /// Send a stream.
    Send {
        /// What and how.
        stream: Stream,
        /// The queue.
        name: String,
    },
    /// Send a number of messages to several queues in turn.
    Feed {
        /// The queues.
        names: Vec<String>,
        /// Of messages of one size.
        slots: bool,
        /// How many to each.
        messages: u64,
    },
    /// The same through rings of ringfire.
    #[cfg(feature = "peers")]
    FeedRings {
        /// The rings.
        paths: Vec<PathBuf>,
        /// How many to each.
        messages: u64,
    },
    /// The same through services of iceoryx2.
    #[cfg(feature = "peers")]
    FeedServices {
        /// Where they are.
        folder: PathBuf,
        /// How many services of messages there are.
        queues: usize,
        /// How many to each.
        messages: u64,
    },
    /// Wait for what does not come, and say what that cost.
    Wait {
        /// How.
        wait: Wait,
        /// The queue.
        name: String,
    },
    /// Send one message and hold the role until killed.
    Hold {
        /// The queue.
        name: String,
    },
    /// Take the role as soon as it is free, and send when that was.
    Succeed {
        /// The queue.
        name: String,
    },
}

/// The presets of [`Waiting`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Preset {
    Default,
    SharedCore,
    LowPower,
    DedicatedCore,
}

impl Preset {
    /// The preset itself.
    pub fn waiting(self) -> Waiting {
        match self {
            Self::Default => Waiting::new(),
            Self::SharedCore => Waiting::shared_core(),
            Self::LowPower => Waiting::low_power(),
            Self::DedicatedCore => Waiting::dedicated_core(),
        }
    }
}

/// What carries the word.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Medium {
    /// Two words of shared memory.
    Futex,
    /// What is inherited as standard input and output, read and written: pipes or a socket.
    Descriptors,
    /// The same, as POSIX message queues.
    MessageQueues,
    /// Two queues of records, there and back.
    Records(String, String),
    /// Two queues of fixed-size messages.
    Slots(String, String),
    /// Two queues of records, whose receivers wait in a set beside these at which nothing happens.
    Set(String, String, Vec<String>),
    /// Two queues of records whose ends are awaited.
    Awaited(String, String, Awaiting),
    /// A socket, inherited as standard input, awaited under tokio.
    AwaitedSocket,
    /// Two rings of ringfire, there and back, awaited under tokio.
    #[cfg(feature = "peers")]
    Ringfire(PathBuf, PathBuf),
    /// Services of iceoryx2 in this folder, whose receivers wait in a set of so many listeners.
    #[cfg(feature = "peers")]
    Iceoryx(PathBuf, usize),
}

/// How ends are awaited.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Awaiting {
    /// Under tokio, or else under async-io.
    pub tokio: bool,
    /// Whether an await looks for a while, as usual, before it has itself woken.
    pub spins: bool,
}

/// The child's errand: to wait for what does not come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wait {
    pub how: Waiter,
    pub duration: Duration,
}

/// What waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Waiter {
    /// No queue at all: a bare sleep of 10 ms time and again.
    Sleep,
    /// A blocked receiver.
    Receiver(Preset),
    /// A blocked sender.
    Sender(Preset),
    /// A set of so many receivers.
    Set(usize),
    /// An awaited receiver, under tokio or else under async-io.
    Awaited(bool),
    /// A socket that is read under tokio.
    Socket,
    /// A ring of ringfire, awaited under tokio.
    #[cfg(feature = "peers")]
    Ringfire,
    /// A set of iceoryx2's with so many listeners.
    #[cfg(feature = "peers")]
    Iceoryx(usize),
}

/// The two kinds of queue.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Shape {
    Records,
    Slots,
}

/// A stream and how to move it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stream {
    pub shape: Shape,
    /// Bytes of a message: 8, 64, 256, 1024 or 4096.
    pub bytes: usize,
    pub preset: Preset,
    pub adaptive: bool,
    /// Whether the sender adds a full fence to every message.
    pub fence: bool,
    /// How many, after the warm lap.
    pub messages: u64,
    /// What each end does between two messages, in units of [`crate::run::work`].
    pub send_work: u32,
    pub recv_work: u32,
}
