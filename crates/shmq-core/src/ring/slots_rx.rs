//! The receiving end of a ring of fixed-size messages.

use super::backoff::CatchUpBackoff;
use super::{Corruption, EndId, Mark, Poison, RingState, another_end, note};
use crate::layout::{CACHE_LINE, READ, Role, SEQUENCE};
use crate::memory::{GroupCursor, Groups, Memory, Span, Window, WordAddress, at};
use crate::observe;
use crate::slot_layout::{COUNT_LIMIT, END, SlotLayout};
use bytemuck::Pod;
use std::mem::MaybeUninit;

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

/// How far someone has looked beyond what is taken. Only a [`SlotRx::acknowledge_to`] makes it count.
#[derive(Clone, Copy, Debug)]
pub struct SlotAhead {
    cursor: GroupCursor,
    /// The end that looked.
    end: EndId,
}

/// The receiving end.
///
/// Invariant O: `ring` made every cursor and address in here. What looked ahead comes back from outside: `go_to` sees to it that it
/// is this end's.
#[derive(Debug)]
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct SlotRx<M> {
    ring: Window<M>,
    groups: Groups,
    id: EndId,
    /// Where the next message is. Open are those of its group that are known to be there.
    cursor: GroupCursor,
    /// Where `READ` is stored.
    read_word: WordAddress,
    catch_up: CatchUpBackoff,
    rewrites_lines: bool,
    state: RingState,
    /// How many bytes further on a group is asked for by a consumer far behind; less than a lap.
    ahead: u64,
    /// How many messages the producer must be ahead of the group for that; more than it ever is for none.
    behind: u64,
    /// Fewer messages than this may be there behind a group that is full: none, where even that is more than the depth.
    behind_full: u64,
}

impl<M: Memory> SlotRx<M> {
    /// Takes over from whoever held the end before, dead or left; the caller holds the role. There is nothing to repair:
    /// the one word that a consumer stores says it all.
    pub fn attach(ring: Window<M>, layout: SlotLayout) -> Result<Self, Corruption> {
        let read = ring.load(READ, at::RECOVER);
        let sent = ring.load(SEQUENCE, at::RECOVER);
        let far = read.abs_diff(sent) > layout.depth + layout.group;
        if layout.capacity > ring.capacity() || read > COUNT_LIMIT || far {
            return Err(Corruption::Position);
        }
        let catch_up = CatchUpBackoff::new(read, layout.group, layout.group_bytes, layout.capacity);
        let policy = ring.memory().line_policy();
        let groups = match layout.group_bytes > u64::from(policy.longest_read_ahead) * CACHE_LINE {
            true => 0,
            false => (u64::from(policy.read_ahead) * CACHE_LINE).div_ceil(layout.group_bytes),
        };
        let groups = groups.min(layout.groups - 1);
        let ahead = groups * layout.group_bytes;
        let behind = if groups == 0 { COUNT_LIMIT } else { (groups + 1) * layout.group };
        let (id, read_word, rewrites_lines, state) =
            (EndId::new(), ring.address(READ), policy.rewrites, RingState::Open);
        let groups = ring.groups(&layout).ok_or(Corruption::Position)?;
        let cursor = groups.cursor(read);
        let behind_full = (layout.depth + 1).saturating_sub(layout.group);
        Ok(Self {
            ring,
            groups,
            id,
            cursor,
            read_word,
            catch_up,
            rewrites_lines,
            state,
            ahead,
            behind,
            behind_full,
        })
    }

    /// Looks at the next messages without taking them.
    #[inline(always)]
    pub fn poll(&mut self) -> SlotPoll {
        if self.has_next() { SlotPoll::Messages(self.cursor.left()) } else { self.examine() }
    }

    /// Whether the next message is known to be there, without a look at shared memory. Apart from `poll` so that the fast
    /// path stays in registers.
    #[inline(always)]
    pub fn has_next(&mut self) -> bool {
        self.cursor.has_next() || self.has_more()
    }

    /// Lets the producer get ahead, if this is the moment for it.
    #[inline(always)]
    pub fn let_run_ahead(&mut self) {
        if self.catch_up.is_quiet(self.cursor.next()) {
            let ring = &self.ring;
            self.catch_up.let_run_ahead(self.cursor.next(), || ring.load(SEQUENCE, at::PACE));
        }
    }

    /// Whether `poll` would find anything, without giving the producer time to get ahead: for whoever has other ends to look at.
    pub fn is_ready(&mut self) -> bool {
        if self.state != RingState::Open || self.cursor.has_next() {
            return true;
        }
        if self.cursor.is_over() {
            self.groups.turn(&mut self.cursor);
        }
        let word = self.load_word();
        let (count, next) = (word & !END, self.cursor.next());
        count > next || (word & END != 0 && count == next)
    }

