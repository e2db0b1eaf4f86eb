//! The sending end of a ring of variable-length messages.
//!
//! A *draft* is what has been reserved and filled but not published: one message, or a batch, with the padding it
//! needs. All its commit words but the first are stored as they come; the first is withheld, and storing it
//! (`COMMIT`) makes everything visible at once. Before that, a crash leaves only bytes beyond a zero word, which nobody
//! looks at. So padding is never published alone, and a batch needs no rule of its own.
//!
//! Invariant Z: the word at the tail is zero. Whoever publishes sets the next one to zero first (`NEXT_WORD`), so it does not
//! matter what else free space holds, and nobody erases anything.

use super::backoff::FullBackoff;
use super::{AHEAD, Corruption, Mark, Origin, Poison, RingState, distance, note, word};
use crate::layout::{CACHE_LINE, FREE, FREED, READ, RECEIVED, Role, SEQUENCE, TAIL, WORD};
use crate::memory::{Contiguous, Memory, Window, WordAddress, at};
use crate::observe;
use word::RecordKind;

/// Why a reservation failed; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No room now, in bytes or in messages.
    Full,
    /// It can never fit: larger than the limit, or the batch as a whole is.
    TooLarge,
    /// End of data was declared.
    Finished,
    /// The consumer's words contradict ours.
    Corrupt(Corruption),
}

/// What is filled but not yet published.
#[derive(Clone, Copy, Debug)]
pub struct Draft {
    /// Where the next record goes.
    end: u64,
    /// Sequence number of the next message.
    sequence: u64,
    /// The withheld first word; `NONE` while the draft is empty.
    first: u64,
    /// Largest record in it.
    largest: u64,
    /// Sum of its records, without padding.
    sum: u64,
}

/// A message, or a batch, of more bytes than this is fetched by the processor itself: what is asked for ahead would be a small part
/// of it. Measured on AMD (nothing lost at 64 KiB) and Intel (a tenth gained); `docs/TRIED.md`.
const MANY_LINES: u64 = 16 * AHEAD;

impl Draft {
    /// Messages so far.
    pub fn messages(&self, tx_sequence: u64) -> u64 {
        self.sequence.wrapping_sub(tx_sequence)
    }
}

/// Room for one message inside a draft.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    record: u64,
    len: u64,
}

impl Place {
    /// Where the payload starts.
    #[inline(always)]
    pub fn payload(&self) -> u64 {
        self.record.wrapping_add(8)
    }

    /// Bytes reserved.
    #[allow(clippy::len_without_is_empty, reason = "room for an empty message is room all the same")]
    #[inline(always)]
    pub fn len(&self) -> u64 {
        self.len
    }
}

/// A batch before it is written.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    end: u64,
    messages: u64,
}

/// The sending end.
///
/// Invariant O: `ring` made every address in here, and `tail`.
#[derive(Debug)]
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct RecordTx<M> {
    ring: Window<M>,
    max_message: u64,
    /// `u64::MAX`: no limit.
    max_messages: u64,
    /// Where the next commit word goes, the tail; exact, as the stored one is for others. Single messages that lie inside, with the word
    /// behind them, need no look at anything else: there is room.
    tail: Contiguous,
    /// Sequence number of the next message.
    sequence: u64,
    /// The consumer's `FREE` when last looked at: stale only in that more may be free by now.
    free: u64,
    /// The consumer's `FREED`, likewise.
    freed: u64,
    state: RingState,
    /// When to look for room again.
    full: FullBackoff,
    /// Where `TAIL` and `SEQUENCE` are stored.
    tail_word: WordAddress,
    sequence_word: WordAddress,
}

