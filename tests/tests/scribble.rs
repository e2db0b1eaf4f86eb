//! P5: a real process that scribbles over the whole file while the other end works: errors, never a crash or a hang.
//!
//! Both shapes; a sender, a receiver, and somebody who takes over either end in a loop; each with every operation there
//! is. Ten seconds for each, all at once; `SHMQ_SCRIBBLE_SECONDS=60` makes it longer. Run with `--nocapture` for the numbers.

use shmq::{Corruption, Options, Queue, TrySendError, slots};
use shmq_core::{Memory, at, layout};
use shmq_tests::process::{Child, Scratch, SlotMessage, map_queue};
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

fn seconds() -> u64 {
    std::env::var("SHMQ_SCRIBBLE_SECONDS").map_or(10, |text| text.parse().expect("a number of seconds"))
}

/// What the one that works says at its end.
#[derive(Debug)]
struct Ordeal {
    attached: u64,
    corrupt: u64,
    sent: u64,
    took: u64,
}

fn run(kind: &str, role: &str, mode: &str, seconds: u64) -> Ordeal {
    let scratch = Scratch::new("scribble");
    match kind {
        "slots" => drop(slots::Queue::<SlotMessage>::create(scratch.path(), 16, &Options::new()).unwrap()),
        _ => drop(Queue::create(scratch.path(), &Options::new().capacity(4096)).unwrap()),
    }
    let pen = Child::spawn(HELPER, &["scribble", kind, scratch.name(), role, "7", mode]);
    pen.expect("ready");
    let millis = (1000 * seconds).to_string();
    let victim = Child::spawn(HELPER, &["suffer", kind, scratch.name(), role, "11", &millis]);
    let begin = Instant::now();
    let line = loop {
        match victim.heard() {
            Ok(line) => break line,
            Err(TryRecvError::Disconnected) => panic!("{kind}, {role}: the process that worked crashed"),
            Err(TryRecvError::Empty) => {}
        }
        assert!(begin.elapsed().as_secs() < seconds + 90, "{kind}, {role}: the process that worked hangs");
        if !matches!(pen.heard(), Err(TryRecvError::Empty)) {
            panic!("{kind}, {role}: the process that scribbled crashed");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let numbers: Vec<u64> = line.split(' ').map_while(|n| n.parse().ok()).collect();
    let [calls, attached, refused, corrupt, sent, took, slowest] = numbers[..] else {
        panic!("{kind}, {role}: {line}")
    };
    victim.succeed();
    eprintln!(
        "{kind}, {role}, {mode}: {calls} calls, {attached} times attached and {refused} not, {corrupt} times corrupt, {sent} \
         sent, {took} taken, slowest call {slowest} us"
    );
    Ordeal { attached, corrupt, sent, took }
}

/// The handle has seen damage, and had something to do before.
fn survive(kind: &str, role: &str) {
    let ordeal = run(kind, role, "scribble", seconds());
    let worked = ordeal.sent + ordeal.took;
    assert!(ordeal.corrupt > 50 && ordeal.attached > 50 && worked > 100, "hardly an ordeal: {ordeal:?}");
}

macro_rules! ordeals {
    ($($name:ident: $kind:literal, $role:literal;)*) => { $(#[test] fn $name() { survive($kind, $role); })* };
}

ordeals! {
    p5_a_sender_of_records_survives_a_scribbling_process: "records", "producer";
    p5_a_receiver_of_records_survives_a_scribbling_process: "records", "consumer";
    p5_takeovers_of_records_survive_a_scribbling_process: "records", "either";
    p5_a_sender_of_slots_survives_a_scribbling_process: "slots", "producer";
    p5_a_receiver_of_slots_survives_a_scribbling_process: "slots", "consumer";
    p5_takeovers_of_slots_survive_a_scribbling_process: "slots", "either";
}

#[test]
fn null_control_without_scribbling_nothing_is_corrupt() {
    for kind in ["records", "slots"] {
        for role in ["producer", "consumer"] {
            let ordeal = run(kind, role, "fair", 1);
            assert!(ordeal.corrupt == 0 && ordeal.sent + ordeal.took > 100, "{kind}, {role}: {ordeal:?}");
        }
    }
}

#[test]
fn p5_what_a_look_at_the_room_finds_stays_found() {
    let scratch = Scratch::new("sticky");
    let queue = slots::Queue::<SlotMessage>::create(scratch.path(), 16, &Options::new()).unwrap();
    let mut tx = queue.producer().unwrap();
    // In the middle of a group, where single messages do not look.
    tx.try_send(&[0; 2]).unwrap();
    let (map, geometry) = map_queue(scratch.path());
    let read = geometry.parts.consumer + layout::READ.offset();
    // SAFETY: a word of a page.
    unsafe { map.store(read, 5, at::READ) };
    assert_eq!(tx.room(), 0);
    let corrupt = TrySendError::Corrupt { what: Corruption::Position };
    assert_eq!(tx.try_send(&[0; 2]), Err(corrupt));
    assert_eq!(tx.try_send_slice(&[[0; 2]; 3]), Err(corrupt));
    assert_eq!(tx.try_send_batch(&[[0; 2]; 3]), Err(corrupt));
}
