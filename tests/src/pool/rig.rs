//! The real protocol beside the specification: one operation at a time, everything it says checked.

use super::explore::agrees;
use super::{Op, Sent, Spec, content};
use crate::model::{Bug, Guest, Ram, Verdict};
use shmq::Role;
use shmq_core::layout::{DIRTY, READ, SEQUENCE};
use shmq_core::{Memory, Recording, RingState, Store, Words, at};
use shmq_pool::testing::{HELD, LENT, Layout, NoLoan, PoolRx, PoolTx, Survey, Take, Taken};
use std::rc::Rc;

macro_rules! ensure {
    ($cond:expr, $($what:tt)*) => { if !$cond { return Err(format!($($what)*)); } };
}

/// Bytes of a block here.
pub const BLOCK: u64 = 8;

/// A memory and the two views of it.
#[derive(Debug)]
pub struct Rig {
    /// Where everything is.
    pub layout: Layout,
    words: Words,
    recording: Recording,
    rams: [Ram; 2],
    guest: Guest,
    /// Addresses of all words that the protocol uses, and of the blocks, sorted.
    addresses: Vec<usize>,
}

/// What successors of both ends would find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The writer's, sorted.
    pub home: Vec<u32>,
    /// Sent and not taken.
    pub under_way: Vec<Sent>,
    /// Held, in order.
    pub held: Vec<Sent>,
    /// Given back and not taken by the writer.
    pub coming_back: Vec<u32>,
    /// Sequence number of the next block.
    pub next: u64,
    /// Whether the end was declared.
    pub finished: bool,
}

impl From<&Spec> for View {
    fn from(spec: &Spec) -> Self {
        let mut home = spec.home.clone();
        home.sort_unstable();
        Self {
            home,
            under_way: spec.under_way.iter().copied().collect(),
            held: spec.held.clone(),
            coming_back: spec.coming_back.iter().map(|&(block, _)| block).collect(),
            next: spec.next,
            finished: spec.finished,
        }
    }
}

/// The two ends, as far as they live, and what they ought to know.
#[derive(Clone, Debug)]
pub struct Live {
    /// The writer; `None` while the role is free.
    pub tx: Option<PoolTx<Ram>>,
    /// The reader.
    pub rx: Option<PoolRx<Ram>>,
    /// What they ought to know.
    pub spec: Spec,
}

impl Rig {
    /// A pool that nobody has attached to, with a bug planted in one end or both.
    pub fn new(blocks: u64, group: u64, bug: Bug, culprit: Option<Role>) -> Self {
        let layout = Layout::with_unit(blocks, BLOCK, group, BLOCK).expect("a possible pool");
        let words = Words::new(layout.length as usize);
        let recording = Recording::new(words.clone());
        let guest = Guest::default();
        let rams = [Role::Producer, Role::Consumer].map(|role| {
            let bug = if culprit.is_none_or(|culprit| culprit == role) { bug } else { Bug::None };
            Ram::new(recording.clone(), bug, guest.clone())
        });
        let mut addresses = Vec::new();
        for parts in [layout.full, layout.empty] {
            addresses.extend([SEQUENCE, DIRTY].map(|control| parts.producer + control.offset()));
            addresses.push(parts.consumer + READ.offset());
            addresses.extend((parts.ring..parts.ring + parts.capacity as usize).step_by(8));
        }
        for (start, entry) in [(layout.lent, LENT), (layout.held, HELD), (layout.first, BLOCK)] {
            addresses.extend((start..start + (blocks * entry) as usize).step_by(8));
        }
        addresses.sort_unstable();
        Self { layout, words, recording, rams, guest, addresses }
    }

    /// Both roles free, nothing sent.
    pub fn vacant(&self) -> Live {
        Live { tx: None, rx: None, spec: Spec::new(self.layout.blocks as u32) }
    }

    /// All of the memory that matters.
    pub fn save(&self) -> Vec<u64> {
        // SAFETY: `Words` checks bounds and alignment itself.
        self.addresses.iter().map(|&at_| unsafe { self.words.load(at_, at::OBSERVE) }).collect()
    }

    /// Puts an image back.
    pub fn restore(&self, image: &[u64]) {
        for (&at_, &value) in self.addresses.iter().zip(image) {
            self.poke(at_, value);
        }
        self.rams.iter().for_each(Ram::reset);
        self.recording.take_log();
    }

    /// Writes a word behind the protocol's back.
    pub fn poke(&self, at_: usize, value: u64) {
        // SAFETY: `Words` checks bounds and alignment itself.
        unsafe { self.words.store(at_, value, at::COUNT) }
    }

    /// Index of an address in an image.
    pub fn index_of(&self, address: usize) -> Verdict<usize> {
        self.addresses
            .binary_search(&address)
            .map_err(|_| format!("a store at {address:#x}, where nothing is"))
    }

