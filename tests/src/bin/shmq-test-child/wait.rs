//! Ends that wait: how much it costs, and whether every wake arrives.

use crate::{Outcome, said, waiting};
use shmq::{Options, Queue, RecvError, Role, Until};
use shmq_core::{Geometry, Park, Poll, RecordRx, RecordTx, Refused, Signals};
use shmq_tests::process::{Dice, Rigged, map_queue};
use std::path::Path;
use std::time::{Duration, Instant};

pub fn cost() -> (u64, u64) {
    // SAFETY: `rusage` is plain data, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the argument is valid.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    (cpu.tv_sec as u64 * 1_000_000_000 + cpu.tv_nsec as u64, usage.ru_nvcsw as u64)
}

/// Waits for a message that does not come, and says what that cost: nanoseconds of processor time, context switches; and
/// the processor time of sleeping as long in slices of 10 ms, without anything else.
pub fn blocked(name: &str, wait: &str, millis: u64) -> Outcome {
    let mut rx = Queue::open(name).map_err(said)?.consumer().map_err(said)?;
    rx.set_waiting(waiting(wait));
    let before = cost();
    match rx.recv(Until::After(Duration::from_millis(millis))) {
        Err(RecvError::TimedOut) => {}
        other => return Err(format!("{other:?}")),
    }
    let after = cost();
    let bare = cost();
    for _ in 0..millis / 10 {
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("{} {} {}", after.0 - before.0, after.1 - before.1, cost().0 - bare.0);
    Ok(())
}

/// Descriptors of this process that are inotify instances.
fn watches() -> usize {
    let all = std::fs::read_dir("/proc/self/fd").expect("its own descriptors");
    let links = all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().contains("inotify")).count()
}

/// More receivers, all asleep, than may listen.
pub fn many_deep(directory: &str) -> Outcome {
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").map_err(said)?;
    let share = limit.trim().parse::<usize>().map_err(said)? / 4;
    let options = Options::new().capacity(4096);
    let make = |n| Queue::create(format!("{directory}/{n}"), &options).map_err(said);
    let queues = (0..share.min(200) + 8).map(make).collect::<Result<Vec<_>, _>>()?;
    let mut producers = Vec::new();
    let mut receivers = Vec::new();
    for queue in &queues {
        producers.push(queue.producer().map_err(said)?);
        let mut rx = queue.consumer().map_err(said)?;
        rx.set_waiting(waiting("low-power"));
        receivers.push(std::thread::spawn(move || rx.recv(Until::After(PATIENCE * 5)).is_ok()));
    }
    std::thread::sleep(Duration::from_millis(600));
    let watches = watches();
    if watches == 0 || watches > share {
        return Err(format!("{watches} listen, the share is {share}"));
    }
    for tx in &mut producers {
        tx.try_send(b"wake up").map_err(said)?;
    }
    let woken = receivers.into_iter().map(|receiver| receiver.join().unwrap_or(false));
    if !woken.into_iter().all(|woken| woken) {
        return Err("one was not woken".into());
    }
    println!("within its share, all woken");
    Ok(())
}

/// Receives, asleep most of the time, until there is an error; says how many messages there were, and which error.
pub fn until_the_end(name: &str) -> Outcome {
    let mut rx = Queue::open(name).map_err(said)?.consumer().map_err(said)?;
    rx.set_waiting(waiting("low-power"));
    println!("ready");
    let mut messages = 0;
    let error = loop {
        match rx.recv(Until::Forever) {
            Ok(_) => messages += 1,
            Err(error) => break error,
        }
    };
    println!("{messages} {error:?}");
    Ok(())
}

/// Longer than any delay, also on a machine that is busy: whoever sleeps so long was not woken.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where it is known that a wake will be missing.
const SHORT_PATIENCE: Duration = Duration::from_millis(500);
/// A slow machine hands over less often; that is no failure, unless so many were asked for.
const TIME: Duration = Duration::from_secs(12);

