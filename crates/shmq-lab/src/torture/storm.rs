//! One queue under torture, seen from the parent: it starts both ends, kills, stops and continues them, replaces whoever is
//! gone, and in the end has the queue finished and drained.

use super::footprint::{Footprint, Growth};
use super::note::{self, Holder, Note, Sending, Taking, Wrong};
use super::plan::Form;
use super::progress::Progress;
use super::queue::Queue;
use super::stage::{NOTES, QUEUE, WHY, path, some_time};
use super::tally::{Moment, Tally};
use crate::args::Plant;
use shmq::{Inspector, PeerState, Role};
use shmq_tool::actor::{self, Actor};
use shmq_tool::draw::Draw;
use shmq_tool::failure::Failure;
use shmq_tool::interrupt::Interrupt;
use shmq_tool::page::Page;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How the names of all files begin.
pub const PREFIX: &str = "shmq-lab-";
/// Neither a message sent nor one taken for so long: something is stuck.
const STUCK: Duration = Duration::from_secs(30);
/// A process needs no longer than this to get as far as asking for its role.
const START: Duration = Duration::from_secs(10);
/// In a soak, an end's memory counts from here on: by then it has seen long messages.
const WARM: Duration = Duration::from_secs(5);
const ROLES: [Role; 2] = [Role::Producer, Role::Consumer];

/// What one queue is to go through.
#[derive(Clone, Copy, Debug)]
pub struct Brief {
    pub seed: u64,
    pub slots: bool,
    pub plant: Option<Plant>,
    pub soak: bool,
    pub length: Duration,
    /// At most so many.
    pub kills: u64,
}

/// The files of one queue; gone when dropped, unless kept.
#[derive(Debug)]
pub struct Files {
    base: String,
    kept: bool,
}

impl Files {
    pub fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { base: format!("{PREFIX}{}-{:x}", std::process::id(), now.as_nanos()), kept: false }
    }

    /// Leaves queue and notes for whoever wants to see what happened.
    pub fn keep(&mut self) -> Vec<PathBuf> {
        self.kept = true;
        let _ = std::fs::remove_file(path(&self.base, WHY));
        [QUEUE, NOTES].map(|what| path(&self.base, what)).into()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if !self.kept {
            for what in [QUEUE, NOTES, WHY] {
                let _ = std::fs::remove_file(path(&self.base, what));
            }
        }
    }
}

/// An end, and which life it is.
#[derive(Debug)]
struct Runner {
    actor: Actor,
    life: u64,
}

/// One queue under way.
pub struct Storm<'a> {
    brief: &'a Brief,
    base: String,
    tally: &'a mut Tally,
    interrupt: &'a Interrupt,
    progress: &'a Progress,
    page: Page,
    queue: Queue,
    inspector: Inspector,
    /// By role.
    runners: [Runner; 2],
    begin: Instant,
    kills_before: u64,
    /// The last progress, and when.
    moved: (u64, Instant),
}

impl<'a> Storm<'a> {
    pub fn begin(
        brief: &'a Brief,
        files: &Files,
        tally: &'a mut Tally,
        interrupt: &'a Interrupt,
        progress: &'a Progress,
    ) -> Result<Self, Failure> {
        let base = files.base.clone();
        let page = note::create(&path(&base, NOTES))?;
        let form = Form::draw(brief.seed, brief.slots, brief.plant.is_some());
        let queue = Queue::create(&path(&base, QUEUE), form)?;
        let inspector = queue.inspect()?;
        let runners = [start(brief, &base, Role::Producer, 1)?, start(brief, &base, Role::Consumer, 1)?];
        let begin = Instant::now();
        let (moved, kills_before) = ((0, begin), tally.kills());
        Ok(Self {
            brief,
            base,
            tally,
            interrupt,
            progress,
            page,
            queue,
            inspector,
            runners,
            begin,
            kills_before,
            moved,
        })
    }

    /// Until the time is up, and then until the queue is finished and drained.
    pub fn run(mut self, draw: &mut Draw) -> Result<(), Failure> {
        while self.begin.elapsed() < self.brief.length && self.may_kill() && !self.tally.is_broken() {
            self.look()?;
            if self.brief.soak {
                self.disturb(draw)?;
            } else {
                self.strike(draw)?;
            }
        }
        self.page.set(Note::Stop, 1);
        // Also in the middle of finishing.
        for _ in 0..draw.below(4) {
            if !self.brief.soak && self.may_kill() && !self.tally.is_broken() {
                self.strike(draw)?;
            }
        }
        while !self.tally.is_broken()
            && !ROLES.map(|role| self.has_ended(role)).into_iter().all(|ended| ended)
        {
            self.look()?;
            std::thread::sleep(Duration::from_micros(500));
        }
        self.count();
        Ok(())
    }

