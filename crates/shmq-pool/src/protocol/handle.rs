//! The word that travels.
//!
//! ```text
//!  63            48 47                                             0
//! +----------------+------------------------------------------------+
//! | block          | full: bytes used; empty: low bits of sequence  |
//! +----------------+------------------------------------------------+
//! ```

/// The lower part of a handle.
pub const LOW: u64 = (1 << 48) - 1;

/// A message of either ring. As it comes from there it proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    /// Number of the block, from 0.
    pub block: u32,
    /// Going out: bytes of it that are used. Coming back: low bits of the sequence number that it went out with.
    pub low: u64,
}

impl Handle {
    /// As it travels.
    pub const fn bytes(self) -> [u8; 8] {
        ((self.block as u64) << 48 | self.low & LOW).to_le_bytes()
    }

    /// Of any 8 bytes.
    pub const fn of(bytes: [u8; 8]) -> Self {
        let word = u64::from_le_bytes(bytes);
        Self { block: (word >> 48) as u32, low: word & LOW }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handle_round_trips() {
        for block in [0, 1, 2, 0x7fff, 0xffff] {
            for low in [0, 1, 4096, 1 << 40, LOW] {
                let handle = Handle { block, low };
                assert_eq!(Handle::of(handle.bytes()), handle);
            }
        }
    }
}
