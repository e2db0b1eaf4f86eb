//! POSIX message queues, which no crate of this project's wraps.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A queue whose name is gone already: it goes with its descriptors, which Linux lets a child inherit. The name, without a
/// slash, is to be nobody else's.
///
/// # Errors
/// What the system said. Without privileges there are limits, see mq_overview(7).
pub fn create(name: &str, depth: usize, bytes: usize) -> io::Result<OwnedFd> {
    let name = CString::new(format!("/{name}"))?;
    // SAFETY: a plain structure of numbers.
    let mut attributes: libc::mq_attr = unsafe { std::mem::zeroed() };
    attributes.mq_maxmsg = depth as _;
    attributes.mq_msgsize = bytes as _;
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    // SAFETY: a terminated name, and attributes that outlive the call.
    let descriptor = unsafe { libc::mq_open(name.as_ptr(), flags, 0o600, &raw const attributes) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a terminated name.
    unsafe { libc::mq_unlink(name.as_ptr()) };
    // SAFETY: just opened, and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Waits for room, and sends.
///
/// # Errors
/// What the system said.
pub fn send(queue: &OwnedFd, message: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the length belong together.
    match unsafe { libc::mq_send(queue.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits for a message; its length.
///
/// # Errors
/// What the system said.
pub fn receive(queue: &OwnedFd, into: &mut [u8]) -> io::Result<usize> {
    let (at, length) = (into.as_mut_ptr().cast(), into.len());
    // SAFETY: the pointer and the length belong together; no priority is wanted.
    match unsafe { libc::mq_receive(queue.as_raw_fd(), at, length, std::ptr::null_mut()) } {
        got if got < 0 => Err(io::Error::last_os_error()),
        got => Ok(got as usize),
    }
}
