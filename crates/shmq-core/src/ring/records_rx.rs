//! The receiving end of a ring of variable-length messages.
//!
//! Two positions: *read*, before which everything is taken, and *free*, before which everything is given back. The first moves
//! with every message and is for a successor; the second, which the producer looks at, moves for many at a time, so that its
//! line is not fetched back for each. A crash in between costs nothing: the successor gives the rest back.

use super::{CatchUpBackoff, Corruption, Mark, Poison, RingState, distance, note, word};
use crate::layout::{CACHE_LINE, FREE, FREED, READ, RECEIVED, Role, SEQUENCE, TAIL, WORD};
use crate::memory::{Contiguous, Memory, Window, WordAddress, at};
use crate::observe;
use word::RecordKind;

/// So many bytes are taken before they are given back, at most, though more messages wait.
const LAZY: u64 = 16 * 1024;

/// A message that is there and not yet taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where its payload starts.
    pub payload: u64,
    /// Its bytes.
    pub len: u64,
    /// Its sequence number.
    pub sequence: u64,
    /// Position behind it.
    end: u64,
}

/// What the consumer finds at its read position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// A message.
    Message(Record),
    /// Nothing yet.
    Empty,
    /// End of data.
    Finished,
    /// Nonsense.
    Corrupt(Corruption),
}

/// How far someone has looked beyond what is taken. Only a [`RecordRx::acknowledge_to`] makes it count.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    at: u64,
    received: u64,
    padding: u64,
    next: u64,
}

/// The receiving end.
///
/// Invariant O: `ring` made every address in here, and `head`.
#[derive(Debug)]
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct RecordRx<M> {
    ring: Window<M>,
    max_message: u64,
    /// Largest backlog of bytes that are not given back.
    lazy: u64,
    /// With a limit on messages, what is taken no longer counts at once; space still comes back in runs.
    counted: bool,
    /// Where the next commit word is expected; exact, as the stored one is for others. Messages that lie inside, with the word behind
    /// them, need no look at anything but their words.
    head: Contiguous,
    /// Sequence number of the next message.
    received: u64,
    /// The value of the stored `FREE`: what is given back already.
    free: u64,
    /// Bytes of padding at `read` that were looked at already: the next message is behind them.
    padding: u64,
    /// The word behind that padding if it was looked at already, else `NONE`. A committed word never changes, so it is
    /// not fetched twice.
    next: u64,
    catch_up: CatchUpBackoff,
    rewrites_lines: bool,
    state: RingState,
    /// Where `READ` and `RECEIVED` are stored.
    read_word: WordAddress,
    received_word: WordAddress,
}

impl<M: Memory> RecordRx<M> {
    /// Takes over from whoever held the end before, dead or left; the caller holds the role.
    pub fn attach(ring: Window<M>, max_message: u64, max_messages: Option<u64>) -> Result<Self, Corruption> {
        let capacity = ring.capacity();
        let read = ring.load(READ, at::RECOVER);
        let mut received = ring.load(RECEIVED, at::RECOVER);
        let free = ring.load(FREE, at::RECOVER);
        let tail = ring.load(TAIL, at::RECOVER);
        let far = distance(read, tail).unsigned_abs() > capacity;
        if (read | free) & 7 != 0 || read.wrapping_sub(free) > capacity || far {
            return Err(Corruption::Position);
        }
        // The predecessor stored its count before its read position: if it died between the two, the message at
        // `read` is still there and says which one it is.
        let word = ring.load_word(read, at::POLL);
        if word != word::NONE {
            received = word::sequence(word, received);
        }
        let (read_word, received_word) = (ring.address(READ), ring.address(RECEIVED));
        let rewrites_lines = ring.memory().line_policy().rewrites;
        let mut rx = Self {
            ring,
            max_message,
            lazy: LAZY.min(capacity / 4),
            counted: max_messages.is_some(),
            head: Contiguous::nowhere(read),
            received,
            free,
            padding: 0,
            next: word::NONE,
            catch_up: CatchUpBackoff::new(read, CACHE_LINE, CACHE_LINE, capacity),
            rewrites_lines,
            state: RingState::Open,
            read_word,
            received_word,
        };
        rx.ring.store(RECEIVED, received, at::RECEIVED);
        rx.give_back();
        Ok(rx)
    }

