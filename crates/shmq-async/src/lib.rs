//! Async ends for [`shmq`], the message queue in shared memory: `await`, [`Stream`](futures_core::Stream) and
//! [`Sink`](futures_sink::Sink), on tokio, on async-io, or on any other executor.
//!
//! # Limits first
//!
//! * Linux. One producer and one consumer for each queue, as ever; an end belongs to one task at a time.
//! * One inotify instance for each runtime that has ends, however many there are; users have 128 of them
//!   (`fs.inotify.max_user_instances`). One watch for each file.
//! * Neither of the features `tokio` and `async-io` is on by default; both may be. Without any there is [`Reactor`], for an executor of
//!   one's own. The feature `pool` awaits the ends of `shmq-pool` as well.
//!
//! # Ten lines for each end
//!
//! ```
//! # let name = format!("shmq-doc-async-{}", std::process::id());
//! # let name = &name[..];
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let sender = async {
//! // The sender. `send` waits while the queue is full.
//! let tx = shmq::Producer::open_or_create(name, &shmq::Options::new())?;
//! let mut tx = shmq_async::Producer::new(tx)?;
//! for i in tx.get_ref().next_sequence()..3 {
//!     tx.send(format!("message {i}").as_bytes()).await?;
//! }
//! tx.into_inner().finish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) };
//! # let receiver = async {
//! // The receiver, in another process, or in another task.
//! use futures_util::StreamExt;
//! let rx = shmq::Consumer::open_or_create(name, &shmq::Options::new())?;
//! let mut rx = shmq_async::Consumer::new(rx)?;
//! while let Some(message) = rx.next().await {
//!     println!("{}", String::from_utf8_lossy(&message?));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(()) };
//! # tokio::try_join!(sender, receiver)
//! # })?;
//! # shmq::Queue::open(name)?.remove()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which call
//!
//! | to | call |
//! |---|---|
//! | receive one message, or many | `recv`, `recv_into`, `recv_value`, `recv_many`, or as a stream |
//! | read in place, and acknowledge afterwards | `read`, `run` |
//! | send one message, or many | `send`, `send_value`, `send_many`, or as a sink |
//! | fill in place | `claim` |
//! | wait, and then use any `try_` call | `ready`, [`Async::get_mut`] |
//!
//! All of them are [`Async`]'s, for records and slots alike.
//!
//! # Cancelling
//!
//! A future may be dropped at any time, by `select!`, a timeout or an aborted task: it has taken nothing and sent nothing, unless it was
//! ready and said so. Nothing is taken or sent before the very poll that returns it. What was read in place and not acknowledged is
//! shown again; a claim that was not committed was not sent.
//!
//! (`timeout(spawn_blocking(|| rx.recv(..)))` is different: the abandoned thread goes on waiting, and takes a message that nobody gets.)
//!
//! # How it waits
//!
//! A call that finds nothing looks again for some 50 us, and lets other tasks run between two looks. An end for which that was in
//! vain does so less and less often ([`Async::set_spin`]). Then it leaves its waker with the reactor of the runtime, announces to its
//! peer that it sleeps, looks once more, and is pending. Who sends to it then makes one system call; that makes one descriptor of the runtime readable, and the runtime
//! wakes the task, by no other task and no other thread. Nothing wakes up by itself but for a moment after a peer came or went.
//! A call that finds something makes no system call.
//!
//! In tokio it takes part in cooperative scheduling: a task whose queue is never empty lets others run.
//!
//! # Peers, runtimes, stopping
//!
//! * A peer that left, died, finished or was followed by another is told as by the blocking calls: see [`shmq::RecvError`] and
//!   [`shmq::SendError`]. [`shmq::Waiting::across_restarts`] waits for a successor. The rest of what `Waiting` says is for blocking calls.
//! * A runtime may be shut down with ends open. Such an end can be used in another runtime, or by its blocking and `try_` calls.
//! * A [`shmq::StopHandle`] ends blocking calls. It wakes no task: put it beside the await, by its descriptor or by a signal of your
//!   runtime, in a `select!`. (An await that ends because its peer is gone says `Stopped` if the handle is triggered.)
//! * **Fork.** An end does not survive it, as ever. A child shares the parent's reactors, too, and must not use them; `exec` closes them.

#![forbid(unsafe_code)]

#[cfg(any(feature = "tokio", feature = "async-io"))]
mod driver;
mod ends;
mod looks;
mod reactor;
mod runtime;
mod wrapper;

pub use ends::{End, Payload, Receiving, Sending};
pub use reactor::Reactor;
pub use wrapper::Async;

/// Receives messages of any length.
pub type Consumer = Async<shmq::Consumer>;
/// Sends messages of any length.
pub type Producer = Async<shmq::Producer>;

/// Ends of queues whose messages have one size.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (tx, rx) = shmq::slots::pair::<[f64; 2]>(8)?;
/// let mut tx = shmq_async::slots::Producer::new(tx)?;
/// let mut rx = shmq_async::slots::Consumer::new(rx)?;
/// tx.send(&[1.0, 2.0]).await?;
/// assert_eq!(rx.recv().await?, [1.0, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod slots {
    /// Receives messages of one size.
    pub type Consumer<P> = crate::Async<shmq::slots::Consumer<P>>;
    /// Sends messages of one size.
    pub type Producer<P> = crate::Async<shmq::slots::Producer<P>>;
}

/// The front page's examples are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
