//! What a pool of blocks must do, as plain sets, and a rig that runs the real protocol beside it.
//!
//! [`Spec`] is the specification: where each block is. Everything either end says is held against it, and so is
//! everything that successors of both ends would find in the memory as it is, at any time and whoever has just died.

mod explore;
mod play;
mod rig;

pub use explore::{Plan, Tally, explore};
pub use play::play;
pub use rig::{BLOCK, Live, Rig, View};

use std::collections::{BTreeSet, VecDeque};

/// Something that one of the ends does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Borrows a block and writes to it.
    Loan,
    /// Sends the loan of this rank.
    Send(usize),
    /// Gives the loan of this rank back.
    Abort(usize),
    /// Declares the end of data.
    Finish,
    /// Takes the next block and reads it.
    Take,
    /// Gives the held block of this rank back.
    Return(usize),
    /// Drops the held block of this rank, so that it is shown again.
    Leave(usize),
}

impl Op {
    /// Whose it is.
    pub fn role(self) -> shmq::Role {
        match self {
            Self::Loan | Self::Send(_) | Self::Abort(_) | Self::Finish => shmq::Role::Producer,
            Self::Take | Self::Return(_) | Self::Leave(_) => shmq::Role::Consumer,
        }
    }
}

/// A block and the sequence number it was sent with.
pub type Sent = (u32, u64);

/// Where each block is. It is in exactly one of the lists, but that what is on loan is at home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The writer's, in no order.
    pub home: Vec<u32>,
    /// Of these, what the living writer has on loan, in the order it was lent.
    pub lent: Vec<u32>,
    /// Sent and not taken.
    pub under_way: VecDeque<Sent>,
    /// Taken and not given back, by this reader or a predecessor, in the order sent.
    pub held: Vec<Sent>,
    /// The numbers of those that the living reader is still to see again: a predecessor's, and what it dropped itself.
    pub again: BTreeSet<u64>,
    /// Given back and not taken by the writer.
    pub coming_back: VecDeque<Sent>,
    /// Sequence number of the next block.
    pub next: u64,
    /// Whether the end was declared.
    pub finished: bool,
}

impl Spec {
    /// A new pool.
    pub fn new(blocks: u32) -> Self {
        Self {
            home: (0..blocks).collect(),
            lent: Vec::new(),
            under_way: VecDeque::new(),
            held: Vec::new(),
            again: BTreeSet::new(),
            coming_back: VecDeque::new(),
            next: 0,
            finished: false,
        }
    }

    /// The writer died or left: what it had on loan is free.
    pub fn writer_goes(&mut self) {
        self.lent.clear();
    }

    /// Of the blocks that the living reader holds and has seen, the one of this rank.
    pub fn seen(&self, rank: usize) -> Option<Sent> {
        self.held.iter().filter(|(_, sequence)| !self.again.contains(sequence)).nth(rank).copied()
    }

    /// The reader died or left: what it held is seen again.
    pub fn reader_goes(&mut self) {
        self.again = self.held.iter().map(|&(_, sequence)| sequence).collect();
    }
}

/// What a block holds that was sent with this number.
pub fn content(sequence: u64) -> u64 {
    (sequence + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
