//! Drafts of several pieces or messages.

use shmq_core::memory::Map;
use shmq_core::ring::{Draft, Place, RecordTx, Refused, word};
use std::io::IoSlice;

pub fn total(slices: &[IoSlice<'_>]) -> u64 {
    slices.iter().map(|s| s.len() as u64).sum()
}

pub fn batch_len<B: AsRef<[u8]>>(messages: &[B]) -> u64 {
    messages.iter().map(|m| word::size(m.as_ref().len() as u64)).sum()
}

pub fn fill_slices(ring: &mut RecordTx<Map>, place: &Place, slices: &[IoSlice<'_>]) {
    let mut at = 0;
    for slice in slices {
        ring.patch(place, at, slice);
        at += slice.len() as u64;
    }
}

/// A draft with all of these messages.
pub fn draft_of<B: AsRef<[u8]>>(ring: &mut RecordTx<Map>, messages: &[B]) -> Result<Draft, Refused> {
    let mut draft = ring.begin()?;
    if !messages.is_empty() {
        let plan = ring.plan(messages.iter().map(|m| m.as_ref().len() as u64))?;
        ring.try_room(&plan)?;
    }
    for message in messages {
        let message = message.as_ref();
        let place = ring.reserve(&mut draft, message.len() as u64)?;
        ring.fill(&place, message);
        ring.seal(&mut draft, &place, message.len() as u64);
    }
    Ok(draft)
}
