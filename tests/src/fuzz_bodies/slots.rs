//! Rings of fixed-size messages: two healthy ends, two ends that die, and a malicious peer.

use super::{Bytes, Seen};
use crate::model::poke;
use shmq_core::layout::{DIRTY, MARK, Parts, READ, Role, SEQUENCE};
use shmq_core::{
    Fault, Faulty, Hostile, Memory, Origin, Recording, Refused, RingState, SlotLayout, SlotPoll, SlotRx,
    SlotTx, Window, Words,
};
use std::collections::VecDeque;

fn shape(bytes: &mut Bytes<'_>) -> SlotLayout {
    let size = if bytes.below(2) == 0 { 8 } else { 1 + bytes.below(40) };
    SlotLayout::new(size, 1 + bytes.below(12), 1 + bytes.below(8)).expect("possible sizes")
}

fn words(shape: &SlotLayout) -> Words {
    Words::new(Parts::standard(shape.capacity).ring + shape.capacity as usize)
}

fn window<M: Memory>(memory: M, shape: &SlotLayout) -> Window<M> {
    Window::new(memory, Parts::standard(shape.capacity)).expect("the parts are in order")
}

/// What a message holds; the salt tells attempts at the same number apart.
fn content(shape: &SlotLayout, (sequence, salt): (u64, u64)) -> Vec<u8> {
    let word = (sequence + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03);
    word.to_le_bytes().into_iter().cycle().take(shape.size as usize).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Send,
    Batch(u64),
    /// As many as there is room for, group by group.
    Slice(u64),
    /// A batch that is never published.
    Forget(u64),
    Finish,
    /// One by one.
    Take(u64),
    /// As one run.
    Run(u64),
    /// Nothing but taking the role again.
    Attach(Role),
}

impl Op {
    fn role(self) -> Role {
        match self {
            Self::Attach(role) => role,
            Self::Take(_) | Self::Run(_) => Role::Consumer,
            _ => Role::Producer,
        }
    }

    /// Whether dying in it may leave a part of it done.
    fn divides(self) -> bool {
        matches!(self, Self::Slice(_) | Self::Take(_))
    }
}

fn op(bytes: &mut Bytes<'_>, depth: u64) -> Op {
    let kind = bytes.below(16);
    let many = bytes.below(depth + 2);
    match kind {
        0 | 1 => Op::Batch(many),
        2 => Op::Slice(many),
        3 => Op::Forget(many),
        4 if bytes.byte() > 0xf0 => Op::Finish,
        5 => Op::Attach([Role::Producer, Role::Consumer][bytes.below(2) as usize]),
        6..=8 => Op::Take(many),
        9 | 10 => Op::Run(many),
        11 => Op::Take(1),
        _ => Op::Send,
    }
}

/// Every store is logged, so that some can be taken back; and one may be planted not to happen.
type Ram = Faulty<Recording>;

/// A ring in use, and what it ought to hold.
struct Play {
    shape: SlotLayout,
    memory: Ram,
    tx: SlotTx<Ram>,
    rx: SlotRx<Ram>,
    queue: VecDeque<(u64, u64)>,
    next: u64,
    salt: u64,
    finished: bool,
}

fn attach_tx(memory: &Ram, shape: &SlotLayout) -> SlotTx<Ram> {
    SlotTx::attach(window(memory.clone(), shape), *shape).expect("a good ring")
}

fn attach_rx(memory: &Ram, shape: &SlotLayout) -> SlotRx<Ram> {
    SlotRx::attach(window(memory.clone(), shape), *shape).expect("a good ring")
}

impl Play {
    fn new(shape: SlotLayout, planted: Fault) -> Self {
        let memory = Faulty::new(Recording::new(words(&shape)), planted);
        let (tx, rx) = (attach_tx(&memory, &shape), attach_rx(&memory, &shape));
        Self { shape, memory, tx, rx, queue: VecDeque::new(), next: 0, salt: 0, finished: false }
    }

    fn room(&self) -> u64 {
        self.shape.depth - self.queue.len() as u64
    }

