//! What an end uses that waits for what does not come.

use super::awaited;
use super::child::{Child, Name, now_ns};
use super::errand::{Errand, Preset, Wait, Waiter};
#[cfg(feature = "peers")]
use super::peers;
use crate::bench::Bench;
use crate::compare::Contender;
use crate::run::Figures;
use rustix::thread::gettid;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use shmq::{Options, Queue, TrySendError, WaitSet, WaitSetError};
use shmq_tool::print;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

/// Before the measurement, so that it begins asleep, and as deeply as the preset comes to be: that takes a tenth of a second.
const SETTLE: Duration = Duration::from_millis(300);
/// By so much the call lasts longer than the measurement.
const SPARE: Duration = Duration::from_millis(100);

/// What waiting cost the child.
#[derive(Debug, Serialize, Deserialize)]
struct Cost {
    elapsed_ns: u64,
    processor_ns: u64,
    voluntary_switches: u64,
}

/// The time, and what of it this process has used so far, both in nanoseconds.
fn clocks() -> (u64, u64) {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    (now_ns(), used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64)
}

/// How often the threads of this process have given up their processor, all but the one that asks.
fn voluntary_switches() -> u64 {
    let own = gettid().as_raw_nonzero().to_string();
    let threads = std::fs::read_dir("/proc/self/task").expect("its own threads").flatten();
    let others = threads.filter(|thread| thread.file_name() != *own);
    let of = |thread: std::fs::DirEntry| -> Option<u64> {
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        let switches = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        switches.trim().parse().ok()
    };
    others.filter_map(of).sum()
}

/// What waking 100 times a second costs by itself.
fn bare_sleep(duration: Duration) {
    let begin = now_ns();
    while Duration::from_nanos(now_ns() - begin) < duration {
        sleep(Duration::from_millis(10));
    }
}

/// A set of so many ends at which nothing happens, one of them the queue's.
fn in_set(ends: usize, queue: &Queue, time: Duration, ready: impl FnOnce()) {
    let more = (1..ends).map(|_| Queue::anonymous(&Options::new().capacity(4096)).expect("a queue"));
    let more =
        more.map(|queue| (queue.producer().expect("its producer"), queue.consumer().expect("its consumer")));
    let (_producers, mut receivers): (Vec<_>, Vec<_>) = more.unzip();
    receivers.push(queue.consumer().expect("its consumer"));
    let mut set = WaitSet::new().expect("a set");
    ready();
    let waited = set.wait(&mut receivers, &mut Vec::new(), time);
    assert!(matches!(waited, Err(WaitSetError::TimedOut)), "the queues stay empty");
}

impl Waiter {
    /// Gets ready, says so, and waits for this long for what does not come.
    fn wait(&self, queue: &Queue, time: Duration, ready: impl FnOnce()) {
        match *self {
            Self::Sleep => {
                ready();
                bare_sleep(time);
            }
            Self::Receiver(preset) => {
                let mut rx = queue.consumer().expect("its consumer");
                rx.set_waiting(preset.waiting());
                ready();
                rx.recv(time).expect_err("the queue stays empty");
            }
            Self::Sender(preset) => {
                let mut tx = queue.producer().expect("its producer");
                tx.set_waiting(preset.waiting());
                while tx.try_send(&[0; 64]) != Err(TrySendError::Full) {}
                ready();
                tx.send(&[0; 64], time).expect_err("the queue stays full");
            }
            Self::Set(ends) => in_set(ends, queue, time, ready),
            Self::Awaited(tokio) => awaited::wait(queue, tokio, time, ready),
            Self::Socket => awaited::wait_for_socket(time, ready),
            #[cfg(feature = "peers")]
            Self::Ringfire => peers::ringfire::wait(time, ready),
            #[cfg(feature = "peers")]
            Self::Iceoryx(ends) => peers::iceoryx::wait(ends, time, ready),
        }
    }

    fn sends(&self) -> bool {
        matches!(self, Self::Sender(_))
    }
}

