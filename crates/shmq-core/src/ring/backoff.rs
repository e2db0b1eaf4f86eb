//! When to look again: a consumer that has caught up with a stream must not stay at its producer's heels.
//!
//! A consumer that takes the very line the producer is filling takes it away again and again, and both wait for line
//! transfers. Some lines behind, each works on lines that the other has done with, and the transfers overlap. So a consumer
//! that has taken all it knew of looks how far the producer has got, and lets it run ahead: it waits a little and looks
//! once more, and for as long as a stream goes on it waits a little longer each time, until some lines lie between the two.
//!
//! In a round trip nothing comes but the one message, and each wait would be added to its latency. So the first wait is
//! short, it is followed by another only if something came, and each trial that fails doubles the number of messages until
//! the next. Streams get their distance, round trips keep their latency.
//!
//! Where lines take long, a stream is slow at first even if it is let alone: the consumer's processor has fetched lines ahead
//! of it, which the producer has to take back one at a time. So a trial goes on at a quarter of the speed that counts
//! in the end; and if it never gets there, as the producer has other things to do, the next is far off.

use super::distance;
use crate::layout::CACHE_LINE;

/// The first wait, in spin hints; one takes 10 to 40 ns on the machines of today. Less than a round trip takes.
const TRIAL: u64 = 4;
/// A stream may be so many times slower at first.
const PATIENCE: u64 = 4;
/// The longest of the waits, each of which is twice the one before.
const LONGEST_WAIT: u64 = 64;
/// Waits on end, at most.
const WAITS: u32 = 8;
/// A line in so many hints is a stream.
const HINTS_PER_LINE: u64 = 4;
/// A look takes the line with its position away from the producer, which may be so many hints without it, and then stands.
const HINTS_PER_LOOK: u64 = 16;
/// So many quiet moments at most between two trials that cost little.
const SELDOM: u32 = 63;
/// The same of trials that took long and did not pay.
const VERY_SELDOM: u32 = 4095;
/// So many lines between the two ends are enough, or a quarter of the ring.
const DISTANCE: u64 = 512;
/// With less of a distance than this there is nothing to gain.
const LEAST_DISTANCE: u64 = 16;

/// So many bytes are not taken faster than a hint takes.
const BYTES_PER_HINT: u64 = 1024;
/// The longest wait for room, in hints.
const LONGEST: u64 = 64;
/// So many messages are a run: more than a pair of messages that always travel together.
const RUN: u64 = 4;

/// What a consumer remembers of the stream. Positions are of its ring: messages or bytes.
#[derive(Clone, Debug)]
pub struct CatchUpBackoff {
    /// Where the consumer was in the last quiet moment, when it had taken all it knew of.
    quiet: u64,
    /// Where the producer was when it was last looked at.
    lead: u64,
    /// Quiet moments until the next trial.
    until_trial: u32,
    /// The same after the last trial.
    pause: u32,
    adaptive: bool,
    /// Positions that come at once, at least, if any do.
    step: u64,
    /// Lines that they take.
    lines: u64,
    /// Distance that is worth waiting for, in positions; 0 in a ring too small for that.
    enough: u64,
}

impl CatchUpBackoff {
    /// For a consumer at this position of a ring of so many bytes, where `step` positions share `bytes` bytes.
    pub fn new(read: u64, step: u64, bytes: u64, capacity: u64) -> Self {
        let lines = (bytes / CACHE_LINE).max(1);
        let distance = (capacity / 4 / CACHE_LINE).min(DISTANCE);
        let enough = if distance < LEAST_DISTANCE { 0 } else { (distance * step / lines).max(step) };
        let (until_trial, pause, adaptive) = (0, 0, true);
        Self { quiet: read, lead: read, until_trial, pause, adaptive, step, lines, enough }
    }

    /// Whether to wait at all.
    pub fn set_adaptive(&mut self, yes: bool) {
        (self.until_trial, self.pause, self.adaptive) = (0, 0, yes);
    }

    /// Whether this is a quiet moment: a consumer at this position has taken something since the last one, and all it
    /// knew of.
    #[inline(always)]
    pub fn is_quiet(&self, read: u64) -> bool {
        read != self.quiet && distance(self.lead, read) <= 0
    }

    /// Whether the producer is known to have come as far as this.
    #[inline(always)]
    pub fn is_behind(&self, position: u64) -> bool {
        distance(self.lead, position) >= 0
    }

