//! The sending end of a ring of fixed-size messages.
//!
//! A message is published by its group's word, stored after its bytes. A batch stores the words of its later groups first
//! and that of its first group last: receivers take messages in order, so they see all of it or none. Before that, a crash
//! leaves only words that run ahead; `DIRTY` bounds them and a successor sets them back. Message bytes that were
//! never published need no care: nothing points to them.

use super::backoff::Room;
use super::shape::{COUNT_LIMIT, END, Shape, find_sequence};
use super::{AHEAD, Condemn, Corruption, Halt, Refused};
use crate::layout::{DIRTY, READ, Role, SEQUENCE};
use crate::memory::cold_path;
use crate::memory::{Groups, Memory, Row, Spot, Window, at};
use crate::observe;
use bytemuck::Pod;

/// What is filled but not yet published.
#[derive(Clone, Copy, Debug)]
pub struct SlotDraft {
    row: Row,
}

/// The sending end.
#[derive(Debug)]
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct SlotTx<M> {
    ring: Window<M>,
    shape: Shape,
    groups: Groups,
    /// Where the next message goes. Open are the places to which single messages go without a further look: up to the end of the group
    /// or the limit, whatever comes first; none when there is something to do before.
    row: Row,
    /// Where `SEQUENCE` is stored.
    sequence_word: Spot,
    /// Messages may be sent while their numbers are below this: the consumer's `READ` when last looked at, plus the depth.
    /// Stale only in that more may be allowed by now. Zero once the ring is finished or corrupt.
    limit: u64,
    /// Words may run ahead up to here; the next number or less when none does.
    soiled: u64,
    /// How far on lines are asked for, in messages; less than a lap, and more than there ever are for none.
    ahead: u64,
    /// The same in bytes.
    ahead_bytes: u64,
    halt: Halt,
    /// When to look for room again.
    room: Room,
}

impl<M: Memory> SlotTx<M> {
    /// Takes over from whoever held the end before, dead or left; the caller holds the role.
    pub fn attach(ring: Window<M>, shape: Shape) -> Result<Self, Corruption> {
        if shape.capacity > ring.capacity() {
            return Err(Corruption::Position);
        }
        let shape = shape.placed(&ring);
        let (sequence, finished) = find_sequence(&ring, &shape, at::WALK)?;
        let read = ring.load(READ, at::WALK_READ);
        let dirty = ring.load(DIRTY, at::RECOVER);
        if read > sequence || sequence - read > shape.depth || dirty.saturating_sub(sequence) > shape.depth {
            return Err(Corruption::Position);
        }
        let halt = if finished { Halt::Finished } else { Halt::No };
        let limit = if finished { 0 } else { read + shape.depth };
        let cursor = shape.cursor(sequence);
        let groups = shape.groups(&ring).ok_or(Corruption::Position)?;
        // What ran ahead when a predecessor died is set back by the first draft. Whoever finished has done that; to do it again
        // would erase the end.
        let soiled = if finished { sequence } else { dirty };
        // Blocks of more than half of that are copied by instructions that see to their lines themselves.
        let far = if shape.stride > AHEAD / 2 { 0 } else { AHEAD.div_ceil(shape.group_bytes) };
        let ahead = if far == 0 { COUNT_LIMIT } else { far * shape.group };
        let ahead_bytes = far * shape.group_bytes;
        let room = Room::new(sequence, shape.depth, shape.capacity);
        let (row, sequence_word) = (groups.row(cursor.word, cursor.end, sequence), ring.spot(SEQUENCE));
        let tx =
            Self { ring, shape, groups, row, sequence_word, limit, soiled, ahead, ahead_bytes, halt, room };
        tx.ring.fence(at::ROOM_FENCE);
        tx.ring.store(SEQUENCE, sequence, at::RECOVER_SEQUENCE);
        Ok(tx)
    }

    /// Sets back the words that run ahead: of every group that begins behind this one's first message.
    #[cold]
    fn undo(&mut self) {
        let mut row = self.row;
        // With the next message the first of its group, that group's own word may run ahead as well.
        let mut begin = row.end() - self.shape.group;
        while begin < self.soiled {
            if begin >= self.row.next() {
                self.ring.store_spot(row.word(), begin, at::LATER_WORD);
            }
            begin = row.end();
            self.groups.turn(&mut row);
        }
        self.soiled = self.row.next();
        self.ring.fence(at::UNDO_LOG);
    }

