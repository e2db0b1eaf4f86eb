//! The writer's end: sends full blocks, takes empty ones back.

use super::Bytes;
use super::handle::{Handle, LOW};
use super::site::at;
use crate::error::Corruption;
use crate::layout::{LENT, Windows};
use shmq_core::{Mark, Memory, Poison, Refused, RingState, SlotPoll, SlotRx, SlotTx, Window};

/// Why there is no block to lend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLoan {
    /// None is at home.
    NoneFree,
    /// The reader has sent nonsense.
    Corrupt(Corruption),
}

/// Why a block was not sent. It is still lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// More bytes than a block has.
    TooLong,
    /// End of data was declared.
    Finished,
    /// The reader has sent nonsense.
    Corrupt(Corruption),
}

/// The writer's end.
#[derive(Debug)]
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct PoolTx<M> {
    full: SlotTx<M>,
    empty: SlotRx<M>,
    /// The table that only this end writes: for each block, the sequence number it was sent with, plus one; 0 at home.
    table: Window<M>,
    bytes: Bytes<M>,
    /// This end's own copy of its table: the shared one is written, not read back.
    away: Vec<u64>,
    /// Blocks that are here and not lent. The last one is lent first: it is the warmest.
    home: Vec<u32>,
    /// Blocks that are lent, or forgotten.
    lent: u32,
    corrupt: Option<Corruption>,
}

impl<M: Memory + Clone> PoolTx<M> {
    /// Takes over from whoever held the end before, dead or left; the caller holds the role.
    ///
    /// Notes that speak of what was not done are taken back: a block noted as sent with a number that no message has
    /// is at home; and where the next block that comes back is noted as here already, it is here.
    ///
    /// # Errors
    /// [`Corruption`] if the file contradicts itself.
    pub fn attach(windows: &Windows<M>) -> Result<Self, Corruption> {
        let slots = windows.layout.slots;
        let full = SlotTx::attach(windows.full.clone(), slots).map_err(Corruption::Ring)?;
        let mut empty = SlotRx::attach(windows.empty.clone(), slots).map_err(Corruption::Ring)?;
        empty.set_adaptive(false);
        let blocks = windows.layout.blocks as usize;
        let (table, bytes) = (windows.lent.clone(), Bytes::new(windows));
        let (away, home) = (vec![0; blocks], Vec::with_capacity(blocks));
        let mut tx = Self { full, empty, table, bytes, away, home, lent: 0, corrupt: None };
        // A finished pool lends nothing, and what its writer had noted is nobody's business any more.
        if tx.state() == RingState::Open {
            tx.recover()?;
        }
        Ok(tx)
    }

    fn recover(&mut self) -> Result<(), Corruption> {
        let sent = self.full.sequence();
        // The first block is lent first.
        for block in (0..self.away.len() as u32).rev() {
            let note = self.table.load_at(self.entry(block), at::TABLE);
            match note.checked_sub(1) {
                Some(sequence) if sequence > sent => return Err(Corruption::Table),
                Some(sequence) if sequence < sent => self.away[block as usize] = note,
                Some(_) => self.note_home(block),
                None => self.home.push(block),
            }
        }
        let back = self.look_back().map_err(Corruption::Ring)?;
        if back.is_some_and(|handle| self.away.get(handle.block as usize) == Some(&0)) {
            self.empty.skip();
            self.empty.settle();
        }
        self.full.window().fence(at::RECLAIM_LOG);
        Ok(())
    }

    fn note_home(&mut self, block: u32) {
        self.table.store_at(self.entry(block), 0, at::HOME);
        self.away[block as usize] = 0;
        self.home.push(block);
    }

    fn entry(&self, block: u32) -> u64 {
        self.table.parts().ring as u64 + u64::from(block) * LENT
    }

    /// The next handle that comes back, which stays where it is.
    fn look_back(&mut self) -> Result<Option<Handle>, shmq::Corruption> {
        match self.empty.poll() {
            SlotPoll::Messages(_) => {
                let mut bytes = [0; 8];
                self.empty.copy_out(&mut bytes);
                Ok(Some(Handle::of(bytes)))
            }
            SlotPoll::Empty => Ok(None),
            // Readers do not declare an end.
            SlotPoll::Finished => Err(shmq::Corruption::Word),
            SlotPoll::Corrupt(what) => Err(what),
        }
    }

    /// Takes back one block, if one has come. Whatever the handle says, only a block that is away, with the number
    /// that it was sent with and after the reader has taken it, comes home.
    fn take_back(&mut self) -> Result<(), Corruption> {
        let Some(Handle { block, low }) = self.look_back().map_err(Corruption::Ring)? else {
            return Ok(());
        };
        let Some(&note) = self.away.get(block as usize) else { return Err(Corruption::NoSuchBlock) };
        let theirs = note != 0 && (note - 1) & LOW == low && self.full.is_taken(note - 1);
        if !theirs {
            return Err(Corruption::NotTheirs);
        }
        self.note_home(block);
        self.empty.skip();
        self.empty.settle();
        self.table.fence(at::TAKE_LOG);
        Ok(())
    }