impl<M: Memory> RecordTx<M> {
    /// Takes over from whoever held the end before, dead or left; the caller holds the role.
    ///
    /// The stored tail may lag behind a commit, so walk the committed words; their values stay, also when the consumer takes them
    /// meanwhile.
    pub fn attach(ring: Window<M>, max_message: u64, max_messages: Option<u64>) -> Result<Self, Corruption> {
        let capacity = ring.capacity();
        let free = ring.load(FREE, at::RECOVER);
        let freed = ring.load(FREED, at::RECOVER);
        let start = ring.load(TAIL, at::RECOVER);
        let mut tail = start;
        let mut sequence = ring.load(SEQUENCE, at::RECOVER);
        let mut state = RingState::Open;
        if (start | free) & 7 != 0
            || distance(start, ring.load(READ, at::WALK_READ)).unsigned_abs() > capacity
        {
            return Err(Corruption::Position);
        }
        // Each turn moves `tail` forward or ends the loop, and it never gets further than one ring from `start`.
        loop {
            let word = ring.load_word(tail, at::WALK);
            if word == word::NONE {
                break;
            }
            if tail != start && !word::carries(word, sequence) {
                return Err(Corruption::Sequence);
            }
            sequence = word::sequence(word, sequence);
            let size = match word::kind(word) {
                RecordKind::Message => {
                    sequence = sequence.wrapping_add(1);
                    word::size(word::len(word))
                }
                RecordKind::Padding => word::size(word::len(word)),
                RecordKind::End => {
                    state = RingState::Finished;
                    break;
                }
                RecordKind::None => return Err(Corruption::Word),
            };
            if size > ring.to_end(tail) {
                return Err(Corruption::Word);
            }
            tail = tail.wrapping_add(size);
            if distance(tail, start) > capacity as i64 {
                return Err(Corruption::Position);
            }
        }
        // A record is at least one word, so there are never more messages than words.
        if tail.wrapping_sub(free) > capacity - 8 || sequence.wrapping_sub(freed) > capacity / 8 {
            return Err(Corruption::Position);
        }
        note::set_back(&ring, sequence);
        ring.store(SEQUENCE, sequence, at::RECOVER_SEQUENCE);
        ring.store(TAIL, tail, at::RECOVER_TAIL);
        ring.fence(at::ROOM_FENCE);
        let (tail_word, sequence_word) = (ring.address(TAIL), ring.address(SEQUENCE));
        Ok(Self {
            ring,
            max_message,
            max_messages: max_messages.unwrap_or(u64::MAX),
            tail: Contiguous::nowhere(tail),
            sequence,
            free,
            freed,
            state,
            full: FullBackoff::new(sequence, capacity, capacity),
            tail_word,
            sequence_word,
        })
    }

    /// Starts a draft; whatever another one left that was not published is forgotten.
    #[inline(always)]
    pub fn begin(&self) -> Result<Draft, Refused> {
        match self.state {
            RingState::Open => {}
            RingState::Finished => return Err(Refused::Finished),
            RingState::Corrupt(c) => return Err(Refused::Corrupt(c)),
        }
        Ok(Draft { end: self.tail.at(), sequence: self.sequence, first: word::NONE, largest: 0, sum: 0 })
    }

    /// Makes room for a message of `len` bytes at the end of the draft, with padding before it where it would cross
    /// the end of the ring.
    #[inline(always)]
    pub fn reserve(&mut self, draft: &mut Draft, len: u64) -> Result<Place, Refused> {
        if len > self.max_message {
            return Err(Refused::TooLarge);
        }
        let size = word::size(len);
        let batched = draft.first != word::NONE;
        if batched {
            self.fits_ever(draft, size)?;
        }
        let to_end = self.ring.to_end(draft.end);
        let padding = if size > to_end { to_end } else { 0 };
        let record = draft.end.wrapping_add(padding);
        let end = record.wrapping_add(size);
        // The word at the new tail must lie in free space as well: 8 bytes more.
        self.need_room(end.wrapping_add(8))?;
        self.need_depth(draft.sequence)?;
        if padding != 0 {
            self.put(draft, word::word(RecordKind::Padding, padding - 8, draft.sequence));
        }
        draft.end = record;
        Ok(Place { record, len })
    }

    /// A batch that fits an empty ring only from some start positions could wait for ever.
    #[cold]
    fn fits_ever(&self, draft: &Draft, size: u64) -> Result<(), Refused> {
        let messages = draft.messages(self.sequence) + 1;
        if draft.sum + size + draft.largest.max(size) > self.ring.capacity() || messages > self.max_messages {
            return Err(Refused::TooLarge);
        }
        Ok(())
    }

    /// Room for everything before `need`.
    #[inline(always)]
    fn need_room(&mut self, need: u64) -> Result<(), Refused> {
        if need.wrapping_sub(self.free) > self.ring.capacity() { self.look_for_room(need) } else { Ok(()) }
    }

