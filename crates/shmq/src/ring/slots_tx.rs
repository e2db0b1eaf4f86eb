//! The sending end of a ring of fixed-size messages.
//!
//! A message is published by its group's word, stored after its bytes. A batch stores the words of its later groups first
//! and that of its first group last: receivers take messages in order, so they see all of it or none. Before that, a crash
//! leaves only words that run ahead; `DIRTY` bounds them and a successor sets them back. Message bytes that were
//! never published need no care: nothing points to them.

use super::rhythm::Room;
use super::shape::{COUNT_LIMIT, Cursor, END, Shape, find_sequence};
use super::{AHEAD, Condemn, Corruption, Halt, Refused};
use crate::layout::{DIRTY, READ, Role, SEQUENCE};
use crate::memory::{Memory, Window, at};
use crate::observe;
use bytemuck::Pod;
use std::hint::cold_path;

/// What is filled but not yet published.
#[derive(Clone, Copy, Debug)]
pub struct SlotDraft {
    cursor: Cursor,
    sequence: u64,
}

/// The sending end.
#[derive(Debug)]
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct SlotTx<M> {
    ring: Window<M>,
    shape: Shape,
    /// Where the next message goes.
    cursor: Cursor,
    /// Its sequence number.
    sequence: u64,
    /// One message after the other goes out without a further look until `sequence` gets here: the end of the group or
    /// the limit, whatever comes first; `sequence` itself when there is something to do before.
    stop: u64,
    /// Messages may be sent while `sequence` is below this: the consumer's `READ` when last looked at, plus the depth.
    /// Stale only in that more may be allowed by now. Zero once the ring is finished or corrupt.
    limit: u64,
    /// Words may run ahead up to here; `sequence` or less when none does.
    soiled: u64,
    /// How many groups further on lines are asked for; less than a lap, 0 for none.
    ahead: u64,
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
        // What ran ahead when a predecessor died is set back by the first draft. Whoever finished has done that; to do it again
        // would erase the end.
        let soiled = if finished { sequence } else { dirty };
        // Blocks of more than half of that are copied by instructions that see to their lines themselves.
        let ahead = if shape.stride > AHEAD / 2 { 0 } else { AHEAD.div_ceil(shape.group_bytes) };
        let room = Room::new(sequence, shape.depth, shape.capacity);
        let tx = Self { ring, shape, cursor, sequence, stop: sequence, limit, soiled, ahead, halt, room };
        tx.ring.fence(at::ROOM_FENCE);
        tx.ring.store(SEQUENCE, sequence, at::RECOVER_SEQUENCE);
        Ok(tx)
    }

    /// Sets back the words that run ahead: of every group that begins behind this one's first message.
    #[cold]
    fn undo(&mut self) {
        let mut cursor = self.cursor;
        // With the next message the first of its group, that group's own word may run ahead as well.
        let mut begin = cursor.end - self.shape.group;
        while begin < self.soiled {
            if begin >= self.sequence {
                self.ring.store_at(cursor.word, begin, at::LATER_WORD);
            }
            begin = cursor.end;
            cursor.turn(&self.shape);
        }
        self.soiled = self.sequence;
        self.ring.fence(at::UNDO_LOG);
    }

    /// Starts a draft; sets back what a forgotten one left, or one that died.
    #[inline(always)]
    pub fn begin(&mut self) -> SlotDraft {
        if self.sequence == self.cursor.end {
            self.turn();
        }
        if self.soiled > self.sequence {
            self.undo();
        }
        // Whatever comes of the draft, the next single message looks first.
        self.stop = self.sequence;
        SlotDraft { cursor: self.cursor, sequence: self.sequence }
    }

    /// On to the next group, which a single message leaves to the one after it.
    #[inline(always)]
    fn turn(&mut self) {
        self.ring.fence(at::COMMIT_LOG);
        self.ring.store(SEQUENCE, self.sequence, at::SEQUENCE);
        self.cursor.turn(&self.shape);
        self.ask_ahead(&self.cursor);
    }

    /// Asks for the lines of a later group. They are the consumer's, from the last lap; to ask for them early hides the way.
    /// Not for messages that may not be written yet: the consumer still reads there.
    #[inline(always)]
    fn ask_ahead(&self, cursor: &Cursor) {
        if self.ahead != 0 && cursor.end + self.ahead * self.shape.group <= self.limit {
            let word = cursor.word_ahead(self.ahead, &self.shape);
            self.ring.expect_stores_at(word, self.shape.group_bytes);
        }
    }

    /// Whether `messages` more than the draft has can be published now.
    #[inline(always)]
    pub fn reserve(&mut self, draft: &SlotDraft, messages: u64) -> Result<(), Refused> {
        let end = draft.sequence.saturating_add(messages);
        if end > self.limit { self.look_for_room(end, draft) } else { Ok(()) }
    }

    #[cold]
    fn look_for_room(&mut self, end: u64, draft: &SlotDraft) -> Result<(), Refused> {
        match self.halt {
            Halt::No => {}
            Halt::Finished => return Err(Refused::Finished),
            Halt::Corrupt(what) => return Err(Refused::Corrupt(what)),
        }
        if end - self.sequence > self.shape.depth {
            return Err(Refused::TooLarge);
        }
        self.look()?;
        debug_assert!(draft.sequence >= self.sequence);
        if end > self.limit { Err(Refused::Full) } else { Ok(()) }
    }

    /// Looks for more room than was known, after a while if that may pay.
    fn look(&mut self) -> Result<(), Refused> {
        self.room.pause(self.sequence);
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
        if read > self.sequence || limit < self.limit || self.sequence > COUNT_LIMIT {
            self.halt = Halt::Corrupt(Corruption::Position);
            observe::corrupt(self.ring.memory().path(), Role::Producer, Corruption::Position);
            // For single messages, too, which do not look as long as they stay below `stop`.
            (self.limit, self.stop) = (0, 0);
            return Err(Refused::Corrupt(Corruption::Position));
        }
        self.limit = limit;
        self.ring.fence(at::ROOM_FENCE);
        Ok(())
    }

    /// Where the next message of the draft goes.
    #[inline(always)]
    pub fn place(&self, draft: &SlotDraft) -> u64 {
        draft.cursor.slot(draft.sequence, &self.shape)
    }

    /// Writes the next message of the draft: `size` bytes.
    #[inline(always)]
    pub fn fill(&mut self, draft: &SlotDraft, bytes: &[u8]) {
        debug_assert_eq!(bytes.len() as u64, self.shape.size);
        self.ring.copy_in_at(self.place(draft), bytes);
    }

    /// Ends one message of a batch. The word of a group behind the first is stored when the group is full or the batch
    /// is published; the first group's word is stored by `publish`.
    #[inline(always)]
    pub fn seal(&mut self, draft: &mut SlotDraft) {
        self.seal_some(draft, 1);
    }

    /// The same of messages of one group.
    #[inline(always)]
    fn seal_some(&mut self, draft: &mut SlotDraft, messages: u64) {
        draft.sequence += messages;
        if draft.sequence != draft.cursor.end {
            return;
        }
        if self.is_group_full(draft) {
            self.run_ahead(&draft.cursor, draft.sequence);
        }
        draft.cursor.turn(&self.shape);
        self.ask_ahead(&draft.cursor);
    }

    /// Whether the draft has come to another group than the one it began in, which then is full.
    #[inline(always)]
    pub fn is_group_full(&self, draft: &SlotDraft) -> bool {
        draft.cursor.end != self.cursor.end
    }

    /// Stores a word of a group behind the first, for which nothing is published yet.
    fn run_ahead(&mut self, group: &Cursor, count: u64) {
        if count > self.soiled {
            self.soiled = count;
            self.ring.store(DIRTY, count, at::DIRTY);
            self.ring.fence(at::DIRTY_LOG);
        }
        self.ring.store_at(group.word, count, at::LATER_WORD);
    }

    /// Makes the whole draft visible at once; returns the sequence number of its first message.
    #[inline(always)]
    pub fn publish(&mut self, draft: SlotDraft) -> u64 {
        let first = self.sequence;
        if draft.sequence == first {
            return first;
        }
        if draft.sequence > self.cursor.end && draft.sequence + self.shape.group != draft.cursor.end {
            // The last group is begun but not full: its word is still to be stored.
            self.run_ahead(&draft.cursor, draft.sequence);
        }
        self.ring.store_at(self.cursor.word, draft.sequence.min(self.cursor.end), at::COMMIT);
        if self.is_group_full(&draft) {
            self.ring.fence(at::COMMIT_LOG);
            self.ring.store(SEQUENCE, draft.sequence, at::SEQUENCE);
        }
        (self.cursor, self.sequence) = (draft.cursor, draft.sequence);
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
        let SlotDraft { mut cursor, mut sequence } = self.begin();
        while !rest.is_empty() {
            let some = self.copy_to_group(&cursor, sequence, rest);
            sequence += some as u64;
            self.publish_group(&mut cursor, sequence);
            rest = &rest[some..];
        }
        (self.cursor, self.sequence, self.stop) = (cursor, sequence, sequence);
        Ok(sent)
    }

    /// Publishes a group's messages up to this number, and goes on to the next group if that was all of it.
    #[inline(always)]
    fn publish_group(&self, cursor: &mut Cursor, sequence: u64) {
        self.ring.store_at(cursor.word, sequence, at::COMMIT);
        if sequence == cursor.end {
            self.ring.fence(at::COMMIT_LOG);
            self.ring.store(SEQUENCE, sequence, at::SEQUENCE);
            cursor.turn(&self.shape);
            self.ask_ahead(cursor);
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
        let (first, mut looked) = (self.sequence, false);
        // As for a slice. The iterator may panic: what this end knows is always what is published.
        let SlotDraft { mut cursor, mut sequence } = self.begin();
        while messages.size_hint().1 != Some(0) {
            let end = cursor.end.min(self.limit);
            if sequence >= end {
                if looked {
                    break;
                }
                looked = true;
                match self.look() {
                    Err(refused) if sequence == first => return Err(refused),
                    _ => continue,
                }
            }
            let begin = sequence;
            while sequence < end
                && let Some(message) = messages.next()
            {
                let place = cursor.slot_of(sequence, size_of::<P>().next_multiple_of(8) as u64);
                self.ring.copy_in_at(place, bytemuck::bytes_of(&message));
                sequence += 1;
            }
            if sequence == begin {
                break;
            }
            self.publish_group(&mut cursor, sequence);
            (self.cursor, self.sequence, self.stop) = (cursor, sequence, sequence);
        }
        Ok((sequence - first) as usize)
    }

    /// All of these messages or none; returns the number of the first.
    pub fn try_send_batch<P: Pod>(&mut self, messages: &[P]) -> Result<u64, Refused> {
        let mut draft = self.begin();
        self.reserve(&draft, messages.len() as u64)?;
        let mut rest = messages;
        while !rest.is_empty() {
            let some = self.copy_to_group(&draft.cursor, draft.sequence, rest);
            self.seal_some(&mut draft, some as u64);
            rest = &rest[some..];
        }
        Ok(self.publish(draft))
    }

    /// Copies as many of these messages as the group has room for from this number on, at once where they lie in the group as
    /// they do in the slice; returns how many.
    #[inline(always)]
    fn copy_to_group<P: Pod>(&self, group: &Cursor, sequence: u64, messages: &[P]) -> usize {
        debug_assert_eq!(size_of::<P>() as u64, self.shape.size);
        let some = messages.len().min((group.end - sequence) as usize);
        let (place, stride) = (group.slot(sequence, &self.shape), size_of::<P>().next_multiple_of(8));
        if size_of::<P>() == stride {
            self.ring.copy_in_at(place, bytemuck::cast_slice(&messages[..some]));
        } else {
            for (i, message) in messages[..some].iter().enumerate() {
                self.ring.copy_in_at(place + (i * stride) as u64, bytemuck::bytes_of(message));
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
        self.ring.store_at(self.cursor.word, self.sequence | END, at::FINISH);
        self.halt = Halt::Finished;
        self.limit = 0;
        Ok(())
    }

    /// One message in one call. What `begin`, `reserve`, `fill`, `seal` and `publish` come to for a draft of one: no
    /// second group, so nothing runs ahead.
    #[inline(always)]
    pub fn try_send(&mut self, message: &[u8]) -> Result<u64, Refused> {
        debug_assert_eq!(message.len() as u64, self.shape.size);
        self.need_room()?;
        let place = self.cursor.slot_of(self.sequence, message.len().next_multiple_of(8) as u64);
        self.ring.copy_in_at(place, message);
        Ok(self.commit())
    }

    /// Room for one message, which is to be written at `next_place` and published by `commit`.
    #[inline(always)]
    pub fn need_room(&mut self) -> Result<(), Refused> {
        if self.sequence >= self.stop {
            cold_path();
            self.make_way()?;
        }
        Ok(())
    }

    /// Where the next message goes, once there is room for it.
    #[inline(always)]
    pub fn next_place(&self) -> u64 {
        self.cursor.slot(self.sequence, &self.shape)
    }

    /// Publishes the next message; returns its number. The place behind it needs room anew.
    #[inline(always)]
    pub fn commit(&mut self) -> u64 {
        let sequence = self.sequence;
        debug_assert!(sequence < self.stop);
        self.sequence = sequence + 1;
        self.ring.store_at(self.cursor.word, sequence + 1, at::COMMIT);
        sequence
    }

    /// Apart, so that the fast path is small enough to become part of its caller's loop and saves no registers.
    #[inline(never)]
    fn make_way(&mut self) -> Result<(), Refused> {
        let full = self.sequence == self.cursor.end;
        if full && self.sequence < self.limit && self.soiled <= self.sequence {
            // The common reason to stop: there is room in the next group.
            self.turn();
            self.stop = self.limit.min(self.cursor.end);
            return Ok(());
        }
        self.make_ready()
    }

    /// All other reasons.
    #[inline(never)]
    fn make_ready(&mut self) -> Result<(), Refused> {
        let draft = self.begin();
        self.reserve(&draft, 1)?;
        self.stop = self.limit.min(self.cursor.end);
        Ok(())
    }

    /// Sequence number of the next message.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Messages sent and not yet taken.
    pub fn pending(&self) -> u64 {
        self.sequence.saturating_sub(self.ring.load(READ, at::OBSERVE)).min(self.shape.depth)
    }

    /// Whether the consumer has taken the message of this number.
    pub fn is_taken(&self, sequence: u64) -> bool {
        self.ring.load(READ, at::OBSERVE) > sequence
    }

    /// Messages that can be sent now, as far as this end knows.
    pub fn room(&self) -> u64 {
        self.limit.saturating_sub(self.sequence)
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
    pub fn private(&self) -> [u64; 4] {
        [self.sequence, self.stop, self.limit, self.soiled]
    }
}

impl<M> Condemn for SlotTx<M> {
    fn condemn(&mut self, what: Corruption) {
        self.halt = Halt::Corrupt(what);
        (self.limit, self.stop) = (0, 0);
    }
}