    fn runner(&mut self, role: Role) -> &mut Runner {
        &mut self.runners[usize::from(role == Role::Consumer)]
    }

    fn may_kill(&self) -> bool {
        self.tally.kills() - self.kills_before < self.brief.kills
    }

    /// Whether an end has come to the end of data.
    fn has_ended(&self, role: Role) -> bool {
        self.page.get(Note::Ended(role)) != 0
    }

    /// Replaces whoever has left, and looks whether all goes on.
    fn look(&mut self) -> Result<(), Failure> {
        self.interrupt.check()?;
        for role in ROLES {
            self.look_at(role)?;
        }
        self.look_at_notes();
        let passed = Taking::read(&self.page).next;
        self.progress.show(self.tally.kills(), self.tally.messages + passed);
        let done = passed + Sending::read(&self.page).sent;
        if done != self.moved.0 {
            self.moved = (done, Instant::now());
        } else if self.moved.1.elapsed() > STUCK {
            self.tally.stuck += 1;
            self.tally.why.push(format!("nothing has moved for {STUCK:?}, {passed} messages were taken"));
        }
        Ok(())
    }

    fn look_at(&mut self, role: Role) -> Result<(), Failure> {
        if self.has_ended(role) {
            return Ok(());
        }
        match self.runner(role).actor.is_done() {
            Ok(false) => {}
            // Noted before it ended.
            Ok(true) if self.has_ended(role) => {}
            Ok(true) => self.follow(role)?,
            Err(failure) => self.crash(failure),
        }
        Ok(())
    }

    /// An end that failed without saying why in the notes.
    fn crash(&mut self, failure: Failure) {
        self.look_at_notes();
        if !self.tally.is_broken() {
            self.tally.crashed += 1;
            self.tally.why.push(match failure {
                Failure::Said(_, text) => text,
                Failure::Exit(code) => format!("exit code {code}"),
                Failure::Signal(signal) => format!("signal {signal}"),
            });
        }
    }

    fn look_at_notes(&mut self) {
        if !self.tally.is_broken() && Wrong::ALL.iter().any(|&wrong| self.page.get(Note::Wrong(wrong)) > 0) {
            let why = std::fs::read_to_string(path(&self.base, WHY));
            self.tally.why.push(why.unwrap_or_else(|e| format!("what went wrong cannot be read: {e}")));
        }
    }

    /// Starts a successor.
    fn follow(&mut self, role: Role) -> Result<(), Failure> {
        let life = self.runner(role).life + 1;
        *self.runner(role) = start(self.brief, &self.base, role, life)?;
        Ok(())
    }

    /// Kills an end or both, or stops one for a while.
    fn strike(&mut self, draw: &mut Draw) -> Result<(), Failure> {
        let role = ROLES[draw.below(2) as usize];
        if draw.below(8) != 0 {
            self.await_arrival(role)?;
        }
        nap(some_time(draw, 13));
        match draw.below(20) {
            0 => self.stop(role, draw),
            1..=3 => {
                self.doom(role);
                self.doom(role.peer());
                self.kill(role.peer())?;
                self.kill(role)
            }
            _ => {
                self.doom(role);
                self.kill(role)
            }
        }
    }

    /// Nobody dies: an end is stopped for a while, now and then.
    fn disturb(&mut self, draw: &mut Draw) -> Result<(), Failure> {
        self.weigh();
        std::thread::sleep(Duration::from_millis(50 + draw.below(200)));
        self.stop(ROLES[draw.below(2) as usize], draw)
    }

    /// Until it asks for its role, if it gets there.
    fn await_arrival(&mut self, role: Role) -> Result<(), Failure> {
        let begin = Instant::now();
        while begin.elapsed() < START && !self.tally.is_broken() && !self.has_ended(role) {
            if self.page.get(Note::Arrived(role)) >= self.runner(role).life {
                break;
            }
            self.look_at(role)?;
            nap(Duration::from_micros(20));
        }
        Ok(())
    }

    /// From now on it may be called dead.
    fn doom(&mut self, role: Role) {
        let life = self.runner(role).life;
        self.page.set(Note::Doomed(role), life);
    }

    fn kill(&mut self, role: Role) -> Result<(), Failure> {
        if self.has_ended(role) {
            return Ok(());
        }
        if !self.runner(role).actor.kill()? {
            // It has left just now, or failed.
            return self.look_at(role);
        }
        match role {
            Role::Producer => self.tally.producer_kills += 1,
            Role::Consumer => self.tally.consumer_kills += 1,
        }
        let life = self.runner(role).life;
        self.tally.moments[self.moment(role, life) as usize] += 1;
        self.follow(role)
    }

