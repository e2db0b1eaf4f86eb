//! The same words passed between tasks: under tokio, under async-io, and over a Unix socket under tokio.

use super::errand::{Awaiting, Medium};
use super::word::{Wire, trips};
use shmq::Queue;
use std::future::{Future, poll_fn};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

/// One thread, as a service with an event loop has it.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_io().build().expect("a runtime")
}

/// The same, and something that ends the wait.
fn with_timer() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Who runs the tasks.
enum Executor {
    Tokio(Runtime),
    AsyncIo,
}

impl Executor {
    fn new(tokio: bool) -> Self {
        if tokio { Self::Tokio(runtime()) } else { Self::AsyncIo }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Self::Tokio(runtime) => runtime.block_on(future),
            Self::AsyncIo => async_io::block_on(future),
        }
    }
}

/// Two queues of records.
struct Queues {
    // Dropped before the runtime that they are awaited in.
    tx: shmq_async::Producer,
    rx: shmq_async::Consumer,
    executor: Executor,
}

impl Queues {
    fn take(to: &Queue, from: &Queue, how: Awaiting) -> Self {
        let executor = Executor::new(how.tokio);
        let (tx, rx) = (to.producer().expect("the sending end"), from.consumer().expect("the receiving end"));
        let (mut tx, mut rx) = executor.block_on(async {
            let tx = shmq_async::Producer::new(tx).expect("an awaited end");
            (tx, shmq_async::Consumer::new(rx).expect("an awaited end"))
        });
        if !how.spins {
            tx.set_spin(Duration::ZERO);
            rx.set_spin(Duration::ZERO);
        }
        Self { tx, rx, executor }
    }

    async fn pass(tx: &mut shmq_async::Producer, word: u64) {
        tx.send_value(&word).await.expect("room");
    }

    async fn next(rx: &mut shmq_async::Consumer) -> u64 {
        rx.recv_value().await.expect("a word")
    }
}

impl Wire for Queues {
    fn send(&mut self, word: u64) {
        self.executor.block_on(Self::pass(&mut self.tx, word));
    }

    fn recv(&mut self) -> u64 {
        self.executor.block_on(Self::next(&mut self.rx))
    }

    fn trips(&mut self, words: RangeInclusive<u64>, pause: Duration) -> Vec<u64> {
        let (tx, rx) = (&mut self.tx, &mut self.rx);
        self.executor.block_on(trips(words, pause, async |word| {
            Self::pass(tx, word).await;
            Self::next(rx).await
        }))
    }
}

/// A Unix socket under tokio.
struct Stream {
    socket: UnixStream,
    runtime: Runtime,
}

impl Stream {
    fn take(socket: OwnedFd) -> Self {
        let (runtime, socket) = (runtime(), Socket::from(socket));
        socket.set_nonblocking(true).expect("a socket that does not block");
        let socket = runtime.block_on(async { UnixStream::from_std(socket) }).expect("an awaited socket");
        Self { socket, runtime }
    }

    async fn pass(socket: &mut UnixStream, word: u64) {
        socket.write_all(&word.to_ne_bytes()).await.expect("a word is written");
    }

    async fn next(socket: &mut UnixStream) -> u64 {
        let mut word = [0; 8];
        socket.read_exact(&mut word).await.expect("a word is read");
        u64::from_ne_bytes(word)
    }
}

impl Wire for Stream {
    fn send(&mut self, word: u64) {
        self.runtime.block_on(Self::pass(&mut self.socket, word));
    }

    fn recv(&mut self) -> u64 {
        self.runtime.block_on(Self::next(&mut self.socket))
    }

    fn trips(&mut self, words: RangeInclusive<u64>, pause: Duration) -> Vec<u64> {
        let socket = &mut self.socket;
        self.runtime.block_on(trips(words, pause, async |word| {
            Self::pass(socket, word).await;
            Self::next(socket).await
        }))
    }
}

/// An end of what carries awaited words.
pub fn take(to: &Queue, from: &Queue, how: Awaiting) -> impl Wire + 'static {
    Queues::take(to, from, how)
}

/// An end of a socket.
pub fn socket(socket: OwnedFd) -> impl Wire + 'static {
    Stream::take(socket)
}

/// Lets a timer run out before the other.
async fn outlast(other: impl Future, timer: impl Future) {
    let (mut other, mut timer) = (pin!(other), pin!(timer));
    let both = poll_fn(|context| {
        assert!(other.as_mut().poll(context).is_pending(), "nothing comes");
        timer.as_mut().poll(context).map(drop)
    });
    both.await;
}

/// Awaits for this long what does not come.
pub fn wait(queue: &Queue, tokio: bool, time: Duration, ready: impl FnOnce()) {
    let rx = queue.consumer().expect("its consumer");
    let waited = async {
        let mut rx = shmq_async::Consumer::new(rx).expect("an awaited end");
        ready();
        if tokio {
            outlast(Queues::next(&mut rx), tokio::time::sleep(time)).await;
        } else {
            outlast(Queues::next(&mut rx), async_io::Timer::after(time)).await;
        }
    };
    let executor = if tokio { Executor::Tokio(with_timer()) } else { Executor::AsyncIo };
    executor.block_on(waited);
}

/// The same of a socket under tokio.
pub fn wait_for_socket(time: Duration, ready: impl FnOnce()) {
    let runtime = with_timer();
    runtime.block_on(async {
        let (_other, mut socket) = UnixStream::pair().expect("a pair of sockets");
        ready();
        outlast(Stream::next(&mut socket), tokio::time::sleep(time)).await;
    });
}

/// The child's part, in one task that sends back every word until it is killed.
pub fn echo(medium: &Medium, inherited: impl FnOnce() -> OwnedFd) -> bool {
    match medium {
        Medium::Awaited(ask, answer, how) => {
            let open = |name| Queue::open(name).expect("a queue");
            let Queues { mut tx, mut rx, executor } = Queues::take(&open(answer), &open(ask), *how);
            executor.block_on(async {
                loop {
                    let word = Queues::next(&mut rx).await;
                    Queues::pass(&mut tx, word).await;
                }
            })
        }
        Medium::AwaitedSocket => {
            let Stream { mut socket, runtime } = Stream::take(inherited());
            runtime.block_on(async {
                loop {
                    let word = Stream::next(&mut socket).await;
                    Stream::pass(&mut socket, word).await;
                }
            })
        }
        _ => false,
    }
}
