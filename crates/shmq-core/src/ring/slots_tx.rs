//! The sending end of a ring of fixed-size messages.
//!
//! A message is published by its group's word, stored after its bytes. A batch stores the words of its later groups first
//! and that of its first group last: receivers take messages in order, so they see all of it or none. Before that, a crash
//! leaves only words that run ahead; `DIRTY` bounds them and a successor sets them back. Message bytes that were
//! never published need no care: nothing points to them.

use super::backoff::FullBackoff;
use super::sequence::find_sequence;
use super::{AHEAD, Corruption, EndId, Mark, Origin, Poison, Refused, RingState, another_end, note};
use crate::layout::{CACHE_LINE, DIRTY, READ, Role, SEQUENCE};
use crate::memory::cold_path;
use crate::memory::{GroupCursor, Groups, Memory, Site, Span, Window, WordAddress, at};
use crate::observe;
use crate::slot_layout::{COUNT_LIMIT, END, SlotLayout};
use bytemuck::Pod;

/// What is filled but not yet published.
#[derive(Clone, Copy, Debug)]
pub struct SlotDraft {
    cursor: GroupCursor,
    /// The end that began it.
    end: EndId,
}

/// The sending end.
///
/// Invariant O: `ring` made every cursor and address in here. A draft comes back from outside: `own` sees to it that it is this end's.
#[derive(Debug)]
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct SlotTx<M> {
    ring: Window<M>,
    groups: Groups,
    id: EndId,
    /// Where the next message goes. Open are the places to which single messages go without a further look: up to the end of the group
    /// or the limit, whatever comes first; none when there is something to do before.
    cursor: GroupCursor,
    /// Where `SEQUENCE` is stored.
    sequence_word: WordAddress,
    /// Messages may be sent while their numbers are below this: the consumer's `READ` when last looked at, plus the depth.
    /// Stale only in that more may be allowed by now. Zero once the ring is finished or corrupt.
    limit: u64,
    /// Words may run ahead up to here; the next number or less when none does.
    dirty: u64,
    /// How far on lines are asked for, in messages; less than a lap, and more than there ever are for none.
    ahead: u64,
    /// The same in bytes.
    ahead_bytes: u64,
    state: RingState,
    /// When to look for room again.
    full: FullBackoff,
}

impl<M: Memory> SlotTx<M> {
    /// Takes over from whoever held the end before, dead or left; the caller holds the role.
    pub fn attach(ring: Window<M>, layout: SlotLayout) -> Result<Self, Corruption> {
        if layout.capacity > ring.capacity() {
            return Err(Corruption::Position);
        }
        let (sequence, finished) = find_sequence(&ring, &layout, at::WALK)?;
        let read = ring.load(READ, at::WALK_READ);
        let dirty = ring.load(DIRTY, at::RECOVER);
        if read > sequence || sequence - read > layout.depth || dirty.saturating_sub(sequence) > layout.depth
        {
            return Err(Corruption::Position);
        }
        let state = if finished { RingState::Finished } else { RingState::Open };
        let limit = if finished { 0 } else { read + layout.depth };
        let groups = ring.groups(&layout).ok_or(Corruption::Position)?;
        // What ran ahead when a predecessor died is set back by the first draft. Whoever finished has done that; to do it again
        // would erase the end.
        let dirty = if finished { sequence } else { dirty };
        let longest = u64::from(ring.memory().line_policy().longest_write_ahead) * CACHE_LINE;
        let far = if layout.stride > longest { 0 } else { AHEAD.div_ceil(layout.group_bytes) };
        let ahead = if far == 0 { COUNT_LIMIT } else { far * layout.group };
        let ahead_bytes = far * layout.group_bytes;
        let full = FullBackoff::new(sequence, layout.depth, layout.capacity);
        let (cursor, sequence_word, id) = (groups.cursor(sequence), ring.address(SEQUENCE), EndId::new());
        let tx =
            Self { ring, groups, id, cursor, sequence_word, limit, dirty, ahead, ahead_bytes, state, full };
        note::set_back(&tx.ring, sequence);
        tx.ring.fence(at::ROOM_FENCE);
        tx.ring.store(SEQUENCE, sequence, at::RECOVER_SEQUENCE);
        Ok(tx)
    }

