//! Bodies of the fuzz targets: plain functions of bytes that panic when a promise is broken. The targets in `fuzz/`
//! call them, and so do plain tests, with the seeds and with pseudo-random bytes.
//!
//! | body | what the bytes are |
//! |---|---|
//! | [`image()`] | a queue file, or changes to a healthy one: opened, looked at, drained through the public calls |
//! | [`hostile()`] | what a malicious peer makes the loads return, and what an end does meanwhile |
//! | [`model`] | what two healthy ends do: held against a queue |
//! | [`recover`] | the same with deaths in the middle of operations, and in the middle of takeovers |
//! | [`raw()`] | a raw file, and what stands in a seqlock cell, or changes in it while it is read or written |
//! | [`slots_hostile()`], [`slots_model()`], [`slots_recover()`] | the same three for fixed-size messages |
//! | [`pool_hostile()`], [`pool_recover()`] | two of them for pools of blocks |

mod hostile;
mod image;
mod pool;
mod raw;
mod slots;

pub use hostile::{Seen, exercise, hostile, hostile_seen};
pub use image::image;
pub use pool::{pool_hostile, pool_hostile_seen, pool_recover, pool_recover_with};
pub use raw::{RawSeen, raw, raw_seen};
pub use slots::{slots_hostile, slots_hostile_seen, slots_model, slots_recover, slots_recover_with};

use crate::model::{Play, RxOp, Shape, Step, TxOp};
use shmq_core::layout::Role;

/// Panics if the bytes show a broken promise.
pub type Body = fn(&[u8]);

/// All bodies by the names of their targets.
pub const BODIES: [(&str, Body); 10] = [
    ("image", image),
    ("hostile", hostile),
    ("model", model),
    ("raw", raw),
    ("recover", recover),
    ("slots_hostile", slots_hostile),
    ("slots_model", slots_model),
    ("slots_recover", slots_recover),
    ("pool_hostile", pool_hostile),
    ("pool_recover", pool_recover),
];

/// Takes decisions from bytes; zero when they are used up.
#[derive(Debug)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// From the first byte on.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether some are left.
    pub fn more(&self) -> bool {
        !self.0.is_empty()
    }

    /// The rest.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// The next one.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = if bound > 256 { u64::from(self.byte()) << 8 } else { 0 };
        (wide | u64::from(self.byte())) % bound.max(1)
    }

    /// Any word.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }
}

/// A ring of 16 to 2048 bytes, shortly before a wrap of its counters or not.
fn shape(bytes: &mut Bytes<'_>) -> Shape {
    let mut shape = Shape::new(16 << bytes.below(8));
    shape.max_message -= shape.max_message * bytes.below(4) / 4;
    shape.depth = Some(bytes.below(8)).filter(|&depth| depth != 0);
    let origin = [0, 0, 1 << 32, 1 << 63][bytes.below(4) as usize];
    let position = u64::wrapping_sub(origin, 8 * bytes.below(256));
    let sequence = u64::wrapping_sub(origin >> 2, bytes.below(16));
    shape.at(position, sequence)
}

fn len(bytes: &mut Bytes<'_>, shape: &Shape) -> u64 {
    match bytes.below(8) {
        0 | 1 => 0,
        2 => shape.max_message,
        3 => shape.max_message + 1,
        _ => bytes.below(shape.max_message + 1),
    }
}

fn lens(bytes: &mut Bytes<'_>, shape: &Shape) -> Vec<u64> {
    (0..bytes.below(6)).map(|_| len(bytes, shape)).collect()
}

fn tx(bytes: &mut Bytes<'_>, shape: &Shape) -> TxOp {
    match bytes.below(11) {
        0 => TxOp::Slices(len(bytes, shape), 1 + bytes.below(20)),
        1 => TxOp::Batch(lens(bytes, shape)),
        2 => TxOp::Pushes(lens(bytes, shape)),
        3 => TxOp::Part(len(bytes, shape), len(bytes, shape)),
        4 => TxOp::Abort(len(bytes, shape)),
        5 => TxOp::AbortBatch(lens(bytes, shape)),
        6 if bytes.byte() == 0xff => TxOp::Finish,
        9 => TxOp::MarkBatch(lens(bytes, shape)),
        10 => TxOp::Mark(len(bytes, shape)),
        _ => TxOp::Send(len(bytes, shape)),
    }
}

fn rx(bytes: &mut Bytes<'_>) -> RxOp {
    match bytes.below(6) {
        0 => RxOp::Keep,
        1 => RxOp::Drain(1 + bytes.below(6) as usize, bytes.below(200)),
        2 => RxOp::Drain(usize::MAX, u64::MAX),
        _ => RxOp::Recv,
    }
}

fn role(bytes: &mut Bytes<'_>) -> Role {
    [Role::Producer, Role::Consumer][bytes.below(2) as usize]
}

fn play(data: &[u8], deaths: bool) {
    let mut bytes = Bytes::new(data);
    let shape = shape(&mut bytes);
    let mut steps = Vec::new();
    while bytes.more() && steps.len() < 500 {
        steps.push(match bytes.below(if deaths { 8 } else { 5 }) {
            0 | 1 => Step::Tx(tx(&mut bytes, &shape)),
            2 | 3 => Step::Rx(rx(&mut bytes)),
            4 => Step::Replace(role(&mut bytes)),
            5 => Step::KillTx(tx(&mut bytes, &shape), bytes.byte().into()),
            6 => Step::KillRx(rx(&mut bytes), bytes.byte().into()),
            _ => Step::KillSuccessor(role(&mut bytes), bytes.byte().into()),
        });
    }
    if let Err(problem) = Play::run(shape, &steps) {
        panic!("{problem}\n{shape:?}\n{steps:?}");
    }
}

/// So many pseudo-random inputs, always the same: short ones and long ones (xorshift64*).
pub fn inputs(seed: u64, many: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    (0..many).map(move |i| {
        let len = next() >> 32 & if i % 8 == 0 { 1023 } else { 127 };
        (0..len).map(|_| (next() >> 56) as u8).collect()
    })
}

/// Two healthy ends.
pub fn model(data: &[u8]) {
    play(data, false);
}

/// Two ends that die.
pub fn recover(data: &[u8]) {
    play(data, true);
}