    /// Whether a consumer at this position may go on without [`CatchUpBackoff::let_run_ahead`]: this is no quiet moment, or one without a
    /// trial, which then is over.
    #[inline(always)]
    pub fn lets_pass(&mut self, read: u64) -> bool {
        if !self.is_quiet(read) {
            return true;
        }
        let passes = !self.adaptive || self.enough == 0 || self.until_trial > 0;
        if passes {
            self.quiet = read;
            self.until_trial = self.until_trial.saturating_sub(1);
        }
        passes
    }

    /// In a quiet moment: lets the producer run ahead if that may pay. `look` tells where it is; what it says is believed
    /// as far as the pace goes.
    #[inline(never)]
    pub fn let_run_ahead(&mut self, read: u64, mut look: impl FnMut() -> u64) {
        self.quiet = read;
        if !self.adaptive || self.enough == 0 {
            return;
        }
        if self.until_trial > 0 {
            self.until_trial -= 1;
            return;
        }
        self.lead = look();
        let is_enough = |lead| distance(lead, read) >= self.enough as i64;
        let (mut hints, mut waits, mut fast) = (TRIAL, 0, false);
        while waits < WAITS && !is_enough(self.lead) {
            (0..hints).for_each(|_| std::hint::spin_loop());
            let before = std::mem::replace(&mut self.lead, look());
            let came = distance(self.lead, before);
            fast = hints > HINTS_PER_LOOK && came >= self.worth(hints) as i64;
            if came < self.worth(hints / PATIENCE) as i64 {
                break;
            }
            waits += 1;
            hints = (2 * hints).min(LONGEST_WAIT);
        }
        self.pause = match self.pause {
            _ if fast || is_enough(self.lead) => 0,
            pause if hints > HINTS_PER_LOOK => (8 * pause + SELDOM).min(VERY_SELDOM),
            pause => (2 * pause + 1).min(SELDOM).max(pause),
        };
        self.until_trial = self.pause;
    }

    /// What has to come of a wait of so many hints.
    fn worth(&self, hints: u64) -> u64 {
        (hints / HINTS_PER_LINE * self.step / self.lines).max(self.step)
    }
}

/// When a producer looks for room again.
///
/// Its consumer stores what it has taken after every message or run, and each look takes that line away from it. A producer
/// that looks as soon as its room is used up finds little more, and both go from one transfer of the line to the next. So
/// if the last look found little, it waits until there may be more, and a quarter of that if hardly a message was sent in
/// between: whoever finds the queue full and tries again at once takes the line away as well.
#[derive(Clone, Debug)]
pub struct FullBackoff {
    /// Number of the next message at the last look.
    looked: u64,
    /// Whether that look found little.
    little: bool,
    /// What a quarter of the ring is: messages or bytes, whatever the room is counted in.
    quarter: u64,
    /// Hints of a wait.
    hints: u64,
}

impl FullBackoff {
    /// For a producer whose next message has this number, in a ring that holds `all` of what room is counted in.
    pub fn new(sequence: u64, all: u64, capacity: u64) -> Self {
        // A part of what taking all of it would take, so that small queues never run empty for this.
        let hints = (capacity / BYTES_PER_HINT).min(LONGEST);
        Self { looked: sequence, little: false, quarter: all / 4, hints }
    }

    /// Before a look of a producer whose next message has this number: waits if that may pay.
    #[inline(never)]
    pub fn pause(&mut self, sequence: u64) {
        for _ in 0..self.due(sequence) {
            std::hint::spin_loop();
        }
    }

    /// How long to wait before this look.
    fn due(&mut self, sequence: u64) -> u64 {
        let run = sequence.wrapping_sub(self.looked) >= RUN;
        self.looked = sequence;
        self.hints(run)
    }

    fn hints(&self, run: bool) -> u64 {
        match self.little {
            true if run => self.hints,
            true => self.hints / 4,
            false => 0,
        }
    }

