//! The `shmq` command: create, remove, send, receive, inspect and demonstrate queues in shared memory.
//!
//! | module | what happens there |
//! |---|---|
//! | [`args`] | the command line and its help |
//! | [`units`] | `64KiB`, `5s`, `0600` |
//! | [`failure`] | exit codes, and which error has which |
//! | [`attach`] | waiting for a file to appear, for a role to become free |
//! | [`shape`] | queues of records and of fixed-size messages behind one face |
//! | [`framing`] | bytes to messages and back |
//! | [`files`], [`send`], [`recv`], [`stat`], [`demo`] | the subcommands |

mod args;
mod attach;
mod demo;
mod files;
mod framing;
mod progress;
mod recv;
mod send;
mod shape;
mod stat;

use args::{Cli, Command};
use clap::Parser;
use shmq_cli::{failure, interrupt, units};
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Create(args) => files::create(&args),
        Command::Rm(args) => files::remove(&args),
        Command::Send(args) => send::run(&args),
        Command::Recv(args) => recv::run(&args),
        Command::Stat(args) => stat::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::DemoPart(args) => demo::part(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
