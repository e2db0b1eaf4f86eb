//! `shmq recv`: messages to standard output or a file. A message is taken only once it was written, or, where the reader
//! acknowledges, once it says so.

mod acknowledged;

use crate::acks::Acks;
use crate::args::RecvArgs;
use crate::attach::patiently;
use crate::framing::Frame;
use crate::output::{Broken, Output};
use crate::progress::Progress;
use crate::shape::{Consumer, Queue, Run};
use shmq::{AttachError, OpenError, Options, RecvError, Until};
use shmq_tool::failure::{Failure, say};
use shmq_tool::interrupt::Interrupt;
use std::fs::File;
use std::io::stdin;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Bytes gathered for one write: what a pipe holds.
pub const GATHER: usize = 64 << 10;
/// Longest wait without a look at signals, at the clock and at whether anyone still reads.
const SLICE: Duration = Duration::from_millis(200);
const APPEAR: Duration = Duration::from_millis(10);
const NOW: Until = Until::After(Duration::ZERO);

pub fn run(args: &RecvArgs) -> Result<(), Failure> {
    let interrupt = if args.output.is_some() { Interrupt::catch_but_hang_up() } else { Interrupt::catch() }?;
    let out = match &args.output {
        Some(path) => Output::file(path, &interrupt)?,
        None => Output::standard()?,
    };
    let progress = Progress::new(None, out.is_terminal());
    let acks = match args.ack {
        false => None,
        true => {
            let answers = stdin().as_fd().try_clone_to_owned();
            let answers = File::from(answers.map_err(|e| Failure::io("read standard input", &e))?);
            Some(Acks::read(answers, frame(args))?)
        }
    };
    receive(args, out, acks, &interrupt, progress).0
}

/// How messages are written.
pub fn frame(args: &RecvArgs) -> Frame {
    match args {
        RecvArgs { raw: true, .. } => Frame::Raw,
        RecvArgs { length_prefixed: true, .. } => Frame::LengthPrefixed,
        _ => Frame::Lines,
    }
}

/// Receives into an output; how it ended, and messages and bytes taken.
pub fn receive(
    args: &RecvArgs,
    out: Output,
    acks: Option<Acks>,
    interrupt: &Interrupt,
    progress: Progress,
) -> (Result<(), Failure>, (u64, u64)) {
    let mut receiver = Receiver {
        args,
        frame: frame(args),
        out,
        interrupt,
        progress,
        wanted: args.count.unwrap_or(u64::MAX),
        deadline: None,
        gathered: Vec::new(),
        ends: Vec::new(),
    };
    receiver.restart_clock();
    let ended = receiver.run(acks.as_ref());
    (ended, receiver.progress.done())
}

/// What to do when a queue has given all it will.
enum Next {
    Done,
    /// The file was removed; wait for a new one of that name.
    Reopen,
}

struct Receiver<'a> {
    args: &'a RecvArgs,
    frame: Frame,
    out: Output,
    interrupt: &'a Interrupt,
    progress: Progress,
    /// Messages still wanted.
    wanted: u64,
    /// When the timeout strikes unless something comes.
    deadline: Option<Instant>,
    gathered: Vec<u8>,
    /// Where each gathered message ends.
    ends: Vec<usize>,
}

