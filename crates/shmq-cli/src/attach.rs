//! Getting hold of an end: waiting for the file to appear, and for a holder that is just leaving.

use crate::shape::Queue;
use shmq::AttachError;
use shmq_tool::units::shown;
use std::ffi::OsStr;
use std::time::{Duration, Instant};

/// How long a role that is taken is asked for again. A killed process keeps its role until the kernel has taken it
/// apart, and one that has sent its last message needs a moment to exit.
pub const LEAVING: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(2);

/// Tries again while the role's holder may be leaving.
pub fn patiently<T>(mut attempt: impl FnMut() -> Result<T, AttachError>) -> Result<T, AttachError> {
    let deadline = Instant::now() + LEAVING;
    loop {
        match attempt() {
            Err(AttachError::Busy { .. }) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
}

/// What is known of a queue's contents: for texts.
pub fn pending(queue: &Queue) -> u64 {
    queue.inspect().map_or(0, |inspector| inspector.snapshot().pending_messages)
}

/// The name as a shell wants it.
pub fn quoted(name: &OsStr) -> String {
    let name = shown(name);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+:@".contains(c);
    // What is shown in quotes has them already.
    if name.starts_with("$'") || name.chars().all(plain) {
        name
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}
