//! The ends with calls that are awaited.

use crate::ends::{ANY, End, Payload, Receiving, Sending};
use crate::looks::{Looks, ON_END};
use crate::reactor::Reactor;
use crate::runtime::{Home, poll_in_turn};
use bytemuck::{AnyBitPattern, NoUninit};
use futures_core::Stream;
use futures_sink::Sink;
use shmq::{DrainLimit, Received, RecvError, SendError, TryRecvError, TrySendError, slots};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// An end of a queue whose calls are awaited: [`crate::Consumer`], [`crate::Producer`] and the like are short for it.
///
/// **Cancel-safe.** A future that is dropped before it was ready has taken nothing and sent nothing.
///
/// **Errors** are those of the blocking calls and come when those do: a peer that left or died ends an await, unless the end
/// [waits across restarts](shmq::Waiting::across_restarts). None says that its time was up; use your runtime's timeout.
///
/// **Where it is awaited.** An end knows the runtime that it was made in, and moves by itself when it is awaited in another one. If there
/// is no descriptor left for that, or the runtime is gone and no other in sight, awaiting blocks the thread for a millisecond at a time
/// until that changes; nothing is lost.
///
/// **In place.** [`Async::get_mut`] has the end itself, for all the calls that do not wait, `try_read` and `try_claim` among them.
pub struct Async<E> {
    // Dropped before the end that it watches.
    home: Home,
    looks: Looks,
    end: E,
}

/// An end that cannot be registered looks for so long, and lets others run.
const SLICE: Duration = Duration::from_millis(1);
/// So often in a row an end is tried that says it is ready. Then others have their turn: a hostile peer may say what it likes.
const ATTEMPTS: usize = 3;

