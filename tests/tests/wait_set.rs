//! Many ends, one thread: P10 and P11.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shmq::{
    Event, Interest, Options, PeerState, StopHandle, Until, WaitSet, WaitSetError, Waitable, Waiting, What,
    each, slots,
};
use shmq_core::role::RoleGuard;
use shmq_tests::process::{Child, LIMIT, Scratch, cases, patiently};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

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

/// Twelve queues of two shapes, each of depth 2, between two processes that sleep in sets: whoever is not woken is not woken at all,
/// for a set has no slices. `SHMQ_HAND_OVERS` in the environment makes it more messages.
/// An end, and how often it was told to let its producer get ahead before it was looked at.
struct Watched(shmq::Consumer, u32);

impl Waitable for Watched {
    fn is_ready(&mut self) -> bool {
        self.0.is_ready()
    }

    fn let_run_ahead(&mut self) {
        self.1 += 1;
    }

    fn with_guard(&mut self, act: &mut dyn FnMut(&mut RoleGuard)) {
        self.0.with_guard(act);
    }
}

#[test]
fn p10_only_the_one_busy_end_of_a_set_lets_its_producer_get_ahead() {
    let (mut a, rx_a) = shmq::pair(&Options::new()).unwrap();
    let (mut b, rx_b) = shmq::pair(&Options::new()).unwrap();
    let mut ends = [Watched(rx_a, 0), Watched(rx_b, 0)];
    let (mut set, mut events) = set();
    let mut wait = |ends: &mut [Watched; 2]| {
        set.wait(ends, &mut events, LONG).unwrap();
        for key in ready(&events) {
            ends[key].0.try_recv().unwrap();
        }
        [ends[0].1, ends[1].1]
    };
    // Nothing is known of the first wait; then the first end was the only one that was busy.
    for told in [[0, 0], [1, 0], [2, 0]] {
        a.try_send(b"x").unwrap();
        assert_eq!(wait(&mut ends), told);
    }
    // The second one has something as well: nobody waits for the first.
    for told in [[2, 0], [2, 0]] {
        a.try_send(b"x").unwrap();
        b.try_send(b"x").unwrap();
        assert_eq!(wait(&mut ends), told);
    }
    for told in [[2, 0], [2, 1]] {
        b.try_send(b"x").unwrap();
        assert_eq!(wait(&mut ends), told);
    }
}

#[test]
fn p11_more_events_than_are_read_at_once_are_all_taken_in() {
    let queues = [(); 2].map(|()| {
        let scratch = Scratch::new("events");
        let queue = shmq::Queue::create(scratch.path(), &Options::new()).unwrap();
        (scratch, queue)
    });
    let notifier = shmq::Notifier::new().unwrap();
    let mut ends = [0, 1].map(|i: usize| queues[i].1.consumer().unwrap());
    let _watches = [0, 1].map(|i: usize| notifier.watch(&mut ends[i], i).unwrap());
    let files = [0, 1].map(|i: usize| std::fs::File::open(queues[i].0.path()).unwrap());
    for reads in [1, 2, 254, 255, 256, 257, 512, 3000] {
        // Of one file after the other, or the kernel makes one event of them.
        for n in 0..reads {
            files[n % 2].read_exact_at(&mut [0], 0).unwrap();
        }
        let mut named = 0;
        while notifier.drain(|_| named += 1).unwrap() {}
        assert_eq!(named, reads);
        // Said to be all: then nothing is readable that nobody would be told of again.
        let mut polled = [PollFd::new(&notifier, PollFlags::IN)];
        assert_eq!(poll(&mut polled, Some(&Timespec::default())), Ok(0), "{reads}");
    }
}

#[test]
fn p10_twelve_queues_between_two_sets_lose_no_wake() {
    let directory = Scratch::directory("feed");
    let name = |i: usize| format!("{}/{i}", directory.name());
    let options = Options::new().max_message(8).max_messages(2).capacity(4096);
    let mut records: Vec<_> =
        (0..6).map(|i| shmq::Queue::create(name(i), &options).unwrap().consumer().unwrap()).collect();
    let mut fixed: Vec<_> = (6..12)
        .map(|i| slots::Queue::<u64>::create(name(i), 2, &Options::new()).unwrap().consumer().unwrap())
        .collect();
    let messages: u64 = std::env::var("SHMQ_HAND_OVERS").ok().and_then(|n| n.parse().ok()).unwrap_or(30_000);
    let feeder = Child::spawn(HELPER, &["set-feed", directory.name(), &messages.to_string()]);
    let (mut set, mut events) = set();
    set.set_waiting(Waiting::low_power());
    let (mut last, mut finished, mut came) = ([None; 12], [false; 12], 0);
    while finished.contains(&false) {
        let mut ends = each(|visit| {
            let (records, fixed) = (records.iter_mut(), fixed.iter_mut());
            records.enumerate().filter(|(i, _)| !finished[*i]).for_each(|(i, rx)| visit(i, rx));
            fixed.enumerate().filter(|(i, _)| !finished[i + 6]).for_each(|(i, rx)| visit(i + 6, rx));
        });
        set.wait(&mut ends, &mut events, LIMIT).unwrap();
        for queue in ready(&events) {
            let got = match records.get_mut(queue) {
                Some(rx) => rx.try_recv_value::<u64>(),
                None => fixed[queue - 6].try_recv(),
            };
            match got {
                Ok(number) => {
                    assert!(last[queue].replace(number) < Some(number), "queue {queue}, {number}");
                    came += 1;
                }
                Err(shmq::TryRecvError::Finished) => finished[queue] = true,
                Err(error) => panic!("queue {queue} was ready and says {error}"),
            }
        }
    }
    assert_eq!(came, messages);
    feeder.succeed();
}

