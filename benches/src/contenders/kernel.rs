//! What the kernel offers between two processes: pipes, sockets that keep messages apart, POSIX message queues, and the
//! bare futex. All of them by blocking calls, as they are used.

use super::trial::{Trial, because};
use crate::mq;
use crate::payload::{Payload, Scratch, Sum};
use crate::run::{Kind, Task};
use crate::waiting::child::Name;
use crate::waiting::wire::Futex;
use crate::waiting::word::Wire as _;
use rustix::io::{Errno, read, write};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use rustix::pipe::fcntl_setpipe_size;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Bytes of message queues that a process without privileges may have, less what the kernel keeps for each message.
const QUEUED: usize = 300_000;

pub fn any<P: Payload>(task: Task) -> Vec<Trial> {
    let mut all = vec![
        Trial::new("pipe", "recv", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let (rx, tx) = pipe(task.ring)?;
                let (mut scratch, mut buffer, mut taken) = (Scratch::new::<P>(), vec![0; P::MAX], 0);
                Ok((
                    move || {
                        move |n, _| {
                            write_all(&tx, scratch.message::<P>(n));
                            1
                        }
                    },
                    move || {
                        move |_, sum: &mut Sum| {
                            let message = &mut buffer[..P::len(taken)];
                            read_all(&rx, message);
                            taken += 1;
                            sum.bytes(message)
                        }
                    },
                ))
            })
        }),
        Trial::new("SOCK_SEQPACKET", "recv", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let (rx, tx) = sockets(task.ring, P::MAX)?;
                let (mut scratch, mut buffer) = (Scratch::new::<P>(), vec![0; P::MAX]);
                Ok((
                    move || {
                        move |n, _| {
                            let message = scratch.message::<P>(n);
                            assert_eq!(write(&tx, message), Ok(message.len()), "a message is sent whole");
                            1
                        }
                    },
                    move || {
                        move |_, sum: &mut Sum| {
                            let len = read(&rx, &mut buffer).expect("a message");
                            sum.bytes(&buffer[..len])
                        }
                    },
                ))
            })
        }),
        Trial::new("POSIX mq", "recv", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let depth = task.depth(P::MEAN).min(QUEUED / (P::MAX + 64)).max(2);
                let create = |depth| mq::create(Name::fresh().as_str(), depth, P::MAX);
                let tx = create(depth).or_else(|_| create(10));
                let tx = tx.map_err(|error| {
                    format!("no queue for messages of {} bytes: {error}; see mq_overview(7)", P::MAX)
                })?;
                let rx = tx.try_clone().map_err(because)?;
                let (mut scratch, mut buffer) = (Scratch::new::<P>(), vec![0; P::MAX]);
                Ok((
                    move || {
                        move |n, _| {
                            mq::send(&tx, scratch.message::<P>(n)).expect("room");
                            1
                        }
                    },
                    move || {
                        move |_, sum: &mut Sum| {
                            let len = mq::receive(&rx, &mut buffer).expect("a message");
                            sum.bytes(&buffer[..len])
                        }
                    },
                ))
            })
        }),
    ];
    if task.batch > 1 {
        all.push(pipe_batches::<P>(task));
    }
    if task.kind == Kind::RoundTrips {
        all.push(Trial::new("limit, asleep", "bare futex", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let (mut tx, mut rx) = Futex::one_way();
                Ok((
                    move || {
                        move |n, _| {
                            tx.send(n + 1);
                            1
                        }
                    },
                    move || move |_, sum: &mut Sum| sum.unread::<P>(rx.recv() - 1),
                ))
            })
        }));
    }
    all
}

/// Many messages in one write, and as many as there are in one read.
fn pipe_batches<P: Payload>(task: Task) -> Trial {
    Trial::new("pipe", "batches", move |count| {
        task.run::<P, _, _, _, _>(count, || {
            let (rx, tx) = pipe(task.ring)?;
            let mut batch = vec![0; task.batch * P::MAX];
            let (mut buffer, mut taken) = (batch.clone(), 0);
            Ok((
                move || {
                    move |n: u64, max: u64| {
                        let (some, mut at) = (max.min(task.batch as u64), 0);
                        for n in n..n + some {
                            crate::payload::fill(&mut batch[at..at + P::len(n)], n);
                            at += P::len(n);
                        }
                        write_all(&tx, &batch[..at]);
                        some
                    }
                },
                move || {
                    move |max: u64, sum: &mut Sum| {
                        // Never more than is still to come in this part, and messages to their ends.
                        let some = max.min(task.batch as u64);
                        let bytes = (taken..taken + some).map(P::len).sum();
                        let (mut have, mut at, mut got) =
                            (read(&rx, &mut buffer[..bytes]).expect("bytes"), 0, 0);
                        while at < have {
                            let end = at + P::len(taken);
                            if end > have {
                                read_all(&rx, &mut buffer[have..end]);
                                have = end;
                            }
                            got += sum.bytes(&buffer[at..end]);
                            (at, taken) = (end, taken + 1);
                        }
                        got
                    }
                },
            ))
        })
    })
}

fn pipe(bytes: usize) -> Result<(OwnedFd, OwnedFd), String> {
    let (rx, tx) = io::pipe().map_err(because)?;
    // As near to the size of the rings as the system lets it be.
    let _ = (0..8).find(|shift| fcntl_setpipe_size(&tx, (bytes >> shift).max(4096)).is_ok());
    Ok((rx.into(), tx.into()))
}

fn sockets(bytes: usize, message: usize) -> Result<(OwnedFd, OwnedFd), String> {
    let (rx, tx) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(because)?;
    // With privileges, beyond what the system allows everybody.
    if sockopt::set_socket_send_buffer_size_force(&tx, bytes).is_err() {
        sockopt::set_socket_send_buffer_size(&tx, bytes).map_err(because)?;
    }
    let size = sockopt::socket_send_buffer_size(&tx).map_err(because)?;
    if message + 4096 > size {
        return Err(format!("its buffer is {size} bytes, which a message of {message} does not fit"));
    }
    Ok((rx, tx))
}

fn write_all(to: impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match write(&to, bytes) {
            Ok(some) => bytes = &bytes[some..],
            Err(Errno::INTR) => {}
            Err(error) => panic!("write: {error}"),
        }
    }
}

fn read_all(from: impl AsFd, mut bytes: &mut [u8]) {
    while !bytes.is_empty() {
        match read(&from, &mut *bytes) {
            Ok(0) => panic!("read: the other end is gone"),
            Ok(some) => bytes = &mut bytes[some..],
            Err(Errno::INTR) => {}
            Err(error) => panic!("read: {error}"),
        }
    }
}
