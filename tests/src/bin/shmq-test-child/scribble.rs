//! A process that writes nonsense over a whole queue file, and one that works on it all the while.

use crate::{Outcome, said};
use shmq::{Kind, Role, Waiting};
use shmq_core::layout::{self, Control, PAGE};
use shmq_core::{Geometry, Map, Memory, at, word};
use shmq_tests::ends::{AnyQueue, Ends, Op, Problem};
use shmq_tests::process::{Dice, map_queue};
use std::path::Path;
use std::time::{Duration, Instant};

/// A call that takes longer is one too many, however loaded the machine.
const LONGEST: Duration = Duration::from_secs(20);

fn kind(name: &str) -> Kind {
    if name == "slots" { Kind::Slots } else { Kind::Records }
}

/// Holds the other end of who works, uses it as it should be used, and in between writes whatever comes to mind.
/// `fair`, the control, only does the first.
pub fn scribble(kind_name: &str, name: &str, role: &str, seed: u64, mode: &str) -> Outcome {
    let (map, geometry) = map_queue(Path::new(name));
    let mut whole = vec![0; map.len()];
    // SAFETY: the whole mapping.
    unsafe { map.copy_out(0, &mut whole) };
    let queue = AnyQueue::open(Path::new(name), kind(kind_name)).map_err(said)?;
    let mut ends = Ends::new(queue, Waiting::low_power());
    let mut pen = Pen { dice: Dice(seed), map, geometry, whole };
    println!("ready");
    for round in 0u64.. {
        if mode != "fair" && round.is_multiple_of(4) {
            pen.heal();
            ends.tx = None;
            ends.rx = None;
        }
        let role = match role {
            "producer" => Some(Role::Consumer),
            "consumer" => Some(Role::Producer),
            _ => None,
        };
        if let Some(role) = role {
            let there = if role == Role::Producer { ends.tx.is_some() } else { ends.rx.is_some() };
            if !there {
                let _ = ends.perform(&Op::Attach(role));
            }
            for _ in 0..pen.dice.below(20) {
                let op = any_op(&mut pen.dice, role);
                let _ = ends.perform(&op);
            }
        }
        if mode != "fair" {
            for _ in 0..pen.dice.below(10) {
                pen.write();
            }
        }
        match pen.dice.below(4) {
            0 => std::thread::yield_now(),
            1 => std::thread::sleep(Duration::from_micros(pen.dice.below(300))),
            n => (0..n * 100).for_each(|_| std::hint::spin_loop()),
        }
    }
    Ok(())
}

struct Pen {
    dice: Dice,
    map: Map,
    geometry: Geometry,
    /// The file as it was new.
    whole: Vec<u8>,
}

impl Pen {
    /// The file as it was new: so that there is something left to break.
    fn heal(&self) {
        // SAFETY: the whole mapping.
        unsafe { self.map.copy_in(0, &self.whole) };
    }

    fn load(&self, control: Control, role: Role) -> u64 {
        // SAFETY: a word of a page.
        unsafe { self.map.load(self.geometry.parts.page(role) + control.offset(), at::OBSERVE) }
    }

    fn store(&self, place: usize, value: u64) {
        let place = place.min(self.map.len() - 8) & !7;
        // SAFETY: aligned and inside.
        unsafe { self.map.store(place, value, at::READ) };
    }

