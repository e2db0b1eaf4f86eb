//! The receiving end of a ring of fixed-size messages.

use super::backoff::Rhythm;
use super::shape::{COUNT_LIMIT, END, Shape};
use super::{Condemn, Corruption, Halt, hands_back};
use crate::layout::{LINE64, READ, Role, SEQUENCE};
use crate::memory::{Block, Groups, Memory, Row, Spot, Window, at};
use crate::observe;
use bytemuck::Pod;
use std::mem::MaybeUninit;

/// How many lines further on a consumer asks for one, while it is behind.
const AHEAD_BEHIND: u64 = 2;

/// What the consumer finds at its read position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotPoll {
    /// This many messages, at least 1, one behind the other.
    Messages(u64),
    /// Nothing yet.
    Empty,
    /// End of data.
    Finished,
    /// Nonsense.
    Corrupt(Corruption),
}

/// How far someone has looked beyond what is taken. Only a [`SlotRx::take_to`] makes it count.
#[derive(Clone, Copy, Debug)]
pub struct SlotAhead {
    row: Row,
}

/// The receiving end.
#[derive(Debug)]
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct SlotRx<M> {
    ring: Window<M>,
    shape: Shape,
    groups: Groups,
    /// Where the next message is. Open are those of its group that are known to be there.
    row: Row,
    /// Where `READ` is stored.
    read_word: Spot,
    rhythm: Rhythm,
    hands_back: bool,
    halt: Halt,
    /// How many bytes further on a line is asked for by a consumer far behind; less than a lap.
    ahead: u64,
    /// How many messages the producer must be ahead of the group for that; more than it ever is for none.
    behind: u64,
}

impl<M: Memory> SlotRx<M> {
    /// Takes over from whoever held the end before, dead or left; the caller holds the role. There is nothing to repair:
    /// the one word that a consumer stores says it all.
    pub fn attach(ring: Window<M>, shape: Shape) -> Result<Self, Corruption> {
        let read = ring.load(READ, at::RECOVER);
        let sent = ring.load(SEQUENCE, at::RECOVER);
        let far = read.abs_diff(sent) > shape.depth + shape.group;
        if shape.capacity > ring.capacity() || read > COUNT_LIMIT || far {
            return Err(Corruption::Position);
        }
        let shape = shape.placed(&ring);
        let rhythm = Rhythm::new(read, shape.group, shape.group_bytes, shape.capacity);
        // Processors ask for the lines of larger groups by themselves.
        let groups = if shape.group_bytes > LINE64 { 0 } else { AHEAD_BEHIND.min(shape.groups - 1) };
        let ahead = groups * shape.group_bytes;
        let behind = if groups == 0 { COUNT_LIMIT } else { (groups + 1) * shape.group };
        let (cursor, read_word, hands_back, halt) = (shape.cursor(read), ring.spot(READ), true, Halt::No);
        let groups = shape.groups(&ring).ok_or(Corruption::Position)?;
        let row = groups.row(cursor.word, cursor.end, read);
        Ok(Self { ring, shape, groups, row, read_word, rhythm, hands_back, halt, ahead, behind })
    }

    /// Looks at the next messages without taking them.
    #[inline(always)]
    pub fn poll(&mut self) -> SlotPoll {
        if self.has_next() { SlotPoll::Messages(self.row.left()) } else { self.examine() }
    }

    /// Whether the next message is known to be there, without a look at shared memory. Apart from `poll` so that the fast
    /// path stays in registers.
    #[inline(always)]
    pub fn has_next(&mut self) -> bool {
        self.row.has_next() || self.has_more()
    }

    /// The place of the next message, if it is known or found to be there. As `has_next`.
    #[inline(always)]
    pub fn find(&mut self) -> Option<Block> {
        match self.groups.place(&self.row) {
            None if self.has_more() => self.groups.place(&self.row),
            found => found,
        }
    }

