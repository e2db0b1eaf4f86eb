//! The two ends of a pool: a stream that is killed at random moments, and an end that holds still.

use crate::{Outcome, said, variant, waiting};
use shmq_pool::{Block, Error, Loan, Pool, Reader, RecvError, TryLoanError, TryRecvError, Writer};
use shmq_tests::process::{Dice, LIMIT, Witness, block_content, word};
use std::io::BufRead;
use std::time::Duration;

/// Most loans or blocks that an end has out at a time.
const OUT: usize = 3;

fn fill(loan: &mut Loan<'_>, i: u64) -> usize {
    let bytes = block_content(i, loan.capacity());
    // In two pieces, the second at an odd place.
    let cut = bytes.len() / 3;
    loan.write_at(0, &bytes[..cut]).expect("inside");
    loan.write_at(cut, &bytes[cut..]).expect("inside");
    bytes.len()
}

fn verify(block: &Block<'_>, size: usize) -> Outcome {
    if block.to_vec() != block_content(block.sequence(), size) {
        return Err(format!("block {} with number {} is torn or another", block.index(), block.sequence()));
    }
    Ok(())
}

/// Sends blocks until it is told to stop, and leaves. Several loans are out at a time, and some come to nothing.
pub fn produce(name: &str, witness: &str, wait: &str) -> Outcome {
    let witness = Witness::open(witness);
    let mut tx = Pool::open(name).map_err(said)?.writer().map_err(said)?;
    tx.set_waiting(waiting(wait).across_restarts(true));
    let (first, sent) = (tx.next_sequence(), witness.get(word::SENT));
    if first != sent && first != sent + 1 {
        return Err(format!("sends up to {sent} had returned, but the successor resumes at {first}"));
    }
    witness.set(word::SENT, first);
    let mut dice = Dice(first ^ u64::from(std::process::id()));
    let mut loans = Vec::new();
    while witness.get(word::STOP) == 0 {
        while loans.len() < OUT {
            match tx.try_loan() {
                Ok(loan) => loans.push(loan),
                Err(TryLoanError::NoneFree) if !loans.is_empty() => break,
                // In slices, to see when to stop.
                Err(TryLoanError::NoneFree) => match tx.loan(Duration::from_millis(50)) {
                    Ok(loan) => loans.push(loan),
                    Err(shmq_pool::LoanError::TimedOut) => break,
                    Err(other) => return Err(said(other)),
                },
                Err(other) => return Err(said(other)),
            }
        }
        if loans.is_empty() {
            continue;
        }
        let mut loan = loans.swap_remove(dice.below(loans.len() as u64) as usize);
        if dice.below(8) == 0 {
            continue;
        }
        let next = tx.next_sequence();
        let len = fill(&mut loan, next);
        if loan.send(len).map_err(said)? != next {
            return Err(format!("number {next} was sent as another"));
        }
        witness.set(word::SENT, next + 1);
    }
    Ok(())
}

/// Receives until the writer has left and been told to stop. Several blocks are held at a time, and given back in any
/// order. A `leaky` one never gives back what it sees again: the planted bug.
pub fn consume(name: &str, witness: &str, mode: &str, wait: &str) -> Outcome {
    let witness = Witness::open(witness);
    let pool = Pool::open(name).map_err(said)?;
    let mut rx = pool.reader().map_err(said)?;
    let size = pool.block_size();
    rx.set_waiting(waiting(wait).across_restarts(true));
    let mut dice = Dice(u64::from(std::process::id()));
    let mut blocks: Vec<Block<'_>> = Vec::new();
    loop {
        if blocks.len() == OUT || dice.below(3) == 0 && !blocks.is_empty() {
            blocks.swap_remove(dice.below(blocks.len() as u64) as usize).acknowledge();
            continue;
        }
        let block = match rx.read(Duration::from_millis(20)) {
            Ok(block) => block,
            Err(RecvError::TimedOut | RecvError::AllHeld) if !blocks.is_empty() => {
                blocks.drain(..).for_each(Block::acknowledge);
                continue;
            }
            Err(RecvError::TimedOut | RecvError::AllHeld) if witness.get(word::STOP) != 2 => {
                std::thread::yield_now();
                continue;
            }
            Err(RecvError::TimedOut | RecvError::AllHeld) => return Ok(()),
            Err(other) => return Err(said(other)),
        };
        let (number, expected) = (block.sequence(), witness.get(word::TAKEN));
        verify(&block, size)?;
        match (block.is_again(), number) {
            (_, number) if number == expected => witness.set(word::TAKEN, number + 1),
            (true, number) if number < expected => witness.set(word::AGAIN, witness.get(word::AGAIN) + 1),
            _ => {
                return Err(format!(
                    "number {number} where {expected} was next, again: {}",
                    block.is_again()
                ));
            }
        }
        if block.is_again() && mode == "leaky" {
            std::mem::forget(block);
        } else {
            blocks.push(block);
        }
    }
}

/// Holds an end and does what it is told.
pub fn hold(name: &str, role: &str) -> Outcome {
    let pool = Pool::open(name).map_err(said)?;
    println!("held");
    match role {
        "writer" => hold_writer(pool.writer().map_err(said)?),
        _ => hold_reader(pool.reader().map_err(said)?, pool.block_size()),
    }
}

