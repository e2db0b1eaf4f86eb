//! `shmq drain`: what waits is discarded, or printed, through the receiving end.

use crate::args::DrainArgs;
use crate::attach::patiently;
use crate::failure::{Failure, say};
use crate::framing::Frame;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::shape::Queue;
use crate::stat::print;
use crate::units::{show_bytes, show_messages};
use crate::view::json;
use serde::Serialize;
use shmq::{Options, RecvError, Until};
use std::io::{self, IsTerminal, Write, stdout};
use std::time::Duration;

/// Messages taken at a time.
const RUN: usize = 1024;
const NOW: Until = Until::After(Duration::ZERO);

/// What `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Drained {
    schema: &'static str,
    messages: u64,
    bytes: u64,
    /// Sequence number of the first that was taken.
    first: Option<u64>,
    left: u64,
}

pub fn run(args: &DrainArgs) -> Result<(), Failure> {
    let frame = match args {
        DrainArgs { lines: true, .. } => Some(Frame::Lines),
        DrainArgs { raw: true, .. } => Some(Frame::Raw),
        DrainArgs { length_prefixed: true, .. } => Some(Frame::LengthPrefixed),
        _ => None,
    };
    let queue = Queue::open(&args.name, &Options::new())?;
    let interrupt = Interrupt::catch()?;
    let mut consumer = patiently(|| queue.consumer())?;
    // What a producer that died had committed last is not in its count: so look for it.
    let waiting = queue.inspect()?.pending().count() as u64;
    let wanted = waiting.saturating_sub(args.keep).min(args.count.unwrap_or(u64::MAX));
    let mut progress = Progress::new(None, stdout().is_terminal());
    let mut done = Drained { schema: "shmq.drain/1", ..Drained::default() };
    let mut gathered = Vec::new();
    while done.messages < wanted {
        interrupt.check()?;
        let mut run = match consumer.run(RUN.min((wanted - done.messages) as usize), NOW) {
            Err(
                RecvError::TimedOut | RecvError::Finished | RecvError::ProducerLeft | RecvError::ProducerLost,
            ) => break,
            run => run?,
        };
        gathered.clear();
        let mut bytes = 0;
        while let Some(message) = run.next() {
            done.first.get_or_insert(message.sequence());
            bytes += message.len() as u64;
            if let Some(frame) = frame {
                frame.append(&message, &mut gathered);
            }
        }
        // Printed before it is taken: what cannot be printed stays.
        match stdout().write_all(&gathered).and_then(|()| stdout().flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => break,
            Err(e) => return Err(Failure::io("write to standard output", &e)),
            Ok(()) => {}
        }
        let messages = run.take() as u64;
        (done.messages, done.bytes) = (done.messages + messages, done.bytes + bytes);
        progress.add(messages, bytes);
    }
    drop(progress);
    drop(consumer);
    done.left = queue.inspect()?.pending().count() as u64;
    if args.json {
        return print(&json(&done)?);
    }
    let taken = if frame.is_some() { "printed and taken" } else { "discarded" };
    say(&format!(
        "{} {taken} ({}), {} left",
        show_messages(done.messages),
        show_bytes(done.bytes),
        done.left
    ));
    Ok(())
}
