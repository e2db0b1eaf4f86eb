//! Request and response: two queues, one each way, between two processes.
//!
//! The client starts its own server, asks it to square numbers, and tells what a round trip took. Neither side asks
//! for a timeout: when one of them dies, the other is told *lost* and ends.

use shmq::{Consumer, Options, Producer, RecvError, Until};
use std::error::Error;
use std::process::Command;
use std::time::Instant;

const REQUESTS: u64 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(name) => serve(&name),
        None => ask(&format!("shmq-example-rpc-{}", std::process::id())),
    }
}

fn ask(name: &str) -> Result<(), Box<dyn Error>> {
    let options = Options::new().capacity(64 << 10).max_message(8);
    let _files = [Scratch(requests(name)), Scratch(responses(name))];
    let mut tx = Producer::create(requests(name), &options)?;
    let mut rx = Consumer::create(responses(name), &options)?;
    let mut server = Command::new(std::env::current_exe()?).arg(name).spawn()?;

    let mut took = Vec::new();
    for n in 0..REQUESTS {
        let begin = Instant::now();
        tx.send_value(&n, Until::Forever)?;
        let square: u64 = rx.recv_value(Until::Forever)?;
        took.push(begin.elapsed());
        assert_eq!(square, n * n);
    }
    tx.finish()?;
    assert!(server.wait()?.success());
    took.sort_unstable();
    println!("{REQUESTS} round trips, the median took {:?}", took[took.len() / 2]);
    Ok(())
}

fn serve(name: &str) -> Result<(), Box<dyn Error>> {
    let mut rx = Consumer::open(requests(name))?;
    let mut tx = Producer::open(responses(name))?;
    loop {
        match rx.recv_value::<u64>(Until::Forever) {
            Ok(n) => tx.send_value(&(n * n), Until::Forever)?,
            Err(RecvError::Finished) => return Ok(()),
            Err(gone) => return Err(gone.into()),
        };
    }
}

fn requests(name: &str) -> String {
    format!("{name}-requests")
}

fn responses(name: &str) -> String {
    format!("{name}-responses")
}

/// Removes its file at the end, however it comes.
struct Scratch(String);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(format!("/dev/shm/{}", self.0));
    }
}
