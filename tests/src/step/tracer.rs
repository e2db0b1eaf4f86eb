//! Runs a child under ptrace, and looks at its queue after every instruction.

use super::{Oracle, Spec, Step, script};
use crate::process::{Child, map_queue};
use shmq::{Kind, Role};
use shmq_core::layout::{READ, TAIL};
use shmq_core::{Memory, word};
use std::path::Path;

/// No operation takes so many instructions. (Where a processor has only load-linked and store-conditional, stepping
/// through the two never ends; this is how it would show.)
const MOST_STEPS: u64 = 3_000_000;

/// Why there was nothing to see, or what was wrong.
#[derive(Debug)]
pub enum Failure {
    /// Tracing is not allowed here.
    Forbidden(String),
    /// A promise was broken.
    Violation(String),
}

/// What a dead process left in the middle of something.
#[derive(Clone)]
pub struct Wreck {
    /// What it was doing.
    pub what: String,
    /// Its file.
    pub image: Vec<u8>,
    /// What the queue holds.
    pub spec: Spec,
}

impl std::fmt::Debug for Wreck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {:?}", self.what, self.spec)
    }
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Operations.
    pub operations: u64,
    /// Instructions.
    pub steps: u64,
    /// States of the file, each different from the one before it.
    pub states: u64,
    /// States with payload or a word behind the tail that nobody can see.
    pub dirty: u64,
    /// States with something published that the stored tail does not cover.
    pub lagging: u64,
    /// Some of the states in the middle of an operation, to start takeovers from.
    pub wrecks: Vec<Wreck>,
}

impl Tally {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.steps += other.steps;
        self.states += other.states;
        self.dirty += other.dirty;
        self.lagging += other.lagging;
    }
}

/// Starts the child with a script on a queue of this kind, that holds what `spec` says, and examines every state that it
/// goes through. `mode` says which ends the child uses: `public`, or the name of a planted fault.
///
/// # Errors
/// The first state that is not as it must be.
pub fn trace(helper: &str, path: &Path, spec: Spec, name: &str, mode: &str) -> Result<Tally, Failure> {
    let kind = if spec.kind == Kind::Slots { "slots" } else { "records" };
    let child = Child::spawn(helper, &["step", kind, path.to_str().unwrap_or_default(), name, mode]);
    let mut tracer = Tracer::new(child, path, spec);
    tracer.begin()?;
    for step in script(name) {
        tracer.play(&step).map_err(|failure| match failure {
            Failure::Violation(why) => Failure::Violation(format!("{step:?}: {why}")),
            forbidden => forbidden,
        })?;
    }
    tracer.end()
}

struct Tracer {
    child: Child,
    map: shmq_core::Map,
    geometry: shmq_core::Geometry,
    oracle: Oracle,
    spec: Spec,
    tally: Tally,
}

/// How a traced process stopped.
enum Stop {
    Stepped,
    Marked,
}

impl Tracer {
    fn new(child: Child, path: &Path, spec: Spec) -> Self {
        let (map, geometry) = map_queue(path);
        let oracle = Oracle::new(path, spec.kind);
        Self { child, map, geometry, oracle, spec, tally: Tally::default() }
    }

    /// Waits for the first mark.
    fn begin(&mut self) -> Result<(), Failure> {
        match self.wait() {
            Ok(_) => Ok(()),
            Err(Failure::Violation(why)) if why.contains("forbidden") => Err(Failure::Forbidden(why)),
            Err(other) => Err(other),
        }
    }

