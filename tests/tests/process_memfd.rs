//! Anonymous queues: sealed, only accepted if sealed, and passed between processes of different users.

use shmq::{OpenError, Options, Queue, RecvError, Until};
use shmq_tests::process::{Child, Scratch, patiently, send_descriptor};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

fn anonymous() -> Queue {
    Queue::anonymous(&Options::new().capacity(8192).tag("memfd")).unwrap()
}

/// A memfd with these contents and seals.
fn memfd(bytes: &[u8], seals: i32) -> OwnedFd {
    // SAFETY: a valid name; the descriptor is new and ours.
    let fd = unsafe {
        OwnedFd::from_raw_fd(libc::memfd_create(
            c"test".as_ptr(),
            libc::MFD_ALLOW_SEALING | libc::MFD_CLOEXEC,
        ))
    };
    std::io::Write::write_all(&mut File::from(fd.try_clone().unwrap()), bytes).unwrap();
    // SAFETY: a plain system call.
    assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) }, 0);
    fd
}

#[test]
fn an_anonymous_queue_can_neither_shrink_nor_grow() {
    let queue = anonymous();
    let length = queue.inspect().unwrap().length();
    let file = File::from(queue.as_fd().try_clone_to_owned().unwrap());
    for size in [0, length - 4096, length - 1, length + 1, length + 4096] {
        let refused = file.set_len(size).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM), "{size}");
    }
    // SAFETY: plain system calls on an open descriptor.
    let more = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_WRITE) };
    assert_eq!((more, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EPERM)));
    assert_eq!(file.metadata().unwrap().len(), length);
}

#[test]
fn only_a_sealed_descriptor_is_accepted() {
    let bytes = {
        let queue = anonymous();
        std::fs::read(format!("/proc/self/fd/{}", queue.as_fd().as_raw_fd())).unwrap()
    };
    let (shrink, grow, seal) = (libc::F_SEAL_SHRINK, libc::F_SEAL_GROW, libc::F_SEAL_SEAL);
    for (seals, accepted) in [
        (0, false),
        (shrink, false),
        (grow | seal, false),
        (shrink | seal, false),
        (shrink | grow, false),
        (shrink | grow | seal, true),
    ] {
        let opened = Queue::from_fd(memfd(&bytes, seals), &Options::new());
        match opened {
            Ok(_) => assert!(accepted, "seals {seals:#x}"),
            Err(OpenError::NotSealed) => assert!(!accepted, "seals {seals:#x}"),
            Err(other) => panic!("{other}"),
        }
    }
    let all = shrink | grow | seal;
    let not_a_queue = Queue::from_fd(memfd(b"text", all), &Options::new());
    assert!(matches!(not_a_queue, Err(OpenError::NotAQueue { .. })));
    let truncated = Queue::from_fd(memfd(&bytes[..4096], all), &Options::new());
    assert!(matches!(truncated, Err(OpenError::Truncated { .. })));
    // A named file has no seals.
    let scratch = Scratch::new("named");
    let named = Queue::create(scratch.path(), &Options::new()).unwrap();
    let opened = Queue::from_fd(named.as_fd().try_clone_to_owned().unwrap(), &Options::new());
    assert!(matches!(opened, Err(OpenError::NotSealed)));
    let tagged = Queue::from_fd(memfd(&bytes, all), &Options::new().tag("other"));
    assert!(matches!(tagged, Err(OpenError::Tag { .. })));
}

#[test]
fn a_descriptor_passes_to_a_process_of_another_user() {
    let name = format!("shmq-test-{}-descriptor", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let queue = anonymous();
    let mut tx = patiently(|| queue.producer()).unwrap();
    let child = Child::spawn(HELPER, &["descriptor", &name]);
    let (socket, _) = listener.accept().unwrap();
    send_descriptor(&socket, queue.as_fd()).unwrap();
    child.expect("attached attached");
    assert_eq!(tx.peer(), shmq::PeerState::Attached);
    for i in 0..100 {
        tx.send(format!("message {i}").as_bytes(), Until::Forever).unwrap();
    }
    tx.finish().unwrap();
    for i in 0..100 {
        child.expect(&format!("message {i}"));
    }
    // SAFETY: a plain system call.
    let me = unsafe { libc::getuid() };
    child.expect(&format!("finished as {}", if me == 0 { 65534 } else { me }));
    child.succeed();
}

#[test]
fn an_anonymous_queue_outlives_its_maker_s_handles_and_tells_of_a_leave() {
    let queue = anonymous();
    let mut tx = patiently(|| queue.producer()).unwrap();
    let copy =
        Queue::from_fd(queue.as_fd().try_clone_to_owned().unwrap(), &Options::new().tag("memfd")).unwrap();
    drop(queue);
    let mut rx = patiently(|| copy.consumer()).unwrap();
    drop(copy);
    tx.try_send(b"still here").unwrap();
    assert_eq!(rx.recv(Until::Forever).unwrap(), b"still here");
    drop(tx);
    assert_eq!(rx.recv(Until::Forever), Err(RecvError::ProducerLeft));
}
