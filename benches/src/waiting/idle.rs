//! What an end uses that waits for what does not come.

use super::child::{Child, Name, now_ns};
use super::errand::{Errand, Preset, Wait};
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

/// How often a thread of this process has given up its processor.
fn voluntary_switches(thread: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).expect("its own status");
    let switches = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    switches.and_then(|n| n.trim().parse().ok()).expect("a number of switches")
}

/// What waking 100 times a second costs by itself.
fn bare_sleep(duration: Duration) {
    let begin = now_ns();
    while Duration::from_nanos(now_ns() - begin) < duration {
        sleep(Duration::from_millis(10));
    }
}

/// Waits for this long on an end that has nothing to do.
type Block = Box<dyn FnOnce(Duration) + Send>;

impl Wait {
    fn blocking(&self, queue: &Queue) -> Block {
        let Some(preset) = self.preset else { return Box::new(bare_sleep) };
        if self.in_set {
            let more = (1..100).map(|_| Queue::anonymous(&Options::new().capacity(4096)).expect("a queue"));
            let more = more.map(|queue| {
                (queue.producer().expect("its producer"), queue.consumer().expect("its consumer"))
            });
            let (producers, mut receivers): (Vec<_>, Vec<_>) = more.unzip();
            receivers.push(queue.consumer().expect("its consumer"));
            let mut set = WaitSet::new().expect("a set");
            set.set_waiting(preset.waiting());
            let block = move |time| {
                let waited = set.wait(&mut receivers, &mut Vec::new(), time);
                assert!(matches!(waited, Err(WaitSetError::TimedOut)), "the queues stay empty");
                drop(producers);
            };
            return Box::new(block);
        }
        if self.sends {
            let mut tx = queue.producer().expect("its producer");
            tx.set_waiting(preset.waiting());
            while tx.try_send(&[0; 64]) != Err(TrySendError::Full) {}
            let block = move |time| {
                tx.send(&[0; 64], time).expect_err("the queue stays full");
            };
            return Box::new(block);
        }
        let mut rx = queue.consumer().expect("its consumer");
        rx.set_waiting(preset.waiting());
        let block = move |time| {
            rx.recv(time).expect_err("the queue stays empty");
        };
        Box::new(block)
    }

    /// The child's part: waits, and writes the cost to its standard output.
    pub fn run(&self, name: &str) {
        let queue = Queue::open(name).expect("the queue");
        let block = self.blocking(&queue);
        let whole = SETTLE + self.duration + SPARE;
        let (say, hear) = std::sync::mpsc::channel();
        let waiter = std::thread::spawn(move || {
            say.send(gettid().as_raw_nonzero().get()).expect("somebody asks");
            block(whole);
        });
        let thread = hear.recv().expect("its number");
        sleep(SETTLE);
        // The clocks innermost: asking for the rest is not part of waiting. This thread wakes up once.
        let switches_before = voluntary_switches(thread);
        let (begin, used_before) = clocks();
        sleep(self.duration);
        let (end, used) = clocks();
        let switches = voluntary_switches(thread);
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
        let _tx = (!self.sends).then(|| queue.producer().expect("its producer"));
        let _rx = self.sends.then(|| queue.consumer().expect("its consumer"));
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

/// Both ends, each preset.
pub fn run(bench: &mut Bench) {
    let duration = if bench.is_quick() { Duration::from_millis(100) } else { Duration::from_secs(5) };
    for (sends, end) in [(false, "receiver"), (true, "sender")] {
        let presets = [
            ("bare sleeps of 10 ms", None),
            ("default", Some(Preset::Default)),
            ("shared core", Some(Preset::SharedCore)),
            ("low power", Some(Preset::LowPower)),
            ("dedicated core", Some(Preset::DedicatedCore)),
        ];
        let contenders = presets.map(|(preset_name, preset)| -> Contender {
            let wait = Wait { sends, preset, in_set: false, duration };
            Contender::new(preset_name, move || wait.measure())
        });
        let mut contenders: Vec<_> = contenders.into();
        if !sends {
            let wait = Wait { sends, preset: Some(Preset::Default), in_set: true, duration };
            contenders.push(Contender::new("default, a set of 100", move || wait.measure()));
        }
        bench.compare_anywhere(&format!("idle {end}"), contenders, 2);
    }
}