    /// Looks at the next message without taking it.
    #[inline(always)]
    pub fn poll(&mut self) -> Poll {
        match self.front() {
            Some(record) => Poll::Message(record),
            None => self.examine(),
        }
    }

    /// The next message, where it is a matter of one load; whatever else there is, `poll` says. Apart from it so that the
    /// fast path stays in registers.
    #[inline(always)]
    pub fn front(&mut self) -> Option<Record> {
        let at = self.head.at().wrapping_add(self.padding);
        let word = self.next_word();
        let (len, closed) = (word::len(word), self.state != RingState::Open);
        let message = word::is_message(word, self.received);
        let size = word::size(len);
        if !message || len > self.max_message || size > self.ring.to_end(at) || closed {
            return None;
        }
        Some(Record { payload: at.wrapping_add(8), len, sequence: self.received, end: at.wrapping_add(size) })
    }

    /// The word of the next message, or that of nothing.
    #[inline(always)]
    fn next_word(&mut self) -> u64 {
        match self.next {
            word::NONE => {
                self.let_run_ahead();
                // Padding is known together with the word behind it.
                self.ring.load_word(self.head.at(), at::POLL)
            }
            known => known,
        }
    }

    /// Lets the producer get ahead, if this is the moment for it.
    #[inline(always)]
    pub fn let_run_ahead(&mut self) {
        if self.catch_up.is_quiet(self.head.at()) {
            let ring = &self.ring;
            self.catch_up.let_run_ahead(self.head.at(), || ring.load(TAIL, at::PACE));
        }
    }

    /// Whether `poll` would find anything, without giving the producer time to get ahead: for whoever has other ends to look at.
    pub fn is_ready(&self) -> bool {
        self.state != RingState::Open
            || self.next != word::NONE
            || self.ring.load_word(self.head.at(), at::POLL) != word::NONE
    }

    #[inline(never)]
    fn examine(&mut self) -> Poll {
        let (read, received) = (self.head.at(), self.received);
        if self.state != RingState::Open {
            return self.poll_of_state();
        }
        let word = match self.next {
            word::NONE => self.ring.load_word(read, at::POLL),
            known => known,
        };
        if word == word::NONE {
            return Poll::Empty;
        }
        self.next = word;
        if word::is_message(word, received) {
            return self.message(read, word, received);
        }
        self.other(read, word, received)
    }

    #[cold]
    fn poll_of_state(&self) -> Poll {
        match self.state {
            RingState::Open => Poll::Empty,
            RingState::Finished => Poll::Finished,
            RingState::Corrupt(c) => Poll::Corrupt(c),
        }
    }

    #[inline(always)]
    fn message(&mut self, at: u64, word: u64, sequence: u64) -> Poll {
        let len = word::len(word);
        let size = word::size(len);
        if len > self.max_message || size > self.ring.to_end(at) {
            return self.corrupt(Corruption::Word);
        }
        Poll::Message(Record { payload: at.wrapping_add(8), len, sequence, end: at.wrapping_add(size) })
    }

    /// Padding, end of data, or damage.
    #[cold]
    fn other(&mut self, read: u64, word: u64, received: u64) -> Poll {
        if !word::carries(word, received) {
            return self.corrupt(Corruption::Sequence);
        }
        match word::kind(word) {
            RecordKind::End if word::len(word) == 0 => {
                self.state = RingState::Finished;
                self.head.close();
                Poll::Finished
            }
            RecordKind::Padding => {
                if word::size(word::len(word)) != self.ring.to_end(read) {
                    return self.corrupt(Corruption::Padding);
                }
                // Padding is published together with the message behind it, never alone.
                let at = read.wrapping_add(self.ring.to_end(read));
                let word = self.ring.load_word(at, at::POLL);
                if word::kind(word) != RecordKind::Message {
                    return self.corrupt(Corruption::Padding);
                }
                if !word::carries(word, received) {
                    return self.corrupt(Corruption::Sequence);
                }
                match self.message(at, word, received) {
                    Poll::Message(r) if r.end.wrapping_sub(self.free) > self.ring.capacity() => {
                        self.corrupt(Corruption::Position)
                    }
                    poll => {
                        (self.padding, self.next) = (at.wrapping_sub(read), word);
                        self.head.close();
                        poll
                    }
                }
            }
            RecordKind::End | RecordKind::Message | RecordKind::None => self.corrupt(Corruption::Word),
        }
    }

