//! The benchmarks of shmq: queues that do the same work side by side, and what waiting costs. `docs/BENCHMARKS.md` says how to run
//! and read them.
//!
//! Each message carries its number in every word and the receiving side reads every byte, so that no contender gets away
//! without moving them.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod compare;
mod contenders;
mod gate;
mod html;
mod machine;
pub mod mq;
mod payload;
pub mod placement;
mod processors;
pub mod program;
mod report;
mod results;
mod run;
mod svg;
mod waiting;
mod workloads;

pub use contenders::Trial;
pub use machine::Machine;
pub use processors::{pin, pinned};
pub use results::Spread;
pub use run::{Figures, Kind, Outcome};
pub use svg::nanoseconds;
pub use workloads::in_process;
