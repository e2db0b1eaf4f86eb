//! The same for fixed-size messages.

use super::{Done, Op, Problem, SHORT, note, sent, took};
use crate::process::{SlotMessage, slot_content};
use shmq::slots::{Consumer, Producer};

const SIZE: usize = size_of::<SlotMessage>();

fn many(next: u64, lens: &[usize]) -> Vec<SlotMessage> {
    (0..lens.len() as u64).map(|i| slot_content(next.wrapping_add(i))).collect()
}

pub fn send(tx: &mut Producer<SlotMessage>, op: &Op) -> Result<Done, Problem> {
    let next = tx.next_sequence();
    Ok(match op {
        Op::Send(_) => sent(&[SIZE], tx.try_send(&slot_content(next))?),
        Op::Claim(_) | Op::Part(..) | Op::Abort(_) => {
            let mut claim = tx.try_claim()?;
            match claim.as_mut() {
                Some(place) => *place = slot_content(next),
                None => claim.write(&slot_content(next)),
            }
            if matches!(op, Op::Abort(_)) {
                claim.abort();
                return Ok(Done::default());
            }
            sent(&[SIZE], claim.commit())
        }
        Op::SendWaiting(_) => sent(&[SIZE], tx.send(&slot_content(next), SHORT)?),
        Op::Slices(_) => match tx.try_send_slice(&[slot_content(next)])? {
            0 => return Err(Problem::Nothing),
            _ => sent(&[SIZE], next),
        },
        Op::Several(lens) => match tx.try_send_slice(&many(next, lens))? {
            all if all == lens.len() => sent(&vec![SIZE; all], next),
            _ => return Err(Problem::Nothing),
        },
        Op::Batch(lens) => sent(&vec![SIZE; lens.len()], tx.try_send_batch(&many(next, lens))?.start),
        Op::Mark(_) => sent(&[SIZE], tx.try_send_marked(&slot_content(next), note(next + 1))?),
        Op::MarkBatch(lens) => {
            let note = note(next + lens.len() as u64);
            sent(&vec![SIZE; lens.len()], tx.try_send_batch_marked(&many(next, lens), note)?.start)
        }
        Op::MarkClaim(_) => {
            let mut claim = tx.try_claim()?;
            claim.write(&slot_content(next));
            sent(&[SIZE], claim.commit_marked(note(next + 1)))
        }
        Op::Origin(number) => {
            tx.set_origin(note(*number), *number);
            Done::default()
        }
        Op::Pushes(lens) | Op::MarkPushes(lens) | Op::AbortBatch(lens) => {
            let mut batch = tx.try_batch()?;
            for message in many(next, lens) {
                batch.push(&message)?;
            }
            match op {
                Op::Pushes(_) => sent(&vec![SIZE; lens.len()], batch.commit().start),
                Op::MarkPushes(_) => {
                    let note = note(next + lens.len() as u64);
                    sent(&vec![SIZE; lens.len()], batch.commit_marked(note).start)
                }
                _ => Done::default(),
            }
        }
        other => return Err(Problem::Wrong(format!("{other:?} by a producer"))),
    })
}

fn bytes(message: &SlotMessage) -> Vec<u8> {
    message.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub fn receive(rx: &mut Consumer<SlotMessage>, op: &Op) -> Result<Done, Problem> {
    let next = rx.next_sequence();
    let number = |(i, message): (usize, &SlotMessage)| (next.wrapping_add(i as u64), bytes(message));
    Ok(match op {
        Op::Recv => took(vec![(next, bytes(&rx.try_recv()?))]),
        Op::RecvWaiting => took(vec![(next, bytes(&rx.recv(SHORT)?))]),
        Op::Guard | Op::Keep => {
            let message = rx.try_read()?;
            let content = message.as_ref().copied().unwrap_or_else(|| message.get());
            let seen = (message.sequence(), bytes(&content));
            if *op == Op::Keep {
                return Ok(Done::default());
            }
            message.acknowledge();
            took(vec![seen])
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