impl Receiver<'_> {
    /// Without `acks`, what is written is taken.
    fn run(&mut self, acks: Option<&Acks>) -> Result<(), Failure> {
        loop {
            let Some((queue, consumer)) = self.attach()? else { return Ok(()) };
            let next = match acks {
                None => self.receive(consumer),
                Some(acks) => self.receive_acknowledged(consumer, &queue.inspect()?, acks),
            };
            match next? {
                Next::Done => return Ok(()),
                Next::Reopen => {}
            }
        }
    }

    fn restart_clock(&mut self) {
        self.deadline = self.args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    }

    /// The receiving end, once the file is there; `None` if nobody reads what would be written.
    fn attach(&mut self) -> Result<Option<(Queue, Consumer)>, Failure> {
        let mut options = Options::new();
        if let Some(tag) = &self.args.tag {
            options = options.tag(tag);
        }
        loop {
            match Queue::open(&self.args.name, &options) {
                Ok(queue) => match patiently(|| queue.consumer()) {
                    Ok(consumer) => return Ok(Some((queue, self.check(consumer)?))),
                    // Replaced between the two steps.
                    Err(AttachError::Removed { .. }) if !self.args.no_wait => continue,
                    Err(error) => return Err(error.into()),
                },
                Err(OpenError::NotFound { .. }) if !self.args.no_wait => {
                    let now = Instant::now();
                    if self.deadline.is_some_and(|deadline| now >= deadline) {
                        return Err(RecvError::TimedOut.into());
                    }
                    self.interrupt.check()?;
                    if self.out.nobody_reads() {
                        return Ok(None);
                    }
                    std::thread::sleep(self.deadline.map_or(APPEAR, |d| APPEAR.min(d - now)));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn check(&self, mut consumer: Consumer) -> Result<Consumer, Failure> {
        if self.frame == Frame::LengthPrefixed && consumer.longest() > u64::from(u32::MAX) {
            return Err(Failure::usage(
                "messages of this queue may be too long for a 4-byte length; use --raw or --lines",
            ));
        }
        consumer.set_waiting(self.args.wait.waiting().across_restarts(self.args.follow));
        Ok(consumer)
    }

    /// Receives until there is a reason to stop.
    fn receive(&mut self, mut consumer: Consumer) -> Result<Next, Failure> {
        while self.wanted > 0 {
            self.look_up()?;
            match next_run(&mut consumer, self.args.no_wait, self.slice()) {
                Ok(mut run) => {
                    self.gather(&mut run);
                    match self.out.write(&self.gathered, self.interrupt) {
                        Ok(()) => self.wanted -= run.acknowledge() as u64,
                        Err(broken) => {
                            let whole = self.given_whole(&broken);
                            let bytes = take(&mut consumer, whole as u64)?;
                            self.progress.add(whole as u64, bytes);
                            return broken.explain(&self.out, self.interrupt).map(|()| Next::Done);
                        }
                    }
                    self.progress.add(self.ends.len() as u64, self.gathered.len() as u64);
                    self.restart_clock();
                }
                Err(error) => {
                    if let Some(next) = self.ended(error)? {
                        return Ok(next);
                    }
                }
            }
        }
        Ok(Next::Done)
    }

    /// What is to be done between two writes.
    fn look_up(&mut self) -> Result<(), Failure> {
        self.interrupt.check()?;
        if self.interrupt.hung_up() { self.out.reopen(self.interrupt) } else { Ok(()) }
    }

    /// What follows when no message came.
    fn ended(&self, error: RecvError) -> Result<Option<Next>, Failure> {
        match error {
            // What was there has been taken; whether more can come was not asked.
            RecvError::TimedOut | RecvError::ProducerLeft | RecvError::ProducerLost | RecvError::Removed
                if self.args.no_wait =>
            {
                Ok(Some(Next::Done))
            }
            RecvError::TimedOut if self.deadline.is_none_or(|d| Instant::now() < d) => {
                Ok(self.out.nobody_reads().then_some(Next::Done))
            }
            RecvError::Finished => Ok(Some(Next::Done)),
            RecvError::ProducerLeft => {
                say("the sender left without declaring the end of data; --follow waits for another");
                Ok(Some(Next::Done))
            }
            RecvError::Removed if self.args.follow => Ok(Some(Next::Reopen)),
            error => Err(error.into()),
        }
    }

    fn slice(&self) -> Until {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        Until::After(left.map_or(SLICE, |left| left.min(SLICE)))
    }

    /// Copies what is there, up to one write's worth.
    fn gather(&mut self, run: &mut Run<'_>) {
        self.gathered.clear();
        self.ends.clear();
        while self.gathered.len() < GATHER
            && (self.ends.len() as u64) < self.wanted
            && let Some(message) = run.next()
        {
            self.frame.append(&message, &mut self.gathered);
            self.ends.push(self.gathered.len());
        }
    }

    /// How many of those gathered went out whole; what went out of the next is taken back, if it can be.
    fn given_whole(&mut self, broken: &Broken) -> usize {
        let whole = self.ends.partition_point(|end| *end <= broken.written);
        let kept = whole.checked_sub(1).map_or(0, |last| self.ends[last]);
        self.out.take_back(broken.written - kept);
        whole
    }
}

/// The messages that are there, or, unless `no_wait`, that come within a slice.
fn next_run(consumer: &mut Consumer, no_wait: bool, slice: Until) -> Result<Run<'_>, RecvError> {
    consumer.run(usize::MAX, if no_wait { NOW } else { slice })
}

/// Takes the next messages, which were seen before; their bytes.
pub fn take(consumer: &mut Consumer, messages: u64) -> Result<u64, Failure> {
    let mut bytes = 0;
    if messages > 0 {
        let mut run = consumer.run(usize::try_from(messages).unwrap_or(usize::MAX), NOW)?;
        while let Some(message) = run.next() {
            bytes += message.len() as u64;
        }
        run.acknowledge();
    }
    Ok(bytes)
}
