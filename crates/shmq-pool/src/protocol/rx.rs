//! The reader's end: takes full blocks, sends empty ones back.

use super::Bytes;
use super::handle::{Handle, LOW};
use super::site::at;
use crate::error::Corruption;
use crate::layout::{HELD, Windows};
use shmq_core::{Memory, Poison, SlotPoll, SlotRx, SlotTx, Window};
use std::collections::VecDeque;

/// A block that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub block: u32,
    /// Bytes of it that are used.
    pub len: u64,
    /// Its sequence number.
    pub sequence: u64,
    /// Whether it was taken before, and not given back.
    pub again: bool,
}

/// What the reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// A block.
    Block(Taken),
    /// Nothing yet.
    Empty,
    /// End of data.
    Finished,
    /// Nonsense.
    Corrupt(Corruption),
}

/// The reader's end.
#[derive(Debug)]
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct PoolRx<M> {
    full: SlotRx<M>,
    empty: SlotTx<M>,
    /// The table that only this end writes: for each block that it holds, the sequence number plus one, and the length.
    table: Window<M>,
    bytes: Bytes<M>,
    /// This end's own copy: sequence numbers plus one of what it holds.
    held: Vec<u64>,
    /// For each block, one more than the number with which it last went back; 0 if this holder has not given it back.
    back: Vec<u64>,
    /// What was taken and neither given back nor is held, by a predecessor or this one, in order.
    again: VecDeque<Taken>,
    /// Blocks that are held, or forgotten.
    holding: u32,
    corrupt: Option<Corruption>,
}

impl<M: Memory + Clone> PoolRx<M> {
    /// Takes over from whoever held the end before, dead or left; the caller holds the role.
    ///
    /// What it had noted is held, and seen again, but for two steps of which the note was made and the step was not,
    /// or the other way round: a block that was not yet taken is still to come, and the block that went back last is
    /// not held.
    ///
    /// # Errors
    /// [`Corruption`] if the file contradicts itself.
    pub fn attach(windows: &Windows<M>) -> Result<Self, Corruption> {
        let slots = windows.layout.slots;
        let mut full = SlotRx::attach(windows.full.clone(), slots).map_err(Corruption::Ring)?;
        full.set_adaptive(false);
        let empty = SlotTx::attach(windows.empty.clone(), slots).map_err(Corruption::Ring)?;
        let blocks = windows.layout.blocks as usize;
        let mut rx = Self {
            full,
            empty,
            table: windows.held.clone(),
            bytes: Bytes::new(windows),
            held: vec![0; blocks],
            back: vec![0; blocks],
            // Room for every block, so that no call has to allocate.
            again: VecDeque::with_capacity(blocks),
            holding: 0,
            corrupt: None,
        };
        rx.recover()?;
        Ok(rx)
    }

    fn recover(&mut self) -> Result<(), Corruption> {
        let last = self.last_returned();
        let taken = self.full.sequence();
        let mut again = Vec::new();
        for block in 0..self.held.len() as u32 {
            let note = self.table.load_at(self.entry(block), at::TABLE);
            let len = self.table.load_at(self.entry(block) + 8, at::TABLE);
            let Some(sequence) = note.checked_sub(1) else { continue };
            if sequence > taken {
                return Err(Corruption::Table);
            }
            if sequence == taken || last == Some(Handle { block, low: sequence & LOW }) {
                self.table.store_at(self.entry(block), 0, at::RELEASED);
                continue;
            }
            if len > self.bytes.size() {
                return Err(Corruption::TooLong);
            }
            self.held[block as usize] = note;
            again.push(Taken { block, len, sequence, again: true });
        }
        again.sort_unstable_by_key(|taken| taken.sequence);
        self.again.extend(again);
        self.empty.window().fence(at::RECLAIM_LOG);
        Ok(())
    }

    /// The handle that went back last. Its bytes are there as long as no other one goes back.
    fn last_returned(&self) -> Option<Handle> {
        let sequence = self.empty.sequence().checked_sub(1)?;
        let (window, mut bytes) = (self.empty.window(), [0; 8]);
        let place = window.parts().ring as u64 + self.empty.layout().message_offset(sequence);
        window.copy_out_at(place, &mut bytes);
        Some(Handle::of(bytes))
    }

    fn entry(&self, block: u32) -> u64 {
        self.table.parts().ring as u64 + u64::from(block) * HELD
    }

    /// The next block: first what was taken before and not given back, then what the writer sends.
    pub fn try_take(&mut self) -> Take {
        if let Some(what) = self.corrupt {
            return Take::Corrupt(what);
        }
        if let Some(taken) = self.again.pop_front() {
            self.holding += 1;
            return Take::Block(taken);
        }
        match self.full.poll() {
            SlotPoll::Messages(_) => match self.check() {
                Ok(taken) => Take::Block(self.take(taken)),
                Err(what) => self.spoiled(what),
            },
            SlotPoll::Empty => Take::Empty,
            SlotPoll::Finished => Take::Finished,
            SlotPoll::Corrupt(what) => self.spoiled(Corruption::Ring(what)),
        }
    }

