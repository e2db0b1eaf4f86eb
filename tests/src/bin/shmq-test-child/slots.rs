//! The two ends of a queue of fixed-size messages: a stream that is killed at random moments, and an end that holds still.

use crate::{Outcome, said, variant, waiting};
use shmq::slots::{Consumer, Producer, Queue};
use shmq::{AttachError, OpenError, Options, RecvError, TryRecvError, TrySendError, Until};
use shmq_tests::process::{Dice, LIMIT, SLOTS_BATCH, SlotMessage, Witness, slot_content, word};
use std::io::BufRead;

/// Most messages of one `slice` call.
const SLICE: u64 = 16;

pub fn produce(name: &str, witness: &str, mode: &str, wait: &str) -> Outcome {
    let witness = Witness::open(witness);
    let mut tx = match Queue::<SlotMessage>::open(name).map_err(said)?.producer() {
        Err(AttachError::Finished { .. }) => return Ok(()),
        other => other.map_err(said)?,
    };
    tx.set_waiting(waiting(wait).across_restarts(true));
    // SAFETY: the other end is this program's, too.
    unsafe { tx.trust_peer() };
    let (first, sent) = (tx.next_sequence(), witness.get(word::SENT));
    // A call that had not returned has sent all, nothing, or, where that is what it says, some.
    let lawful = match mode {
        "batch" | "half-batch" => first == sent || first == sent + SLOTS_BATCH,
        "slice" => (sent..=sent + SLICE).contains(&first),
        "amnesiac" => true,
        _ => first == sent || first == sent + 1,
    };
    if !lawful {
        return Err(format!(
            "sends up to {sent} had returned, but the successor of {mode} resumes at {first}"
        ));
    }
    witness.set(word::SENT, first);
    let inside = !first.is_multiple_of(witness.get(word::GROUP).max(1));
    witness.set(word::MID_LINE, witness.get(word::MID_LINE) + u64::from(inside));
    // The planted bug: a producer that starts again from the beginning.
    let mut next = if mode == "amnesiac" { 0 } else { first };
    while witness.get(word::STOP) == 0 {
        let (at, many) = send(&mut tx, mode, next)?;
        if at != next && mode != "amnesiac" {
            return Err(format!("message {next} was sent as number {at}"));
        }
        next += many;
        witness.set(word::SENT, next);
    }
    tx.finish().map_err(said)?;
    Ok(())
}

/// Sends what comes next; says which number it got and how many there were.
fn send(tx: &mut Producer<SlotMessage>, mode: &str, next: u64) -> Result<(u64, u64), String> {
    let messages = |n: u64| (next..next + n).map(slot_content).collect::<Vec<_>>();
    match mode {
        "batch" => {
            let range = tx.send_batch(&messages(SLOTS_BATCH), Until::Forever).map_err(said)?;
            Ok((range.start, range.end - range.start))
        }
        // The planted bug: a batch that is none.
        "half-batch" => {
            for message in messages(SLOTS_BATCH) {
                tx.send(&message, Until::Forever).map_err(said)?;
            }
            Ok((next, SLOTS_BATCH))
        }
        "slice" => {
            let first = tx.next_sequence();
            match tx.try_send_slice(&messages(1 + next % SLICE)).map_err(said)? as u64 {
                0 => tx.send(&slot_content(next), Until::Forever).map(|at| (at, 1)).map_err(said),
                sent => Ok((first, sent)),
            }
        }
        "claim" => loop {
            if next.is_multiple_of(3)
                && let Ok(claim) = tx.try_claim()
            {
                claim.abort();
            }
            match tx.try_claim() {
                Ok(mut claim) => {
                    *claim.as_mut().ok_or("not trusted")? = slot_content(next);
                    return Ok((claim.commit(), 1));
                }
                Err(TrySendError::Full) => std::thread::yield_now(),
                Err(other) => return Err(said(other)),
            }
        },
        _ => tx.send(&slot_content(next), Until::Forever).map(|at| (at, 1)).map_err(said),
    }
}

pub fn consume(name: &str, witness: &str, mode: &str, wait: &str) -> Outcome {
    let witness = Witness::open(witness);
    let mut rx = Queue::<SlotMessage>::open(name).map_err(said)?.consumer().map_err(said)?;
    rx.set_waiting(waiting(wait).across_restarts(true));
    // SAFETY: the other end is this program's, too.
    unsafe { rx.trust_peer() };
    let (first, taken) = (rx.next_sequence(), witness.get(word::TAKEN));
    // A copying receive that returned is never repeated, and one that had not returned may have happened. A guard is
    // noted before it is released: it may come again.
    let lawful = match mode {
        "guard" => first == taken || first + 1 == taken,
        "slice" => (taken..=taken + SLICE).contains(&first),
        _ => first == taken || first == taken + 1,
    };
    if !lawful {
        return Err(format!("{taken} messages were noted, but the successor of a {mode} resumes at {first}"));
    }
    witness.set(word::AGAIN, witness.get(word::AGAIN) + taken.saturating_sub(first));
    // What the predecessor received and could not note any more is past.
    witness.set(word::TAKEN, first.max(taken));
    let mut next = first;
    while let Some(messages) = receive(&mut rx, mode, &mut next, &witness)? {
        for message in messages {
            check(next, &message)?;
            next += 1;
            witness.set(word::TAKEN, next);
        }
    }
    let sent = witness.get(word::SENT);
    if next != sent {
        return Err(format!("{sent} messages were sent, {next} had come at the end"));
    }
    Ok(())
}

fn check(number: u64, message: &SlotMessage) -> Outcome {
    if *message == slot_content(number) {
        return Ok(());
    }
    Err(format!("message {number} is torn or another one: {message:x?}"))
}

