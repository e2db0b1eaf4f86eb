//! What the `shmq` command shares with the project's other programs for people. Promises nothing.

pub mod failure;
pub mod interrupt;
pub mod page;
pub mod units;
