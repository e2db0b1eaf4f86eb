//! A small explorer: every state that a ring can get into by whole operations and by deaths in the middle of them.
//!
//! A state is the memory, what the living ends know in private, and what the specification says. From each state
//! every operation is tried, complete, and cut short after each of its stores; a free role is taken by a successor,
//! whose own recovery is cut short in every place as well, and so on: the number of deaths has no bound. In between
//! the other end works on if it lives, and, if asked for, also in the middle of a takeover. States that differ only in how often the ring was lapped and in how many
//! messages have passed are one state, so on a small ring the search comes to an end by itself.

use crate::model::{Bug, CONTROLS, Effect, Ghost, Image, Live, Rig, RxOp, Shape, TxOp, Verdict, index_of};
use shmq::testing::Halt;
use shmq::testing::layout::Role;
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// What to explore.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The ring.
    pub shape: Shape,
    /// What producers do.
    pub tx: Vec<TxOp>,
    /// What consumers do.
    pub rx: Vec<RxOp>,
    /// Stop after so many states.
    pub limit: usize,
    /// Whether the other end may act in the middle of a takeover, too.
    pub overlap: bool,
    /// Planted, if the search is to fail.
    pub bug: Bug,
}

/// What was explored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Different states.
    pub states: usize,
    /// Ways from one state to the next: operations, attaches.
    pub steps: usize,
    /// Deaths in the middle of one.
    pub deaths: usize,
    /// Takeovers in the middle of which the other end did something.
    pub overlaps: usize,
    /// Whether there was nothing left to explore.
    pub complete: bool,
}

#[derive(Clone)]
struct State {
    image: Image,
    live: Live,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Live { tx, rx, ghost } = &self.live;
        let (controls, ring) = self.image.split_at(CONTROLS.len());
        writeln!(f, "{ghost:?}")?;
        writeln!(f, "tail, sequence, dirty, read, received, free, freed: {controls:?}")?;
        writeln!(f, "ring: {ring:x?}")?;
        let tx = tx.as_ref().map(|tx| tx.private());
        writeln!(f, "producer, tail, sequence, free, freed, dirty, soiled: {tx:?}")?;
        write!(f, "consumer, read, received, free, next: {:?}", rx.as_ref().map(|rx| rx.private()))
    }
}

struct Explorer<'a> {
    plan: &'a Plan,
    rig: Rc<Rig>,
    seen: HashSet<u64>,
    todo: VecDeque<State>,
    tally: Tally,
}

/// Explores from every start offset of the ring.
///
/// # Errors
/// The first violation, with the step that led to it.
pub fn explore(plan: &Plan) -> Verdict<Tally> {
    let Shape { capacity, position, sequence, .. } = plan.shape;
    let mut explorer = Explorer {
        plan,
        rig: Rc::new(Rig::new(plan.shape, plan.bug)),
        seen: HashSet::new(),
        todo: VecDeque::new(),
        tally: Tally::default(),
    };
    for offset in (0..capacity).step_by(8) {
        let shape = plan.shape.at(position.wrapping_add(offset), sequence);
        let image = Rig::new(shape, Bug::None).save();
        let live = Live { tx: None, rx: None, ghost: Ghost::new(&shape) };
        explorer.visit(State { image, live });
    }
    while let Some(state) = explorer.todo.pop_front() {
        if explorer.tally.states >= plan.limit {
            return Ok(explorer.tally);
        }
        explorer.expand(&state)?;
    }
    explorer.tally.complete = true;
    Ok(explorer.tally)
}

