//! The receiving end of a ring of fixed-size messages.

use super::rhythm::Rhythm;
use super::shape::{COUNT_LIMIT, Cursor, END, Shape};
use super::{Condemn, Corruption, Halt, hands_back};
use crate::layout::{LINE64, READ, Role, SEQUENCE};
use crate::memory::{Memory, Window, at};
use crate::observe;
use bytemuck::Pod;

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
    cursor: Cursor,
    read: u64,
    known: u64,
}

/// The receiving end.
#[derive(Debug)]
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct SlotRx<M> {
    ring: Window<M>,
    shape: Shape,
    /// Where the next message is.
    cursor: Cursor,
    /// Its sequence number.
    read: u64,
    /// Messages below this are known to be there; at most the end of the group.
    known: u64,
    rhythm: Rhythm,
    hands_back: bool,
    halt: Halt,
    /// How many groups further on a line is asked for by a consumer far behind; less than a lap, 0 for none.
    ahead: u64,
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
        let ahead = if shape.group_bytes > LINE64 { 0 } else { AHEAD_BEHIND.min(shape.groups - 1) };
        let (cursor, hands_back, halt) = (shape.cursor(read), true, Halt::No);
        Ok(Self { ring, shape, cursor, read, known: read, rhythm, hands_back, halt, ahead })
    }

    /// Looks at the next messages without taking them.
    #[inline(always)]
    pub fn poll(&mut self) -> SlotPoll {
        if self.has_next() { SlotPoll::Messages(self.known - self.read) } else { self.examine() }
    }

    /// Whether the next message is known to be there, without a look at shared memory. Apart from `poll` so that the fast
    /// path stays in registers.
    #[inline(always)]
    pub fn has_next(&mut self) -> bool {
        self.known > self.read || self.has_more()
    }

    /// Looks once, for messages and nothing else. Apart, so that the fast path is small enough to become part of its
    /// caller's loop.
    #[inline(never)]
    fn has_more(&mut self) -> bool {
        if self.read == self.cursor.end {
            self.cursor.turn(&self.shape);
        }
        if self.rhythm.is_quiet(self.read) {
            let ring = &self.ring;
            self.rhythm.let_run_ahead(self.read, || ring.load(SEQUENCE, at::PACE));
        }
        let count = self.ring.load_at(self.cursor.word, at::POLL) & !END;
        // A count in the past, or one too far ahead to be true, makes a large difference as well.
        let there = count.wrapping_sub(self.read).wrapping_sub(1) < self.shape.depth && self.halt == Halt::No;
        if there {
            self.known = count.min(self.cursor.end);
            if count >= self.cursor.end {
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
        self.ring.store_at(self.cursor.word, self.cursor.end, at::HAND_BACK);
        for line in 1..self.shape.group_bytes / LINE64 {
            let place = self.cursor.word + line * LINE64;
            self.ring.store_at(place, self.ring.load_at(place, at::HAND_BACK_LOAD), at::HAND_BACK);
        }
    }

    /// Far enough behind the producer the line of a later group can be asked for early. Close behind that would take away
    /// what it is about to write.
    #[inline(always)]
    fn expect_more(&mut self) {
        if self.ahead != 0 && self.rhythm.is_behind(self.cursor.end + (self.ahead + 1) * self.shape.group) {
            self.ring.expect_load_at(self.cursor.word_ahead(self.ahead, &self.shape));
        }
    }

    /// What there is when there are no messages.
    #[inline(never)]
    fn examine(&mut self) -> SlotPoll {
        if self.halt != Halt::No {
            return self.halted();
        }
        let word = self.ring.load_at(self.cursor.word, at::POLL);
        let count = word & !END;
        if count > self.read && count - self.read > self.shape.depth {
            self.halt = Halt::Corrupt(Corruption::Word);
            observe::corrupt(self.ring.memory().path(), Role::Consumer, Corruption::Word);
            return self.halted();
        }
        if word & END != 0 && count == self.read {
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
        self.cursor.slot(self.read, &self.shape)
    }

    /// Copies the next message.
    #[inline(always)]
    pub fn copy_out(&self, into: &mut [u8]) {
        debug_assert_eq!(into.len() as u64, self.shape.size);
        let stride = into.len().next_multiple_of(8) as u64;
        self.ring.copy_out_at(self.cursor.slot_of(self.read, stride), into);
    }

    /// Copies the messages that are there, as many as fit, and moves on behind them as `skip` does; with one copy for each
    /// group, where they lie there as they do in the slice. Returns how many.
    pub fn copy_slice<P: Pod>(&mut self, into: &mut [P]) -> usize {
        debug_assert_eq!(size_of::<P>() as u64, self.shape.size);
        let mut got = 0;
        while got < into.len()
            && let SlotPoll::Messages(there) = self.poll()
        {
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
        let first = self.read;
        let end = first + self.shape.depth.min(most as u64);
        while self.read < end && self.has_next() {
            let until = self.known.min(end);
            let (cursor, stride) = (self.cursor, size_of::<P>().next_multiple_of(8) as u64);
            while self.read < until {
                let mut message = P::zeroed();
                let place = cursor.slot_of(self.read, stride);
                self.ring.copy_out_at(place, bytemuck::bytes_of_mut(&mut message));
                each(message);
                self.read += 1;
            }
        }
        (self.read - first) as usize
    }

    /// Some messages of one group that are known to be there.
    #[inline(always)]
    fn copy_group<P: Pod>(&mut self, into: &mut [P]) {
        let (place, stride) = (self.place(), size_of::<P>().next_multiple_of(8));
        if size_of::<P>() == stride {
            self.ring.copy_out_at(place, bytemuck::cast_slice_mut(into));
        } else {
            for (i, message) in into.iter_mut().enumerate() {
                self.ring.copy_out_at(place + (i * stride) as u64, bytemuck::bytes_of_mut(message));
            }
        }
        self.read += into.len() as u64;
    }

    /// Moves on to the next message, in private; `settle` makes it final.
    #[inline(always)]
    pub fn skip(&mut self) {
        // The next look turns to the next group, if this was the last of one.
        self.read += 1;
    }

    /// Where a look ahead starts: at the next message.
    pub fn ahead(&self) -> SlotAhead {
        SlotAhead { cursor: self.cursor, read: self.read, known: self.known }
    }

    /// The next message further on, its place and sequence number, if it is there; nothing is taken. At most the depth,
    /// as no honest producer has more there at a time.
    pub fn look_ahead(&mut self, ahead: &mut SlotAhead) -> Option<(u64, u64)> {
        if ahead.read - self.read >= self.shape.depth {
            return None;
        }
        let (here, halt) = (self.ahead(), self.halt);
        self.go_to(ahead);
        let found = match self.poll() {
            SlotPoll::Messages(_) => Some((self.place(), self.read)),
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
        (self.cursor, self.read, self.known) = (ahead.cursor, ahead.read, ahead.known);
    }

    /// Stores what was taken; says whether this is a good moment to look for a sleeping producer: when no more is known to
    /// be there.
    #[inline(always)]
    pub fn settle(&mut self) -> bool {
        self.ring.store(READ, self.read, at::GIVE_BACK);
        self.read >= self.known
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
        self.read
    }

    /// Messages published and not taken, as the producer last said, at least what is known to be there.
    pub fn pending(&self) -> u64 {
        match super::shape::find_sequence(&self.ring, &self.shape, at::OBSERVE) {
            Ok((sent, _)) => sent.saturating_sub(self.read).min(self.shape.depth),
            Err(_) => self.known - self.read,
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
        self.cursor.end
    }

    /// What it knows without looking at the memory.
    #[cfg(feature = "testing")]
    pub fn private(&self) -> [u64; 2] {
        [self.read, self.known]
    }
}

impl<M> Condemn for SlotRx<M> {
    fn condemn(&mut self, what: Corruption) {
        self.halt = Halt::Corrupt(what);
        self.known = self.read;
    }
}
