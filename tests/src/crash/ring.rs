//! What the explorer needs of a ring: the same of both shapes.

use super::Plan;
use crate::model::{
    Bug, CONTROLS, Effect, Ghost, Guest, Image, Live, Ram, Rig, RxOp, Shape, SlotRig, SlotRxOp, SlotTxOp,
    TxOp, Verdict, relative_marks,
};
use shmq_core::layout::Role;
use shmq_core::{RecordRx, RecordTx, RingState, SlotRx, SlotTx, Store};
use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;

/// Both ends of such a ring.
pub type LiveOf<K> = Live<<K as Ring>::Tx, <K as Ring>::Rx>;

/// A ring of either shape on a memory that logs, beside its specification.
pub trait Ring: Debug + Sized + 'static {
    /// What rings there are.
    type Shape: Copy + Debug;
    /// The producer.
    type Tx: Clone + Debug + 'static;
    /// The consumer.
    type Rx: Clone + Debug + 'static;
    /// What a producer does.
    type TxOp: Clone + Debug + 'static;
    /// What a consumer does.
    type RxOp: Clone + Debug + 'static;

    /// A ring that nobody has attached to.
    fn new(shape: Self::Shape, bug: Bug) -> Self;
    /// Where to start from.
    fn origins(shape: Self::Shape) -> Vec<(Image, LiveOf<Self>)>;
    /// All of the memory that matters.
    fn save(&self) -> Image;
    /// Puts an image back.
    fn restore(&self, image: &[u64]);
    /// The stores since the last call.
    fn take_log(&self) -> Vec<Store>;
    /// What must come before each of them.
    fn bounds(&self) -> Vec<usize>;
    /// A successor takes a free role; `meanwhile` tells what the other end did until that was over.
    fn attach_while(
        &self,
        live: &mut LiveOf<Self>,
        role: Role,
        meanwhile: impl FnOnce(&mut LiveOf<Self>) -> Verdict,
    ) -> Verdict;
    /// Who may come in the middle of that.
    fn guest(&self) -> &Guest;
    /// A living producer does something.
    fn send(&self, live: &mut LiveOf<Self>, op: &Self::TxOp) -> Verdict<Effect>;
    /// A living consumer does something.
    fn receive(&self, live: &mut LiveOf<Self>, op: &Self::RxOp) -> Verdict<Effect>;
    /// What must hold between any two operations.
    fn inspect(&self, live: &LiveOf<Self>) -> Verdict;
    /// Puts into memory that nobody may look at what would do most harm.
    fn scorch(&self, image: &mut Image, live: &LiveOf<Self>) {
        let _ = (image, live);
    }
    /// A state without what does not matter for what can come of it: laps, and how many messages have passed.
    fn relative(&self, image: &[u64], live: &LiveOf<Self>) -> Vec<u64>;
    /// What the living ends know.
    fn describe(live: &LiveOf<Self>) -> String;

    /// A successor takes a free role. A finished ring takes no producer.
    ///
    /// # Errors
    /// A violation.
    fn attach(&self, live: &mut LiveOf<Self>, role: Role) -> Verdict {
        self.attach_while(live, role, |_| Ok(()))
    }
}

/// Something either end does.
#[derive(Clone, Debug)]
pub enum Act<K: Ring> {
    Send(K::TxOp),
    Receive(K::RxOp),
}

impl<K: Ring> Act<K> {
    pub fn all(plan: &Plan<K>, role: Role) -> impl Iterator<Item = Self> {
        let (tx, rx) = match role {
            Role::Producer => (&plan.tx[..], &[][..]),
            Role::Consumer => (&[][..], &plan.rx[..]),
        };
        tx.iter().cloned().map(Self::Send).chain(rx.iter().cloned().map(Self::Receive))
    }

    pub fn run(&self, ring: &K, live: &mut LiveOf<K>) -> Verdict<Effect> {
        match self {
            Self::Send(op) => ring.send(live, op),
            Self::Receive(op) => ring.receive(live, op),
        }
    }
}

impl<T, R> Live<T, R> {
    /// Whether nobody holds a role.
    pub fn is_vacant(&self, role: Role) -> bool {
        match role {
            Role::Producer => self.tx.is_none(),
            Role::Consumer => self.rx.is_none(),
        }
    }

    /// An end is gone.
    pub fn vacate(&mut self, role: Role) {
        match role {
            Role::Producer => self.tx = None,
            Role::Consumer => self.rx = None,
        }
    }
}

/// A successor takes a free role, and in the middle of that, after so many accesses, the other end does something.
/// `None` if it was over before.
pub fn overlap<K: Ring>(
    ring: &Rc<K>,
    live: &LiveOf<K>,
    role: Role,
    accesses: usize,
    act: Rc<Act<K>>,
) -> Verdict<Option<LiveOf<K>>> {
    let other = Rc::new(RefCell::new((live.clone(), Ok(Effect::None))));
    let (rig, guest) = (ring.clone(), other.clone());
    ring.guest().invite(accesses, move || {
        let (live, outcome) = &mut *guest.borrow_mut();
        *outcome = act.run(&rig, live);
    });
    let mut both = live.clone();
    let mut came = false;
    ring.attach_while(&mut both, role, |both| {
        came = !ring.guest().dismiss();
        if !came {
            return Ok(());
        }
        let (live, outcome) = other.replace((both.clone(), Ok(Effect::None)));
        *both = live;
        both.ghost.apply(&outcome?);
        Ok(())
    })?;
    Ok(came.then_some(both))
}

impl Ring for Rig {
    type Shape = Shape;
    type Tx = RecordTx<Ram>;
    type Rx = RecordRx<Ram>;
    type TxOp = TxOp;
    type RxOp = RxOp;

