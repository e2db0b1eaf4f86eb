//! `shmq copy`: what waits in one queue, into another.

use crate::args::{CopyArgs, QueueOptions};
use crate::attach::{patiently, quoted};
use crate::progress::Progress;
use crate::shape::{Length, Producer, Queue};
use crate::stat::print;
use crate::view::{Subject, json};
use serde::Serialize;
use shmq::{
    AttachError, Inspector, Kind, OpenError, Options, PeerState, PendingEnd, RecvError, Role, SendError,
    Until,
};
use shmq_tool::failure::{Code, Failure, said_of, say};
use shmq_tool::interrupt::Interrupt;
use shmq_tool::units::{show_bytes, show_messages, shown};
use std::time::{Duration, Instant};

const NOW: Until = Until::After(Duration::ZERO);
/// Longest wait for room without a look at signals.
const SLICE: Duration = Duration::from_millis(200);

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Copied {
    schema: &'static str,
    messages: u64,
    bytes: u64,
    /// Sequence number of the first in the destination.
    first: Option<u64>,
    /// Taken by the consumer before they could be copied.
    skipped: u64,
    /// The end of data was declared in the source.
    source_finished: bool,
    /// And in the destination.
    finished: bool,
}

/// The end that is filled.
struct Filler<'a> {
    producer: Producer,
    inspector: Inspector,
    length: Length,
    args: &'a CopyArgs,
    interrupt: Interrupt,
    progress: Progress,
    done: Copied,
}

pub fn run(args: &CopyArgs) -> Result<(), Failure> {
    let source = Subject::open_damaged(&args.source).map_err(|e| Failure::from(e).of(&args.source))?;
    let damage = source.inspector.damage().map(|damage| said_of(&quoted(&args.source), &damage.to_string()));
    let queue = destination(&source, args)?;
    let inspector = queue.inspect()?;
    if inspector.queue_id() == source.inspector.queue_id() && same_file(&source, &queue) {
        return Err(Failure::usage("source and destination are the same queue; name two"));
    }
    let producer = match patiently(|| queue.producer()) {
        Err(AttachError::Finished { .. }) => {
            let name = quoted(&args.destination);
            return Err(Failure::new(format!(
                "the end of data was declared in {name}, so nothing can be sent to it; name another, or remove it with `shmq rm {name}`"
            )));
        }
        producer => producer.map_err(|e| Failure::from(e).of(&args.destination))?,
    };
    let seen = source.inspector.snapshot();
    let done = Copied {
        schema: "shmq.copy/1",
        messages: 0,
        bytes: 0,
        first: None,
        skipped: 0,
        source_finished: seen.finished,
        finished: false,
    };
    let mut filler = Filler {
        producer,
        inspector,
        length: queue.length(),
        args,
        interrupt: Interrupt::catch()?,
        progress: Progress::new(Some(seen.pending_bytes), false),
        done,
    };
    let ended = if args.take { filler.take_from(args) } else { filler.look_at(&source) };
    let Filler { producer, progress, mut done, .. } = filler;
    drop(progress);
    match ended {
        Ok(finished) => {
            done.source_finished |= finished;
            if args.finish && done.source_finished {
                producer.finish()?;
                done.finished = true;
            }
            report(args, &done)?;
            let Some(damage) = damage else { return Ok(()) };
            Err(Failure::Said(Code::Corrupt, damage))
        }
        Err(failure) => {
            report(args, &done)?;
            Err(failure)
        }
    }
}

fn report(args: &CopyArgs, done: &Copied) -> Result<(), Failure> {
    if args.json {
        return print(&json(done)?);
    }
    let how = if args.take { "moved" } else { "copied" };
    let mut text = format!("{} {how} ({})", show_messages(done.messages), show_bytes(done.bytes));
    if done.skipped > 0 {
        text +=
            &format!("; {} left out, because the consumer took them meanwhile", show_messages(done.skipped));
    }
    if done.source_finished {
        text += if done.finished {
            "; end of data declared"
        } else {
            "; the source is finished, --finish would declare it in the copy"
        };
    }
    say(&text);
    Ok(())
}

fn same_file(source: &Subject, queue: &Queue) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &std::path::Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    queue.path().is_some_and(|path| identity(path) == identity(&source.path))
}

