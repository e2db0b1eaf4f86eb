//! Ends that are held, dropped, forked, replaced and raced for, on command.

use crate::{Outcome, said, variant};
use shmq::{Consumer, CreateError, Producer, Queue, Role};
use shmq_tests::process::{LIMIT, Witness, lock_role};
use std::fs::OpenOptions;
use std::io::BufRead;
use std::os::unix::process::CommandExt;
use std::time::Duration;

fn role_of(name: &str) -> Role {
    if name == "producer" { Role::Producer } else { Role::Consumer }
}

/// Either end.
enum End {
    Producer(Producer),
    Consumer(Consumer),
}

impl End {
    fn take(queue: &Queue, role: Role) -> Result<Self, shmq::AttachError> {
        Ok(match role {
            Role::Producer => Self::Producer(queue.producer()?),
            Role::Consumer => Self::Consumer(queue.consumer()?),
        })
    }

    /// Shows that the end still works.
    fn works(&mut self) -> String {
        let outcome = match self {
            Self::Producer(tx) => tx.try_send(b"work").map(|_| ()).map_err(said),
            Self::Consumer(rx) => match rx.try_recv() {
                Ok(_) | Err(shmq::TryRecvError::Empty) => Ok(()),
                Err(other) => Err(said(other)),
            },
        };
        outcome.map_or_else(|e| e, |()| "works".into())
    }

    fn peer(&self) -> shmq::PeerState {
        match self {
            Self::Producer(tx) => tx.peer(),
            Self::Consumer(rx) => rx.peer(),
        }
    }
}

/// Takes a role, says "held" or why not, and then does what it is told, a line at a time.
pub fn hold(name: &str, role: &str) -> Outcome {
    let queue = match Queue::open(name) {
        Ok(queue) => queue,
        Err(e) => {
            println!("{}", variant(&e));
            return Ok(());
        }
    };
    let mut end = match End::take(&queue, role_of(role)) {
        Ok(end) => Some(end),
        Err(e) => {
            println!("{}", variant(&e));
            return Ok(());
        }
    };
    println!("held");
    for line in std::io::stdin().lock().lines() {
        match line.map_err(said)?.as_str() {
            "drop" => {
                drop(end.take());
                println!("dropped");
            }
            "works" => println!("{}", end.as_mut().ok_or("no end")?.works()),
            "peer" => println!("{}", end.as_ref().ok_or("no end")?.peer()),
            "finish" => {
                if let Some(End::Producer(tx)) = end.take() {
                    println!("finished {}", tx.finish().map_err(said)?);
                }
            }
            "take" => {
                let Some(End::Consumer(rx)) = &mut end else { return Err("not the consumer".into()) };
                let message = rx.recv(LIMIT).map_err(said)?;
                println!("{}", String::from_utf8_lossy(&message));
            }
            // Long enough for a deep sleep.
            "doze" => {
                let Some(End::Consumer(rx)) = &mut end else { return Err("not the consumer".into()) };
                match rx.recv(Duration::from_millis(400)) {
                    Err(shmq::RecvError::TimedOut) => println!("dozed"),
                    other => println!("{other:?}"),
                }
            }
            "exec" => {
                let mut this = std::process::Command::new("/proc/self/exe");
                return Err(said(this.arg("idle").exec()));
            }
            "fork" => fork(|| {
                loop {
                    // SAFETY: a plain system call.
                    unsafe { libc::pause() };
                }
            }),
            "fork-drop" => fork(|| drop(end.take())),
            other => return Err(format!("what is {other:?}?")),
        }
    }
    Ok(())
}

/// Runs `child` in a fork of this process, which has one thread; says the child's number and, if it ends, how.
fn fork(child: impl FnOnce()) {
    // SAFETY: one thread only, so nothing is left half-done in the child.
    match unsafe { libc::fork() } {
        0 => {
            // Outlives its parent on purpose; but not for long.
            // SAFETY: a plain system call.
            unsafe { libc::alarm(60) };
            child();
            // SAFETY: as above; runs nothing more of this program.
            unsafe { libc::_exit(0) };
        }
        pid => {
            println!("{pid}");
        }
    }
}