    /// The look found this much more room.
    pub fn found(&mut self, more: u64) {
        self.little = more < self.quarter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring of slots of 8 bytes.
    fn backoff() -> CatchUpBackoff {
        CatchUpBackoff::new(0, 7, CACHE_LINE, 1 << 20)
    }

    /// How many of so many quiet moments were used for a look, by a consumer that finds `run` messages each time, of
    /// which the producer sends `more` while it is looked at once.
    fn looks(backoff: &mut CatchUpBackoff, moments: u64, run: u64, more: u64) -> u64 {
        let (from, mut used) = (backoff.quiet, 0);
        for n in 1..=moments {
            let read = from + n * run;
            let (mut sent, mut looked) = (read, 0);
            assert!(backoff.is_quiet(read));
            backoff.let_run_ahead(read, || {
                looked += 1;
                sent += more;
                sent - more
            });
            assert!(!backoff.is_quiet(read), "once is enough");
            // What was let run ahead is taken without a further look.
            backoff.quiet = read;
            backoff.lead = read;
            used += u64::from(looked > 0);
        }
        used
    }

    #[test]
    fn round_trips_hardly_wait() {
        for together in 1..RUN {
            let mut backoff = backoff();
            looks(&mut backoff, 200, together, 0);
            let later = looks(&mut backoff, 65 * 10, together, 0);
            assert_eq!(later, 10, "one trial in 65 moments, {together} messages together");
        }
    }

    #[test]
    fn what_comes_once_in_a_wait_is_no_stream() {
        let mut backoff = backoff();
        for n in 1..200 {
            let (mut sent, mut looks) = (n * 100, 0);
            backoff.let_run_ahead(n * 100, || {
                looks += 1;
                sent += if looks == 2 { 7 } else { 0 };
                sent
            });
            assert!(looks == 0 || looks == 3, "{looks}");
            backoff.lead = n * 100;
        }
        assert_eq!(backoff.pause, SELDOM);
    }

    #[test]
    fn streams_get_their_distance_every_time() {
        let mut backoff = CatchUpBackoff::new(u64::MAX - 2000, 7, CACHE_LINE, 1 << 20);
        for n in 1..100u64 {
            let read = (u64::MAX - 2000).wrapping_add(n * 900);
            let (mut sent, mut looks) = (read, 0);
            backoff.let_run_ahead(read, || {
                looks += 1;
                sent = sent.wrapping_add(1000);
                sent
            });
            assert_eq!(looks, 4, "until 512 lines of 7 messages lie between");
            assert!(!backoff.is_quiet(read.wrapping_add(899)));
        }
    }

    #[test]
    fn a_slow_stream_is_not_waited_for() {
        // A message of 8 bytes in 4 hints.
        let mut backoff = backoff();
        looks(&mut backoff, 200, 1, 1);
        assert_eq!(backoff.pause, SELDOM);
    }

    #[test]
    fn a_stream_that_is_slow_until_lines_have_moved_gets_its_distance() {
        let mut backoff = backoff();
        for n in 1..100u64 {
            // At first a line in a wait of any length, as where each line has to be taken away from the consumer.
            let (mut sent, mut looks) = (n * 5000, 0);
            backoff.let_run_ahead(n * 5000, || {
                looks += 1;
                sent += if looks < 5 { 14 } else { 2000 };
                sent
            });
            assert_eq!(looks, 6, "two fast waits are enough");
            (backoff.lead, backoff.quiet) = (n * 5000, n * 5000);
        }
    }

    #[test]
    fn a_trial_ends_when_too_little_comes_of_a_wait_and_costs_more_patience_the_longer_it_was() {
        let after = |comes: &[u64]| {
            let (mut backoff, mut comes, mut sent, mut looks) = (backoff(), comes.iter(), 100, 0);
            backoff.let_run_ahead(100, || {
                looks += 1;
                sent += comes.next().unwrap_or(&0);
                sent
            });
            (looks, backoff.pause)
        };
        // After waits of 4, 8, 16, 32 and 64 hints; a line in 16 of them is the least.
        assert_eq!(after(&[0]), (2, 1));
        assert_eq!(after(&[0, 7, 7, 0]), (4, 1));
        assert_eq!(after(&[0, 7, 7, 7, 0]), (5, SELDOM));
        assert_eq!(after(&[0, 7, 7, 7, 13]), (5, SELDOM));
        assert_eq!(after(&[0, 7, 7, 7, 14, 27]), (6, SELDOM));
        // Over 16 hints a line in four of them is a stream.
        assert_eq!(after(&[0, 7, 7, 7, 14, 28, 28, 28, 112]), (9, 0));
        assert_eq!(after(&[0, 7, 7, 7, 14, 28, 28, 28, 111]), (9, SELDOM));
    }

    #[test]
    fn a_stream_that_stays_slow_is_seldom_waited_for() {
        // A line in eight hints.
        let (mut backoff, mut used) = (backoff(), 0);
        for n in 1..100_000u64 {
            let (mut sent, mut hints, mut looks) = (n * 5000, TRIAL, 0);
            backoff.let_run_ahead(n * 5000, || {
                looks += 1;
                sent += if looks == 1 { 0 } else { 7 * (hints / 8).max(1) };
                hints = if looks == 1 { TRIAL } else { (2 * hints).min(LONGEST_WAIT) };
                sent
            });
            used += looks;
            backoff.lead = n * 5000;
        }
        assert!(used < 100_000 / 400, "{used} looks");
    }

    #[test]
    fn a_stream_that_follows_round_trips_is_noticed() {
        let mut backoff = backoff();
        looks(&mut backoff, 1000, 1, 0);
        let used = looks(&mut backoff, 1000, 100, 200);
        assert!(used >= 1000 - u64::from(SELDOM), "{used}");
    }

    #[test]
    fn nothing_new_small_rings_and_a_word_from_the_user_wait_for_nothing() {
        assert!(!backoff().is_quiet(0));
        let mut small = CatchUpBackoff::new(0, 7, CACHE_LINE, 4032);
        assert_eq!(looks(&mut small, 100, 10, 100), 0);
        let mut told = backoff();
        told.set_adaptive(false);
        assert_eq!(looks(&mut told, 100, 10, 100), 0);
    }

    #[test]
    fn a_quiet_moment_without_a_trial_passes_and_is_counted_once() {
        // Trials that fail, until there are three quiet moments between two of them.
        let mut backoff = backoff();
        let mut looks = 0;
        let mut run_ahead = |backoff: &mut CatchUpBackoff, read| {
            backoff.let_run_ahead(read, || {
                looks += 1;
                read
            });
            backoff.lead = read;
            std::mem::take(&mut looks)
        };
        assert!(!backoff.lets_pass(7), "the first trial is due");
        assert_eq!((run_ahead(&mut backoff, 7), backoff.pause), (2, 1));
        assert!(backoff.lets_pass(14) && backoff.lets_pass(14), "once is enough");
        assert_eq!((run_ahead(&mut backoff, 21), backoff.pause), (2, 3));
        assert!(backoff.lets_pass(28) && backoff.lets_pass(35) && backoff.lets_pass(42));
        assert!(!backoff.lets_pass(49), "and now the next one is");
        assert_eq!(run_ahead(&mut backoff, 49), 2);
        // Nothing to wait for: the producer is known to be further on.
        backoff.lead = 1000;
        assert!((56..900).step_by(7).all(|read| backoff.lets_pass(read)) && backoff.until_trial == 7);
        // Nor where nobody waits.
        let mut small = CatchUpBackoff::new(0, 7, CACHE_LINE, 4032);
        let mut told = backoff.clone();
        told.set_adaptive(false);
        assert!((7..7000).step_by(7).all(|read| small.lets_pass(read) && told.lets_pass(read)));
    }

    #[test]
    fn waits_are_bounded_whatever_the_producer_says() {
        for sent in [0, 1, 1000, u64::MAX / 2, u64::MAX] {
            let (mut backoff, mut looks) = (backoff(), 0);
            backoff.let_run_ahead(500, || {
                looks += 1;
                if looks % 2 == 0 { sent } else { sent.wrapping_add(10) }
            });
            assert!(looks <= WAITS + 1);
        }
        let large = CatchUpBackoff::new(0, 1, 1 << 20, 8 << 20);
        assert_eq!((large.enough, large.worth(LONGEST_WAIT)), (1, 1));
    }

    #[test]
    fn a_producer_pauses_only_if_its_last_look_found_little() {
        let mut room = FullBackoff::new(0, 320, 10 * BYTES_PER_HINT);
        assert_eq!(room.hints(true), 0, "nothing known yet");
        room.found(320);
        assert_eq!(room.hints(true), 0);
        room.found(79);
        assert_eq!((room.hints(true), room.hints(false)), (10, 2));
        room.found(80);
        assert_eq!(room.hints(true), 0, "a quarter is not little");
        room.found(79);
        // Four messages since the last look are a run, three are not.
        assert_eq!([3, 7, 11, 14, 14].map(|sequence| room.due(sequence)), [2, 10, 10, 2, 2]);
        let mut room = FullBackoff::new(0, 320, 12 * BYTES_PER_HINT);
        room.found(0);
        assert_eq!((room.hints(true), room.hints(false)), (12, 3));
        let mut large = FullBackoff::new(0, 1 << 30, 1 << 40);
        large.found(0);
        assert_eq!(large.hints(true), LONGEST);
        let mut small = FullBackoff::new(0, 31, BYTES_PER_HINT - 1);
        small.found(0);
        assert_eq!(small.hints(true), 0);
    }
}
