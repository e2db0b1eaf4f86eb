//! What the tests of shmq share: test memories, models, child processes; and the bodies of the fuzz targets.

pub mod crash;
pub mod ends;
pub mod fuzz_bodies;
#[cfg(feature = "models")]
pub mod loom_memory;
pub mod model;
pub mod pool;
pub mod process;
pub mod step;