/// Peers of every shape that come, are killed, come again and leave: each is told, and nothing else.
#[test]
fn p3_p11_what_becomes_of_a_peer_is_told_of_every_shape() {
    let scratch = [Scratch::new("fate"), Scratch::new("fate"), Scratch::new("fate")];
    let name = |i: usize| scratch[i].name();
    let mut records = shmq::Queue::create(name(0), &Options::new()).unwrap().consumer().unwrap();
    let mut fixed = slots::Queue::<u64>::create(name(1), 8, &Options::new()).unwrap().consumer().unwrap();
    let pool = shmq_pool::Pool::create(name(2), 2, 4096, &shmq_pool::Options::new()).unwrap();
    let reader = pool.reader().unwrap();
    let (mut set, mut events) = set();
    // Whoever is there when the set begins is no news.
    let ends = &mut (&mut records, &mut fixed, &reader);
    assert!(matches!(set.wait(ends, &mut events, Duration::ZERO), Err(WaitSetError::TimedOut)));
    let mut wait = |what: PeerState, key: usize| {
        let waited = set.wait(&mut (&mut records, &mut fixed, &reader), &mut events, LIMIT);
        waited.unwrap_or_else(|error| panic!("{what:?} of {key}: {error}"));
        assert_eq!(events, [Event { key, what: What::Peer(what) }]);
    };
    for key in 0..3 {
        for _ in 0..3 {
            let mut peer = Child::spawn(HELPER, &["set-hold", name(key)]);
            wait(PeerState::Attached, key);
            peer.expect("held");
            peer.kill();
            wait(PeerState::Lost, key);
            peer = Child::spawn(HELPER, &["set-hold", name(key)]);
            wait(PeerState::Attached, key);
            peer.expect("held");
            peer.say("leave");
            wait(PeerState::Left, key);
            peer.succeed();
        }
    }
}

#[test]
fn p3_a_peer_that_was_gone_before_the_set_came_is_told_and_what_it_sent_is_ready() {
    let queue = shmq::Queue::anonymous(&Options::new()).unwrap();
    let mut rx = queue.consumer().unwrap();
    patiently(|| queue.producer()).unwrap().try_send(b"its last").unwrap();
    let (mut set, mut events) = set();
    set.wait(&mut (&mut rx,), &mut events, LONG).unwrap();
    let left = Event { key: 0, what: What::Peer(PeerState::Left) };
    let mut told = events.contains(&left);
    assert_eq!(ready(&events), [0]);
    rx.try_recv().unwrap();
    if !told {
        set.wait(&mut (&mut rx,), &mut events, LONG).unwrap();
        told = events.contains(&left);
    }
    assert!(told);
    assert!(matches!(set.wait(&mut (&mut rx,), &mut events, SOON), Err(WaitSetError::TimedOut)), "told once");
}

/// Seconds of a hundred ends at which nothing happens: the waiter sleeps once, and is not woken until the time is up.
#[test]
fn p11_an_armed_idle_set_never_wakes_up() {
    let directory = Scratch::directory("idle");
    let options = Options::new().capacity(4096);
    let producers: Vec<_> = (0..100)
        .map(|i| shmq::Queue::create(format!("{}/{i}", directory.name()), &options).unwrap())
        // Kept: a child that another test is just starting has each descriptor as well, and would close the last one whenever it gets to that.
        .map(|queue| (queue.producer().unwrap(), queue))
        .collect();
    // Few ends sleep in slices for their first tenth of a second, which is over when it counts.
    for (ends, millis) in [("100", "5000"), ("3", "2000")] {
        let child = Child::spawn(HELPER, &["set-idle", directory.name(), ends, millis]);
        let line = child.line();
        let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().expect(&line)).collect();
        assert!(numbers[0] <= 2, "{} sleeps of {ends} ends in {millis} ms", numbers[0]);
        child.succeed();
    }
    drop(producers);
}

#[test]
fn p11_sets_leave_no_descriptor_behind() {
    let scratch = Scratch::new("leaks");
    let child = Child::spawn(HELPER, &["set-leaks", scratch.name(), "10000"]);
    child.expect("0 more");
    child.succeed();
}

#[test]
fn p11_a_set_is_its_process_s_own() {
    let scratch = Scratch::new("forked");
    let child = Child::spawn(HELPER, &["set-forked", scratch.name()]);
    child.expect("child 0, 0 would be inherited");
    child.succeed();
}

#[test]
fn p11_without_an_instance_or_a_watch_the_error_names_the_limit() {
    let instances = "cannot make an inotify instance: Too many open files (os error 24); the user's are used up: \
                     raise the sysctl fs.inotify.max_user_instances, or the limit on open files";
    cases::case(HELPER, "set-without-instances", instances, None);
    let watches = "cannot watch a queue's file: No space left on device (os error 28); the user's watches are used up: \
                   raise the sysctl fs.inotify.max_user_watches";
    cases::case(HELPER, "set-without-watches", watches, None);
}

#[test]
fn p10_without_membarrier_a_set_misses_nothing() {
    cases::case(HELPER, "set-without-barriers", "all came", None);
}

/// Whoever may read the file can wake its waiters, but not keep one busy.
#[test]
fn p5_a_stranger_that_reads_the_file_wakes_a_set_seldom() {
    let scratch = Scratch::new("stranger");
    let child = Child::spawn(HELPER, &["set-stranger", scratch.name()]);
    let line = child.line();
    let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().expect(&line)).collect();
    assert!(numbers[0] <= 20 + numbers[1], "{} sleeps in {} ms", numbers[0], numbers[1]);
    child.succeed();
}