    /// That message `sequence` is within the limit on messages.
    #[inline(always)]
    fn need_depth(&mut self, sequence: u64) -> Result<(), Refused> {
        if sequence.wrapping_sub(self.freed) >= self.max_messages {
            self.look_for_depth(sequence)
        } else {
            Ok(())
        }
    }

    #[cold]
    fn look_for_room(&mut self, need: u64) -> Result<(), Refused> {
        self.full.pause(self.sequence);
        let before = self.free;
        self.refresh()?;
        self.full.found(self.free.wrapping_sub(before));
        if need.wrapping_sub(self.free) > self.ring.capacity() { Err(Refused::Full) } else { Ok(()) }
    }

    #[cold]
    fn look_for_depth(&mut self, sequence: u64) -> Result<(), Refused> {
        self.refresh()?;
        if sequence.wrapping_sub(self.freed) >= self.max_messages { Err(Refused::Full) } else { Ok(()) }
    }

    /// Looks at what the consumer has given back.
    pub fn refresh(&mut self) -> Result<(), Refused> {
        let free = self.ring.load(FREE, at::FREE_LOAD);
        let freed = self.ring.load(FREED, at::FREED_LOAD);
        // Both only grow, and not beyond our own.
        let backwards =
            free.wrapping_sub(self.free) > self.tail.at().wrapping_sub(self.free) || free & 7 != 0;
        if backwards || freed.wrapping_sub(self.freed) > self.sequence.wrapping_sub(self.freed) {
            if self.state == RingState::Open {
                observe::corrupt(self.ring.memory().path(), Role::Producer, Corruption::Position);
            }
            self.state = RingState::Corrupt(Corruption::Position);
            self.tail.close();
            return Err(Refused::Corrupt(Corruption::Position));
        }
        (self.free, self.freed) = (free, freed);
        self.ring.fence(at::ROOM_FENCE);
        Ok(())
    }

    /// Writes payload bytes from the start of a place; zeroes the rest of the last word.
    #[inline(always)]
    pub fn fill(&mut self, place: &Place, bytes: &[u8]) {
        debug_assert!(bytes.len() as u64 <= place.len);
        self.ring.copy_in(place.payload(), bytes);
    }

    /// Writes payload bytes anywhere inside a place.
    pub fn patch(&mut self, place: &Place, offset: u64, bytes: &[u8]) {
        debug_assert!(offset + bytes.len() as u64 <= place.len);
        self.ring.patch_at(self.ring.place(place.payload()), offset, bytes, at::LATER_WORD);
    }

    /// Zeroes the words of a place between two offsets, multiples of 8.
    pub fn blank(&mut self, place: &Place, from: u64, to: u64) {
        for offset in (from..to.min(place.len.next_multiple_of(8))).step_by(8) {
            self.ring.store_word(place.payload().wrapping_add(offset), 0, at::LATER_WORD);
        }
    }

    /// Ends a message with `len` bytes, at most what the place has.
    #[inline(always)]
    pub fn seal(&mut self, draft: &mut Draft, place: &Place, len: u64) {
        debug_assert!(len <= place.len && draft.end == place.record);
        let size = word::size(len);
        self.put(draft, word::word(RecordKind::Message, len, draft.sequence));
        draft.end = place.record.wrapping_add(size);
        draft.sequence = draft.sequence.wrapping_add(1);
        draft.sum += size;
        draft.largest = draft.largest.max(size);
    }

    #[inline(always)]
    fn put(&mut self, draft: &mut Draft, word: u64) {
        if draft.first == word::NONE {
            draft.first = word;
        } else {
            self.ring.store_word(draft.end, word, at::LATER_WORD);
        }
    }

    /// Makes the whole draft visible at once; returns the sequence number of its first message.
    #[inline(always)]
    pub fn publish(&mut self, draft: Draft) -> u64 {
        let first = self.sequence;
        if draft.first == word::NONE {
            return first;
        }
        self.commit(draft.first, draft.end, draft.sequence);
        first
    }

    /// The same with a mark, which counts if and only if the draft does. An empty draft has none.
    pub fn publish_marked(&mut self, draft: Draft, mark: &[u8; 16]) -> u64 {
        if draft.first != word::NONE {
            note::mark(&self.ring, self.sequence, draft.sequence, mark);
        }
        self.publish(draft)
    }

