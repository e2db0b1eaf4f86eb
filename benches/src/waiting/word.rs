//! A word that is passed on.

/// One end of what carries the word. Waiting means sleeping.
pub trait Wire {
    /// Passes a word on.
    fn send(&mut self, word: u64);
    /// Waits for a word.
    fn recv(&mut self) -> u64;
    /// Passes a word on, and waits for the next.
    fn trip(&mut self, word: u64) -> u64 {
        self.send(word);
        self.recv()
    }
}
