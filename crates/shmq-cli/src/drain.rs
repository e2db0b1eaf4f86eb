//! `shmq drain`: what waits is discarded, or printed, through the receiving end. Blocks of a pool go back to the writer.

use crate::args::DrainArgs;
use crate::attach::patiently;
use crate::framing::Frame;
use crate::output::{Broken, Output};
use crate::progress::Progress;
use crate::recv::{GATHER, take};
use crate::shape::Queue;
use crate::stat::print;
use crate::view::{Words, json};
use serde::Serialize;
use shmq::{Damage, Kind, OpenError, Options, PendingEnd, RecvError, Until};
use shmq_pool::{Block, Pool, TryRecvError};
use shmq_tool::failure::{Code, Failure, say};
use shmq_tool::interrupt::Interrupt;
use shmq_tool::units::show_bytes;
use std::io;
use std::time::Duration;

/// Messages taken at a time.
const RUN: usize = 1024;
/// Bytes of a block printed at a time.
const PIECE: usize = 1 << 20;
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
    #[serde(skip)]
    pool: bool,
}

pub fn run(args: &DrainArgs) -> Result<(), Failure> {
    let frame = match args {
        DrainArgs { lines: true, .. } => Some(Frame::Lines),
        DrainArgs { raw: true, .. } => Some(Frame::Raw),
        DrainArgs { length_prefixed: true, .. } => Some(Frame::LengthPrefixed),
        _ => None,
    };
    let Drawn { done, left, damage } = match Queue::open(&args.name, &Options::new()) {
        Err(OpenError::WrongKind { found: Kind::Pool, .. }) => blocks(args, frame)?,
        queue => messages(args, frame, &queue?)?,
    };
    let worst = damage.map_or(Ok(()), |damage| {
        Err(Failure::Said(Code::Corrupt, format!("what comes now cannot be read: {damage}")))
    });
    if args.json {
        return print(&json(&Drained { left, ..done })?).and(worst);
    }
    let taken = match (done.pool, frame) {
        (false, None) => "discarded",
        (false, Some(_)) => "printed and taken",
        (true, None) => "given back to the writer",
        (true, Some(_)) => "printed and given back to the writer",
    };
    let words = Words::of(if done.pool { Kind::Pool } else { Kind::Records });
    say(&format!("{} {taken} ({}), {left} left", words.count(done.messages), show_bytes(done.bytes)));
    worst
}

/// What was taken, and what is left.
struct Drawn {
    done: Drained,
    left: u64,
    /// What is wrong with that which comes next, if it is.
    damage: Option<Damage>,
}

impl Drawn {
    fn new(done: Drained, left: u64, stop: Option<PendingEnd>) -> Self {
        let damage = match stop {
            Some(PendingEnd::Damaged(damage)) if left == 0 => Some(damage),
            _ => None,
        };
        Self { done, left, damage }
    }
}

type Outcome = Result<Drawn, Failure>;

/// How many of those that wait are to be taken.
fn wanted(args: &DrainArgs, waiting: u64) -> u64 {
    waiting.saturating_sub(args.keep).min(args.count.unwrap_or(u64::MAX))
}