    /// The stores since the last call.
    pub fn take_log(&self) -> Vec<Store> {
        self.recording.take_log()
    }

    fn attach_tx<M: Memory + Clone>(&self, memory: &M) -> Verdict<PoolTx<M>> {
        let windows = self.layout.windows(memory).expect("the rig's parts are in order");
        PoolTx::attach(&windows).map_err(|what| format!("a writer could not attach: {what}"))
    }

    fn attach_rx<M: Memory + Clone>(&self, memory: &M) -> Verdict<PoolRx<M>> {
        let windows = self.layout.windows(memory).expect("the rig's parts are in order");
        PoolRx::attach(&windows).map_err(|what| format!("a reader could not attach: {what}"))
    }

    /// What successors of both ends would find; the memory is as it was.
    ///
    /// # Errors
    /// If they would find a contradiction.
    pub fn view(&self) -> Verdict<View> {
        let image = self.save();
        let outcome = self.look();
        for (&at_, &value) in self.addresses.iter().zip(&image) {
            self.poke(at_, value);
        }
        outcome
    }

    fn look(&self) -> Verdict<View> {
        let windows = self.layout.windows(&self.words).expect("the rig's parts are in order");
        let survey = Survey(&windows);
        let away = survey.account().map_err(|wrong| format!("a check finds: {wrong}"))?;
        let seen: Vec<Sent> = survey.pending().blocks.iter().map(|b| (b.block, b.sequence)).collect();
        let mut tx = self.attach_tx(&self.words)?;
        let mut rx = self.attach_rx(&self.words)?;
        let mut home = tx.home().to_vec();
        home.sort_unstable();
        let (next, finished) = (tx.sequence(), tx.state() == RingState::Finished);
        let (under_way, held, coming_back) = Default::default();
        let mut view = View { home, under_way, held, coming_back, next, finished };
        loop {
            match rx.try_take() {
                Take::Block(taken) if taken.again => view.held.push((taken.block, taken.sequence)),
                Take::Block(taken) => view.under_way.push((taken.block, taken.sequence)),
                Take::Empty | Take::Finished => break,
                Take::Corrupt(what) => return Err(format!("a successor reader finds: {what}")),
            }
        }
        // What comes back is lent before all else.
        // At most every block; but nobody takes back from a finished pool.
        for _ in 0..if finished { 0 } else { self.layout.blocks } {
            match tx.try_loan() {
                Ok(block) if !view.home.contains(&block) => view.coming_back.push(block),
                Ok(_) | Err(NoLoan::NoneFree) => break,
                Err(NoLoan::Corrupt(what)) => return Err(format!("a successor writer finds: {what}")),
            }
        }
        let there: Vec<Sent> = view.held.iter().chain(&view.under_way).copied().collect();
        ensure!(seen == there, "who looks sees {seen:?} pending, successors find {there:?}");
        let gone = self.layout.blocks - view.home.len() as u64;
        ensure!(finished || away == gone, "who looks counts {away} blocks away, successors {gone}");
        Ok(view)
    }

    /// A successor takes a free role. A finished pool takes no writer.
    pub fn attach(&self, live: &mut Live, role: Role) -> Verdict {
        match role {
            Role::Producer => {
                let tx = self.attach_tx(&self.rams[0])?;
                let spec = &live.spec;
                ensure!(tx.sequence() == spec.next, "it resumes at {}, not {}", tx.sequence(), spec.next);
                let finished = tx.state() == RingState::Finished;
                ensure!(finished == spec.finished, "finished: {finished}");
                live.tx = (!finished).then_some(tx);
            }
            Role::Consumer => {
                let rx = self.attach_rx(&self.rams[1])?;
                ensure!(rx.again() == live.spec.held.len() as u64, "{} blocks to be seen again", rx.again());
                live.spec.reader_goes();
                live.rx = Some(rx);
            }
        }
        Ok(())
    }

    /// A successor takes a free role, and in the middle of that, after so many accesses, the other end does
    /// something. `None` if it was over before.
    pub fn overlap(self: &Rc<Self>, live: &Live, op: Op, accesses: usize) -> Verdict<Option<Live>> {
        let other = Rc::new(std::cell::RefCell::new((live.clone(), Ok(()))));
        let (rig, guest) = (self.clone(), other.clone());
        self.guest.invite(accesses, move || {
            let (live, outcome) = &mut *guest.borrow_mut();
            *outcome = rig.act(live, op);
        });
        let role = op.role().peer();
        let attached = match role {
            Role::Producer => self.attach_tx(&self.rams[0]).map(|tx| (Some(tx), None)),
            Role::Consumer => self.attach_rx(&self.rams[1]).map(|rx| (None, Some(rx))),
        };
        if self.guest.dismiss() {
            return Ok(None);
        }
        let (mut both, outcome) = other.replace((live.clone(), Ok(())));
        outcome?;
        match attached? {
            (Some(tx), _) => both.tx = (tx.state() != RingState::Finished).then_some(tx),
            (_, rx) => both.rx = rx,
        }
        if role == Role::Consumer {
            both.spec.reader_goes();
        }
        Ok(Some(both))
    }

