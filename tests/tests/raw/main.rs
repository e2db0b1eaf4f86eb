//! Raw memory and the seqlock cell: what they promise, and what they do not.

mod attach;
mod crash;
mod hostile;
mod kill;
#[cfg(feature = "models")]
mod loom_seqlock;
mod region;