    /// Publishes everything up to `end`, the number behind which is `sequence`, by the word at the tail.
    #[inline(always)]
    fn commit(&mut self, word: u64, end: u64, sequence: u64) {
        self.ring.store_word(end, word::NONE, at::NEXT_WORD);
        let tail = self.tail.at();
        self.ring.store_word(tail, word, at::COMMIT);
        self.tail.go_to(end);
        self.tell(tail, end, sequence);
    }

    /// Behind a commit: says where the tail is now, and which number comes next.
    #[inline(always)]
    fn tell(&mut self, before: u64, tail: u64, sequence: u64) {
        // SAFETY: invariant O.
        unsafe {
            self.ring.store_address(self.sequence_word, sequence, at::SEQUENCE);
            self.ring.store_address(self.tail_word, tail, at::TAIL);
        }
        self.ask_ahead(before, tail);
        self.sequence = sequence;
    }

    /// Declares the end of data. Needs no room: the word at the tail is always free.
    pub fn finish(&mut self) -> Result<(), Refused> {
        self.begin()?;
        self.ring.store_word(self.tail.at(), word::word(RecordKind::End, 0, self.sequence), at::FINISH);
        self.state = RingState::Finished;
        self.tail.close();
        Ok(())
    }

    /// Where a batch of these lengths would end and how many messages it has; refused if it could wait for ever.
    pub fn plan(&self, lens: impl Iterator<Item = u64>) -> Result<Plan, Refused> {
        let (mut end, mut messages, mut sum, mut largest) = (self.tail.at(), 0, 0u64, 0);
        for len in lens {
            let size = word::size(len);
            (messages, sum, largest) = (messages + 1, sum + size, size.max(largest));
            let alone = messages == 1;
            let too_many = messages > self.max_messages;
            if len > self.max_message || too_many || !alone && sum + largest > self.ring.capacity() {
                return Err(Refused::TooLarge);
            }
            let to_end = self.ring.to_end(end);
            end = end.wrapping_add(size + if size > to_end { to_end } else { 0 });
        }
        Ok(Plan { end, messages })
    }

    /// Whether there is room for all of a plan.
    pub fn try_room(&mut self, plan: &Plan) -> Result<(), Refused> {
        self.begin()?;
        self.need_room(plan.end.wrapping_add(8))?;
        self.need_depth(self.sequence.wrapping_add(plan.messages).wrapping_sub(1))
    }

    /// Asks for the lines that will be written soon, as many as the tail moves on by: they are the consumer's, which has
    /// taken what they held, and to ask early hides the way. Not for what is not free, for there the consumer still works, and not
    /// among messages of many lines, for there the processor asks by itself.
    #[inline(always)]
    fn ask_ahead(&self, tail: u64, end: u64) {
        // First what most small messages come to.
        let moves = end.wrapping_sub(tail);
        if (moves < CACHE_LINE && tail ^ end < CACHE_LINE) || moves > MANY_LINES {
            return;
        }
        let line = |position: u64| position & !(CACHE_LINE - 1);
        let bytes = line(end).wrapping_sub(line(tail)).min(AHEAD);
        let to = line(end).wrapping_add(AHEAD + CACHE_LINE);
        if to.wrapping_sub(self.free) <= self.ring.capacity() {
            self.ring.expect_stores(to.wrapping_sub(bytes), bytes);
        }
    }

    /// One whole message in one call.
    #[inline(always)]
    pub fn try_send(&mut self, message: &[u8]) -> Result<u64, Refused> {
        match self.send_at_once(message) {
            Some(sequence) => Ok(sequence),
            None => self.send_in_steps(message),
        }
    }

    /// One whole message, if nothing is in the way: what `begin`, `reserve`, `fill`, `seal` and `publish` come to then, with as
    /// few stores as that needs, for each counts while a line is fetched back from the consumer. `None` says nothing but that
    /// `send_in_steps` has to find out.
    #[inline(always)]
    pub fn send_at_once(&mut self, message: &[u8]) -> Option<u64> {
        let (tail, sequence, len) = (self.tail.at(), self.sequence, message.len() as u64);
        let size = word::size(len);
        let record = self.tail.span(size)?;
        if len > self.max_message {
            return None;
        }
        self.tail.step(&record);
        // SAFETY: invariant O.
        unsafe {
            self.ring.fill_in(&record, WORD, message);
            self.ring.store_in(&record, size, word::NONE, at::NEXT_WORD);
            self.ring.store_in(&record, 0, word::word(RecordKind::Message, len, sequence), at::COMMIT);
        }
        self.tell(tail, tail.wrapping_add(size), sequence.wrapping_add(1));
        Some(sequence)
    }

