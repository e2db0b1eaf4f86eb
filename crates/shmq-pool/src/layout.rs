//! Where everything is in a pool file. No behaviour.
//!
//! `docs/POOL.md` draws it; a test reads the drawing and compares it with what is computed here.

use shmq::OpenError;
use shmq_core::Geometry;
use shmq_core::layout::{MAX_CAPACITY, PAGE, Parts};
use shmq_core::{Memory, SlotLayout, Window};
use static_assertions::const_assert;

/// Bytes of a message of either ring: one [`crate::protocol::Handle`].
pub const HANDLE: u64 = 8;
/// Most blocks of a pool: a handle has 16 bits for the number.
pub const MAX_BLOCKS: u64 = 1 << 16;
/// Largest block: a handle has 48 bits for the length, and a file ends before that.
pub const MAX_BLOCK: u64 = MAX_CAPACITY;
/// Bytes of an entry of the writer's table.
pub const LENT: u64 = 8;
/// Bytes of an entry of the reader's table: sequence number, length.
pub const HELD: u64 = 16;
/// What the blocks are aligned to where they are many bytes, so that the kernel can map them in huge pages.
pub const HUGE: u64 = 2 << 20;
/// From this many bytes of blocks on they are.
pub const MANY: u64 = 16 * HUGE;

const_assert!(MAX_BLOCK < 1 << 48);

/// The parts of one pool, all derived from how many blocks there are and how large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How many blocks.
    pub blocks: u64,
    /// Bytes of a block that can be used.
    pub block_size: u64,
    /// Bytes from one block to the next.
    pub stride: u64,
    /// Sizes of either ring.
    pub slots: SlotLayout,
    /// The ring of full blocks: the writer sends, the reader receives.
    pub full: Parts,
    /// The ring of empty blocks, the other way round: its producer's page belongs to the reader.
    pub empty: Parts,
    /// Start of the writer's table.
    pub lent: usize,
    /// Start of the reader's table.
    pub held: usize,
    /// Start of the first block.
    pub first: usize,
    /// Bytes of all of it.
    pub length: u64,
}

impl Layout {
    /// As files have it: blocks begin on pages. `None` if it cannot be.
    pub fn new(blocks: u64, block_size: u64, group: u64) -> Option<Self> {
        Self::with_unit(blocks, block_size, group, PAGE as u64)
    }

    /// With blocks that begin at multiples of `unit`, itself one of 8: the protocol does not mind, and tests want
    /// small memories.
    pub fn with_unit(blocks: u64, block_size: u64, group: u64, unit: u64) -> Option<Self> {
        if !(1..=MAX_BLOCKS).contains(&blocks) || !(1..=MAX_BLOCK).contains(&block_size) {
            return None;
        }
        let page = PAGE as u64;
        let slots = SlotLayout::new(HANDLE, blocks, group)?;
        let stride = block_size.checked_next_multiple_of(unit)?;
        let bytes = stride.checked_mul(blocks).filter(|&bytes| bytes <= MAX_CAPACITY)?;
        let ring = slots.capacity.next_multiple_of(page);
        let full = Parts::standard(slots.capacity);
        let behind = full.ring as u64 + ring;
        let empty = Parts {
            producer: behind as usize,
            consumer: (behind + page) as usize,
            ring: (behind + 2 * page) as usize,
            capacity: slots.capacity,
        };
        let lent = empty.ring as u64 + ring;
        let held = lent + (blocks * LENT).next_multiple_of(page);
        let align = if bytes >= MANY { HUGE } else { page };
        let first = (held + (blocks * HELD).next_multiple_of(page)).next_multiple_of(align);
        Some(Self {
            blocks,
            block_size,
            stride,
            slots,
            full,
            empty,
            lent: lent as usize,
            held: held as usize,
            first: first as usize,
            length: (first + bytes).next_multiple_of(page),
        })
    }

    /// Bytes of the writer's table, whole pages.
    fn lent_bytes(&self) -> u64 {
        (self.held - self.lent) as u64
    }

    /// Bytes of the reader's table, whole pages.
    fn held_bytes(&self) -> u64 {
        (self.blocks * HELD).next_multiple_of(PAGE as u64)
    }

    /// The parts as windows on a memory; `None` if it is too short for them.
    pub fn windows<M: Memory + Clone>(&self, memory: &M) -> Option<Windows<M>> {
        let at = |ring: usize, capacity: u64| {
            // The pages of the first ring, and in place of the ring what else is to be seen through a window.
            Window::new(memory.clone(), Parts { ring, capacity, ..self.full })
        };
        Some(Windows {
            layout: *self,
            full: Window::new(memory.clone(), self.full)?,
            empty: Window::new(memory.clone(), self.empty)?,
            lent: at(self.lent, self.lent_bytes())?,
            held: at(self.held, self.held_bytes())?,
            bytes: at(self.first, (self.stride * self.blocks).max(16))?,
        })
    }
}

/// The parts of a pool, each checked to lie inside the memory.
#[derive(Clone, Debug)]
pub struct Windows<M> {
    /// Where they are.
    pub layout: Layout,
    /// The ring of full blocks.
    pub full: Window<M>,
    /// The ring of empty blocks.
    pub empty: Window<M>,
    /// The writer's table, in place of a ring.
    pub lent: Window<M>,
    /// The reader's table.
    pub held: Window<M>,
    /// The blocks.
    pub bytes: Window<M>,
}

/// Derives every part again from the sizes, and compares.
pub(crate) fn layout_of(geometry: &Geometry) -> Result<Layout, OpenError> {
    let not = |why| Err(OpenError::NotAQueue { path: None, why });
    let blocks = geometry.limits.max_messages.unwrap_or(0);
    let layout = Layout::new(blocks, geometry.limits.max_message, geometry.slot_group.into());
    let Some(layout) = layout else { return not("its blocks cannot be") };
    let same = geometry.parts == layout.full && geometry.slot_align == 0;
    // On a file system of huge pages a file is rounded up to whole ones.
    if !same || geometry.length < layout.length {
        return not("its parts are not where its sizes put them");
    }
    Ok(layout)
}
