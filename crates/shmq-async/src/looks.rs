//! To look for a while before one is woken: to have the kernel wake a task takes many times as long as a message takes.
//!
//! An await that finds nothing looks again, and lets all other tasks of its executor run between two looks, for as long as being
//! woken would take. That costs that much processor time if nothing comes, so an end learns: each time that looking was in
//! vain it is left out for twice as many awaits, up to 255, and each time that it paid it is done again. So a peer that
//! answers soon is heard soon, and one that sends now and then costs next to nothing. Nor does looking on a processor that
//! the peer would need.

use std::time::{Duration, Instant};

/// How long, if nobody said.
const DEFAULT: Duration = Duration::from_micros(50);
/// At most so long: whoever looks hears of no death.
const LONGEST: Duration = Duration::from_millis(10);
/// So many awaits at most between two tries.
const SELDOM: u16 = 255;
/// Looks in a row, without letting others run.
pub const ON_END: usize = 16;

/// What an end knows of looking.
#[derive(Debug)]
pub struct Looks {
    /// What somebody said.
    asked: Option<Duration>,
    state: State,
    /// Awaits until the next try.
    until_try: u16,
    /// The same after the last one.
    pause: u16,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// It waits for nothing.
    Idle,
    /// It looks, without having asked what time it is.
    Begun,
    /// It looks, until then.
    Until(Instant),
    /// It is woken.
    Over,
}

impl Looks {
    pub fn new() -> Self {
        Self { asked: None, state: State::Idle, until_try: 0, pause: 0 }
    }

    pub fn set(&mut self, spin: Duration) {
        (self.asked, self.state) = (Some(spin.min(LONGEST)), State::Idle);
    }

    /// Nothing was found: whether to look on.
    pub fn begin(&mut self) -> bool {
        if let State::Idle = self.state {
            self.state = if self.tries() { State::Begun } else { State::Over };
        }
        !matches!(self.state, State::Over)
    }

    /// Still nothing was found: whether to look again, when others have run.
    pub fn go_on(&mut self) -> bool {
        match self.state {
            State::Begun => {
                self.state = State::Until(Instant::now() + self.asked.unwrap_or(DEFAULT));
                true
            }
            State::Until(end) if Instant::now() < end => true,
            State::Until(_) => {
                (self.state, self.pause) = (State::Over, (2 * self.pause + 1).min(SELDOM));
                self.until_try = self.pause;
                false
            }
            State::Idle | State::Over => false,
        }
    }

    /// Something was found.
    pub fn found(&mut self) {
        if let State::Begun | State::Until(_) = self.state {
            self.pause = 0;
        }
        self.state = State::Idle;
    }

    fn tries(&mut self) -> bool {
        match self.asked {
            Some(spin) => !spin.is_zero(),
            None if self.until_try > 0 => {
                self.until_try -= 1;
                false
            }
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries among so many awaits of which each finds nothing in time.
    fn tries(looks: &mut Looks, awaits: u32) -> u32 {
        (0..awaits).fold(0, |tries, _| {
            let tried = looks.tries();
            if tried {
                looks.state = State::Until(Instant::now());
                assert!(!looks.go_on());
            }
            looks.found();
            tries + u32::from(tried)
        })
    }

    #[test]
    fn what_is_in_vain_is_done_less_and_less() {
        let mut looks = Looks::new();
        assert_eq!(tries(&mut looks, 1 + 1 + 1 + 3 + 1 + 7 + 1 + 15 + 1 + 31), 5);
        assert_eq!(tries(&mut looks, 1 + 63 + 1 + 127 + 256 * 10), 12);
        // One that paid.
        looks.state = State::Until(Instant::now() + Duration::from_secs(1));
        assert!(looks.go_on());
        looks.found();
        looks.until_try = 0;
        assert_eq!(tries(&mut looks, 1 + 1), 1);
    }

    #[test]
    fn what_was_asked_for_is_done() {
        let mut looks = Looks::new();
        looks.set(Duration::ZERO);
        assert!(!looks.begin() && !looks.go_on());
        looks.found();
        looks.set(Duration::from_micros(1));
        assert_eq!(tries(&mut looks, 100), 100);
        looks.set(Duration::MAX);
        assert!(looks.begin() && looks.go_on() && looks.begin() && looks.go_on());
        std::thread::sleep(LONGEST);
        assert!(!looks.go_on());
    }
}