fn messages(args: &DrainArgs, frame: Option<Frame>, queue: &Queue) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let mut consumer = patiently(|| queue.consumer())?;
    // What a producer that died had committed last is not in its count: so look for it.
    let wanted = wanted(args, queue.inspect()?.pending().count() as u64);
    let mut out = Output::standard()?;
    let mut progress = Progress::new(None, out.is_terminal());
    let mut done = Drained { schema: "shmq.drain/1", ..Drained::default() };
    let (mut gathered, mut ends) = (Vec::new(), Vec::new());
    while done.messages < wanted {
        interrupt.check()?;
        let mut run = match consumer.run(RUN.min((wanted - done.messages) as usize), NOW) {
            Err(
                RecvError::TimedOut
                | RecvError::Finished
                | RecvError::ProducerLeft
                | RecvError::ProducerLost
                | RecvError::Removed,
            ) => break,
            run => run?,
        };
        gathered.clear();
        ends.clear();
        let mut bytes = 0;
        while gathered.len() < GATHER
            && let Some(message) = run.next()
        {
            done.first.get_or_insert(message.sequence());
            bytes += message.len() as u64;
            if let Some(frame) = frame {
                frame.append(&message, &mut gathered);
                ends.push(gathered.len());
            }
        }
        // Printed before it is taken: what is not printed whole stays.
        if let Err(broken) = out.write(&gathered, &interrupt) {
            let whole = ends.partition_point(|end| *end <= broken.written) as u64;
            let bytes = take(&mut consumer, whole)?;
            (done.messages, done.bytes) = (done.messages + whole, done.bytes + bytes);
            broken.explain(&out, &interrupt)?;
            break;
        }
        let messages = run.acknowledge() as u64;
        (done.messages, done.bytes) = (done.messages + messages, done.bytes + bytes);
        progress.add(messages, bytes);
    }
    drop(progress);
    drop(consumer);
    let after = queue.inspect()?;
    let mut pending = after.pending();
    let left = pending.by_ref().count() as u64;
    Ok(Drawn::new(done, left, pending.end().cloned()))
}

/// Of a pool: also what a reader that died had in its hands.
fn blocks(args: &DrainArgs, frame: Option<Frame>) -> Outcome {
    let pool = Pool::open(&args.name)?;
    let interrupt = Interrupt::catch()?;
    let reader = patiently(|| pool.reader())?;
    let wanted = wanted(args, pool.inspect()?.pending().blocks.len() as u64);
    let mut out = Output::standard()?;
    let mut progress = Progress::new(None, out.is_terminal());
    let mut done = Drained { schema: "shmq.drain/1", pool: true, ..Drained::default() };
    while done.messages < wanted {
        interrupt.check()?;
        let block = match reader.try_read() {
            Err(TryRecvError::Empty | TryRecvError::Finished) => break,
            Err(error @ TryRecvError::Corrupt { .. }) => {
                return Err(Failure::Said(Code::Corrupt, error.to_string()));
            }
            Err(error) => return Err(Failure::new(error.to_string())),
            Ok(block) => block,
        };
        if let Err(broken) = frame.map_or(Ok(()), |frame| write_block(frame, &block, &mut out, &interrupt)) {
            // What cannot be printed stays, for the next reader.
            drop(block);
            broken.explain(&out, &interrupt)?;
            break;
        }
        done.first.get_or_insert(block.sequence());
        let bytes = block.len() as u64;
        block.acknowledge();
        (done.messages, done.bytes) = (done.messages + 1, done.bytes + bytes);
        progress.add(1, bytes);
    }
    drop(progress);
    drop(reader);
    let pending = pool.inspect()?.pending();
    Ok(Drawn::new(done, pending.blocks.len() as u64, Some(pending.end)))
}

/// A block in its frame, a piece at a time.
fn write_block(
    frame: Frame,
    block: &Block<'_>,
    out: &mut Output,
    interrupt: &Interrupt,
) -> Result<(), Broken> {
    if frame == Frame::LengthPrefixed {
        let Ok(len) = u32::try_from(block.len()) else {
            return Err(Broken::new(io::Error::other("a block is too long for a 4-byte length")));
        };
        out.write(&len.to_le_bytes(), interrupt)?;
    }
    let mut piece = vec![0; PIECE.min(block.len())];
    for at in (0..block.len()).step_by(PIECE) {
        let piece = &mut piece[..PIECE.min(block.len() - at)];
        block.read_into(at, piece).map_err(|e| Broken::new(io::Error::other(e)))?;
        out.write(piece, interrupt)?;
    }
    if frame == Frame::Lines {
        out.write(b"\n", interrupt)?;
    }
    Ok(())
}
