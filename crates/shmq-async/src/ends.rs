//! What the ends of queues and pools have to say, in the words of this crate.

use bytemuck::Pod;
use shmq::{Armed, EndWatch, RecvError, SendError, TryRecvError, TrySendError, Waitable, slots};
use std::time::Duration;

/// Room for a message of any size; receiving ends want nothing else.
pub const ANY: usize = usize::MAX;

/// An end that can be awaited. The ends of `shmq` can; no other type can become one.
///
/// What is hidden is for this crate alone.
pub trait End: Waitable + sealed::End {
    /// Why nothing more can come of it.
    type Error;

    /// Whether there is what is wanted, at once.
    #[doc(hidden)]
    fn has(&mut self, wanted: usize) -> bool {
        let _ = wanted;
        self.is_ready()
    }

    /// Arms it for what is wanted, as [`EndWatch::arm`].
    #[doc(hidden)]
    fn arm(&mut self, watch: &mut EndWatch, wanted: usize) -> Armed {
        let _ = wanted;
        watch.arm(self)
    }

    /// Whether there is what is wanted; waits so long for it. Takes nothing.
    #[doc(hidden)]
    fn look(&mut self, wanted: usize, time: Duration) -> Result<bool, Self::Error>;
}

/// An end that messages come out of.
pub trait Receiving: End<Error = RecvError> {
    /// A message, by value.
    type Item;

    #[doc(hidden)]
    fn try_recv(&mut self) -> Result<Self::Item, TryRecvError>;

    #[doc(hidden)]
    fn try_recv_many(&mut self, buffer: &mut Vec<Self::Item>, limit: usize) -> Result<usize, TryRecvError>;
}

/// An end that messages go into.
pub trait Sending: End<Error = SendError> + Sized {
    /// A message, as it is lent.
    type Message: ?Sized;

    /// What a message needs of what [`End::look`] looks for.
    #[doc(hidden)]
    fn room(message: &Self::Message) -> usize;

    #[doc(hidden)]
    fn try_send(&mut self, message: &Self::Message) -> Result<u64, TrySendError>;

    #[doc(hidden)]
    fn try_send_many<M: Payload<Self>>(&mut self, messages: &[M]) -> Result<usize, TrySendError>;
}

/// What a message of many, or of a [`Sink`](futures_sink::Sink), may be: of bytes whatever has them (`Vec<u8>`, `&str`, `bytes::Bytes`), of
/// values the value.
pub trait Payload<E: Sending>: sealed::Payload<E> {
    #[doc(hidden)]
    fn as_message(&self) -> &E::Message;
}

impl<M: AsRef<[u8]>> Payload<shmq::Producer> for M {
    fn as_message(&self) -> &[u8] {
        self.as_ref()
    }
}

impl<M: AsRef<[u8]>> Payload<slots::Producer<[u8]>> for M {
    fn as_message(&self) -> &[u8] {
        self.as_ref()
    }
}

impl<P: Pod> Payload<slots::Producer<P>> for P {
    fn as_message(&self) -> &P {
        self
    }
}

mod sealed {
    pub trait End {}
    pub trait Payload<E> {}
}

impl<M: AsRef<[u8]>> sealed::Payload<shmq::Producer> for M {}
impl<M: AsRef<[u8]>> sealed::Payload<slots::Producer<[u8]>> for M {}
impl<P: Pod> sealed::Payload<slots::Producer<P>> for P {}

fn looked<T, E: PartialEq>(found: Result<T, E>, nothing: E) -> Result<bool, E> {
    match found {
        Ok(_) => Ok(true),
        Err(e) if e == nothing => Ok(false),
        Err(e) => Err(e),
    }
}

/// Pushes as many as there is room for, and commits them.
macro_rules! send_prefix {
    ($end:expr, $messages:expr) => {{
        let mut batch = $end.try_batch()?;
        for message in $messages {
            if let Err(e) = batch.push(message.as_message()) {
                if batch.messages() == 0 && e == TrySendError::Full {
                    // Says as well whether nobody will make room.
                    batch.abort();
                    return $end.try_send(message.as_message()).map(|_| 1);
                }
                if batch.messages() == 0 {
                    return Err(e);
                }
                // The next call tells of it, if it is more than a full queue.
                break;
            }
        }
        let sent = batch.messages() as usize;
        batch.commit();
        Ok(sent)
    }};
}

impl sealed::End for shmq::Consumer {}
impl<P: ?Sized> sealed::End for slots::Consumer<P> {}
impl sealed::End for shmq::Producer {}
impl<P: ?Sized> sealed::End for slots::Producer<P> {}

impl End for shmq::Consumer {
    type Error = RecvError;

