//! Ends whose file is truncated under them.

use crate::{Outcome, said};
use shmq::{AttachError, Corruption, Inspector, Kind, Options, Queue, Role, Waiting};
use shmq_tests::ends::{AnyQueue, Done, Ends, Op, Problem};
use shmq_tests::process::{SlotMessage, lock_role};
use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

/// A mapping of a file that is no queue.
fn foreign(name: &str) -> Result<memmap2::MmapRaw, String> {
    let path = format!("{name}-foreign");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(said)?;
    std::fs::remove_file(&path).map_err(said)?;
    file.set_len(8192).map_err(said)?;
    let map = memmap2::MmapOptions::new().len(8192).map_raw(&file).map_err(said)?;
    file.set_len(0).map_err(said)?;
    Ok(map)
}

fn touch(map: &memmap2::MmapRaw) {
    // SAFETY: inside the mapping; the bytes may be anything, or a signal.
    unsafe { map.as_mut_ptr().add(4096).write_volatile(1) };
}

fn create(name: &str, kind: Kind) -> Result<(), String> {
    match kind {
        Kind::Slots => {
            shmq::slots::Queue::<SlotMessage>::create(name, 1000, &Options::new()).map(drop).map_err(said)
        }
        _ => Queue::create(name, &Options::new().capacity(64 << 10)).map(drop).map_err(said),
    }
}

pub fn sigbus(case: &str, kind: &str, guard: &str, name: &str) -> Outcome {
    let kind = if kind == "slots" { Kind::Slots } else { Kind::Records };
    if case == "foreign-handled" {
        own_handler();
    }
    if guard == "guard" {
        shmq::sigbus::install().map_err(said)?;
        shmq::sigbus::install().map_err(said)?;
    }
    create(name, kind)?;
    let open = || AnyQueue::open(Path::new(name), kind).map_err(said);
    let mut ends = Ends::new(open()?, Waiting::new());
    let failed = |problem: Problem| format!("{problem:?}");
    let truncate = |bytes: u64| {
        let file = OpenOptions::new().write(true).open(name).map_err(said)?;
        file.set_len(bytes).map_err(said)
    };
    match case {
        "foreign" => touch(&foreign(name)?),
        "foreign-handled" => touch(&foreign(name)?),
        "foreign-sent" => {
            // SAFETY: a plain system call.
            unsafe { libc::raise(libc::SIGBUS) };
        }
        "foreign-reused" => return reused(&mut ends, name),
        "many" => return many(name),
        "inspect" => {
            let inspector = Inspector::open(name).map_err(said)?;
            truncate(4096)?;
            let seen = inspector.snapshot();
            println!(
                "{}",
                if seen.sent == 0 && seen.pending_messages == 0 { "nothing" } else { "something" }
            );
        }
        "attach" => {
            // Between the look at its size and the taking of the role.
            truncate(4096)?;
            match ends.perform(&Op::Attach(Role::Producer)) {
                Err(Problem::Attach(AttachError::Corrupt { what: Corruption::Truncated, .. })) => {
                    println!("truncated");
                }
                other => return Err(format!("{other:?}")),
            }
        }
        "hold" => {
            ends.perform(&Op::Attach(Role::Producer)).map_err(failed)?;
            let other = open()?;
            truncate(0)?;
            is_truncated(ends.perform(&Op::Send(8)))?;
            let file = OpenOptions::new().read(true).write(true).open(name).map_err(said)?;
            let held = !lock_role(&file, Role::Producer);
            drop(ends);
            let then_free = lock_role(&file, Role::Producer);
            match other.producer() {
                Err(AttachError::Corrupt { what: Corruption::Truncated, .. }) if held && then_free => {
                    println!("held, then truncated");
                }
                done => return Err(format!("held: {held}, then free: {then_free}, then {done:?}")),
            }
        }
        _ => return lose(case, &mut ends, truncate),
    }
    Ok(())
}

