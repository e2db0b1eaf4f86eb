//! What the `shmq` command shares with the project's other programs for people. Promises nothing.

pub mod actor;
pub mod draw;
pub mod failure;
pub mod interrupt;
pub mod page;
pub mod signal;
pub mod units;
