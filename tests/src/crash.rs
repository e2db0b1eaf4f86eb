//! A small explorer: every state that a ring can get into by whole operations and by deaths in the middle of them.
//!
//! A state is the memory, what the living ends know in private, and what the specification says. From each state
//! every operation is tried, complete, and cut short after each of its stores; a free role is taken by a successor,
//! whose own recovery is cut short in every place as well, and so on: the number of deaths has no bound. In between
//! the other end works on if it lives, and, if asked for, also in the middle of a takeover. States that differ only in
//! how often the ring was lapped and in how many messages have passed are one state, so on a small ring the search comes
//! to an end by itself.
//!
//! A process is killed between two instructions, and what it had stored until then stays; but which stores those are is
//! the compiler's choice as well. [`Cut::Program`] takes the stores in the order in which the protocol makes them.
//! [`Cut::Compiler`] takes every set of stores that some lawful order begins with: stores may change places unless a fence, a
//! Release store or the word they share forbids it, also those of two operations in a row, and of a takeover and the operation
//! behind it. That tells what the crash-ordered sites are good for: see the tests that weaken them.

mod cut;
pub mod plans;
mod ring;

pub use cut::Cut;
pub use ring::{LiveOf, Ring};

use crate::model::{Bug, CONTROLS, Effect, Ghost, Image, Rig, Verdict, index_of};
use ring::Act;
use shmq_core::layout::Role;
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// What to explore.
#[derive(Debug)]
pub struct Plan<K: Ring = Rig> {
    /// The ring.
    pub shape: K::Shape,
    /// What producers do.
    pub tx: Vec<K::TxOp>,
    /// What consumers do.
    pub rx: Vec<K::RxOp>,
    /// Stop after so many states.
    pub limit: usize,
    /// Whether the other end may act in the middle of a takeover, too.
    pub overlap: bool,
    /// In which orders a dying process's stores may have happened.
    pub cut: Cut,
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

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.states += more.states;
        self.steps += more.steps;
        self.deaths += more.deaths;
        self.overlaps += more.overlaps;
        self.complete &= more.complete;
    }
}

struct State<K: Ring> {
    image: Image,
    live: LiveOf<K>,
}

struct Explorer<'a, K: Ring> {
    plan: &'a Plan<K>,
    rig: Rc<K>,
    seen: HashSet<u64>,
    todo: VecDeque<State<K>>,
    tally: Tally,
}