/// One end of a queue of depth 1, with random delays, so that either end sleeps much of the time. Says how often a
/// sleep ended by itself (with the slices of the library that would pass unnoticed), how often it slept, and how many
/// messages there were. `forget-wake`, a planted bug, leaves out every hundredth wake. `deep`: half of the sleeps are deep;
/// `sets`: of three sleeps one is deep, and one as in a set; `mute`, `mute-sets`, planted bugs: then, and whom no futex call wakes
/// is not called otherwise.
pub fn hand_over(name: &str, role: &str, messages: u64, planted: &str) -> Outcome {
    let (map, geometry) = map_queue(Path::new(name));
    let forgetful = planted == "forget-wake";
    let mute = planted == "mute" || planted == "mute-sets";
    let patience = if forgetful || mute { SHORT_PATIENCE } else { PATIENCE };
    let rigged = Rigged::new(map).patient(patience);
    let rigged = if mute { rigged.mute() } else { rigged };
    let role = if role == "producer" { Role::Producer } else { Role::Consumer };
    let mut signals = Signals::new(rigged.window(&geometry), role);
    // As whoever takes a role does: the other may be asleep already.
    signals.ring();
    let end = HandOver {
        signals,
        dice: Dice(role as u64),
        forgetful,
        planted: forgetful || mute,
        kinds: match planted {
            "deep" | "mute" => &[Kind::Futex, Kind::Deep],
            "sets" | "mute-sets" => &[Kind::Futex, Kind::Deep, Kind::Set],
            _ => &[Kind::Futex],
        },
        rigged: rigged.clone(),
        slept: 0,
    };
    let (slept, messages) = match role {
        Role::Producer => end.send(&geometry, messages)?,
        Role::Consumer => end.receive(&geometry)?,
    };
    println!("{} {slept} {messages}", rigged.overslept());
    Ok(())
}

/// How an end sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Futex,
    Deep,
    /// As one of many: by the file alone, and so announced.
    Set,
}

struct HandOver {
    signals: Signals<Rigged>,
    dice: Dice,
    forgetful: bool,
    planted: bool,
    kinds: &'static [Kind],
    rigged: Rigged,
    slept: u64,
}

impl HandOver {
    /// Sleeps, without slices, until there is something to do; `None`: the planted bug has shown.
    fn wait<T>(&mut self, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            let kind = self.kinds[self.dice.below(self.kinds.len() as u64) as usize];
            if let Some(found) = attempt().or_else(|| sleep(&mut self.signals, &mut attempt, kind)) {
                return Some(found);
            }
            self.slept += 1;
            if self.planted && self.rigged.overslept() > 0 {
                return None;
            }
        }
    }

    /// Wakes the other end and is busy with something else for a while.
    fn done(&mut self, i: u64) {
        if !self.forgetful || i % 100 != 99 {
            self.signals.published();
        }
        // Half of the time for nothing, else for up to some 50 us.
        for _ in 0..if self.dice.below(2) == 0 { 0 } else { self.dice.below(3000) } {
            std::hint::spin_loop();
        }
    }

    fn send(mut self, geometry: &Geometry, messages: u64) -> Result<(u64, u64), String> {
        let (window, limits) = (self.rigged.window(geometry), geometry.limits);
        let mut tx =
            RecordTx::attach(window, limits.max_message, limits.max_messages).map_err(|c| c.to_string())?;
        let begin = Instant::now();
        let mut sent = 0;
        while sent < messages && (messages > 100_000 || begin.elapsed() < TIME) {
            let outcome = self.wait(|| match tx.try_send(&sent.to_le_bytes()) {
                Ok(_) => Some(Ok(())),
                Err(Refused::Full) => None,
                Err(other) => Some(Err(format!("{other:?}"))),
            });
            let Some(outcome) = outcome else { break };
            outcome?;
            self.done(sent);
            sent += 1;
        }
        tx.finish().map_err(|r| format!("{r:?}"))?;
        self.signals.published();
        Ok((self.slept, sent))
    }

    fn receive(mut self, geometry: &Geometry) -> Result<(u64, u64), String> {
        let window = self.rigged.window(geometry);
        let mut rx = RecordRx::attach(window, geometry.limits.max_message, geometry.limits.max_messages)
            .map_err(|c| c.to_string())?;
        let mut received = 0;
        loop {
            let poll = self.wait(|| Some(rx.poll()).filter(|poll| *poll != Poll::Empty));
            let record = match poll {
                Some(Poll::Message(record)) => record,
                Some(Poll::Finished) | None => return Ok((self.slept, received)),
                Some(other) => return Err(format!("{other:?}")),
            };
            let mut number = [0; 8];
            rx.copy_out(&record, &mut number);
            if u64::from_le_bytes(number) != received {
                return Err(format!("{} came where {received} was next", u64::from_le_bytes(number)));
            }
            rx.acknowledge(&record);
            self.done(received);
            received += 1;
        }
    }
}

/// Sleeps once, unless there is something to do after all.
fn sleep<M: Park, T>(signals: &mut Signals<M>, ready: impl FnOnce() -> Option<T>, kind: Kind) -> Option<T> {
    if kind == Kind::Futex {
        signals.stop_listening();
    } else {
        assert!(signals.listens() || signals.listen(), "no inotify here");
    }
    if kind == Kind::Set {
        signals.announce_to_file();
        signals.fence_announced();
        return ready().or_else(|| {
            signals.rest_deeply(PATIENCE);
            None
        });
    }
    let announced = signals.announce();
    let found = ready();
    if found.is_none() && kind == Kind::Deep {
        signals.rest_deeply(PATIENCE);
    } else if found.is_none() {
        signals.rest(announced, PATIENCE);
    }
    found
}