fn hold_writer(tx: Writer) -> Outcome {
    let mut loans = Vec::new();
    println!("{}", tx.next_sequence());
    for line in std::io::stdin().lock().lines() {
        match line.map_err(said)?.as_str() {
            "loan" => {
                loans.push(tx.loan(LIMIT).map_err(said)?);
                println!("lent");
            }
            "send" => {
                let mut loan = match loans.pop() {
                    Some(loan) => loan,
                    None => tx.loan(LIMIT).map_err(said)?,
                };
                let len = fill(&mut loan, tx.next_sequence());
                println!("{}", loan.send(len).map_err(said)?);
            }
            "finish" => {
                drop(loans);
                println!("finished {}", tx.finish().map_err(said)?);
                return wait_for_the_end();
            }
            "drop" => {
                drop(loans);
                drop(tx);
                println!("dropped");
                return wait_for_the_end();
            }
            other => return Err(format!("what is {other:?}?")),
        }
    }
    Ok(())
}

fn hold_reader(rx: Reader, size: usize) -> Outcome {
    let mut blocks = Vec::new();
    println!("{}", rx.to_be_seen_again());
    for line in std::io::stdin().lock().lines() {
        match line.map_err(said)?.as_str() {
            "take" => {
                let block = rx.read(LIMIT).map_err(said)?;
                verify(&block, size)?;
                println!("{}{}", block.sequence(), if block.is_again() { " again" } else { "" });
                blocks.push(block);
            }
            "return" => {
                blocks.drain(..).for_each(Block::acknowledge);
                println!("returned");
            }
            "drop" => {
                blocks.drain(..).for_each(Block::acknowledge);
                drop(blocks);
                drop(rx);
                println!("dropped");
                return wait_for_the_end();
            }
            other => return Err(format!("what is {other:?}?")),
        }
    }
    Ok(())
}

fn wait_for_the_end() -> Outcome {
    std::io::stdin().lock().lines().for_each(drop);
    Ok(())
}

/// For each path on stdin: refused and why, or a full round through a pool that is in order.
pub fn attach() -> Outcome {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(said)?;
        let outcome = match Pool::open(&line) {
            Err(refused) => variant(&refused),
            Ok(pool) => {
                let healthy = look(&pool)?;
                match round(&pool) {
                    Err(why) if why == "Corrupt" && healthy => "overlooked".into(),
                    done => done.map_or_else(|why| why, |()| "harmless".into()),
                }
            }
        };
        println!("{outcome}");
    }
    Ok(())
}

/// All that `shmq dump` and `shmq doctor` look at; whether they find nothing wrong.
fn look(pool: &Pool) -> Result<bool, String> {
    let it = pool.inspect().map_err(said)?;
    let pending = it.pending();
    if pending.blocks.len() as u64 > 2 * pool.blocks() {
        return Err(format!("{} blocks pending of {}", pending.blocks.len(), pool.blocks()));
    }
    for block in &pending.blocks {
        it.read_at(block, 0, &mut vec![0; block.len.min(100) as usize]);
    }
    Ok(!it.check().iter().any(|check| matches!(check.outcome, shmq::Outcome::Damaged { .. })))
}

fn refused(error: Error) -> String {
    match error {
        Error::Attach(inner) => variant(&inner),
        Error::Loan(inner) => variant(&inner),
        Error::TryLoan(inner) => variant(&inner),
        Error::Send(inner) => variant(&inner),
        Error::TryRecv(inner) => variant(&inner),
        other => variant(&other),
    }
}

/// Uses a pool to the full: each block, first byte to last, through both rings, for a few laps.
fn round(pool: &Pool) -> Result<(), String> {
    let (blocks, size) = (pool.blocks(), pool.block_size());
    let inspector = pool.inspect().map_err(|e| refused(e.into()))?;
    inspector.snapshot();
    let again = |e: Error| refused(e);
    let tx = pool.writer().map_err(|e| again(e.into()))?;
    let rx = pool.reader().map_err(|e| again(e.into()))?;
    // What is left of somebody else's doings is lawful, and goes back.
    while rx.try_read().map(Block::acknowledge).is_ok() {}
    let mut expected = tx.next_sequence();
    for _ in 0..4 {
        let mut loans = Vec::new();
        loop {
            match tx.try_loan() {
                Ok(loan) => loans.push(loan),
                Err(TryLoanError::NoneFree) => break,
                Err(other) => return Err(again(other.into())),
            }
        }
        if loans.is_empty() || loans.len() as u64 > blocks {
            return Err(format!("{} loans of {blocks} blocks", loans.len()));
        }
        let many = loans.len();
        for mut loan in loans {
            loan.write_at(0, &[1]).map_err(said)?;
            loan.write_at(size - 1, &[2]).map_err(said)?;
            loan.send(size).map_err(|e| again(e.into()))?;
        }
        for _ in 0..many {
            let block = rx.try_read().map_err(|e| again(e.into()))?;
            let mut byte = [0];
            block.read_into(size - 1, &mut byte).map_err(said)?;
            if block.sequence() != expected || block.len() != size || size > 1 && byte != [2] {
                return Err(format!("number {} is wrong", block.sequence()));
            }
            block.acknowledge();
            expected += 1;
        }
    }
    tx.finish().map_err(|e| again(e.into()))?;
    match rx.try_read().map(|block| block.sequence()) {
        Err(TryRecvError::Finished) => Ok(()),
        other => Err(format!("after the end: {other:?}")),
    }
}
