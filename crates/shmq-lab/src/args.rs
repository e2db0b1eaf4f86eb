//! The command line and its help.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Programs for whoever wants to see what shmq promises
#[derive(Debug, Parser)]
#[command(name = "shmq-lab", version, subcommand_required = true)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Torture(TortureArgs),
    Bench(BenchArgs),
    #[command(hide = true)]
    TorturePart(TorturePartArgs),
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
  shmq-lab torture                           ten seconds of queues of both shapes
  shmq-lab torture --kills 100000            until so many have died
  shmq-lab torture --soak --seconds 3600     an hour without kills: memory and descriptors must stay flat
  shmq-lab torture --plant publish-before-payload
                                             must fail: shows that the checks would find something")]
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
