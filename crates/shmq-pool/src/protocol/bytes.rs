//! Copies into and out of blocks, sound whatever the other process does to the bytes meanwhile.

use super::site::at;
use crate::layout::Windows;
use shmq_core::{Map, Memory, Window};

/// The blocks of a pool as bytes.
#[derive(Clone, Debug)]
pub struct Bytes<M> {
    window: Window<M>,
    blocks: u64,
    stride: u64,
    size: u64,
}

impl Bytes<Map> {
    /// Address of a block's first byte; there are `size` of them.
    pub fn pointer(&self, block: u32) -> *mut u8 {
        debug_assert!(u64::from(block) < self.blocks);
        let at = self.place(block) as usize;
        // SAFETY: the window's ring, which is all the blocks, lies inside the mapping, and so does a block that passed a check.
        unsafe { self.window.memory().base().add(at) }
    }
}

impl<M: Memory> Bytes<M> {
    /// The blocks of these windows.
    pub fn new(windows: &Windows<M>) -> Self
    where
        M: Clone,
    {
        let layout = &windows.layout;
        let window = windows.bytes.clone();
        Self { window, blocks: layout.blocks, stride: layout.stride, size: layout.block_size }
    }

    /// Place of a block's first byte.
    pub fn place(&self, block: u32) -> u64 {
        self.window.parts().ring as u64 + u64::from(block) * self.stride
    }

    /// How many blocks.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Bytes of a block.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where a range of a block begins, with the bytes to skip in its first word; nothing if it does not lie inside.
    fn locate(&self, block: u32, offset: usize, len: usize) -> Option<(u64, usize)> {
        let inside = (offset as u64).checked_add(len as u64).is_some_and(|end| end <= self.size);
        (inside && len != 0).then(|| (self.place(block) + (offset as u64 & !7), offset & 7))
    }

    /// Copies bytes into a block, leaving their neighbours as they are. Nothing if they do not fit.
    pub fn write(&self, block: u32, offset: usize, from: &[u8]) {
        let Some((mut place, skip)) = self.locate(block, offset, from.len()) else { return };
        let mut from = from;
        if skip != 0 {
            let (head, rest) = from.split_at(from.len().min(8 - skip));
            self.patch(place, skip, head);
            (place, from) = (place + 8, rest);
        }
        let (body, last) = from.split_at(from.len() & !7);
        if !body.is_empty() {
            self.window.copy_in_at(place, body);
        }
        if !last.is_empty() {
            self.patch(place + body.len() as u64, 0, last);
        }
    }

    fn patch(&self, place: u64, skip: usize, bytes: &[u8]) {
        let mut word = self.window.load_at(place, at::BYTES).to_le_bytes();
        word[skip..skip + bytes.len()].copy_from_slice(bytes);
        self.window.store_at(place, u64::from_le_bytes(word), at::PATCH);
    }

    /// Copies bytes out of a block. Nothing if they do not lie inside.
    pub fn read(&self, block: u32, offset: usize, into: &mut [u8]) {
        let Some((place, skip)) = self.locate(block, offset, into.len()) else { return };
        if skip == 0 {
            return self.window.copy_out_at(place, into);
        }
        let cut = into.len().min(8 - skip);
        let (head, rest) = into.split_at_mut(cut);
        head.copy_from_slice(&self.window.load_at(place, at::BYTES).to_le_bytes()[skip..skip + cut]);
        if !rest.is_empty() {
            self.window.copy_out_at(place + 8, rest);
        }
    }
}