    /// A living end does something, if it can; what it says is checked, and the specification follows.
    pub fn act(&self, live: &mut Live, op: Op) -> Verdict {
        match op.role() {
            Role::Producer => self.write(live, op),
            Role::Consumer => self.read(live, op),
        }
    }

    fn write(&self, live: &mut Live, op: Op) -> Verdict {
        let Live { tx: Some(tx), spec, .. } = live else { return Ok(()) };
        match op {
            Op::Loan => {
                let here = |b: &u32| spec.home.contains(b) && !spec.lent.contains(b);
                match (tx.try_loan(), spec.coming_back.pop_front()) {
                    (Ok(block), Some((first, _))) => {
                        ensure!(block == first, "lent {block}, but {first} came back");
                        spec.home.push(block);
                        spec.lent.push(block);
                    }
                    (Ok(block), None) => {
                        ensure!(here(&block), "block {block} was lent, but it is not free: {spec:?}");
                        spec.lent.push(block);
                    }
                    (Err(NoLoan::NoneFree), None) => {
                        ensure!(!spec.home.iter().any(here), "none is free? {spec:?}");
                    }
                    (other, coming) => return Err(format!("a loan: {other:?}, while {coming:?} came back")),
                }
                if let Some(&block) = spec.lent.last() {
                    tx.bytes().write(block, 0, &0xdead_u64.to_le_bytes());
                }
            }
            Op::Send(rank) => {
                let Some(&block) = spec.lent.get(rank) else { return Ok(()) };
                tx.bytes().write(block, 0, &content(spec.next).to_le_bytes());
                let sent = tx.send(block, BLOCK);
                ensure!(sent == Ok(spec.next), "sent as {sent:?} instead of {}", spec.next);
                spec.lent.remove(rank);
                spec.home.retain(|&b| b != block);
                spec.under_way.push_back((block, spec.next));
                spec.next += 1;
            }
            Op::Abort(rank) => {
                if rank < spec.lent.len() {
                    tx.give_back(spec.lent.remove(rank));
                }
            }
            _ => {
                // Whoever finishes has no loans any more.
                if spec.lent.is_empty() {
                    tx.finish().map_err(|what| format!("a finish: {what}"))?;
                    spec.finished = true;
                    live.tx = None;
                }
            }
        }
        Ok(())
    }

    fn read(&self, live: &mut Live, op: Op) -> Verdict {
        let Live { rx: Some(rx), spec, .. } = live else { return Ok(()) };
        match op {
            Op::Take => {
                let first = spec.again.first().copied();
                let again = first.is_some();
                let expected = match first {
                    Some(first) => spec.held.iter().find(|&&(_, sequence)| sequence == first),
                    None => spec.under_way.front(),
                }
                .copied();
                match (rx.try_take(), expected) {
                    (Take::Block(taken), Some((block, sequence))) => {
                        ensure!(
                            (taken.block, taken.sequence, taken.again, taken.len)
                                == (block, sequence, again, BLOCK),
                            "took {taken:?} instead of block {block}, {sequence}, again: {again}"
                        );
                        let mut found = [0; 8];
                        rx.bytes().read(block, 0, &mut found);
                        ensure!(
                            u64::from_le_bytes(found) == content(sequence),
                            "block {block} with number {sequence} was overwritten"
                        );
                        if again {
                            spec.again.pop_first();
                        } else {
                            spec.under_way.pop_front();
                            spec.held.push((block, sequence));
                        }
                    }
                    (Take::Empty, None) if !spec.finished => {}
                    (Take::Finished, None) if spec.finished => {}
                    (found, expected) => return Err(format!("{found:?} where {expected:?} was next")),
                }
            }
            Op::Return(rank) => {
                let Some((block, sequence)) = spec.seen(rank) else { return Ok(()) };
                spec.held.retain(|&(held, _)| held != block);
                ensure!(rx.give_back(block), "block {block} could not be given back");
                spec.coming_back.push_back((block, sequence));
            }
            Op::Leave(rank) => {
                let Some((block, sequence)) = spec.seen(rank) else { return Ok(()) };
                rx.leave(Taken { block, len: BLOCK, sequence, again: false });
                spec.again.insert(sequence);
            }
            _ => {}
        }
        Ok(())
    }

    /// What must hold between any two operations: successors would find what the specification says.
    pub fn inspect(&self, live: &Live) -> Verdict {
        let view = self.view()?;
        let expected = View::from(&live.spec);
        ensure!(agrees(&view, &live.spec), "successors would find {view:?} instead of {expected:?}");
        Ok(())
    }
}