/// The next messages, still to be checked; `None` at the end of data. A guard checks and notes its own.
fn receive(
    rx: &mut Consumer<SlotMessage>,
    mode: &str,
    next: &mut u64,
    witness: &Witness,
) -> Result<Option<Vec<SlotMessage>>, String> {
    match mode {
        "guard" => match rx.try_read() {
            Ok(message) => {
                if message.sequence() != *next {
                    return Err(format!("number {} came where {next} was next", message.sequence()));
                }
                check(*next, message.as_ref().ok_or("not trusted")?)?;
                *next += 1;
                witness.set(word::TAKEN, *next);
                message.acknowledge();
                Ok(Some(vec![]))
            }
            Err(TryRecvError::Empty) => {
                std::thread::yield_now();
                Ok(Some(vec![]))
            }
            Err(TryRecvError::Finished) => Ok(None),
            Err(other) => Err(said(other)),
        },
        "slice" => {
            let mut messages = vec![SlotMessage::default(); 1 + (*next % SLICE) as usize];
            match rx.try_recv_slice(&mut messages) {
                Ok(got) => messages.truncate(got),
                Err(TryRecvError::Empty) => return one(rx),
                Err(TryRecvError::Finished) => return Ok(None),
                Err(other) => return Err(said(other)),
            }
            Ok(Some(messages))
        }
        _ => one(rx),
    }
}

fn one(rx: &mut Consumer<SlotMessage>) -> Result<Option<Vec<SlotMessage>>, String> {
    match rx.recv(Until::Forever) {
        Ok(message) => Ok(Some(vec![message])),
        Err(RecvError::Finished) => Ok(None),
        Err(other) => Err(said(other)),
    }
}

/// Holds an end and does what it is told, as `hold` does for records.
pub fn hold(name: &str, role: &str) -> Outcome {
    let queue = Queue::<SlotMessage>::open(name).map_err(said)?;
    let (mut tx, mut rx) = match role {
        "producer" => (Some(queue.producer().map_err(said)?), None),
        _ => (None, Some(queue.consumer().map_err(said)?)),
    };
    println!("held");
    for line in std::io::stdin().lock().lines() {
        match (line.map_err(said)?.as_str(), &mut tx, &mut rx) {
            ("drop", ..) => {
                drop((tx.take(), rx.take()));
                println!("dropped");
            }
            ("send", Some(tx), _) => {
                println!("{}", tx.send(&slot_content(tx.next_sequence()), LIMIT).map_err(said)?);
            }
            ("take", _, Some(rx)) => {
                let number = rx.next_sequence();
                check(number, &rx.recv(LIMIT).map_err(said)?)?;
                println!("{number}");
            }
            ("finish", ..) => {
                let tx = tx.take().ok_or("not the producer")?;
                println!("finished {}", tx.finish().map_err(said)?);
            }
            (other, ..) => return Err(format!("what is {other:?}?")),
        }
    }
    Ok(())
}

/// For each path on stdin: refused and why, or a full round through a queue that is in order. A type that fits is opened as
/// one, too.
pub fn attach() -> Outcome {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(said)?;
        let typed = Queue::<SlotMessage>::open(&line);
        let outcome = match Queue::open_bytes(&line, &Options::new()) {
            Err(refused) => match typed {
                Err(e) if variant(&e) == variant(&refused) => variant(&refused),
                other => format!("refused as {refused:?}, as a type {other:?}"),
            },
            Ok(queue) => match (typed, queue.message_size()) {
                (Ok(_), size) if size != size_of::<SlotMessage>() as u64 => format!("a type of {size} bytes"),
                (Err(e), _) if !matches!(e, OpenError::WrongMessage { .. }) => format!("as a type {e:?}"),
                _ => round(&queue).map_or_else(|why| why, |()| "harmless".into()),
            },
        };
        println!("{outcome}");
    }
    Ok(())
}

/// Uses a queue to the full: exactly its depth, from every place in a group, for a few laps.
fn round(queue: &Queue<[u8]>) -> Result<(), String> {
    let refused = |e: AttachError| variant(&e);
    let mut tx = queue.producer().map_err(refused)?;
    let mut rx = queue.consumer().map_err(refused)?;
    let (size, depth) = (queue.message_size() as usize, queue.depth());
    let message = |i: u64| {
        let mut dice = Dice(i);
        let words = (0..size.div_ceil(8)).flat_map(|_| dice.next().to_le_bytes());
        words.take(size).collect::<Vec<u8>>()
    };
    let (mut sent, mut received, mut buffer) = (0, 0, vec![0; size]);
    while sent < 4 * depth + 40 {
        loop {
            match tx.try_send(&message(sent)) {
                Ok(_) => sent += 1,
                Err(TrySendError::Full) => break,
                Err(other) => return Err(format!("send: {}", variant(&other))),
            }
        }
        if sent - received != depth || queue.inspect().map_err(said)?.snapshot().pending_messages != depth {
            return Err(format!("{} fit into a depth of {depth}", sent - received));
        }
        for _ in 0..1 + sent % depth {
            match rx.try_recv_into(&mut buffer) {
                Ok(_) if buffer == message(received) => received += 1,
                Ok(_) => return Err(format!("message {received} is wrong")),
                Err(e) => return Err(format!("receive: {}", variant(&e))),
            }
        }
    }
    tx.finish().map_err(said)?;
    for i in received..sent {
        rx.try_recv_into(&mut buffer).map_err(said)?;
        if buffer != message(i) {
            return Err(format!("message {i} is wrong"));
        }
    }
    match rx.try_recv_into(&mut buffer) {
        Err(TryRecvError::Finished) => Ok(()),
        other => Err(format!("after the end: {other:?}")),
    }
}
