//! Calls that are ended by signals, and ends that share one processor.

#![allow(clippy::disallowed_types, reason = "a counter of this process, not shared bytes")]

use crate::resource::{Trouble, Verdict, need};
use crate::{Outcome, said};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use shmq::{Options, Queue, Role, StopHandle, Until, Waiting};
use shmq_core::processors::Processors;
use shmq_tests::process::limits::{Missing, without};
use shmq_tests::stoppable::{Stoppable, Went, waiting};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static STOP: OnceLock<StopHandle> = OnceLock::new();
static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn stop(_: libc::c_int) {
    if let Some(stop) = STOP.get() {
        stop.trigger();
    }
}

extern "C" fn only_count(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Without SA_RESTART, so that system calls are interrupted.
fn catch(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: `sigaction` is plain data; the handler is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// Blocks until SIGTERM ends it, and looks whether nothing was sent or taken.
pub fn stoppable(shape: &str, role: &str, phase: &str, how: &str) -> Outcome {
    let role = if role == "producer" { Role::Producer } else { Role::Consumer };
    let stopped = STOP.get_or_init(|| StopHandle::new().expect("a descriptor"));
    catch(libc::SIGTERM, stop);
    catch(libc::SIGUSR1, only_count);
    let errno = [("nosys", libc::ENOSYS), ("eperm", libc::EPERM)].into_iter().find(|(name, _)| *name == how);
    if let Some((_, errno)) = errno {
        let missing = Missing { call: libc::SYS_futex_waitv, only: None, errno };
        if let Err(error) = without(missing) {
            println!("ready\nskipped: {error}");
            return Ok(());
        }
    }
    let mut ends = Stoppable::new(shape);
    ends.set(role, waiting(phase), Some(stopped));
    ends.block(role);
    let pending = ends.pending();
    println!("ready");
    let went = ends.call(role, Until::Forever);
    if (&went, ends.pending()) != (&Went::Stopped, pending) {
        return Err(format!("{went:?}, {} pending instead of {pending}", ends.pending()));
    }
    ends.stays_stopped_until_reset(role, stopped);
    println!("stopped after {}", SIGNALS.load(Ordering::Relaxed));
    Ok(())
}

/// Round trips of two threads that may run on one processor only; says how often their ends slept.
pub fn one_processor(how: &str, rounds: u64) -> Outcome {
    let allowed = sched_getaffinity(None).map_err(said)?;
    let first = (0..CpuSet::MAX_CPU).find(|&n| allowed.is_set(n)).ok_or("no processor")?;
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).map_err(said)?;
    let waiting = match how {
        "yielding" => Waiting::new().spin(Duration::from_micros(1)).yields(Duration::from_secs(3600)),
        _ => Waiting::new(),
    };
    let queues = [(); 2].map(|()| Queue::anonymous(&Options::new().capacity(4096)));
    let [there, back] = queues;
    let (there, back) = (there.map_err(said)?, back.map_err(said)?);
    let (mut tx, mut far) = (there.producer().map_err(said)?, there.consumer().map_err(said)?);
    let (mut answer, mut rx) = (back.producer().map_err(said)?, back.consumer().map_err(said)?);
    far.set_waiting(waiting);
    rx.set_waiting(waiting);
    let echo = std::thread::spawn(move || -> Result<(), shmq::Error> {
        for _ in 0..rounds {
            let number: u64 = far.recv_value(Until::Forever)?;
            answer.try_send_value(&number)?;
        }
        Ok(())
    });
    for number in 0..rounds {
        tx.try_send_value(&number).map_err(said)?;
        let echoed: u64 = rx.recv_value(Until::Forever).map_err(said)?;
        if echoed != number {
            return Err(format!("{echoed} came back for {number}"));
        }
    }
    echo.join().map_err(|_| "a panic")?.map_err(said)?;
    let sleeps = [there, back].map(|queue| queue.inspect().map(|i| i.snapshot().consumer.sleeps));
    println!("{}", sleeps.into_iter().map(|n| n.unwrap_or(0)).sum::<u64>());
    Ok(())
}

/// Whether an end of a process with a quota of one processor, or with none, spins by default.
pub fn quota(limited: bool) -> Verdict {
    let usable = || std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    if usable() < 2 {
        return Err(Trouble::Skipped("there is but one processor".into()));
    }
    let group = if limited { Some(Group::join()?) } else { None };
    let spins = Processors::new().try_spinning();
    drop(group);
    Ok(if spins { "spins" } else { "does not spin" }.into())
}

/// A cgroup of this process, with a quota of one processor. Dropped, it is gone.
struct Group {
    path: String,
    /// Where the process was before.
    origin: String,
}

impl Group {
    fn join() -> Result<Self, Trouble> {
        let all = std::fs::read_to_string("/proc/self/cgroup").map_err(said)?;
        let of = |wanted: &str| {
            all.lines().find_map(|line| {
                let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else { return None };
                controllers.split(',').any(|name| name == wanted).then_some(path)
            })
        };
        let name = format!("shmq-test-{}", std::process::id());
        let (root, path, file, value) = match (of("cpu"), of("")) {
            (Some(path), _) => ("/sys/fs/cgroup/cpu", path, "cpu.cfs_quota_us", "100000"),
            (None, path) => ("/sys/fs/cgroup", path.unwrap_or("/"), "cpu.max", "100000 100000"),
        };
        let group = Self { path: format!("{root}/{name}"), origin: format!("{root}{path}") };
        need("a cgroup", std::fs::create_dir(&group.path))?;
        need("a quota", std::fs::write(format!("{}/{file}", group.path), value))?;
        need("to join a cgroup", std::fs::write(format!("{}/cgroup.procs", group.path), "0"))?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::write(format!("{}/cgroup.procs", self.origin), "0");
        let _ = std::fs::remove_dir(&self.path);
    }
}
