//! Many queues in a loop over `mio`, beside a socket.
//!
//! mio is edge-triggered: it names a descriptor once, and then not again until it was found to be idle. So whoever is named is asked until it
//! has nothing more. To be fair all the same, this loop asks the set once in each turn, and does not sleep as long as it found something.

use mio::net::UnixStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use shmq::{Consumer, Options, TryRecvError, Until, WaitSet, What, each, pair};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

const QUEUES: usize = 12;
const EACH: u64 = 10_000;
const SET: Token = Token(1);
const SOCKET: Token = Token(2);

fn main() -> Result<(), Box<dyn Error>> {
    // The queues that are not at their end, by key.
    let mut queues: BTreeMap<usize, Consumer> = BTreeMap::new();
    let mut senders = Vec::new();
    for key in 0..QUEUES {
        let (mut tx, rx) = pair(&Options::new().max_message(8))?;
        queues.insert(key, rx);
        senders.push(thread::spawn(move || -> Result<(), shmq::Error> {
            for n in 0..EACH {
                tx.send_value(&n, Until::Forever)?;
            }
            tx.finish()?;
            Ok(())
        }));
    }
    let (here, mut other) = std::os::unix::net::UnixStream::pair()?;
    here.set_nonblocking(true)?;
    let mut socket = UnixStream::from_std(here);
    let writer = thread::spawn(move || other.write_all(&[0; 1000]));

    let (mut set, mut events) = (WaitSet::new()?, Vec::new());
    let (mut poll, mut found) = (Poll::new()?, Events::with_capacity(8));
    let descriptor = set.as_fd().as_raw_fd();
    poll.registry().register(&mut SourceFd(&descriptor), SET, Interest::READABLE)?;
    poll.registry().register(&mut socket, SOCKET, Interest::READABLE)?;

    let (mut messages, mut bytes) = (0, 0);
    // The set says nothing before it was asked once; so it is asked first.
    let (mut may_be_ready, mut is_open) = (true, true);
    while !queues.is_empty() || is_open {
        if may_be_ready {
            set.poll(
                &mut each(|visit| queues.iter_mut().for_each(|(key, rx)| visit(*key, rx))),
                &mut events,
            )?;
            may_be_ready = !events.is_empty();
            for event in events.iter().filter(|event| event.what == What::Ready) {
                let Some(rx) = queues.get_mut(&event.key) else { continue };
                match rx.try_drain(64, |_| {}) {
                    Ok(taken) => messages += taken as u64,
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Finished) => drop(queues.remove(&event.key)),
                    Err(broken) => return Err(broken.into()),
                }
            }
            if queues.is_empty() {
                continue;
            }
        }
        match poll.poll(&mut found, may_be_ready.then_some(Duration::ZERO)) {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        may_be_ready |= found.iter().any(|event| event.token() == SET);
        if found.iter().any(|event| event.token() == SOCKET) {
            let mut buffer = [0; 100];
            loop {
                match socket.read(&mut buffer) {
                    Ok(0) => {
                        is_open = false;
                        break;
                    }
                    Ok(n) => bytes += n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(e) => return Err(e.into()),
                }
            }
        }
    }
    for sender in senders {
        sender.join().map_err(|_| "a sender panicked")??;
    }
    writer.join().map_err(|_| "the writer panicked")??;
    assert_eq!((messages, bytes), (EACH * QUEUES as u64, 1000));
    println!("{messages} messages of {QUEUES} queues and {bytes} bytes of a socket, in one thread over mio");
    Ok(())
}
