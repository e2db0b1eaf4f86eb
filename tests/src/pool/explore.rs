//! A small explorer: every state that a pool can get into by whole operations and by deaths in the middle of them.
//!
//! A state is the memory, what the living ends know in private, and where the specification says each block is. From
//! each state every operation is tried, complete, and cut short after each of its stores; a free role is taken by a
//! successor, whose own recovery is cut short in every place as well: the number of deaths has no bound. In *every*
//! state, at every store, successors of both ends must find each block exactly where the specification has it: as
//! before the operation that was cut short, or as after it. States that differ only in how many blocks have passed
//! are one state, so on a small pool the search comes to an end by itself.

use super::rig::{Live, Rig};
use super::{Op, Spec, View};
use crate::model::{Bug, Verdict};
use shmq::Role;
use shmq_core::SlotLayout;
use shmq_core::layout::{Parts, READ, SEQUENCE};
use shmq_pool::testing::{HELD, Handle, LENT};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// What to explore.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Blocks of the pool.
    pub blocks: u64,
    /// Handles that share a commit word.
    pub group: u64,
    /// What the ends do.
    pub ops: Vec<Op>,
    /// Stop after so many states.
    pub limit: usize,
    /// Whether the other end may act in the middle of a takeover, too.
    pub overlap: bool,
    /// Planted, if the search is to fail; and in which end, or both.
    pub bug: (Bug, Option<Role>),
}

/// What was explored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Different states.
    pub states: usize,
    /// Ways from one state to the next.
    pub steps: usize,
    /// Deaths in the middle of one.
    pub deaths: usize,
    /// Takeovers in the middle of which the other end did something.
    pub overlaps: usize,
    /// Whether there was nothing left to explore.
    pub complete: bool,
}

#[derive(Clone)]
struct State {
    image: Rc<[u64]>,
    live: Live,
}

struct Explorer<'a> {
    plan: &'a Plan,
    rig: Rc<Rig>,
    seen: HashSet<u64>,
    todo: VecDeque<State>,
    tally: Tally,
}

/// Explores from a new pool.
///
/// # Errors
/// The first violation, with the step that led to it.
pub fn explore(plan: &Plan) -> Verdict<Tally> {
    let rig = Rc::new(Rig::new(plan.blocks, plan.group, plan.bug.0, plan.bug.1));
    let (seen, todo, tally) = Default::default();
    let mut explorer = Explorer { plan, rig: rig.clone(), seen, todo, tally };
    explorer.visit(State { image: rig.save().into(), live: rig.vacant() });
    while let Some(state) = explorer.todo.pop_front() {
        if explorer.tally.states >= plan.limit {
            return Ok(explorer.tally);
        }
        explorer.expand(&state)?;
    }
    explorer.tally.complete = true;
    Ok(explorer.tally)
}

