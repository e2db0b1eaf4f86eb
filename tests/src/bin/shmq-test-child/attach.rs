//! Opening what may not be a queue, and making one where that is hard. In a child, so that a SIGBUS is a failed test.

use crate::{Outcome, said, variant};
use shmq::{AttachError, CreateError, OpenError, Options, Queue};
use shmq_tests::process::limits::{become_nobody, mount, own_mounts};
use shmq_tests::process::{LIMIT, Witness, content, word};
use std::io::BufRead;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

/// For each path on stdin: refused and why, or a full round through a queue that is in order.
pub fn attach() -> Outcome {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(said)?;
        println!(
            "{}",
            match Queue::open(&line) {
                Err(e) => looked_at(&line, &e),
                Ok(queue) => match round(&queue) {
                    Ok(()) => "harmless".into(),
                    Err(why) => why,
                },
            }
        );
    }
    Ok(())
}

/// Who only looks must be refused for the same reason; but any shape may be looked at.
fn looked_at(path: &str, refused: &OpenError) -> String {
    let expected = variant(refused);
    match shmq::Inspector::open(path) {
        Ok(inspector) if matches!(refused, OpenError::WrongKind { .. }) => {
            inspector.snapshot();
            expected
        }
        Err(OpenError::NotAQueue { .. }) if matches!(refused, OpenError::WrongKind { .. }) => expected,
        Err(e) if variant(&e) == expected => expected,
        other => format!("refused as {expected}, looked at as {other:?}"),
    }
}

/// Uses a queue to the full: every byte of the ring, the largest messages, a few laps.
pub fn round(queue: &Queue) -> Result<(), String> {
    let refused = |e: AttachError| variant(&e);
    let mut tx = queue.producer().map_err(refused)?;
    let mut rx = queue.consumer().map_err(refused)?;
    let limits = tx.limits();
    let (mut expected, mut sent, mut received) = (Vec::new(), 0, 0);
    while sent < 3 * limits.capacity / limits.max_message.max(64) + 20 {
        loop {
            let size = limits.max_message as usize;
            // Largest ones and odd ones in turn, until it is full.
            if sent % 2 == 0 {
                expected.clear()
            } else {
                content(sent, size, &mut expected)
            }
            if sent % 2 == 0 {
                expected.resize(size, sent as u8);
            }
            match tx.try_send(&expected) {
                Ok(_) => sent += 1,
                Err(shmq::TrySendError::Full) => break,
                Err(other) => return Err(format!("send: {other}")),
            }
        }
        if received == sent {
            return Err("nothing has room in an empty queue".into());
        }
        while let Ok(message) = rx.try_recv() {
            let size = limits.max_message as usize;
            if received % 2 == 0 {
                expected.clear()
            } else {
                content(received, size, &mut expected)
            }
            if received % 2 == 0 {
                expected.resize(size, received as u8);
            }
            if message != expected {
                return Err(format!("message {received} is wrong"));
            }
            received += 1;
        }
        if received != sent {
            return Err(format!("{sent} sent, {received} received"));
        }
    }
    tx.finish().map_err(said)?;
    match rx.try_recv() {
        Err(shmq::TryRecvError::Finished) => Ok(()),
        other => Err(format!("after the end: {other:?}")),
    }
}

/// Opens a name again and again while another process makes and removes it: whole, or not there.
pub fn watch_open(name: &str, witness: &str) -> Outcome {
    let witness = Witness::open(witness);
    let mut seen = 0;
    println!("watching");
    while witness.get(word::STOP) == 0 {
        match Queue::open(name) {
            Ok(_) => seen += 1,
            Err(OpenError::NotFound { .. }) => {}
            Err(other) => return Err(format!("half a queue was there: {other}")),
        }
    }
    println!("{seen}");
    Ok(())
}

/// The mode of a new queue is the one asked for, whatever the umask, which belongs to the whole process.
pub fn modes(directory: &str) -> Outcome {
    for umask in [0, 0o022, 0o077, 0o777] {
        // SAFETY: a plain system call.
        unsafe { libc::umask(umask) };
        for mode in [0o600, 0o660, 0o666, 0o640] {
            let path = format!("{directory}/{umask:o}-{mode:o}");
            let queue = Queue::create(&path, &Options::new().capacity(4096).mode(mode)).map_err(said)?;
            let found = std::fs::metadata(&path).map_err(said)?.permissions().mode() & 0o7777;
            if found != mode {
                return Err(format!("mode {mode:o} under umask {umask:o} became {found:o}"));
            }
            queue.remove().map_err(said)?;
        }
        let path = format!("{directory}/{umask:o}");
        drop(Queue::create(&path, &Options::new().capacity(4096)).map_err(said)?);
        let found = std::fs::metadata(&path).map_err(said)?.permissions().mode() & 0o7777;
        if found != 0o600 {
            return Err(format!("the default mode under umask {umask:o} became {found:o}"));
        }
    }
    Ok(())
}

