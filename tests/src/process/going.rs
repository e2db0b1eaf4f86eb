//! How an end goes away, and what the other one, which is blocked, says to it.

use super::{Child, Scratch, eventually};
use shmq::{EndSnapshot, Waiting};
use std::time::{Duration, Instant};

/// Within this, what takes 20 ms is told. It guards against a wait that has to be ended by something else, not against a
/// busy machine.
pub const TOLD: Duration = Duration::from_secs(10);

/// How an end, a child that holds it, goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// By SIGKILL.
    Killed,
    /// Its handle is dropped.
    Leaves,
    /// It declares the end of data.
    Finishes,
    /// Its handle is dropped after the file was removed.
    RemovedThenLeaves,
    /// By SIGKILL after the file was removed.
    RemovedThenKilled,
}

impl Going {
    /// Lets it go.
    pub fn go(self, mut child: Child, scratch: &Scratch) {
        match self {
            Self::Killed => drop(child.kill()),
            Self::Leaves => child.ask("drop", "dropped"),
            Self::Finishes => {
                child.say("finish");
                assert!(child.line().starts_with("finished"));
            }
            Self::RemovedThenLeaves => {
                std::fs::remove_file(scratch.path()).expect("remove the file");
                Self::Leaves.go(child, scratch);
            }
            Self::RemovedThenKilled => {
                std::fs::remove_file(scratch.path()).expect("remove the file");
                Self::Killed.go(child, scratch);
            }
        }
    }
}

/// All presets of waiting.
pub fn presets() -> [Waiting; 4] {
    [Waiting::new(), Waiting::dedicated_core(), Waiting::shared_core(), Waiting::low_power()]
}

/// Waits until an end is asleep, or has polled for a while if it never sleeps. `look` is one look at that end.
pub fn until_blocked(waiting: Waiting, look: impl Fn() -> EndSnapshot) {
    if waiting == Waiting::dedicated_core() {
        return std::thread::sleep(Duration::from_millis(50));
    }
    eventually("the waiter sleeps", || {
        let end = look();
        end.sleeps >= 1 && end.stalled_since_ns.is_some()
    });
    // From its announcement to its sleep.
    std::thread::sleep(Duration::from_millis(5));
}

/// What a blocked call says when the other end goes; how long after is printed. `look` is one look at the end that is blocked.
pub fn outcome<R: Send>(
    waiting: Waiting,
    look: impl Fn() -> EndSnapshot,
    call: impl FnOnce() -> R + Send,
    going: impl FnOnce(),
) -> R {
    std::thread::scope(|s| {
        let blocked = s.spawn(|| (call(), Instant::now()));
        until_blocked(waiting, look);
        assert!(!blocked.is_finished(), "nothing has happened yet");
        going();
        let begin = Instant::now();
        let (outcome, end) = blocked.join().expect("the call returns");
        let elapsed = end.saturating_duration_since(begin);
        assert!(elapsed < TOLD, "told after {elapsed:?}");
        eprintln!("told after {elapsed:?}");
        outcome
    })
}