impl Explorer<'_> {
    fn visit(&mut self, state: State) {
        if self.seen.insert(self.fingerprint(&state)) {
            self.tally.states += 1;
            self.todo.push_back(state);
        }
    }

    fn expand(&mut self, state: &State) -> Verdict {
        for role in [Role::Producer, Role::Consumer] {
            let lives = |role| match role {
                Role::Producer => state.live.tx.is_some(),
                Role::Consumer => state.live.rx.is_some(),
            };
            if lives(role) {
                for &op in self.plan.ops.iter().filter(|op| op.role() == role) {
                    self.step(state, role, &op, |rig, live| rig.act(live, op))?;
                }
                self.visit(State { image: state.image.clone(), live: without(&state.live, role) });
                continue;
            }
            self.step(state, role, &"a takeover", |rig, live| rig.attach(live, role))?;
            if self.plan.overlap && lives(role.peer()) {
                for &op in self.plan.ops.iter().filter(|op| op.role() != role) {
                    self.overlap(state, op)?;
                }
            }
        }
        Ok(())
    }

    /// One operation: complete, and cut short after each of its stores.
    fn step(
        &mut self,
        state: &State,
        role: Role,
        what: &dyn std::fmt::Debug,
        run: impl FnOnce(&Rig, &mut Live) -> Verdict,
    ) -> Verdict {
        let failed = |problem: String| format!("{role}, {what:?}: {problem}\nin {:?}", state.live.spec);
        self.rig.restore(&state.image);
        let mut live = state.live.clone();
        run(&self.rig, &mut live).map_err(failed)?;
        let log = self.rig.take_log();
        self.tally.steps += 1;
        self.rig.inspect(&live).map_err(failed)?;
        let image = self.rig.save().into();
        let (before, after) = (without(&state.live, role), without(&live, role));
        self.visit(State { image, live });
        let mut image = state.image.to_vec();
        for (stores, &(at_, value)) in log.iter().enumerate().take(log.len().saturating_sub(1)) {
            image[self.rig.index_of(at_).map_err(failed)?] = value;
            self.tally.deaths += 1;
            self.rig.restore(&image);
            let cut =
                |problem| failed(format!("dead after {} of {} stores: {problem}", stores + 1, log.len()));
            let view = self.rig.view().map_err(cut)?;
            let same = [&before, &after].into_iter().find(|live| agrees(&view, &live.spec));
            let live = same.ok_or_else(|| cut(format!("successors would find {view:?}")))?.clone();
            self.visit(State { image: image.clone().into(), live });
        }
        Ok(())
    }

    /// A takeover in the middle of which the other end does something, at every point of it.
    fn overlap(&mut self, state: &State, op: Op) -> Verdict {
        for accesses in 0.. {
            let failed = |problem: String| {
                format!("{op:?} after {accesses} accesses of a takeover: {problem}\nin {:?}", state.live.spec)
            };
            self.rig.restore(&state.image);
            let Some(live) = self.rig.overlap(&state.live, op, accesses).map_err(failed)? else { break };
            self.tally.overlaps += 1;
            self.rig.inspect(&live).map_err(failed)?;
            self.visit(State { image: self.rig.save().into(), live });
        }
        Ok(())
    }

    /// A state without what cannot matter: how many blocks have passed, what lies in blocks, and handles that nobody
    /// reads any more.
    fn fingerprint(&self, state: &State) -> u64 {
        let rig = &self.rig;
        let word = |address: usize| rig.index_of(address).map_or(0, |index| state.image[index]);
        let shape = rig.layout.slots;
        let (full, empty) =
            (Ring::of(rig.layout.full, shape, &word), Ring::of(rig.layout.empty, shape, &word));
        let blocks = 0..rig.layout.blocks as usize;
        let notes = blocks.clone().map(|b| word(rig.layout.lent + b * LENT as usize));
        let mut notes: Vec<u64> =
            notes.chain(blocks.map(|b| word(rig.layout.held + b * HELD as usize))).collect();
        let mut hasher = DefaultHasher::new();
        // Handles that come back, and the one that came back last.
        let coming = empty.read.min(empty.sent.saturating_sub(1))..empty.sent;
        for sequence in coming {
            let handle = Handle::of(word(empty.slot(sequence)).to_le_bytes());
            (empty.relative(sequence), handle.block).hash(&mut hasher);
            notes.push(handle.low + 1);
        }
        full.hash_words(&word, &mut hasher);
        empty.hash_words(&word, &mut hasher);
        for sequence in full.read..full.sent {
            word(full.slot(sequence)).hash(&mut hasher);
        }
        if let Some(tx) = &state.live.tx {
            let ([full_tx, empty_rx], away) = tx.private();
            sender(&full_tx).for_each(|x| full.relative(x).hash(&mut hasher));
            empty_rx.iter().for_each(|&x| empty.relative(x).hash(&mut hasher));
            notes.extend(away);
            (1, tx.home(), tx.lent()).hash(&mut hasher);
        }
        if let Some(rx) = &state.live.rx {
            let ([full_rx, empty_tx], held, back) = rx.private();
            full_rx.iter().for_each(|&x| full.relative(x).hash(&mut hasher));
            sender(&empty_tx).for_each(|x| empty.relative(x).hash(&mut hasher));
            notes.extend(held);
            // What the writer has taken back since is as if it had never gone.
            let open = back.iter().map(|&x| x.checked_sub(1).filter(|&x| x >= empty.read));
            open.for_each(|x| x.map(|x| empty.relative(x)).hash(&mut hasher));
            (2, rx.again()).hash(&mut hasher);
        }
        // Of sequence numbers taken long ago, only their order matters.
        let old: BTreeSet<u64> = notes.iter().copied().filter(|&n| n != 0 && n <= full.read).collect();
        for note in notes {
            match old.range(note..).count() {
                _ if note == 0 => (0, 0).hash(&mut hasher),
                0 => (1, full.relative(note)).hash(&mut hasher),
                rank => (2, rank as i64).hash(&mut hasher),
            }
        }
        let Spec { home, lent, under_way, held, again, coming_back, finished, .. } = &state.live.spec;
        let blocks =
            |list: &mut dyn Iterator<Item = &(u32, u64)>| list.map(|sent| sent.0).collect::<Vec<_>>();
        let home: BTreeSet<_> = home.iter().collect();
        (home, lent, blocks(&mut under_way.iter()), blocks(&mut held.iter())).hash(&mut hasher);
        let again = held.iter().filter(|(_, sequence)| again.contains(sequence));
        (blocks(&mut { again }), blocks(&mut coming_back.iter()), finished).hash(&mut hasher);
        hasher.finish()
    }
}

