//! Where every block is, found without taking any; written once for any memory, so that the models can ask it of every
//! state that a kill can leave.

use crate::layout::{HELD, LENT, Windows};
use crate::protocol::{Handle, LOW, at};
use shmq::{Corruption, Damage, PendingEnd};
use shmq_core::find_sequence;
use shmq_core::layout::READ;
use shmq_core::{Memory, Walk, Window, at as ring_at};

/// Where a block is, of those that a reader would get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Received and not given back: by the reader that is there, or by one that died, whose successor sees it again.
    Held,
    /// Sent and not received.
    UnderWay,
}

/// A block that was sent and not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingBlock {
    /// Sequence number that it was sent with.
    pub sequence: u64,
    /// Which of the pool's blocks it is, from 0.
    pub block: u32,
    /// Bytes of it that are used.
    pub len: u64,
    /// Where it is.
    pub place: Place,
    /// Where its first byte is in the file.
    pub file_offset: u64,
}

/// What a reader would get, and why no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// In the order sent: those that are held come first.
    pub blocks: Vec<PendingBlock>,
    /// Why there are no more.
    pub end: PendingEnd,
}

/// A pool that is looked at.
#[derive(Debug)]
pub struct Survey<'a, M>(pub &'a Windows<M>);

/// Where a block was found, and the number that says so.
type Found = (&'static str, u64);

impl<M: Memory> Survey<'_, M> {
    /// Messages sent and taken of one ring, and whether its end was declared.
    pub fn ring(&self, window: &Window<M>) -> (u64, u64, bool) {
        let shape = self.0.layout.slots;
        let read = window.load(READ, ring_at::OBSERVE);
        // A living producer may lap the walk; then another one starts further on.
        let found = (0..3).find_map(|_| find_sequence(window, &shape, ring_at::OBSERVE).ok());
        let (sent, finished) = found.unwrap_or((read, false));
        (sent, read, finished)
    }

    /// Of both rings.
    pub fn positions(&self) -> [(u64, u64, bool); 2] {
        [self.ring(&self.0.full), self.ring(&self.0.empty)]
    }

    /// What the writer has noted of a block.
    pub fn note(&self, block: u32) -> u64 {
        let table = &self.0.lent;
        table.load_at(table.parts().ring as u64 + u64::from(block) * LENT, at::TABLE)
    }

    /// What the reader has noted of a block: number and length. Nothing if it moves on meanwhile, for then the length may be of the
    /// next message.
    fn taken(&self, block: u32) -> (u64, u64) {
        let table = &self.0.held;
        let entry = table.parts().ring as u64 + u64::from(block) * HELD;
        let [note, len, again] = [0, 8, 0].map(|word| table.load_at(entry + word, at::TABLE));
        if again == note { (note, len) } else { (0, 0) }
    }

    /// What a reader would get; see [`crate::Inspector::pending`].
    pub fn pending(&self) -> Pending {
        let layout = &self.0.layout;
        let mut walk = Walk::slots(&self.0.full, &layout.slots);
        let mut blocks = Vec::new();
        let end = loop {
            let found = match walk.look() {
                Ok(found) => found,
                Err(end) => break end,
            };
            let mut bytes = [0; 8];
            walk.copy_out(&found, &mut bytes);
            if !walk.pass(&found) {
                continue;
            }
            let (sequence, Handle { block, low: len }) = (found.sequence, Handle::of(bytes));
            if u64::from(block) >= layout.blocks || len > layout.block_size {
                let ring = self.0.full.parts().ring as u64;
                let (most, size) = (layout.blocks - 1, layout.block_size);
                break PendingEnd::Damaged(Damage {
                    what: Corruption::Word,
                    position: sequence,
                    file_offset: ring + layout.slots.message_offset(sequence),
                    expected: format!("a block from 0 to {most} with at most {size} bytes"),
                    found: format!("block {block} with {len} bytes"),
                });
            }
            blocks.push(self.block(sequence, block, len, Place::UnderWay));
        };
        // Behind the walk: what was received meanwhile is then found here, or was given back.
        let mut held = self.held();
        held.retain(|held| blocks.iter().all(|block| block.sequence != held.sequence));
        held.sort_unstable_by_key(|block| block.sequence);
        held.extend(blocks);
        Pending { blocks: held, end }
    }

    fn block(&self, sequence: u64, block: u32, len: u64, place: Place) -> PendingBlock {
        let layout = &self.0.layout;
        let file_offset = layout.first as u64 + u64::from(block) * layout.stride;
        PendingBlock { sequence, block, len, place, file_offset }
    }

    /// What the reader has, by its table: without notes of what was not received yet, or has just been given back.
    pub fn held(&self) -> Vec<PendingBlock> {
        let Windows { layout, full, empty, .. } = self.0;
        let (returned, _, _) = self.ring(empty);
        let last = returned.checked_sub(1).map(|sequence| {
            let mut bytes = [0; 8];
            let place = empty.parts().ring as u64 + layout.slots.message_offset(sequence);
            empty.copy_out_at(place, &mut bytes);
            Handle::of(bytes)
        });
        let noted = (0..layout.blocks as u32).filter_map(|block| {
            let (note, len) = self.taken(block);
            let sequence = note.checked_sub(1)?;
            let received = sequence < full.load(READ, ring_at::OBSERVE);
            let returned = last == Some(Handle { block, low: sequence & LOW });
            let held = received && !returned && len <= layout.block_size;
            held.then(|| self.block(sequence, block, len, Place::Held))
        });
        noted.collect()
    }

    /// One look at where every block is: how many are away, if each is in exactly one place.
    ///
    /// # Errors
    /// What is wrong, in a sentence. If anybody moves meanwhile, it may be nothing.
    pub fn account(&self) -> Result<u64, String> {
        let [(sent, received, finished), (_, _, ended)] = self.positions();
        if ended {
            return Err("among the empty ones, the end of data was declared, which no reader does".into());
        }
        let mut places: Vec<Vec<Found>> = vec![Vec::new(); self.0.layout.blocks as usize];
        self.find_under_way(&mut places)?;
        self.find_held(&mut places, received)?;
        self.find_coming_back(&mut places)?;
        // First, because where one block is twice, another is missing.
        if let Some((block, [(a, x), (b, y)])) =
            places.iter().enumerate().find_map(|(block, found)| Some((block, found.first_chunk::<2>()?)))
        {
            return Err(format!(
                "block {block} is in two places: {a} with number {x}, and {b} with number {y}"
            ));
        }
        let mut away = 0;
        for (block, places) in places.iter().enumerate() {
            let note = self.note(block as u32);
            if note > sent.saturating_add(1) {
                let number = note - 1;
                return Err(format!(
                    "block {block} is noted as sent with number {number}, but only {sent} were sent"
                ));
            }
            // A writer notes the number before it sends with it.
            let noted = note.checked_sub(1).filter(|&number| number < sent);
            away += u64::from(noted.is_some());
            return Err(match (noted, &places[..]) {
                (None, []) => continue,
                (Some(number), &[(_, found)]) if found & LOW == number & LOW => continue,
                // What its writer had noted of a finished pool is nobody's business any more.
                (None, _) if finished => continue,
                (None, &[(place, number), ..]) => {
                    format!("block {block} is noted as at home, and is {place} with number {number}")
                }
                (Some(sent), &[(place, number), ..]) => {
                    format!("block {block} was sent with number {sent}, and is {place} with number {number}")
                }
                (Some(sent), []) => format!(
                    "block {block} was sent with number {sent}, and is neither under way nor held nor coming back"
                ),
            });
        }
        Ok(away)
    }

    fn find_under_way(&self, places: &mut [Vec<Found>]) -> Result<(), String> {
        let pending = self.pending();
        for block in pending.blocks.iter().filter(|block| block.place == Place::UnderWay) {
            places[block.block as usize].push(("under way", block.sequence));
        }
        match pending.end {
            PendingEnd::Damaged(damage) => Err(format!("among the full ones, {damage}")),
            _ => Ok(()),
        }
    }

    fn find_held(&self, places: &mut [Vec<Found>], received: u64) -> Result<(), String> {
        let size = self.0.layout.block_size;
        for block in 0..places.len() as u32 {
            let (note, len) = self.taken(block);
            if note > received.saturating_add(1) {
                let number = note - 1;
                return Err(format!(
                    "block {block} is noted as received with number {number}, but only {received} were"
                ));
            }
            if note != 0 && note <= received && len > size {
                return Err(format!("block {block} is noted as received with {len} bytes; it has {size}"));
            }
        }
        for held in self.held() {
            places[held.block as usize].push(("held", held.sequence));
        }
        Ok(())
    }

    fn find_coming_back(&self, places: &mut [Vec<Found>]) -> Result<(), String> {
        let mut walk = Walk::slots(&self.0.empty, &self.0.layout.slots);
        let first = self.0.empty.load(READ, ring_at::OBSERVE);
        loop {
            let found = match walk.look() {
                Ok(found) => found,
                Err(PendingEnd::Damaged(damage)) => return Err(format!("among the empty ones, {damage}")),
                Err(_) => return Ok(()),
            };
            let mut bytes = [0; 8];
            walk.copy_out(&found, &mut bytes);
            if !walk.pass(&found) {
                continue;
            }
            let (sequence, Handle { block, low }) = (found.sequence, Handle::of(bytes));
            let Some(places) = places.get_mut(block as usize) else {
                return Err(format!(
                    "the empty one with number {sequence} is block {block}, which there is not"
                ));
            };
            // A writer that takes it back notes that before it does.
            if sequence != first || self.note(block) != 0 {
                places.push(("coming back", low));
            }
        }
    }
}
