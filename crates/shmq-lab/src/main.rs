//! `shmq-lab`: programs for whoever wants to see what shmq promises, rather than be told.
//!
//! | module | what happens there |
//! |---|---|
//! | [`args`] | the command line and its help |
//! | `shmq_benches` | `bench`: shmq beside the queues of the system |
//! | [`contrast`] | the same traffic through raw memory, queues and what the kernel has |
//! | [`torture`] | both ends of a queue, killed and stopped thousands of times a minute |

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod contrast;
mod torture;

use args::{Cli, Command};
use clap::Parser;
use shmq_tool::failure::Failure;
use shmq_tool::print;
use std::process::ExitCode;

fn main() -> ExitCode {
    shmq_tool::interrupt::first_process();
    let outcome = match Cli::parse().command {
        // The program of the benches package, with an exit code of its own.
        Command::Bench(args) => return shmq_benches::program::main(args.arguments, &["bench"]),
        Command::Contrast(args) => contrast::run(&args),
        Command::ContrastPart(args) => contrast::write(&args),
        Command::Torture(args) => torture::run(&args),
        Command::TorturePart(args) => torture::part(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Said(code, text)) => {
            print::err(format_args!("shmq-lab: {text}"));
            ExitCode::from(code as u8)
        }
        Err(signal) => signal.report(),
    }
}
