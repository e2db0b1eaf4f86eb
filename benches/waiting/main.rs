//! What waiting costs, between two processes: how soon a sleeper is woken, what a stream pays for being able to sleep,
//! what adaptive polling does, what an idle end uses, how soon death is told, and what happens when one end is slow.
//!
//! `cargo run --release -p shmq-benches --bin waiting -- [--rounds N] [--quick] [--json] [WORKLOAD...]`; a workload is
//! chosen by a part of its name. `--quick` runs everything once and briefly, so that its figures mean nothing.
//!
//! The other process is this program again, on the second processor, and dies with this one. Contenders take turns, and
//! ratios are to the first of them in the same round.

mod child;
mod death;
mod idle;
mod slow;
mod streams;
mod wake;
mod wire;

use serde::Serialize;
use shmq_benches::compare::{Comparison, Contender, compare, compare_anywhere};
use std::process::ExitCode;
use std::sync::mpsc;

const USAGE: &str = "usage: waiting [--rounds N] [--quick] [--json] [WORKLOAD...]
workloads: wake, fences, adaptive, idle, death, slow";

/// What was asked for, and what came out so far.
pub struct Bench {
    rounds: usize,
    quick: bool,
    json: bool,
    wanted: Vec<String>,
    /// Says that something goes on.
    alive: mpsc::Sender<()>,
    done: Vec<Comparison>,
}

impl Bench {
    /// A number of messages or trips; far fewer of them in a quick run.
    pub fn count(&self, full: u64) -> u64 {
        if self.quick { (full / 200).clamp(10, 2000) } else { full }
    }

    /// Whether this is a quick run.
    pub fn is_quick(&self) -> bool {
        self.quick
    }

    /// Runs a workload that depends on where the processors are.
    pub fn compare(&mut self, workload: &str, contenders: Vec<Contender>) {
        self.run(workload, contenders, self.rounds, compare);
    }

    /// Runs a workload that does not, in its own number of rounds for every ten of the others.
    pub fn compare_anywhere(&mut self, workload: &str, contenders: Vec<Contender>, rounds_per_ten: usize) {
        let rounds = if self.quick { 1 } else { (self.rounds * rounds_per_ten).div_ceil(10) };
        self.run(workload, contenders, rounds, compare_anywhere);
    }

    fn run(
        &mut self,
        workload: &str,
        contenders: Vec<Contender>,
        rounds: usize,
        compare: impl Fn(&str, &[Contender], usize) -> Comparison,
    ) {
        if !self.wanted.is_empty() && !self.wanted.iter().any(|wanted| workload.contains(wanted.as_str())) {
            return;
        }
        let watched = |(name, run): Contender| -> Contender {
            let alive = self.alive.clone();
            (
                name,
                Box::new(move || {
                    let _ = alive.send(());
                    run()
                }),
            )
        };
        let contenders: Vec<Contender> = contenders.into_iter().map(watched).collect();
        let comparison = compare(workload, &contenders, rounds);
        if !self.json {
            print!("{comparison}");
        }
        self.done.push(comparison);
    }
}

/// What `--json` prints. Names and units are part of the schema.
#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    quick: bool,
    machine: Machine,
    workloads: &'a [Comparison],
}

/// Where it was measured.
#[derive(Serialize)]
struct Machine {
    processor: Option<String>,
    processors: Option<usize>,
    kernel: Option<String>,
    /// Before the first sample; over one minute. Above zero, others were at work.
    load_average: Option<f64>,
}

impl Machine {
    fn look() -> Self {
        let read = |path| std::fs::read_to_string(path).ok();
        let processor = read("/proc/cpuinfo").and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Self {
            processor,
            processors: std::thread::available_parallelism().ok().map(Into::into),
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            load_average: read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (alive, silence) = mpsc::channel();
    let mut bench =
        Bench { rounds: 15, quick: false, json: false, wanted: Vec::new(), alive, done: Vec::new() };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            child::ARGUMENT => return child::run(arguments),
            "--quick" => (bench.quick, bench.rounds) = (true, 1),
            "--json" => bench.json = true,
            "--rounds" => match arguments.next().and_then(|n| n.parse().ok()) {
                Some(rounds) => bench.rounds = rounds,
                None => return usage(),
            },
            flag if flag.starts_with('-') => return usage(),
            _ => bench.wanted.push(argument),
        }
    }
    let machine = Machine::look();
    child::watch(silence);
    for workload in [wake::run, streams::fences, streams::adaptive, slow::run, idle::run, death::run] {
        workload(&mut bench);
    }
    if bench.done.is_empty() {
        return usage();
    }
    if bench.json {
        let report = Report { schema: "shmq.waiting/1", quick: bench.quick, machine, workloads: &bench.done };
        println!("{}", serde_json::to_string(&report).expect("plain data"));
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