/// Opens the destination, or makes it like the source but for what is asked for.
fn destination(source: &Subject, args: &CopyArgs) -> Result<Queue, Failure> {
    let name = quoted(&args.source);
    match source.inspector.kind() {
        Kind::Pool => {
            return Err(Failure::new(format!(
                "{name} is a pool, whose blocks are no messages to copy; \
                 `shmq dump {name} --length-prefixed` prints them, and a larger pool is made by the programs that use it"
            )));
        }
        Kind::Raw => {
            return Err(Failure::new(format!(
                "{name} is raw memory, which holds no messages to copy; `cp` copies the file, which is {}",
                shown(&source.path)
            )));
        }
        _ => {}
    }
    match Queue::open(&args.destination, &Options::new()) {
        Err(OpenError::NotFound { .. }) => {}
        Ok(_) if args.options.any_limit() || args.options.tag.is_some() => {
            return Err(Failure::usage(format!(
                "{} exists already, so its limits are fixed; leave the options out, or name a new one",
                quoted(&args.destination)
            )));
        }
        done => return Ok(done?),
    }
    Ok(Queue::create(&args.destination, &like(source, &args.options))?)
}

/// The limits of the source, but for what was given.
fn like(source: &Subject, given: &QueueOptions) -> QueueOptions {
    let (limits, kind) = (source.inspector.limits(), source.inspector.kind());
    let tag = source.inspector.tag();
    let tag = std::str::from_utf8(&tag).map(|tag| tag.trim_end_matches('\0').to_owned()).ok();
    let mut options = QueueOptions {
        mode: given.mode.or(Some(source.mode())),
        tag: given.tag.clone().or(tag).filter(|tag| !tag.is_empty()),
        ..QueueOptions::default()
    };
    let slots =
        given.slots.or((kind == Kind::Slots && !given.any_records_limit()).then_some(limits.max_message));
    if slots.is_some() {
        (options.slots, options.depth) = (slots, given.depth.or(limits.max_messages));
        return options;
    }
    options.max_message = given.max_message.or(Some(limits.max_message));
    options.max_messages = given.max_messages.or(limits.max_messages);
    // That of a ring of slots is no power of two.
    options.capacity = given.capacity.or((kind == Kind::Records).then_some(limits.capacity));
    options
}

impl Filler<'_> {
    /// Copies what can be seen; whether the end of data came behind it.
    fn look_at(&mut self, source: &Subject) -> Result<bool, Failure> {
        let mut pending = source.inspector.pending();
        for message in pending.by_ref() {
            self.send(&message.bytes)?;
        }
        self.done.skipped = pending.skipped();
        match pending.end() {
            Some(PendingEnd::Damaged(damage)) => {
                Err(Failure::Said(Code::Corrupt, format!("the source cannot be read any further: {damage}")))
            }
            stop => Ok(stop == Some(&PendingEnd::Finished)),
        }
    }

    /// Takes what waited when it began, each message after it was sent; whether the end of data came behind it.
    fn take_from(&mut self, args: &CopyArgs) -> Result<bool, Failure> {
        let source = Queue::open(&args.source, &Options::new())?;
        let mut consumer = patiently(|| source.consumer())?;
        let mut left = source.inspect()?.pending().count();
        let mut message = Vec::new();
        loop {
            let mut run = match consumer.run(1, NOW) {
                Err(RecvError::Finished) => return Ok(true),
                Err(
                    RecvError::TimedOut
                    | RecvError::ProducerLeft
                    | RecvError::ProducerLost
                    | RecvError::Removed,
                ) => return Ok(false),
                run => run?,
            };
            if left == 0 {
                return Ok(false);
            }
            if let Some(next) = run.next() {
                message.clear();
                next.append_to(&mut message);
            }
            // Not taken if that fails.
            self.send(&message)?;
            run.acknowledge();
            left -= 1;
        }
    }

    /// Sends one message; waits for room only if there is somebody who makes it.
    fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        let bytes = message.len() as u64;
        if !self.length.allows(bytes) {
            let takes = match self.length {
                Length::UpTo(most) => format!("up to {most}"),
                Length::Exactly(size) => format!("exactly {size}"),
            };
            return Err(Failure::new(format!(
                "message {} of the source has {bytes} bytes, but {} takes {takes}; copy into a queue with a suitable \
                 --max-message",
                self.done.messages,
                quoted(&self.args.destination)
            )));
        }
        let begin = Instant::now();
        let mut until = NOW;
        let sequence = loop {
            self.interrupt.check()?;
            match self.producer.send(message, until) {
                Ok(sequence) => break sequence,
                Err(SendError::TimedOut | SendError::ConsumerLeft | SendError::ConsumerLost) => {}
                Err(error) => return Err(error.into()),
            }
            let consumed = self.inspector.state(Role::Consumer) == PeerState::Attached;
            if !consumed || begin.elapsed() >= self.args.timeout {
                return Err(Failure::Said(
                    Code::TimedOut,
                    format!("{} is full; copy into a larger one", quoted(&self.args.destination)),
                ));
            }
            until = Until::After(SLICE.min(self.args.timeout));
        };
        self.done.first.get_or_insert(sequence);
        (self.done.messages, self.done.bytes) = (self.done.messages + 1, self.done.bytes + bytes);
        self.progress.add(1, bytes);
        Ok(())
    }
}
