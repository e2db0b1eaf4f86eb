//! The command line and its help.

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;

/// Programs for whoever wants to see what shmq promises
#[derive(Debug, Parser)]
#[command(name = "shmq-lab", version, subcommand_required = true)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Torture(TortureArgs),
    Bench(BenchArgs),
    Contrast(ContrastArgs),
    #[command(hide = true)]
    TorturePart(TorturePartArgs),
    #[command(hide = true)]
    ContrastPart(ContrastPartArgs),
}

/// Compare shmq with what the system and the standard library offer, on this machine
///
/// Takes an hour and two processors; `--quick` shows in a minute what comes, `--list` what there is.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct BenchArgs {
    /// See `shmq-lab bench --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<String>,
}

/// Kill both ends of queues, thousands of times a minute, and check every message
///
/// Two processes stream through one queue after another, each of other limits, with messages, pauses and operations
/// drawn from a seed. They are killed (SIGKILL), stopped and continued at random moments, and followed at once by
/// successors. Every message is checked against its number. Exit code 1 if anything was lost, torn, out of
/// order, seen again beyond the allowance, or if a stopped process was ever called dead; the queue is then kept.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq-lab torture                          ten seconds, queues of both shapes
  shmq-lab torture --kills 100000           until so many have died
  shmq-lab torture --soak --seconds 3600    no kills: memory must stay flat
  shmq-lab torture --plant take-unseen      must fail: so the checks do work")]
pub struct TortureArgs {
    /// Go on for so long [default: 10, or until --kills]
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Go on until so many processes were killed
    #[arg(long, value_name = "N", conflicts_with = "soak")]
    pub kills: Option<u64>,
    /// Draws limits, messages, operations and deaths
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Queues of fixed-size messages alone
    #[arg(long, conflicts_with = "records")]
    pub slots: bool,
    /// Queues of messages of any length alone
    #[arg(long)]
    pub records: bool,
    /// Kill nobody: ends are stopped and continued, and live as long as their queue, which is half an hour at most
    #[arg(long)]
    pub soak: bool,
    /// The outcome as JSON, on stdout
    #[arg(long)]
    pub json: bool,
    /// Plant a fault, which must be found
    #[arg(long, value_enum, value_name = "FAULT")]
    pub plant: Option<Plant>,
}

/// Faults for the test of the torture itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Plant {
    /// The producer's memory lets payload arrive after the word that publishes it
    PublishBeforePayload,
    /// The consumer takes messages that it has not looked at
    TakeUnseen,
    /// The consumer notes messages as taken, and leaves them
    NeverTake,
    /// The consumer calls a producer dead that is silent for a while
    Heartbeat,
}

impl Plant {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::PublishBeforePayload => "publish-before-payload",
            Self::TakeUnseen => "take-unseen",
            Self::NeverTake => "never-take",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// One end of a queue under torture
#[derive(Debug, Args)]
pub struct TorturePartArgs {
    /// Which
    #[arg(value_enum)]
    pub part: Part,
    /// Where the files are
    #[arg(long)]
    pub base: String,
    /// Draws this queue
    #[arg(long)]
    pub seed: u64,
    /// Of fixed-size messages
    #[arg(long)]
    pub slots: bool,
    /// Which process of this torture it is, counting from 1
    #[arg(long)]
    pub life: u64,
    /// Ends do not come and go
    #[arg(long)]
    pub soak: bool,
    /// A planted fault
    #[arg(long, value_enum)]
    pub plant: Option<Plant>,
    /// Who started it
    #[arg(long)]
    pub parent: i32,
}

/// The two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Sends.
    Producer,
    /// Receives and checks.
    Consumer,
}

/// The same traffic through raw memory, queues and what the kernel has: how fast, and how much of it arrives
///
/// One process writes messages at full speed, another reads them, through each of: raw shared memory that is
/// overwritten and sampled, a seqlock cell, the two shapes of shmq, a POSIX message queue, a pipe and a Unix socket.
/// Every message carries its number in every word, so the reader can tell whole ones from torn ones, and what was lost,
/// came twice or out of order. Exit code 1 if a queue loses or tears anything, or if raw memory does not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq-lab contrast
  shmq-lab contrast --seconds 60 --html contrast.html")]
pub struct ContrastArgs {
    /// How long all of it may take
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// The outcome as JSON, on stdout
    #[arg(long)]
    pub json: bool,
    /// A page with charts, for a browser
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// What carries messages from one process to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    Raw,
    Seqlock,
    Records,
    Slots,
    MessageQueue,
    Pipe,
    Socket,
}

impl Medium {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Seqlock => "seqlock",
            Self::Records => "records",
            Self::Slots => "slots",
            Self::MessageQueue => "message-queue",
            Self::Pipe => "pipe",
            Self::Socket => "socket",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Raw => "raw memory",
            Self::Seqlock => "seqlock cell",
            Self::Records => "shmq records",
            Self::Slots => "shmq slots",
            Self::MessageQueue => "POSIX queue",
            Self::Pipe => "pipe",
            Self::Socket => "Unix socket",
        }
    }
}

/// The writer of a contrast
#[derive(Debug, Args)]
pub struct ContrastPartArgs {
    /// Through what
    #[arg(value_enum)]
    pub medium: Medium,
    /// Name of the file, where there is one
    #[arg(long)]
    pub name: String,
    /// Bytes of a message
    #[arg(long)]
    pub size: usize,
    /// Who started it
    #[arg(long)]
    pub parent: i32,
}