    fn write(&mut self) {
        let parts = self.geometry.parts;
        let mask = parts.capacity - 1;
        let near = |position: u64| parts.ring + (position & mask) as usize;
        let (tail, read) = (self.load(layout::TAIL, Role::Producer), self.load(layout::READ, Role::Consumer));
        let value = self.value(tail, read);
        let one = self.dice.next() as usize;
        match self.dice.below(16) {
            0..=2 => {
                let control = [layout::TAIL, layout::SEQUENCE, layout::DIRTY][one % 3];
                self.store(parts.producer + control.offset(), value);
            }
            3..=6 => {
                let control = [layout::READ, layout::RECEIVED, layout::FREE, layout::FREED][one % 4];
                self.store(parts.consumer + control.offset(), value);
            }
            // Bell, ticket, epoch, mark of leaving, boot, counters.
            7 => self.store([parts.producer, parts.consumer][one % 2] + 0x100 + one / 2 % 0x200, value),
            8..=10 => self.store(near([tail, read][one % 2]), value),
            11..=12 => self.store(parts.ring + one % parts.capacity as usize, value),
            13 => {
                // One bit, anywhere behind the geometry.
                let place = PAGE + ((one % (self.map.len() - PAGE)) & !7);
                // SAFETY: aligned and inside.
                let old = unsafe { self.map.load(place, at::OBSERVE) };
                self.store(place, old ^ 1 << (one >> 40 & 63));
            }
            14 => self.store(one % self.map.len(), value),
            _ => {
                let bytes: Vec<u8> = (0..one % 75).flat_map(|_| self.dice.next().to_le_bytes()).collect();
                let room = self.map.len() - PAGE - bytes.len();
                let place = PAGE + ((self.dice.next() as usize % room) & !7);
                // SAFETY: aligned, and it ends inside.
                unsafe { self.map.copy_in(place, &bytes) };
            }
        }
    }

    /// Something that could pass for what belongs there, or not.
    fn value(&mut self, tail: u64, read: u64) -> u64 {
        let capacity = self.geometry.parts.capacity;
        let sequence = self.load(layout::SEQUENCE, Role::Producer);
        let received = self.load(layout::RECEIVED, Role::Consumer);
        let dice = &mut self.dice;
        let near = [0, 8, 16, capacity - 8, capacity, capacity + 8, 1 << 63, 4, 1][dice.below(9) as usize];
        match dice.below(8) {
            0 => dice.next(),
            1 => [tail, read][dice.below(2) as usize].wrapping_add(near),
            2 => [tail, read][dice.below(2) as usize].wrapping_sub(near),
            3 => [0, u64::MAX, i64::MAX as u64, 1 << 32][dice.below(4) as usize],
            4 => sequence.wrapping_add(dice.below(20)).wrapping_sub(3) | dice.below(2) << 63,
            _ => {
                let kinds = [word::RecordKind::Message, word::RecordKind::Padding, word::RecordKind::End];
                let lens =
                    [0, 1, 24, 300, capacity / 2 - 16, capacity / 2, capacity - 8, u64::from(u32::MAX)];
                let number = [received, sequence, received.wrapping_add(1)][dice.below(3) as usize];
                word::word(kinds[dice.below(3) as usize], lens[dice.below(8) as usize], number)
            }
        }
    }
}

/// Any operation of one end.
fn any_op(dice: &mut Dice, role: Role) -> Op {
    let len = |dice: &mut Dice| match dice.below(6) {
        0 => 0,
        1 => 2032,
        2 => 5000,
        _ => dice.below(200) as usize,
    };
    let lens = |dice: &mut Dice| (0..dice.below(6)).map(|_| dice.below(300) as usize).collect::<Vec<_>>();
    let most = 1 + dice.below(20) as usize;
    if role == Role::Consumer {
        return match dice.below(9) {
            0 | 1 => Op::Recv,
            2 => Op::Drain(most),
            3 => Op::Guard,
            4 => Op::Keep,
            5 => Op::Run(most),
            6 => Op::Look(most),
            7 if dice.below(4) == 0 => Op::RecvWaiting,
            _ => Op::Ask(Role::Consumer),
        };
    }
    match dice.below(10) {
        0 | 1 => Op::Send(len(dice)),
        2 if dice.below(4) == 0 => Op::SendWaiting(len(dice)),
        3 => Op::Slices(len(dice)),
        4 => Op::Batch(lens(dice)),
        5 => Op::Pushes(lens(dice)),
        6 => Op::AbortBatch(lens(dice)),
        7 => Op::Claim(len(dice)),
        8 => {
            let claimed = len(dice);
            Op::Part(claimed, dice.below(claimed as u64 + 1) as usize)
        }
        9 => Op::Abort(len(dice)),
        _ => Op::Ask(Role::Producer),
    }
}

