//! The bytes of a file that is only looked at, and that may be shorter than it says.

use crate::memory::{Map, Memory, Site, at};

/// A read-only mapping that reads as zeros behind the end of its file, so that what there is of a truncated one can be
/// looked at like any other.
#[derive(Clone, Debug)]
pub struct Seen {
    map: Map,
    /// Bytes that the geometry speaks of.
    len: usize,
}

impl Seen {
    /// `len`: how long the file ought to be.
    pub fn new(map: Map, len: u64) -> Self {
        Self { map, len: usize::try_from(len).unwrap_or(usize::MAX) }
    }

    /// Copies bytes from anywhere; how many there are, as many as were asked for but at the end of the file.
    pub fn read(&self, at: u64, into: &mut [u8]) -> usize {
        let there = self.present().saturating_sub(at).min(into.len() as u64) as usize;
        let into = &mut into[..there];
        let (mut from, mut done) = ((at & !7) as usize, 0);
        let skip = at as usize & 7;
        if skip != 0 && there > 0 {
            // SAFETY: aligned; words that the file does not have whole are zero.
            let word = unsafe { self.load(from, at::OBSERVE) }.to_le_bytes();
            done = there.min(8 - skip);
            into[..done].copy_from_slice(&word[skip..skip + done]);
            from += 8;
        }
        if done < there {
            // SAFETY: aligned; bytes that the file does not have are zero.
            unsafe { self.copy_out(from, &mut into[done..]) };
        }
        there
    }

    /// Whether the file was truncated since, so that zeros are seen; see [`crate::sigbus`].
    pub fn is_torn(&self) -> bool {
        self.map.is_torn()
    }

    /// Bytes that there are.
    pub fn present(&self) -> u64 {
        self.map.len().min(self.len) as u64
    }
}

// SAFETY: `len` never changes; bytes are taken from the mapping where that has them, and are zero elsewhere.
unsafe impl Memory for Seen {
    fn len(&self) -> usize {
        self.len
    }

    fn extent(&self) -> u64 {
        self.present()
    }

    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        if at.checked_add(8).is_none_or(|end| end > self.map.len()) {
            return 0;
        }
        // SAFETY: the caller's for the alignment, just checked for the rest.
        unsafe { self.map.load(at, site) }
    }

    /// Nobody who looks stores.
    unsafe fn store(&self, _: usize, _: u64, _: Site) {
        debug_assert!(false, "a store while looking");
    }

    fn fence(&self, site: Site) {
        self.map.fence(site);
    }

    unsafe fn copy_in(&self, _: usize, _: &[u8]) {
        debug_assert!(false, "a store while looking");
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        let there = (self.map.len() & !7).saturating_sub(at).min(into.len());
        let (there, missing) = into.split_at_mut(there);
        missing.fill(0);
        if !there.is_empty() {
            // SAFETY: the caller's for the alignment; the mapping has these bytes, rounded up to 8.
            unsafe { self.map.copy_out(at, there) };
        }
    }
}
