//! Queues of either shape, for messages of 64 bytes, behind one face.

use shmq::{Consumer, Inspector, Options, Producer, Queue, slots};
use std::path::Path;

/// Bytes of a message.
pub const MESSAGE: u64 = 64;

type Message = [u64; MESSAGE as usize / 8];

/// A shape of queues.
pub trait Shape {
    const NAME: &'static str;
    type Queue;
    type Tx;
    type Rx;

    /// One with a ring of so many bytes, under a name.
    fn create(name: &str, ring: u64) -> Result<Self::Queue, String>;
    fn open(name: &str) -> Result<Self::Queue, String>;
    fn producer(queue: &Self::Queue) -> Result<Self::Tx, String>;
    fn consumer(queue: &Self::Queue) -> Result<Self::Rx, String>;
    fn inspect(queue: &Self::Queue) -> Result<Inspector, String>;
    /// Sends so many messages, or until it is full.
    fn fill(tx: &mut Self::Tx, messages: u64);
    fn pending(tx: &Self::Tx) -> u64;
    fn pending_to(rx: &Self::Rx) -> u64;
}

fn because(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Messages of any length.
pub struct Records;

impl Shape for Records {
    const NAME: &'static str = "records";
    type Queue = Queue;
    type Tx = Producer;
    type Rx = Consumer;

    fn create(name: &str, ring: u64) -> Result<Queue, String> {
        Queue::create(name, &Options::new().capacity(ring).max_message(MESSAGE)).map_err(because)
    }

    fn open(name: &str) -> Result<Queue, String> {
        Queue::open(name).map_err(because)
    }

    fn producer(queue: &Queue) -> Result<Producer, String> {
        queue.producer().map_err(because)
    }

    fn consumer(queue: &Queue) -> Result<Consumer, String> {
        queue.consumer().map_err(because)
    }

    fn inspect(queue: &Queue) -> Result<Inspector, String> {
        queue.inspect().map_err(because)
    }

    fn fill(tx: &mut Producer, messages: u64) {
        let _ = (0..messages)
            .try_for_each(|n| tx.try_send(bytemuck::bytes_of(&[n; MESSAGE as usize / 8])).map(drop));
    }

    fn pending(tx: &Producer) -> u64 {
        tx.pending()
    }

    fn pending_to(rx: &Consumer) -> u64 {
        rx.pending()
    }
}

/// Messages of one size.
pub struct Slots;

impl Shape for Slots {
    const NAME: &'static str = "slots";
    type Queue = slots::Queue<Message>;
    type Tx = slots::Producer<Message>;
    type Rx = slots::Consumer<Message>;

    fn create(name: &str, ring: u64) -> Result<Self::Queue, String> {
        slots::Queue::create(name, ring / MESSAGE, &Options::new()).map_err(because)
    }

    fn open(name: &str) -> Result<Self::Queue, String> {
        slots::Queue::open(name).map_err(because)
    }

    fn producer(queue: &Self::Queue) -> Result<Self::Tx, String> {
        queue.producer().map_err(because)
    }

    fn consumer(queue: &Self::Queue) -> Result<Self::Rx, String> {
        queue.consumer().map_err(because)
    }

    fn inspect(queue: &Self::Queue) -> Result<Inspector, String> {
        queue.inspect().map_err(because)
    }

    fn fill(tx: &mut Self::Tx, messages: u64) {
        let _ = (0..messages).try_for_each(|n| tx.try_send(&[n; MESSAGE as usize / 8]).map(drop));
    }

    fn pending(tx: &Self::Tx) -> u64 {
        tx.pending()
    }

    fn pending_to(rx: &Self::Rx) -> u64 {
        rx.pending()
    }
}

/// The name of a queue of this program, removed when dropped.
pub struct Name(String);

impl Name {
    /// The `n`th.
    pub fn new(n: usize) -> Self {
        Self(format!("shmq-scale-{}-{n}", std::process::id()))
    }

    /// As the library wants it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file.
    pub fn path(&self) -> std::path::PathBuf {
        Path::new("/dev/shm").join(&self.0)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
    }
}