    fn look(&mut self, _: usize, time: Duration) -> Result<bool, RecvError> {
        looked(self.read(time), RecvError::TimedOut)
    }
}

impl<P: ?Sized> End for slots::Consumer<P> {
    type Error = RecvError;

    fn look(&mut self, _: usize, time: Duration) -> Result<bool, RecvError> {
        looked(self.read(time), RecvError::TimedOut)
    }
}

impl End for shmq::Producer {
    type Error = SendError;

    fn has(&mut self, wanted: usize) -> bool {
        if wanted == ANY { self.is_ready() } else { self.room_for(wanted).is_ready() }
    }

    fn arm(&mut self, watch: &mut EndWatch, wanted: usize) -> Armed {
        if wanted == ANY { watch.arm(self) } else { watch.arm(&mut self.room_for(wanted)) }
    }

    fn look(&mut self, wanted: usize, time: Duration) -> Result<bool, SendError> {
        let any = || usize::try_from(self.limits().max_message).unwrap_or(ANY);
        let wanted = if wanted == ANY { any() } else { wanted };
        looked(self.claim(wanted, time), SendError::TimedOut)
    }
}

impl<P: ?Sized> End for slots::Producer<P> {
    type Error = SendError;

    fn look(&mut self, _: usize, time: Duration) -> Result<bool, SendError> {
        looked(self.claim(time), SendError::TimedOut)
    }
}

impl Receiving for shmq::Consumer {
    type Item = Vec<u8>;

    fn try_recv(&mut self) -> Result<Vec<u8>, TryRecvError> {
        self.try_recv()
    }

    fn try_recv_many(&mut self, buffer: &mut Vec<Vec<u8>>, limit: usize) -> Result<usize, TryRecvError> {
        self.try_drain(limit, |message| buffer.push(message.to_vec()))
    }
}

impl<P: Pod> Receiving for slots::Consumer<P> {
    type Item = P;

    fn try_recv(&mut self) -> Result<P, TryRecvError> {
        self.try_recv()
    }

    fn try_recv_many(&mut self, buffer: &mut Vec<P>, limit: usize) -> Result<usize, TryRecvError> {
        self.try_drain(limit, |message| buffer.push(message))
    }
}

impl Receiving for slots::Consumer<[u8]> {
    type Item = Vec<u8>;

    fn try_recv(&mut self) -> Result<Vec<u8>, TryRecvError> {
        self.try_recv()
    }

    fn try_recv_many(&mut self, buffer: &mut Vec<Vec<u8>>, limit: usize) -> Result<usize, TryRecvError> {
        self.try_drain(limit, |message| buffer.push(message.to_vec()))
    }
}

impl Sending for shmq::Producer {
    type Message = [u8];

    fn room(message: &[u8]) -> usize {
        message.len()
    }

    fn try_send(&mut self, message: &[u8]) -> Result<u64, TrySendError> {
        self.try_send(message)
    }

    fn try_send_many<M: Payload<Self>>(&mut self, messages: &[M]) -> Result<usize, TrySendError> {
        send_prefix!(self, messages)
    }
}

impl<P: Pod> Sending for slots::Producer<P> {
    type Message = P;

    fn room(_: &P) -> usize {
        1
    }

    fn try_send(&mut self, message: &P) -> Result<u64, TrySendError> {
        self.try_send(message)
    }

    fn try_send_many<M: Payload<Self>>(&mut self, messages: &[M]) -> Result<usize, TrySendError> {
        send_prefix!(self, messages)
    }
}

impl Sending for slots::Producer<[u8]> {
    type Message = [u8];

    fn room(_: &[u8]) -> usize {
        1
    }

    fn try_send(&mut self, message: &[u8]) -> Result<u64, TrySendError> {
        self.try_send(message)
    }

    fn try_send_many<M: Payload<Self>>(&mut self, messages: &[M]) -> Result<usize, TrySendError> {
        send_prefix!(self, messages)
    }
}

/// Readers and writers of pools, and references to them.
#[cfg(feature = "pool")]
macro_rules! pools {
    ($($end:ty, $error:ty, $look:ident;)*) => {$(
        impl sealed::End for $end {}

        impl End for $end {
            type Error = $error;

            fn look(&mut self, _: usize, time: Duration) -> Result<bool, $error> {
                match self.$look(time) {
                    Ok(_) => Ok(true),
                    Err(<$error>::TimedOut) => Ok(false),
                    Err(e) => Err(e),
                }
            }
        }
    )*};
}

#[cfg(feature = "pool")]
pools! {
    shmq_pool::Reader, shmq_pool::RecvError, read;
    &shmq_pool::Reader, shmq_pool::RecvError, read;
    shmq_pool::Writer, shmq_pool::LoanError, loan;
    &shmq_pool::Writer, shmq_pool::LoanError, loan;
}
