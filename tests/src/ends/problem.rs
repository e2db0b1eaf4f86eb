//! Why an operation did nothing, whatever the operation was.

use shmq::{AttachError, Corruption, OutOfBounds, RecvError, SendError, TryRecvError, TrySendError};

/// Why an operation did nothing.
#[derive(Debug)]
pub enum Problem {
    /// No room, no message, or not in time.
    Nothing,
    /// Asked for what cannot be.
    Refused,
    /// End of data.
    Finished,
    /// The other end left or died.
    Gone,
    /// The ring contradicts itself.
    Corrupt(Corruption),
    /// The role could not be taken.
    Attach(AttachError),
    /// What no operation should lead to.
    Wrong(String),
}

impl From<TrySendError> for Problem {
    fn from(error: TrySendError) -> Self {
        match error {
            TrySendError::Full => Self::Nothing,
            TrySendError::TooLarge { .. } | TrySendError::WrongLength { .. } => Self::Refused,
            TrySendError::ConsumerLeft => Self::Gone,
            TrySendError::Corrupt { what } => Self::Corrupt(what),
            other => Self::Wrong(other.to_string()),
        }
    }
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        match error {
            SendError::TimedOut => Self::Nothing,
            SendError::TooLarge { .. } | SendError::WrongLength { .. } => Self::Refused,
            SendError::ConsumerLeft | SendError::ConsumerLost | SendError::Removed => Self::Gone,
            SendError::Corrupt { what } => Self::Corrupt(what),
            other => Self::Wrong(other.to_string()),
        }
    }
}

impl From<TryRecvError> for Problem {
    fn from(error: TryRecvError) -> Self {
        match error {
            TryRecvError::Empty => Self::Nothing,
            TryRecvError::WrongLength { .. } => Self::Refused,
            TryRecvError::Finished => Self::Finished,
            TryRecvError::ProducerLeft => Self::Gone,
            TryRecvError::Corrupt { what } => Self::Corrupt(what),
            other => Self::Wrong(other.to_string()),
        }
    }
}

impl From<RecvError> for Problem {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::TimedOut => Self::Nothing,
            RecvError::WrongLength { .. } => Self::Refused,
            RecvError::Finished => Self::Finished,
            RecvError::ProducerLeft | RecvError::ProducerLost | RecvError::Removed => Self::Gone,
            RecvError::Corrupt { what } => Self::Corrupt(what),
            other => Self::Wrong(other.to_string()),
        }
    }
}

impl From<OutOfBounds> for Problem {
    fn from(error: OutOfBounds) -> Self {
        Self::Wrong(error.to_string())
    }
}