/// Does nothing until its input ends.
pub fn idle() -> Outcome {
    println!("idle");
    std::io::stdin().read_line(&mut String::new()).map(|_| ()).map_err(said)
}

/// Begins to take a role and gets no further than the lock.
pub fn lock(name: &str, role: &str) -> Outcome {
    let file = OpenOptions::new().read(true).write(true).open(name).map_err(said)?;
    println!("{}", if lock_role(&file, role_of(role)) { "locked" } else { "refused" });
    std::io::stdin().read_line(&mut String::new()).map(|_| ()).map_err(said)
}

/// Words of a race: for each of the two runners an inside mark, an outcome and a step.
const INSIDE: usize = 0;
const OUTCOME: usize = 2;
const STEP: usize = 4;
/// Both were inside at once, or both or neither won.
pub const BROKEN: usize = 6;
/// Rounds won by each.
pub const WON: usize = 8;

/// One of two runners who reach for the same role in the same moment, again and again.
pub fn race(name: &str, witness: &str, who: u64, rounds: u64) -> Outcome {
    let (me, other) = (who as usize, 1 - who as usize);
    let witness = Witness::open(witness);
    let queue = Queue::open(name).map_err(said)?;
    let mut step = 0;
    let mut meet = || {
        step += 1;
        witness.set(STEP + me, step);
        witness.reach(STEP + other, step);
    };
    for round in 0..rounds {
        let role = if round % 2 == 0 { Role::Producer } else { Role::Consumer };
        meet();
        let end = End::take(&queue, role);
        if end.is_ok() {
            witness.set(INSIDE + me, 1);
            if witness.get(INSIDE + other) != 0 {
                witness.set(BROKEN, witness.get(BROKEN) + 1);
            }
        }
        let outcome = match &end {
            Ok(_) => 1,
            Err(shmq::AttachError::Busy { role: r, .. }) if *r == role => 2,
            Err(other) => return Err(format!("round {round}: {other}")),
        };
        witness.set(OUTCOME + me, outcome);
        meet();
        if outcome == 1 {
            witness.set(WON + me, witness.get(WON + me) + 1);
        }
        if me == 0 && outcome + witness.get(OUTCOME + 1) != 3 {
            witness.set(BROKEN, witness.get(BROKEN) + 1);
        }
        witness.set(INSIDE + me, 0);
        drop(end);
        meet();
    }
    Ok(())
}

/// One of two who create the same queue in the same moment: one makes it, the other is told so; then both open or
/// create, and get the same one.
pub fn race_create(name: &str, witness: &str, who: u64, rounds: u64) -> Outcome {
    let (me, other) = (who as usize, 1 - who as usize);
    let witness = Witness::open(witness);
    let options = shmq::Options::new().capacity(4096);
    let mut step = 0;
    let mut meet = || {
        step += 1;
        witness.set(STEP + me, step);
        witness.reach(STEP + other, step);
    };
    for round in 0..rounds {
        meet();
        let outcome = match Queue::create(name, &options) {
            Ok(_) => 1,
            Err(CreateError::AlreadyExists { .. }) => 2,
            Err(other) => return Err(format!("round {round}: {other}")),
        };
        witness.set(OUTCOME + me, outcome);
        meet();
        if me == 0 {
            if outcome + witness.get(OUTCOME + 1) != 3 {
                witness.set(BROKEN, witness.get(BROKEN) + 1);
            }
            witness.set(WON + (outcome as usize - 1), witness.get(WON + (outcome as usize - 1)) + 1);
            std::fs::remove_file(name).map_err(said)?;
        }
        meet();
        let queue = Queue::open_or_create(name, &options).map_err(said)?;
        let id = queue.inspect().map_err(said)?.queue_id();
        witness.set(OUTCOME + me, u64::from_le_bytes(id[..8].try_into().map_err(said)?));
        meet();
        if witness.get(OUTCOME) != witness.get(OUTCOME + 1) {
            witness.set(BROKEN, witness.get(BROKEN) + 1);
        }
        meet();
        if me == 0 {
            queue.remove().map_err(said)?;
        }
        meet();
    }
    Ok(())
}
