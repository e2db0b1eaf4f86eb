//! What waiting costs, between two processes: how soon a sleeper is woken, what a stream pays for being able to sleep,
//! what adaptive polling does, what an idle end uses, how soon death is told, and what happens when one end is slow.
//!
//! The other process is this program again, on the second processor, and dies with this one. Ratios are to the first
//! contender in the same round.

pub mod child;
mod death;
mod idle;
mod slow;
mod streams;
mod wake;
pub mod wire;

use crate::bench::Bench;

/// All of it.
pub fn run(bench: &mut Bench) {
    for workload in [wake::run, streams::fences, streams::adaptive, slow::run, idle::run, death::run] {
        workload(bench);
    }
}