    #[cold]
    fn corrupt(&mut self, what: Corruption) -> Poll {
        self.state = RingState::Corrupt(what);
        self.head.close();
        observe::corrupt(self.ring.memory().path(), Role::Consumer, what);
        Poll::Corrupt(what)
    }

    /// Finds out how far `receive_at_once` goes from here.
    pub fn look_how_far(&mut self) {
        if self.padding == 0 && self.state == RingState::Open {
            self.head = self.ring.contiguous(self.head.at(), self.ring.capacity());
        }
    }

    /// Copies the next message and acknowledges it, if it has just this length and nothing is in the way; as [`RecordRx::settle`],
    /// says whether space was given back. `None` says nothing but that `poll` has to find out.
    ///
    /// Where the length is known, the next message's place does not wait for this one's word to arrive: the processor
    /// foretells that the two agree.
    #[inline(always)]
    pub fn receive_at_once(&mut self, into: &mut [u8]) -> Option<bool> {
        let (sequence, len) = (self.received, into.len() as u64);
        let size = word::size(len);
        let there = self.next_word() == word::word(RecordKind::Message, len, sequence);
        if !there || len > self.max_message {
            return None;
        }
        let record = self.head.span(size)?;
        // SAFETY: invariant O.
        unsafe { self.ring.copy_out_of(&record, WORD, into) };
        self.head.step(&record);
        self.received = sequence.wrapping_add(1);
        self.store_taken();
        // SAFETY: invariant O.
        self.next = unsafe { self.ring.load_in(&record, size, at::POLL) };
        Some(self.give_back_unless_more())
    }

    /// Copies a message's first bytes; at most its length.
    #[inline(always)]
    pub fn copy_out(&self, record: &Record, into: &mut [u8]) {
        debug_assert!(into.len() as u64 <= record.len);
        self.ring.copy_out(record.payload, into);
    }

    /// Copies bytes from anywhere inside a message.
    pub fn extract(&self, record: &Record, offset: u64, into: &mut [u8]) {
        debug_assert!(offset + into.len() as u64 <= record.len);
        self.ring.extract_at(self.ring.place(record.payload), offset, into, at::POLL);
    }

    /// Acknowledges a message: it will not be seen again. As [`RecordRx::settle`], says whether space was given back.
    #[inline(always)]
    pub fn acknowledge(&mut self, record: &Record) -> bool {
        self.advance(record);
        self.store_taken();
        self.next = self.ring.load_word(record.end, at::POLL);
        self.give_back_unless_more()
    }

    /// Moves on to the message behind this one, in private: a run is taken by one `settle`.
    #[inline(always)]
    pub fn skip(&mut self, record: &Record) {
        self.advance(record);
        self.next = word::NONE;
    }

    /// The same, but for what is known of the next word.
    #[inline(always)]
    fn advance(&mut self, record: &Record) {
        self.head.go_to(record.end);
        self.received = record.sequence.wrapping_add(1);
        // Few messages have padding before them, and each store counts while lines are fetched from the producer.
        if self.padding != 0 {
            self.padding = 0;
        }
    }

    /// Where looking ahead starts: at the next message.
    pub fn ahead(&self) -> Ahead {
        Ahead { at: self.head.at(), received: self.received, padding: self.padding, next: self.next }
    }