/// Explores from every place in which the ring can be empty.
///
/// # Errors
/// The first violation, with the step that led to it.
pub fn explore<K: Ring>(plan: &Plan<K>) -> Verdict<Tally> {
    let rig = Rc::new(K::new(plan.shape, plan.bug));
    let mut explorer =
        Explorer { plan, rig, seen: HashSet::new(), todo: VecDeque::new(), tally: Tally::default() };
    for (image, live) in K::origins(plan.shape) {
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

/// Explores, and prints what there was. A violation is a panic, for tests.
pub fn run<K: Ring>(name: &str, plan: &Plan<K>) -> Tally {
    let tally = explore(plan).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    println!("{name}: {tally:?}");
    tally
}

/// The same, where the search must come to an end by itself.
pub fn run_to_the_end<K: Ring>(name: &str, plan: &Plan<K>) {
    assert!(run(name, plan).complete, "{name}: the search was cut off");
}

/// What an operation, or two in a row, came to.
struct Done {
    effect: Effect,
    /// What is certain if all of it is cut short: what a living end saw was there, also if it dies now.
    learned: Ghost,
}

impl<K: Ring> Explorer<'_, K> {
    fn visit(&mut self, mut state: State<K>) {
        self.rig.scorch(&mut state.image, &state.live);
        let mut hasher = DefaultHasher::new();
        self.rig.relative(&state.image, &state.live).hash(&mut hasher);
        let Ghost { queue, finished, doubt, released, .. } = &state.live.ghost;
        (state.live.tx.is_some(), state.live.rx.is_some()).hash(&mut hasher);
        (queue, finished, doubt, released).hash(&mut hasher);
        if self.seen.insert(hasher.finish()) {
            self.tally.states += 1;
            self.todo.push_back(state);
        }
    }

    fn expand(&mut self, state: &State<K>) -> Verdict {
        for role in [Role::Producer, Role::Consumer] {
            let plan = self.plan;
            let acts = |role| Act::all(plan, role);
            if state.lives(role) {
                for act in acts(role) {
                    self.step(state, role, &act, |rig, live| one(rig, live, &act).map(Some))?;
                }
                self.die(state, role);
            } else {
                self.step(state, role, &"a takeover", |rig, live| {
                    rig.attach(live, role)?;
                    // What a dying successor found out dies with it.
                    Ok(Some(Done { effect: Effect::None, learned: state.live.ghost.clone() }))
                })?;
                for act in acts(role.peer()).filter(|_| plan.overlap && state.lives(role.peer())) {
                    self.overlap(state, role, Rc::new(act))?;
                }
            }
            if plan.cut == Cut::Compiler {
                self.in_a_row(state, role)?;
            }
        }
        Ok(())
    }

    /// Two operations in a row, or a takeover and an operation: some stores of the first may come after some of the second's.
    fn in_a_row(&mut self, state: &State<K>, role: Role) -> Verdict {
        let plan = self.plan;
        for second in Act::all(plan, role) {
            if !state.lives(role) {
                self.step(state, role, &("a takeover", &second), |rig, live| {
                    rig.attach(live, role)?;
                    // A finished ring takes no producer.
                    if live.is_vacant(role) { Ok(None) } else { one(rig, live, &second).map(Some) }
                })?;
                continue;
            }
            for first in Act::all(plan, role) {
                self.step(state, role, &(&first, &second), |rig, live| {
                    let before = one(rig, live, &first)?;
                    if live.is_vacant(role) {
                        return Ok(None);
                    }
                    let mut after = one(rig, live, &second)?;
                    if role == Role::Consumer {
                        let took = if let Effect::Took(messages) = before.effect { messages } else { 0 };
                        let lens: Vec<u64> = before.learned.queue.iter().take(took).copied().collect();
                        after.learned.put_back(&lens);
                    } else {
                        after.learned = before.learned;
                    }
                    Ok(before.effect.then(after.effect).map(|effect| Done { effect, ..after }))
                })?;
            }
        }
        Ok(())
    }

    /// Something one end does: complete, and cut short wherever it can be.
    fn step(
        &mut self,
        state: &State<K>,
        role: Role,
        what: &dyn std::fmt::Debug,
        run: impl FnOnce(&K, &mut LiveOf<K>) -> Verdict<Option<Done>>,
    ) -> Verdict {
        let failed = |problem: String| format!("{what:?}: {problem}\nin {}", state.describe());
        self.rig.restore(&state.image);
        let mut live = state.live.clone();
        let Some(Done { effect, mut learned }) = run(&self.rig, &mut live).map_err(failed)? else {
            return Ok(());
        };
        learned.cut_short(&effect);
        let bounds = self.rig.bounds();
        let log = self.rig.take_log();
        self.tally.steps += 1;
        self.rig.inspect(&live).map_err(failed)?;
        let image = self.rig.save();
        self.visit(State { image, live });

        let mut dead = state.live.clone();
        dead.vacate(role);
        dead.ghost = learned;
        let mut stores = Vec::new();
        for &(at, value) in &log {
            stores.push((index_of(at).ok_or_else(|| failed(format!("a store at {at:#x}")))?, value));
        }
        self.plan.cut.each(&stores, &bounds, &mut |which| {
            let mut image = state.image.clone();
            for (&(index, value), _) in stores.iter().zip(which).filter(|(_, there)| **there) {
                image[index] = value;
            }
            self.tally.deaths += 1;
            self.rig.restore(&image);
            self.rig.inspect(&dead).map_err(|problem| {
                failed(format!("dead with these of its stores made: {which:?}: {problem}"))
            })?;
            self.visit(State { image, live: dead.clone() });
            Ok(())
        })
    }

    /// A takeover in the middle of which the other end does something, at every point of it.
    fn overlap(&mut self, state: &State<K>, role: Role, act: Rc<Act<K>>) -> Verdict {
        for accesses in 0.. {
            let failed = |problem: String| {
                let state = state.describe();
                format!(
                    "{act:?} after {accesses} accesses of a takeover of the {role}: {problem}\nin {state}"
                )
            };
            self.rig.restore(&state.image);
            let met = ring::overlap(&self.rig, &state.live, role, accesses, act.clone()).map_err(failed)?;
            let Some(live) = met else { break };
            self.tally.overlaps += 1;
            self.rig.inspect(&live).map_err(failed)?;
            self.visit(State { image: self.rig.save(), live });
        }
        Ok(())
    }

    /// An end that dies, or leaves, between two operations.
    fn die(&mut self, state: &State<K>, role: Role) {
        let mut live = state.live.clone();
        live.vacate(role);
        self.visit(State { image: state.image.clone(), live });
    }
}

/// One operation of an end that lives.
fn one<K: Ring>(rig: &K, live: &mut LiveOf<K>, act: &Act<K>) -> Verdict<Done> {
    let effect = act.run(rig, live)?;
    let learned = live.ghost.clone();
    live.ghost.apply(&effect);
    Ok(Done { effect, learned })
}

impl<K: Ring> State<K> {
    fn lives(&self, role: Role) -> bool {
        !self.live.is_vacant(role)
    }

    fn describe(&self) -> String {
        let (controls, ring) = self.image.split_at(CONTROLS.len());
        let names = "tail, sequence, dirty, read, received, free, freed, marks";
        let ghost = &self.live.ghost;
        format!("{ghost:?}\n{names}: {controls:?}\nring: {ring:x?}\n{}", K::describe(&self.live))
    }
}
