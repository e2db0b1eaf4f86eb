//! The command line and its help.

mod tools;

pub use tools::{CompletionsArgs, ManArgs, TopArgs};

use crate::units;
use clap::{Args, Parser, Subcommand, ValueEnum};
use shmq::{Options, Waiting};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const CODES: &str = "\
Exit codes:
  0  done
  1  failure; one sentence on stderr says what to do
  2  wrong usage
  3  timed out
  4  the other end died before it was done (or is gone, see `send --need-consumer`)
  5  the queue is corrupt";

const EXAMPLES: &str = "\
Examples:
  seq 1 1000000 | shmq send numbers --create &
  shmq recv numbers | tail -1
  shmq rm numbers

  shmq demo            two processes, 1 GiB, kill -9 in mid-stream, nothing lost";

/// Message queues between two processes, in shared memory.
///
/// A queue is a file with one sending and one receiving end. A bare NAME means a file in /dev/shm; a NAME with a slash is
/// a path. Either end may be killed at any moment: a new one takes over where it was, with nothing lost or torn.
#[derive(Debug, Parser)]
#[command(name = "shmq", version, after_help = format!("{EXAMPLES}\n\n{CODES}"), subcommand_required = true)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Create(CreateArgs),
    Rm(RmArgs),
    Send(SendArgs),
    Recv(RecvArgs),
    Stat(StatArgs),
    Top(TopArgs),
    Demo(DemoArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    #[command(hide = true)]
    DemoPart(PartArgs),
}

/// Make a queue; its shape and its limits are fixed from then on
///
/// Messages have any length up to a limit, or with --slots all exactly the same: such a queue is faster for small
/// messages.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq create prices
  shmq create prices --capacity 16MiB --max-message 1MiB
  shmq create jobs --max-messages 100 --mode 0660 --tag jobs/1
  shmq create ticks --slots 64 --depth 1000     exactly 64 bytes each, 1000 of them wait at most")]
pub struct CreateArgs {
    /// Name of the queue, or its path
    pub name: OsString,
    #[command(flatten)]
    pub options: QueueOptions,
}

/// How a new queue is to be.
#[derive(Debug, Args)]
pub struct QueueOptions {
    /// Ring size: a power of two [default: 1MiB, more if --max-message needs it]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub capacity: Option<u64>,
    /// Largest message, at most half the capacity less 16 bytes [default: 64KiB, less in a small ring]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub max_message: Option<u64>,
    /// Most messages waiting at a time [default: as many as fit]
    #[arg(long, value_name = "N")]
    pub max_messages: Option<u64>,
    /// Every message has exactly this many bytes, instead of any length up to a limit
    #[arg(long, value_name = "SIZE", value_parser = units::some_bytes, requires = "depth")]
    #[arg(conflicts_with_all = ["capacity", "max_message", "max_messages"])]
    pub slots: Option<u64>,
    /// With --slots: so many messages fit, exactly
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), requires = "slots")]
    pub depth: Option<u64>,
    /// Who may open it, in octal; both ends must be able to write it [default: 0600]
    #[arg(long, value_parser = units::mode)]
    pub mode: Option<u32>,
    /// At most 32 bytes that name what the messages are; an end that names another tag is refused
    #[arg(long, value_name = "TEXT", value_parser = units::tag)]
    pub tag: Option<String>,
}

impl QueueOptions {
    pub fn options(&self) -> Options {
        let mut options = Options::new();
        if let Some(bytes) = self.capacity {
            options = options.capacity(bytes);
        }
        if let Some(bytes) = self.max_message {
            options = options.max_message(bytes);
        }
        if let Some(messages) = self.max_messages {
            options = options.max_messages(messages);
        }
        if let Some(bits) = self.mode {
            options = options.mode(bits);
        }
        if let Some(tag) = &self.tag {
            options = options.tag(tag);
        }
        options
    }

    /// Size and depth, if fixed-size messages were asked for.
    pub fn slots(&self) -> Option<(u64, u64)> {
        self.slots.zip(self.depth)
    }

    /// Whether a limit was given that only records have.
    pub fn any_records_limit(&self) -> bool {
        [self.capacity, self.max_message, self.max_messages].iter().any(Option::is_some)
    }

    /// Whether anything was given that only counts for a new queue.
    pub fn any_limit(&self) -> bool {
        self.any_records_limit() || self.slots.is_some() || self.mode.is_some()
    }
}

/// Remove queues, with whatever waits in them
///
/// Both ends are taken first, so that nobody is cut off; a process that is just leaving is given half a second.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq rm prices
  shmq rm prices jobs
  shmq rm --force prices     also when a process still uses it")]
pub struct RmArgs {
    /// Names of the queues, or their paths
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<OsString>,
    /// Remove them although a process uses them, or although they are damaged; no error if there is none
    #[arg(long)]
    pub force: bool,
}

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
/// Declares the end of data at the end, so that the receiver is done once it has everything. Waits while the queue is full, also
/// for a receiver that has yet to come, or to come back. Queues of fixed-size messages (`create --slots`) take messages of
/// their size only.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seq 1 1000000 | shmq send numbers --create
  tail -F app.log | shmq send log --create --capacity 16MiB
  shmq send frames movie.raw --chunk 64KiB
  shmq send ticks ticks.bin --create --slots 64 --depth 1000 --chunk
  shmq send log app.log --resume      go on where a killed `shmq send log app.log` stopped