impl<E: End> Async<E> {
    /// Awaits an end in the current runtime: of tokio, if there is one; otherwise by async-io, if this crate has that feature.
    ///
    /// # Errors
    /// If the process, or the user, has no descriptor, inotify instance or watch left; the text names the limit. If there is no
    /// runtime.
    ///
    /// # Panics
    /// As everything that tokio waits for: if the runtime was built without `enable_io`.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub fn new(mut end: E) -> io::Result<Self> {
        Ok(Self { home: Home::here(&mut end)?, looks: Looks::new(), end })
    }

    /// Awaits an end anywhere, as long as somebody drives the reactor. It has the example.
    ///
    /// # Errors
    /// If the user has no inotify watch left; the text names the limit.
    pub fn with_reactor(mut end: E, reactor: &Reactor) -> io::Result<Self> {
        Ok(Self { home: Home::of_reactor(&mut end, reactor)?, looks: Looks::new(), end })
    }

    /// The end itself.
    pub fn get_ref(&self) -> &E {
        &self.end
    }

    /// The end itself, for all of its calls. Those that wait block the thread.
    pub fn get_mut(&mut self) -> &mut E {
        &mut self.end
    }

    /// The end itself, awaited no more: to finish a queue, for one.
    pub fn into_inner(self) -> E {
        self.end
    }

    /// Sets how long an await looks before it has the task woken. Between two looks the runtime's other tasks run. By default it looks for
    /// 50 us, and less and less often as long as that is in vain. What is set is done each time: zero for never, at most 10 ms.
    /// With a reactor of your own it never does that.
    pub fn set_spin(&mut self, spin: Duration) {
        self.looks.set(spin);
    }

    /// Waits until a `try_` call has something else to say than *empty* or *full*. Of a sending end: room for a message of any size.
    ///
    /// # Errors
    /// As the end's blocking calls.
    pub async fn ready(&mut self) -> Result<(), E::Error> {
        self.ready_for(ANY).await
    }

    async fn ready_for(&mut self, wanted: usize) -> Result<(), E::Error> {
        poll_fn(|context| self.poll_ready_for(context, wanted)).await
    }

    fn poll_ready_for(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<Result<(), E::Error>> {
        poll_in_turn(context, |context| {
            if self.end.has(wanted) { self.found(Ok(())) } else { self.poll_for(context, wanted) }
        })
    }

    /// The await is over.
    fn found<T>(&mut self, what: T) -> Poll<T> {
        self.looks.found();
        Poll::Ready(what)
    }

    /// Nothing of what is wanted was there: looks for a while, then arms the end for the task that asks.
    fn poll_for(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<Result<(), E::Error>> {
        if self.home.may_yield() && self.looks.begin() {
            for _ in 0..ON_END {
                std::hint::spin_loop();
                if self.end.has(wanted) {
                    return self.found(Ok(()));
                }
            }
            if self.looks.go_on() {
                self.home.yield_now(context);
                return Poll::Pending;
            }
        }
        match self.arm(context, wanted) {
            Poll::Ready(found) => self.found(found),
            Poll::Pending => Poll::Pending,
        }
    }

    fn arm(&mut self, context: &Context<'_>, wanted: usize) -> Poll<Result<(), E::Error>> {
        if !self.home.settle(&mut self.end) {
            return match self.end.look(wanted, SLICE) {
                Ok(false) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                found => Poll::Ready(found.map(drop)),
            };
        }
        // Before it is armed: whoever is told of it from then on must find the waker.
        self.home.registration.set_waker(context.waker());
        match self.end.arm(&mut self.home.registration.watch, wanted) {
            shmq::Armed::Ready => Poll::Ready(Ok(())),
            shmq::Armed::Armed => Poll::Pending,
            // Armed as well, if it waits for a successor.
            shmq::Armed::Alone => match self.end.look(wanted, Duration::ZERO) {
                Ok(false) => Poll::Pending,
                found => Poll::Ready(found.map(drop)),
            },
        }
    }
}

impl<E: Receiving> Async<E> {
    fn poll_receiving<T>(
        &mut self,
        context: &mut Context<'_>,
        mut attempt: impl FnMut(&mut E) -> Result<T, TryRecvError>,
    ) -> Poll<Result<T, RecvError>> {
        poll_in_turn(context, |context| {
            for _ in 0..ATTEMPTS {
                match attempt(&mut self.end) {
                    Err(TryRecvError::Empty) => {}
                    done => return self.found(done.map_err(RecvError::from)),
                }
                match self.poll_for(context, ANY) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(gone)) => return Poll::Ready(Err(gone)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Receives a message.
    ///
    /// # Errors
    /// As the end's `recv`, but for the time.
    pub async fn recv(&mut self) -> Result<E::Item, RecvError> {
        poll_fn(|context| self.poll_receiving(context, E::try_recv)).await
    }

    /// Appends at least one message to a vector, and as many more as are there, up to a limit; returns how many. They are acknowledged
    /// all at once.
    ///
    /// # Errors
    /// As [`Async::recv`].
    pub async fn recv_many(&mut self, buffer: &mut Vec<E::Item>, limit: usize) -> Result<usize, RecvError> {
        if limit == 0 {
            return Ok(0);
        }
        poll_fn(|context| self.poll_receiving(context, |end| end.try_recv_many(buffer, limit))).await
    }
}

impl<E: Sending> Async<E> {
    fn poll_sending<T>(
        &mut self,
        context: &mut Context<'_>,
        wanted: usize,
        mut attempt: impl FnMut(&mut E) -> Result<T, TrySendError>,
    ) -> Poll<Result<T, SendError>> {
        poll_in_turn(context, |context| {
            for _ in 0..ATTEMPTS {
                match attempt(&mut self.end) {
                    Err(TrySendError::Full) => {}
                    done => return self.found(done.map_err(SendError::from)),
                }
                match self.poll_for(context, wanted) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(gone)) => return Poll::Ready(Err(gone)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Sends a message as soon as there is room; returns its sequence number.
    ///
    /// # Errors
    /// As the end's `send`, but for the time.
    pub async fn send(&mut self, message: &E::Message) -> Result<u64, SendError> {
        poll_fn(|context| self.poll_sending(context, E::room(message), |end| end.try_send(message))).await
    }

    /// Sends at least the first of the messages as soon as there is room, and as many more as there is room for; returns how many. They
    /// become visible together.
    ///
    /// ```no_run
    /// # async fn example(tx: &mut shmq_async::Producer, mut messages: &[Vec<u8>]) -> Result<(), shmq::SendError> {
    /// while !messages.is_empty() {
    ///     let sent = tx.send_many(messages).await?;
    ///     messages = &messages[sent..];
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Async::send`]; none of the messages was sent. One that does not fit the queue is told when it is the first.
    pub async fn send_many<M: Payload<E>>(&mut self, messages: &[M]) -> Result<usize, SendError> {
        let Some(first) = messages.first() else { return Ok(0) };
        let wanted = E::room(first.as_message());
        poll_fn(|context| self.poll_sending(context, wanted, |end| end.try_send_many(messages))).await
    }
}

impl Async<shmq::Consumer> {
    /// Receives a message into a buffer that is long enough.
    ///
    /// # Errors
    /// As [`shmq::Consumer::recv_into`], but for the time.
    pub async fn recv_into(&mut self, buffer: &mut [u8]) -> Result<Received, RecvError> {
        poll_fn(|context| self.poll_receiving(context, |end| end.try_recv_into(buffer))).await
    }

    /// Receives a message that is a value.
    ///
    /// # Errors
    /// As [`shmq::Consumer::recv_value`], but for the time.
    pub async fn recv_value<V: AnyBitPattern>(&mut self) -> Result<V, RecvError> {
        poll_fn(|context| self.poll_receiving(context, shmq::Consumer::try_recv_value)).await
    }

    /// Waits for a message and shows it in place. It is taken when it is acknowledged, and shown again if it is not.
    ///
    /// # Errors
    /// As [`Async::recv`].
    pub async fn read(&mut self) -> Result<shmq::Message<'_>, RecvError> {
        self.ready().await?;
        self.end.read(Duration::ZERO)
    }

    /// Waits for a message and shows it and those behind it in place, up to a limit.
    ///
    /// # Errors
    /// As [`Async::recv`].
    pub async fn run(&mut self, limit: impl Into<DrainLimit>) -> Result<shmq::Run<'_>, RecvError> {
        self.ready().await?;
        self.end.run(limit, Duration::ZERO)
    }
}

impl<P: ?Sized> Async<slots::Consumer<P>> {
    /// Waits for a message and shows it in place. It is taken when it is acknowledged, and shown again if it is not.
    ///
    /// # Errors
    /// As [`Async::recv`].
    pub async fn read(&mut self) -> Result<slots::Message<'_, P>, RecvError> {
        self.ready().await?;
        self.end.read(Duration::ZERO)
    }

    /// Waits for a message and shows it and those behind it in place, up to a limit.
    ///
    /// # Errors
    /// As [`Async::recv`].
    pub async fn run(&mut self, limit: impl Into<DrainLimit>) -> Result<slots::Run<'_, P>, RecvError> {
        self.ready().await?;
        self.end.run(limit, Duration::ZERO)
    }
}

impl Async<slots::Consumer<[u8]>> {
    /// Receives a message into a buffer of its size.
    ///
    /// # Errors
    /// As [`slots::Consumer::recv_into`], but for the time.
    pub async fn recv_into(&mut self, buffer: &mut [u8]) -> Result<Received, RecvError> {
        poll_fn(|context| self.poll_receiving(context, |end| end.try_recv_into(buffer))).await
    }
}

impl Async<shmq::Producer> {
    /// Sends a value as soon as there is room; returns its sequence number.
    ///
    /// # Errors
    /// As [`shmq::Producer::send_value`], but for the time.
    pub async fn send_value<V: NoUninit>(&mut self, value: &V) -> Result<u64, SendError> {
        poll_fn(|context| self.poll_sending(context, size_of::<V>(), |end| end.try_send_value(value))).await
    }

    /// Waits for room for so many bytes, to be filled in place. It is sent when it is committed, and not if it is dropped.
    ///
    /// # Errors
    /// As [`Async::send`].
    pub async fn claim(&mut self, len: usize) -> Result<shmq::Claim<'_>, SendError> {
        self.ready_for(len).await?;
        self.end.claim(len, Duration::ZERO)
    }
}

impl<P: ?Sized> Async<slots::Producer<P>> {
    /// Waits for room for a message, to be filled in place. It is sent when it is committed, and not if it is dropped.
    ///
    /// # Errors
    /// As [`Async::send`].
    pub async fn claim(&mut self) -> Result<slots::Claim<'_, P>, SendError> {
        self.ready().await?;
        self.end.claim(Duration::ZERO)
    }
}

/// The end is nowhere pinned.
impl<E> Unpin for Async<E> {}

/// The messages one by one, until the end of data. Any other error is an item; whoever goes on after it may receive from a successor.
impl<E: Receiving> Stream for Async<E> {
    type Item = Result<E::Item, RecvError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_receiving(context, E::try_recv).map(|received| match received {
            Err(RecvError::Finished) => None,
            received => Some(received),
        })
    }
}

/// Nothing is kept back: an item is sent at once, for there is room for any before it is asked for. So nothing has to be flushed, and
/// to close it does nothing: a successor may go on. [`Async::into_inner`] and then `finish` declares the end of data.
impl<E: Sending, M: Payload<E>> Sink<M> for Async<E> {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let it = self.get_mut();
        poll_in_turn(
            context,
            |context| if it.end.is_ready() { it.found(Ok(())) } else { it.poll_for(context, ANY) },
        )
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), SendError> {
        self.get_mut().end.try_send(message.as_message()).map(drop).map_err(SendError::from)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }
}

impl<E: fmt::Debug> fmt::Debug for Async<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Async").field("end", &self.end).finish_non_exhaustive()
    }
}
