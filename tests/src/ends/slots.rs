//! The same for fixed-size messages.

use super::{Done, Op, Problem, SHORT, sent, took};
use crate::process::{SlotMessage, slot_content};
use shmq::Trusted;
use shmq::slots::{Consumer, Producer};

const SIZE: usize = size_of::<SlotMessage>();

fn many(next: u64, lens: &[usize]) -> Vec<SlotMessage> {
    (0..lens.len() as u64).map(|i| slot_content(next.wrapping_add(i))).collect()
}

pub fn send<T>(tx: &mut Producer<SlotMessage, T>, op: &Op) -> Result<Done, Problem> {
    let next = tx.next_sequence();
    Ok(match op {
        Op::Send(_) | Op::Claim(_) | Op::Part(..) => sent(&[SIZE], tx.try_send(&slot_content(next))?),
        Op::SendWaiting(_) => sent(&[SIZE], tx.send(&slot_content(next), SHORT)?),
        Op::Slices(_) => match tx.try_send_slice(&[slot_content(next)])? {
            0 => return Err(Problem::Nothing),
            _ => sent(&[SIZE], next),
        },
        Op::Batch(lens) => sent(&vec![SIZE; lens.len()], tx.try_send_batch(&many(next, lens))?.start),
        Op::Pushes(lens) => match tx.try_send_slice(&many(next, lens))? {
            0 if !lens.is_empty() => return Err(Problem::Nothing),
            n => sent(&vec![SIZE; n], next),
        },
        Op::Abort(_) | Op::AbortBatch(_) => Done::default(),
        other => return Err(Problem::Wrong(format!("{other:?} by a producer"))),
    })
}

pub fn send_in_place(tx: &mut Producer<SlotMessage, Trusted>, op: &Op) -> Result<Done, Problem> {
    let next = tx.next_sequence();
    match op {
        Op::Claim(_) | Op::Part(..) => {
            let mut claim = tx.try_claim()?;
            *claim = slot_content(next);
            Ok(sent(&[SIZE], claim.commit()))
        }
        // A claim of slots that is forgotten is one that is given up.
        Op::Abort(_) => {
            let mut claim = tx.try_claim()?;
            *claim = slot_content(next);
            claim.abort();
            Ok(Done::default())
        }
        op => send(tx, op),
    }
}

fn bytes(message: &SlotMessage) -> Vec<u8> {
    message.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub fn receive<T>(rx: &mut Consumer<SlotMessage, T>, op: &Op) -> Result<Done, Problem> {
    let next = rx.next_sequence();
    let number = |(i, message): (usize, &SlotMessage)| (next.wrapping_add(i as u64), bytes(message));
    Ok(match op {
        Op::Recv | Op::Guard => took(vec![(next, bytes(&rx.try_recv()?))]),
        Op::RecvWaiting => took(vec![(next, bytes(&rx.recv(SHORT)?))]),
        Op::Keep => {
            rx.try_peek()?;
            Done::default()
        }
        Op::Drain(most) => {
            let mut messages = vec![SlotMessage::default(); *most];
            let got = rx.try_recv_slice(&mut messages)?;
            took(messages[..got].iter().enumerate().map(number).collect())
        }
        Op::Run(most) | Op::Look(most) => {
            let mut run = rx.try_run(*most)?;
            let messages: Vec<SlotMessage> = std::iter::from_fn(|| run.next()).collect();
            if *op == Op::Look(*most) {
                return Ok(Done::default());
            }
            run.acknowledge();
            took(messages.iter().enumerate().map(number).collect())
        }
        other => return Err(Problem::Wrong(format!("{other:?} by a consumer"))),
    })
}

pub fn receive_in_place(rx: &mut Consumer<SlotMessage, Trusted>, op: &Op) -> Result<Done, Problem> {
    match op {
        Op::Guard | Op::Keep => {
            let message = rx.try_read()?;
            let seen = (message.sequence(), bytes(&message));
            if *op == Op::Keep {
                return Ok(Done::default());
            }
            message.acknowledge();
            Ok(took(vec![seen]))
        }
        op => receive(rx, op),
    }
}