If the input cannot be read or cut, the messages before that are sent and the end of data is not declared:
the receiver is told that its producer was lost.")]
pub struct SendArgs {
    /// Name of the queue, or its path
    pub name: OsString,
    /// What to send [default: standard input]
    pub file: Option<PathBuf>,
    /// Make the queue if there is none
    #[arg(long)]
    pub create: bool,
    /// Leave without declaring the end of data: another `send` can go on
    #[arg(long)]
    pub no_finish: bool,
    /// Skip as many messages of the input as were ever sent: for the same input and framing as the sender before
    #[arg(long, conflicts_with = "raw")]
    pub resume: bool,
    /// Each line is a message, without its line end; so is what follows the last one [default]
    #[arg(long, group = "framing")]
    pub lines: bool,
    /// Messages of this many bytes, the last one may be shorter; with fixed-size messages leave the size out
    #[arg(long, value_name = "SIZE", group = "framing", value_parser = units::chunk, num_args = 0..=1)]
    pub chunk: Option<Option<u64>>,
    /// A stream of bytes: messages as the input happens to arrive, or of the fixed size
    #[arg(long, group = "framing")]
    pub raw: bool,
    /// Before each message its length, 4 bytes, little-endian
    #[arg(long, group = "framing")]
    pub length_prefixed: bool,
    /// Give up when the queue stays full for so long (exit code 3)
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
/// Waits for the queue to appear and for messages to come, until the end of data. A message leaves the queue only once it was
/// written: if this process is killed or its output breaks, the rest is still there, and at most what had just
/// been written, 64 KiB or one message, comes twice.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq recv numbers > numbers.txt
  shmq recv numbers --count 10 --timeout 5s
  shmq recv numbers --no-wait           what is there, and no more
  shmq recv log --follow | grep ERROR   also across restarts of the sender
  shmq recv frames --raw > movie.raw

Exit code 3 if nothing came for --timeout, 4 if the sender died before it declared the end of data. If it left
without declaring it (`send --no-finish`), the exit code is 0 and a note says so.")]
pub struct RecvArgs {
    /// Name of the queue, or its path
    pub name: OsString,
    /// Stop after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Give up when nothing came for so long (exit code 3)
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
    /// Refuse a queue that was created with another tag
    #[arg(long, value_name = "TEXT", value_parser = units::tag)]
    pub tag: Option<String>,
    /// How to wait
    #[arg(long, value_enum, default_value = "adaptive")]
    pub wait: Wait,
}

/// Tell what a queue is doing, who holds its ends, and who waits for whom
///
/// Takes no end and disturbs nobody; needs permission to read the file only.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq stat numbers
  shmq stat numbers --json | jq .pending_messages
  shmq stat numbers --sample 5s     rates and progress over five seconds
  watch shmq stat numbers

It looks twice, a little apart, and tells what moved meanwhile. How long an end has been waiting, the end noted itself when it
fell asleep; the largest backlog is noted only when an end comes, leaves or falls asleep, so that messages cost
nothing. What is said of a process (its command, whether it is stopped) comes from /proc, if it can be seen from here.

JSON: one object, \"schema\":\"shmq.stat/1\"; times are nanoseconds, since 1970 unless the name says monotonic.")]
pub struct StatArgs {
    /// Name of the queue, or its path
    pub name: OsString,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Prometheus text instead, for a collector that runs commands
    #[arg(long, conflicts_with = "json")]
    pub prometheus: bool,
    /// Time between the two looks; 0s for one look only
    #[arg(long, value_name = "TIME", default_value = "250ms", value_parser = units::duration)]
    pub sample: Duration,
}

/// Show it: two processes, 1 GiB, killed in mid-stream, nothing lost
///
/// Cuts a file (this program, unless told otherwise) into messages of 0 to 4096 bytes and streams it from one process to another,
/// again and again, until enough has passed. Now and then one of them is killed with SIGKILL, and a successor goes on by sequence
/// number. Every message is checked. Then the round trip of 8 bytes is measured over two queues of each shape, beside that
/// of a bare cache line. With --slots the stream goes over a queue of fixed-size messages, each of 64 bytes: its number and 56
/// bytes of the file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq demo
  shmq demo --file /usr/share/dict/words --seed 42
  shmq demo --slots
  shmq demo --json | jq .round_trip.p50_ns

Exit code 1 if anything was lost, torn, out of order, or seen again beyond the allowance.")]
pub struct DemoArgs {
    /// What to stream [default: this program]
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// One JSON object instead of the table
    #[arg(long)]
    pub json: bool,
    /// Draws the cuts and the kills [default: a new one each time, printed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Stream over a queue of fixed-size messages
    #[arg(long)]
    pub slots: bool,
    /// How much to stream at least
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = units::some_bytes)]
    pub bytes: u64,
    /// How often to kill
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub kills: u64,
    /// Plants a fault that the demo must find: for its own test
    #[arg(long, value_enum, hide = true)]
    pub plant: Option<Fault>,
}

/// Faults for the test of the demo itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// One message of each producer has a wrong byte.
    Torn,
    /// One message of each consumer is released before it is looked at.
    Lost,
    /// A successor of the producer starts one too far on.
    Skipped,
}

/// One process of the demo.
#[derive(Debug, Args)]
pub struct PartArgs {
    /// Which
    #[arg(value_enum)]
    pub part: Part,
    /// Where its files are
    #[arg(long)]
    pub scene: String,
    /// What is streamed
    #[arg(long)]
    pub input: PathBuf,
    /// Its length when the demo began
    #[arg(long)]
    pub input_bytes: u64,
    /// Draws the cuts
    #[arg(long)]
    pub seed: u64,
    /// Messages to send at least
    #[arg(long)]
    pub messages: u64,
    /// Over fixed-size messages
    #[arg(long)]
    pub slots: bool,
    /// Who started it
    #[arg(long)]
    pub parent: i32,
    /// A planted fault
    #[arg(long, value_enum)]
    pub plant: Option<Fault>,
}

/// The processes of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Sends the stream.
    Producer,
    /// Checks it.
    Consumer,
    /// Sends back what it gets.
    Echo,
}
