//! What carries the messages, and its two ends: the reader's in this process, the writer's in one that it starts.

use super::kernel;
use super::traffic::{Count, LARGEST, fill};
use crate::args::{ContrastPartArgs, Medium};
use shmq::{Options, Until, slots};
use shmq_benches::{mq, pin, pinned};
use shmq_raw::{ReadError, Region, cell_bytes};
use shmq_tool::actor::{self, Actor};
use shmq_tool::failure::Failure;
use shmq_tool::interrupt::Interrupt;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Memory that a queue may take.
const ROOM: u64 = 4 << 20;
/// The first message comes within this time, or never.
const PATIENCE: Duration = Duration::from_secs(20);
/// Reads between two looks at the clock.
const READS: u32 = 32;

/// How long, of which size, and where.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    pub medium: Medium,
    pub size: usize,
    pub time: Duration,
    pub name: String,
    /// Ends it early.
    pub interrupt: &'a Interrupt,
}

/// What a cell came to.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub count: Count,
    pub elapsed: Duration,
}

impl Measured {
    /// Together with a later one.
    pub fn and(mut self, other: &Self) -> Self {
        self.count.add(&other.count);
        self.elapsed += other.elapsed;
        self
    }
}

/// Removes the file of a cell.
struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Cell<'_> {
    /// Reads for its time what a writer of its own writes meanwhile.
    pub fn measure(&self) -> Result<Measured, Failure> {
        let _name = Name(shmq::path_of(&self.name).unwrap_or_default());
        let failed = |e| Failure::io(format_args!("open a {}", self.medium.title()), &e);
        match self.medium {
            Medium::Raw => {
                let region = Region::create(&self.name, &shmq_raw::Options::new().bytes(self.size as u64))?;
                self.read(Stdio::null(), |into| region.read_at(0, into).map_err(said))
            }
            Medium::Seqlock => match self.size {
                8 => self.read_cell::<8>(),
                64 => self.read_cell::<64>(),
                1024 => self.read_cell::<1024>(),
                _ => self.read_cell::<LARGEST>(),
            },
            Medium::Records => {
                let options = Options::new().capacity(ROOM).max_message(self.size as u64);
                let mut rx = shmq::Queue::create(&self.name, &options)?.consumer()?;
                self.read(Stdio::null(), |into| {
                    rx.recv_into(into, Until::After(PATIENCE)).map(|_| ()).map_err(Failure::from)
                })
            }
            Medium::Slots => {
                let depth = ROOM / self.size as u64;
                let queue = slots::Queue::create_bytes(&self.name, self.size as u64, depth, &Options::new())?;
                let mut rx = queue.consumer()?;
                self.read(Stdio::null(), |into| {
                    rx.recv_into(into, Until::After(PATIENCE)).map(|_| ()).map_err(Failure::from)
                })
            }
            Medium::MessageQueue => {
                let ends = kernel::message_queue(self.size).map_err(failed)?;
                self.read(ends.writer.into(), |into| {
                    whole(into.len(), mq::receive(&ends.reader, into).map_err(failed)?)
                })
            }
            Medium::Pipe => {
                let ends = kernel::pipe().map_err(failed)?;
                self.read(ends.writer.into(), |into| read_all(&ends.reader, into))
            }
            Medium::Socket => {
                let ends = kernel::sockets(self.size).map_err(failed)?;
                self.read(ends.writer.into(), |into| whole(into.len(), read(&ends.reader, into)?))
            }
        }
    }

    fn read_cell<const SIZE: usize>(&self) -> Result<Measured, Failure> {
        let options = shmq_raw::Options::new().bytes(cell_bytes::<[u8; SIZE]>() as u64);
        let region = Region::create(&self.name, &options)?;
        let reader = region.reader::<[u8; SIZE]>(0).map_err(said)?;
        self.read(Stdio::null(), |into| {
            let into: &mut [u8; SIZE] = into.try_into().map_err(said)?;
            loop {
                match reader.read_into(into) {
                    Ok(_) => return Ok(()),
                    // The writer was faster, many times in a row; or has not come yet.
                    Err(ReadError::Overtaken) => {}
                    Err(ReadError::Empty) => std::thread::yield_now(),
                    Err(error) => return Err(said(error)),
                }
            }
        })
    }

    /// Starts the writer, which inherits its end, and counts what `read` brings.
    fn read(
        &self,
        end: Stdio,
        mut read: impl FnMut(&mut [u8]) -> Result<(), Failure>,
    ) -> Result<Measured, Failure> {
        let mut command = actor::this_program("shmq-lab");
        command.args(["contrast-part", self.medium.name(), "--name", &self.name]);
        command.arg("--size").arg(self.size.to_string());
        command.arg("--parent").arg(std::process::id().to_string());
        // In the place of its output: a reader of that end would not notice the writer's death otherwise.
        command.stdout(end);
        let mut writer = Actor::start("writer", &mut command)?;
        // On one processor, writer and reader would take turns, and raw memory would look better than it is.
        pinned(0, || {
            drop(command);
            let mut message = vec![0; self.size];
            let mut count = Count::default();
            let waited = Instant::now();
            // Shared memory can be read before anything was written to it.
            while count.whole < 2 {
                read(&mut message)?;
                count.see(&message);
                if writer.is_done()? || waited.elapsed() > PATIENCE {
                    return Err(Failure::new(format!("nothing came through {}", self.medium.title())));
                }
            }
            let mut count = count.go_on();
            let begin = Instant::now();
            while begin.elapsed() < self.time {
                self.interrupt.check()?;
                for _ in 0..READS {
                    read(&mut message)?;
                    count.see(&message);
                }
            }
            Ok(Measured { count, elapsed: begin.elapsed() })
        })
    }
}