    /// The place of the next message, if it is known or found to be there. As `has_next`.
    #[inline(always)]
    pub fn find(&mut self) -> Option<Span> {
        match self.groups.place(&self.cursor) {
            None if self.has_more() => self.groups.place(&self.cursor),
            found => found,
        }
    }

    /// Looks once, for messages and nothing else. Apart, so that the fast path is small enough to become part of its
    /// caller's loop.
    #[inline(never)]
    fn has_more(&mut self) -> bool {
        if self.cursor.is_over() {
            self.groups.turn(&mut self.cursor);
        }
        self.let_run_ahead();
        let count = self.load_word() & !END;
        // A count in the past, or one too far ahead to be true, makes a large difference as well.
        let new = count.wrapping_sub(self.cursor.next()).wrapping_sub(1);
        if new >= self.groups.layout().depth || self.state != RingState::Open {
            return false;
        }
        self.groups.open(&mut self.cursor, count);
        if count >= self.cursor.end() {
            self.found_full(&self.cursor);
        }
        true
    }

    /// Behind a group that is done, goes on to the next one and opens it, if that is full and this no moment to let the producer run
    /// ahead: what a run finds at each turn but the last. `groups` are this end's, and `cursor` one of them; both may be in registers.
    #[inline(always)]
    fn turn_to_full(&mut self, groups: &Groups, cursor: &mut GroupCursor) -> bool {
        if !cursor.is_over() {
            return false;
        }
        let mut next = *cursor;
        groups.turn(&mut next);
        if !self.catch_up.is_behind(next.end()) && !self.catch_up.lets_pass(cursor.next()) {
            return false;
        }
        // SAFETY: invariant O.
        let count = unsafe { self.ring.load_address(next.word(), at::POLL) };
        // Neither one of the past, nor one too far ahead to be true, nor the end of data, which is never declared behind the last message
        // of a group.
        let full = count.wrapping_sub(next.end()) < self.behind_full;
        if full {
            groups.open(&mut next, u64::MAX);
            self.found_full(&next);
            *cursor = next;
        }
        full
    }

    /// What there is to do for the lines of a group that is full, and for those behind it.
    #[inline(always)]
    fn found_full(&self, cursor: &GroupCursor) {
        if self.rewrites_lines {
            self.rewrite_lines(cursor);
        }
        self.expect_more(cursor);
    }

    #[inline(always)]
    fn load_word(&self) -> u64 {
        // SAFETY: invariant O.
        unsafe { self.ring.load_address(self.cursor.word(), at::POLL) }
    }

    #[inline(always)]
    fn copy_span(&self, span: &Span, offset: u64, into: &mut [u8]) {
        // SAFETY: invariant O: spans are of cursors.
        unsafe { self.ring.copy_out_of(span, offset, into) }
    }

    /// Stores each line of a group that is full once more, with what it holds: a line that was only read stays with both ends,
    /// and the producer's next store there would first have to take it away from this one, while a line that was written
    /// moves over whole. As long as one message of the group is not taken, the producer stores nothing there, not even the
    /// end, so these stores undo nothing; and whoever sees them, or some of them, sees nothing new.
    #[inline(always)]
    fn rewrite_lines(&self, cursor: &GroupCursor) {
        // SAFETY: invariant O.
        unsafe { self.ring.rewrite_group(&self.groups, cursor, cursor.end()) };
    }

    /// Far enough behind the producer the lines of a later group can be asked for early. Close behind that would take away
    /// what it is about to write.
    #[inline(always)]
    fn expect_more(&self, cursor: &GroupCursor) {
        if self.catch_up.is_behind(cursor.end() + self.behind) {
            let at = self.groups.ahead(cursor, self.ahead);
            self.ring.expect_loads_at(at, self.groups.layout().group_bytes);
        }
    }

    /// What there is when there are no messages.
    #[inline(never)]
    fn examine(&mut self) -> SlotPoll {
        if self.state != RingState::Open {
            return self.poll_of_state();
        }
        let word = self.load_word();
        let count = word & !END;
        if count > self.cursor.next() && count - self.cursor.next() > self.groups.layout().depth {
            self.state = RingState::Corrupt(Corruption::Word);
            observe::corrupt(self.ring.memory().path(), Role::Consumer, Corruption::Word);
            return self.poll_of_state();
        }
        if word & END != 0 && count == self.cursor.next() {
            self.state = RingState::Finished;
            return self.poll_of_state();
        }
        SlotPoll::Empty
    }