    /// Looks once, for messages and nothing else. Apart, so that the fast path is small enough to become part of its
    /// caller's loop.
    #[inline(never)]
    fn has_more(&mut self) -> bool {
        if self.row.is_over() {
            self.groups.turn(&mut self.row);
        }
        if self.rhythm.is_quiet(self.row.next()) {
            let ring = &self.ring;
            self.rhythm.let_run_ahead(self.row.next(), || ring.load(SEQUENCE, at::PACE));
        }
        let count = self.ring.load_spot(self.row.word(), at::POLL) & !END;
        // A count in the past, or one too far ahead to be true, makes a large difference as well.
        let there =
            count.wrapping_sub(self.row.next()).wrapping_sub(1) < self.shape.depth && self.halt == Halt::No;
        if there {
            self.groups.open(&mut self.row, count);
            if count >= self.row.end() {
                if self.hands_back {
                    self.hand_back();
                }
                self.expect_more();
            }
        }
        there
    }

    /// Stores each line of a group that is full once more, with what it holds: a line that was only read stays with both ends,
    /// and the producer's next store there would first have to take it away from this one, while a line that was written
    /// moves over whole. As long as one message of the group is not taken, the producer stores nothing there, not even the
    /// end, so these stores undo nothing; and whoever sees them, or some of them, sees nothing new.
    #[inline(always)]
    fn hand_back(&mut self) {
        self.ring.hand_back_group(&self.groups, &self.row, self.row.end());
    }

    /// Far enough behind the producer the line of a later group can be asked for early. Close behind that would take away
    /// what it is about to write.
    #[inline(always)]
    fn expect_more(&mut self) {
        if self.rhythm.is_behind(self.row.end() + self.behind) {
            self.ring.expect_load_at(self.groups.ahead(&self.row, self.ahead));
        }
    }

    /// What there is when there are no messages.
    #[inline(never)]
    fn examine(&mut self) -> SlotPoll {
        if self.halt != Halt::No {
            return self.halted();
        }
        let word = self.ring.load_spot(self.row.word(), at::POLL);
        let count = word & !END;
        if count > self.row.next() && count - self.row.next() > self.shape.depth {
            self.halt = Halt::Corrupt(Corruption::Word);
            observe::corrupt(self.ring.memory().path(), Role::Consumer, Corruption::Word);
            return self.halted();
        }
        if word & END != 0 && count == self.row.next() {
            self.halt = Halt::Finished;
            return self.halted();
        }
        SlotPoll::Empty
    }

    #[cold]
    fn halted(&self) -> SlotPoll {
        match self.halt {
            Halt::No => SlotPoll::Empty,
            Halt::Finished => SlotPoll::Finished,
            Halt::Corrupt(what) => SlotPoll::Corrupt(what),
        }
    }

    /// Where the next message is.
    #[inline(always)]
    pub fn place(&self) -> u64 {
        self.groups.next_place(&self.row)
    }

    /// Copies the next message.
    #[inline(always)]
    pub fn copy_out(&self, into: &mut [u8]) {
        debug_assert_eq!(into.len() as u64, self.shape.size);
        if let Some(place) = self.groups.place(&self.row) {
            self.ring.take_out(&place, 0, into);
        }
    }

    /// Copies what `find` has found, to where nothing was before.
    #[inline(always)]
    pub fn read<P: Pod>(&self, place: &Block, into: &mut MaybeUninit<P>) {
        debug_assert_eq!(size_of::<P>() as u64, self.shape.size);
        self.ring.read_in(place, 0, into);
    }

    /// Copies the messages that are there, as many as fit, and moves on behind them as `skip` does; with one copy for each
    /// group, where they lie there as they do in the slice. Returns how many.
    pub fn copy_slice<P: Pod>(&mut self, into: &mut [P]) -> usize {
        debug_assert_eq!(size_of::<P>() as u64, self.shape.size);
        let mut got = 0;
        while got < into.len() {
            let SlotPoll::Messages(there) = self.poll() else { break };
            let end = got + (into.len() - got).min(there as usize);
            self.copy_group(&mut into[got..end]);
            got = end;
        }
        got
    }

    /// Hands over the messages that are there, at most so many and at most the depth, and moves on behind each as `skip` does
    /// once `each` has returned. Returns how many.
    pub fn drain<P: Pod>(&mut self, most: usize, mut each: impl FnMut(P)) -> usize {
        debug_assert_eq!(size_of::<P>() as u64, self.shape.size);
        let first = self.row.next();
        let end = first + self.shape.depth.min(most as u64);
        while self.row.next() < end && self.has_next() {
            while self.row.next() < end {
                let Some(place) = self.groups.place(&self.row) else { break };
                each(self.ring.value_in(&place, 0));
                self.skip();
            }
        }
        (self.row.next() - first) as usize
    }