    #[cold]
    fn spoiled(&mut self, what: Corruption) -> Take {
        self.corrupt = Some(what);
        Take::Corrupt(what)
    }

    /// Whatever the handle says, only a block that the writer can have is taken: not one that is held here, nor one
    /// that is still on its way back.
    fn check(&self) -> Result<Taken, Corruption> {
        let mut bytes = [0; 8];
        self.full.copy_out(&mut bytes);
        let Handle { block, low: len } = Handle::of(bytes);
        let (Some(&held), Some(&back)) = (self.held.get(block as usize), self.back.get(block as usize))
        else {
            return Err(Corruption::NoSuchBlock);
        };
        if held != 0 || back.checked_sub(1).is_some_and(|sequence| !self.empty.is_taken(sequence)) {
            return Err(Corruption::NotTheirs);
        }
        if len > self.bytes.size() {
            return Err(Corruption::TooLong);
        }
        Ok(Taken { block, len, sequence: self.full.sequence(), again: false })
    }

    fn take(&mut self, taken: Taken) -> Taken {
        let entry = self.entry(taken.block);
        self.table.store_at(entry + 8, taken.len, at::HELD_LEN);
        self.table.store_at(entry, taken.sequence + 1, at::HELD);
        self.full.skip();
        self.full.settle();
        self.held[taken.block as usize] = taken.sequence + 1;
        self.holding += 1;
        taken
    }

    /// Gives a block back that was taken. Says whether the writer can see it: not if it has sent nonsense.
    pub fn give_back(&mut self, block: u32) -> bool {
        self.holding -= 1;
        if self.corrupt.is_some() {
            return false;
        }
        let sequence = self.held[block as usize].wrapping_sub(1);
        match self.empty.try_send(&Handle { block, low: sequence & LOW }.bytes()) {
            Ok(number) => {
                self.table.store_at(self.entry(block), 0, at::RELEASED);
                self.held[block as usize] = 0;
                self.back[block as usize] = number + 1;
                true
            }
            // There is room for every block of the pool at once, so any refusal is the writer's lie.
            Err(_) => {
                self.corrupt = Some(Corruption::Ring(shmq::Corruption::Position));
                false
            }
        }
    }

    /// Leaves a block as it was before it was taken: the next call takes it again, before any that came later. The file
    /// has it as held all the while.
    pub fn leave(&mut self, taken: Taken) {
        self.holding -= 1;
        let at = self.again.partition_point(|other| other.sequence < taken.sequence);
        self.again.insert(at, Taken { again: true, ..taken });
    }

    /// What the writer sent that cannot be; for good.
    #[cfg(feature = "testing")]
    pub fn corrupt(&self) -> Option<Corruption> {
        self.corrupt
    }

    /// Sequence number of the next block that the writer sends and nobody has taken.
    pub fn sequence(&self) -> u64 {
        self.full.sequence()
    }

    /// Blocks sent and not yet taken.
    pub fn pending(&self) -> u64 {
        self.full.pending()
    }

    /// The writer's mark with the last block that it sent with one.
    pub fn mark(&self) -> Option<shmq_core::Mark> {
        self.full.mark()
    }

    /// Whether `try_take` would find anything.
    pub fn is_ready(&mut self) -> bool {
        self.corrupt.is_some() || !self.again.is_empty() || self.full.is_ready()
    }

    /// Lets the writer get ahead, if this is the moment for it and nothing is there already.
    pub fn let_run_ahead(&mut self) {
        if self.again.is_empty() {
            self.full.let_run_ahead();
        }
    }

    /// Blocks that were taken before and will be seen again.
    pub fn again(&self) -> u64 {
        self.again.len() as u64
    }

    /// Blocks that are held.
    pub fn holding(&self) -> u64 {
        self.holding.into()
    }

    /// The blocks as bytes.
    pub fn bytes(&self) -> &Bytes<M> {
        &self.bytes
    }

    /// What it knows without looking at the memory: of both rings, of each block that is held, and of each that went
    /// back.
    #[cfg(feature = "testing")]
    pub fn private(&self) -> ([Vec<u64>; 2], &[u64], &[u64]) {
        ([self.full.private().into(), self.empty.private().into()], &self.held, &self.back)
    }
}

impl<M> Poison for PoolRx<M> {
    fn poison(&mut self, what: shmq::Corruption) {
        self.corrupt = Some(Corruption::Ring(what));
    }
}