/// The writer's part: sends message after message until it is killed.
pub fn write(args: &ContrastPartArgs) -> Result<(), Failure> {
    actor::die_with_parent(args.parent)?;
    // Without, the figures are merely worse.
    pin(1);
    let output = || io::stdout().as_fd().try_clone_to_owned().map_err(|e| Failure::io("get at its end", &e));
    match args.medium {
        Medium::Raw => {
            let region = Region::open(&args.name, &shmq_raw::Options::new())?;
            pump(args.size, |message| region.write_at(0, message).map_err(said))
        }
        Medium::Seqlock => match args.size {
            8 => write_cell::<8>(args),
            64 => write_cell::<64>(args),
            1024 => write_cell::<1024>(args),
            _ => write_cell::<LARGEST>(args),
        },
        Medium::Records => {
            let mut tx = shmq::Queue::open(&args.name)?.producer()?;
            pump(args.size, |message| tx.send(message, Until::Forever).map(|_| ()).map_err(Failure::from))
        }
        Medium::Slots => {
            let mut tx = slots::Queue::open_bytes(&args.name, &Options::new())?.producer()?;
            pump(args.size, |message| tx.send(message, Until::Forever).map(|_| ()).map_err(Failure::from))
        }
        Medium::MessageQueue => {
            let output = output()?;
            pump(args.size, |message| {
                mq::send(&output, message).map_err(|e| Failure::io("send to the queue", &e))
            })
        }
        Medium::Pipe => {
            let output = output()?;
            pump(args.size, |mut message| {
                while !message.is_empty() {
                    message = &message[written(&output, message)?..];
                }
                Ok(())
            })
        }
        Medium::Socket => {
            let output = output()?;
            pump(args.size, |message| whole(message.len(), written(&output, message)?))
        }
    }
}

fn write_cell<const SIZE: usize>(args: &ContrastPartArgs) -> Result<(), Failure> {
    let region = Region::open(&args.name, &shmq_raw::Options::new())?;
    let mut writer = region.writer::<[u8; SIZE]>(0).map_err(said)?;
    pump(SIZE, |message| {
        writer.write(message.try_into().map_err(said)?);
        Ok(())
    })
}

fn said(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

fn pump(size: usize, mut send: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut message = vec![0; size];
    for number in 0.. {
        fill(number, &mut message);
        send(&message)?;
    }
    Ok(())
}

fn written(output: impl AsFd, message: &[u8]) -> Result<usize, Failure> {
    rustix::io::write(output, message).map_err(|e| Failure::io("write", &e.into()))
}

fn read(input: impl AsFd, into: &mut [u8]) -> Result<usize, Failure> {
    rustix::io::read(input, into).map_err(|e| Failure::io("read", &e.into()))
}

fn read_all(input: impl AsFd, into: &mut [u8]) -> Result<(), Failure> {
    let mut at = 0;
    while at < into.len() {
        match read(&input, &mut into[at..])? {
            0 => return Err(Failure::new("the writer is gone")),
            got => at += got,
        }
    }
    Ok(())
}

/// A message that has passed must have passed whole.
fn whole(len: usize, passed: usize) -> Result<(), Failure> {
    match passed {
        passed if passed == len => Ok(()),
        passed => Err(Failure::new(format!("{passed} of {len} bytes have passed"))),
    }
}
