//! The shmq command.
fn main() {}
