//! What the public calls do with the ring, over any memory.

use super::{TxOp, content, marked, note};
use shmq_core::{Draft, Memory, RecordTx, Refused, word};

impl TxOp {
    /// Words of all the records it may write, and one more each.
    pub fn words(&self, max_message: u64) -> u64 {
        let lens = match self {
            Self::Send(len)
            | Self::Mark(len)
            | Self::Slices(len, _)
            | Self::Part(len, _)
            | Self::Abort(len) => std::slice::from_ref(len),
            Self::Batch(lens) | Self::MarkBatch(lens) | Self::Pushes(lens) | Self::AbortBatch(lens) => lens,
            Self::Finish => &[],
        };
        lens.iter().filter(|&&len| len <= max_message).map(|&len| word::size(len) / 8 + 1).sum()
    }
}

/// Does it as the public calls do. Returns the lengths it was about, and the first sequence number if it sent.
pub fn perform<M: Memory>(tx: &mut RecordTx<M>, op: &TxOp) -> (Vec<u64>, Result<Option<u64>, Refused>) {
    match op {
        TxOp::Send(len) => (vec![*len], tx.try_send(&content(tx.sequence(), *len)).map(Some)),
        TxOp::Mark(len) => {
            let note = note(tx.sequence().wrapping_add(1));
            (marked(vec![*len]), tx.try_send_marked(&content(tx.sequence(), *len), &note).map(Some))
        }
        TxOp::MarkBatch(lens) => (marked(lens.clone()), batch(tx, lens, true)),
        TxOp::Slices(len, cut) => (vec![*len], slices(tx, *len, *cut).map(Some)),
        TxOp::Batch(lens) => (lens.clone(), batch(tx, lens, false)),
        TxOp::Pushes(lens) => pushes(tx, lens),
        TxOp::Part(claimed, len) => match part(tx, *claimed, *len.min(claimed)) {
            Ok(first) => (vec![*len.min(claimed)], Ok(Some(first))),
            Err(refused) => (vec![*claimed], Err(refused)),
        },
        TxOp::Abort(len) => (vec![*len], fill(tx, &[*len]).map(|_| None)),
        TxOp::AbortBatch(lens) => (lens.clone(), fill(tx, lens).map(|_| None)),
        TxOp::Finish => (Vec::new(), tx.finish().map(|()| Some(tx.sequence()))),
    }
}

fn slices<M: Memory>(tx: &mut RecordTx<M>, len: u64, cut: u64) -> Result<u64, Refused> {
    let bytes = content(tx.sequence(), len);
    let mut draft = tx.begin()?;
    let place = tx.reserve(&mut draft, len)?;
    let mut at = 0;
    for piece in bytes.chunks(cut.max(1) as usize) {
        tx.patch(&place, at, piece);
        at += piece.len() as u64;
    }
    tx.seal(&mut draft, &place, len);
    Ok(tx.publish(draft))
}

fn batch<M: Memory>(tx: &mut RecordTx<M>, lens: &[u64], mark: bool) -> Result<Option<u64>, Refused> {
    tx.begin()?;
    if lens.is_empty() {
        return Ok(None);
    }
    let plan = tx.plan(lens.iter().copied())?;
    tx.try_room(&plan)?;
    let draft = fill(tx, lens)?;
    let note = note(tx.sequence().wrapping_add(lens.len() as u64));
    Ok(Some(if mark { tx.publish_marked(draft, &note) } else { tx.publish(draft) }))
}

/// A draft with all of these messages.
fn fill<M: Memory>(tx: &mut RecordTx<M>, lens: &[u64]) -> Result<Draft, Refused> {
    let mut draft = tx.begin()?;
    for &len in lens {
        push(tx, &mut draft, len)?;
    }
    Ok(draft)
}

fn push<M: Memory>(tx: &mut RecordTx<M>, draft: &mut Draft, len: u64) -> Result<(), Refused> {
    let sequence = tx.sequence().wrapping_add(draft.messages(tx.sequence()));
    let place = tx.reserve(draft, len)?;
    tx.fill(&place, &content(sequence, len));
    tx.seal(draft, &place, len);
    Ok(())
}

fn pushes<M: Memory>(tx: &mut RecordTx<M>, lens: &[u64]) -> (Vec<u64>, Result<Option<u64>, Refused>) {
    let mut draft = match tx.begin() {
        Ok(draft) => draft,
        Err(refused) => return (Vec::new(), Err(refused)),
    };
    let fit = lens.iter().copied().filter(|&len| push(tx, &mut draft, len).is_ok()).collect::<Vec<_>>();
    if fit.is_empty() {
        return (fit, Ok(None));
    }
    let first = tx.publish(draft);
    (fit, Ok(Some(first)))
}

fn part<M: Memory>(tx: &mut RecordTx<M>, claimed: u64, len: u64) -> Result<u64, Refused> {
    let bytes = content(tx.sequence(), claimed);
    let mut draft = tx.begin()?;
    let place = tx.reserve(&mut draft, claimed)?;
    tx.fill(&place, &bytes);
    tx.seal(&mut draft, &place, len);
    Ok(tx.publish(draft))
}
