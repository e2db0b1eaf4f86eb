//! The two ends of a stream that is killed at random moments. What each end has certainly done is noted in the witness
//! after every call, so its successor can tell what the library promises from what it does.

use crate::{Outcome, said, waiting};
use shmq::{AttachError, DrainLimit, Queue, RecvError, Until};
use shmq_tests::process::{Witness, content, word};
use std::io::IoSlice;

const BATCH: u64 = 4;

pub fn produce(name: &str, witness: &str, mode: &str, wait: &str) -> Outcome {
    let witness = Witness::open(witness);
    let mut tx = match Queue::open(name).map_err(said)?.producer() {
        Err(AttachError::Finished { .. }) => return Ok(()),
        other => other.map_err(said)?,
    };
    tx.set_waiting(waiting(wait).across_restarts(true));
    let (first, sent) = (tx.next_sequence(), witness.get(word::SENT));
    let step = if mode == "batch" { BATCH } else { 1 };
    if first != sent && first != sent + step && mode != "amnesiac" {
        return Err(format!("sends up to {sent} had returned, but the successor is to resume at {first}"));
    }
    witness.set(word::SENT, first);
    let max = tx.limits().max_message as usize;
    // The planted bug: a producer that starts again from the beginning.
    let mut next = if mode == "amnesiac" { 0 } else { first };
    let mut message = Vec::new();
    while witness.get(word::STOP) == 0 {
        let returned = match mode {
            "batch" => {
                let messages: Vec<Vec<u8>> = (next..next + BATCH)
                    .map(|i| {
                        content(i, max / 8, &mut message);
                        message.clone()
                    })
                    .collect();
                tx.send_batch(&messages, Until::Forever).map_err(said)?.start
            }
            "claim" => {
                content(next, max, &mut message);
                if next.is_multiple_of(3) {
                    tx.claim(message.len(), Until::Forever).map_err(said)?.abort();
                }
                let mut claim = tx.claim(max, Until::Forever).map_err(said)?;
                claim.write_at(0, &message).map_err(said)?;
                claim.commit_part(message.len()).map_err(said)?
            }
            "slices" => {
                content(next, max, &mut message);
                let (head, body) = message.split_at(message.len() / 3);
                tx.send_slices(&[IoSlice::new(head), IoSlice::new(body)], Until::Forever).map_err(said)?
            }
            _ => {
                content(next, max, &mut message);
                tx.send(&message, Until::Forever).map_err(said)?
            }
        };
        if returned != next && mode != "amnesiac" {
            return Err(format!("message {next} was sent as number {returned}"));
        }
        next += step;
        witness.set(word::SENT, next);
    }
    if mode != "leave" {
        tx.finish().map_err(said)?;
    }
    Ok(())
}

pub fn consume(name: &str, witness: &str, mode: &str, wait: &str) -> Outcome {
    let witness = Witness::open(witness);
    let mut rx = Queue::open(name).map_err(said)?.consumer().map_err(said)?;
    rx.set_waiting(waiting(wait).across_restarts(true));
    let (first, taken) = (rx.next_sequence(), witness.get(word::TAKEN));
    // A copying receive that returned is never repeated, and one that had not returned may have happened. A guard is
    // noted before it is released: it may come again. A drain comes again as a whole, or not at all.
    let lawful = match mode {
        "guard" => first == taken || first + 1 == taken,
        "drain" => first == taken || first == witness.get(word::RUN),
        _ => first == taken || first == taken + 1,
    };
    if !lawful {
        return Err(format!(
            "{taken} messages were noted, but the successor of a {mode} consumer is to resume at {first}"
        ));
    }
    witness.set(word::AGAIN, witness.get(word::AGAIN) + taken.saturating_sub(first));
    // What the predecessor received and could not note any more is past, or two deaths in a row would look like a loss.
    if first > taken {
        witness.set(word::TAKEN, first);
    }
    // The batches of a batch producer are smaller.
    let max = witness.get(word::MAX_MESSAGE) as usize;
    let mut check = Check { next: first, max, expected: Vec::new(), wrong: None, witness: &witness };
    let mut buffer = vec![0; rx.limits().max_message as usize];
    loop {
        let outcome = match mode {
            "guard" => rx.read(Until::Forever).map(|message| {
                check.see(message.sequence(), &message.to_vec());
                message.acknowledge();
            }),
            "drain" => {
                witness.set(word::RUN, check.next);
                rx.drain(DrainLimit::default(), Until::Forever, |view| {
                    check.see(view.sequence(), &view.to_vec())
                })
                .map(|_| ())
            }
            "vec" => {
                let sequence = rx.next_sequence();
                rx.recv(Until::Forever).map(|message| check.see(sequence, &message))
            }
            _ => rx
                .recv_into(&mut buffer, Until::Forever)
                .map(|got| check.see(got.sequence, &buffer[..got.len])),
        };
        if let Some(wrong) = check.wrong.take() {
            return Err(wrong);
        }
        match outcome {
            Ok(()) => {}
            Err(RecvError::Finished) => break,
            Err(other) => return Err(said(other)),
        }
    }
    let sent = witness.get(word::SENT);
    if check.next != sent {
        return Err(format!("{sent} messages were sent, {} had come at the end", check.next));
    }
    Ok(())
}

/// Compares every message with what it must be.
struct Check<'a> {
    next: u64,
    max: usize,
    expected: Vec<u8>,
    wrong: Option<String>,
    witness: &'a Witness,
}

impl Check<'_> {
    fn see(&mut self, sequence: u64, message: &[u8]) {
        content(self.next, self.max, &mut self.expected);
        if sequence != self.next {
            self.wrong.get_or_insert(format!("number {sequence} came where {} was next", self.next));
        } else if message != self.expected {
            let (len, right) = (message.len(), self.expected.len());
            self.wrong.get_or_insert(format!("message {sequence} is torn: {len} bytes, {right} were sent"));
        }
        self.next += 1;
        self.witness.set(word::TAKEN, self.next);
    }
}