    /// Does it, knowing what must come of it. How many messages it sent or took.
    fn act(&mut self, op: Op) -> u64 {
        self.salt += 1;
        match op {
            Op::Send => self.send(),
            Op::Batch(n) => self.batch(n, true),
            Op::Forget(n) => self.batch(n, false),
            Op::Slice(n) => self.slice(n),
            Op::Take(n) => (0..n).map(|_| self.take(1)).sum(),
            Op::Run(n) => self.take(n),
            Op::Finish => {
                let expected = if self.finished { Err(Refused::Finished) } else { Ok(()) };
                assert_eq!(self.tx.finish(), expected);
                self.finished = true;
                0
            }
            Op::Attach(role) => {
                self.attach(role);
                0
            }
        }
    }

    fn attach(&mut self, role: Role) {
        match role {
            Role::Producer => self.tx = attach_tx(&self.memory, &self.shape),
            Role::Consumer => self.rx = attach_rx(&self.memory, &self.shape),
        }
    }

    fn sent(&mut self, messages: u64) -> u64 {
        self.queue.extend((self.next..self.next + messages).map(|i| (i, self.salt)));
        self.next += messages;
        messages
    }

    fn send(&mut self) -> u64 {
        let expected = match self.finished {
            true => Err(Refused::Finished),
            false if self.room() == 0 => Err(Refused::Full),
            false => Ok(self.next),
        };
        assert_eq!(self.tx.try_send(&content(&self.shape, (self.next, self.salt))), expected);
        if expected.is_ok() { self.sent(1) } else { 0 }
    }

    fn batch(&mut self, n: u64, publish: bool) -> u64 {
        if self.finished {
            return 0;
        }
        let expected = match n {
            _ if n > self.shape.depth => Err(Refused::TooLarge),
            _ if n > self.room() => Err(Refused::Full),
            _ => Ok(()),
        };
        let mut draft = self.tx.begin();
        assert_eq!(self.tx.reserve(&draft, n), expected);
        if expected.is_err() {
            return 0;
        }
        for i in 0..n {
            self.tx.fill(&draft, &content(&self.shape, (self.next + i, self.salt)));
            self.tx.seal(&mut draft);
        }
        if !publish {
            return 0;
        }
        assert_eq!(self.tx.publish(draft), self.next);
        self.sent(n)
    }

    fn slice(&mut self, n: u64) -> u64 {
        if self.finished {
            return 0;
        }
        self.tx.refresh().expect("a good ring");
        assert_eq!(self.tx.room(), self.room());
        let n = n.min(self.room());
        let mut draft = self.tx.begin();
        for i in 0..n {
            self.tx.fill(&draft, &content(&self.shape, (self.next + i, self.salt)));
            self.tx.seal(&mut draft);
            if self.tx.is_group_full(&draft) {
                self.tx.publish(draft);
                draft = self.tx.begin();
            }
        }
        self.tx.publish(draft);
        self.sent(n)
    }

    fn take(&mut self, most: u64) -> u64 {
        let mut took = 0;
        while took < most {
            match (self.rx.poll(), self.queue.front()) {
                (SlotPoll::Messages(n), Some(&front)) => {
                    assert!(n >= 1 && n <= self.queue.len() as u64, "{n} of {}", self.queue.len());
                    let mut bytes = vec![0; self.shape.size as usize];
                    self.rx.copy_out(&mut bytes);
                    assert_eq!(bytes, content(&self.shape, front), "message {} is another", front.0);
                    assert_eq!(self.rx.sequence(), front.0);
                    self.rx.skip();
                    self.queue.pop_front();
                    took += 1;
                }
                (SlotPoll::Empty, None) if !self.finished => break,
                (SlotPoll::Finished, None) if self.finished => break,
                (found, front) => panic!("{found:?} where {front:?} was next, finished: {}", self.finished),
            }
        }
        if took != 0 {
            self.rx.settle();
        }
        took
    }

    /// Does it, and takes the last of its stores back: `after` of them, round about, have happened. Then a successor.
    fn die(&mut self, op: Op, after: usize) {
        let image = self.memory.inner().words().image();
        let (queue, next, finished) = (self.queue.clone(), self.next, self.finished);
        self.memory.inner().take_log();
        let did = self.act(op);
        let log = self.memory.inner().take_log();
        for (i, &word) in Recording::prefix(&image, &log, after % (log.len() + 1)).iter().enumerate() {
            poke(self.memory.inner().words(), 8 * i, word);
        }
        self.attach(op.role());
        let done = match op.role() {
            Role::Producer => self.tx.sequence() - next,
            Role::Consumer => self.rx.sequence() - queue.front().map_or(next, |front| front.0),
        };
        assert!(done == 0 || done == did || (op.divides() && done < did), "{done} of {did} by {op:?}");
        match op.role() {
            Role::Producer => {
                self.queue.truncate(queue.len() + done as usize);
                self.next = next + done;
                self.finished = self.tx.state() == RingState::Finished;
                assert!(self.finished == finished || op == Op::Finish, "{op:?} changed the end");
            }
            Role::Consumer => self.queue = queue.into_iter().skip(done as usize).collect(),
        }
    }

