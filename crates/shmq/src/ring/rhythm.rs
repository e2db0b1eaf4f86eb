//! When to look again: a consumer that has caught up with a stream must not look too soon.
//!
//! A consumer that polls the very line the producer is filling steals it back again and again, and both wait for
//! line transfers. So when a look that follows a run of messages finds nothing, it waits a little and looks once more, longer
//! while runs stay short, at most 16 hints. A single message is no run: in a round trip the wait would only add
//! to the latency. But a stream may look like that, too, while its consumer is on its heels; so now and then a wait is
//! tried, and kept up if more than one message came of it. Streams arrive in runs, round trips keep their latency.

/// Longest wait in spin hints; one takes 10 to 40 ns on the machines of today.
const LONGEST: u32 = 16;
/// The wait that is tried on what looks like a round trip, once in so many messages.
const TRIAL: u32 = 4;
const TRIED_ONCE_IN: u32 = 64;
/// Bytes of a run that is long enough. Shorter ones lengthen the wait, ones of four times as much shorten it.
const LONG_ENOUGH: u64 = 1024;

/// What a consumer remembers of the stream.
#[derive(Clone, Debug)]
pub struct Rhythm {
    /// Number of the next message when the consumer last found nothing.
    quiet: u64,
    /// Single messages since the last trial.
    single: u32,
    /// Spin hints to wait.
    wait: u32,
    longest: u32,
}

impl Rhythm {
    /// For a consumer whose next message has this number.
    pub fn new(sequence: u64) -> Self {
        Self { quiet: sequence, single: 0, wait: 0, longest: LONGEST }
    }

    /// Whether to wait at all.
    pub fn set_adaptive(&mut self, yes: bool) {
        (self.wait, self.longest) = (0, if yes { LONGEST } else { 0 });
    }

    /// Messages since nothing was found.
    #[inline(always)]
    pub fn run(&self, sequence: u64) -> u64 {
        sequence.wrapping_sub(self.quiet)
    }

    /// Nothing was found by a consumer whose next message has this number, and who has taken so many bytes since it last
    /// found nothing. Waits if that was a run, and says whether to look once more.
    #[inline(never)]
    pub fn found_nothing(&mut self, sequence: u64, taken: u64) -> bool {
        let run = self.run(sequence);
        self.quiet = sequence;
        self.wait = match run {
            0 => 0,
            1 => {
                self.single = (self.single + 1) % TRIED_ONCE_IN;
                if self.single == 0 { TRIAL } else { 0 }
            }
            _ if taken < LONG_ENOUGH => self.wait * 2 + 1,
            _ if taken > 4 * LONG_ENOUGH => self.wait / 2,
            _ => self.wait,
        };
        self.wait = self.wait.min(self.longest);
        for _ in 0..self.wait {
            std::hint::spin_loop();
        }
        self.wait != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_hardly_wait_and_short_runs_wait_longer_and_longer() {
        let mut rhythm = Rhythm::new(0);
        let waits = (1..=640).filter(|&sequence| rhythm.found_nothing(sequence, 8)).count();
        assert_eq!(waits, 10, "one trial in 64 round trips");
        let mut sequence = 640;
        let mut longest = 0;
        for _ in 0..10 {
            sequence += 5;
            assert!(rhythm.found_nothing(sequence, 40), "a run");
            assert!(rhythm.wait >= longest);
            longest = rhythm.wait;
        }
        assert_eq!(longest, LONGEST);
        assert!(!rhythm.found_nothing(sequence, 8), "still nothing: sparse");
        rhythm.set_adaptive(false);
        assert!(!rhythm.found_nothing(sequence + 5, 8), "switched off");
    }
}
