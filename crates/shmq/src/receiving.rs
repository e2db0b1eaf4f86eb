//! What receives are told, and what they tell, whatever the shape.

/// What [a receive into the caller's buffer](crate::Consumer::try_recv_into) got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the message.
    pub len: usize,
    /// Its sequence number.
    pub sequence: u64,
}

/// Where a drain or a run stops, whatever comes first. The first message always counts, however small the limit. A plain number
/// is one of messages.
///
/// ```
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// tx.try_send_batch(&["a", "b", "c", "d"])?;
/// assert_eq!(rx.try_drain(2, |_| {})?, 2);
/// assert_eq!(rx.try_drain(shmq::DrainLimit { bytes: 1, ..Default::default() }, |_| {})?, 1);
/// assert_eq!(rx.pending(), 1);
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainLimit {
    /// After so many messages.
    pub messages: usize,
    /// After so many bytes of payload or more.
    pub bytes: usize,
}

impl Default for DrainLimit {
    /// 1024 messages or 64 KiB.
    fn default() -> Self {
        Self { messages: 1024, bytes: 64 << 10 }
    }
}

impl From<usize> for DrainLimit {
    fn from(messages: usize) -> Self {
        Self { messages, bytes: usize::MAX }
    }
}

impl DrainLimit {
    /// The same for messages of this size.
    #[inline(always)]
    pub(crate) fn messages_of(&self, size: usize) -> usize {
        self.messages.min(self.bytes.div_ceil(size.max(1))).max(1)
    }

    /// Whether it is reached.
    #[inline(always)]
    pub(crate) fn is_reached(&self, messages: usize, bytes: usize) -> bool {
        messages >= self.messages || bytes >= self.bytes
    }
}

/// What the closure of a drain returns: nothing, to go on in any case, or a [`Result`], of which an error ends the drain.
///
/// The message for which it was an error is not acknowledged: the next receive is shown it again. Those before it are.
///
/// ```
/// use std::io::Write;
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// tx.try_send_batch(&["one", "two"])?;
/// let mut disk = &mut [0; 5][..]; // of 5 bytes
/// let shipped = rx.try_drain(100, |message| disk.write_all(&message.to_vec()))?;
/// assert!(shipped.is_err()); // the disk is full
/// assert_eq!(rx.try_recv()?, b"two"); // it was not written whole
/// # Ok::<(), shmq::Error>(())
/// ```
pub trait DrainStep: Sized {
    /// What the drain returns: how many messages it acknowledged, or the error that ended it.
    type Outcome;

    /// Whether to end the drain.
    #[doc(hidden)]
    fn is_end(&self) -> bool;

    /// Of a drain that this ended, or no message did.
    #[doc(hidden)]
    fn outcome(end: Option<Self>, messages: usize) -> Self::Outcome;
}

impl DrainStep for () {
    type Outcome = usize;

    #[inline(always)]
    fn is_end(&self) -> bool {
        false
    }

    #[inline(always)]
    fn outcome(_: Option<Self>, messages: usize) -> usize {
        messages
    }
}

impl<E> DrainStep for Result<(), E> {
    type Outcome = Result<usize, E>;

    #[inline(always)]
    fn is_end(&self) -> bool {
        self.is_err()
    }

    #[inline(always)]
    fn outcome(end: Option<Self>, messages: usize) -> Result<usize, E> {
        end.map_or(Ok(messages), |end| end.map(|()| messages))
    }
}