    /// The next message further on, if it is there and a run may be so long; nothing is taken.
    pub fn look(&mut self, ahead: &mut Ahead) -> Option<Record> {
        if ahead.at.wrapping_sub(self.free) > self.ring.capacity() / 2 {
            return None;
        }
        let (here, head, state) = (self.ahead(), self.head, self.state);
        self.go_to(ahead);
        let poll = self.poll();
        if let Poll::Message(record) = poll {
            self.skip(&record);
        }
        *ahead = self.ahead();
        // Whatever lies ahead, end of data or damage, is found again once everything before it is taken.
        self.state = state;
        self.go_to(&here);
        self.head = head;
        match poll {
            Poll::Message(record) => Some(record),
            Poll::Empty | Poll::Finished | Poll::Corrupt(_) => None,
        }
    }

    /// Acknowledges all that was looked at. As [`RecordRx::settle`], says whether space was given back.
    pub fn acknowledge_to(&mut self, ahead: &Ahead) -> bool {
        self.go_to(ahead);
        self.settle()
    }

    fn go_to(&mut self, ahead: &Ahead) {
        self.head.go_to(ahead.at);
        self.received = ahead.received;
        (self.padding, self.next) = (ahead.padding, ahead.next);
    }

    /// Stores what was taken, and gives space back unless more messages wait: then it is cheaper later, in bulk.
    /// Says whether it did.
    #[inline(always)]
    pub fn settle(&mut self) -> bool {
        self.store_taken();
        if self.next == word::NONE {
            self.next = self.ring.load_word(self.head.at(), at::POLL);
        }
        self.give_back_unless_more()
    }

    #[inline(always)]
    fn store_taken(&self) {
        // SAFETY: invariant O.
        unsafe {
            self.ring.store_address(self.received_word, self.received, at::RECEIVED);
            self.ring.store_address(self.read_word, self.head.at(), at::READ);
        }
    }

    #[inline(always)]
    fn give_back_unless_more(&mut self) -> bool {
        let waiting = self.head.at().wrapping_sub(self.free);
        let more = word::kind(self.next) == RecordKind::Message;
        let now = !more || waiting + word::size(word::len(self.next)) > self.lazy;
        if now {
            self.give_back();
        } else if self.counted {
            self.ring.store(FREED, self.received, at::FREED);
        }
        now || self.counted
    }

    /// Gives `[free, read)` back.
    #[inline(always)]
    pub fn give_back(&mut self) {
        if self.rewrites_lines {
            self.ring.rewrite_lines(self.free, self.head.at());
        }
        self.free = self.head.at();
        self.ring.store(FREED, self.received, at::FREED);
        self.ring.store(FREE, self.free, at::GIVE_BACK);
    }

    /// Whether a run has taken so much that it should settle: what a hostile producer writes behind it without regard
    /// for free space must not make it endless.
    #[inline(always)]
    pub fn run_is_long(&self) -> bool {
        self.head.at().wrapping_sub(self.free) > self.ring.capacity() / 2
    }

    /// Whether a look that finds nothing may wait a little.
    pub fn set_adaptive(&mut self, yes: bool) {
        self.catch_up.set_adaptive(yes);
    }

    /// Sequence number of the next message.
    pub fn sequence(&self) -> u64 {
        self.received
    }

    /// Messages that have been published and not taken, as the producer last said.
    pub fn pending(&self) -> u64 {
        let sent = self.ring.load(SEQUENCE, at::OBSERVE);
        // After a crash the producer's count may lag behind what it had committed.
        if distance(sent, self.received) > 0 { sent.wrapping_sub(self.received) } else { 0 }
    }

    /// The producer's mark with the last marked message, of those that are published.
    pub fn mark(&self) -> Option<Mark> {
        note::mark_of(&self.ring, || self.received.wrapping_add(self.pending()))
    }

    every_end!();

    /// What only this end knows, for tests that branch: read, received, free, padding, next, end of the contiguous range.
    #[cfg(feature = "testing")]
    pub fn private(&self) -> [u64; 6] {
        [self.head.at(), self.received, self.free, self.padding, self.next, self.head.end()]
    }
}

impl<M> Poison for RecordRx<M> {
    fn poison(&mut self, what: Corruption) {
        self.state = RingState::Corrupt(what);
        self.head.close();
    }
}
