//! Many queues in a loop over plain epoll, beside a socket: one thread, and no thread or descriptor for each queue.
//!
//! A set has one descriptor for all of its ends. It is level-triggered: readable as long as there may be something. So one `poll` for
//! each time that epoll names it is enough, and the socket has its turn in between.

use rustix::event::{Timespec, epoll};
use shmq::{Consumer, Options, TryRecvError, Until, WaitSet, What, each, pair};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

const QUEUES: usize = 12;
const EACH: u64 = 10_000;
const SET: u64 = 1;
const SOCKET: u64 = 2;

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
    let (mut socket, mut other) = UnixStream::pair()?;
    socket.set_nonblocking(true)?;
    let writer = thread::spawn(move || other.write_all(&[0; 1000]));

    let (mut set, mut events) = (WaitSet::new()?, Vec::new());
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &set, epoll::EventData::new_u64(SET), epoll::EventFlags::IN)?;
    epoll::add(&epoll, &socket, epoll::EventData::new_u64(SOCKET), epoll::EventFlags::IN)?;

    let (mut messages, mut bytes, mut is_open) = (0, 0, true);
    // The set says nothing before it was asked once.
    let mut found = vec![SET];
    while !queues.is_empty() || is_open {
        for key in found.drain(..) {
            if key == SOCKET {
                let mut buffer = [0; 100];
                match socket.read(&mut buffer)? {
                    0 => {
                        epoll::delete(&epoll, &socket)?;
                        is_open = false;
                    }
                    n => bytes += n,
                }
                continue;
            }
            set.poll(
                &mut each(|visit| queues.iter_mut().for_each(|(key, rx)| visit(*key, rx))),
                &mut events,
            )?;
            for event in events.iter().filter(|event| event.what == What::Ready) {
                let Some(rx) = queues.get_mut(&event.key) else { continue };
                match rx.try_drain(64, |_| {}) {
                    Ok(taken) => messages += taken as u64,
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Finished) => drop(queues.remove(&event.key)),
                    Err(broken) => return Err(broken.into()),
                }
            }
        }
        if !queues.is_empty() || is_open {
            let mut list = Vec::with_capacity(8);
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut list), None::<&Timespec>)?;
            found.extend(list.iter().map(|event| event.data.u64()));
        }
    }
    for sender in senders {
        sender.join().map_err(|_| "a sender panicked")??;
    }
    writer.join().map_err(|_| "the writer panicked")??;
    assert_eq!((messages, bytes), (EACH * QUEUES as u64, 1000));
    println!(
        "{messages} messages of {QUEUES} queues and {bytes} bytes of a socket, in one thread over epoll"
    );
    Ok(())
}