/// What became of it.
#[derive(Default)]
struct Ordeal {
    calls: u64,
    attached: u64,
    /// Not let in: the file or the ring made no sense just then.
    refused: u64,
    corrupt: u64,
    sent: u64,
    took: u64,
    slowest: Duration,
}

/// Works at one end for so long, or takes over either end again and again, whatever happens to the file.
pub fn suffer(kind_name: &str, name: &str, role: &str, seed: u64, millis: u64) -> Outcome {
    let begin = Instant::now();
    let mut dice = Dice(seed);
    let mut ordeal = Ordeal::default();
    while begin.elapsed() < Duration::from_millis(millis) {
        let role = match role {
            "producer" => Role::Producer,
            "consumer" => Role::Consumer,
            _ => [Role::Producer, Role::Consumer][dice.below(2) as usize],
        };
        let calls = if dice.below(2) == 0 { dice.below(4) } else { dice.below(2000) };
        ordeal.live(kind(kind_name), name, role, calls, &mut dice)?;
    }
    let Ordeal { calls, attached, refused, corrupt, sent, took, slowest } = ordeal;
    println!("{calls} {attached} {refused} {corrupt} {sent} {took} {}", slowest.as_micros());
    Ok(())
}

impl Ordeal {
    /// One end's life, of so many calls.
    fn live(&mut self, kind: Kind, name: &str, role: Role, calls: u64, dice: &mut Dice) -> Outcome {
        let queue = match self.timed(|| AnyQueue::open(Path::new(name), kind))? {
            Ok(queue) => queue,
            // The geometry is overwritten, too.
            Err(shmq::OpenError::Io { doing, source }) => return Err(format!("{doing}: {source}")),
            Err(_) => {
                self.refused += 1;
                return Ok(());
            }
        };
        let mut ends = Ends::new(queue, Waiting::low_power());
        match self.timed(|| ends.perform(&Op::Attach(role)))? {
            Ok(_) => self.attached += 1,
            Err(Problem::Attach(shmq::AttachError::Io { doing, source })) => {
                return Err(format!("{doing}: {source}"));
            }
            Err(_) => {
                self.refused += 1;
                return Ok(());
            }
        }
        let mut refused = None;
        for _ in 0..calls {
            let op = any_op(dice, role);
            let asks = matches!(op, Op::Ask(_));
            match self.timed(|| ends.perform(&op))? {
                // Whoever has seen it sees it for good.
                outcome if refused.is_some() && !asks => match (outcome, refused) {
                    (Err(Problem::Corrupt(what)), Some(seen)) if what == seen => {}
                    // Refused for its arguments before anything is looked at; or nothing to do.
                    (Err(Problem::Refused), _) => {}
                    (Ok(done), _) if done.sent.is_empty() && done.took.is_empty() => {}
                    (outcome, seen) => return Err(format!("{op:?} after {seen:?}: {outcome:?}")),
                },
                Ok(done) => {
                    (self.sent, self.took) =
                        (self.sent + done.sent.len() as u64, self.took + done.took.len() as u64)
                }
                Err(Problem::Corrupt(what)) => {
                    self.corrupt += 1;
                    refused = Some(what);
                }
                Err(Problem::Nothing | Problem::Refused | Problem::Finished | Problem::Gone) => {}
                Err(other) => return Err(format!("{op:?}: {other:?}")),
            }
            // A few more calls show that it stays so.
            if refused.is_some() && dice.below(10) == 0 {
                break;
            }
        }
        self.timed(|| drop(ends))
    }

    fn timed<R>(&mut self, call: impl FnOnce() -> R) -> Result<R, String> {
        let begin = Instant::now();
        // A call that hangs ends the process.
        // SAFETY: a plain system call.
        unsafe { libc::alarm(2 * LONGEST.as_secs() as u32) };
        let outcome = call();
        self.calls += 1;
        self.slowest = self.slowest.max(begin.elapsed());
        if self.slowest > LONGEST { Err(format!("a call took {:?}", self.slowest)) } else { Ok(outcome) }
    }
}
