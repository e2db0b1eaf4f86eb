//! `shmq recv`: messages to standard output. A message is released only once it was written.

use crate::args::RecvArgs;
use crate::attach::patiently;
use crate::failure::{Failure, say};
use crate::framing::Frame;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::shape::{Consumer, Queue, Run};
use rustix::event::{PollFd, PollFlags, poll};
use shmq::{AttachError, OpenError, Options, RecvError, Until};
use std::fs::File;
use std::io::{self, IsTerminal, Write, stdout};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Bytes gathered for one write: what a pipe holds.
const GATHER: usize = 64 << 10;
/// Longest wait without a look at signals, at the clock and at whether anyone still reads.
const SLICE: Duration = Duration::from_millis(200);
const APPEAR: Duration = Duration::from_millis(10);

pub fn run(args: &RecvArgs) -> Result<(), Failure> {
    let out = stdout().as_fd().try_clone_to_owned();
    let out = File::from(out.map_err(|e| Failure::io("write to standard output", &e))?);
    let progress = Progress::new(None, stdout().is_terminal());
    receive(args, out, progress).0
}

/// Receives into a file; how it ended, and messages and bytes written.
pub fn receive(args: &RecvArgs, out: File, progress: Progress) -> (Result<(), Failure>, (u64, u64)) {
    let mut receiver = match Receiver::new(args, out, progress) {
        Ok(receiver) => receiver,
        Err(failure) => return (Err(failure), (0, 0)),
    };
    let ended = receiver.run();
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
    /// Unbuffered: what was written is written.
    out: File,
    interrupt: Interrupt,
    progress: Progress,
    /// Messages still wanted.
    wanted: u64,
    /// When the timeout strikes unless something comes.
    deadline: Option<Instant>,
    gathered: Vec<u8>,
    /// Where each gathered message ends.
    ends: Vec<usize>,
}

impl<'a> Receiver<'a> {
    fn new(args: &'a RecvArgs, out: File, progress: Progress) -> Result<Self, Failure> {
        let frame = match args {
            RecvArgs { raw: true, .. } => Frame::Raw,
            RecvArgs { length_prefixed: true, .. } => Frame::LengthPrefixed,
            _ => Frame::Lines,
        };
        let mut receiver = Self {
            args,
            frame,
            out,
            interrupt: Interrupt::catch()?,
            progress,
            wanted: args.count.unwrap_or(u64::MAX),
            deadline: None,
            gathered: Vec::new(),
            ends: Vec::new(),
        };
        receiver.restart_clock();
        Ok(receiver)
    }

    fn run(&mut self) -> Result<(), Failure> {
        loop {
            let Some(consumer) = self.attach()? else { return Ok(()) };
            match self.receive(consumer)? {
                Next::Done => return Ok(()),
                Next::Reopen => {}
            }
        }
    }

    fn restart_clock(&mut self) {
        self.deadline = self.args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    }

    /// The receiving end, once the file is there; `None` if nobody reads what would be written.
    fn attach(&mut self) -> Result<Option<Consumer>, Failure> {
        let mut options = Options::new();
        if let Some(tag) = &self.args.tag {
            options = options.tag(tag);
        }
        loop {
            match Queue::open(&self.args.name, &options) {
                Ok(queue) => match patiently(|| queue.consumer()) {
                    Ok(consumer) => return self.check(consumer).map(Some),
                    // Replaced between the two steps.
                    Err(AttachError::Removed) if !self.args.no_wait => continue,
                    Err(error) => return Err(error.into()),
                },
                Err(OpenError::NotFound { .. }) if !self.args.no_wait => {
                    let now = Instant::now();
                    if self.deadline.is_some_and(|deadline| now >= deadline) {
                        return Err(RecvError::TimedOut.into());
                    }
                    self.interrupt.check()?;
                    if self.nobody_reads() {
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
            self.interrupt.check()?;
            let error = match next_run(&mut consumer, self.args.no_wait, self.slice()) {
                Ok(mut run) => {
                    self.gather(&mut run);
                    match self.write_gathered() {
                        Ok(()) => {
                            run.take();
                        }
                        Err((written, error)) => {
                            self.release_written(&mut consumer, written)?;
                            let quiet = error.kind() == io::ErrorKind::BrokenPipe;
                            let failed = || Failure::io("write to standard output", &error);
                            return if quiet { Ok(Next::Done) } else { Err(failed()) };
                        }
                    }
                    self.restart_clock();
                    continue;
                }
                Err(error) => error,
            };
            match error {
                RecvError::TimedOut if self.args.no_wait => return Ok(Next::Done),
                RecvError::TimedOut if self.deadline.is_none_or(|d| Instant::now() < d) => {
                    if self.nobody_reads() {
                        return Ok(Next::Done);
                    }
                }
                RecvError::Finished => return Ok(Next::Done),
                RecvError::ProducerLeft => {
                    say("the sender left without declaring the end of data; --follow waits for another");
                    return Ok(Next::Done);
                }
                RecvError::Removed if self.args.follow => return Ok(Next::Reopen),
                error => return Err(error.into()),
            }
        }
        Ok(Next::Done)
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

    /// Writes it all; or says how much went out, and why no more.
    fn write_gathered(&mut self) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < self.gathered.len() {
            match self.out.write(&self.gathered[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let _ = poll(&mut [PollFd::new(&self.out, PollFlags::OUT)], None);
                }
                Err(e) => return Err((written, e)),
            }
        }
        let messages = self.ends.len() as u64;
        self.wanted -= messages;
        self.progress.add(messages, written as u64);
        Ok(())
    }

    /// After a write that failed: takes the messages that went out whole, and leaves the rest.
    fn release_written(&mut self, consumer: &mut Consumer, written: usize) -> Result<(), Failure> {
        let whole = self.ends.partition_point(|end| *end <= written);
        if whole > 0 {
            let mut run = consumer.run(whole, Until::After(Duration::ZERO))?;
            while run.next().is_some() {}
            run.take();
        }
        Ok(())
    }

    /// Whether standard output is a pipe or socket that was closed at the other end.
    fn nobody_reads(&self) -> bool {
        let mut fds = [PollFd::new(&self.out, PollFlags::empty())];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok_and(|n| n > 0) && fds[0].revents().contains(PollFlags::ERR)
    }
}

/// The messages that are there, or, unless `no_wait`, that come within a slice.
fn next_run(consumer: &mut Consumer, no_wait: bool, slice: Until) -> Result<Run<'_>, RecvError> {
    consumer.run(usize::MAX, if no_wait { Until::After(Duration::ZERO) } else { slice })
}
