//! Ends that hold the ring's own code on a mapping, so that they can die, or be wrong, at one exact store.

use crate::{Outcome, said};
use shmq_core::{Fault, Faulty, RecordRx, RecordTx, Window, layout};
use shmq_tests::process::{Rigged, content, map_queue};
use std::path::Path;

fn fault(name: &str) -> Fault {
    match name {
        "publish-first" => Fault::PublishFirst,
        "forget-read" => Fault::Drop("READ"),
        "forget-next-word" => Fault::Drop("NEXT_WORD"),
        "forget-give-back" => Fault::Drop("GIVE_BACK"),
        "forget-mark" => Fault::Drop("NOTE"),
        "forget-note" => Fault::Drop("NOTE_WORD"),
        _ => Fault::None,
    }
}

/// A ring end's memory: real, mortal, and wrong if told so.
pub fn window(name: &str, wrong: &str) -> (Rigged, Window<Faulty<Rigged>>, shmq_core::Geometry) {
    let (map, geometry) = map_queue(Path::new(name));
    let rigged = Rigged::new(map);
    let faulty = Faulty::new(rigged.clone(), fault(wrong));
    let window = Window::new(faulty, geometry.parts).expect("a checked geometry");
    (rigged, window, geometry)
}

/// Sends message number `next_sequence` and dies before the store after the next `life`, if there are so many.
pub fn send(name: &str, wrong: &str, life: u64) -> Outcome {
    let (rigged, window, geometry) = window(name, wrong);
    let limits = geometry.limits;
    let mut tx =
        RecordTx::attach(window, limits.max_message, limits.max_messages).map_err(|c| c.to_string())?;
    let mut message = Vec::new();
    content(tx.sequence(), limits.max_message as usize, &mut message);
    rigged.die_after(life);
    tx.try_send(&message).map_err(|r| format!("{r:?}"))?;
    Ok(())
}

/// Takes all there is, one by one, and says so, and dies before the store after the next `life`, if there are so many.
pub fn receive(name: &str, wrong: &str, life: u64) -> Outcome {
    let (rigged, window, geometry) = window(name, wrong);
    let mut rx = RecordRx::attach(window, geometry.limits.max_message, geometry.limits.max_messages)
        .map_err(|c| c.to_string())?;
    rigged.die_after(life);
    let mut expected = Vec::new();
    while let shmq_core::Poll::Message(record) = rx.poll() {
        let mut message = vec![0; record.len as usize];
        rx.copy_out(&record, &mut message);
        content(record.sequence, geometry.limits.max_message as usize, &mut expected);
        if message != expected {
            return Err(format!("message {} is torn", record.sequence));
        }
        rx.acknowledge(&record);
        println!("{}", record.sequence);
    }
    Ok(())
}

/// Holds the producer's role, commits messages without looking for a sleeper, and dies: killed between commit and wake.
pub fn commit_and_die(name: &str, messages: u64) -> Outcome {
    let _role = shmq::Producer::open(name).map_err(said)?;
    let (map, geometry) = map_queue(Path::new(name));
    let rigged = Rigged::new(map);
    let limits = geometry.limits;
    let mut tx = RecordTx::attach(rigged.window(&geometry), limits.max_message, limits.max_messages)
        .map_err(|c| c.to_string())?;
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).map_err(said)?;
    for i in 0..messages {
        tx.try_send(&i.to_le_bytes()).map_err(|r| format!("{r:?}"))?;
    }
    rigged.die_after(0);
    tx.window().store(layout::SEQUENCE, 0, shmq_core::at::SEQUENCE);
    Err("still alive".into())
}
