//! The program: what is asked for, and what is made of what came out.

use crate::bench::{Bench, Report};
use crate::machine::Machine;
use crate::{html, report, waiting, workloads};
use std::process::ExitCode;
use std::sync::mpsc;

/// More would take years.
const MOST_ROUNDS: usize = 1_000_000;
const USAGE: &str = "[--rounds N] [--quick] [--list] [--json] [--html FILE] [WORKLOAD...]

A workload is chosen by a part of its name; --list shows all names: stream, round trip, regime (beside other queues); wake,
fences, adaptive, slow, idle, death (what waiting costs). Without one, all of them are run.

  --rounds N   samples of each contender (default 15, at most a million)
  --quick      everything once and briefly: that it works; the figures mean nothing
  --list       only the names of the workloads
  --json       one JSON object instead of tables
  --html FILE  the same as a page with charts, which needs no other file";

/// Runs the program with these arguments. `again` are the arguments that lead a process started from the same file to this
/// function; the rest are its own.
pub fn main(arguments: impl IntoIterator<Item = String>, again: &[&str]) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let (alive, silence) = mpsc::channel();
    let report = Report {
        schema: "shmq.bench/1",
        quick: false,
        peers: cfg!(feature = "peers"),
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::look(),
        workloads: Vec::new(),
    };
    let mut bench = Bench {
        rounds: 15,
        quick: false,
        list: false,
        json: false,
        html: None,
        wanted: Vec::new(),
        alive,
        report,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            waiting::child::ARGUMENT => return waiting::run_errand(arguments),
            "--help" | "-h" => {
                println!("usage: {} {USAGE}", program(again));
                return ExitCode::SUCCESS;
            }
            "--quick" => (bench.quick, bench.rounds) = (true, 1),
            "--list" => bench.list = true,
            "--json" => bench.json = true,
            "--html" => match arguments.next() {
                Some(file) => bench.html = Some(file.into()),
                None => return usage(again),
            },
            "--rounds" => match arguments.next().and_then(|n| n.parse().ok()).filter(|n| *n <= MOST_ROUNDS) {
                Some(rounds) => bench.rounds = rounds,
                None => return usage(again),
            },
            flag if flag.starts_with('-') => return usage(again),
            _ => bench.wanted.push(argument),
        }
    }
    waiting::child::set_again(again);
    waiting::child::watch(silence);
    run(bench, again)
}

fn run(mut bench: Bench, again: &[&str]) -> ExitCode {
    bench.report.quick = bench.quick;
    for workloads in [workloads::round_trips, workloads::streams, workloads::regimes, waiting::run] {
        workloads(&mut bench);
    }
    if bench.list {
        return ExitCode::SUCCESS;
    }
    if bench.report.workloads.is_empty() {
        return usage(again);
    }
    if !bench.json {
        print!("{}", report::Summary(&bench.report.workloads));
    }
    if bench.json {
        println!("{}", serde_json::to_string(&bench.report).expect("plain data"));
    }
    if let Some(path) = &bench.html
        && let Err(error) = std::fs::write(path, html::page(&bench.report))
    {
        eprintln!("{}: {error}; choose another place for the page", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What was typed to come here.
fn program(again: &[&str]) -> String {
    let name = std::env::args().next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
    again.iter().fold(name, |all, one| all + " " + one)
}

fn usage(again: &[&str]) -> ExitCode {
    eprintln!("usage: {} {USAGE}", program(again));
    ExitCode::from(2)
}