    /// That a draft is this end's.
    #[inline(always)]
    fn own(&self, draft: &SlotDraft) {
        if draft.end != self.id {
            another_end();
        }
    }

    #[inline(always)]
    fn store_word(&self, cursor: &GroupCursor, word: u64, site: Site) {
        // SAFETY: invariant O.
        unsafe { self.ring.store_address(cursor.word(), word, site) }
    }

    #[inline(always)]
    fn store_sequence(&self, sequence: u64) {
        // SAFETY: invariant O.
        unsafe { self.ring.store_address(self.sequence_word, sequence, at::SEQUENCE) }
    }

    #[inline(always)]
    fn fill_span(&self, span: &Span, offset: u64, bytes: &[u8]) {
        // SAFETY: invariant O: spans are of cursors.
        unsafe { self.ring.fill_in(span, offset, bytes) }
    }

    /// Sets back the words that run ahead: of every group that begins behind this one's first message.
    #[cold]
    fn undo(&mut self) {
        let mut cursor = self.cursor;
        // With the next message the first of its group, that group's own word may run ahead as well.
        let mut begin = cursor.end() - self.groups.layout().group;
        while begin < self.dirty {
            if begin >= self.cursor.next() {
                self.store_word(&cursor, begin, at::LATER_WORD);
            }
            begin = cursor.end();
            self.groups.turn(&mut cursor);
        }
        self.dirty = self.cursor.next();
        self.ring.fence(at::UNDO_LOG);
    }

    /// Starts a draft; sets back what a forgotten one left, or one that died.
    #[inline(always)]
    pub fn begin(&mut self) -> SlotDraft {
        if self.cursor.is_over() {
            self.turn();
        }
        if self.dirty > self.cursor.next() {
            self.undo();
        }
        // Whatever comes of the draft, the next single message looks first.
        self.cursor.close();
        let mut cursor = self.cursor;
        self.groups.open(&mut cursor, u64::MAX);
        SlotDraft { cursor, end: self.id }
    }

    /// On to the next group, which a single message leaves to the one after it.
    #[inline(always)]
    fn turn(&mut self) {
        self.store_sequence(self.cursor.next());
        self.groups.turn(&mut self.cursor);
        self.ask_ahead(&self.cursor);
    }

    /// Asks for the lines of a later group. They are the consumer's, from the last lap; to ask for them early hides the way.
    /// Not for messages that may not be written yet: the consumer still reads there.
    #[inline(always)]
    fn ask_ahead(&self, cursor: &GroupCursor) {
        if cursor.end() + self.ahead <= self.limit {
            self.ring.expect_stores_at(
                self.groups.ahead(cursor, self.ahead_bytes),
                self.groups.layout().group_bytes,
            );
        }
    }

    /// Whether `messages` more than the draft has can be published now.
    #[inline(always)]
    pub fn reserve(&mut self, draft: &SlotDraft, messages: u64) -> Result<(), Refused> {
        self.own(draft);
        let end = draft.cursor.next().saturating_add(messages);
        if end > self.limit { self.look_for_room(end, draft) } else { Ok(()) }
    }

    #[cold]
    fn look_for_room(&mut self, end: u64, draft: &SlotDraft) -> Result<(), Refused> {
        match self.state {
            RingState::Open => {}
            RingState::Finished => return Err(Refused::Finished),
            RingState::Corrupt(what) => return Err(Refused::Corrupt(what)),
        }
        if end - self.cursor.next() > self.groups.layout().depth {
            return Err(Refused::TooLarge);
        }
        self.look()?;
        debug_assert!(draft.cursor.next() >= self.cursor.next());
        if end > self.limit { Err(Refused::Full) } else { Ok(()) }
    }