impl Explorer<'_> {
    fn visit(&mut self, state: State) {
        if self.seen.insert(fingerprint(&state)) {
            self.tally.states += 1;
            self.todo.push_back(state);
        }
    }

    fn expand(&mut self, state: &State) -> Verdict {
        if state.live.tx.is_some() {
            for op in &self.plan.tx {
                self.step(state, Role::Producer, op, |rig, live| rig.send(live, op))?;
            }
            self.die(state, Role::Producer);
        } else {
            let doing = "attach of a producer";
            self.step(state, Role::Producer, &doing, |rig, live| {
                rig.attach(live, Role::Producer).map(|()| Effect::None)
            })?;
            for &op in self.plan.rx.iter().filter(|_| self.plan.overlap && state.live.rx.is_some()) {
                self.overlap(state, Role::Producer, &op, move |rig, live| rig.receive(live, op))?;
            }
        }
        if state.live.rx.is_some() {
            for op in &self.plan.rx {
                self.step(state, Role::Consumer, op, |rig, live| rig.receive(live, *op))?;
            }
            self.die(state, Role::Consumer);
        } else {
            let doing = "attach of a consumer";
            self.step(state, Role::Consumer, &doing, |rig, live| {
                rig.attach(live, Role::Consumer).map(|()| Effect::None)
            })?;
            for op in self.plan.tx.iter().filter(|_| self.plan.overlap && state.live.tx.is_some()) {
                let act = Rc::new(op.clone());
                self.overlap(state, Role::Consumer, op, move |rig, live| rig.send(live, &act))?;
            }
        }
        Ok(())
    }

    /// One operation: complete, and cut short after each of its stores.
    fn step(
        &mut self,
        state: &State,
        role: Role,
        what: &dyn std::fmt::Debug,
        run: impl FnOnce(&Rig, &mut Live) -> Verdict<Effect>,
    ) -> Verdict {
        let failed = |problem: String| format!("{what:?}: {problem}\nin {state}");
        self.rig.restore(&state.image);
        let mut live = state.live.clone();
        let effect = run(&self.rig, &mut live).map_err(failed)?;
        let log = self.rig.take_log();
        // What a dying successor found out dies with it; what an end that was at work saw was there.
        let lived = match role {
            Role::Producer => state.live.tx.is_some(),
            Role::Consumer => state.live.rx.is_some(),
        };
        let mut ghost = if lived { live.ghost.clone() } else { state.live.ghost.clone() };
        ghost.cut_short(&effect);
        live.ghost.apply(&effect);
        self.tally.steps += 1;
        self.rig.inspect(&live).map_err(failed)?;
        let image = self.rig.save();
        self.visit(State { image, live });

        let dead = without(&state.live, role, ghost);
        let mut image = state.image.clone();
        for (stores, &(at, value)) in log.iter().enumerate().take(log.len().saturating_sub(1)) {
            let index = index_of(at).ok_or_else(|| failed(format!("a store at {at:#x}")))?;
            image[index] = value;
            self.tally.deaths += 1;
            self.rig.restore(&image);
            let cut =
                |problem| failed(format!("dead after {} of {} stores: {problem}", stores + 1, log.len()));
            self.rig.inspect(&dead).map_err(cut)?;
            self.visit(State { image: image.clone(), live: dead.clone() });
        }
        Ok(())
    }

    /// A takeover in the middle of which the other end does something, at every point of it.
    fn overlap(
        &mut self,
        state: &State,
        role: Role,
        what: &dyn std::fmt::Debug,
        act: impl Fn(&Rig, &mut Live) -> Verdict<Effect> + Clone + 'static,
    ) -> Verdict {
        for accesses in 0.. {
            let failed = |problem: String| {
                format!(
                    "{what:?} after {accesses} accesses of a takeover of the {role}: {problem}\nin {state}"
                )
            };
            self.rig.restore(&state.image);
            let met = self.rig.overlap(&state.live, role, accesses, act.clone()).map_err(failed)?;
            let Some(live) = met else { break };
            self.tally.overlaps += 1;
            self.rig.inspect(&live).map_err(failed)?;
            self.visit(State { image: self.rig.save(), live });
        }
        Ok(())
    }

    /// An end that dies, or leaves, between two operations.
    fn die(&mut self, state: &State, role: Role) {
        let live = without(&state.live, role, state.live.ghost.clone());
        self.visit(State { image: state.image.clone(), live });
    }
}

fn without(live: &Live, role: Role, ghost: Ghost) -> Live {
    match role {
        Role::Producer => Live { tx: None, rx: live.rx.clone(), ghost },
        Role::Consumer => Live { tx: live.tx.clone(), rx: None, ghost },
    }
}

/// A state as seen from its first message that is not taken: positions and sequence numbers relative to it, in words
/// of the ring too (see [`crate::model::content`]).
fn fingerprint(state: &State) -> u64 {
    let State { image, live } = state;
    let capacity = 8 * (image.len() - CONTROLS.len()) as u64;
    let [tail, sequence, dirty, read, received, free, freed] = image[..CONTROLS.len()] else {
        unreachable!()
    };
    let origin = read & !(capacity - 1);
    let at = |position: u64| position.wrapping_sub(origin);
    let nth = |sequence: u64| sequence.wrapping_sub(live.ghost.taken);
    let low = |word: u64| {
        let relative = nth(word >> 2) << 2 & u64::from(u32::MAX);
        if word == 0 { 0 } else { word & !0xffff_fffc | relative }
    };
    let mut hasher = DefaultHasher::new();
    [at(tail), nth(sequence), at(dirty), at(read), nth(received), at(free), nth(freed)].hash(&mut hasher);
    image[CONTROLS.len()..].iter().map(|&word| low(word)).for_each(|word| word.hash(&mut hasher));
    let tx = live.tx.as_ref().map(|tx| {
        let [tail, sequence, free, freed, dirty, stop, soiled] = tx.private();
        [at(tail), nth(sequence), at(free), nth(freed), at(dirty), at(stop), at(soiled)]
    });
    let rx = live.rx.as_ref().map(|rx| {
        let [read, received, free, padding, next] = rx.private();
        ([at(read), nth(received), at(free), padding, low(next)], rx.halt() == Halt::Finished)
    });
    (tx, rx).hash(&mut hasher);
    (&live.ghost.queue, live.ghost.finished, &live.ghost.doubt, live.ghost.released).hash(&mut hasher);
    hasher.finish()
}