    /// Where it was, by its notes.
    fn moment(&self, role: Role, life: u64) -> Moment {
        if Holder::read(&self.page, role).is_none_or(|holder| holder.life != life) {
            let arrived = self.page.get(Note::Arrived(role)) == life;
            return if arrived { Moment::Taking } else { Moment::Starting };
        }
        let taking = Taking::read(&self.page);
        let calling = match role {
            Role::Producer => Sending::read(&self.page).doubt > 0,
            Role::Consumer => taking.doubt + taking.open > 0,
        };
        if calling { Moment::Calling } else { Moment::Between }
    }

    /// Stops an end for a while: nobody may call it dead, nor take its role. Then it goes on, or dies.
    fn stop(&mut self, role: Role, draw: &mut Draw) -> Result<(), Failure> {
        if self.has_ended(role) {
            return Ok(());
        }
        let life = self.runner(role).life;
        if !self.runner(role).actor.stop()? {
            return self.look_at(role);
        }
        self.tally.stops += 1;
        let holds = Holder::read(&self.page, role).is_some_and(|holder| holder.life == life);
        let begin = Instant::now();
        let pause = Duration::from_millis(1) + some_time(draw, 16);
        loop {
            if holds {
                self.look_at_stopped(role);
            }
            if begin.elapsed() >= pause {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if holds && draw.below(4) == 0 {
            self.tally.rivals += 1;
            if !self.queue.is_taken(role) {
                self.call_dead(format!("another {role} was let in while the first one was stopped"));
            }
        }
        if !self.brief.soak && draw.below(2) == 0 {
            self.tally.stopped_kills += 1;
            self.doom(role);
            return self.kill(role);
        }
        self.runner(role).actor.go_on()
    }

    fn look_at_stopped(&mut self, role: Role) {
        self.tally.looks += 1;
        let state = self.inspector.state(role);
        if state != PeerState::Attached {
            self.call_dead(format!("a stopped {role} is said to be {state}"));
        }
    }

    fn call_dead(&mut self, text: String) {
        self.page.add(Note::Wrong(Wrong::CalledDead), 1);
        self.tally.why.push(text);
    }

    /// In a soak: what the ends hold, once they are warm and from then on.
    fn weigh(&mut self) {
        if self.begin.elapsed() < WARM.min(self.brief.length / 4) {
            return;
        }
        for role in ROLES {
            let Some(now) = Footprint::of(self.runner(role).actor.pid()) else { continue };
            let kind = self.inspector.kind();
            let name = format!("the {role} of {kind}");
            match self.tally.ends.iter_mut().find(|(of, _)| *of == name) {
                Some((_, growth)) => growth.last = now,
                None => self.tally.ends.push((name, Growth { first: now, last: now })),
            }
        }
    }

    /// Adds up what this queue came to.
    fn count(mut self) {
        self.look_at_notes();
        let (sending, taking) = (Sending::read(&self.page), Taking::read(&self.page));
        let seen = self.inspector.snapshot();
        let tally = self.tally;
        if !tally.is_broken() && (taking.next != seen.sent || seen.received != seen.sent) {
            tally.wrong[Wrong::Lost as usize] += seen.sent.abs_diff(taking.next).max(1);
            tally.why.push(format!("at the end {sending:?}, {taking:?}, and the queue says {seen:?}"));
        }
        for wrong in Wrong::ALL {
            tally.wrong[wrong as usize] += self.page.get(Note::Wrong(wrong));
        }
        tally.messages += taking.next;
        tally.bytes += self.page.get(Note::Bytes);
        tally.again += self.page.get(Note::Again);
        tally.told_lost += self.page.get(Note::ToldLost);
        tally.told_left += self.page.get(Note::ToldLeft);
        // The first holder of each role follows nobody.
        tally.takeovers += (seen.producer.epoch + seen.consumer.epoch).saturating_sub(2);
    }
}

/// Starts an end.
fn start(brief: &Brief, base: &str, role: Role, life: u64) -> Result<Runner, Failure> {
    let part = match role {
        Role::Producer => "producer",
        Role::Consumer => "consumer",
    };
    let mut command = actor::this_program("shmq-lab");
    command.args(["torture-part", part, "--base", base]);
    command.arg("--seed").arg(brief.seed.to_string());
    command.arg("--life").arg(life.to_string());
    command.arg("--parent").arg(std::process::id().to_string());
    if brief.slots {
        command.arg("--slots");
    }
    if brief.soak {
        command.arg("--soak");
    }
    if let Some(plant) = brief.plant {
        command.args(["--plant", plant.name()]);
    }
    Ok(Runner { actor: Actor::start(part, &mut command)?, life })
}

/// Waits also where a sleep would take too long.
fn nap(time: Duration) {
    const SLEEP: Duration = Duration::from_micros(100);
    if time >= SLEEP {
        return std::thread::sleep(time);
    }
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::thread::yield_now();
    }
}