    fn check(&self) {
        let pending = self.queue.len() as u64;
        assert_eq!(self.tx.sequence(), self.next);
        assert_eq!((self.tx.pending(), self.rx.pending()), (pending, pending));
        assert_eq!(self.tx.state() == RingState::Finished, self.finished);
    }

    /// Drained, and filled from every place in a group: the ring is still good for everything.
    fn close(mut self) {
        self.act(Op::Run(self.shape.depth));
        for _ in 0..=self.shape.groups * self.shape.group {
            for op in [Op::Batch(self.shape.depth), Op::Take(self.shape.depth), Op::Send, Op::Take(1)] {
                self.act(op);
                self.check();
            }
        }
    }
}

fn play(data: &[u8], deaths: bool, planted: Fault) {
    let mut bytes = Bytes::new(data);
    let mut play = Play::new(shape(&mut bytes), planted);
    for _ in 0..500 {
        if !bytes.more() {
            break;
        }
        let op = op(&mut bytes, play.shape.depth);
        if deaths && bytes.below(3) == 0 {
            play.die(op, bytes.byte().into());
        } else {
            play.act(op);
        }
        play.check();
    }
    play.close();
}

/// Two healthy ends of a ring of slots.
pub fn slots_model(data: &[u8]) {
    play(data, false, Fault::None);
}

/// Two ends of a ring of slots that die, and whose successors die.
pub fn slots_recover(data: &[u8]) {
    slots_recover_with(data, Fault::None);
}

/// As [`slots_recover`], with a planted bug, which some input must find.
pub fn slots_recover_with(data: &[u8], planted: Fault) {
    play(data, true, planted);
}

/// A word that is likely to get far: near a count.
fn word(bytes: &mut Bytes<'_>, shape: &SlotLayout) -> u64 {
    let near = bytes.below(2 * (shape.depth + shape.group) + 4);
    match bytes.below(8) {
        0 => bytes.word(),
        1 => 1 << 63 | near,
        2 => near.wrapping_sub(shape.depth + 2),
        3 => (1 << 62) - 2 + near % 4,
        _ => near,
    }
}

/// Both ends of a ring of slots whose loads are answered by a script, over a memory that holds anything at the start.
pub fn slots_hostile(data: &[u8]) {
    slots_hostile_seen(data);
}

/// As [`slots_hostile`]; says what came of it.
pub fn slots_hostile_seen(data: &[u8]) -> Seen {
    let mut bytes = Bytes::new(data);
    let shape = shape(&mut bytes);
    let memory = words(&shape);
    let parts = Parts::standard(shape.capacity);
    if bytes.below(2) == 0 {
        let marks = MARK.0.map(|cell| (parts.producer, cell.label));
        let own = [(parts.producer, SEQUENCE), (parts.producer, DIRTY), (parts.consumer, READ)];
        for (page, control) in own.into_iter().chain(marks) {
            poke(&memory, page + control.offset(), word(&mut bytes, &shape));
        }
    }
    for _ in 0..bytes.below(6) {
        let at = parts.ring as u64 + shape.group_bytes * bytes.below(shape.groups);
        poke(&memory, at as usize, word(&mut bytes, &shape));
    }
    let script = (0..bytes.below(24)).map(|_| word(&mut bytes, &shape)).collect();
    exercise(&shape, &Hostile::new(memory, script), &mut bytes)
}

