//! The pending messages, one after the other.

use super::inspector::Inspector;
use super::seen::Seen;
use super::walk::{Damage, PendingEnd, Walk};
use crate::corruption::Corruption;
use crate::layout::PAGE;

impl Inspector {
    /// The messages that are pending, without taking them: at a living queue, at one that nobody holds, at what is left
    /// of one. For whom they are meant, nothing changes.
    ///
    /// Allocates each message, makes no system call, and ends after one ring at most, whatever the ends do meanwhile.
    ///
    /// ```
    /// # let name = format!("shmq-doc-pending-{}", std::process::id());
    /// let mut tx = shmq::Producer::create(&name, &shmq::Options::new())?;
    /// tx.try_send(b"first")?;
    /// tx.try_send(b"second")?;
    /// let it = shmq::Inspector::open(&name)?;
    /// let mut pending = it.pending();
    /// let texts: Vec<_> = pending.by_ref().map(|m| (m.sequence, m.bytes)).collect();
    /// assert_eq!(texts, [(0, b"first".to_vec()), (1, b"second".to_vec())]);
    /// // Why there are no more: in a damaged queue, what is wrong and where.
    /// assert_eq!(pending.end(), Some(&shmq::PendingEnd::CaughtUp));
    /// assert_eq!(pending.skipped(), 0);
    /// # drop(tx); shmq::Queue::open(&name)?.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn pending(&self) -> Pending<'_> {
        Pending::new(self)
    }
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingMessage {
    /// Its sequence number.
    pub sequence: u64,
    /// Where its record starts in the stream of bytes; with fixed-size messages, its number.
    pub position: u64,
    /// The message.
    pub bytes: Vec<u8>,
}

/// The pending messages of a queue that is only looked at, made by [`Inspector::pending`].
#[derive(Debug)]
pub struct Pending<'a> {
    inspector: &'a Inspector,
    walk: Option<Walk<'a, Seen>>,
    end: Option<PendingEnd>,
}

impl<'a> Pending<'a> {
    pub(super) fn new(inspector: &'a Inspector) -> Self {
        let walk = inspector.walk();
        let end = walk.is_none().then_some(PendingEnd::NoMessages);
        Self { inspector, walk, end }
    }

    /// Why there are no more; `None` until then.
    pub fn end(&self) -> Option<&PendingEnd> {
        self.end.as_ref()
    }

    /// Messages that the consumer took before they could be copied.
    pub fn skipped(&self) -> u64 {
        self.walk.as_ref().map_or(0, |walk| walk.skipped)
    }
}

impl Iterator for Pending<'_> {
    type Item = PendingMessage;

    fn next(&mut self) -> Option<PendingMessage> {
        let walk = self.walk.as_mut().filter(|_| self.end.is_none())?;
        loop {
            let found = match walk.look() {
                Ok(found) => found,
                Err(end) => {
                    self.end = Some(self.inspector.torn().unwrap_or(end));
                    return None;
                }
            };
            let mut bytes = Vec::new();
            if bytes.try_reserve_exact(found.len as usize).is_err() {
                self.end = Some(PendingEnd::NoMemory { bytes: found.len });
                return None;
            }
            bytes.resize(found.len as usize, 0);
            walk.copy_out(&found, &mut bytes);
            let passed = walk.pass(&found);
            // What was copied may be the zeros that took the place of the file.
            if let Some(end) = self.inspector.torn() {
                self.end = Some(end);
                return None;
            }
            if passed {
                let (sequence, position) = (found.sequence, found.position);
                return Some(PendingMessage { sequence, position, bytes });
            }
        }
    }
}

impl Inspector {
    /// Why there is nothing more to see, if the file was truncated under the mapping; for this project's other crates.
    #[doc(hidden)]
    pub fn torn(&self) -> Option<PendingEnd> {
        let damage = || Damage {
            what: Corruption::Truncated,
            position: 0,
            file_offset: PAGE as u64,
            expected: format!("{} bytes, as when it was opened", self.memory().present()),
            found: "it truncated meanwhile".into(),
        };
        self.is_torn().then(|| PendingEnd::Damaged(damage()))
    }

    /// A walk over the messages, if there is a ring of them.
    pub(super) fn walk(&self) -> Option<Walk<'_, Seen>> {
        let window = self.ring()?;
        Some(match self.geometry.slot_layout() {
            Some(shape) => Walk::slots(window, &shape),
            None => Walk::records(window, self.geometry.limits.max_message),
        })
    }
}
