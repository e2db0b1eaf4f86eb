//! The program: what is asked for, and what is made of what came out.

use crate::bench::{Bench, save};
use crate::machine::Machine;
use crate::results::{Report, SCHEMA};
use crate::{html, report, waiting, workloads};
use shmq_tool::failure::Failure;
use shmq_tool::print;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;

/// More would take years.
const MOST_ROUNDS: usize = 1_000_000;
const USAGE: &str = "[--rounds N] [--quick] [--list] [--json] [--save FILE] [--html FILE] [--from FILE] [WORKLOAD...]

A workload is chosen by a part of its name; --list shows all names: stream, round trip, regime (beside other queues); wake,
fences, adaptive, slow, idle, death (what waiting costs). Without one, all of them are run. Tables follow at the end of the
run: only then is it known where the processors were.

  --rounds N   samples of each contender (default 15, at most a million)
  --quick      everything once and briefly: that it works; the figures mean nothing
  --list       only the names of the workloads
  --json       one JSON object instead of tables
  --save FILE  the same object into a file, after each workload: what is measured so far outlives an interruption
  --html FILE  a page with charts, which needs no other file
  --from FILE  measure nothing: take the results from a file that --json or --save made";

/// Runs the program with these arguments. `again` are the arguments that lead a process started from the same file to this
/// function; the rest are its own.
pub fn main(arguments: impl IntoIterator<Item = String>, again: &[&str]) -> ExitCode {
    let mut arguments = arguments.into_iter().peekable();
    // First of all: a child has one thing to do.
    if arguments.next_if(|first| first == waiting::child::ARGUMENT).is_some() {
        return waiting::run_errand(arguments);
    }
    // Before there is another thread.
    waiting::child::sweep_on_signals();
    let (alive, silence) = mpsc::channel();
    let mut bench = Bench {
        rounds: 15,
        quick: false,
        list: false,
        json: false,
        save: None,
        html: None,
        from: None,
        wanted: Vec::new(),
        alive,
        machine: Machine::look(),
        names: Vec::new(),
        measured: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return ended(said(format_args!("usage: {} {USAGE}\n", program(again)))),
            "--quick" => (bench.quick, bench.rounds) = (true, 1),
            "--list" => bench.list = true,
            "--json" => bench.json = true,
            "--save" | "--html" | "--from" => {
                let Some(file) = arguments.next() else { return usage(again) };
                let place = match argument.as_str() {
                    "--save" => &mut bench.save,
                    "--html" => &mut bench.html,
                    _ => &mut bench.from,
                };
                *place = Some(file.into());
            }
            "--rounds" => match arguments.next().and_then(|n| n.parse().ok()).filter(|n| *n <= MOST_ROUNDS) {
                Some(rounds) => bench.rounds = rounds,
                None => return usage(again),
            },
            flag if flag.starts_with('-') => return usage(again),
            _ => bench.wanted.push(argument),
        }
    }
    if let Some(path) = &bench.from {
        return ended(read(path).and_then(|mut report| {
            let wanted = &bench.wanted;
            report
                .workloads
                .retain(|w| wanted.is_empty() || wanted.iter().any(|part| w.workload.contains(part)));
            told(&bench, &report)
        }));
    }
    waiting::child::set_again(again);
    waiting::child::watch(silence);
    for workloads in [workloads::round_trips, workloads::streams, workloads::regimes, waiting::run] {
        workloads(&mut bench);
    }
    if bench.list {
        return ended(said(bench.names.iter().map(|name| name.clone() + "\n").collect::<String>()));
    }
    if bench.measured.is_empty() {
        return usage(again);
    }
    ended(told(&bench, &bench.report()))
}

/// The results of an earlier run.
fn read(path: &Path) -> Result<Report, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::io(format_args!("read {}", path.display()), &e))?;
    let schema = serde_json::from_str::<serde_json::Value>(&text).ok();
    match schema.as_ref().and_then(|all| all["schema"].as_str()) {
        Some(SCHEMA) => {
            serde_json::from_str(&text).map_err(|e| Failure::new(format!("{}: {e}", path.display())))
        }
        other => {
            let found = other.unwrap_or("none");
            Err(Failure::new(format!(
                "{}: its schema is {found}; this program reads {SCHEMA}",
                path.display()
            )))
        }
    }
}

/// Files first: whoever reads standard output may have seen enough.
fn told(bench: &Bench, report: &Report) -> Result<(), Failure> {
    if let Some(path) = &bench.save {
        save(path, report).map_err(|e| Failure::io(format_args!("write {}", path.display()), &e))?;
    }
    if let Some(path) = &bench.html {
        let page = std::fs::write(path, html::page(report));
        page.map_err(|e| Failure::io(format_args!("write {}", path.display()), &e))?;
    }
    if bench.json {
        return said(serde_json::to_string(report).expect("plain data") + "\n");
    }
    said(report::Text(report))
}

/// Says it, unless nobody reads.
fn said(text: impl std::fmt::Display) -> Result<(), Failure> {
    print::out(text).map(drop)
}

fn ended(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// What was typed to come here.
fn program(again: &[&str]) -> String {
    let name = std::env::args().next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
    again.iter().fold(name, |all, one| all + " " + one)
}

fn usage(again: &[&str]) -> ExitCode {
    print::err(format_args!("usage: {} {USAGE}", program(again)));
    ExitCode::from(2)
}
