//! What other people's queues have for whoever waits in a task, or for many at once, between two processes.

pub mod iceoryx;
pub mod ringfire;
