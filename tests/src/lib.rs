//! What the tests of shmq share: test memories, models, child processes; and the bodies of the fuzz targets.

pub mod crash;
pub mod fuzz_bodies;
pub mod model;
