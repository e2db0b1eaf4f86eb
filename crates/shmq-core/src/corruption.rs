//! Damage: what it is, and who can be told of it.

/// Why a ring cannot be trusted any more. Sticky in the handle that saw it; nothing else is affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corruption {
    /// A position that the peer stores went backwards, beyond ours, or is not a multiple of 8.
    Position,
    /// A commit word of no known kind, or with a length that no message can have.
    Word,
    /// A commit word whose sequence number is not the one that comes next.
    Sequence,
    /// Padding that does not reach the end of the ring, or that nothing follows.
    Padding,
    /// The file was truncated under the mapping.
    Truncated,
}

impl std::fmt::Display for Corruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Position => "a position contradicts the others",
            Self::Word => "a commit word is damaged",
            Self::Sequence => "a sequence number is out of order",
            Self::Padding => "a padding record is damaged",
            Self::Truncated => "the file was truncated",
        })
    }
}

/// An end that can be stopped for good from outside.
pub trait Poison {
    /// From here on, it says this.
    fn poison(&mut self, what: Corruption);
}
