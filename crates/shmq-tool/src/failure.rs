//! How a command ends badly: an exit code and one sentence.

use crate::units::shown;
use shmq::{
    AttachError, CreateError, Error, Kind, OpenError, RecvError, SendError, TryRecvError, TrySendError,
};
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;
use std::sync::OnceLock;

/// The documented exit codes beside 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Anything else.
    Failure = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The time was up.
    TimedOut = 3,
    /// The other end died.
    PeerLost = 4,
    /// The queue is corrupt.
    Corrupt = 5,
}

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// What to say, and the exit code.
    Said(Code, String),
    /// All was said; this is the exit code.
    Exit(u8),
    /// A signal asked for it; its default action follows once everything is put away.
    Signal(i32),
}

impl Failure {
    /// A plain failure.
    pub fn new(text: impl Into<String>) -> Self {
        Self::Said(Code::Failure, text.into())
    }

    /// A wrong command line.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::Said(Code::Usage, text.into())
    }

    /// What could not be done, and what the system said.
    pub fn io(doing: impl std::fmt::Display, error: &std::io::Error) -> Self {
        Self::new(format!("cannot {doing}: {error}"))
    }

    /// The same, of this queue, unless it says which one anyway.
    pub fn of(self, name: &OsStr) -> Self {
        let path = shmq::path_of(name)
            .and_then(|path| std::path::absolute(path).ok())
            .unwrap_or_else(|| name.into());
        let said = |text: &str| text.contains(&shown(name)) || text.contains(&shown(&path));
        match self {
            Self::Said(code, text) if !said(&text) => Self::Said(code, format!("{}: {text}", shown(name))),
            other => other,
        }
    }

    /// Says it on stderr; the exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Said(code, text) => {
                say(&text);
                ExitCode::from(code as u8)
            }
            Self::Exit(code) => ExitCode::from(code),
            Self::Signal(signal) => crate::signal::end_by(signal),
        }
    }
}

/// What is wrong with a file of this name, or path; as the library says it, where that names it.
pub fn said_of(name: &str, why: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    if why.contains(&format!("/{file}")) { why.into() } else { format!("{name}: {why}") }
}

/// One line on stderr, unless nobody listens.
pub fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "shmq: {text}");
}

fn code_of(error: &Error) -> Code {
    match error {
        Error::Create(CreateError::Name { .. } | CreateError::Options { .. })
        | Error::Open(OpenError::Name { .. }) => Code::Usage,
        Error::Send(SendError::TimedOut) | Error::Recv(RecvError::TimedOut) => Code::TimedOut,
        Error::Send(SendError::ConsumerLeft | SendError::ConsumerLost)
        | Error::Recv(RecvError::ProducerLeft | RecvError::ProducerLost) => Code::PeerLost,
        Error::Open(OpenError::Truncated { .. })
        | Error::Attach(AttachError::Corrupt { .. } | AttachError::OtherBoot { .. })
        | Error::Send(SendError::Corrupt { .. })
        | Error::TrySend(TrySendError::Corrupt { .. })
        | Error::Recv(RecvError::Corrupt { .. })
        | Error::TryRecv(TryRecvError::Corrupt { .. }) => Code::Corrupt,
        _ => Code::Failure,
    }
}

/// What is said where only queues will do.
const POOL: &str = "it is a pool of blocks, which programs fill and read in place, and no queue of messages; \
                    `shmq stat`, `shmq dump` and `shmq drain` work on it";
const RAW: &str = "it is raw memory, and no queue of messages; `shmq stat` and `shmq dump` show it";

/// Not only death: so ends also a `shmq send` that was refused, or could not read its input.
const LOST: &str = "the queue is empty and its sender ended without declaring the end of data: it was killed, or it \
                    failed and said why; another may take over (`shmq send --resume`)";

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let says = match &error {
            Error::Open(OpenError::WrongKind { found: Kind::Pool, .. }) => POOL.into(),
            Error::Open(OpenError::WrongKind { found: Kind::Raw, .. }) => RAW.into(),
            Error::Recv(RecvError::ProducerLost) => LOST.into(),
            error => error.to_string(),
        };
        let failure = Self::Said(code_of(&error), says);
        match NAME.get() {
            Some(name) => failure.of(name),
            None => failure,
        }
    }
}

/// What the command is about.
static NAME: OnceLock<OsString> = OnceLock::new();

/// From now on, what the library says is said of this queue.
pub fn about(name: &OsStr) {
    let _ = NAME.set(name.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(error: impl Into<Error>) -> Code {
        code_of(&error.into())
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        assert_eq!(code(RecvError::TimedOut), Code::TimedOut);
        assert_eq!(code(SendError::TimedOut), Code::TimedOut);
        assert_eq!(code(RecvError::ProducerLost), Code::PeerLost);
        assert_eq!(code(SendError::ConsumerLost), Code::PeerLost);
        assert_eq!(code(RecvError::Removed), Code::Failure);
        assert_eq!(code(AttachError::OtherBoot { path: None }), Code::Corrupt);
        assert_eq!(code(OpenError::Truncated { path: None, expected: 2, found: 1 }), Code::Corrupt);
        assert_eq!(code(OpenError::Name { name: String::new() }), Code::Usage);
        assert_eq!(code(CreateError::Options { why: String::new() }), Code::Usage);
        assert_eq!([Code::Failure as u8, Code::Usage as u8, Code::TimedOut as u8], [1, 2, 3]);
        assert_eq!([Code::PeerLost as u8, Code::Corrupt as u8], [4, 5]);
    }
}