    /// Starts a draft; sets back what a forgotten one left, or one that died.
    #[inline(always)]
    pub fn begin(&mut self) -> SlotDraft {
        if self.row.is_over() {
            self.turn();
        }
        if self.soiled > self.row.next() {
            self.undo();
        }
        // Whatever comes of the draft, the next single message looks first.
        self.row.close();
        let mut row = self.row;
        self.groups.open(&mut row, u64::MAX);
        SlotDraft { row }
    }

    /// On to the next group, which a single message leaves to the one after it.
    #[inline(always)]
    fn turn(&mut self) {
        self.ring.fence(at::COMMIT_LOG);
        self.ring.store_spot(self.sequence_word, self.row.next(), at::SEQUENCE);
        self.groups.turn(&mut self.row);
        self.ask_ahead(&self.row);
    }

    /// Asks for the lines of a later group. They are the consumer's, from the last lap; to ask for them early hides the way.
    /// Not for messages that may not be written yet: the consumer still reads there.
    #[inline(always)]
    fn ask_ahead(&self, row: &Row) {
        if row.end() + self.ahead <= self.limit {
            self.ring.expect_stores_at(self.groups.ahead(row, self.ahead_bytes), self.shape.group_bytes);
        }
    }

    /// Whether `messages` more than the draft has can be published now.
    #[inline(always)]
    pub fn reserve(&mut self, draft: &SlotDraft, messages: u64) -> Result<(), Refused> {
        let end = draft.row.next().saturating_add(messages);
        if end > self.limit { self.look_for_room(end, draft) } else { Ok(()) }
    }

    #[cold]
    fn look_for_room(&mut self, end: u64, draft: &SlotDraft) -> Result<(), Refused> {
        match self.halt {
            Halt::No => {}
            Halt::Finished => return Err(Refused::Finished),
            Halt::Corrupt(what) => return Err(Refused::Corrupt(what)),
        }
        if end - self.row.next() > self.shape.depth {
            return Err(Refused::TooLarge);
        }
        self.look()?;
        debug_assert!(draft.row.next() >= self.row.next());
        if end > self.limit { Err(Refused::Full) } else { Ok(()) }
    }

    /// Looks for more room than was known, after a while if that may pay.
    fn look(&mut self) -> Result<(), Refused> {
        self.room.pause(self.row.next());
        let before = self.limit;
        self.refresh()?;
        self.room.found(self.limit.saturating_sub(before));
        Ok(())
    }

    /// Looks at what the consumer has taken.
    pub fn refresh(&mut self) -> Result<(), Refused> {
        match self.halt {
            Halt::No => {}
            Halt::Finished => return Ok(()),
            Halt::Corrupt(what) => return Err(Refused::Corrupt(what)),
        }
        let read = self.ring.load(READ, at::FREE_LOAD);
        let limit = read.wrapping_add(self.shape.depth);
        // It only grows, and not beyond what was sent.
        if read > self.row.next() || limit < self.limit || self.row.next() > COUNT_LIMIT {
            self.halt = Halt::Corrupt(Corruption::Position);
            observe::corrupt(self.ring.memory().path(), Role::Producer, Corruption::Position);
            // For single messages, too, which do not look as long as the row has places.
            self.limit = 0;
            self.row.close();
            return Err(Refused::Corrupt(Corruption::Position));
        }
        self.limit = limit;
        self.ring.fence(at::ROOM_FENCE);
        Ok(())
    }

    /// Writes the next message of the draft: `size` bytes.
    #[inline(always)]
    pub fn fill(&mut self, draft: &SlotDraft, bytes: &[u8]) {
        debug_assert_eq!(bytes.len() as u64, self.shape.size);
        if let Some(place) = self.groups.place(&draft.row) {
            self.ring.fill_in(&place, 0, bytes);
        }
    }

    /// Ends one message of a batch. The word of a group behind the first is stored when the group is full or the batch
    /// is published; the first group's word is stored by `publish`.
    #[inline(always)]
    pub fn seal(&mut self, draft: &mut SlotDraft) {
        self.seal_some(draft, 1);
    }

    /// The same of messages of one group.
    #[inline(always)]
    fn seal_some(&mut self, draft: &mut SlotDraft, messages: usize) {
        draft.row.step_over(messages);
        if !draft.row.is_over() {
            return;
        }
        if self.is_group_full(draft) {
            self.run_ahead(&draft.row);
        }
        self.groups.turn(&mut draft.row);
        self.groups.open(&mut draft.row, u64::MAX);
        self.ask_ahead(&draft.row);
    }

