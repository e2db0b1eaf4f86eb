//! `demo` and its parts.

use clap::{Args, ValueEnum};
use shmq_tool::units;
use std::path::PathBuf;

/// Show it: two processes, 1 GiB, killed in mid-stream, nothing lost
///
/// Cuts a file (this program, unless told otherwise) into messages of 0 to 4096 bytes and sends it from one process to another, again
/// and again, until --bytes have passed. Now and then one of the two is killed with SIGKILL, and a successor goes on by sequence
/// number. Every message is checked. Then a round trip of 8 bytes is timed, over queues of both kinds and over a bare cache line.
/// With --slots the stream goes over a queue of fixed-size messages of 64 bytes: a number, and 56 bytes of the file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq demo
  shmq demo --file /usr/share/dict/words --seed 42
  shmq demo --slots
  shmq demo --json | jq .round_trip.p50_ns

Exit code 1 if anything was lost, torn, out of order, or seen again beyond the allowance.")]
pub struct DemoArgs {
    /// The file to send [default: this program]
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// One JSON object instead of the table
    #[arg(long)]
    pub json: bool,
    /// Seed for the cuts and the kills [default: a new one each time, printed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Use a queue of fixed-size messages
    #[arg(long)]
    pub slots: bool,
    /// Bytes to send at least
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = units::stream)]
    pub bytes: u64,
    /// Number of kills, a million at most
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
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
