//! The gateway of the example, to be killed, and those who feed its queues.

use crate::{Outcome, said};
use shmq::{AttachError, Error, Producer, Until};
use std::time::Duration;

#[allow(dead_code, reason = "what shows it is not used here")]
#[path = "../../../../crates/shmq/examples/gateway.rs"]
mod example;

pub fn serve(prefix: &str, count: &str) -> Outcome {
    example::serve(prefix, count.parse().map_err(said)?, "127.0.0.1:0").map_err(said)
}

/// Messages up to a number, from where its predecessor was; then the end.
pub fn feed(name: &str, messages: u64) -> Outcome {
    let mut tx = match Producer::open(name) {
        // It was killed when it had said so.
        Err(Error::Attach(AttachError::Finished { .. })) => return Ok(()),
        other => other.map_err(said)?,
    };
    tx.set_waiting(shmq::Waiting::new().across_restarts(true));
    for n in tx.next_sequence()..messages {
        tx.send(format!("message {n}").as_bytes(), Until::Forever).map_err(said)?;
        if n % 8 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    tx.finish().map_err(said)?;
    Ok(())
}