    /// A block to write, which is nobody else's until it is sent or given back.
    ///
    /// # Errors
    /// [`NoLoan`].
    pub fn try_loan(&mut self) -> Result<u32, NoLoan> {
        if self.corrupt.is_none() {
            // What has come back goes first: it may still be in a cache, and so few blocks are ever touched.
            self.corrupt = self.take_back().err();
        }
        if let Some(what) = self.corrupt {
            return Err(NoLoan::Corrupt(what));
        }
        let block = self.home.pop().ok_or(NoLoan::NoneFree)?;
        self.lent += 1;
        Ok(block)
    }

    /// Ends a loan; nothing was sent.
    pub fn give_back(&mut self, block: u32) {
        self.lent -= 1;
        self.home.push(block);
    }

    /// Sends a block that is lent; returns its sequence number.
    ///
    /// # Errors
    /// [`Unsent`]; the block is then still lent.
    pub fn send(&mut self, block: u32, len: u64) -> Result<u64, Unsent> {
        self.send_by(block, len, |full, handle| full.try_send(handle))
    }

    /// The same with a mark.
    ///
    /// # Errors
    /// As above.
    pub fn send_marked(&mut self, block: u32, len: u64, mark: &[u8; 16]) -> Result<u64, Unsent> {
        self.send_by(block, len, |full, handle| full.try_send_marked(handle, mark))
    }

    #[inline(always)]
    fn send_by(
        &mut self,
        block: u32,
        len: u64,
        send: impl FnOnce(&mut SlotTx<M>, &[u8; 8]) -> Result<u64, Refused>,
    ) -> Result<u64, Unsent> {
        if let Some(what) = self.corrupt {
            return Err(Unsent::Corrupt(what));
        }
        if len > self.bytes.size() {
            return Err(Unsent::TooLong);
        }
        let sequence = self.full.sequence();
        self.table.store_at(self.entry(block), sequence + 1, at::LENT);
        match send(&mut self.full, &Handle { block, low: len }.bytes()) {
            Ok(sequence) => {
                self.away[block as usize] = sequence + 1;
                self.lent -= 1;
                Ok(sequence)
            }
            Err(refused) => {
                self.table.store_at(self.entry(block), 0, at::HOME);
                Err(self.unsent(refused))
            }
        }
    }

    #[cold]
    fn unsent(&mut self, refused: Refused) -> Unsent {
        let what = match refused {
            Refused::Finished => return Unsent::Finished,
            // There is room for every block of the pool at once, so a full ring is the reader's lie.
            Refused::Full | Refused::TooLarge => Corruption::Ring(shmq::Corruption::Position),
            Refused::Corrupt(what) => Corruption::Ring(what),
        };
        self.corrupt = Some(what);
        Unsent::Corrupt(what)
    }

    /// Declares the end of data.
    ///
    /// # Errors
    /// [`Corruption`].
    pub fn finish(&mut self) -> Result<(), Corruption> {
        if let Some(what) = self.corrupt {
            return Err(what);
        }
        self.full.finish().map_err(|refused| match refused {
            Refused::Corrupt(what) => Corruption::Ring(what),
            _ => Corruption::Ring(shmq::Corruption::Word),
        })
    }

    /// Whether the end was declared.
    pub fn state(&self) -> RingState {
        self.full.state()
    }

    /// What the reader sent that cannot be; for good.
    #[cfg(feature = "testing")]
    pub fn corrupt(&self) -> Option<Corruption> {
        self.corrupt
    }

    /// Sequence number of the next block that is sent.
    pub fn sequence(&self) -> u64 {
        self.full.sequence()
    }

    /// The mark of the last block that was sent with one.
    pub fn mark(&self) -> Option<Mark> {
        self.full.mark()
    }

    /// Blocks sent and not yet taken.
    pub fn pending(&self) -> u64 {
        self.full.pending()
    }

    /// Blocks that could be lent now.
    pub fn free(&self) -> u64 {
        (self.home.len() as u64 + self.empty.pending()).min(self.away.len() as u64)
    }

    /// Whether `try_loan` would find a block, or nonsense.
    pub fn is_ready(&mut self) -> bool {
        self.corrupt.is_some() || !self.home.is_empty() || self.empty.is_ready()
    }

    /// Lets the reader get ahead, if this is the moment for it and no block is at home already.
    pub fn let_run_ahead(&mut self) {
        if self.home.is_empty() {
            self.empty.let_run_ahead();
        }
    }

    /// Blocks that are here and not lent.
    #[cfg(feature = "testing")]
    pub fn home(&self) -> &[u32] {
        &self.home
    }

    /// Blocks that are lent.
    pub fn lent(&self) -> u64 {
        self.lent.into()
    }

    /// The blocks as bytes.
    pub fn bytes(&self) -> &Bytes<M> {
        &self.bytes
    }

    /// What it knows without looking at the memory: of both rings, and of each block that is away.
    #[cfg(feature = "testing")]
    pub fn private(&self) -> ([Vec<u64>; 2], &[u64]) {
        ([self.full.private().into(), self.empty.private().into()], &self.away)
    }
}

impl<M> Poison for PoolTx<M> {
    fn poison(&mut self, what: shmq::Corruption) {
        self.corrupt = Some(Corruption::Ring(what));
    }
}
