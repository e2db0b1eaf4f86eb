//! `send` and `recv`.

use super::QueueOptions;
use clap::{Args, ValueEnum};
use shmq::Waiting;
use shmq_tool::units;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How long to wait before sleeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// Never sleep: lowest latency, one core busy
    Spin,
    /// Spin a little, then sleep
    Adaptive,
    /// Sleep at once
    LowPower,
}

impl Wait {
    pub fn waiting(self) -> Waiting {
        match self {
            Self::Spin => Waiting::dedicated_core(),
            Self::Adaptive => Waiting::new(),
            Self::LowPower => Waiting::low_power(),
        }
    }
}

/// Send each line of a file or of standard input as a message
///
/// Declares the end of data after the last message, so that the receiver ends once it has everything. Waits while the queue is full, even
/// if no receiver is there yet, or it has gone. Queues of fixed-size messages (`create --slots`) take only messages of
/// their size.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seq 1 1000000 | shmq send numbers --create
  tail -F app.log | shmq send log --create --capacity 16MiB
  shmq send frames movie.raw --chunk 64KiB
  shmq send ticks ticks.bin --create --slots 64 --depth 1000 --chunk
  shmq send log app.log --resume      go on where a killed sender was

If the input cannot be read or cut, the messages before that are sent and the end of data is not declared: \
the receiver is told that its producer was lost.")]
pub struct SendArgs {
    /// Name of the queue, or its path
    pub name: OsString,
    /// What to send [default: standard input]
    pub file: Option<PathBuf>,
    /// Make the queue if there is none
    #[arg(long)]
    pub create: bool,
    /// Do not declare the end of data: another `send` can go on
    #[arg(long)]
    pub no_finish: bool,
    /// Skip what was sent before; needs the same input and framing as the sender before
    #[arg(long, conflicts_with = "raw")]
    pub resume: bool,
    /// Each line is a message, without its line end; so is a last line that has none [default]
    #[arg(long, group = "framing")]
    pub lines: bool,
    /// Messages of this many bytes, the last one may be shorter; for fixed-size messages leave SIZE out
    #[arg(long, value_name = "SIZE", group = "framing", value_parser = units::chunk, num_args = 0..=1)]
    pub chunk: Option<Option<u64>>,
    /// A stream of bytes: messages as the input happens to arrive, or of the fixed size
    #[arg(long, group = "framing")]
    pub raw: bool,
    /// Before each message its length, 4 bytes, little-endian
    #[arg(long, group = "framing")]
    pub length_prefixed: bool,
    /// Give up when the queue stays full for this long (exit code 3)
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    pub timeout: Option<Duration>,
    /// Give up when the queue is full and its receiver has left or died (exit code 4), instead of waiting for another
    #[arg(long)]
    pub need_consumer: bool,
    /// How to wait
    #[arg(long, value_enum, default_value = "adaptive")]
    pub wait: Wait,
    #[command(flatten, next_help_heading = "For a new queue, with --create")]
    pub options: QueueOptions,
}

/// Receive messages and write each as a line to standard output
///
/// Waits for the queue to appear and for messages to come, until the end of data. A message leaves the queue only after it was written. If
/// this process is killed or its output breaks, the rest is still there. At most 64 KiB or one message, written just before, come
/// twice.
///
/// Written is not processed. What a pipe or a socket holds is lost if the program that reads it dies. Where that matters, use --ack: then
/// only what that program says it has finished leaves the queue, and the next one gets the rest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq recv numbers > numbers.txt
  shmq recv numbers --count 10 --timeout 5s
  shmq recv numbers --no-wait            what is there, and no more
  shmq recv log --follow | grep ERROR    also across restarts of the sender
  shmq recv log --follow --output /var/log/app.log
  shmq recv frames --raw > movie.raw
  shmq recv jobs --ack <&3 >&3           3: a socket to the worker

With --ack, standard input says what is finished: each line is a number of messages, an empty line is one; with --length-prefixed, \
numbers of 4 bytes, little-endian. `shmq pipe --recv --ack` starts a program that way.

Exit code 3 if nothing came for --timeout, 4 if the sender ended without declaring the end of data, killed or failed, 1 if the reader \
ended without acknowledging what it had. If the sender left without declaring the end (`send --no-finish`), the exit code is 0 \
and a note says so.")]
pub struct RecvArgs {
    /// Name of the queue, or its path
    pub name: OsString,
    /// Stop after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Give up when nothing comes for this long (exit code 3)
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    pub timeout: Option<Duration>,
    /// Take what is there; do not wait, neither for the queue nor for messages
    #[arg(long, conflicts_with_all = ["timeout", "follow"])]
    pub no_wait: bool,
    /// Go on waiting when the sender has left or died, and when the queue was removed: until the end of data
    #[arg(long)]
    pub follow: bool,
    /// Each message and a line end [default]
    #[arg(long, group = "framing")]
    pub lines: bool,
    /// The messages and nothing between them
    #[arg(long, group = "framing")]
    pub raw: bool,
    /// Before each message its length, 4 bytes, little-endian
    #[arg(long, group = "framing")]
    pub length_prefixed: bool,
    /// Take only what the reader acknowledges, on standard input
    #[arg(long, conflicts_with = "raw")]
    pub ack: bool,
    /// Append to this file instead; open it anew on SIGHUP, as log rotation needs it
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Refuse a queue that was created with another tag
    #[arg(long, value_name = "TEXT", value_parser = units::tag)]
    pub tag: Option<String>,
    /// How to wait
    #[arg(long, value_enum, default_value = "adaptive")]
    pub wait: Wait,
}

impl SendArgs {
    /// Whether standard input is what is sent.
    pub fn reads_stdin(&self) -> bool {
        self.file.as_deref().is_none_or(|path| path.as_os_str() == "-")
    }
}