/// Both ends, some messages, and then no file.
fn lose(case: &str, ends: &mut Ends, truncate: impl Fn(u64) -> Outcome + Send) -> Outcome {
    let failed = |problem: Problem| format!("{problem:?}");
    for op in [Op::Attach(Role::Producer), Op::Attach(Role::Consumer)] {
        ends.perform(&op).map_err(failed)?;
    }
    // Ones that reach into the second page of the ring.
    for op in [Op::Send(3000), Op::Send(3000), Op::Recv, Op::Recv, Op::Send(3000), Op::Send(3000)] {
        ends.perform(&op).map_err(failed)?;
    }
    let page = 4096;
    let (bytes, op) = match case {
        "send" => (page, Op::Send(100)),
        "send-waiting" => (page, Op::SendWaiting(100)),
        "batch" => (page, Op::Batch(vec![10; 5])),
        "claim" => (page, Op::Batch(vec![10])),
        "receive" | "leave" => (page, Op::Recv),
        // The word of the next message is on a page that stays, of records.
        "receive-half" => (3 * page + 2 * page, Op::Recv),
        "receive-waiting" | "receive-asleep" => (page, Op::RecvWaiting),
        "drain" => (page, Op::Recv),
        "full" => (page, Op::Send(3000)),
        "finish" => (page, Op::Finish),
        other => return Err(format!("no case {other:?}")),
    };
    match case {
        "full" => while ends.perform(&Op::Send(3000)).is_ok() {},
        "receive-waiting" => {
            ends.perform(&Op::Drain(10)).map_err(failed)?;
        }
        "receive-asleep" => return asleep(ends, truncate),
        _ => {}
    }
    if case == "receive-half" && matches!(ends.queue, AnyQueue::Slots(_)) {
        // Messages of slots lie beside their word: take what is there, and lose all.
        truncate(page)?;
    } else {
        truncate(bytes)?;
    }
    match case {
        // What is committed or handed over without a result is followed by an error.
        "claim" => drop(ends.perform(&Op::Claim(100))),
        "drain" => drop(ends.perform(&Op::Drain(10))),
        "leave" => {
            (ends.tx, ends.rx) = (None, None);
            println!("truncated");
            return Ok(());
        }
        _ => {}
    }
    is_truncated(ends.perform(&op))?;
    if op != Op::Finish {
        for _ in 0..100 {
            is_truncated(ends.perform(&op))?;
        }
    }
    (ends.tx, ends.rx) = (None, None);
    println!("truncated");
    Ok(())
}

/// The file goes while the receiver waits.
fn asleep(ends: &mut Ends, truncate: impl Fn(u64) -> Outcome + Send) -> Outcome {
    ends.perform(&Op::Drain(10)).map_err(|problem| format!("{problem:?}"))?;
    let mut rx = ends.rx.take().ok_or("no consumer")?;
    rx.set_waiting(Waiting::low_power());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            truncate(4096)
        });
        for _ in 0..10_000 {
            match rx.perform(&Op::RecvWaiting) {
                Err(Problem::Nothing) => {}
                other => {
                    is_truncated(other)?;
                    println!("truncated");
                    return Ok(());
                }
            }
        }
        Err("it never learned of it".into())
    })
}

fn is_truncated(outcome: Result<Done, Problem>) -> Outcome {
    match outcome {
        Err(Problem::Corrupt(Corruption::Truncated)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// A mapping that comes to lie where one of ours was.
fn reused(ends: &mut Ends, name: &str) -> Outcome {
    ends.perform(&Op::Attach(Role::Producer)).map_err(|problem| format!("{problem:?}"))?;
    ends.perform(&Op::Leave(Role::Producer)).map_err(|problem| format!("{problem:?}"))?;
    // Most likely one of these does.
    let maps = (0..50).map(|i| foreign(&format!("{name}-{i}"))).collect::<Result<Vec<_>, _>>()?;
    maps.iter().for_each(touch);
    Ok(())
}

/// More ends than the list has places at first.
fn many(name: &str) -> Outcome {
    std::fs::remove_file(name).map_err(said)?;
    std::fs::create_dir(name).map_err(said)?;
    let path = |i: u32| format!("{name}/{i}");
    let queues = 0..101;
    let mut ends = Vec::new();
    for i in queues.clone() {
        create(&path(i), Kind::Records)?;
        ends.push(Queue::open(path(i)).map_err(said)?.producer().map_err(said)?);
    }
    for i in queues.skip(1) {
        OpenOptions::new().write(true).open(path(i)).and_then(|file| file.set_len(0)).map_err(said)?;
    }
    let truncated = Err(shmq::TrySendError::Corrupt { what: Corruption::Truncated });
    let lost =
        ends[1..].iter_mut().filter_map(|tx| (tx.try_send(b"lost") == truncated).then_some(())).count();
    let whole = ends[0].try_send(b"whole") == Ok(0);
    println!("{lost} truncated, the other {}", if whole { "whole" } else { "not" });
    Ok(())
}

extern "C" fn on_sigbus(_: libc::c_int) {
    let line = b"handled\n";
    // SAFETY: plain system calls that a handler may make.
    unsafe {
        libc::write(1, line.as_ptr().cast(), line.len());
        libc::_exit(0);
    }
}

fn own_handler() {
    // SAFETY: the handler makes plain system calls only.
    unsafe { libc::signal(libc::SIGBUS, on_sigbus as *const () as usize) };
}
