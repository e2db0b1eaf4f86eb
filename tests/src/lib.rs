//! What the tests of shmq share: test memories, models, child processes; and the bodies of the fuzz targets.

/// The front page's examples are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

pub mod crash;
pub mod ends;
pub mod fuzz_bodies;
#[cfg(feature = "models")]
pub mod loom_memory;
pub mod model;
pub mod pool;
pub mod process;
pub mod step;
pub mod stoppable;
