//! Many ends, one thread: P10 and P11.

use shmq::{
    Event, Interest, Options, PeerState, StopHandle, Until, WaitSet, WaitSetError, Waiting, What, each, slots,
};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

fn set() -> (WaitSet, Vec<Event>) {
    (WaitSet::new().unwrap(), Vec::new())
}

const SOON: Duration = Duration::from_millis(20);

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

fn ready(events: &[Event]) -> Vec<usize> {
    events.iter().filter(|event| event.what == What::Ready).map(|event| event.key).collect()
}

#[test]
fn p10_every_shape_and_direction_wakes_one_thread() {
    let records = shmq::Queue::anonymous(&Options::new().max_messages(1)).unwrap();
    let fixed = slots::Queue::<u64>::anonymous(1, &Options::new()).unwrap();
    let pool = shmq_pool::Pool::anonymous(1, 4096, &shmq_pool::Options::new()).unwrap();
    let (mut pair_tx, mut pair_rx) = shmq::pair(&Options::new()).unwrap();
    let (mut far_tx, mut full_tx) = (records.producer().unwrap(), fixed.producer().unwrap());
    let (mut far_rx, mut full_rx) = (records.consumer().unwrap(), fixed.consumer().unwrap());
    let (writer, reader) = (pool.writer().unwrap(), pool.reader().unwrap());
    full_tx.try_send(&1).unwrap();
    let held = writer.try_loan().unwrap();
    held.send(1).unwrap();
    let block = reader.try_read().unwrap();
    // Both ends of the two are here, so that each thing that is done wakes one of those that wait.
    let (mut set, mut events) = set();
    set.set_waiting(Waiting::low_power());
    let mut block = Some(block);
    for turn in 0..4 {
        let (key, act): (usize, &mut (dyn FnMut() + Send)) = match turn {
            0 => (0, &mut || _ = far_tx.try_send(b"x").unwrap()),
            1 => (1, &mut || _ = full_rx.try_recv().unwrap()),
            2 => (2, &mut || _ = pair_tx.try_send(b"x").unwrap()),
            _ => (3, &mut || {}),
        };
        if turn == 3 {
            block.take().unwrap().acknowledge();
        }
        std::thread::scope(|s| {
            if turn < 3 {
                s.spawn(move || {
                    std::thread::sleep(SOON);
                    act();
                });
            }
            set.wait(&mut (&mut far_rx, &mut full_tx, &mut pair_rx, &writer), &mut events, LONG).unwrap();
        });
        assert_eq!(ready(&events), [key], "{turn}");
        match key {
            0 => drop(far_rx.try_recv().unwrap()),
            1 => drop(full_tx.try_send(&2).unwrap()),
            2 => drop(pair_rx.try_recv().unwrap()),
            _ => {}
        }
    }
}

#[test]
fn p10_a_wait_ends_by_time_by_a_handle_by_a_deadline_and_by_a_descriptor() {
    let (mut set, mut events) = set();
    let (_tx, mut rx) = shmq::pair(&Options::new()).unwrap();
    let begin = Instant::now();
    let out = set.wait(&mut (&mut rx,), &mut events, SOON);
    assert!(matches!(out, Err(WaitSetError::TimedOut)) && begin.elapsed() >= SOON && events.is_empty());
    set.set_deadline(5, Some(Instant::now() + SOON));
    set.wait(&mut (&mut rx,), &mut events, LONG).unwrap();
    assert_eq!(events, [Event { key: 5, what: What::Deadline }]);
    assert!(matches!(set.wait(&mut (&mut rx,), &mut events, Duration::ZERO), Err(WaitSetError::TimedOut)));
    let (mut here, there) = UnixStream::pair().unwrap();
    set.add_fd(6, &there, Interest::Read).unwrap();
    assert!(matches!(set.wait(&mut (&mut rx,), &mut events, Duration::ZERO), Err(WaitSetError::TimedOut)));
    here.write_all(b"x").unwrap();
    for _ in 0..2 {
        set.wait(&mut (&mut rx,), &mut events, LONG).unwrap();
        let what = What::Descriptor { readable: true, writable: false };
        assert_eq!(events, [Event { key: 6, what }], "as long as it is so");
    }
    assert!(set.remove_fd(&there) && !set.remove_fd(&there));
    let stop = StopHandle::new().unwrap();
    set.set_stop(&stop);
    std::thread::scope(|s| {
        s.spawn(|| {
            std::thread::sleep(SOON);
            stop.trigger();
        });
        let out = set.wait(&mut (&mut rx,), &mut events, Until::Forever);
        assert!(matches!(out, Err(WaitSetError::Stopped)));
    });
}

