//! What was asked for, and what was measured so far.

use crate::compare::{Baseline, Contender, Measured, compare, file};
use crate::contenders::Trial;
use crate::machine::Machine;
use crate::placement::TRIPS;
use crate::results::{Absent, Cell, Report, SCHEMA, Who};
use crate::run::{Kind, Task};
use shmq_tool::print;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

/// How long a sample of a stream or of round trips is to take, nanoseconds.
const SAMPLE_NS: f64 = 25e6;

/// What was asked for, and what was measured so far.
pub struct Bench {
    pub rounds: usize,
    pub quick: bool,
    pub list: bool,
    pub json: bool,
    /// Where the results are kept, written after each workload.
    pub save: Option<PathBuf>,
    pub html: Option<PathBuf>,
    /// Where results are taken from instead of measuring.
    pub from: Option<PathBuf>,
    pub wanted: Vec<String>,
    /// Says that something goes on, and what.
    pub alive: mpsc::Sender<String>,
    pub machine: Machine,
    /// Names, where only these were asked for.
    pub names: Vec<String>,
    pub measured: Vec<Measured>,
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

    fn raw_trips(&self) -> u64 {
        if self.quick { 200 } else { TRIPS }
    }

    /// Bytes of the second-level cache.
    pub fn second_level_cache(&self) -> usize {
        self.machine.second_level_cache
    }

    /// What came out so far, by the placements that show so far.
    pub fn report(&self) -> Report {
        let (placements, workloads) = file(&self.measured);
        Report {
            schema: SCHEMA.to_owned(),
            quick: self.quick,
            peers: cfg!(feature = "peers"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: self.machine.clone(),
            placements,
            workloads,
        }
    }

    /// Runs a workload that depends on where the processors are; ratios are to the first contender.
    pub fn compare(&mut self, workload: &str, contenders: Vec<Contender>) {
        if self.is_wanted(workload) {
            let contenders = self.watched(workload, contenders);
            let trips = Some(self.raw_trips());
            self.done(compare(workload, &contenders, self.rounds, Baseline::First, trips));
        }
    }

    /// Runs a workload that does not, in its own number of rounds for every ten of the others.
    pub fn compare_anywhere(&mut self, workload: &str, contenders: Vec<Contender>, rounds_per_ten: usize) {
        if self.is_wanted(workload) {
            let rounds = if self.quick { 1 } else { (self.rounds * rounds_per_ten).div_ceil(10) };
            let contenders = self.watched(workload, contenders);
            self.done(compare(workload, &contenders, rounds, Baseline::First, None));
        }
    }

    /// Runs a workload of queues side by side; ratios are to this project's own.
    pub fn trials(
        &mut self,
        workload: &str,
        cell: Cell,
        bytes: usize,
        task: Task,
        trials: fn(Task) -> Vec<Trial>,
    ) {
        if !self.is_wanted(workload) {
            return;
        }
        let (mut contenders, mut absent) = (Vec::new(), Vec::new());
        for trial in trials(task) {
            let _ = self.alive.send(format!("{workload}: {}, {}", trial.family, trial.variant));
            match self.settle(&trial, bytes, task) {
                Ok(count) => {
                    let Trial { family, variant, run } = trial;
                    let run = Box::new(move || run(count).expect("it did, a moment ago"));
                    contenders.push(Contender { family, variant, run });
                }
                Err(why) => {
                    let who = Who { family: trial.family.to_owned(), variant: trial.variant.to_owned() };
                    absent.push(Absent { who, why });
                }
            }
        }
        let contenders = self.watched(workload, contenders);
        let trips = Some(self.raw_trips());
        let mut measured = compare(workload, &contenders, self.rounds, Baseline::Own, trips);
        (measured.cell, measured.bytes, measured.absent) = (Some(cell), Some(bytes), absent);
        self.done(measured);
    }

    /// How many messages or trips make a sample: by a first try, and never less than two laps.
    fn settle(&self, trial: &Trial, bytes: usize, task: Task) -> Result<u64, String> {
        let lap = task.depth(bytes) as u64;
        let first = if self.quick { lap.min(500) } else { lap.clamp(32, 5000) };
        let outcome = (trial.run)(first)?;
        if self.quick {
            return Ok(first);
        }
        let ns = outcome.figures.first().map_or(1.0, |(_, ns)| ns.max(0.5));
        let least = if task.kind == Kind::Stream { 2 * lap } else { 1000 };
        Ok(((SAMPLE_NS / ns) as u64).clamp(least, 20_000_000))
    }

    fn is_wanted(&mut self, workload: &str) -> bool {
        let wanted =
            self.wanted.is_empty() || self.wanted.iter().any(|wanted| workload.contains(wanted.as_str()));
        if wanted && self.list {
            self.names.push(workload.to_owned());
        }
        wanted && !self.list
    }

    fn watched(&self, workload: &str, contenders: Vec<Contender>) -> Vec<Contender> {
        let watched = |contender: Contender| {
            let (alive, run) = (self.alive.clone(), contender.run);
            let name = format!("{workload}: {}, {}", contender.family, contender.variant);
            let run = Box::new(move || {
                let _ = alive.send(name.clone());
                run()
            });
            Contender { run, ..contender }
        };
        contenders.into_iter().map(watched).collect()
    }

    /// Says that a workload is done. Its table waits for the end of the run, for only then are the placements known.
    fn done(&mut self, measured: Measured) {
        let raw = measured.raw_figures().fold(None, |range, ns| {
            let (low, high) = range.unwrap_or((ns, ns));
            Some((ns.min(low), ns.max(high)))
        });
        let raw =
            raw.map_or_else(String::new, |(low, high)| format!(", raw ping-pong {low:.0} to {high:.0} ns"));
        print::err(format_args!("{}: measured{raw}", measured.workload));
        self.measured.push(measured);
        if let Some(path) = &self.save
            && let Err(error) = save(path, &self.report())
        {
            print::err(format_args!("{}: {error}; the results so far are not kept", path.display()));
        }
    }
}

/// Writes the results anew, and only when they are whole over those of before.
pub fn save(path: &Path, report: &Report) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, serde_json::to_string(report).expect("plain data") + "\n")?;
    std::fs::rename(&beside, path)
}
