//! Where one message ends and the next begins.

/// How input is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Lines,
    Chunk(u64),
    Raw,
    LengthPrefixed,
}

impl Cut {
    /// What it cuts, in words.
    pub fn piece(self) -> &'static str {
        if self == Self::Lines { "line" } else { "message" }
    }
}