    /// Looks for more room than was known, after a while if that may pay.
    fn look(&mut self) -> Result<(), Refused> {
        self.full.pause(self.cursor.next());
        let before = self.limit;
        self.refresh()?;
        self.full.found(self.limit.saturating_sub(before));
        Ok(())
    }

    /// Looks at what the consumer has taken.
    pub fn refresh(&mut self) -> Result<(), Refused> {
        match self.state {
            RingState::Open => {}
            RingState::Finished => return Ok(()),
            RingState::Corrupt(what) => return Err(Refused::Corrupt(what)),
        }
        let read = self.ring.load(READ, at::FREE_LOAD);
        let limit = read.wrapping_add(self.groups.layout().depth);
        // It only grows, and not beyond what was sent.
        if read > self.cursor.next() || limit < self.limit || self.cursor.next() > COUNT_LIMIT {
            self.state = RingState::Corrupt(Corruption::Position);
            observe::corrupt(self.ring.memory().path(), Role::Producer, Corruption::Position);
            // For single messages, too, which do not look as long as the cursor has places.
            self.limit = 0;
            self.cursor.close();
            return Err(Refused::Corrupt(Corruption::Position));
        }
        self.limit = limit;
        self.ring.fence(at::ROOM_FENCE);
        Ok(())
    }

