//! What the kernel has between two processes: a pipe, a Unix socket that keeps messages apart, a POSIX message queue.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use shmq_benches::mq;
use std::io;
use std::os::fd::OwnedFd;

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

/// A message queue, as deep as a process without privileges may have it.
pub fn message_queue(size: usize) -> io::Result<Ends> {
    let reader = mq::create(&format!("shmq-lab-{}-{size}", std::process::id()), 10, size)?;
    Ok(Ends { writer: reader.try_clone()?, reader })
}
