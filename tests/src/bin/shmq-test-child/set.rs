//! Many ends, one thread: the other processes of those tests.

use crate::resource::{Trouble, Verdict, need, options};
use crate::wait::cost;
use crate::{Outcome, said, waiting};
use shmq::{Event, Options, Producer, Queue, TrySendError, WaitSet, WaitSetError, What, slots};
use shmq_tests::process::limits::{Missing, without};
use shmq_tests::process::{Dice, LIMIT};
use std::path::Path;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

/// Sends numbers, each to a queue of the directory that chance picks, with pauses; waits for room beside the others.
pub fn feed(directory: &str, messages: u64) -> Outcome {
    let mut records = (0..6)
        .map(|i| Queue::open(format!("{directory}/{i}")).map_err(said)?.producer().map_err(said))
        .collect::<Result<Vec<Producer>, _>>()?;
    let mut fixed = (6..12)
        .map(|i| {
            slots::Queue::<u64>::open(format!("{directory}/{i}")).map_err(said)?.producer().map_err(said)
        })
        .collect::<Result<Vec<slots::Producer<u64>>, _>>()?;
    let (mut set, mut events) = (WaitSet::new().map_err(said)?, Vec::new());
    set.set_waiting(waiting("low-power"));
    let mut dice = Dice(1);
    for i in 0..messages {
        let queue = dice.below(12) as usize;
        loop {
            let sent = match records.get_mut(queue) {
                Some(tx) => tx.try_send(&i.to_le_bytes()),
                None => fixed[queue - 6].try_send(&i),
            };
            match sent {
                Ok(_) => break,
                Err(TrySendError::Full) => {}
                Err(e) => return Err(said(e)),
            }
            let waited = match records.get_mut(queue) {
                Some(tx) => set.wait(&mut (tx.room_for(8),), &mut events, LIMIT),
                None => set.wait(&mut (&mut fixed[queue - 6],), &mut events, LIMIT),
            };
            waited.map_err(|e| format!("queue {queue}, message {i}: {e}"))?;
        }
        for _ in 0..if dice.below(2) == 0 { 0 } else { dice.below(3000) } {
            std::hint::spin_loop();
        }
    }
    for tx in records {
        tx.finish().map_err(said)?;
    }
    for tx in fixed {
        tx.finish().map_err(said)?;
    }
    Ok(())
}

/// So many ends that nothing happens to; says how often their waiter slept and what it cost, once it has told that it is armed.
pub fn idle(directory: &str, ends: u64, millis: u64) -> Outcome {
    let number = ends;
    let mut ends = Vec::new();
    for i in 0..number {
        ends.push(Queue::open(format!("{directory}/{i}")).map_err(said)?.consumer().map_err(said)?);
    }
    let (mut set, mut events) = (WaitSet::new().map_err(said)?, Vec::new());
    set.set_waiting(waiting("low-power"));
    // The first wait watches and announces.
    let first = set.wait(&mut ends, &mut events, Duration::from_millis(300));
    let before = cost();
    let second = set.wait(&mut ends, &mut events, Duration::from_millis(millis));
    let after = cost();
    match (first, second) {
        (Err(WaitSetError::TimedOut), Err(WaitSetError::TimedOut)) => {}
        other => return Err(format!("{other:?}, {events:?}")),
    }
    println!("{} {}", after.1 - before.1, after.0 - before.0);
    Ok(())
}

fn descriptors() -> Vec<String> {
    let all = std::fs::read_dir("/proc/self/fd").expect("its own descriptors");
    let mut all: Vec<_> = all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).collect();
    all.sort();
    all.into_iter().map(|link| link.to_string_lossy().into_owned()).collect()
}

