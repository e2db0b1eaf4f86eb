//! Memory and scale: what a queue's file and each handle take, how long it takes to attach to rings of 4 KiB to 1 GiB, a thousand
//! queues in one process, and the cost of a look.
//!
//! `cargo run --release -p shmq-benches --bin scale [-- --quick] [--json]`. Each table shows how its figures grow from row to row.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod heap;
mod measure;
mod process;
mod shape;
mod table;

use measure::{Handle, Look, Many, Ring};
use serde::Serialize;
use shape::{Records, Slots};
use shmq_benches::{Machine, pinned};
use shmq_tool::failure::Failure;
use shmq_tool::print;
use std::process::ExitCode;

/// What `--json` prints. Times are nanoseconds.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    /// Whether the times mean nothing.
    quick: bool,
    machine: Machine,
    handles: Vec<Handle>,
    rings: Vec<Ring>,
    many: Vec<Many>,
    looks: Vec<Look>,
    /// What could not be measured, and why.
    without: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument != "--quick" && argument != "--json") {
        print::err("usage: scale [--quick] [--json]");
        return ExitCode::from(2);
    }
    let has = |flag| arguments.iter().any(|argument| argument == flag);
    let report = pinned(0, || measure(has("--quick")));
    let text = if has("--json") {
        serde_json::to_string(&report).expect("plain data") + "\n"
    } else {
        table::text(&report)
    };
    match print::out(text) {
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => Failure::report(failure),
    }
}

fn measure(quick: bool) -> Report {
    process::raise_descriptors();
    let (sizes, rounds, calls): (&[u64], _, _) = if quick {
        (&[4 << 10, 64 << 10, 1 << 20], 3, 100)
    } else {
        (&[4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20, 1 << 30], 101, 10_000)
    };
    let numbers: &[usize] = if quick { &[1, 10] } else { &[1, 10, 100, 1000] };
    let mut without = Vec::new();
    let mut keep = |what: &str, why: String| without.push(format!("{what}: {why}"));
    let handles = measure::handles().unwrap_or_else(|why| {
        keep("handles", why);
        Vec::new()
    });
    let (mut many, mut looks) = (Vec::new(), Vec::new());
    for measured in numbers
        .iter()
        .map(|n| measure::many::<Records>(*n))
        .chain(numbers.iter().map(|n| measure::many::<Slots>(*n)))
    {
        match measured {
            Ok(one) => many.push(one),
            Err(why) => keep("many queues", why),
        }
    }
    for measured in
        [measure::looks::<Records>(calls, rounds.min(9)), measure::looks::<Slots>(calls, rounds.min(9))]
    {
        match measured {
            Ok(all) => looks.extend(all),
            Err(why) => keep("looks", why),
        }
    }
    let (mut rings, too_large) = measure::rings::<Records>(sizes, rounds);
    let (slots, too_large_slots) = measure::rings::<Slots>(sizes, rounds);
    rings.extend(slots);
    without.extend(too_large.into_iter().chain(too_large_slots));
    Report {
        schema: "shmq.bench-scale/1",
        quick,
        machine: Machine::look(),
        handles,
        rings,
        many,
        looks,
        without,
    }
}
