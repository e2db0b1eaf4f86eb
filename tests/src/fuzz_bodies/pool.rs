//! Pools of blocks: two ends that die, and a malicious peer.

use super::{Bytes, Seen};
use crate::model::{Bug, poke};
use crate::pool::play;
use shmq_core::layout::{Parts, READ, SEQUENCE};
use shmq_core::{Fault, Hostile, Memory, Site, Words};
use shmq_pool::testing::{HELD, Handle, LENT, Layout, NoLoan, PoolRx, PoolTx, Take, Unsent};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

/// Two ends of a pool that die, and whose successors die.
pub fn pool_recover(data: &[u8]) {
    pool_recover_with(data, Fault::None);
}

/// As [`pool_recover`], with a planted bug, which some input must find.
pub fn pool_recover_with(data: &[u8], fault: Fault) {
    let bug = if fault == Fault::None { Bug::None } else { Bug::Fault(fault) };
    if let Err(problem) = play(data, bug) {
        panic!("{problem}");
    }
}

/// A word that is likely to get far: near a count, or a handle.
fn word(bytes: &mut Bytes<'_>, layout: &Layout) -> u64 {
    let near = bytes.below(2 * (layout.blocks + layout.slots.group) + 4);
    match bytes.below(12) {
        0 => bytes.word(),
        1 => 1 << 63 | near,
        2 => near.wrapping_sub(layout.blocks + 2),
        3 => (1 << 62) - 2 + near % 4,
        4..=7 => {
            let block = bytes.below(layout.blocks + 1) as u32;
            u64::from_le_bytes(Handle { block, low: near % 17 }.bytes())
        }
        _ => near,
    }
}

/// Tells the truth, but for some loads: so many of them after the last lie, the next is another.
#[derive(Clone)]
struct Liar {
    memory: Hostile,
    lies: Rc<RefCell<VecDeque<(u64, u64)>>>,
}

// SAFETY: passes every call on as it is.
unsafe impl Memory for Liar {
    fn len(&self) -> usize {
        self.memory.len()
    }

    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        // SAFETY: the caller's.
        let truth = unsafe { self.memory.load(at, site) };
        let mut lies = self.lies.borrow_mut();
        match lies.front_mut() {
            Some((0, _)) => lies.pop_front().map_or(truth, |(_, lie)| lie),
            Some((more, _)) => {
                *more -= 1;
                truth
            }
            None => truth,
        }
    }

    unsafe fn store(&self, at: usize, value: u64, site: Site) {
        // SAFETY: the caller's.
        unsafe { self.memory.store(at, value, site) }
    }

    fn fence(&self, site: Site) {
        self.memory.fence(site);
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        // SAFETY: the caller's.
        unsafe { self.memory.copy_in(at, from) }
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { self.memory.copy_out(at, into) };
        // Handles are copied out.
        if into.len() == 8 {
            let mut lies = self.lies.borrow_mut();
            if let Some((0, lie)) = lies.front().copied() {
                lies.pop_front();
                into.copy_from_slice(&lie.to_le_bytes());
            }
        }
    }
}

/// Both ends of a pool some of whose loads are answered by a script, over a memory that holds anything at the start.
pub fn pool_hostile(data: &[u8]) {
    pool_hostile_seen(data);
}

/// As [`pool_hostile`]; says what came of it.
pub fn pool_hostile_seen(data: &[u8]) -> Seen {
    let mut bytes = Bytes::new(data);
    let (blocks, group) = (1 + bytes.below(6), 1 + bytes.below(8));
    let layout = Layout::with_unit(blocks, 16, group, 8).expect("a possible pool");
    let memory = Words::new(layout.length as usize);
    let rings = [layout.full, layout.empty];
    if bytes.below(8) == 0 {
        for Parts { producer, consumer, .. } in rings {
            poke(&memory, producer + SEQUENCE.offset(), word(&mut bytes, &layout));
            poke(&memory, consumer + READ.offset(), word(&mut bytes, &layout));
        }
    }
    for _ in 0..bytes.below(12).saturating_sub(8) {
        let (start, size, unit) = match bytes.below(6) {
            0 => (layout.lent, blocks * LENT, 8),
            1 => (layout.held, blocks * HELD, 8),
            2 | 3 => (rings[bytes.below(2) as usize].ring, layout.slots.capacity, layout.slots.group_bytes),
            _ => (rings[bytes.below(2) as usize].ring, layout.slots.capacity, 8),
        };
        let at = start + (bytes.below(size / unit) * unit) as usize;
        poke(&memory, at, word(&mut bytes, &layout));
    }
    let lies = (0..bytes.below(8)).map(|_| (bytes.below(200), word(&mut bytes, &layout))).collect();
    let memory = Liar { memory: Hostile::new(memory, Vec::new()), lies: Rc::new(RefCell::new(lies)) };
    exercise(&layout, &memory, &mut bytes)
}