    /// Whether the draft has come to another group than the one it began in, which then is full.
    #[inline(always)]
    pub fn is_group_full(&self, draft: &SlotDraft) -> bool {
        draft.row.end() != self.row.end()
    }

    /// Stores a word of a group behind the first, for which nothing is published yet.
    fn run_ahead(&mut self, row: &Row) {
        let count = row.next();
        if count > self.soiled {
            self.soiled = count;
            self.ring.store(DIRTY, count, at::DIRTY);
            self.ring.fence(at::DIRTY_LOG);
        }
        self.ring.store_spot(row.word(), count, at::LATER_WORD);
    }

    /// Makes the whole draft visible at once; returns the sequence number of its first message.
    #[inline(always)]
    pub fn publish(&mut self, draft: SlotDraft) -> u64 {
        let (first, next) = (self.row.next(), draft.row.next());
        if next == first {
            return first;
        }
        if next > self.row.end() && next + self.shape.group != draft.row.end() {
            // The last group is begun but not full: its word is still to be stored.
            self.run_ahead(&draft.row);
        }
        self.ring.store_spot(self.row.word(), next.min(self.row.end()), at::COMMIT);
        if self.is_group_full(&draft) {
            self.ring.fence(at::COMMIT_LOG);
            self.ring.store_spot(self.sequence_word, next, at::SEQUENCE);
        }
        self.row = draft.row;
        self.row.close();
        first
    }

    /// As many of these messages as there is room for, each group published as it gets full; returns how many.
    pub fn try_send_slice<P: Pod>(&mut self, messages: &[P]) -> Result<usize, Refused> {
        if self.room() < messages.len() as u64 {
            self.look()?;
        }
        let sent = messages.len().min(self.room() as usize);
        let mut rest = &messages[..sent];
        // What a draft that was given up left is set back first. From there on in registers: each store counts.
        let mut row = self.begin().row;
        while !rest.is_empty() {
            let some = self.copy_to_group(&row, rest);
            row.step_over(some);
            self.publish_group(&mut row);
            rest = &rest[some..];
        }
        self.row = row;
        self.row.close();
        Ok(sent)
    }

    /// Publishes a group's messages up to the next one, and goes on to the next group if that was all of it.
    #[inline(always)]
    fn publish_group(&self, row: &mut Row) {
        self.ring.store_spot(row.word(), row.next(), at::COMMIT);
        if row.is_over() {
            self.ring.fence(at::COMMIT_LOG);
            self.ring.store_spot(self.sequence_word, row.next(), at::SEQUENCE);
            self.groups.turn(row);
            self.groups.open(row, u64::MAX);
            self.ask_ahead(row);
        }
    }

    /// As many messages of an iterator as there is room for, written where they go and each group published as it gets full;
    /// returns how many. One for which there is no room is not asked for. Looks for room once at most, so that a
    /// consumer that keeps up does not make it endless.
    pub fn try_send_iter<P: Pod>(
        &mut self,
        messages: &mut impl Iterator<Item = P>,
    ) -> Result<usize, Refused> {
        debug_assert_eq!(size_of::<P>() as u64, self.shape.size);
        let (first, mut looked) = (self.row.next(), false);
        // As for a slice. The iterator may panic: what this end knows is always what is published.
        let mut row = self.begin().row;
        while messages.size_hint().1 != Some(0) {
            self.groups.open(&mut row, self.limit);
            let begin = row.next();
            if !row.has_next() {
                if looked {
                    break;
                }
                looked = true;
                match self.look() {
                    Err(refused) if begin == first => return Err(refused),
                    _ => continue,
                }
            }
            while let Some(place) = self.groups.place(&row) {
                let Some(message) = messages.next() else { break };
                self.ring.fill_in(&place, 0, bytemuck::bytes_of(&message));
                row.step();
            }
            if row.next() == begin {
                break;
            }
            self.publish_group(&mut row);
            self.row = row;
            self.row.close();
        }
        Ok((self.row.next() - first) as usize)
    }

    /// All of these messages or none; returns the number of the first.
    pub fn try_send_batch<P: Pod>(&mut self, messages: &[P]) -> Result<u64, Refused> {
        let mut draft = self.begin();
        self.reserve(&draft, messages.len() as u64)?;
        let mut rest = messages;
        while !rest.is_empty() {
            let some = self.copy_to_group(&draft.row, rest);
            self.seal_some(&mut draft, some);
            rest = &rest[some..];
        }
        Ok(self.publish(draft))
    }

