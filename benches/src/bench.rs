//! What was asked for, and what came out so far.

use crate::compare::{Absent, Baseline, Comparison, Contender, compare, compare_anywhere};
use crate::contenders::Trial;
use crate::machine::Machine;
use crate::placement::TRIPS;
use crate::report;
use crate::run::Task;
use serde::Serialize;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::mpsc;

/// How long a sample of a stream or of round trips is to take, nanoseconds.
const SAMPLE_NS: f64 = 25e6;

/// What `--json` prints. Names and units are part of the schema.
#[derive(Serialize)]
pub struct Report {
    /// Name and version of the schema.
    pub schema: &'static str,
    /// Whether the figures mean nothing.
    pub quick: bool,
    /// How it was compiled.
    pub peers: bool,
    /// Version of shmq.
    pub version: &'static str,
    /// Where it was measured.
    pub machine: Machine,
    /// What came out.
    pub workloads: Vec<Comparison>,
}

/// What was asked for, and what came out so far.
pub struct Bench {
    pub rounds: usize,
    pub quick: bool,
    pub list: bool,
    pub json: bool,
    pub html: Option<PathBuf>,
    pub wanted: Vec<String>,
    /// Says that something goes on, and what.
    pub alive: mpsc::Sender<String>,
    pub report: Report,
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
        self.report.machine.second_level_cache
    }

    /// Runs a workload that depends on where the processors are; ratios are to the first contender.
    pub fn compare(&mut self, workload: &str, contenders: Vec<Contender>) {
        if self.is_wanted(workload) {
            let result = compare(
                workload,
                &self.watched(workload, contenders),
                self.rounds,
                Baseline::First,
                self.raw_trips(),
            );
            self.done(result);
        }
    }

    /// Runs a workload that does not, in its own number of rounds for every ten of the others.
    pub fn compare_anywhere(&mut self, workload: &str, contenders: Vec<Contender>, rounds_per_ten: usize) {
        if self.is_wanted(workload) {
            let rounds = if self.quick { 1 } else { (self.rounds * rounds_per_ten).div_ceil(10) };
            let result = compare_anywhere(workload, &self.watched(workload, contenders), rounds);
            self.done(result);
        }
    }

    /// Runs a workload of queues side by side; ratios are to this project's own.
    pub fn trials(&mut self, workload: &str, bytes: usize, task: Task, trials: fn(Task) -> Vec<Trial>) {
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
                Err(why) => absent.push(Absent { family: trial.family, variant: trial.variant, why }),
            }
        }
        let contenders = self.watched(workload, contenders);
        let result = compare(workload, &contenders, self.rounds, Baseline::Own, self.raw_trips());
        self.done(Comparison { bytes: Some(bytes), absent, ..result });
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
        let least = if task.kind == crate::run::Kind::Stream { 2 * lap } else { 1000 };
        Ok(((SAMPLE_NS / ns) as u64).clamp(least, 20_000_000))
    }

    fn is_wanted(&self, workload: &str) -> bool {
        let wanted =
            self.wanted.is_empty() || self.wanted.iter().any(|wanted| workload.contains(wanted.as_str()));
        if wanted && self.list {
            // Whoever reads may have seen enough.
            let _ = writeln!(std::io::stdout(), "{workload}");
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

    fn done(&mut self, comparison: Comparison) {
        if self.json {
            eprintln!("{}", comparison.workload);
        } else {
            print!("{}", report::Table(&comparison));
        }
        self.report.workloads.push(comparison);
    }
}
