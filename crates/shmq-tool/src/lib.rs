//! What the programs of this project share: the command `shmq`, and those that show what shmq promises. Promises nothing.

pub mod actor;
pub mod draw;
pub mod failure;
pub mod interrupt;
pub mod page;
pub mod print;
pub mod signal;
pub mod units;
