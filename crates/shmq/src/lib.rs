//! A lock-free single-producer single-consumer message queue in shared memory: message-queue semantics at
//! shared-memory speed.
//!
//! # Limits first
//!
//! * One producer and one consumer at a time, each one thread of one process. Linux on x86-64 or aarch64.
//! * Three limits are fixed at creation: largest message, most pending messages (optional), ring size in bytes. A
//!   message takes its length rounded up to 8, and 8 bytes more; the largest is half the ring less 16.
//! * Whoever may write the file can send nonsense, truncate it (SIGBUS, unless [`sigbus`] is asked for; not so an
//!   anonymous queue) or refuse you a role.
//!   Nonsense leads to an error or a wrong message, never to undefined behaviour, a hang or a panic.
//!
//! # Ten lines for each end
//!
//! ```
//! # let name = format!("shmq-doc-lib-{}", std::process::id());
//! # let name = &name[..];
//! # std::thread::scope(|s| {
//! # s.spawn(|| {
//! // The sender. Killed at any moment and started again, it resumes at `next_sequence`.
//! let mut tx = shmq::Producer::open_or_create(name, &shmq::Options::new())?;
//! for i in tx.next_sequence()..3 {
//!     tx.send(format!("message {i}").as_bytes(), shmq::Until::Forever)?;
//! }
//! tx.finish()?;
//! # Ok::<(), shmq::Error>(()) });
//! # s.spawn(|| {
//! // The receiver, in another process.
//! let mut rx = shmq::Consumer::open_or_create(name, &shmq::Options::new())?;
//! for message in rx.messages(shmq::Until::Forever) {
//!     println!("{}", String::from_utf8_lossy(&message?));
//! }
//! # Ok::<(), shmq::Error>(()) });
//! # });
//! # shmq::Queue::open(name)?.remove()?;
//! # Ok::<(), shmq::Error>(())
//! ```
//!
//! # What a call costs
//!
//! | call | allocates | system calls | bounded |
//! |---|---|---|---|
//! | `try_send`, `try_send_slices`, `try_send_value`, `try_send_batch`, `try_send_slice` | no | none, one wake if the consumer sleeps | by what was to be sent |
//! | `try_claim`, `write_at`, `write_value`, `commit`, `abort`, `try_batch`, `push` | no | as above | by what was claimed |
//! | `try_recv_into`, `try_recv_value`, `try_read`, `read_into`, `read_value`, `as_slice`, `try_drain`, `try_run`, `acknowledge`; of values also `try_recv`, `try_recv_slice` | no | none, one wake if the producer sleeps | by what it took, and 16 KiB |
//! | `try_recv` of bytes, `to_vec` | yes | as above | as above |
//! | the same with `until` | as without | none while it spins; each yield is one; asleep, at most 100 wake-ups a second, after a tenth of a second some ten | by `until` |
//! | `peer` | no | one, none between two threads | yes |
//! | `pending`, `room`, `room_bytes`, `limits`, `next_sequence`, `epoch`, `peer_epoch`, `set_waiting`, `set_stop` | no | none | yes |
//! | [`Inspector::snapshot`] | no | one or a few for each end | yes |
//! | create, open, taking a role, `finish`, dropping an end | yes | yes | by the ring size |
//! | [`WaitSet::wait`] that finds something at once | only for more events than ever before | none, some with every 64th | by the ends |
//! | [`WaitSet::wait`] otherwise | the first time that an end is named | each yield is one; a few before it sleeps, none while it sleeps, whatever happens to other ends; a few when it wakes up | by `until` |
//! | [`WaitSet::poll`] | likewise | a few | by the ends |
//! | [`Notifier::drain`] | likewise | one or a few | by what was heard |
//! | [`EndWatch::arm`] | no | one, more if the peer came or went; none if the end is ready | yes |
//! | [`WaitSet::new`], `add_fd`, `remove_fd`, [`Notifier::new`], [`Notifier::watch`] | yes | yes | yes |
//! | [`sigbus::install`], [`StopHandle::new`] | yes | yes | yes |
//! | [`StopHandle::trigger`], [`StopHandle::reset`] | no | up to three | yes |
//!
//! Bounds hold whatever the other process does, alive or dead. What a dead predecessor left is found out while taking
//! a role. A wait that spins asks the kernel every 10 ms whether the other end lives. Where the kernel has no
//! `membarrier`, a sleeper wakes up a thousand times a second instead of a hundred. A hostile peer can make each
//! send or receive cost its wake, which is one call, or two if the sleeper was not in the futex. A receive that has caught up with
//! a stream may wait for up to 316 spin hints, some microseconds, unless [`Waiting::adaptive`] says no; a send that finds
//! the queue full, for up to 64. [Waiting](guide::waiting) has both.
//!
//! # When the other end dies
//!
//! The kernel frees its role together with its memory. Blocked calls first drain what is left, then say *lost*, within about
//! 20 ms. A new process takes the same role with the same call and goes on; nothing needs repair.
//! A peer that is merely slow or stopped is never taken for dead, because nothing here is decided by a timer.
//!
//! # Many queues, event loops, async
//!
//! A [`WaitSet`] waits for any number of ends at once, receiving and sending, with sockets, deadlines and a stop handle beside them.
//! Asleep it wakes up for what happens, and for nothing else. For a loop of your own (epoll, mio, calloop, libuv) it has a
//! descriptor, and [`WaitSet::poll`]. [`Notifier`] is what an executor needs; the crate `shmq-async` has it ready for tokio and
//! async-io. [Waiting](guide::waiting#many-queues-one-thread) has an example, and the repository some services.
//!
//! # Stopping, and signals
//!
//! A [`StopHandle`] ends blocked calls from another thread or from a signal handler: they say `Stopped`, and nothing was taken or
//! sent. It has the example of a program that ends at SIGTERM. A signal by itself ends no call.
//!
//! # Fork
//!
//! A role belongs to the process that took it. In a forked child the ring is not mapped, so that the parent's death
//! is the end of its roles, whatever children it has. In the child, a [`Producer`] or [`Consumer`] may be dropped,
//! which does nothing, or left alone; other calls kill the child (SIGSEGV). An open [`Claim`], [`Batch`], [`Message`]
//! or [`Run`] may be dropped as well, and must not be used. A [`Queue`] or an [`Inspector`] can be used in the child, and a queue
//! can take a role of its own there. A [`pair`] is memory of one process alone: a child has a copy of both ends, of which its parent
//! sees nothing.
//!
//! A [`WaitSet`] or a [`Notifier`] shares its descriptors with a forked child. The child may drop it, which does nothing; its calls
//! return an error there. It may make one of its own, for ends that it takes itself. An epoll instance that the child has from its
//! parent goes on telling of the parent's sets. A [`StopHandle`] is a copy of its own in the child.
//!
//! Nothing else comes to lie where the ring was: a handler of `fork` (`pthread_atfork`) puts the range out of reach. If a handler of
//! the program's own, which was there before, has mapped something there, the child is aborted. A child that is made by a bare
//! `clone` system call without shared memory, or by `_Fork`, runs no handlers: it must not use an end; dropping one is harmless there, too.
//!
//! A process that forks in one thread while another is just taking a role may hand the child a copy of the
//! descriptor that carries the lock; the role is then held until the child calls `exec` or ends. The window is some
//! system calls long.