/// Attaches both ends and works them as the bytes say; panics if a call does more than its bound, or one end has a
/// block twice, or forgets that it has seen nonsense.
fn exercise(layout: &Layout, memory: &Liar, bytes: &mut Bytes<'_>) -> Seen {
    // To find the ends of two rings and set back what ran ahead in one; both tables. Then only what a block or two
    // need.
    let (most, few) = (6 * (layout.slots.groups + 4) + 8 * layout.blocks + 32, 2 * layout.slots.groups + 48);
    let bounded = |what: &str, most: u64, before: u64| {
        let did = memory.memory.accesses() - before;
        assert!(did <= most, "{what} took {did} accesses, over {most}");
    };
    let windows = layout.windows(memory).expect("the parts are in order");
    let before = memory.memory.accesses();
    let mut tx = PoolTx::attach(&windows).ok();
    bounded("attaching a writer", most, before);
    let before = memory.memory.accesses();
    let mut rx = PoolRx::attach(&windows).ok();
    bounded("attaching a reader", most, before);
    let mut seen =
        Seen { attached: usize::from(tx.is_some()) + usize::from(rx.is_some()), ..Seen::default() };
    let (mut lent, mut held) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..64 {
        if !bytes.more() {
            break;
        }
        let before = memory.memory.accesses();
        match (bytes.below(2), &mut tx, &mut rx) {
            (0, Some(tx), _) => seen.sent += write(tx, bytes, &mut lent, layout),
            (_, _, Some(rx)) => seen.received += read(rx, bytes, &mut held, layout),
            _ => {}
        }
        bounded("an operation", few, before);
    }
    let corrupt = |yes: bool| usize::from(yes);
    seen.corrupt = corrupt(tx.is_some_and(|tx| tx.corrupt().is_some()))
        + corrupt(rx.is_some_and(|rx| rx.corrupt().is_some()));
    seen
}

fn nth(set: &BTreeSet<u32>, bytes: &mut Bytes<'_>) -> Option<u32> {
    set.iter().nth(bytes.below(set.len() as u64) as usize).copied()
}

fn write(tx: &mut PoolTx<Liar>, bytes: &mut Bytes<'_>, lent: &mut BTreeSet<u32>, layout: &Layout) -> u64 {
    let (corrupt, kind) = (tx.corrupt(), bytes.below(8));
    let mut sent = 0;
    match (kind, nth(lent, bytes)) {
        (0..=3, _) => match tx.try_loan() {
            Ok(block) => {
                assert!(corrupt.is_none(), "corruption was forgotten");
                assert!(u64::from(block) < layout.blocks, "block {block} of {}", layout.blocks);
                assert!(lent.insert(block), "block {block} is lent twice");
                tx.bytes().write(block, 3, &[0x5a; 13]);
            }
            Err(NoLoan::Corrupt(what)) => assert_eq!(tx.corrupt(), Some(what), "sticky"),
            Err(NoLoan::NoneFree) => {}
        },
        (4 | 5, Some(block)) => match tx.send(block, bytes.below(18)) {
            Ok(_) => {
                assert!(corrupt.is_none(), "corruption was forgotten");
                lent.remove(&block);
                sent = 1;
            }
            Err(Unsent::Corrupt(what)) => assert_eq!(tx.corrupt(), Some(what), "sticky"),
            Err(Unsent::TooLong | Unsent::Finished) => {}
        },
        (6, Some(block)) => {
            lent.remove(&block);
            tx.give_back(block);
        }
        (7, _) if bytes.byte() > 0xf0 => drop(tx.finish()),
        _ => {}
    }
    assert_eq!(tx.lent(), lent.len() as u64);
    assert!(tx.free() <= layout.blocks && tx.pending() <= layout.blocks);
    sent
}

fn read(rx: &mut PoolRx<Liar>, bytes: &mut Bytes<'_>, held: &mut BTreeSet<u32>, layout: &Layout) -> u64 {
    let corrupt = rx.corrupt();
    let mut received = 0;
    match (bytes.below(3), nth(held, bytes)) {
        (0 | 1, _) => match rx.try_take() {
            Take::Block(taken) => {
                assert!(corrupt.is_none(), "corruption was forgotten");
                assert!(
                    u64::from(taken.block) < layout.blocks && taken.len <= layout.block_size,
                    "{taken:?}"
                );
                assert!(held.insert(taken.block), "block {} is held twice", taken.block);
                rx.bytes().read(taken.block, 1, &mut vec![0; taken.len.saturating_sub(1) as usize]);
                received = 1;
            }
            Take::Corrupt(what) => assert_eq!(rx.corrupt(), Some(what), "sticky"),
            Take::Empty | Take::Finished => {}
        },
        (_, Some(block)) => {
            let visible = rx.give_back(block);
            assert!(!visible || corrupt.is_none(), "corruption was forgotten");
            // Whoever has seen nonsense gives nothing back any more, and takes nothing, either.
            held.remove(&block);
        }
        _ => {}
    }
    assert!(rx.pending() <= layout.blocks && rx.holding() == held.len() as u64);
    received
}
