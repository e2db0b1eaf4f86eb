//! `shmq demo`: the promises, shown. A producer and a consumer in processes of their own stream a file; now and then one
//! is killed, and its successor goes on by sequence number.

mod input;
mod latency;
mod note;
mod plan;
mod report;
mod scene;
mod stream;

use crate::args::{DemoArgs, Part, PartArgs};
use crate::progress::Progress;
use crate::shape::Queue;
use crate::stat::print;
use note::Note;
use plan::{Cuts, Kill, Victim};
use report::Report;
use scene::{Brief, PAGE, STREAM, Scene};
use shmq::{Inspector, Options};
use shmq_tool::actor::{self, Actor};
use shmq_tool::draw::mix;
use shmq_tool::failure::Failure;
use shmq_tool::interrupt::Interrupt;
use shmq_tool::page::Page;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the parent looks.
const LOOK: Duration = Duration::from_micros(100);
/// Messages after the last kill, at least.
const EPILOGUE: u64 = 1000;
/// Nothing checked for so long: something is stuck.
const STUCK: Duration = Duration::from_secs(30);

/// One of the demo's processes.
pub fn part(args: &PartArgs) -> Result<(), Failure> {
    actor::die_with_parent(args.parent)?;
    match args.part {
        Part::Producer => stream::produce(args),
        Part::Consumer => stream::consume(args),
        Part::Echo => latency::echo(args),
    }
}

pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    let (input, shown, input_bytes) = input_of(args)?;
    let seed = args.seed.unwrap_or_else(new_seed);
    if !args.json {
        print(&format!("{:<13}{seed}\n", "seed"))?;
    }
    // Before the first file is made, so that Ctrl-C leaves none behind.
    let interrupt = Interrupt::catch()?;
    let scene = Scene::new();
    let page = note::create(&scene.path(PAGE))?;
    let cuts = Cuts::new(seed, args.slots);
    let messages = cuts.messages_for(args.bytes);
    let (plant, slots) = (args.plant, args.slots);
    let brief = Brief { scene: scene.base().into(), input, input_bytes, seed, messages, slots, plant };
    let queue = create_stream(&scene.queue(STREAM), slots)?;
    let kills = plan::kills(seed, args.kills, messages);
    let streamed = Stream::begin(&page, queue.inspect()?, &brief, &interrupt)?.run(kills)?;

    latency::create(&scene)?;
    let mut echo = scene::start(Part::Echo, &brief)?;
    let trips = latency::measure(&scene, &page, &mut echo, &interrupt)?;

    let ends = queue.inspect()?.snapshot();
    let total = page.get(Note::Total);
    let stream_bytes = cuts.start(total);
    let per_second = |n: u64| (n as f64 / streamed.elapsed.as_secs_f64()) as u64;
    let mut report = Report {
        schema: "shmq.demo/1",
        ok: false,
        seed,
        kind: if slots { shmq::Kind::Slots } else { shmq::Kind::Records }.to_string(),
        message_bytes: slots.then_some(plan::SLOT),
        input_path: shown,
        input_bytes,
        messages: total,
        stream_bytes,
        elapsed_ns: streamed.elapsed.as_nanos() as u64,
        rate_bytes_per_s: per_second(stream_bytes),
        rate_messages_per_s: per_second(total),
        kills: streamed.producer_kills + streamed.consumer_kills,
        producer_kills: streamed.producer_kills,
        consumer_kills: streamed.consumer_kills,
        takeovers: ends.producer.epoch + ends.consumer.epoch - 2,
        lost: page.get(Note::Lost) + total.saturating_sub(page.get(Note::Checked)),
        torn: page.get(Note::Torn),
        out_of_order: page.get(Note::Disorder) + page.get(Note::Checked).saturating_sub(total),
        redelivered: page.get(Note::Redelivered),
        redelivered_after_one_kill: page.get(Note::MostRedelivered),
        redelivered_allowance: streamed.consumer_kills * stream::RUN,
        round_trip: trips.records,
        slots_round_trip: trips.slots,
        raw_round_trip: trips.bare,
    };
    let complaint = report.complaint();
    report.ok = complaint.is_none();
    print(&if args.json { report.json()? } else { report.table() })?;
    complaint.map_or(Ok(()), |text| Err(Failure::new(text)))
}

/// The queue of the stream, of either shape.
fn create_stream(name: &str, slots: bool) -> Result<Queue, Failure> {
    let options = Options::new();
    Ok(if slots {
        Queue::Slots(shmq::slots::Queue::create_bytes(name, plan::SLOT, plan::DEPTH, &options)?)
    } else {
        Queue::Records(shmq::Queue::create(name, &options.max_message(plan::BLOCK))?)
    })
}

