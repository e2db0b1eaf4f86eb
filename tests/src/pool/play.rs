//! Random plays: what bytes say, with deaths in the middle of operations and of takeovers, against the specification.

use super::explore::{agrees, without};
use super::rig::Rig;
use super::{Op, View};
use crate::fuzz_bodies::Bytes;
use crate::model::{Bug, Verdict};
use shmq::Role;

fn op(bytes: &mut Bytes<'_>, blocks: u64) -> Op {
    let rank = bytes.below(blocks) as usize;
    match bytes.below(16) {
        0..=3 => Op::Loan,
        4..=6 => Op::Send(rank),
        7 => Op::Abort(rank),
        8..=11 => Op::Take,
        12 if bytes.byte() > 0xf8 => Op::Finish,
        15 => Op::Leave(rank),
        _ => Op::Return(rank),
    }
}

/// Plays what the bytes say.
///
/// # Errors
/// The first violation.
pub fn play(data: &[u8], bug: Bug) -> Verdict {
    let mut bytes = Bytes::new(data);
    let blocks = 1 + bytes.below(6);
    let rig = Rig::new(blocks, 1 + bytes.below(8), bug, None);
    let mut live = rig.vacant();
    for _ in 0..500 {
        if !bytes.more() {
            break;
        }
        let op = op(&mut bytes, blocks);
        let role = op.role();
        let lives = match role {
            Role::Producer => live.tx.is_some(),
            Role::Consumer => live.rx.is_some(),
        };
        let failed = |problem| format!("{op:?}: {problem}");
        let before = rig.save();
        let mut after = live.clone();
        rig.take_log();
        if lives {
            rig.act(&mut after, op).map_err(failed)?;
        } else {
            rig.attach(&mut after, role).map_err(failed)?;
        }
        if bytes.below(4) != 0 {
            live = after;
            rig.inspect(&live).map_err(failed)?;
            continue;
        }
        // It dies in the middle.
        let log = rig.take_log();
        let cut = bytes.byte() as usize % (log.len() + 1);
        let mut image = before;
        for &(at, value) in &log[..cut] {
            image[rig.index_of(at)?] = value;
        }
        rig.restore(&image);
        let view = rig.view().map_err(failed)?;
        let dead = [without(&live, role), without(&after, role)];
        let same = dead.into_iter().find(|live| agrees(&view, &live.spec));
        live = same.ok_or_else(|| failed(format!("dead after {cut} stores, successors find {view:?}")))?;
    }
    close(&rig, live)
}

/// Both ends succeeded, everything taken and given back: every block is there to be lent.
fn close(rig: &Rig, mut live: super::Live) -> Verdict {
    for role in [Role::Producer, Role::Consumer] {
        let vacant = match role {
            Role::Producer => live.tx.is_none(),
            Role::Consumer => live.rx.is_none(),
        };
        if vacant {
            rig.attach(&mut live, role)?;
        }
    }
    let blocks = rig.layout.blocks as usize;
    for op in
        [Op::Take, Op::Return(0), Op::Abort(0)].into_iter().flat_map(|op| std::iter::repeat_n(op, blocks))
    {
        rig.act(&mut live, op)?;
    }
    if !live.spec.finished {
        for _ in 0..blocks {
            rig.act(&mut live, Op::Loan)?;
        }
        let lent = live.spec.lent.len();
        if lent != blocks {
            return Err(format!("{lent} of {blocks} blocks are left: {:?}", View::from(&live.spec)));
        }
    }
    Ok(())
}
