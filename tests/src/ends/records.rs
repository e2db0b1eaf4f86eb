//! What one end of a queue of records does.

use super::{Done, Op, Problem, SHORT, message, note, sent, took};
use shmq::{Consumer, Kind, Producer};
use std::io::IoSlice;

pub fn send(tx: &mut Producer, op: &Op) -> Result<Done, Problem> {
    let next = tx.next_sequence();
    let bytes = |i: usize, len: usize| message(Kind::Records, next.wrapping_add(i as u64), len);
    let many = |lens: &[usize]| lens.iter().enumerate().map(|(i, &len)| bytes(i, len)).collect::<Vec<_>>();
    Ok(match op {
        Op::Send(len) => sent(&[*len], tx.try_send(&bytes(0, *len))?),
        Op::SendWaiting(len) => sent(&[*len], tx.send(&bytes(0, *len), SHORT)?),
        Op::Slices(len) => {
            let bytes = bytes(0, *len);
            let (head, rest) = bytes.split_at(len / 3);
            let (body, tail) = rest.split_at(len / 4);
            sent(&[*len], tx.try_send_slices(&[head, body, tail].map(IoSlice::new))?)
        }
        Op::Several(lens) => {
            many(lens).iter().try_for_each(|message| tx.try_send(message).map(drop))?;
            sent(lens, next)
        }
        Op::Batch(lens) => sent(lens, tx.try_send_batch(&many(lens))?.start),
        Op::Mark(len) => sent(&[*len], tx.try_send_marked(&bytes(0, *len), note(next + 1))?),
        Op::MarkBatch(lens) => {
            let note = note(next + lens.len() as u64);
            sent(lens, tx.try_send_batch_marked(&many(lens), note)?.start)
        }
        Op::MarkClaim(len) => {
            let mut claim = tx.try_claim(*len)?;
            claim.write_at(0, &bytes(0, *len))?;
            sent(&[*len], claim.commit_marked(note(next + 1)))
        }
        Op::Origin(number) => {
            tx.set_origin(note(*number), *number);
            Done::default()
        }
        Op::Pushes(lens) | Op::MarkPushes(lens) | Op::AbortBatch(lens) => {
            let messages = many(lens);
            let mut batch = tx.try_batch()?;
            for message in &messages {
                batch.push(message)?;
            }
            match op {
                Op::Pushes(_) => sent(lens, batch.commit().start),
                Op::MarkPushes(_) => sent(lens, batch.commit_marked(note(next + lens.len() as u64)).start),
                _ => Done::default(),
            }
        }
        Op::Claim(len) | Op::Part(len, _) | Op::Abort(len) => {
            let bytes = bytes(0, *len);
            let mut claim = tx.try_claim(*len)?;
            let cut = len / 2;
            claim.write_at(0, &bytes[..cut])?;
            claim.write_at(cut, &bytes[cut..])?;
            match op {
                Op::Claim(_) => sent(&[*len], claim.commit()),
                Op::Part(_, less) => sent(&[*less], claim.commit_part(*less)?),
                _ => {
                    claim.abort();
                    Done::default()
                }
            }
        }
        other => return Err(Problem::Wrong(format!("{other:?} by a producer"))),
    })
}

/// Bytes of what is taken as a value.
const VALUE: usize = 24;

pub fn receive(rx: &mut Consumer, op: &Op) -> Result<Done, Problem> {
    let mut messages = Vec::new();
    match op {
        // Values, where that is what came; they have a way of their own.
        Op::Recv if rx.try_read().is_ok_and(|message| message.len() == VALUE) => {
            let sequence = rx.next_sequence();
            messages.push((sequence, rx.try_recv_value::<[u8; VALUE]>()?.to_vec()));
        }
        Op::Recv => {
            let mut buffer = vec![0; rx.limits().max_message as usize];
            let got = rx.try_recv_into(&mut buffer)?;
            buffer.truncate(got.len);
            messages.push((got.sequence, buffer));
        }
        Op::RecvWaiting => {
            let sequence = rx.next_sequence();
            messages.push((sequence, rx.recv(SHORT)?));
        }
        Op::Drain(most) => {
            rx.try_drain(*most, |view| messages.push((view.sequence(), view.to_vec())))?;
        }
        Op::Guard | Op::Keep => {
            let message = rx.try_read()?;
            let mut bytes = vec![0; message.len()];
            let cut = bytes.len() / 3;
            message.read_into(cut, &mut bytes[cut..])?;
            message.read_into(0, &mut bytes[..cut])?;
            if *op == Op::Guard {
                messages.push((message.sequence(), bytes));
                message.acknowledge();
            }
        }
        Op::Run(most) | Op::Look(most) => {
            let mut run = rx.try_run(*most)?;
            while let Some(view) = run.next() {
                messages.push((view.sequence(), view.to_vec()));
            }
            if *op == Op::Run(*most) {
                run.acknowledge();
            } else {
                messages.clear();
            }
        }
        other => return Err(Problem::Wrong(format!("{other:?} by a consumer"))),
    }
    Ok(took(messages))
}
