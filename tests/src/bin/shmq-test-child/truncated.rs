//! Pools, regions and seqlock cells whose file is truncated under them, and ends that are waited for beside others. What a queue's ends
//! do otherwise is in `sigbus`.
#![allow(clippy::disallowed_types, reason = "a flag of this process, not shared bytes")]

use crate::{Outcome, said};
use shmq::{Queue, WaitSet, Waitable, What, slots};
use shmq_async::{Async, Reactor};
use shmq_pool::{Corruption, LoanError, Pool, RecvError, SendError, TryLoanError, TryRecvError};
use shmq_tests::process::{LIMIT, SlotMessage};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};

const TORN: Corruption = Corruption::Ring(shmq::Corruption::Truncated);
const WAIT: Duration = Duration::from_millis(20);

fn cut(name: &str, bytes: u64) -> Outcome {
    let file = std::fs::OpenOptions::new().write(true).open(name).map_err(said)?;
    file.set_len(bytes).map_err(said)
}

fn must<R: std::fmt::Debug + PartialEq>(what: &str, found: R, expected: R) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}")) }
}

pub fn truncated(case: &str, guard: &str, name: &str) -> Outcome {
    if guard == "guard" {
        shmq::sigbus::install().map_err(said)?;
    }
    match case {
        "region" => region(name, false)?,
        "read-only" => region(name, true)?,
        "cell-write" => cell(name, true)?,
        "cell-read" => cell(name, false)?,
        "cell-attach" => attach_cell(name)?,
        "set-records" | "set-slots" | "set-pool" => set(case, name)?,
        "awaited" => awaited(name)?,
        _ => pool(case, name)?,
    }
    println!("truncated");
    Ok(())
}

/// A set sleeps on an empty end whose file goes.
fn set(case: &str, name: &str) -> Outcome {
    let told = Err(shmq::TryRecvError::Corrupt { what: shmq::Corruption::Truncated });
    match case {
        "set-records" => {
            let queue = Queue::create(name, &shmq::Options::new()).map_err(said)?;
            let (_tx, mut rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
            is_told(&mut rx, name)?;
            must("receive", rx.try_recv().map(|message| message.to_vec()), told.map(|()| Vec::new()))
        }
        "set-slots" => {
            let queue = slots::Queue::<SlotMessage>::create(name, 1000, &shmq::Options::new());
            let queue = queue.map_err(said)?;
            let (_tx, mut rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
            is_told(&mut rx, name)?;
            must("receive", rx.try_recv(), told.map(|()| [0; 2]))
        }
        _ => {
            let pool = Pool::create(name, 4, 4096, &shmq::Options::new()).map_err(said)?;
            let (_tx, mut rx) = (pool.writer().map_err(said)?, pool.reader().map_err(said)?);
            is_told(&mut rx, name)?;
            must("read", rx.try_read().err(), Some(TryRecvError::Corrupt { what: TORN }))
        }
    }
}

/// What is damaged is ready: a call has something else to say than that there is nothing.
fn is_told<W: Waitable>(end: &mut W, name: &str) -> Outcome {
    let (mut set, mut events) = (WaitSet::new().map_err(said)?, Vec::new());
    set.set_waiting(shmq::Waiting::low_power());
    std::thread::scope(|scope| {
        // Longer than it sleeps on bells.
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            cut(name, 4096)
        });
        let begin = Instant::now();
        while begin.elapsed() < LIMIT {
            set.wait(&mut (&mut *end,), &mut events, LIMIT).map_err(said)?;
            if events.iter().any(|event| event.what == What::Ready) {
                return Ok(());
            }
        }
        Err("the set never told of it".into())
    })
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// A task awaits a message, and its file goes. It is polled when it was woken, and not before.
fn awaited(name: &str) -> Outcome {
    let queue = Queue::create(name, &shmq::Options::new()).map_err(said)?;
    let (_tx, rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
    let reactor = Reactor::new().map_err(said)?;
    let mut rx = Async::with_reactor(rx, &reactor).map_err(said)?;
    let woken = Arc::new(Flag(AtomicBool::new(true)));
    let waker = woken.clone().into();
    let mut context = Context::from_waker(&waker);
    let mut task = pin!(rx.recv());
    let begin = Instant::now();
    let mut is_cut = false;
    while begin.elapsed() < LIMIT {
        if woken.0.swap(false, Ordering::AcqRel)
            && let Poll::Ready(message) = task.as_mut().poll(&mut context)
        {
            let told = shmq::RecvError::Corrupt { what: shmq::Corruption::Truncated };
            return must("await", message.map(|message| message.to_vec()), Err(told));
        }
        if !std::mem::replace(&mut is_cut, true) {
            cut(name, 4096)?;
        }
        std::thread::sleep(Duration::from_millis(1));
        reactor.turn().map_err(said)?;
    }
    Err("the task was never woken".into())
}

/// Each call of each end, the one that is named first.
fn pool(case: &str, name: &str) -> Outcome {
    let pool = Pool::create(name, 4, 4096, &shmq::Options::new()).map_err(said)?;
    let (mut tx, mut rx) = (pool.writer().map_err(said)?, pool.reader().map_err(said)?);
    let send = |tx: &shmq_pool::Writer| {
        let mut loan = tx.try_loan().map_err(said)?;
        loan.fill(7);
        loan.send(4096).map_err(said)
    };
    // A ring that has gone round some way, a block under way and one on loan.
    for _ in 0..3 {
        send(&tx)?;
        rx.try_read().map_err(said)?.acknowledge();
    }
    if case != "recv-empty" && case != "recv-asleep" {
        send(&tx)?;
    }
    let waiting = shmq::Waiting::low_power();
    tx.set_waiting(waiting);
    rx.set_waiting(waiting);
    match case {
        "send" => {
            let loan = tx.try_loan().map_err(said)?;
            cut(name, 0)?;
            must("send", loan.send(1), Err(SendError::Corrupt { what: TORN }))?;
        }
        "loan" => {
            cut(name, 0)?;
            must("loan", tx.try_loan().map(drop), Err(TryLoanError::Corrupt { what: TORN }))?;
        }
        "loan-waiting" => {
            let all = std::iter::from_fn(|| tx.try_loan().ok()).collect::<Vec<_>>();
            drop(all.into_iter().skip(1).collect::<Vec<_>>());
            cut(name, 0)?;
            must("loan", tx.loan(WAIT).map(drop), Err(LoanError::Corrupt { what: TORN }))?;
        }
        "recv" | "recv-empty" => {
            cut(name, 0)?;
            must("try_read", rx.try_read().map(drop), Err(TryRecvError::Corrupt { what: TORN }))?;
        }
        // Its handle is still there, its bytes are not.
        "recv-half" => {
            cut(name, 0x3000 + 4096)?;
            let first = rx.try_read().map(|block| {
                let len = block.to_vec().len();
                block.acknowledge();
                len
            });
            if let Ok(len) = first {
                must("length", len, 4096)?;
            }
        }
        "recv-waiting" => {
            cut(name, 0)?;
            must("read", rx.read(WAIT).map(drop), Err(RecvError::Corrupt { what: TORN }))?;
        }
        "recv-asleep" => return asleep(tx, rx, name),
        "finish" => {
            cut(name, 0)?;
            must("finish", tx.finish(), Err(SendError::Corrupt { what: TORN }))?;
            return must("then", rx.try_read().map(drop), Err(TryRecvError::Corrupt { what: TORN }));
        }
        "look" => {
            let look = pool.inspect().map_err(said)?;
            cut(name, 0)?;
            look.snapshot();
            must("told", look.queue().is_torn(), true)?;
        }
        "attach" => {
            drop((tx, rx));
            cut(name, 4096)?;
            let what = |error: shmq::AttachError| error.to_string().contains("truncated");
            must("writer", pool.writer().map(drop).map_err(what), Err(true))?;
            return must("reader", pool.reader().map(drop).map_err(what), Err(true));
        }
        other => return Err(format!("no case {other:?}")),
    }
    for _ in 0..10 {
        must("try_loan", tx.try_loan().map(drop), Err(TryLoanError::Corrupt { what: TORN }))?;
        must("loan", tx.loan(WAIT).map(drop), Err(LoanError::Corrupt { what: TORN }))?;
        must("try_read", rx.try_read().map(drop), Err(TryRecvError::Corrupt { what: TORN }))?;
        must("read", rx.read(WAIT).map(drop), Err(RecvError::Corrupt { what: TORN }))?;
    }
    must("finish", tx.finish(), Err(SendError::Corrupt { what: TORN }))
}

fn asleep(tx: shmq_pool::Writer, rx: shmq_pool::Reader, name: &str) -> Outcome {
    let name = name.to_owned();
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        cut(&name, 4096)
    });
    for _ in 0..10_000 {
        match rx.read(WAIT).map(drop) {
            Err(RecvError::TimedOut) => {}
            found => {
                other.join().map_err(|_| "a panic")??;
                drop(tx);
                return must("read", found, Err(RecvError::Corrupt { what: TORN }));
            }
        }
    }
    Err("it never learned of it".into())
}

