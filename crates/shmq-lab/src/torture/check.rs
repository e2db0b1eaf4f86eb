//! Compares every message with what was sent, and notes what was taken before and after each step that a kill may cut short.

use super::note::{Note, Taking, Wrong};
use super::stage::{Stage, linger};
use crate::args::Plant;
use shmq_tool::failure::Failure;

/// What one life of the consumer has seen.
#[derive(Debug)]
pub struct Check<'a> {
    stage: &'a Stage,
    taking: Taking,
    /// The first fault found: what, how many, in which words.
    wrong: Option<(Wrong, u64, String)>,
    /// Planted: the next receive is not looked at.
    looks_away: bool,
}

impl<'a> Check<'a> {
    /// Goes on where the predecessor was.
    pub fn begin(stage: &'a Stage, next: u64) -> Result<Self, Failure> {
        let before = Taking::read(&stage.page);
        if let Some(wrong) = before.verdict(next) {
            let count = next.abs_diff(before.next).max(1);
            return Err(stage.found(
                wrong,
                count,
                format!("is to go on with message {next} after {before:?}"),
            ));
        }
        stage.page.add(Note::Again, before.next.saturating_sub(next));
        let this = Self { stage, taking: Taking::done(next), wrong: None, looks_away: false };
        this.taking.write(&stage.page);
        Ok(this)
    }

    /// The number of the message that comes next.
    pub fn next(&self) -> u64 {
        self.taking.next
    }

    /// Planted: does not see what comes next.
    pub fn look_away(&mut self) {
        self.looks_away = true;
    }

    /// Planted: keeps what it says to take.
    pub fn keeps_all(&self) -> bool {
        self.stage.plant == Some(Plant::NeverTake)
    }

    /// Up to so many messages are about to be copied out and taken, in one call.
    pub fn copying(&mut self, messages: u64) {
        self.taking.doubt = messages;
        self.note();
    }

    /// One of them.
    pub fn copied(&mut self, number: u64, bytes: &[u8]) {
        if self.see(number, bytes) {
            self.taking.doubt = self.taking.doubt.saturating_sub(1);
            self.note();
        }
    }

    /// A message in place, which is not yet taken.
    pub fn in_place(&mut self, number: u64, bytes: &[u8]) {
        if self.see(number, bytes) {
            self.taking.open += 1;
            self.note();
            linger(number);
        }
    }

    /// What was seen in place is taken.
    pub fn released(&mut self) {
        self.taking.open = 0;
        self.note();
    }

    /// It is not, and comes again.
    pub fn kept(&mut self) {
        if !self.keeps_all() {
            self.taking.next -= self.taking.open;
        }
        self.taking.open = 0;
        self.note();
    }

    /// An operation is over, with or without a message.
    pub fn settle(&mut self) -> Result<(), Failure> {
        self.looks_away = false;
        if let Some((wrong, count, text)) = self.wrong.take() {
            return Err(self.stage.found(wrong, count, text));
        }
        self.taking = Taking::done(self.taking.next);
        self.note();
        Ok(())
    }

    /// It had none: so no batch is under way, of which all must be there if anything is.
    pub fn nothing_came(&self) -> Result<(), Failure> {
        let next = self.taking.next;
        let unit = self.stage.messages.unit(next);
        if unit.first == next {
            return Ok(());
        }
        let text = format!("message {next} of the batch {}..{} is missing", unit.first, unit.end());
        Err(self.stage.found(Wrong::Split, 1, text))
    }

    fn note(&self) {
        self.taking.write(&self.stage.page);
    }

    /// Whether the message counts.
    fn see(&mut self, number: u64, bytes: &[u8]) -> bool {
        if self.looks_away {
            return false;
        }
        let next = self.taking.next;
        let found = if number > next {
            Some((Wrong::Lost, number - next, format!("message {number} came, and {next} was next")))
        } else if number < next {
            Some((Wrong::OutOfOrder, 1, format!("message {number} came, and {next} was next")))
        } else {
            let fault = self.stage.messages.fault(number, bytes);
            fault.map(|fault| (Wrong::Torn, 1, format!("message {number} {fault}")))
        };
        self.wrong = self.wrong.take().or(found);
        self.stage.page.add(Note::Bytes, bytes.len() as u64);
        self.taking.next = number + 1;
        true
    }
}
