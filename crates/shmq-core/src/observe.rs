//! What happens seldom, told to whoever listens: events of the `tracing` crate, with the feature of that name. Without
//! it, nothing. Nothing of this is where messages pass: only where a queue is made, where an end comes, falls
//! asleep, leaves, or finds that something is wrong.
//!
//! | event | level | fields |
//! |---|---|---|
//! | `queue created` | debug | `queue`, `kind`, `bytes` |
//! | `end attached` | debug | `queue`, `role`, `epoch` |
//! | `end taken over from a dead process` | info | the same |
//! | `end asleep` | trace | `queue`, `role` |
//! | `end goes on` | trace | `queue`, `role`, `waited_us` |
//! | `peer left` | debug | `queue`, `role` of the peer |
//! | `peer lost` | warn | the same |
//! | `queue removed` | warn | `queue` |
//! | `end of data declared` | debug | `queue`, `messages` |
//! | `end left` | debug | `queue`, `role`, `epoch` |
//! | `queue corrupt` | error | `queue`, `role` of who found it, `what` |
//!
//! `queue` is the path, empty where there is none. The table is in `docs/OPERATIONS.md`, too; a test compares them.

use crate::corruption::Corruption;
use crate::layout::{Kind, Role};
use std::path::Path;
use std::time::Duration;

/// An event, or nothing but the use of its values.
macro_rules! tell {
    ($level:ident, $text:literal, $($shown:ident: $text_value:expr),* $(; $number:ident: $value:expr)?) => {{
        #[cfg(feature = "tracing")]
        tracing::event!(target: "shmq", tracing::Level::$level, $($shown = %$text_value,)* $($number = $value,)? $text);
        #[cfg(not(feature = "tracing"))]
        let _ = ($text, $(&$text_value,)* $(&$value)?);
    }};
}

/// The path, as an event shows it.
fn shown(path: Option<&Path>) -> impl std::fmt::Display {
    path.unwrap_or(Path::new("")).display()
}

/// Whose event it is: the queue's path, if it has one, and the end.
#[derive(Clone, Copy)]
pub struct Who<'a> {
    pub(crate) path: Option<&'a Path>,
    pub(crate) role: Role,
}

/// What became of a peer, as far as a wait ended by it.
#[derive(Clone, Copy)]
pub(crate) enum Gone {
    Left,
    Lost,
    Removed,
}

impl Who<'_> {
    #[cold]
    pub(crate) fn attached(self, epoch: u64, from_the_dead: bool) {
        let Self { path, role } = self;
        if from_the_dead {
            tell!(INFO, "end taken over from a dead process", queue: shown(path), role: role; epoch: epoch);
        } else {
            tell!(DEBUG, "end attached", queue: shown(path), role: role; epoch: epoch);
        }
    }

    #[cold]
    pub(crate) fn sleeps(self) {
        tell!(TRACE, "end asleep", queue: shown(self.path), role: self.role);
    }

    #[cold]
    pub(crate) fn goes_on(self, waited: Duration) {
        let waited_us = waited.as_micros() as u64;
        tell!(TRACE, "end goes on", queue: shown(self.path), role: self.role; waited_us: waited_us);
    }

    #[cold]
    pub(crate) fn misses_its_peer(self, gone: Gone) {
        let (queue, role) = (shown(self.path), self.role.peer());
        match gone {
            Gone::Left => tell!(DEBUG, "peer left", queue: queue, role: role),
            Gone::Lost => tell!(WARN, "peer lost", queue: queue, role: role),
            Gone::Removed => tell!(WARN, "queue removed", queue: queue),
        }
    }

    #[cold]
    /// The producer declared the end of data after so many messages.
    pub fn finished(self, messages: u64) {
        tell!(DEBUG, "end of data declared", queue: shown(self.path); messages: messages);
    }

    #[cold]
    pub(crate) fn left(self, epoch: u64) {
        tell!(DEBUG, "end left", queue: shown(self.path), role: self.role; epoch: epoch);
    }
}

/// A queue was made.
#[cold]
pub(crate) fn created(path: Option<&Path>, kind: Kind, bytes: u64) {
    tell!(DEBUG, "queue created", queue: shown(path), kind: kind; bytes: bytes);
}

/// An end found that the ring contradicts itself. Once for each handle, or twice if it looked ahead.
#[cold]
pub(crate) fn corrupt(path: Option<&Path>, role: Role, what: Corruption) {
    tell!(ERROR, "queue corrupt", queue: shown(path), role: role, what: what);
}