    /// Copies as many of these messages as the row has open places, at once where they lie in the group as they do in the slice;
    /// returns how many.
    #[inline(always)]
    fn copy_to_group<P: Pod>(&self, row: &Row, messages: &[P]) -> usize {
        debug_assert_eq!(size_of::<P>() as u64, self.shape.size);
        let some = messages.len().min(row.left() as usize);
        let Some(places) = self.groups.places(row, some) else { return 0 };
        let stride = size_of::<P>().next_multiple_of(8);
        if size_of::<P>() == stride {
            self.ring.fill_in(&places, 0, bytemuck::cast_slice(&messages[..some]));
        } else {
            for (i, message) in messages[..some].iter().enumerate() {
                self.ring.fill_in(&places, (i * stride) as u64, bytemuck::bytes_of(message));
            }
        }
        some
    }

    /// Declares the end of data. Needs no room.
    pub fn finish(&mut self) -> Result<(), Refused> {
        match self.halt {
            Halt::No => {}
            Halt::Finished => return Err(Refused::Finished),
            Halt::Corrupt(what) => return Err(Refused::Corrupt(what)),
        }
        let _ = self.begin();
        self.ring.store_spot(self.row.word(), self.row.next() | END, at::FINISH);
        self.halt = Halt::Finished;
        self.limit = 0;
        Ok(())
    }

    /// One message in one call. What `begin`, `reserve`, `fill`, `seal` and `publish` come to for a draft of one: no
    /// second group, so nothing runs ahead.
    #[inline(always)]
    pub fn try_send(&mut self, message: &[u8]) -> Result<u64, Refused> {
        debug_assert_eq!(message.len() as u64, self.shape.size);
        let place = match self.groups.place(&self.row) {
            Some(place) => place,
            None => {
                cold_path();
                self.make_way()?;
                self.groups.place(&self.row).ok_or(Refused::TooLarge)?
            }
        };
        self.ring.fill_in(&place, 0, message);
        Ok(self.commit())
    }

    /// Room for one message, which is to be written at `next_place` and published by `commit`.
    #[inline(always)]
    pub fn need_room(&mut self) -> Result<(), Refused> {
        if !self.row.has_next() {
            cold_path();
            self.make_way()?;
        }
        Ok(())
    }

    /// Where the next message goes, once there is room for it.
    #[inline(always)]
    pub fn next_place(&self) -> u64 {
        self.groups.next_place(&self.row)
    }

    /// Publishes the next message; returns its number. The place behind it needs room anew.
    #[inline(always)]
    pub fn commit(&mut self) -> u64 {
        debug_assert!(self.row.has_next());
        let sequence = self.row.next();
        self.row.step();
        self.ring.store_spot(self.row.word(), sequence + 1, at::COMMIT);
        sequence
    }

    /// Apart, so that the fast path is small enough to become part of its caller's loop and saves no registers.
    #[inline(never)]
    fn make_way(&mut self) -> Result<(), Refused> {
        if self.row.is_over() && self.row.next() < self.limit && self.soiled <= self.row.next() {
            // The common reason to stop: there is room in the next group.
            self.turn();
            self.open();
            return Ok(());
        }
        self.make_ready()
    }

    /// All other reasons.
    #[inline(never)]
    fn make_ready(&mut self) -> Result<(), Refused> {
        let draft = self.begin();
        self.reserve(&draft, 1)?;
        self.open();
        Ok(())
    }

    /// Single messages go to what is left of the group from here on.
    #[inline(always)]
    fn open(&mut self) {
        self.groups.open(&mut self.row, self.limit);
    }

    /// Sequence number of the next message.
    pub fn sequence(&self) -> u64 {
        self.row.next()
    }

    /// Messages sent and not yet taken.
    pub fn pending(&self) -> u64 {
        self.row.next().saturating_sub(self.ring.load(READ, at::OBSERVE)).min(self.shape.depth)
    }

    /// Whether the consumer has taken the message of this number.
    pub fn is_taken(&self, sequence: u64) -> bool {
        self.ring.load(READ, at::OBSERVE) > sequence
    }

    /// Messages that can be sent now, as far as this end knows.
    pub fn room(&self) -> u64 {
        self.limit.saturating_sub(self.row.next())
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
    pub fn private(&self) -> [u64; 4] {
        [self.row.next(), self.row.stop(), self.limit, self.soiled]
    }
}

impl<M> Condemn for SlotTx<M> {
    fn condemn(&mut self, what: Corruption) {
        self.halt = Halt::Corrupt(what);
        self.limit = 0;
        self.row.close();
    }
}
