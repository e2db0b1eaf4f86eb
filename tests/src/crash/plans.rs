//! Searches that several tests share.

use super::{Cut, Plan, Tally, explore};
use crate::model::{Bug, RxOp, Shape, SlotRig, SlotRxOp, SlotTxOp, TxOp, Verdict};

/// Every kind of operation on a ring of records, with messages of these lengths and the largest.
pub fn records(shape: Shape, lens: &[u64]) -> Plan {
    let largest = shape.max_message;
    let mut tx = vec![
        TxOp::Finish,
        TxOp::Abort(largest),
        TxOp::Part(largest, 0),
        TxOp::Batch(vec![0, largest]),
        TxOp::AbortBatch(vec![largest, 0]),
        TxOp::Send(largest),
        TxOp::Send(largest + 1),
        TxOp::Pushes(vec![]),
    ];
    tx.extend(lens.iter().map(|&len| TxOp::Send(len)));
    let rx = vec![RxOp::Recv, RxOp::Keep, RxOp::Drain(usize::MAX, u64::MAX), RxOp::Look(2)];
    Plan { shape, tx, rx, limit: 2_000_000, overlap: true, cut: Cut::Program, bug: Bug::None }
}

/// Messages with marks and without, on a ring of records.
pub fn marks(shape: Shape) -> Plan {
    let tx = vec![
        TxOp::Mark(0),
        TxOp::MarkBatch(vec![0, 8]),
        TxOp::MarkBatch(vec![]),
        TxOp::Send(0),
        TxOp::Batch(vec![0, 0]),
        TxOp::Finish,
    ];
    Plan { tx, rx: vec![RxOp::Recv, RxOp::Keep, RxOp::Drain(usize::MAX, u64::MAX)], ..records(shape, &[]) }
}

/// The same on a ring of slots.
pub fn slot_marks(depth: u64, group: u64) -> Plan<SlotRig> {
    let mut tx = vec![SlotTxOp::Mark, SlotTxOp::Send, SlotTxOp::Forget(depth), SlotTxOp::Finish];
    tx.extend((0..=depth).map(SlotTxOp::MarkBatch));
    let rx = vec![SlotRxOp::Recv, SlotRxOp::Keep, SlotRxOp::Run(usize::MAX)];
    Plan { tx, rx, ..slots(depth, group) }
}

/// Every kind of operation on a ring of slots.
pub fn slots(depth: u64, group: u64) -> Plan<SlotRig> {
    let mut tx = vec![SlotTxOp::Finish, SlotTxOp::Send, SlotTxOp::Abort];
    for n in 1..=depth + 1 {
        tx.push(SlotTxOp::Batch(n));
        tx.push(SlotTxOp::Forget(n));
    }
    tx.push(SlotTxOp::Slice(depth));
    let rx = vec![SlotRxOp::Recv, SlotRxOp::Keep, SlotRxOp::Run(usize::MAX), SlotRxOp::Look(2)];
    Plan { shape: (depth, group), tx, rx, limit: 2_000_000, overlap: true, cut: Cut::Program, bug: Bug::None }
}

/// A search over every order that a compiler may make of the stores.
#[derive(Debug)]
pub struct Orders {
    /// Which it is.
    pub name: &'static str,
    /// Runs it, with a bug planted.
    pub search: fn(Bug) -> Verdict<Tally>,
    /// The sites that keep stores apart which must not change places: each alone, weakened, is noticed. It notices no other
    /// compiler fence, not even if all of them are gone.
    pub needs: &'static [&'static str],
}

/// Small ones that between them do everything that stores.
pub const ORDERS: [Orders; 4] = [
    Orders {
        name: "records, 32 bytes",
        search: |bug| {
            let tx = vec![
                TxOp::Finish,
                TxOp::Abort(0),
                TxOp::Batch(vec![0, 0]),
                TxOp::AbortBatch(vec![0, 0]),
                TxOp::Send(0),
            ];
            orders_of_records(Shape::new(32), tx, vec![RxOp::Recv, RxOp::Drain(2, 99)], bug)
        },
        needs: &RECORDS,
    },
    Orders {
        name: "records, 64 bytes, two at most",
        search: |bug| {
            let tx = vec![
                TxOp::Finish,
                TxOp::Batch(vec![0, 8]),
                TxOp::AbortBatch(vec![8, 0]),
                TxOp::Part(16, 0),
                TxOp::Send(8),
            ];
            orders_of_records(Shape::new(64).depth(2), tx, vec![RxOp::Recv, RxOp::Drain(2, 99)], bug)
        },
        // What makes the last one needed takes a ring that two messages fill.
        needs: RECORDS.split_at(RECORDS.len() - 1).0,
    },
    Orders {
        name: "marks of slots, depth 2, groups of 2",
        search: |bug| {
            let (tx, rx) = (vec![SlotTxOp::Send, SlotTxOp::Mark], vec![SlotRxOp::Run(2)]);
            explore(&Plan { tx, rx, cut: Cut::Compiler, overlap: false, bug, ..slots(2, 2) })
        },
        needs: &["COMMIT", "NOTE_OPEN", "NOTE_FENCE"],
    },
    Orders {
        name: "slots, depth 3, groups of 1",
        search: |bug| {
            let tx = vec![SlotTxOp::Send, SlotTxOp::Batch(2), SlotTxOp::Forget(3)];
            let rx = vec![SlotRxOp::Run(2)];
            explore(&Plan { tx, rx, cut: Cut::Compiler, overlap: false, bug, ..slots(3, 1) })
        },
        needs: &["DIRTY_LOG", "COMMIT", "SEQUENCE", "UNDO_LOG"],
    },
];

const RECORDS: [&str; 8] =
    ["COMMIT", "SEQUENCE", "TAIL", "READ", "FREED", "GIVE_BACK", "RECOVER_TAIL", "ROOM_FENCE"];

fn orders_of_records(shape: Shape, tx: Vec<TxOp>, rx: Vec<RxOp>, bug: Bug) -> Verdict<Tally> {
    explore(&Plan { tx, rx, cut: Cut::Compiler, overlap: false, bug, ..records(shape, &[]) })
}
