//! `shmq-lab torture`: both ends of one queue after the other, killed, stopped and continued at random, and every message
//! checked.
//!
//! | module | what happens there |
//! |---|---|
//! | [`plan`] | what a queue is and what it carries, drawn from a seed |
//! | [`note`] | what each end has certainly done, in words that outlive it |
//! | [`stage`] | what both ends have in common |
//! | [`producer`], [`consumer`], [`check`] | the ends |
//! | [`planted`] | a producer with a bug |
//! | [`storm`] | one queue, seen from the parent: who dies when |
//! | [`queue`], [`tally`] | what it tortures, and what it adds up |
//! | [`footprint`] | memory and descriptors |
//! | [`progress`], [`report`] | what is said meanwhile, and at the end |

mod check;
mod consumer;
mod footprint;
mod note;
mod plan;
mod planted;
mod producer;
mod progress;
mod queue;
mod report;
mod stage;
mod storm;
mod tally;

use crate::args::{Part, Plant, TortureArgs, TorturePartArgs};
use footprint::Footprint;
use plan::Form;
use progress::Progress;
use report::Report;
use shmq::slots;
use shmq_tool::actor;
use shmq_tool::draw::{Draw, mix};
use shmq_tool::failure::Failure;
use shmq_tool::interrupt::Interrupt;
use shmq_tool::print;
use stage::Stage;
use std::time::{Duration, Instant};
use storm::{Brief, Files, Storm};
use tally::Tally;

/// How long it goes on unless told otherwise.
const SECONDS: u64 = 10;
/// One queue, and its ends, live no longer than this in a soak.
const SOAK: Duration = Duration::from_secs(1800);

/// One of the processes.
pub fn part(args: &TorturePartArgs) -> Result<(), Failure> {
    actor::die_with_parent(args.parent)?;
    let stage = Stage::open(args)?;
    let mut draw = stage.draw(args.seed);
    let outcome = match stage.form {
        Form::Records { .. } => records(&stage, &mut draw, args.part),
        Form::Slots { words: 1, .. } => slots::<1>(&stage, &mut draw, args.part),
        Form::Slots { words: 2, .. } => slots::<2>(&stage, &mut draw, args.part),
        Form::Slots { words: 7, .. } => slots::<7>(&stage, &mut draw, args.part),
        Form::Slots { words: 16, .. } => slots::<16>(&stage, &mut draw, args.part),
        Form::Slots { .. } => slots::<128>(&stage, &mut draw, args.part),
    };
    // What is noted, the parent says.
    if outcome.is_err() && stage.is_broken() { std::process::exit(1) } else { outcome }
}

fn records(stage: &Stage, draw: &mut Draw, part: Part) -> Result<(), Failure> {
    let queue = shmq::Queue::open(stage.queue())?;
    match part {
        Part::Consumer => consumer::run(stage, draw, || queue.consumer()),
        Part::Producer if stage.plant == Some(Plant::PublishBeforePayload) => {
            planted::run(stage, draw, || queue.producer())
        }
        Part::Producer => producer::run(stage, draw, || queue.producer()),
    }
}

fn slots<const WORDS: usize>(stage: &Stage, draw: &mut Draw, part: Part) -> Result<(), Failure> {
    let queue = slots::Queue::<[u64; WORDS]>::open(stage.queue())?;
    // SAFETY of both: the queue has a fresh name and mode 0600; the programs that map it are this one and the parent,
    // which only looks. A planted fault is in the order of stores, and there are no references to what it stores.
    let producer = || {
        let mut tx = queue.producer()?;
        // SAFETY: see above.
        unsafe { tx.trust_peer() };
        Ok(tx)
    };
    let consumer = || {
        let mut rx = queue.consumer()?;
        // SAFETY: see above.
        unsafe { rx.trust_peer() };
        Ok(rx)
    };
    match part {
        Part::Consumer => consumer::run(stage, draw, consumer),
        Part::Producer if stage.plant == Some(Plant::PublishBeforePayload) => {
            planted::run(stage, draw, producer)
        }
        Part::Producer => producer::run(stage, draw, producer),
    }
}

/// Queue after queue, until the time is up or enough have died.
pub fn run(args: &TortureArgs) -> Result<(), Failure> {
    let seed = args.seed.unwrap_or_else(new_seed);
    if !args.json {
        print::out(format_args!("seed {seed}\n"))?;
    }
    // Before the first file is made, so that Ctrl-C leaves none behind.
    let interrupt = Interrupt::catch()?;
    let limit = args.seconds.or(args.kills.is_none().then_some(SECONDS)).map(Duration::from_secs);
    let begin = Instant::now();
    let progress = Progress::new(begin);
    let mut tally = Tally::default();
    let mut first = None;
    while !tally.is_broken() {
        let left = limit.map(|limit| limit.saturating_sub(begin.elapsed()));
        let kills_left = args.kills.map(|kills| kills.saturating_sub(tally.kills()));
        if left == Some(Duration::ZERO) || kills_left == Some(0) {
            break;
        }
        let mut draw = Draw::new(seed ^ mix(tally.queues));
        let slots = args.slots || !args.records && tally.queues % 2 == 1;
        let length = match (args.soak, left) {
            (true, Some(left)) => left.min(SOAK),
            (true, None) => SOAK,
            (false, _) => Duration::from_millis(500 + draw.below(3000)).min(left.unwrap_or(Duration::MAX)),
        };
        // In a soak half the time for each shape.
        let both = args.soak && !args.slots && !args.records && tally.queues == 0;
        let brief = Brief {
            seed: draw.below(1 << 40),
            slots,
            plant: args.plant,
            soak: args.soak,
            length: if both { length / 2 } else { length },
            kills: kills_left.unwrap_or(u64::MAX),
        };
        let mut files = Files::new();
        Storm::begin(&brief, &files, &mut tally, &interrupt, &progress)?.run(&mut draw)?;
        tally.queues += 1;
        if tally.is_broken() {
            tally.kept = files.keep();
        }
        drop(files);
        // After the first queue, all that is allocated once is there.
        first.get_or_insert(Footprint::of_this_process()?);
    }
    progress.end();
    let last = Footprint::of_this_process()?;
    let report = Report::new(seed, begin.elapsed(), args.plant, tally, first.unwrap_or(last), last);
    report.print(args.json)
}

fn new_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // Short enough to be typed again.
    mix(now.as_nanos() as u64 ^ u64::from(std::process::id())) % 1_000_000_000
}