    /// One whole message, step by step; then looks how far the fast path goes.
    #[inline(never)]
    pub fn send_in_steps(&mut self, message: &[u8]) -> Result<u64, Refused> {
        let mut draft = self.begin()?;
        let place = self.reserve(&mut draft, message.len() as u64)?;
        self.fill(&place, message);
        self.seal(&mut draft, &place, message.len() as u64);
        let sent = self.publish(draft);
        if self.max_messages == u64::MAX {
            let room = self.free.wrapping_add(self.ring.capacity()).wrapping_sub(self.tail.at());
            self.tail = self.ring.contiguous(self.tail.at(), room);
        }
        Ok(sent)
    }

    /// One whole message with a mark.
    pub fn try_send_marked(&mut self, message: &[u8], mark: &[u8; 16]) -> Result<u64, Refused> {
        let mut draft = self.begin()?;
        let place = self.reserve(&mut draft, message.len() as u64)?;
        self.fill(&place, message);
        self.seal(&mut draft, &place, message.len() as u64);
        Ok(self.publish_marked(draft, mark))
    }

    /// The mark of the last marked message, of this holder or another.
    pub fn mark(&self) -> Option<Mark> {
        note::mark_of(&self.ring, || self.sequence)
    }

    /// Says which queue the messages from the next one on continue.
    pub fn set_origin(&mut self, origin: &Origin) {
        note::set_origin(&self.ring, self.sequence, origin);
    }

    /// What was last said of that, by this holder or another.
    pub fn origin(&self) -> Option<Origin> {
        note::origin_of(&self.ring, self.sequence)
    }

    /// Sequence number of the next message.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Messages sent and not yet acknowledged.
    pub fn pending(&self) -> u64 {
        let received = self.ring.load(RECEIVED, at::OBSERVE);
        let pending = self.sequence.wrapping_sub(received);
        // A takeover may correct the consumer's count by what it had not stored; and a hostile one says anything.
        if distance(self.sequence, received) >= 0 { pending.min(self.ring.capacity() / 8) } else { 0 }
    }

    /// Whether the consumer has taken the message of this number.
    pub fn is_taken(&self, sequence: u64) -> bool {
        distance(self.ring.load(RECEIVED, at::OBSERVE), sequence) > 0
    }

    /// Largest message that has room now, `None` if not even an empty one has.
    pub fn room(&self) -> Option<u64> {
        if self.state != RingState::Open || self.sequence.wrapping_sub(self.freed) >= self.max_messages {
            return None;
        }
        let space = self.free.wrapping_add(self.ring.capacity()).wrapping_sub(self.tail.at()).wrapping_sub(8);
        let to_end = self.ring.to_end(self.tail.at());
        // Before the end of the ring, or behind padding at its beginning.
        let best = space.min(to_end).max(space.saturating_sub(to_end));
        (best >= 8).then(|| (best - 8).min(self.max_message))
    }

    /// Whether sending a message of this size would come to something other than a full ring.
    pub fn is_ready_for(&mut self, len: u64) -> bool {
        self.refresh().is_err()
            || self.state != RingState::Open
            || len > self.max_message
            || self.room().is_some_and(|room| room >= len)
    }

    /// The same of messages of these sizes, sent at once.
    pub fn is_ready_for_batch(&mut self, lens: impl Iterator<Item = u64>) -> bool {
        let room = self.plan(lens).and_then(|plan| self.try_room(&plan));
        room != Err(Refused::Full)
    }

    every_end!();

    /// What only this end knows, for tests that branch: tail, sequence, free, freed, end of the contiguous range.
    #[cfg(feature = "testing")]
    pub fn private(&self) -> [u64; 5] {
        [self.tail.at(), self.sequence, self.free, self.freed, self.tail.end()]
    }
}

impl<M> Poison for RecordTx<M> {
    fn poison(&mut self, what: Corruption) {
        self.state = RingState::Corrupt(what);
        self.tail.close();
    }
}