    /// Writes the next message of the draft: `size` bytes.
    #[inline(always)]
    pub fn fill(&mut self, draft: &SlotDraft, bytes: &[u8]) {
        debug_assert_eq!(bytes.len() as u64, self.groups.layout().size);
        self.own(draft);
        if let Some(place) = self.groups.place(&draft.cursor) {
            self.fill_span(&place, 0, bytes);
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
        self.own(draft);
        draft.cursor.step_over(messages);
        if !draft.cursor.is_over() {
            return;
        }
        if self.is_group_full(draft) {
            self.run_ahead(&draft.cursor);
        }
        self.groups.turn(&mut draft.cursor);
        self.groups.open(&mut draft.cursor, u64::MAX);
        self.ask_ahead(&draft.cursor);
    }

    /// Whether the draft has come to another group than the one it began in, which then is full.
    #[inline(always)]
    pub fn is_group_full(&self, draft: &SlotDraft) -> bool {
        draft.cursor.end() != self.cursor.end()
    }

    /// Stores a word of a group behind the first, for which nothing is published yet.
    fn run_ahead(&mut self, cursor: &GroupCursor) {
        let count = cursor.next();
        if count > self.dirty {
            self.dirty = count;
            self.ring.store(DIRTY, count, at::DIRTY);
            self.ring.fence(at::DIRTY_LOG);
        }
        self.store_word(cursor, count, at::LATER_WORD);
    }

    /// Makes the whole draft visible at once; returns the sequence number of its first message.
    #[inline(always)]
    pub fn publish(&mut self, draft: SlotDraft) -> u64 {
        self.own(&draft);
        let (first, next) = (self.cursor.next(), draft.cursor.next());
        if next == first {
            return first;
        }
        if next > self.cursor.end() && next + self.groups.layout().group != draft.cursor.end() {
            // The last group is begun but not full: its word is still to be stored.
            self.run_ahead(&draft.cursor);
        }
        self.store_word(&self.cursor, next.min(self.cursor.end()), at::COMMIT);
        if self.is_group_full(&draft) {
            self.store_sequence(next);
        }
        self.cursor = draft.cursor;
        self.cursor.close();
        first
    }

    /// The same with a mark, which counts if and only if the draft does. An empty draft has none.
    pub fn publish_marked(&mut self, draft: SlotDraft, mark: &[u8; 16]) -> u64 {
        self.own(&draft);
        let (sequence, end) = (self.cursor.next(), draft.cursor.next());
        if end != sequence {
            note::mark(&self.ring, sequence, end, mark);
        }
        self.publish(draft)
    }

    /// As many of these messages as there is room for, each group published as it gets full; returns how many.
    pub fn try_send_slice<P: Pod>(&mut self, messages: &[P]) -> Result<usize, Refused> {
        if self.room() < messages.len() as u64 {
            self.look()?;
        }
        let sent = messages.len().min(self.room() as usize);
        // What a draft that was given up left is set back first. From there on in registers: each store counts.
        let (mut cursor, groups) = (self.begin().cursor, self.groups);
        // To the end of a group, then groups as a whole, then the rest.
        let (some, mut rest) = messages[..sent].split_at(sent.min(cursor.left() as usize));
        if !some.is_empty() {
            self.send_some(&groups, &mut cursor, some);
        }
        if groups.are_usual::<P>() {
            let whole = rest.chunks_exact(Groups::usual::<P>());
            rest = whole.remainder();
            for some in whole {
                if let Some(places) = groups.whole(&cursor, size_of_val(some)) {
                    self.fill_span(&places, 0, bytemuck::cast_slice(some));
                }
                cursor.step_over(some.len());
                self.publish_group(&groups, &mut cursor);
            }
        }
        while !rest.is_empty() {
            let (some, others) = rest.split_at(rest.len().min(cursor.left() as usize));
            self.send_some(&groups, &mut cursor, some);
            rest = others;
        }
        self.cursor = cursor;
        self.cursor.close();
        Ok(sent)
    }

    /// Sends messages for which the cursor has open places, one behind the other.
    #[inline(always)]
    fn send_some<P: Pod>(&self, groups: &Groups, cursor: &mut GroupCursor, some: &[P]) {
        self.copy_to_places(groups, cursor, some);
        cursor.step_over(some.len());
        self.publish_group(groups, cursor);
    }

    /// Publishes a group's messages up to the next one, and goes on to the next group if that was all of it.
    #[inline(always)]
    fn publish_group(&self, groups: &Groups, cursor: &mut GroupCursor) {
        self.store_word(cursor, cursor.next(), at::COMMIT);
        if cursor.is_over() {
            self.store_sequence(cursor.next());
            groups.turn(cursor);
            groups.open(cursor, u64::MAX);
            self.ask_ahead(cursor);
        }
    }

    /// As many messages of an iterator as there is room for, written where they go and each group published as it gets full;
    /// returns how many. One for which there is no room is not asked for. Looks for room once at most, so that a
    /// consumer that keeps up does not make it endless.
    #[inline(always)]
    pub fn try_send_iter<P: Pod>(
        &mut self,
        messages: &mut impl Iterator<Item = P>,
    ) -> Result<usize, Refused> {
        debug_assert_eq!(size_of::<P>() as u64, self.groups.layout().size);
        let (first, mut looked) = (self.cursor.next(), false);
        // As for a slice. The iterator may panic: what this end knows is always what is published.
        let (mut cursor, groups) = (self.begin().cursor, self.groups);
        let mut going = Going { published: cursor, end: self };
        while messages.size_hint().1 != Some(0) {
            groups.open(&mut cursor, going.end.limit);
            let begin = cursor.next();
            if !cursor.has_next() {
                if looked {
                    break;
                }
                looked = true;
                match going.look() {
                    Err(refused) if begin == first => return Err(refused),
                    _ => continue,
                }
            }
            let group = const { Groups::usual::<P>() };
            let whole = groups.are_usual::<P>() && cursor.left() == group as u64;
            match groups.whole(&cursor, group * size_of::<P>()) {
                Some(places) if whole => {
                    for i in 0..group {
                        let Some(message) = messages.next() else { break };
                        let message = bytemuck::bytes_of(&message);
                        going.end.fill_span(&places, (i * size_of::<P>()) as u64, message);
                        cursor.step();
                    }
                }
                _ => {
                    while let Some(place) = groups.place(&cursor) {
                        let Some(message) = messages.next() else { break };
                        going.end.fill_span(&place, 0, bytemuck::bytes_of(&message));
                        cursor.step();
                    }
                }
            }
            if cursor.next() == begin {
                break;
            }
            going.end.publish_group(&groups, &mut cursor);
            going.published = cursor;
        }
        Ok((going.published.next() - first) as usize)
    }

    /// All of these messages or none; returns the number of the first.
    pub fn try_send_batch<P: Pod>(&mut self, messages: &[P]) -> Result<u64, Refused> {
        let draft = self.draft_of(messages)?;
        Ok(self.publish(draft))
    }

    /// The same with a mark.
    pub fn try_send_batch_marked<P: Pod>(&mut self, messages: &[P], mark: &[u8; 16]) -> Result<u64, Refused> {
        let draft = self.draft_of(messages)?;
        Ok(self.publish_marked(draft, mark))
    }

    /// A draft with all of these messages.
    #[inline(always)]
    fn draft_of<P: Pod>(&mut self, messages: &[P]) -> Result<SlotDraft, Refused> {
        let mut draft = self.begin();
        self.reserve(&draft, messages.len() as u64)?;
        let mut rest = messages;
        while !rest.is_empty() {
            let some = self.copy_to_group(&draft.cursor, rest);
            self.seal_some(&mut draft, some);
            rest = &rest[some..];
        }
        Ok(draft)
    }

    /// Copies as many of these messages as the cursor has open places, at once where they lie in the group as they do in the slice;
    /// returns how many.
    #[inline(always)]
    fn copy_to_group<P: Pod>(&self, cursor: &GroupCursor, messages: &[P]) -> usize {
        debug_assert_eq!(size_of::<P>() as u64, self.groups.layout().size);
        let some = messages.len().min(cursor.left() as usize);
        self.copy_to_places(&self.groups, cursor, &messages[..some]);
        some
    }

    /// Copies messages to as many open places.
    #[inline(always)]
    fn copy_to_places<P: Pod>(&self, groups: &Groups, cursor: &GroupCursor, messages: &[P]) {
        let Some(places) = groups.places(cursor, messages.len()) else { return };
        let stride = size_of::<P>().next_multiple_of(8);
        if size_of::<P>() == stride {
            self.fill_span(&places, 0, bytemuck::cast_slice(messages));
        } else {
            for (i, message) in messages.iter().enumerate() {
                self.fill_span(&places, (i * stride) as u64, bytemuck::bytes_of(message));
            }
        }
    }

    /// Declares the end of data. Needs no room.
    pub fn finish(&mut self) -> Result<(), Refused> {
        match self.state {
            RingState::Open => {}
            RingState::Finished => return Err(Refused::Finished),
            RingState::Corrupt(what) => return Err(Refused::Corrupt(what)),
        }
        let _ = self.begin();
        self.store_word(&self.cursor, self.cursor.next() | END, at::FINISH);
        self.state = RingState::Finished;
        self.limit = 0;
        Ok(())
    }

    /// One message in one call. What `begin`, `reserve`, `fill`, `seal` and `publish` come to for a draft of one: no
    /// second group, so nothing runs ahead.
    #[inline(always)]
    pub fn try_send(&mut self, message: &[u8]) -> Result<u64, Refused> {
        debug_assert_eq!(message.len() as u64, self.groups.layout().size);
        let place = match self.groups.place(&self.cursor) {
            Some(place) => place,
            None => {
                cold_path();
                self.make_way()?;
                self.groups.place(&self.cursor).ok_or(Refused::TooLarge)?
            }
        };
        self.fill_span(&place, 0, message);
        Ok(self.commit())
    }

    /// Room for one message, which is to be written at `next_place` and published by `commit`.
    #[inline(always)]
    pub fn need_room(&mut self) -> Result<(), Refused> {
        if !self.cursor.has_next() {
            cold_path();
            self.make_way()?;
        }
        Ok(())
    }

    /// Where the next message goes, once there is room for it.
    #[inline(always)]
    pub fn next_place(&self) -> u64 {
        self.groups.next_place(&self.cursor)
    }

    /// Publishes the next message; returns its number. The place behind it needs room anew.
    #[inline(always)]
    pub fn commit(&mut self) -> u64 {
        debug_assert!(self.cursor.has_next());
        let sequence = self.cursor.next();
        self.cursor.step();
        self.store_word(&self.cursor, sequence + 1, at::COMMIT);
        sequence
    }

    /// One message with a mark.
    pub fn try_send_marked(&mut self, message: &[u8], mark: &[u8; 16]) -> Result<u64, Refused> {
        let mut draft = self.begin();
        self.reserve(&draft, 1)?;
        self.fill(&draft, message);
        self.seal(&mut draft);
        Ok(self.publish_marked(draft, mark))
    }

    /// As `commit`, with a mark.
    pub fn commit_marked(&mut self, mark: &[u8; 16]) -> u64 {
        note::mark(&self.ring, self.cursor.next(), self.cursor.next() + 1, mark);
        self.commit()
    }

    /// The mark of the last marked message, of this holder or another.
    pub fn mark(&self) -> Option<Mark> {
        note::mark_of(&self.ring, || self.cursor.next())
    }

    /// Says which queue the messages from the next one on continue.
    pub fn set_origin(&mut self, origin: &Origin) {
        note::set_origin(&self.ring, self.cursor.next(), origin);
    }

    /// What was last said of that, by this holder or another.
    pub fn origin(&self) -> Option<Origin> {
        note::origin_of(&self.ring, self.cursor.next())
    }

    /// Apart, so that the fast path is small enough to become part of its caller's loop and saves no registers.
    #[inline(never)]
    fn make_way(&mut self) -> Result<(), Refused> {
        if self.cursor.is_over() && self.cursor.next() < self.limit && self.dirty <= self.cursor.next() {
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
        self.groups.open(&mut self.cursor, self.limit);
    }

    /// Sequence number of the next message.
    pub fn sequence(&self) -> u64 {
        self.cursor.next()
    }

    /// Messages sent and not yet acknowledged.
    pub fn pending(&self) -> u64 {
        self.cursor.next().saturating_sub(self.ring.load(READ, at::OBSERVE)).min(self.groups.layout().depth)
    }

    /// Whether the consumer has taken the message of this number.
    pub fn is_taken(&self, sequence: u64) -> bool {
        self.ring.load(READ, at::OBSERVE) > sequence
    }

    /// Messages that can be sent now, as far as this end knows.
    pub fn room(&self) -> u64 {
        self.limit.saturating_sub(self.cursor.next())
    }

    /// Whether sending so many messages would come to something other than a full ring.
    pub fn is_ready_for(&mut self, messages: u64) -> bool {
        self.refresh().is_err()
            || self.state != RingState::Open
            || messages > self.groups.layout().depth
            || self.room() >= messages
    }

    every_end!(slots);

    /// What it knows without looking at the memory.
    #[cfg(feature = "testing")]
    pub fn private(&self) -> [u64; 4] {
        [self.cursor.next(), self.cursor.stop(), self.limit, self.dirty]
    }
}

/// A producer that goes on with a cursor of its own, and has published what that one says once this is dropped.
struct Going<'a, M> {
    published: GroupCursor,
    end: &'a mut SlotTx<M>,
}

impl<M: Memory> Going<'_, M> {
    /// Looks for more room.
    #[cold]
    fn look(&mut self) -> Result<(), Refused> {
        self.end.cursor = self.published;
        self.end.look()
    }
}

impl<M> Drop for Going<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        self.end.cursor = self.published;
        self.end.cursor.close();
    }
}

impl<M> Poison for SlotTx<M> {
    fn poison(&mut self, what: Corruption) {
        self.state = RingState::Corrupt(what);
        self.limit = 0;
        self.cursor.close();
    }
}