#[test]
fn p11_the_descriptor_says_when_to_poll_and_stays_readable_until_nothing_is_found() {
    let queue = shmq::Queue::anonymous(&Options::new()).unwrap();
    let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    let (mut set, mut events) = set();
    let readable = |set: &WaitSet| {
        let mut fd = [rustix::event::PollFd::new(set, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fd, Some(&rustix::event::Timespec::default())).unwrap() == 1
    };
    set.poll(&mut (&mut rx,), &mut events).unwrap();
    assert!(events.is_empty() && !readable(&set));
    for _ in 0..3 {
        tx.try_send(b"x").unwrap();
        tx.try_send(b"y").unwrap();
        assert!(readable(&set));
        set.poll(&mut (&mut rx,), &mut events).unwrap();
        assert_eq!(ready(&events), [0]);
        rx.try_recv().unwrap();
        assert!(readable(&set), "one is left");
        set.poll(&mut (&mut rx,), &mut events).unwrap();
        assert_eq!(ready(&events), [0]);
        rx.try_recv().unwrap();
        set.poll(&mut (&mut rx,), &mut events).unwrap();
        assert!(events.is_empty() && !readable(&set));
    }
    drop(tx);
    assert!(readable(&set));
    set.poll(&mut (&mut rx,), &mut events).unwrap();
    assert_eq!(events, [Event { key: 0, what: What::Peer(PeerState::Left) }]);
    let tx = queue.producer().unwrap();
    assert!(readable(&set));
    set.poll(&mut (&mut rx,), &mut events).unwrap();
    assert_eq!(events, [Event { key: 0, what: What::Peer(PeerState::Attached) }]);
    tx.finish().unwrap();
    set.poll(&mut (&mut rx,), &mut events).unwrap();
    assert_eq!(ready(&events), [0]);
    assert_eq!(rx.try_recv(), Err(shmq::TryRecvError::Finished));
    let _ = set.as_fd();
}

#[test]
fn p10_none_starves_beside_ends_that_are_always_ready() {
    let mut pairs: Vec<_> = (0..20).map(|_| slots::pair::<u64>(8).unwrap()).collect();
    let (mut set, mut events) = set();
    let mut served = [0u32; 20];
    let (mut here, there) = UnixStream::pair().unwrap();
    set.add_fd(100, &there, Interest::Read).unwrap();
    here.write_all(b"x").unwrap();
    set.set_deadline(101, Some(Instant::now() + SOON));
    let (mut descriptor, mut deadline) = (false, false);
    let begin = Instant::now();
    while !(descriptor && deadline) || begin.elapsed() < SOON {
        assert!(begin.elapsed() < LONG);
        for (tx, _) in &mut pairs {
            while tx.try_send(&1).is_ok() {}
        }
        let mut ends = each(|visit| {
            for (key, (_, rx)) in pairs.iter_mut().enumerate() {
                visit(key, rx);
            }
        });
        set.wait(&mut ends, &mut events, Until::Forever).unwrap();
        descriptor |= events.iter().any(|event| event.key == 100);
        deadline |= events.iter().any(|event| event.key == 101);
        // One for each wait: whoever comes first in the list must not be the same each time.
        let first = events.iter().find(|event| event.what == What::Ready).unwrap().key;
        pairs[first].1.try_recv().unwrap();
        served[first] += 1;
    }
    let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
    assert!(most - least <= 1 + most / 4, "{served:?}");
}
