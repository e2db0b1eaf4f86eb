//! Whether spinning can help. It cannot where both ends share one processor: while one spins, the other does not run.
//!
//! A thread that may run on one processor only (`taskset`, a container's cpuset, a thread that pinned itself) does not know
//! whether its peer runs on the same one; two processes that are pinned side by side are the very ones that want to spin. So it
//! learns: each spin in vain makes it sleep at once for twice as many waits, up to 255, and each that paid makes it spin again.
//! Where a cgroup allows less time than two processors have, spinning takes away what both ends live on, so nobody spins.
//! Sources: sched_getaffinity(2), cgroups(7), `std::thread::available_parallelism`.

use rustix::thread::sched_getaffinity;
use std::sync::OnceLock;

/// What an end knows of the processors it runs on.
#[derive(Clone, Debug)]
pub struct Processors {
    /// Whether a quota makes spinning a waste.
    quota: bool,
    /// Waits until the next try.
    until_try: u8,
    /// The same after the last one.
    pause: u8,
    /// Whether the kernel said that there is but one, and how often that is to be believed.
    only_one: (bool, u8),
}

/// Answers of the kernel hold for so many sleeps.
const ASK_AGAIN: u8 = 64;

impl Processors {
    /// As this process has them. Reads the quota, the first time in a process.
    pub fn new() -> Self {
        Self { quota: is_limited(), until_try: 0, pause: 0, only_one: (false, 0) }
    }

    /// Whether this wait is to spin, if nobody said how to wait.
    pub fn try_spinning(&mut self) -> bool {
        if self.until_try > 0 {
            self.until_try -= 1;
            return false;
        }
        !self.quota
    }

    /// What was waited for came while it was spinning.
    pub fn paid(&mut self) {
        self.pause = 0;
    }

    /// It did not. Says whether to yield for a while, as well: not on a processor that is the only one. One system call.
    pub fn in_vain(&mut self) -> bool {
        self.learn(processors() == Some(1))
    }

    /// Whether this thread may run on one only: before a sleep. One system call now and then.
    pub fn is_only_one(&mut self) -> bool {
        self.only_one = match self.only_one {
            (_, 0) => (processors() == Some(1), ASK_AGAIN),
            (answer, times) => (answer, times - 1),
        };
        self.only_one.0
    }

    fn learn(&mut self, only_one: bool) -> bool {
        if only_one {
            self.pause = self.pause.saturating_mul(2).saturating_add(1);
            self.until_try = self.pause;
        } else {
            self.pause = 0;
        }
        !only_one
    }
}

impl Default for Processors {
    fn default() -> Self {
        Self::new()
    }
}

/// On how many this thread may run; `None` if the kernel will not say, or has more than the call is made for.
fn processors() -> Option<u32> {
    sched_getaffinity(None).ok().map(|set| set.count())
}

/// Whether a cgroup's quota (`cpu.max`, or version 1's) is under two processors, where there are more. Read once in a process.
fn is_limited() -> bool {
    static LIMITED: OnceLock<bool> = OnceLock::new();
    *LIMITED.get_or_init(|| {
        // The standard library rounds a quota down, and takes the smaller of both.
        let usable = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        usable == 1 && processors().is_some_and(|all| all > 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries among so many waits, all of them in vain.
    fn tries(processors: &mut Processors, waits: u32, only_one: bool) -> u32 {
        let mut tries = 0;
        for _ in 0..waits {
            if processors.try_spinning() {
                tries += 1;
                assert_eq!(processors.learn(only_one), !only_one);
            }
        }
        tries
    }

    #[test]
    fn one_processor_spins_less_and_less_and_several_always() {
        let free = Processors { quota: false, ..Processors::new() };
        assert_eq!(tries(&mut free.clone(), 1000, false), 1000);
        let mut one = free.clone();
        assert_eq!(tries(&mut one, 8 + 1 + 3 + 7 + 15 + 31 + 63 + 127, true), 8);
        assert_eq!(tries(&mut one, 256 * 10, true), 10);
        assert_eq!(tries(&mut Processors { quota: true, ..free }, 1000, true), 0);
    }

    #[test]
    fn what_pays_is_tried_again_at_once() {
        let mut one = Processors { quota: false, ..Processors::new() };
        tries(&mut one, 1000, true);
        while !one.try_spinning() {}
        one.paid();
        assert!(one.try_spinning());
        // In vain once, as after the last message of a burst.
        assert!(!one.learn(true) && !one.try_spinning() && one.try_spinning());
        // Meanwhile it may run on more.
        assert!(one.learn(false) && one.try_spinning());
    }
}
