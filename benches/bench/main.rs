//! Every benchmark of shmq: beside other queues and the limits of the machine, and of waiting.
//!
//! `cargo run --release -p shmq-benches --features peers --bin bench -- --help` says how.

use std::process::ExitCode;

fn main() -> ExitCode {
    shmq_benches::program::main(std::env::args().skip(1), &[])
}
