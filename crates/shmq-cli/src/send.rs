//! `shmq send`: each piece of the input is a message.

use crate::args::SendArgs;
use crate::attach::{patiently, pending, quoted};
use crate::framing::{Cut, Cutter};
use crate::progress::Progress;
use crate::shape::{Length, Producer, Queue};
use shmq::{AttachError, OpenError, SendError, Until, Waiting};
use shmq_tool::failure::{Code, Failure, say};
use shmq_tool::interrupt::Interrupt;
use shmq_tool::units::shown;
use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::os::fd::AsFd;
use std::time::Duration;

/// Longest wait without a look at signals, where they are looked at.
const SLICE: Until = Until::After(Duration::from_millis(200));

pub fn run(args: &SendArgs) -> Result<(), Failure> {
    if args.options.any_limit() && !args.create {
        return Err(Failure::usage(
            "limits and modes are fixed when a queue is created; add --create, or leave them out",
        ));
    }
    // Opened first: without input, no queue is made and no end is taken.
    let input = open_input(args)?;
    let bytes = input.metadata().ok().filter(|m| m.is_file()).map(|m| m.len());
    let progress = Progress::new(bytes, input.is_terminal());
    let Some(ready) = Ready::new(args)? else { return Ok(()) };
    let cutter = Cutter::new(input, ready.cut, ready.length);
    let mut sender = ready.sender(args, progress, None);
    match sender.send_all(cutter, args.resume) {
        Ok(()) if args.no_finish => Ok(()),
        Ok(()) => {
            let Sender { producer, progress, .. } = sender;
            drop(progress);
            producer.finish()?;
            Ok(())
        }
        Err(failure) => {
            // Not dropped: that would be a clean leave, and the receiver would take what it has for all there is.
            std::mem::forget(sender.producer);
            Err(failure)
        }
    }
}

/// A queue whose sending end is taken.
pub struct Ready {
    producer: Producer,
    length: Length,
    cut: Cut,
}

impl Ready {
    /// `None` if a resumed sender had finished.
    pub fn new(args: &SendArgs) -> Result<Option<Self>, Failure> {
        let queue = open_queue(args)?;
        let length = queue.length();
        let cut = cut(args, length)?;
        Ok(attach(&queue, args)?.map(|producer| Self { producer, length, cut }))
    }

    fn sender<'a>(self, args: &SendArgs, progress: Progress, interrupt: Option<&'a Interrupt>) -> Sender<'a> {
        let (waiting, need_consumer) = (args.wait.waiting(), args.need_consumer);
        let until = args.timeout.map_or(Until::Forever, Until::After);
        let until = interrupt.map_or(until, |_| SLICE);
        let mut sender =
            Sender { producer: self.producer, progress, waiting, until, need_consumer, interrupt };
        sender.producer.set_waiting(waiting);
        sender
    }

    /// Sends all that a reader yields, and declares the end of data if `good` then says so. Otherwise the receiver is told
    /// that its producer was lost. How it ended, and messages and bytes sent.
    pub fn send(
        self,
        args: &SendArgs,
        input: impl Read,
        progress: Progress,
        interrupt: &Interrupt,
        good: impl FnOnce() -> bool,
    ) -> (Result<(), Failure>, (u64, u64)) {
        let cutter = Cutter::new(input, self.cut, self.length);
        let mut sender = self.sender(args, progress, Some(interrupt));
        let sent = sender.send_all(cutter, false);
        let done = sender.progress.done();
        let good = good();
        match sent {
            Ok(()) if good => (sender.producer.finish().map(drop).map_err(Failure::from), done),
            sent => {
                std::mem::forget(sender.producer);
                (sent, done)
            }
        }
    }
}

/// How the input is cut, if the queue can take that.
fn cut(args: &SendArgs, length: Length) -> Result<Cut, Failure> {
    let why = match (args.chunk, length) {
        (None, _) if args.length_prefixed => return Ok(Cut::LengthPrefixed),
        (None, Length::UpTo(_)) if args.raw => return Ok(Cut::Raw),
        (None, Length::Exactly(size)) if args.raw => return Ok(Cut::Chunk(size)),
        (None, _) => return Ok(Cut::Lines),
        (Some(None), Length::Exactly(size)) => return Ok(Cut::Chunk(size)),
        (Some(Some(bytes)), _) if length.allows(bytes) => return Ok(Cut::Chunk(bytes)),
        (Some(None), Length::UpTo(most)) => {
            format!(
                "--chunk needs a size here, as this queue takes messages of up to {most} bytes; try --chunk {}",
                most.min(4096)
            )
        }
        (Some(Some(bytes)), Length::Exactly(size)) => format!(
            "--chunk {bytes} does not fit this queue, whose messages have exactly {size} bytes; leave the size out"
        ),
        (Some(Some(bytes)), Length::UpTo(most)) => format!(
            "--chunk {bytes} is more than the {most} bytes this queue takes; use a smaller one, or create the queue with \
             a larger --max-message"
        ),
    };
    Err(Failure::usage(why))
}

