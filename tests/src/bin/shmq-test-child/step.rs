//! Goes through a script under its parent's tracer; see `shmq_tests::step`.

use crate::{Outcome, raw, said};
use shmq::{Kind, Waiting};
use shmq_core::{Poll, RecordRx, RecordTx, SlotPoll, SlotRx, SlotTx};
use shmq_tests::ends::{AnyQueue, Done, Ends, Op, Problem, message, note};
use shmq_tests::process::SlotMessage;
use shmq_tests::step::{Spec, Step, be_traced, mark, script};
use std::path::Path;

pub fn step(kind: &str, name: &str, script_name: &str, mode: &str) -> Outcome {
    let kind = if kind == "slots" { Kind::Slots } else { Kind::Records };
    // Whatever goes wrong, it ends.
    // SAFETY: a plain system call.
    unsafe { libc::alarm(600) };
    if mode != "public" {
        return planted(kind, name, script_name, mode);
    }
    let queue = AnyQueue::open(Path::new(name), kind).map_err(said)?;
    // SAFETY: nobody else is there.
    let mut ends = unsafe { Ends::new(queue, Waiting::low_power()).vouched() };
    be_traced().map_err(|e| format!("tracing is forbidden: {e}"))?;
    let mut spec = Spec::new(kind);
    mark();
    for step in script(script_name) {
        match &step {
            Step::Fill(len) => {
                let mut filled = 0;
                while ends.perform(&Op::Send(*len)).is_ok() {
                    spec = spec.sent(&[*len]);
                    filled += 1;
                }
                println!("{filled}");
                mark();
            }
            Step::Refuse(op) => {
                let outcome = ends.perform(op);
                mark();
                refused(outcome).map_err(|why| format!("{op:?}: {why}"))?;
            }
            Step::Do(op) => {
                let outcome = ends.perform(op);
                mark();
                let after = spec.during(op).pop().unwrap_or_else(|| spec.clone());
                let done = outcome.map_err(|problem| format!("{op:?}: {problem:?}"))?;
                spec.agrees(&after, &done).map_err(|why| format!("{op:?}: {why}"))?;
                spec = after;
            }
        }
    }
    Ok(())
}

fn refused(outcome: Result<Done, Problem>) -> Outcome {
    match outcome {
        Err(Problem::Nothing | Problem::Refused | Problem::Finished) => Ok(()),
        Err(Problem::Attach(shmq::AttachError::Finished { .. })) => Ok(()),
        other => Err(format!("{other:?} where nothing was to be done")),
    }
}

/// The rings' own code without a role, over a mapping with a planted fault.
fn planted(kind: Kind, name: &str, script_name: &str, mode: &str) -> Outcome {
    let (_, tx_window, geometry) = raw::window(name, mode);
    let (_, rx_window, _) = raw::window(name, mode);
    let limits = geometry.limits;
    let corrupt = |what: shmq::Corruption| what.to_string();
    let mut perform: Box<dyn FnMut(&Op) -> Outcome> = if kind == Kind::Slots {
        let shape = geometry.slot_layout().ok_or("no shape")?;
        let mut tx = SlotTx::attach(tx_window, shape).map_err(corrupt)?;
        let mut rx = SlotRx::attach(rx_window, shape).map_err(corrupt)?;
        Box::new(move |op| match op {
            Op::Send(len) => {
                let bytes = message(kind, tx.sequence(), *len);
                tx.try_send(&bytes).map(drop).map_err(|r| format!("{r:?}"))
            }
            Op::Mark(len) => {
                let (bytes, note) = (message(kind, tx.sequence(), *len), note(tx.sequence() + 1));
                tx.try_send_marked(&bytes, &note).map(drop).map_err(|r| format!("{r:?}"))
            }
            _ => {
                let SlotPoll::Messages(_) = rx.poll() else { return Err("nothing there".into()) };
                rx.copy_out(&mut [0; size_of::<SlotMessage>()]);
                rx.skip();
                rx.settle();
                Ok(())
            }
        })
    } else {
        let attach = (limits.max_message, limits.max_messages);
        let mut tx = RecordTx::attach(tx_window, attach.0, attach.1).map_err(corrupt)?;
        let mut rx = RecordRx::attach(rx_window, attach.0, attach.1).map_err(corrupt)?;
        Box::new(move |op| match op {
            Op::Send(len) => {
                let bytes = message(kind, tx.sequence(), *len);
                tx.try_send(&bytes).map(drop).map_err(|r| format!("{r:?}"))
            }
            Op::Mark(len) => {
                let (bytes, note) = (message(kind, tx.sequence(), *len), note(tx.sequence() + 1));
                tx.try_send_marked(&bytes, &note).map(drop).map_err(|r| format!("{r:?}"))
            }
            _ => {
                let Poll::Message(record) = rx.poll() else { return Err("nothing there".into()) };
                rx.copy_out(&record, &mut vec![0; record.len as usize]);
                rx.acknowledge(&record);
                Ok(())
            }
        })
    };
    be_traced().map_err(|e| format!("tracing is forbidden: {e}"))?;
    mark();
    for step in script(script_name) {
        if let Step::Do(op) = step {
            let outcome = perform(&op);
            mark();
            outcome.map_err(|why| format!("{op:?}: {why}"))?;
        }
    }
    Ok(())
}
