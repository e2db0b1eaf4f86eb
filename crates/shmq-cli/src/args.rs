//! The command line and its help.

mod demo;
mod look;
mod queue;
mod stream;
mod tools;
mod work;

use clap::{Parser, Subcommand};
pub use demo::{DemoArgs, Fault, Part, PartArgs};
pub use look::{DoctorArgs, DumpArgs, LsArgs, StatArgs};
pub use queue::{CreateArgs, QueueOptions, RmArgs};
use std::ffi::OsStr;
pub use stream::{RecvArgs, SendArgs, Wait};
pub use tools::{CompletionsArgs, ManArgs, TopArgs};
pub use work::{CopyArgs, DrainArgs, PipeArgs};

const CODES: &str = "\
Exit codes:
  0  done
  1  failure; one sentence on stderr says what to do
  2  wrong usage
  3  timed out
  4  the other end was lost before it was done (or is gone: `send --need-consumer`)
  5  the queue is corrupt";

const EXAMPLES: &str = "\
Examples:
  seq 1 1000000 | shmq send numbers --create &
  shmq recv numbers | tail -1
  shmq rm numbers

  shmq ls              every queue of this machine, and who is stuck
  shmq demo            two processes, 1 GiB, killed in mid-stream";

/// Message queues between two processes, in shared memory.
///
/// A queue is a file with one sending and one receiving end. A bare NAME means a file in /dev/shm; a NAME with a slash is a path. Either end
/// may be killed at any moment: a new one goes on where it was, and nothing is lost or torn.
#[derive(Debug, Parser)]
#[command(name = "shmq", version, after_help = format!("{EXAMPLES}\n\n{CODES}"), subcommand_required = true)]
#[command(arg_required_else_help = true)]
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
    Ls(LsArgs),
    Stat(StatArgs),
    Top(TopArgs),
    Dump(DumpArgs),
    Doctor(DoctorArgs),
    Drain(DrainArgs),
    Copy(CopyArgs),
    Pipe(PipeArgs),
    Demo(DemoArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    #[command(hide = true)]
    DemoPart(PartArgs),
}

impl Command {
    /// The queue that it is about, if that is one.
    pub fn queue(&self) -> Option<&OsStr> {
        Some(match self {
            Self::Create(args) => &args.name,
            Self::Send(args) => &args.name,
            Self::Recv(args) => &args.name,
            Self::Stat(args) => &args.name,
            Self::Dump(args) => &args.name,
            Self::Drain(args) => &args.name,
            Self::Pipe(args) => &args.name,
            _ => return None,
        })
    }
}