/// The input, unbuffered: the cutter has a buffer of its own.
fn open_input(args: &SendArgs) -> Result<File, Failure> {
    match args.file.as_deref().filter(|path| path.as_os_str() != "-") {
        Some(path) => {
            let failed = |e| Failure::io(format_args!("read {}", shown(path)), &e);
            let file = File::open(path).map_err(failed)?;
            if file.metadata().is_ok_and(|m| m.is_dir()) {
                return Err(Failure::new(format!("{} is a directory; name a file", shown(path))));
            }
            Ok(file)
        }
        None => {
            let fd = stdin().as_fd().try_clone_to_owned();
            Ok(File::from(fd.map_err(|e| Failure::io("read standard input", &e))?))
        }
    }
}

fn open_queue(args: &SendArgs) -> Result<Queue, Failure> {
    if args.create {
        return Queue::open_or_create(&args.name, &args.options);
    }
    Queue::open(&args.name, &args.options.options()).map_err(|error| match error {
        OpenError::NotFound { path } => Failure::new(format!(
            "there is no queue at {}; make it with --create, or with `shmq create {}`",
            shown(path),
            quoted(&args.name)
        )),
        error => error.into(),
    })
}

/// The sending end; `None` if a resumed sender had finished.
fn attach(queue: &Queue, args: &SendArgs) -> Result<Option<Producer>, Failure> {
    match patiently(|| queue.producer()) {
        Ok(producer) => Ok(Some(producer)),
        Err(AttachError::Finished { .. }) if args.resume => {
            say("nothing to resume: the sender before declared the end of data");
            Ok(None)
        }
        Err(AttachError::Finished { .. }) => {
            let name = quoted(&args.name);
            let rest = match pending(queue) {
                0 => "and everything was received".into(),
                1 => format!("and 1 message waits in it (`shmq recv {name}`)"),
                n => format!("and {n} messages wait in it (`shmq recv {name}`)"),
            };
            Err(Failure::new(format!(
                "this queue is finished: its end of data was declared, {rest}; remove it with `shmq rm {name}` to start anew"
            )))
        }
        Err(error) => Err(error.into()),
    }
}

struct Sender<'a> {
    producer: Producer,
    progress: Progress,
    waiting: Waiting,
    /// Longest wait for room, or between two looks at signals.
    until: Until,
    need_consumer: bool,
    /// `None`: signals are left to the system.
    interrupt: Option<&'a Interrupt>,
}

impl Sender<'_> {
    fn send_all<R: Read>(&mut self, mut input: Cutter<R>, resume: bool) -> Result<(), Failure> {
        let failed = |e: crate::framing::CutError| Failure::new(e.to_string());
        if resume {
            let sent = self.producer.next_sequence();
            for skipped in 0..sent {
                let Some(message) = input.next().map_err(failed)? else {
                    return Err(Failure::new(format!(
                        "{sent} messages were sent already, but this input has only {skipped}; resume with the same \
                         input and framing as before"
                    )));
                };
                self.progress.add(1, message.len() as u64);
            }
        }
        while let Some(message) = input.next().map_err(failed)? {
            self.send(message)?;
            self.progress.add(1, message.len() as u64);
        }
        Ok(())
    }

    /// Sends one message. The input may not be had twice, so by default this waits for as long as it takes.
    fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        match self.send_in_time(message) {
            Ok(_) => Ok(()),
            Err(SendError::ConsumerLeft | SendError::ConsumerLost) if !self.need_consumer => {
                self.progress
                    .note("the queue is full and its receiver is gone; waiting for another (`shmq recv`)");
                self.producer.set_waiting(self.waiting.across_restarts(true));
                let sent = self.send_in_time(message);
                self.producer.set_waiting(self.waiting);
                sent.map(drop).map_err(Failure::from)
            }
            Err(error @ (SendError::ConsumerLeft | SendError::ConsumerLost)) => Err(Failure::Said(
                Code::PeerLost,
                format!("{error}; `shmq send --resume` goes on with the rest"),
            )),
            Err(error) => Err(error.into()),
        }
    }
    fn send_in_time(&mut self, message: &[u8]) -> Result<u64, SendError> {
        loop {
            match self.producer.send(message, self.until) {
                Err(SendError::TimedOut) if self.interrupt.is_some_and(|it| it.check().is_ok()) => {}
                done => return done,
            }
        }
    }
}