/// Makes and drops sets, with ends armed in them; says how many descriptors there are more.
pub fn leaks(name: &str, sets: u64) -> Outcome {
    let queue = Queue::create(name, &options(1 << 16)).map_err(said)?;
    let (_tx, mut rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
    let (mut pair_tx, _pair_rx) = shmq::pair(&Options::new().max_messages(1)).map_err(said)?;
    pair_tx.try_send(b"full").map_err(said)?;
    let mut once = || {
        let (mut set, mut events) = (WaitSet::new().map_err(said)?, Vec::new());
        set.poll(&mut (&mut rx, &mut pair_tx), &mut events).map_err(said)?;
        if events.is_empty() { Ok(()) } else { Err(format!("{events:?}")) }
    };
    // The first one leaves its instance, and the pair its descriptor, for good.
    once()?;
    let before = descriptors().len();
    for _ in 0..sets {
        once()?;
    }
    println!("{} more", descriptors().len() as i64 - before as i64);
    Ok(())
}

/// A set in a forked child and, beside it, in its parent; and whether `exec` closes all that belongs to it.
pub fn forked(name: &str) -> Outcome {
    let inherited = || {
        let kept = (3..1000).filter(|&fd| {
            // SAFETY: a plain system call.
            let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
            flags >= 0 && flags & libc::FD_CLOEXEC == 0
        });
        kept.count()
    };
    // Those that this process was started with.
    let before = inherited();
    let queue = Queue::create(name, &options(1 << 16)).map_err(said)?;
    let (mut tx, mut rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
    let (mut set, mut events) = (WaitSet::new().map_err(said)?, Vec::new());
    set.poll(&mut (&mut rx,), &mut events).map_err(said)?;
    let inherited = inherited() - before;
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let said = match set.poll(&mut (), &mut events) {
            Err(WaitSetError::Io { source }) => source.to_string().contains("forked"),
            _ => false,
        };
        drop(set);
        // Its own works.
        let own = WaitSet::new().and_then(|mut own| own.wait(&mut (), &mut events, Duration::ZERO));
        let works = matches!(own, Err(WaitSetError::TimedOut));
        // SAFETY: leaves at once.
        unsafe { libc::_exit(if said && works { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: the child is ours.
    unsafe { libc::waitpid(child, &mut status, 0) };
    tx.try_send(b"to the parent").map_err(said)?;
    set.wait(&mut (&mut rx,), &mut events, LIMIT).map_err(said)?;
    if events != [Event { key: 0, what: What::Ready }] {
        return Err(format!("{events:?}"));
    }
    println!("child {status}, {inherited} would be inherited");
    Ok(())
}

fn missing(call: libc::c_long, errno: libc::c_int) -> Result<(), Trouble> {
    need("no filter of system calls", without(Missing { call, only: None, errno }))
}

/// Cases of something that the kernel does not give.
pub fn case(case: &str, directory: &str) -> Option<Verdict> {
    let what = case.strip_prefix("set-without-")?;
    Some(lacking(what, &format!("{directory}/queue")))
}

fn lacking(what: &str, name: &str) -> Verdict {
    let queue = Queue::create(name, &options(1 << 16)).map_err(said)?;
    let (call, errno) = match what {
        "instances" => (libc::SYS_inotify_init1, libc::EMFILE),
        "watches" => (libc::SYS_inotify_add_watch, libc::ENOSPC),
        "barriers" => (libc::SYS_membarrier, libc::ENOSYS),
        _ => (libc::SYS_epoll_create1, libc::EMFILE),
    };
    missing(call, errno)?;
    let (mut tx, mut rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
    let mut set = match WaitSet::new() {
        Ok(set) => set,
        Err(e) => return Ok(e.to_string()),
    };
    let mut events = Vec::new();
    set.set_waiting(waiting("low-power"));
    // It may sleep on bells for a tenth of a second, which takes no watch.
    if let Err(e) = set.poll(&mut (&mut rx,), &mut events) {
        return Ok(e.to_string());
    }
    let sender = std::thread::spawn(move || {
        for pause in [20, 200].into_iter().cycle().take(10) {
            std::thread::sleep(Duration::from_millis(pause));
            let _ = tx.try_send(b"wake up");
        }
        tx
    });
    let mut came = 0;
    while came < 10 {
        match set.wait(&mut (&mut rx,), &mut events, LIMIT) {
            Ok(()) => {
                while rx.try_recv().is_ok() {
                    came += 1
                }
            }
            Err(e) => return Ok(e.to_string()),
        }
    }
    drop(sender.join());
    Ok("all came".into())
}

/// Waits while a stranger reads the file all the time; says how often it slept in that time, and whether a message still came.
pub fn stranger(name: &str) -> Outcome {
    let queue = Queue::create(name, &options(1 << 16)).map_err(said)?;
    let (mut tx, mut rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
    let (mut set, mut events) = (WaitSet::new().map_err(said)?, Vec::new());
    set.set_waiting(waiting("low-power"));
    let path = Path::new(name).to_path_buf();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let reader = std::thread::spawn(move || {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::open(path).expect("it is there");
        while stopped.try_recv() != Err(TryRecvError::Disconnected) {
            let _ = file.read_at(&mut [0; 1], 0);
        }
    });
    // SAFETY: a plain system call.
    let own = unsafe { libc::gettid() };
    let switches = || shmq_tests::process::switches(own);
    let before = (switches(), Instant::now());
    let waited = set.wait(&mut (&mut rx,), &mut events, Duration::from_millis(500));
    let (slept, took) = (switches() - before.0, before.1.elapsed());
    if !matches!(waited, Err(WaitSetError::TimedOut)) {
        return Err(format!("{waited:?} {events:?}"));
    }
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        tx.try_send(b"here").map(|_| tx)
    });
    set.wait(&mut (&mut rx,), &mut events, LIMIT).map_err(said)?;
    if rx.try_recv().is_err() {
        return Err("nothing came".into());
    }
    let _tx = sender.join();
    drop(stop);
    reader.join().map_err(|_| "the reader panicked".to_owned())?;
    println!("{slept} {}", took.as_millis());
    Ok(())
}

/// Takes the sending end of whatever shape, tells, and holds it until it is killed or told to leave.
pub fn hold(name: &str) -> Outcome {
    let records = Queue::open(name)
        .and_then(|queue| queue.producer().map_err(|_| shmq::OpenError::NotFound { path: name.into() }));
    let held: Box<dyn std::any::Any> = match records {
        Ok(tx) => Box::new(tx),
        Err(_) => match slots::Queue::<u64>::open(name) {
            Ok(queue) => Box::new(queue.producer().map_err(said)?),
            Err(_) => Box::new(shmq_pool::Pool::open(name).map_err(said)?.writer().map_err(said)?),
        },
    };
    println!("held");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(said)?;
    drop(held);
    Ok(())
}