/// Mounts a tmpfs of 64 KiB.
fn small_tmpfs(directory: &str) -> std::io::Result<()> {
    own_mounts()?;
    mount("tmpfs", directory, 0, "size=64k")
}

/// Where /proc is not mounted, as in many a sandbox, named queues work all the same.
pub fn without_proc(existing: &str, new: &str) -> Outcome {
    if let Err(why) = own_mounts() {
        println!("skipped: {why}");
        return Ok(());
    }
    // SAFETY: a valid string.
    if unsafe { libc::umount2(c"/proc".as_ptr(), libc::MNT_DETACH) } != 0 || Path::new("/proc/self").exists()
    {
        println!("skipped: /proc cannot be unmounted");
        return Ok(());
    }
    round(&Queue::open(existing).map_err(said)?)?;
    let queue = Queue::create(new, &Options::new().capacity(4096)).map_err(said)?;
    round(&queue)?;
    queue.remove().map_err(said)?;
    println!("works");
    Ok(())
}

/// Creation on a full file system is an error and leaves nothing; what fits is made.
pub fn full(directory: &str) -> Outcome {
    if let Err(why) = small_tmpfs(directory) {
        println!("skipped: {why}");
        return Ok(());
    }
    let path = |n: u32| format!("{directory}/q{n}");
    let left = || Ok::<_, String>(std::fs::read_dir(directory).map_err(said)?.count());
    let no_space = |done: Result<Queue, CreateError>| match done {
        Err(CreateError::NoSpace { .. }) => Ok(()),
        other => Err(format!("not an error of space: {other:?}")),
    };
    no_space(Queue::create(path(0), &Options::new()))?;
    no_space(Queue::create(path(0), &Options::new().prefault(false)))?;
    if left()? != 0 {
        return Err("something was left behind".into());
    }
    // 16 KiB each: four fill it, and all four must be usable to the last byte.
    let small = Options::new().capacity(4096);
    let queues =
        (0..4).map(|n| Queue::create(path(n), &small)).collect::<Result<Vec<_>, _>>().map_err(said)?;
    no_space(Queue::create(path(4), &small))?;
    no_space(Queue::create(path(4), &small.clone().prefault(false)))?;
    if left()? != 4 {
        return Err("something was left behind".into());
    }
    queues.iter().try_for_each(round)?;
    println!("full");
    Ok(())
}

/// As a user without rights: one queue that is closed to others, one that is open, one that can only be read.
pub fn nobody(closed: &str, open: &str, readable: &str) -> Outcome {
    become_nobody().map_err(said)?;
    let text = |done: Result<Queue, OpenError>| done.map_or_else(|e| variant(&e), |_| "opened".into());
    println!("{}", text(Queue::open(closed)));
    let inspected = shmq::Inspector::open(closed);
    println!("{}", inspected.map_or_else(|e| variant(&e), |_| "inspected".into()));
    println!("{}", text(Queue::open(readable)));
    let inspected = shmq::Inspector::open(readable);
    println!("{}", inspected.map_or_else(|e| variant(&e), |i| i.state(shmq::Role::Producer).to_string()));
    let queue = Queue::open(open).map_err(said)?;
    println!("{}", round(&queue).map_or_else(|e| e, |()| "harmless".into()));
    // May not keep a byte in memory: an error where it is asked for, and nothing stays behind.
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the argument is valid.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &none) };
    let locked = Options::new().capacity(4096).lock(true);
    let made = Queue::create(format!("{open}-locked"), &locked);
    println!("{}", made.map_or_else(|e| variant(&e), |_| "created".into()));
    let taken = Queue::open_with(open, &locked).map_err(said)?.consumer();
    println!("{}", taken.map_or_else(|e| variant(&e), |_| "taken".into()));
    println!("{}", queue.consumer().map_or_else(|e| variant(&e), |_| "taken".into()));
    let denied = Queue::create("/proc/shmq-test", &Options::new().capacity(4096));
    println!("{}", denied.map_or_else(|e| variant(&e), |_| "created".into()));
    Ok(())
}

/// Receives an anonymous queue over a socket, as another user, and takes its messages.
pub fn descriptor(socket: &str) -> Outcome {
    become_nobody().map_err(said)?;
    let address = SocketAddr::from_abstract_name(socket).map_err(said)?;
    let socket = UnixStream::connect_addr(&address).map_err(said)?;
    let fd = shmq_tests::process::receive_descriptor(&socket)?;
    let queue = Queue::from_fd(fd, &Options::new()).map_err(said)?;
    match queue.producer() {
        Err(AttachError::Busy { .. }) => {}
        other => return Err(format!("two descriptors of one description, two producers: {other:?}")),
    }
    let mut rx = queue.consumer().map_err(said)?;
    println!("attached {}", rx.peer());
    for message in rx.messages(LIMIT) {
        println!("{}", String::from_utf8_lossy(&message.map_err(said)?));
    }
    // SAFETY: a plain system call.
    println!("finished as {}", unsafe { libc::getuid() });
    Ok(())
}