    /// Some messages of one group that are known to be there.
    #[inline(always)]
    fn copy_group<P: Pod>(&mut self, into: &mut [P]) {
        let Some(places) = self.groups.places(&self.row, into.len()) else { return };
        let stride = size_of::<P>().next_multiple_of(8);
        if size_of::<P>() == stride {
            self.ring.take_out(&places, 0, bytemuck::cast_slice_mut(into));
        } else {
            for (i, message) in into.iter_mut().enumerate() {
                self.ring.take_out(&places, (i * stride) as u64, bytemuck::bytes_of_mut(message));
            }
        }
        self.row.step_over(into.len());
    }

    /// Moves on to the next message, in private; `settle` makes it final.
    #[inline(always)]
    pub fn skip(&mut self) {
        // The next look turns to the next group, if this was the last of one.
        self.row.step();
    }

    /// Where a look ahead starts: at the next message.
    pub fn ahead(&self) -> SlotAhead {
        SlotAhead { row: self.row }
    }

    /// The next message further on, its place and sequence number, if it is there; nothing is taken. At most the depth,
    /// as no honest producer has more there at a time.
    pub fn look_ahead(&mut self, ahead: &mut SlotAhead) -> Option<(u64, u64)> {
        if ahead.row.next() - self.row.next() >= self.shape.depth {
            return None;
        }
        let (here, halt) = (self.ahead(), self.halt);
        self.go_to(ahead);
        let found = match self.poll() {
            SlotPoll::Messages(_) => Some((self.place(), self.row.next())),
            SlotPoll::Empty | SlotPoll::Finished | SlotPoll::Corrupt(_) => None,
        };
        if found.is_some() {
            self.skip();
        }
        *ahead = self.ahead();
        // Whatever lies ahead, end of data or damage, is found again once everything before it is taken.
        self.halt = halt;
        self.go_to(&here);
        found
    }

    /// Takes all that was looked at. As [`SlotRx::settle`].
    pub fn take_to(&mut self, ahead: &SlotAhead) -> bool {
        self.go_to(ahead);
        self.settle()
    }

    fn go_to(&mut self, ahead: &SlotAhead) {
        self.row = ahead.row;
    }

    /// Stores what was taken; says whether this is a good moment to look for a sleeping producer: when no more is known to
    /// be there.
    #[inline(always)]
    pub fn settle(&mut self) -> bool {
        self.ring.store_spot(self.read_word, self.row.next(), at::GIVE_BACK);
        !self.row.has_next()
    }

    /// Whether a look that finds nothing may wait a little.
    pub fn set_adaptive(&mut self, yes: bool) {
        self.rhythm.set_adaptive(yes);
    }

    /// Whether both ends are known to share a cache.
    pub fn set_shared_cache(&mut self, yes: bool) {
        self.hands_back = hands_back(self.ring.capacity(), yes);
    }

    /// Sequence number of the next message.
    pub fn sequence(&self) -> u64 {
        self.row.next()
    }

    /// Messages published and not taken, as the producer last said, at least what is known to be there.
    pub fn pending(&self) -> u64 {
        match super::shape::find_sequence(&self.ring, &self.shape, at::OBSERVE) {
            Ok((sent, _)) => sent.saturating_sub(self.row.next()).min(self.shape.depth),
            Err(_) => self.row.left(),
        }
    }

    /// Sizes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether it still works.
    pub fn halt(&self) -> Halt {
        self.halt
    }

    /// The memory view.
    pub fn window(&self) -> &Window<M> {
        &self.ring
    }

    /// Where the group ends that it is in.
    #[cfg(feature = "testing")]
    pub fn group_end(&self) -> u64 {
        self.row.end()
    }

    /// What it knows without looking at the memory.
    #[cfg(feature = "testing")]
    pub fn private(&self) -> [u64; 2] {
        [self.row.next(), self.row.stop()]
    }
}

impl<M> Condemn for SlotRx<M> {
    fn condemn(&mut self, what: Corruption) {
        self.halt = Halt::Corrupt(what);
        self.row.close();
    }
}