    fn new(shape: Shape, bug: Bug) -> Self {
        Self::new(shape, bug)
    }

    /// Every start offset.
    fn origins(shape: Shape) -> Vec<(Image, Live)> {
        let offsets = (0..shape.capacity).step_by(8);
        offsets
            .map(|offset| {
                let shape = shape.at(shape.position.wrapping_add(offset), shape.sequence);
                let live = Live { tx: None, rx: None, ghost: Ghost::new(&shape) };
                (Self::new(shape, Bug::None).save(), live)
            })
            .collect()
    }

    fn save(&self) -> Image {
        self.save()
    }

    fn restore(&self, image: &[u64]) {
        self.restore(image);
    }

    fn take_log(&self) -> Vec<Store> {
        self.take_log()
    }

    fn bounds(&self) -> Vec<usize> {
        self.bounds()
    }

    fn attach_while(
        &self,
        live: &mut Live,
        role: Role,
        meanwhile: impl FnOnce(&mut Live) -> Verdict,
    ) -> Verdict {
        self.attach_while(live, role, meanwhile)
    }

    fn guest(&self) -> &Guest {
        &self.guest
    }

    fn send(&self, live: &mut Live, op: &TxOp) -> Verdict<Effect> {
        self.send(live, op)
    }

    fn receive(&self, live: &mut Live, op: &RxOp) -> Verdict<Effect> {
        self.receive(live, *op)
    }

    fn inspect(&self, live: &Live) -> Verdict {
        self.inspect(live)
    }

    fn scorch(&self, image: &mut Image, live: &Live) {
        self.scorch(image, live);
    }

    /// Positions and sequence numbers relative to the first message that is not taken, in words of the ring too (see
    /// [`crate::model::content`]).
    fn relative(&self, image: &[u64], live: &Live) -> Vec<u64> {
        let capacity = 8 * (image.len() - CONTROLS.len()) as u64;
        let [tail, sequence, _, read, received, free, freed, ..] = image[..CONTROLS.len()] else {
            unreachable!()
        };
        let origin = read & !(capacity - 1);
        let at = |position: u64| position.wrapping_sub(origin);
        let nth = |sequence: u64| sequence.wrapping_sub(live.ghost.taken);
        let low = |word: u64| {
            let relative = nth(word >> 2) << 2 & u64::from(u32::MAX);
            if word == 0 { 0 } else { word & !0xffff_fffc | relative }
        };
        let mut seen = vec![at(tail), nth(sequence), at(read), nth(received), at(free), nth(freed)];
        seen.extend(relative_marks(image, &live.ghost));
        seen.extend(image[CONTROLS.len()..].iter().map(|&word| low(word)));
        if let Some(tx) = &live.tx {
            let [tail, sequence, free, freed, end] = tx.private();
            // With less than the word behind a message left, something is to be done first.
            let short = end.wrapping_sub(tail).max(8);
            seen.extend([at(tail), nth(sequence), at(free), nth(freed), short]);
        }
        if let Some(rx) = &live.rx {
            let [read, received, free, padding, next, end] = rx.private();
            let short = end.wrapping_sub(read).max(8);
            seen.extend([at(read), nth(received), at(free), padding, low(next), short]);
            seen.push(u64::from(rx.state() == RingState::Finished));
        }
        seen
    }

    fn describe(live: &Live) -> String {
        let tx = live.tx.as_ref().map(RecordTx::private);
        let rx = live.rx.as_ref().map(RecordRx::private);
        format!(
            "producer, tail, sequence, free, freed, end: {tx:?}\n\
             consumer, read, received, free, padding, next: {rx:?}"
        )
    }
}

impl Ring for SlotRig {
    /// Depth and group.
    type Shape = (u64, u64);
    type Tx = SlotTx<Ram>;
    type Rx = SlotRx<Ram>;
    type TxOp = SlotTxOp;
    type RxOp = SlotRxOp;

    fn new((depth, group): (u64, u64), bug: Bug) -> Self {
        Self::new(depth, group, bug)
    }

    /// The beginning alone: every other place is reached from there.
    fn origins((depth, group): (u64, u64)) -> Vec<(Image, LiveOf<Self>)> {
        let rig = Self::new(depth, group, Bug::None);
        vec![(rig.save(), rig.vacant())]
    }

    fn save(&self) -> Image {
        self.save()
    }

    fn restore(&self, image: &[u64]) {
        self.restore(image);
    }

    fn take_log(&self) -> Vec<Store> {
        self.take_log()
    }

    fn bounds(&self) -> Vec<usize> {
        self.bounds()
    }

    fn attach_while(
        &self,
        live: &mut LiveOf<Self>,
        role: Role,
        meanwhile: impl FnOnce(&mut LiveOf<Self>) -> Verdict,
    ) -> Verdict {
        self.attach_while(live, role, meanwhile)
    }

    fn guest(&self) -> &Guest {
        &self.guest
    }

    fn send(&self, live: &mut LiveOf<Self>, op: &SlotTxOp) -> Verdict<Effect> {
        self.send(live, *op)
    }

    fn receive(&self, live: &mut LiveOf<Self>, op: &SlotRxOp) -> Verdict<Effect> {
        self.receive(live, *op)
    }

    fn inspect(&self, live: &LiveOf<Self>) -> Verdict {
        self.inspect(live)
    }

    fn relative(&self, image: &[u64], live: &LiveOf<Self>) -> Vec<u64> {
        self.relative(image, live)
    }

    fn describe(live: &LiveOf<Self>) -> String {
        let tx = live.tx.as_ref().map(SlotTx::private);
        let rx = live.rx.as_ref().map(SlotRx::private);
        format!(
            "producer, sequence, stop, limit, dirty_to: {tx:?}\n\
             consumer, read, known: {rx:?}"
        )
    }
}