fn region(name: &str, read_only: bool) -> Outcome {
    let options = shmq_raw::Options::new().bytes(3 * 4096);
    let region = shmq_raw::Region::create(name, &options).map_err(said)?;
    let look = shmq_raw::Region::open_read_only(name, &options).map_err(said)?;
    region.write_at(4096, b"hello").map_err(said)?;
    cut(name, 4096)?;
    must("before", (region.is_torn(), look.is_torn()), (false, false))?;
    let mut bytes = [1; 5];
    if read_only {
        look.read_at(4096, &mut bytes).map_err(said)?;
        return must("read", (bytes, look.is_torn()), ([0; 5], true));
    }
    region.write_at(8192, b"nobody sees it").map_err(said)?;
    region.read_at(4096, &mut bytes).map_err(said)?;
    must("read", (bytes, region.is_torn(), region.sync().is_err()), ([0; 5], true, true))
}

fn cell(name: &str, write: bool) -> Outcome {
    type Value = [u64; 1000];
    let options = shmq_raw::Options::new().bytes(shmq_raw::cell_bytes::<Value>() as u64);
    let region = shmq_raw::Region::create(name, &options).map_err(said)?;
    let mut writer = region.writer::<Value>(0).map_err(said)?;
    let reader = region.reader::<Value>(0).map_err(said)?;
    writer.write(&[1; 1000]);
    cut(name, if write { 4096 } else { 2 * 4096 })?;
    if write {
        writer.write(&[2; 1000]);
        must("write", writer.is_torn(), true)?;
    }
    for _ in 0..10 {
        must("read", reader.read().map(drop), Err(shmq_raw::ReadError::Truncated))?;
    }
    Ok(())
}

fn attach_cell(name: &str) -> Outcome {
    let options = shmq_raw::Options::new().bytes(shmq_raw::cell_bytes::<u64>() as u64);
    let region = shmq_raw::Region::create(name, &options).map_err(said)?;
    cut(name, 4096)?;
    match region.writer::<u64>(0) {
        Err(shmq_raw::WriterError::Truncated { .. }) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}
