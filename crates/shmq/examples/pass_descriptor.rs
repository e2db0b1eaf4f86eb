//! A queue without a name, passed as a descriptor to a process with fewer rights.
//!
//! The parent makes an anonymous queue, which nobody can find, shrink or grow, and passes it over a Unix socket. The
//! child gives up its rights first (when it has any: run as root, it becomes *nobody*), then takes the sending end.
//! The parent never vouches for it: whatever the child writes, receiving stays safe.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use shmq::{Options, Queue, Until};
use std::error::Error;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

const NOBODY: u32 = 65534;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).is_some() { child() } else { parent() }
}

fn parent() -> Result<(), Box<dyn Error>> {
    let queue = Queue::anonymous(&Options::new().capacity(64 << 10).max_message(4096))?;
    let mut rx = queue.consumer()?;
    let (ours, theirs) = UnixStream::pair()?;
    // The child finds the socket where its standard input would be.
    let mut child = Command::new(std::env::current_exe()?)
        .arg("child")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;

    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [queue.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(&ours, &[IoSlice::new(b"q")], &mut control, SendFlags::NOSIGNAL)?;
    drop(ours);

    // If the child fails before it takes the role, nothing ever comes: hence a limit.
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(10);
    for message in rx.messages(Until::At(limit)) {
        println!("the child says: {}", String::from_utf8_lossy(&message?));
    }
    assert!(child.wait()?.success());
    Ok(())
}

fn child() -> Result<(), Box<dyn Error>> {
    give_up_rights()?;
    let socket = std::io::stdin();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(&socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let fd = control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
        .ok_or("no descriptor came")?;

    // Refused unless it is sealed, so that the other side cannot cut it off under us.
    let mut tx = Queue::from_fd(fd, &Options::new())?.producer()?;
    let uid = rustix::process::getuid().as_raw();
    tx.send(format!("here I am, user {uid}").as_bytes(), Until::Forever)?;
    tx.send(b"and no file name leads here", Until::Forever)?;
    tx.finish()?;
    Ok(())
}

fn give_up_rights() -> std::io::Result<()> {
    if !rustix::process::getuid().is_root() {
        return Ok(());
    }
    // SAFETY: three plain system calls; the list of groups is empty.
    let done = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0 && libc::setgid(NOBODY) == 0 && libc::setuid(NOBODY) == 0
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