/// One of the rings, as an image has it.
struct Ring {
    parts: Parts,
    shape: SlotLayout,
    read: u64,
    sent: u64,
    /// Numbers count from here: the begin of the lap that the consumer is in.
    origin: u64,
}

impl Ring {
    fn of(parts: Parts, shape: SlotLayout, word: &dyn Fn(usize) -> u64) -> Self {
        let read = word(parts.consumer + READ.offset());
        let origin = read - read % (shape.groups * shape.group);
        let mut ring = Self { parts, shape, read, sent: 0, origin };
        ring.sent = ring.find(word);
        ring
    }

    /// Walks the words as a successor does.
    fn find(&self, word: &dyn Fn(usize) -> u64) -> u64 {
        let mut sent = word(self.parts.producer + SEQUENCE.offset());
        for _ in 0..=self.shape.groups {
            let end = self.shape.group_end(sent);
            let count = word(self.parts.ring + self.shape.word_offset(sent) as usize) & !(1 << 63);
            if count < end {
                return sent.max(count);
            }
            sent = end;
        }
        sent
    }

    fn relative(&self, number: u64) -> i64 {
        number.wrapping_sub(self.origin) as i64
    }

    fn slot(&self, sequence: u64) -> usize {
        self.parts.ring + self.shape.message_offset(sequence) as usize
    }

    fn hash_words(&self, word: &dyn Fn(usize) -> u64, hasher: &mut DefaultHasher) {
        self.relative(self.read).hash(hasher);
        self.relative(word(self.parts.producer + SEQUENCE.offset())).hash(hasher);
        for group in 0..self.shape.groups {
            let count = word(self.parts.ring + (group * self.shape.group_bytes) as usize);
            (count >> 63, self.relative(count & !(1 << 63))).hash(hasher);
        }
    }
}

/// What a sending end knows in private. Words that ran ahead up to where it has long been since do not any more.
fn sender(private: &[u64]) -> impl Iterator<Item = u64> {
    let sequence = private[0];
    let dirty_to = private[3].max(sequence);
    private[..3].iter().copied().chain([dirty_to])
}

/// The same with one end dead.
pub(super) fn without(live: &Live, role: Role) -> Live {
    let mut live = live.clone();
    match role {
        Role::Producer => {
            live.tx = None;
            live.spec.writer_goes();
        }
        Role::Consumer => {
            live.rx = None;
            live.spec.reader_goes();
        }
    }
    live
}

/// Whether successors find what the specification says. Once the pool is finished nobody takes back, so what is at
/// home and what comes back are one.
pub(super) fn agrees(view: &View, spec: &Spec) -> bool {
    let expected = View::from(spec);
    let both = |view: &View| (view.under_way.clone(), view.held.clone(), view.next, view.finished);
    both(view) == both(&expected) && (spec.finished || *view == expected)
}