/// Attaches both ends and works them as the bytes say; panics if a call does more than its bound, or an end forgets that
/// it has seen nonsense, or says something impossible.
fn exercise(shape: &SlotLayout, memory: &Hostile, bytes: &mut Bytes<'_>) -> Seen {
    // A lap over the words to find the end and one to set back, and again for what is pending; then a batch or a run.
    let most = 3 * (shape.groups + 4) + shape.depth * (shape.stride / 8 + 2) + 16;
    let bounded = |what: &str, before: u64| {
        let did = memory.accesses() - before;
        assert!(did <= most, "{what} took {did} accesses, over {most}");
    };
    let before = memory.accesses();
    let mut tx = SlotTx::attach(window(memory.clone(), shape), *shape).ok();
    bounded("attaching a producer", before);
    let before = memory.accesses();
    let mut rx = SlotRx::attach(window(memory.clone(), shape), *shape).ok();
    bounded("attaching a consumer", before);
    let mut seen =
        Seen { attached: usize::from(tx.is_some()) + usize::from(rx.is_some()), ..Seen::default() };
    for _ in 0..64 {
        if !bytes.more() {
            break;
        }
        let before = memory.accesses();
        match (bytes.below(2), &mut tx, &mut rx) {
            (0, Some(tx), _) => seen.sent += produce(tx, bytes, shape),
            (_, _, Some(rx)) => seen.received += consume(rx, bytes.below(6), shape),
            _ => {}
        }
        bounded("an operation", before);
    }
    let before = memory.accesses();
    if let Some(tx) = &mut tx {
        let message = vec![0x5a; shape.size as usize];
        let _ = (tx.mark(), tx.origin(), tx.try_send_marked(&message, &[7; 16]));
        tx.set_origin(&Origin { queue_id: [7; 16], next: 1 });
        let _ = (tx.mark(), tx.origin());
    }
    if let Some(rx) = &rx {
        rx.mark();
    }
    // A reader of notes gives up; each look may walk a lap.
    let did = memory.accesses() - before;
    assert!(did <= 8 * 1000 * (16 + shape.groups), "notes took {did} accesses");
    let corrupt = |state: Option<RingState>| usize::from(matches!(state, Some(RingState::Corrupt(_))));
    seen.corrupt = corrupt(tx.map(|tx| tx.state())) + corrupt(rx.map(|rx| rx.state()));
    seen
}

/// Sends and checks what came of it; how many there were.
fn produce<M: Memory>(tx: &mut SlotTx<M>, bytes: &mut Bytes<'_>, shape: &SlotLayout) -> u64 {
    let (first, state) = (tx.sequence(), tx.state());
    let refused = send(tx, bytes, shape);
    match (state, refused) {
        (RingState::Corrupt(what), Some(refused)) => assert_eq!(refused, Refused::Corrupt(what), "sticky"),
        (RingState::Finished, Some(refused)) => assert_eq!(refused, Refused::Finished),
        (RingState::Corrupt(_) | RingState::Finished, None) => {
            assert_eq!(tx.sequence(), first, "a closed end goes on")
        }
        (RingState::Open, _) => {}
    }
    assert!(tx.pending() <= shape.depth && tx.room() <= shape.depth);
    tx.sequence() - first
}

/// Sends as the bytes say; says why not.
fn send<M: Memory>(tx: &mut SlotTx<M>, bytes: &mut Bytes<'_>, shape: &SlotLayout) -> Option<Refused> {
    let message = vec![0x5a; shape.size as usize];
    let kind = bytes.below(6);
    if kind > 2 {
        return tx.try_send(&message).err();
    }
    if kind == 2 && bytes.byte() > 0xf0 {
        return tx.finish().err();
    }
    let n = bytes.below(shape.depth + 1);
    let mut draft = tx.begin();
    if let Err(refused) = tx.reserve(&draft, n) {
        return Some(refused);
    }
    for _ in 0..n {
        tx.fill(&draft, &message);
        tx.seal(&mut draft);
    }
    if kind != 0 {
        tx.publish(draft);
    }
    None
}

/// Receives at most `most` messages as one run; returns how many there were.
fn consume<M: Memory>(rx: &mut SlotRx<M>, most: u64, shape: &SlotLayout) -> u64 {
    let mut bytes = vec![0; shape.size as usize];
    let mut run = 0;
    while run < most.min(shape.depth) {
        let state = rx.state();
        let found = rx.poll();
        match state {
            RingState::Open => {}
            RingState::Finished => assert_eq!(found, SlotPoll::Finished, "a finished ring goes on"),
            RingState::Corrupt(what) => {
                assert_eq!(found, SlotPoll::Corrupt(what), "corruption was forgotten")
            }
        }
        let SlotPoll::Messages(n) = found else { break };
        assert!(n >= 1 && n <= shape.group.min(shape.depth), "{n} messages at once");
        rx.copy_out(&mut bytes);
        rx.skip();
        run += 1;
    }
    if run != 0 {
        rx.settle();
    }
    assert!(rx.pending() <= shape.depth);
    run
}
