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
//! | [`output`], [`acks`], [`streams`] | where messages go, what a reader says it has finished, whether there is anybody |
//! | [`prometheus`] | the numbers of queues as Prometheus text |
//! | [`top`] | the live view, its text, its server of metrics |
//! | [`completions`] | scripts for shells, man pages |
//! | [`view`] | a queue as every command shows it |
//! | [`advice`], [`diagnosis`] | who is stuck, why, and what to do |
//! | [`files`], [`send`], [`recv`], [`ls`], [`stat`], [`dump`], [`doctor`], [`drain`], [`copy`], [`pipe`], [`demo`] | the subcommands |

mod acks;
mod advice;
mod args;
mod attach;
mod completions;
mod copy;
mod demo;
mod diagnosis;
mod doctor;
mod drain;
mod dump;
mod files;
mod framing;
mod ls;
mod output;
mod paint;
mod pipe;
mod progress;
mod prometheus;
mod recv;
mod send;
mod shape;
mod stat;
mod streams;
mod top;
mod view;

use args::{Cli, Command};
use clap::Parser;
use shmq_tool::{failure, interrupt};
use std::process::ExitCode;

fn main() -> ExitCode {
    interrupt::first_process();
    let command = Cli::parse().command;
    if let Some(name) = command.queue() {
        failure::about(name);
    }
    // The live view has a terminal to give back first.
    if !matches!(command, Command::Top(_)) {
        view::guard();
    }
    let outcome = streams::check(&command).and_then(|()| run(command));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), failure::Failure> {
    match command {
        Command::Create(args) => files::create(&args),
        Command::Rm(args) => files::remove(&args),
        Command::Send(args) => send::run(&args),
        Command::Recv(args) => recv::run(&args),
        Command::Ls(args) => ls::run(&args),
        Command::Stat(args) => stat::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Drain(args) => drain::run(&args),
        Command::Copy(args) => copy::run(&args),
        Command::Pipe(args) => pipe::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => completions::man(&args),
        Command::DemoPart(args) => demo::part(&args),
    }
}
