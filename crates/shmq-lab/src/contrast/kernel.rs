//! What the kernel has between two processes: a pipe, a Unix socket that keeps messages apart, a POSIX message queue.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// What is written here can be read there.
pub struct Ends {
    pub reader: OwnedFd,
    pub writer: OwnedFd,
}

/// A pipe.
pub fn pipe() -> io::Result<Ends> {
    let (reader, writer) = io::pipe()?;
    Ok(Ends { reader: reader.into(), writer: writer.into() })
}

/// A pair of Unix sockets with room for some messages of this size.
pub fn sockets(size: usize) -> io::Result<Ends> {
    let (reader, writer) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_send_buffer_size(&writer, (4 * size).max(1 << 17))?;
    Ok(Ends { reader, writer })
}

/// A message queue, as deep as a process without privileges may have it. Its name is gone already: it goes with its
/// descriptors, which Linux lets a child inherit.
pub fn message_queue(size: usize) -> io::Result<Ends> {
    let name = CString::new(format!("/shmq-lab-{}-{size}", std::process::id()))?;
    // SAFETY: a plain structure of numbers.
    let mut attributes: libc::mq_attr = unsafe { std::mem::zeroed() };
    attributes.mq_maxmsg = 10;
    attributes.mq_msgsize = size as _;
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    // SAFETY: a terminated name, and attributes that outlive the call.
    let descriptor = unsafe { libc::mq_open(name.as_ptr(), flags, 0o600, &raw const attributes) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a terminated name.
    unsafe { libc::mq_unlink(name.as_ptr()) };
    // SAFETY: just opened, and owned by nobody else.
    let reader = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok(Ends { writer: reader.try_clone()?, reader })
}

/// Sends a message to a message queue.
pub fn mq_send(queue: &OwnedFd, message: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the length belong together.
    match unsafe { libc::mq_send(queue.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Receives one; its length.
pub fn mq_receive(queue: &OwnedFd, into: &mut [u8]) -> io::Result<usize> {
    let (at, length) = (into.as_mut_ptr().cast(), into.len());
    // SAFETY: as above; no priority is wanted.
    match unsafe { libc::mq_receive(queue.as_raw_fd(), at, length, std::ptr::null_mut()) } {
        got if got < 0 => Err(io::Error::last_os_error()),
        got => Ok(got as usize),
    }
}