mod ends;
pub mod guide;
mod receiving;
mod records;
pub mod slots;
mod view;
mod waiting;

pub use receiving::{DrainLimit, DrainStep, Received};
pub use records::{Batch, Claim, Consumer, Message, Producer, Queue, Run, pair};
pub use shmq_core::error::{
    AttachError, Corruption, CreateError, Error, OpenError, RecvError, SendError, TryRecvError, TrySendError,
    WaitSetError,
};
pub use shmq_core::geometry::{Limits, Options};
pub use shmq_core::inspect::{
    Check, Condition, Damage, EndSnapshot, Inspector, Outcome, Pending, PendingEnd, PendingMessage, Process,
    Snapshot,
};
pub use shmq_core::layout::{Kind, Role};
pub use shmq_core::metrics::{METRICS, Metric, MetricKind, Reading};
pub use shmq_core::ring::{Mark, Origin};
pub use shmq_core::role::PeerState;
pub use shmq_core::segment::path_of;
pub use shmq_core::sigbus;
pub use shmq_core::stop::StopHandle;
pub use shmq_core::wait::{Until, Waiting};
pub use shmq_core::wait_set::{Each, Ends, Event, Interest, WaitSet, What, each};
pub use shmq_core::waitable::{Armed, EndWatch, Notifier, Waitable};
pub use view::{OutOfBounds, View};
pub use waiting::{RoomFor, RoomForBatch};

static_assertions::assert_impl_all!(Producer: Send);
static_assertions::assert_impl_all!(Consumer: Send);
static_assertions::assert_impl_all!(WaitSet: Send);
static_assertions::assert_impl_all!(Notifier: Send, Sync);
static_assertions::assert_impl_all!(EndWatch: Send);
static_assertions::assert_not_impl_any!(Producer: Sync, Clone);
static_assertions::assert_not_impl_any!(Consumer: Sync, Clone);

/// The front page's examples are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
