//! P1, P2, P4: whatever store an end dies after, its successor finds the ring in order.

use shmq_tests::crash::{Plan, Tally, explore};
use shmq_tests::model::{Bug, RxOp, Shape, TxOp};

fn plan(shape: Shape, lens: &[u64], limit: usize) -> Plan {
    let largest = shape.max_message;
    let mut tx = vec![TxOp::Finish, TxOp::Abort(largest), TxOp::Forget(largest), TxOp::Part(largest, 0)];
    for &len in lens {
        tx.push(TxOp::Send(len));
    }
    tx.push(TxOp::Batch(vec![0, largest]));
    tx.push(TxOp::ForgetBatch(vec![largest, 0]));
    let rx = vec![RxOp::Recv, RxOp::Keep, RxOp::Drain(usize::MAX, u64::MAX)];
    Plan { shape, tx, rx, limit, bug: Bug::None }
}

fn run(name: &str, plan: &Plan) -> Tally {
    let begin = std::time::Instant::now();
    let tally = explore(plan).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    println!("{name}: {tally:?} in {:?}", begin.elapsed());
    tally
}

#[test]
fn scratch() {
    run("16", &plan(Shape::new(16), &[0], 1_000_000));
    run("32", &plan(Shape::new(32), &[0], 3_000_000));
    run("64", &plan(Shape::new(64), &[0, 5, 16], 3_000_000));
}
