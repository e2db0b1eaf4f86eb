//! What waiting costs, between two processes: how soon a sleeper is woken, what a stream pays for being able to sleep,
//! what adaptive polling does, what an idle end uses, how soon death is told, and what happens when one end is slow.
//!
//! The other process is this program again, on the second processor, and dies with this one. Ratios are to the first
//! contender in the same round.

mod awaited;
pub mod child;
mod death;
mod errand;
mod idle;
#[cfg(feature = "peers")]
mod peers;
mod sets;
mod slow;
mod streams;
mod wake;
pub mod wire;
pub mod word;

use crate::bench::Bench;
use crate::processors::pin;
use errand::Errand;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use std::process::ExitCode;

/// All of it.
pub fn run(bench: &mut Bench) {
    for workload in [
        wake::run,
        streams::fences,
        streams::adaptive,
        streams::lines,
        streams::armed,
        sets::run,
        slow::run,
        idle::run,
        death::run,
    ] {
        workload(bench);
    }
}

/// What a child does instead of `main`.
pub fn run_errand(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let parent = arguments.next().expect("the parent's process id");
    set_parent_process_death_signal(Some(Signal::KILL)).expect("to die with the parent");
    // It may have died before that.
    if getppid().is_none_or(|id| id.as_raw_nonzero().to_string() != parent) {
        return ExitCode::FAILURE;
    }
    let errand = arguments.next().expect("an errand");
    let errand = serde_json::from_str(&errand).expect("an errand that was written by this program");
    pin(if let Errand::Echo(_, processor) = errand { processor } else { 1 });
    match errand {
        Errand::Echo(medium, _) => wire::echo(&medium),
        Errand::Feed { names, slots: false, messages } => sets::feed::<sets::Records>(&names, messages),
        Errand::Feed { names, slots: true, messages } => sets::feed::<sets::Slots>(&names, messages),
        #[cfg(feature = "peers")]
        Errand::FeedRings { paths, messages } => peers::ringfire::feed(&paths, messages),
        #[cfg(feature = "peers")]
        Errand::FeedServices { folder, queues, messages } => {
            peers::iceoryx::feed(&folder, queues, messages);
        }
        Errand::Send { stream, name } => stream.send(&name),
        Errand::Wait { wait, name } => wait.run(&name),
        Errand::Hold { name } => death::hold(&name),
        Errand::Succeed { name } => death::succeed(&name),
    }
    ExitCode::SUCCESS
}
