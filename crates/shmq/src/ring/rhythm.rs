//! When to look again: a consumer that has caught up with a stream must not look too soon.
//!
//! A consumer that polls the very line the producer is filling steals it back again and again, and both wait for
//! line transfers. So when a look that follows some messages finds nothing, it may wait a little and look once more.
//! Whether that pays shows in what comes of it: in a stream the messages of the wait arrive in one run. In a round trip
//! nothing comes but the one message that was waited for, and the wait was added to its latency.
//! So a short wait is tried; if a run came of it, the consumer goes on with longer ones until one brings no run; and
//! each trial that fails doubles the number of messages until the next. Streams arrive in runs, round trips keep their
//! latency.

/// The wait in a stream, in spin hints; one takes 10 to 40 ns on the machines of today.
const WAIT: u32 = 16;
/// The wait that is tried: less than a round trip takes.
const TRIAL: u32 = 4;
/// So many messages are a run: more than a pair of messages that always travel together.
const RUN: u64 = 4;
/// A trial at least once in so many quiet moments.
const SELDOM: u32 = 64;

/// So many messages are not taken faster than a hint takes.
const DEPTH_PER_HINT: u64 = 32;
/// The longest wait for room, in hints.
const LONGEST: u64 = 64;

/// What a consumer remembers of the stream.
#[derive(Clone, Debug)]
pub struct Rhythm {
    /// Number of the next message when the consumer last found nothing.
    quiet: u64,
    /// Spin hints of the last wait; 0 if there was none.
    wait: u32,
    /// Quiet moments until the next trial.
    until_trial: u32,
    /// The same after the last trial.
    pause: u32,
    adaptive: bool,
}

impl Rhythm {
    /// For a consumer whose next message has this number.
    pub fn new(sequence: u64) -> Self {
        Self { quiet: sequence, wait: 0, until_trial: 0, pause: 0, adaptive: true }
    }

    /// Whether to wait at all.
    pub fn set_adaptive(&mut self, yes: bool) {
        (self.wait, self.until_trial, self.pause, self.adaptive) = (0, 0, 0, yes);
    }

    /// Nothing was found by a consumer whose next message has this number. Waits if that may pay, and says whether to look
    /// once more.
    #[inline(never)]
    pub fn found_nothing(&mut self, sequence: u64) -> bool {
        let run = sequence.wrapping_sub(self.quiet);
        self.quiet = sequence;
        if run == 0 || !self.adaptive {
            return false;
        }
        if self.wait != 0 {
            let paid = run >= RUN;
            self.wait = if paid { WAIT } else { 0 };
            self.pause = if paid { 0 } else { (2 * self.pause + 1).min(SELDOM - 1) };
            self.until_trial = self.pause;
        } else if self.until_trial == 0 {
            self.wait = TRIAL;
        } else {
            self.until_trial -= 1;
        }
        for _ in 0..self.wait {
            std::hint::spin_loop();
        }
        self.wait != 0
    }
}

/// When a producer looks for room again.
///
/// Its consumer stores what it has taken after every message, and each look takes that line away from it. A producer that
/// looks as soon as its room is used up finds little more, and both go from one transfer of the line to the next. So
/// if the last look found little and there was a run of messages since, it waits until there may be more. Whoever finds the queue
/// full and comes back to try again waits for nothing: no message was sent in between.
#[derive(Clone, Debug)]
pub struct Room {
    /// Number of the next message at the last look.
    looked: u64,
    /// Whether that look found little.
    little: bool,
    depth: u64,
}

impl Room {
    /// For a producer whose next message has this number, with room for `depth` messages in all.
    pub fn new(sequence: u64, depth: u64) -> Self {
        Self { looked: sequence, little: false, depth }
    }

    /// Before a look of a producer whose next message has this number: waits if that may pay.
    pub fn pause(&mut self, sequence: u64) {
        let run = sequence.wrapping_sub(self.looked) >= RUN;
        self.looked = sequence;
        for _ in 0..self.hints(run) {
            std::hint::spin_loop();
        }
    }

    /// A part of what taking all of it would take, so that small queues never run empty for this.
    fn hints(&self, run: bool) -> u64 {
        if run && self.little { (self.depth / DEPTH_PER_HINT).min(LONGEST) } else { 0 }
    }

    /// The look found room for this many messages more.
    pub fn found(&mut self, messages: u64) {
        self.little = messages < self.depth / 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many quiet moments, each after a run of `run` messages, were followed by a wait.
    fn waits(rhythm: &mut Rhythm, moments: u64, run: u64) -> usize {
        let from = rhythm.quiet;
        (1..=moments).filter(|n| rhythm.found_nothing(from + n * run)).count()
    }

    #[test]
    fn round_trips_hardly_wait() {
        for together in 1..RUN {
            let mut rhythm = Rhythm::new(0);
            waits(&mut rhythm, 200, together);
            let later = waits(&mut rhythm, 65 * 10, together);
            assert_eq!(later, 10, "one trial in 65 moments, {together} messages together");
        }
    }

    #[test]
    fn streams_wait_every_time() {
        let mut rhythm = Rhythm::new(u64::MAX - 20);
        assert_eq!(waits(&mut rhythm, 100, RUN), 100);
        assert_eq!(rhythm.wait, WAIT);
    }

    #[test]
    fn a_stream_that_follows_round_trips_is_noticed() {
        let mut rhythm = Rhythm::new(0);
        waits(&mut rhythm, 1000, 1);
        let moments = waits(&mut rhythm, 1000, RUN);
        assert!(moments >= 1000 - SELDOM as usize, "{moments}");
    }

    #[test]
    fn nothing_new_waits_for_nothing() {
        let mut rhythm = Rhythm::new(7);
        assert!(!rhythm.found_nothing(7));
        assert!(rhythm.found_nothing(17));
        assert!(!rhythm.found_nothing(17));
        rhythm.set_adaptive(false);
        assert_eq!(waits(&mut rhythm, 100, RUN), 0);
    }

    #[test]
    fn a_producer_pauses_only_in_a_run_whose_last_look_found_little() {
        let mut room = Room::new(0, 320);
        assert_eq!(room.hints(true), 0, "nothing known yet");
        room.found(320);
        assert_eq!(room.hints(true), 0);
        room.found(79);
        assert_eq!((room.hints(true), room.hints(false)), (10, 0));
        room.pause(3);
        assert_eq!(room.looked, 3);
        let mut large = Room::new(0, 1 << 30);
        large.found(0);
        assert_eq!(large.hints(true), LONGEST);
        let mut small = Room::new(0, 31);
        small.found(0);
        assert_eq!(small.hints(true), 0);
    }
}
