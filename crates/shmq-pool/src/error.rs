//! One enum per operation, with exactly the outcomes that operation has. Every text says what to do next.

use shmq::{AttachError, CreateError, OpenError};
use shmq_core::{errors, one_error, waiting_error};
use std::fmt;

/// What the other end wrote that cannot be. Sticky in the handle that saw it; nothing else is affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corruption {
    /// One of the two rings contradicts itself.
    Ring(shmq::Corruption),
    /// A handle of a block that the pool does not have.
    NoSuchBlock,
    /// A handle that says more bytes than a block has.
    TooLong,
    /// A handle of a block that the other end does not have: sent twice, sent back twice, out of date, or made up.
    NotTheirs,
    /// A table of who has what speaks of what has not happened yet.
    Table,
}

impl Corruption {
    /// The file is not what it was; see [`shmq::sigbus`].
    pub(crate) const TRUNCATED: Self = Self::Ring(shmq::Corruption::Truncated);
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ring(what) => return what.fmt(f),
            Self::NoSuchBlock => "a handle names a block that there is not",
            Self::TooLong => "a handle says more bytes than a block has",
            Self::NotTheirs => "a handle names a block that its sender does not have",
            Self::Table => "a note of who has a block speaks of the future",
        })
    }
}

fn corrupt(what: &Corruption) -> String {
    format!("the pool is corrupt: {what}; recreate it")
}

errors! {
    /// Why there is no block to write, without waiting.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    TryLoanError {
        /// All blocks are lent, under way, or with the reader.
        NoneFree => "no block is free; receive and acknowledge some at the other end, or wait with `loan`";
        /// The reader wrote what cannot be.
        Corrupt {
            /// What was found.
            what: Corruption,
        } => corrupt(what);
    }

    /// Why there is no block to write.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    LoanError {
        /// None came back until the time was up.
        TimedOut => "no block became free until the time was up; try again";
        /// This writer itself has all of them on loan, so waiting would never end.
        AllLent => "this writer has every block on loan; send or drop one first";
        /// None is free, and the reader closed its end.
        ReaderLeft => "no block is free and the reader has left; another may come";
        /// None is free, and the reader died.
        ReaderLost => "no block is free and the reader has died; another may take over, and what it held is seen again";
        /// None is free, and the stop handle of this end is triggered; see [`shmq::StopHandle`].
        Stopped => "stopped by its stop handle while no block was free; nothing was lent";
        /// None is free, and the file was removed: no reader can come.
        Removed => "no block is free and the file was removed, so no reader can come; open the new pool";
        /// The reader wrote what cannot be.
        Corrupt {
            /// What was found.
            what: Corruption,
        } => corrupt(what);
    }

    /// Why a block was not sent. It went back to the pool.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    SendError {
        /// More bytes than a block has.
        TooLong {
            /// Bytes asked for.
            len: usize,
            /// Bytes of a block.
            max: usize,
        } => format!("{len} bytes are more than the {max} of a block; send fewer, in several blocks");
        /// The reader wrote what cannot be.
        Corrupt {
            /// What was found.
            what: Corruption,
        } => corrupt(what);
    }

    /// Why nothing was received, without waiting.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    TryRecvError {
        /// Nothing is there.
        Empty => "no block is there; try again, or wait with `read`";
        /// Everything was received and the writer declared the end.
        Finished => "end of data: the writer finished and everything was received";
        /// The writer wrote what cannot be.
        Corrupt {
            /// What was found.
            what: Corruption,
        } => corrupt(what);
    }

    /// Why nothing was received.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    RecvError {
        /// Nothing came until the time was up.
        TimedOut => "no block came until the time was up; try again";
        /// This reader itself holds every block of the pool, so waiting would never end.
        AllHeld => "this reader holds every block of the pool; acknowledge one first";
        /// Everything was received and the writer declared the end.
        Finished => "end of data: the writer finished and everything was received";
        /// Everything was received and the writer closed its end without finishing.
        WriterLeft => "nothing is there and the writer has left without finishing; another may come";
        /// Everything was received and the writer died.
        WriterLost => "nothing is there and the writer has died; another may take over";
        /// Empty, and the stop handle of this end is triggered; see [`shmq::StopHandle`].
        Stopped => "stopped by its stop handle while no block was there; nothing was taken";
        /// Empty, and the file was removed: no writer can come.
        Removed => "nothing is there and the file was removed, so no writer can come; open the new pool";
        /// The writer wrote what cannot be.
        Corrupt {
            /// What was found.
            what: Corruption,
        } => corrupt(what);
    }
}

waiting_error!(LoanError from TryLoanError { NoneFree, Corrupt { what } }
    peer ReaderLeft, ReaderLost; Corruption, Corruption::TRUNCATED);

waiting_error!(RecvError from TryRecvError { Empty, Finished, Corrupt { what } }
    peer WriterLeft, WriterLost; Corruption, Corruption::TRUNCATED);

/// Any error of this crate, for functions that do several things. Nothing of the outside makes this crate panic.
///
/// ```
/// fn serve(name: &str) -> Result<(), shmq_pool::Error> {
///     let rx = shmq_pool::Pool::open(name)?.reader()?; // OpenError or AttachError
///     println!("{} bytes", rx.try_read()?.len()); // TryRecvError
///     Ok(())
/// }
/// let error = serve("shmq-doc-there-is-none").unwrap_err();
/// assert!(matches!(error, shmq_pool::Error::Open(shmq_pool::OpenError::NotFound { .. })));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// From creating.
    Create(CreateError),
    /// From opening.
    Open(OpenError),
    /// From taking an end.
    Attach(AttachError),
    /// From a loan that does not wait.
    TryLoan(TryLoanError),
    /// From a loan that waits.
    Loan(LoanError),
    /// From sending a block.
    Send(SendError),
    /// From a receive that does not wait.
    TryRecv(TryRecvError),
    /// From a receive that waits.
    Recv(RecvError),
    /// From a range that does not lie inside a block.
    OutOfBounds(shmq::OutOfBounds),
}

one_error!(
    Create(CreateError),
    Open(OpenError),
    Attach(AttachError),
    TryLoan(TryLoanError),
    Loan(LoanError),
    Send(SendError),
    TryRecv(TryRecvError),
    Recv(RecvError),
    OutOfBounds(shmq::OutOfBounds)
);

impl From<shmq::Error> for Error {
    /// Of what opening or creating can say; shmq's other errors do not come from a pool.
    fn from(error: shmq::Error) -> Self {
        match error {
            shmq::Error::Create(inner) => Self::Create(inner),
            shmq::Error::Attach(inner) => Self::Attach(inner),
            shmq::Error::Open(inner) => Self::Open(inner),
            other => Self::Open(OpenError::Io {
                doing: "open or create a pool".into(),
                source: std::io::Error::other(other.to_string()),
            }),
        }
    }
}

impl std::error::Error for Corruption {}
impl std::error::Error for TryLoanError {}
impl std::error::Error for LoanError {}
impl std::error::Error for SendError {}
impl std::error::Error for TryRecvError {}
impl std::error::Error for RecvError {}