    fn play(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Fill(len) => {
                self.go()?;
                let filled = self.child.line();
                let filled = filled.parse().map_err(|_| Failure::Violation(filled))?;
                self.spec = self.spec.sent(&vec![*len; filled]);
                Ok(())
            }
            Step::Refuse(op) => {
                let as_before = [self.spec.clone()];
                self.watch(&format!("{op:?}"), op.role(), &as_before)
            }
            Step::Do(op) => {
                let allowed = self.spec.during(op);
                self.watch(&format!("{op:?}"), op.role(), &allowed)?;
                self.spec = allowed[allowed.len() - 1].clone();
                Ok(())
            }
        }
    }

    /// One operation, instruction by instruction.
    fn watch(&mut self, what: &str, role: Role, allowed: &[Spec]) -> Result<(), Failure> {
        let before = self.image();
        let mut last = before.clone();
        let mut now = before.clone();
        let (mut reached, mut steps, mut states) = (0, 0u64, Vec::new());
        while let Stop::Stepped = self.step()? {
            steps += 1;
            if steps > MOST_STEPS {
                return Err(Failure::Violation(format!("not over after {steps} instructions")));
            }
            self.copy_to(&mut now);
            if now == last {
                continue;
            }
            last.copy_from_slice(&now);
            reached = self.oracle.examine(&before, &now, role, allowed, reached).map_err(|why| {
                Failure::Violation(format!("killed at instruction {steps}, state {}: {why}", states.len()))
            })?;
            self.classify(&now, &allowed[reached]);
            states.push((reached, now.clone()));
        }
        if reached + 1 != allowed.len() {
            return Err(Failure::Violation(format!(
                "it returned, but has not got beyond {:?}",
                allowed[reached]
            )));
        }
        self.tally.operations += 1;
        self.tally.steps += steps;
        self.tally.states += states.len() as u64;
        // The last state before something counts, the first one in which it does, and one later on.
        let change = states.iter().position(|(at, _)| *at > 0).unwrap_or(states.len());
        for i in [change.checked_sub(1), Some(change), Some((change + states.len()) / 2)] {
            if let Some((at, image)) = i.and_then(|i| states.get(i)) {
                let (what, spec) = (what.to_owned(), allowed[*at].clone());
                self.tally.wrecks.push(Wreck { what, image: image.clone(), spec });
            }
        }
        Ok(())
    }

    /// Notes what kind of state it is, so that the tests can tell that they have seen the difficult ones.
    fn classify(&mut self, image: &[u8], spec: &Spec) {
        if self.spec.kind == Kind::Slots {
            return;
        }
        let parts = self.geometry.parts;
        let word_at = |at: usize| u64::from_le_bytes(image[at..at + 8].try_into().expect("8 bytes"));
        let tail = word_at(parts.producer + TAIL.offset());
        let read = word_at(parts.consumer + READ.offset());
        let at = parts.ring + (tail & (parts.capacity - 1)) as usize;
        let published = word_at(at) != word::NONE || shmq_core::distance(read, tail) > 0;
        self.tally.lagging += u64::from(published && !spec.finished);
        let behind = image[at..].iter().skip(8).take(64).any(|&byte| byte != 0);
        // Beyond what is pending there is free space, unless the ring is nearly full.
        let roomy = tail.wrapping_sub(read) < parts.capacity / 2;
        self.tally.dirty += u64::from(!published && behind && roomy);
    }

    fn image(&self) -> Vec<u8> {
        let mut image = vec![0; self.map.len()];
        self.copy_to(&mut image);
        image
    }

    fn copy_to(&self, image: &mut [u8]) {
        // SAFETY: the whole mapping.
        unsafe { self.map.copy_out(0, image) };
    }

    fn step(&mut self) -> Result<Stop, Failure> {
        self.resume(libc::PTRACE_SINGLESTEP)?;
        self.wait()
    }

    /// Lets it run to its next mark.
    fn go(&mut self) -> Result<(), Failure> {
        self.resume(libc::PTRACE_CONT)?;
        self.wait().map(drop)
    }

    fn resume(&self, how: libc::c_uint) -> Result<(), Failure> {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: a plain system call; the child is traced by this thread, and no signal is passed on.
        match unsafe { libc::ptrace(how, self.child.id() as libc::pid_t, none, none) } {
            0 => Ok(()),
            _ => Err(Failure::Forbidden(format!("ptrace: {}", std::io::Error::last_os_error()))),
        }
    }

    fn wait(&self) -> Result<Stop, Failure> {
        let mut status = 0;
        // SAFETY: the argument is valid; the child is ours.
        let pid = unsafe { libc::waitpid(self.child.id() as libc::pid_t, &mut status, libc::__WALL) };
        if pid < 0 {
            return Err(Failure::Violation(format!("waitpid: {}", std::io::Error::last_os_error())));
        }
        if libc::WIFSTOPPED(status) {
            match libc::WSTOPSIG(status) {
                libc::SIGTRAP => return Ok(Stop::Stepped),
                libc::SIGSTOP => return Ok(Stop::Marked),
                signal => return Err(Failure::Violation(format!("it got signal {signal}"))),
            }
        }
        Err(Failure::Violation(self.child.try_line().unwrap_or_else(|| format!("it ended: {status:#x}"))))
    }

    /// Lets it go; it must end in order.
    fn end(self) -> Result<Tally, Failure> {
        self.resume(libc::PTRACE_DETACH)?;
        if let Some(line) = self.child.try_line() {
            return Err(Failure::Violation(line));
        }
        self.child.succeed();
        Ok(self.tally)
    }
}