    #[cold]
    fn poll_of_state(&self) -> SlotPoll {
        match self.state {
            RingState::Open => SlotPoll::Empty,
            RingState::Finished => SlotPoll::Finished,
            RingState::Corrupt(what) => SlotPoll::Corrupt(what),
        }
    }

    /// Where the next message is.
    #[inline(always)]
    pub fn place(&self) -> u64 {
        self.groups.next_place(&self.cursor)
    }

    /// Copies the next message.
    #[inline(always)]
    pub fn copy_out(&self, into: &mut [u8]) {
        debug_assert_eq!(into.len() as u64, self.groups.layout().size);
        if let Some(place) = self.groups.place(&self.cursor) {
            self.copy_span(&place, 0, into);
        }
    }

    /// Copies what `find` has found, to where nothing was before.
    ///
    /// # Safety
    /// This end has found it.
    #[inline(always)]
    pub unsafe fn read<P: Pod>(&self, place: &Span, into: &mut MaybeUninit<P>) {
        debug_assert_eq!(size_of::<P>() as u64, self.groups.layout().size);
        // SAFETY: the caller's, and invariant O.
        unsafe { self.ring.read_in(place, 0, into) };
    }

    /// Copies the messages that are there, as many as fit, and moves on behind them as `skip` does; with one copy for each
    /// group, where they lie there as they do in the slice. Returns how many.
    pub fn copy_slice<P: Pod>(&mut self, into: &mut [P]) -> usize {
        debug_assert_eq!(size_of::<P>() as u64, self.groups.layout().size);
        let mut got = 0;
        while got < into.len() {
            let SlotPoll::Messages(there) = self.poll() else { break };
            let end = got + (into.len() - got).min(there as usize);
            self.copy_group(&mut into[got..end]);
            got = end + self.copy_full_groups(&mut into[end..]);
        }
        got
    }

    /// The same of groups that are full and fit as a whole: at once, and most of it in registers.
    #[inline(always)]
    fn copy_full_groups<P: Pod>(&mut self, into: &mut [P]) -> usize {
        let groups = self.groups;
        let mut got = 0;
        if groups.are_usual::<P>() && self.state == RingState::Open {
            let mut cursor = self.cursor;
            for some in into.chunks_exact_mut(Groups::usual::<P>()) {
                if !self.turn_to_full(&groups, &mut cursor) {
                    break;
                }
                if let Some(places) = groups.whole(&cursor, size_of_val(some)) {
                    self.copy_span(&places, 0, bytemuck::cast_slice_mut(some));
                }
                cursor.step_over(some.len());
                got += some.len();
            }
            self.cursor = cursor;
        }
        got
    }

    /// Hands over the messages that are there, at most so many and at most the depth, and moves on behind each as `skip` does
    /// once `each` has said to go on. Returns how many.
    #[inline(always)]
    pub fn drain<P: Pod>(&mut self, most: usize, mut each: impl FnMut(P) -> bool) -> usize {
        debug_assert_eq!(size_of::<P>() as u64, self.groups.layout().size);
        let (first, groups) = (self.cursor.next(), self.groups);
        let end = first + groups.layout().depth.min(most as u64);
        // In registers, until there is no full group any more; also if `each` panics, this end knows where it is.
        let mut going = Going { cursor: self.cursor, end: self };
        loop {
            while going.cursor.next() < end {
                let Some(place) = groups.place(&going.cursor) else { break };
                // SAFETY: invariant O.
                if !each(unsafe { going.end.ring.value_in(&place, 0) }) {
                    return (going.cursor.next() - first) as usize;
                }
                going.cursor.step();
            }
            let group = const { Groups::usual::<P>() };
            if groups.are_usual::<P>() && going.end.state == RingState::Open {
                while end - going.cursor.next() >= group as u64
                    && going.end.turn_to_full(&groups, &mut going.cursor)
                {
                    let Some(places) = groups.whole(&going.cursor, group * size_of::<P>()) else { break };
                    for i in 0..group {
                        // SAFETY: invariant O.
                        if !each(unsafe { going.end.ring.value_in(&places, (i * size_of::<P>()) as u64) }) {
                            return (going.cursor.next() - first) as usize;
                        }
                        going.cursor.step();
                    }
                }
            }
            if going.cursor.next() >= end || !going.has_more() {
                return (going.cursor.next() - first) as usize;
            }
        }
    }

    /// Some messages of one group that are known to be there.
    #[inline(always)]
    fn copy_group<P: Pod>(&mut self, into: &mut [P]) {
        self.copy_places(&self.groups, &self.cursor, into);
        self.cursor.step_over(into.len());
    }