impl Wait {
    /// The child's part: waits, and writes the cost to its standard output.
    pub fn run(&self, name: &str) {
        let whole = SETTLE + self.duration + SPARE;
        let (say, hear) = std::sync::mpsc::channel();
        let (how, name) = (self.how.clone(), name.to_owned());
        let waiter = std::thread::spawn(move || {
            let queue = Queue::open(&name).expect("the queue");
            how.wait(&queue, whole, || say.send(()).expect("somebody asks"));
        });
        hear.recv().expect("it waits");
        sleep(SETTLE);
        // The clocks innermost: asking for the rest is not part of waiting. This thread wakes up once.
        let switches_before = voluntary_switches();
        let (begin, used_before) = clocks();
        sleep(self.duration);
        let (end, used) = clocks();
        let switches = voluntary_switches();
        waiter.join().expect("nothing came");
        let cost = Cost {
            elapsed_ns: end - begin,
            processor_ns: used - used_before,
            voluntary_switches: switches - switches_before,
        };
        // Without a parent there is nobody to tell.
        let _ = print::out(serde_json::to_string(&cost).expect("plain data"));
    }

    /// This process's part: holds the other end and does nothing with it.
    fn measure(&self) -> Figures {
        let name = Name::fresh();
        let queue = Queue::create(name.as_str(), &Options::new().capacity(4096)).expect("a queue");
        let _tx = (!self.how.sends()).then(|| queue.producer().expect("its producer"));
        let _rx = self.how.sends().then(|| queue.consumer().expect("its consumer"));
        let errand = Errand::Wait { wait: self.clone(), name: name.as_str().to_owned() };
        let answer = Child::start_with(&errand, Stdio::null(), Stdio::piped()).answer();
        let cost: Cost = serde_json::from_str(&answer).expect("an answer");
        let elapsed_ns = cost.elapsed_ns as f64;
        vec![
            ("processor_share", cost.processor_ns as f64 / elapsed_ns),
            // Each time it went to sleep again: how often it was woken, by whatever.
            ("voluntary_switches_per_second", cost.voluntary_switches as f64 * 1e9 / elapsed_ns),
        ]
    }
}

/// Both ends, each preset; and what waits for many, or in a task.
pub fn run(bench: &mut Bench) {
    let duration = if bench.is_quick() { Duration::from_millis(100) } else { Duration::from_secs(5) };
    let presets = [
        ("default", Preset::Default),
        ("shared core", Preset::SharedCore),
        ("low power", Preset::LowPower),
        ("dedicated core", Preset::DedicatedCore),
    ];
    let bare = ("bare sleeps of 10 ms", Waiter::Sleep);
    let mut receivers = vec![bare.clone()];
    receivers.extend(presets.map(|(name, preset)| (name, Waiter::Receiver(preset))));
    receivers.extend([
        ("default, a set of 1", Waiter::Set(1)),
        ("default, a set of 12", Waiter::Set(12)),
        ("default, a set of 100", Waiter::Set(100)),
        ("shmq-async, tokio", Waiter::Awaited(true)),
        ("shmq-async, async-io", Waiter::Awaited(false)),
        ("UnixStream, tokio", Waiter::Socket),
    ]);
    #[cfg(feature = "peers")]
    receivers.extend([
        ("ringfire, tokio", Waiter::Ringfire),
        ("iceoryx2 WaitSet of 1", Waiter::Iceoryx(1)),
        ("iceoryx2 WaitSet of 12", Waiter::Iceoryx(12)),
        ("iceoryx2 WaitSet of 100", Waiter::Iceoryx(100)),
    ]);
    let mut senders = vec![bare];
    senders.extend(presets.map(|(name, preset)| (name, Waiter::Sender(preset))));
    for (end, waiters) in [("receiver", receivers), ("sender", senders)] {
        let contenders = waiters.into_iter().map(|(name, how)| {
            let wait = Wait { how, duration };
            Contender::new(name, move || wait.measure())
        });
        bench.compare_anywhere(&format!("idle {end}"), contenders.collect(), 2);
    }
}
