//! A sequence of steps on one ring, with deaths and successors.

use super::{Bug, Effect, Live, Rig, RxOp, Shape, TxOp, Verdict};
use shmq_core::layout::Role;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The producer does something.
    Tx(TxOp),
    /// The consumer does something.
    Rx(RxOp),
    /// An end leaves and a successor comes.
    Replace(Role),
    /// The producer dies while it does something, after so many of its stores.
    KillTx(TxOp, usize),
    /// The consumer dies likewise.
    KillRx(RxOp, usize),
    /// An end leaves, and its successor dies while it takes over.
    KillSuccessor(Role, usize),
}

/// A ring in use.
#[derive(Debug)]
pub struct Play {
    rig: Rig,
    live: Live,
}

impl Play {
    /// Both ends come.
    ///
    /// # Errors
    /// Any violation; as all calls.
    pub fn new(shape: Shape) -> Verdict<Self> {
        let rig = Rig::new(shape, Bug::None);
        let live = rig.vacant();
        let mut play = Self { rig, live };
        play.check(Role::Producer)?;
        play.check(Role::Consumer)?;
        Ok(play)
    }

    /// The ends and what they ought to know.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Does all steps, then shows that the ring is still good for everything.
    ///
    /// # Errors
    /// The first violation, with the step that showed it.
    pub fn run(shape: Shape, steps: &[Step]) -> Verdict {
        let mut play = Self::new(shape)?;
        for (i, step) in steps.iter().enumerate() {
            play.step(step).map_err(|problem| format!("step {i}, {step:?}: {problem}"))?;
        }
        play.close().map_err(|problem| format!("closing: {problem}"))
    }

    /// Does one step.
    ///
    /// # Errors
    /// A violation.
    pub fn step(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Tx(op) => self.act(Role::Producer, None, |rig, live| rig.send(live, op)).map(|_| ()),
            Step::Rx(op) => self.act(Role::Consumer, None, |rig, live| rig.receive(live, *op)).map(|_| ()),
            Step::KillTx(op, after) => {
                self.act(Role::Producer, Some(*after), |rig, live| rig.send(live, op)).map(|_| ())
            }
            Step::KillRx(op, after) => {
                self.act(Role::Consumer, Some(*after), |rig, live| rig.receive(live, *op)).map(|_| ())
            }
            Step::Replace(role) => {
                self.vacate(*role);
                self.check(*role)
            }
            Step::KillSuccessor(role, after) => {
                self.vacate(*role);
                let attach = |rig: &Rig, live: &mut Live| rig.attach(live, *role).map(|()| Effect::None);
                self.cut(*role, *after, attach)
            }
        }
    }

    fn vacate(&mut self, role: Role) {
        match role {
            Role::Producer => self.live.tx = None,
            Role::Consumer => self.live.rx = None,
        }
    }

    fn is_vacant(&self, role: Role) -> bool {
        match role {
            Role::Producer => self.live.tx.is_none(),
            Role::Consumer => self.live.rx.is_none(),
        }
    }

    /// A role is taken, if it is free, and everything is looked at.
    fn check(&mut self, role: Role) -> Verdict {
        if self.is_vacant(role) {
            self.rig.attach(&mut self.live, role)?;
        }
        self.rig.inspect(&self.live)
    }

    fn act(
        &mut self,
        role: Role,
        kill: Option<usize>,
        run: impl FnOnce(&Rig, &mut Live) -> Verdict<Effect>,
    ) -> Verdict<Effect> {
        self.check(role)?;
        if self.is_vacant(role) {
            // Finished: no producer comes any more.
            return Ok(Effect::None);
        }
        if let Some(after) = kill {
            return self.cut(role, after, run).map(|()| Effect::None);
        }
        self.rig.take_log();
        let effect = run(&self.rig, &mut self.live)?;
        self.live.ghost.apply(&effect);
        self.rig.inspect(&self.live)?;
        Ok(effect)
    }

    /// Runs something, then takes the last of its stores back: `after` of them, round about, have happened.
    fn cut(
        &mut self,
        role: Role,
        after: usize,
        run: impl FnOnce(&Rig, &mut Live) -> Verdict<Effect>,
    ) -> Verdict {
        let before = self.rig.save();
        let live = self.live.clone();
        let lived = !self.is_vacant(role);
        self.rig.take_log();
        let effect = run(&self.rig, &mut self.live)?;
        let log = self.rig.take_log();
        let known = std::mem::replace(&mut self.live, live).ghost;
        if lived {
            self.live.ghost = known;
            self.live.ghost.cut_short(&effect);
        }
        self.rig.restore(&before);
        self.rig.replay(&log[..after % (log.len() + 1)]);
        self.vacate(role);
        self.rig.inspect(&self.live)
    }

    /// Both ends are replaced if need be, the ring is drained, and the largest message goes round twice.
    fn close(&mut self) -> Verdict {
        let Shape { capacity, max_message, .. } = self.rig.shape;
        self.check(Role::Producer)?;
        while self.act(Role::Consumer, None, |rig, live| rig.receive(live, RxOp::Recv))? != Effect::None {}
        if !self.live.ghost.queue.is_empty() {
            return Err("messages remain".into());
        }
        for _ in 0..2 * capacity / (8 + max_message) + 2 {
            self.step(&Step::Tx(TxOp::Send(max_message)))?;
            self.step(&Step::Rx(RxOp::Recv))?;
        }
        Ok(())
    }
}