    /// The same, of a group of this end.
    #[inline(always)]
    fn copy_places<P: Pod>(&self, groups: &Groups, cursor: &GroupCursor, into: &mut [P]) {
        let Some(places) = groups.places(cursor, into.len()) else { return };
        let stride = size_of::<P>().next_multiple_of(8);
        if size_of::<P>() == stride {
            self.copy_span(&places, 0, bytemuck::cast_slice_mut(into));
        } else {
            for (i, message) in into.iter_mut().enumerate() {
                self.copy_span(&places, (i * stride) as u64, bytemuck::bytes_of_mut(message));
            }
        }
    }

    /// Moves on to the next message, in private; `settle` makes it final. Returns how many are taken then.
    #[inline(always)]
    pub fn skip(&mut self) -> u64 {
        // The next look turns to the next group, if this was the last of one.
        self.cursor.step();
        self.cursor.next()
    }

    /// Where a look ahead starts: at the next message.
    pub fn ahead(&self) -> SlotAhead {
        SlotAhead { cursor: self.cursor, end: self.id }
    }

    /// The next message further on, its place and sequence number, if it is there; nothing is taken. At most the depth,
    /// as no honest producer has more there at a time.
    pub fn look_ahead(&mut self, ahead: &mut SlotAhead) -> Option<(u64, u64)> {
        if ahead.cursor.next() - self.cursor.next() >= self.groups.layout().depth {
            return None;
        }
        let (here, state) = (self.ahead(), self.state);
        self.go_to(ahead);
        let found = match self.poll() {
            SlotPoll::Messages(_) => Some((self.place(), self.cursor.next())),
            SlotPoll::Empty | SlotPoll::Finished | SlotPoll::Corrupt(_) => None,
        };
        if found.is_some() {
            self.skip();
        }
        *ahead = self.ahead();
        // Whatever lies ahead, end of data or damage, is found again once everything before it is taken.
        self.state = state;
        self.go_to(&here);
        found
    }

    /// Acknowledges all that was looked at. As [`SlotRx::settle`].
    pub fn acknowledge_to(&mut self, ahead: &SlotAhead) -> bool {
        self.go_to(ahead);
        self.settle()
    }

    fn go_to(&mut self, ahead: &SlotAhead) {
        if ahead.end != self.id {
            another_end();
        }
        self.cursor = ahead.cursor;
    }

    /// Stores what was taken; says whether this is a good moment to look for a sleeping producer: when no more is known to
    /// be there.
    #[inline(always)]
    pub fn settle(&mut self) -> bool {
        self.settle_to(self.cursor.next())
    }

    /// The same where it is known how many are taken, so that this is not fetched back.
    #[inline(always)]
    pub fn settle_to(&mut self, taken: u64) -> bool {
        debug_assert_eq!(taken, self.cursor.next());
        // SAFETY: invariant O.
        unsafe { self.ring.store_address(self.read_word, taken, at::GIVE_BACK) };
        taken >= self.cursor.stop()
    }

    /// Whether a look that finds nothing may wait a little.
    pub fn set_adaptive(&mut self, yes: bool) {
        self.catch_up.set_adaptive(yes);
    }

    /// Sequence number of the next message.
    pub fn sequence(&self) -> u64 {
        self.cursor.next()
    }

    /// Messages published and not taken, as the producer last said, at least what is known to be there.
    pub fn pending(&self) -> u64 {
        match super::sequence::find_sequence(&self.ring, self.layout(), at::OBSERVE) {
            Ok((sent, _)) => sent.saturating_sub(self.cursor.next()).min(self.groups.layout().depth),
            Err(_) => self.cursor.left(),
        }
    }

    /// The producer's mark with the last marked message, of those that are published.
    pub fn mark(&self) -> Option<Mark> {
        note::mark_of(&self.ring, || self.cursor.next() + self.pending())
    }

    every_end!(slots);

    /// What it knows without looking at the memory.
    #[cfg(feature = "testing")]
    pub fn private(&self) -> [u64; 2] {
        [self.cursor.next(), self.cursor.stop()]
    }
}

/// A consumer that goes on with a cursor of its own, and is where that one has come to once this is dropped.
struct Going<'a, M> {
    cursor: GroupCursor,
    end: &'a mut SlotRx<M>,
}

impl<M: Memory> Going<'_, M> {
    /// Whether another message is there.
    #[inline(always)]
    fn has_more(&mut self) -> bool {
        self.end.cursor = self.cursor;
        let more = self.end.has_next();
        self.cursor = self.end.cursor;
        more
    }
}

impl<M> Drop for Going<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        self.end.cursor = self.cursor;
    }
}

impl<M> Poison for SlotRx<M> {
    fn poison(&mut self, what: Corruption) {
        self.state = RingState::Corrupt(what);
        self.cursor.close();
    }
}
