//! What the tests of shmq share: test memories, models, child processes; and the bodies of the fuzz targets.

pub mod loom_memory;
pub mod process;