/// What to stream: where it is for the processes, how it is called, how long it is.
fn input_of(args: &DemoArgs) -> Result<(PathBuf, String, u64), Failure> {
    let (path, shown) = match &args.file {
        Some(file) => (std::path::absolute(file).unwrap_or_else(|_| file.clone()), file.clone()),
        None => (PathBuf::from("/proc/self/exe"), std::env::current_exe().unwrap_or_default()),
    };
    let failed = |e| Failure::io(format_args!("read {}", shmq_tool::units::shown(&shown)), &e);
    let found = std::fs::metadata(&path).map_err(failed)?;
    if !found.is_file() || found.len() == 0 {
        return Err(no_input(&shown));
    }
    std::fs::File::open(&path).map_err(failed)?;
    Ok((path, shmq_tool::units::shown(shown), found.len()))
}

fn no_input(path: &Path) -> Failure {
    Failure::new(format!(
        "{} is not a file with anything in it; name another with --file",
        shmq_tool::units::shown(path)
    ))
}

fn new_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // Short enough to be typed again.
    mix(now.as_nanos() as u64 ^ u64::from(std::process::id())) % 1_000_000_000
}

/// What the stream came to.
#[derive(Debug, Default)]
struct Streamed {
    elapsed: Duration,
    producer_kills: u64,
    consumer_kills: u64,
}

/// The stream under way, seen from the parent.
struct Stream<'a> {
    page: &'a Page,
    inspector: Inspector,
    brief: &'a Brief,
    cuts: Cuts,
    interrupt: &'a Interrupt,
    producer: Actor,
    consumer: Actor,
    progress: Progress,
    begin: Instant,
    /// The last progress, and when.
    checked: (u64, Instant),
    streamed: Streamed,
}

impl<'a> Stream<'a> {
    fn begin(
        page: &'a Page,
        inspector: Inspector,
        brief: &'a Brief,
        interrupt: &'a Interrupt,
    ) -> Result<Self, Failure> {
        let begin = Instant::now();
        let cuts = Cuts::new(brief.seed, brief.slots);
        let total = cuts.start(brief.messages);
        Ok(Self {
            page,
            inspector,
            brief,
            cuts,
            interrupt,
            producer: scene::start(Part::Producer, brief)?,
            consumer: scene::start(Part::Consumer, brief)?,
            progress: Progress::new(Some(total), false),
            begin,
            checked: (0, begin),
            streamed: Streamed::default(),
        })
    }

    /// Kills as planned, and waits for the end.
    fn run(mut self, kills: Vec<Kill>) -> Result<Streamed, Failure> {
        for kill in kills {
            while self.page.get(Note::Checked) < kill.after || !self.has_entered(kill.victim) {
                self.look()?;
            }
            self.kill(kill.victim)?;
        }
        // Until now the producer went on whatever it had sent, so that every kill hit a stream in flight; and the last
        // successor, too, has something to send.
        let enough = self.brief.messages.max(self.page.get(Note::Sent) + EPILOGUE);
        self.page.set(Note::Enough, enough);
        while !(self.producer.is_done()? && self.consumer.is_done()?) {
            self.look()?;
        }
        self.streamed.elapsed = self.begin.elapsed();
        Ok(self.streamed)
    }

    /// Whether the victim to be has its role: so that each kill leads to one takeover.
    fn has_entered(&self, victim: Victim) -> bool {
        let ends = self.inspector.snapshot();
        match victim {
            Victim::Producer => ends.producer.epoch > self.streamed.producer_kills,
            Victim::Consumer => ends.consumer.epoch > self.streamed.consumer_kills,
        }
    }

    fn look(&mut self) -> Result<(), Failure> {
        std::thread::sleep(LOOK);
        self.interrupt.check()?;
        self.producer.is_done()?;
        self.consumer.is_done()?;
        let checked = self.page.get(Note::Checked);
        self.progress.set(checked, self.cuts.start(checked));
        if checked > self.checked.0 {
            self.checked = (checked, Instant::now());
        }
        if self.checked.1.elapsed() > STUCK {
            return Err(Failure::new(format!("the demo is stuck after {checked} messages")));
        }
        Ok(())
    }

    fn kill(&mut self, victim: Victim) -> Result<(), Failure> {
        let (part, actor, kills) = match victim {
            Victim::Producer => (Part::Producer, &mut self.producer, &mut self.streamed.producer_kills),
            Victim::Consumer => (Part::Consumer, &mut self.consumer, &mut self.streamed.consumer_kills),
        };
        if !actor.kill()? {
            return Err(Failure::new("a process of the demo ended before it could be killed"));
        }
        *kills += 1;
        *actor = scene::start(part, self.brief)?;
        Ok(())
    }
}
