//! What both ends of a queue under torture have in common: how they come, wait, pause, and say what they found.

use super::note::{self, Holder, Note, Wrong};
use super::plan::{Form, Messages};
use crate::args::{Part, Plant, TorturePartArgs};
use shmq::{AttachError, PeerState, RecvError, Role, SendError, TryRecvError, TrySendError, Until, Waiting};
use shmq_tool::draw::{Draw, mix};
use shmq_tool::failure::Failure;
use shmq_tool::page::Page;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The files of a queue under torture: the queue, the notes, and what went wrong in words.
pub const QUEUE: &str = "queue";
pub const NOTES: &str = "notes";
pub const WHY: &str = "why";

/// Where one of them is.
pub fn path(base: &str, what: &str) -> PathBuf {
    shmq::path_of(format!("{base}-{what}")).unwrap_or_default()
}

/// A role is asked for again for so long: its holder was killed, and its memory may still be taken apart.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why an operation has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Full, or empty, for as long as it may wait.
    TimedOut,
    Left,
    Lost,
    Finished,
    /// What should not happen.
    Failed(String),
}

impl From<TrySendError> for CallError {
    fn from(error: TrySendError) -> Self {
        match error {
            TrySendError::Full => Self::TimedOut,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<SendError> for CallError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::TimedOut => Self::TimedOut,
            SendError::ConsumerLeft => Self::Left,
            SendError::ConsumerLost => Self::Lost,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<TryRecvError> for CallError {
    fn from(error: TryRecvError) -> Self {
        match error {
            TryRecvError::Empty => Self::TimedOut,
            TryRecvError::Finished => Self::Finished,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<RecvError> for CallError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::TimedOut => Self::TimedOut,
            RecvError::ProducerLeft => Self::Left,
            RecvError::ProducerLost => Self::Lost,
            RecvError::Finished => Self::Finished,
            other => Self::Failed(other.to_string()),
        }
    }
}

/// What either end says of itself and of the other one.
pub trait End {
    fn next_sequence(&self) -> u64;
    fn epoch(&self) -> u64;
    fn peer(&self) -> PeerState;
    fn peer_epoch(&self) -> u64;
    fn set_waiting(&mut self, waiting: Waiting);
}

/// One process's view of the torture.
#[derive(Debug)]
pub struct Stage {
    pub page: Page,
    pub form: Form,
    pub messages: Messages,
    pub plant: Option<Plant>,
    pub soak: bool,
    role: Role,
    base: String,
    life: u64,
}

impl Stage {
    pub fn open(args: &TorturePartArgs) -> Result<Self, Failure> {
        let planted = args.plant.is_some();
        let form = Form::draw(args.seed, args.slots, planted);
        let role = match args.part {
            Part::Producer => Role::Producer,
            Part::Consumer => Role::Consumer,
        };
        Ok(Self {
            page: note::open(&path(&args.base, NOTES))?,
            form,
            messages: Messages::new(args.seed, form, planted),
            plant: args.plant,
            soak: args.soak,
            role,
            base: args.base.clone(),
            life: args.life,
        })
    }

    /// Where the queue is.
    pub fn queue(&self) -> PathBuf {
        path(&self.base, QUEUE)
    }

    /// What this life does is its own; the messages are the queue's.
    pub fn draw(&self, seed: u64) -> Draw {
        Draw::new(seed ^ mix(self.life))
    }

    /// A promise is broken: notes it, and says how.
    pub fn found(&self, wrong: Wrong, count: u64, text: impl std::fmt::Display) -> Failure {
        let text = format!("{} {} (process {}): {text}", self.role, self.life, std::process::id());
        // This process is about to end; whoever calls it gone is right.
        self.leave();
        // First the words, as the parent looks for them once it sees the note. Whoever is first has the cause.
        if let Ok(mut file) = std::fs::File::create_new(path(&self.base, WHY)) {
            let _ = file.write_all(text.as_bytes());
        }
        self.page.add(Note::Wrong(wrong), count);
        Failure::new(text)
    }

    /// Takes the role. `None` after the end of data.
    pub fn take<E: End>(
        &self,
        mut take: impl FnMut() -> Result<E, AttachError>,
    ) -> Result<Option<E>, Failure> {
        self.page.set(Note::Arrived(self.role), self.life);
        let begin = Instant::now();
        loop {
            match take() {
                Ok(end) => return Ok(Some(end)),
                Err(AttachError::Finished { .. }) if self.page.get(Note::Stop) != 0 => {
                    self.end();
                    return Ok(None);
                }
                Err(AttachError::Busy { .. }) if begin.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_micros(100));
                }
                Err(error) => {
                    return Err(self.found(Wrong::Refused, 1, format!("cannot take its role: {error}")));
                }
            }
        }
    }

    /// From now on, whoever calls this process dead is wrong.
    pub fn enter(&self, end: &impl End) {
        Holder { life: self.life, epoch: end.epoch() }.write(&self.page, self.role);
    }

    /// And from now on no more.
    pub fn leave(&self) {
        Holder::leave(&self.page, self.role);
    }

    /// This end has come to the end of data.
    pub fn end(&self) {
        self.page.set(Note::Ended(self.role), self.life);
    }

    /// Whether a broken promise is noted.
    pub fn is_broken(&self) -> bool {
        Wrong::ALL.iter().any(|&wrong| self.page.get(Note::Wrong(wrong)) > 0)
    }

    /// Checks and counts what was said of the other end; `epoch` is its number as it was before.
    pub fn told(&self, stop: &CallError, epoch: u64) -> Result<(), Failure> {
        let (note, said) = match stop {
            CallError::Lost => (Note::ToldLost, "lost"),
            CallError::Left => (Note::ToldLeft, "left"),
            CallError::Failed(why) => return Err(self.found(Wrong::Refused, 1, why)),
            CallError::TimedOut if self.plant == Some(Plant::Heartbeat) => (Note::ToldLost, "silent"),
            CallError::TimedOut | CallError::Finished => return Ok(()),
        };
        let peer = self.role.peer();
        if Holder::is_alive(&self.page, peer, epoch) {
            let text = format!("the {peer} with epoch {epoch} was called {said}, and lives");
            return Err(self.found(Wrong::CalledDead, 1, text));
        }
        self.page.add(note, 1);
        // As a program would: another one will come.
        std::thread::sleep(Duration::from_micros(100));
        Ok(())
    }

    /// Looks at the other end's state, and checks what it says.
    pub fn look(&self, end: &impl End) -> Result<(), Failure> {
        let epoch = end.peer_epoch();
        let peer = self.role.peer();
        match end.peer() {
            PeerState::Attached => Ok(()),
            PeerState::NeverAttached if epoch == 0 => Ok(()),
            PeerState::Left | PeerState::Lost if !Holder::is_alive(&self.page, peer, epoch) => Ok(()),
            state => {
                let text = format!("the {peer} with epoch {epoch} is said to be {state}, and lives");
                Err(self.found(Wrong::CalledDead, 1, text))
            }
        }
    }
}

/// How a life goes: how it waits, and how often it pauses.
#[derive(Debug)]
pub struct Temper {
    pauses: u64,
}

impl Temper {
    /// Draws one, and sets the end's waiting.
    pub fn draw(draw: &mut Draw, end: &mut impl End) -> Self {
        let waiting = match draw.below(16) {
            0..=5 => Waiting::new(),
            6..=9 => Waiting::shared_core(),
            10..=13 => Waiting::low_power(),
            14 => Waiting::new().spin(Duration::from_micros(1)).sleep(false),
            _ => Waiting::dedicated_core(),
        };
        end.set_waiting(waiting.across_restarts(draw.below(2) == 0).adaptive(draw.below(4) != 0));
        Self { pauses: [4, 64, 64, 4096][draw.below(4) as usize] }
    }

    /// Most often nothing; now and then a few microseconds, or a sleep.
    pub fn pause(&self, draw: &mut Draw) {
        if draw.below(self.pauses) != 0 {
            return;
        }
        if draw.below(4) == 0 {
            std::thread::sleep(some_time(draw, 11));
        } else {
            let begin = Instant::now();
            let pause = some_time(draw, 6);
            while begin.elapsed() < pause {
                std::hint::spin_loop();
            }
        }
    }
}

/// Now and then some work in the middle of an operation, so that a death there is not too rare.
pub fn linger(number: u64) {
    if mix(number).is_multiple_of(32) {
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// From a microsecond to `2^doublings` of them, each doubling as likely as the next.
pub fn some_time(draw: &mut Draw, doublings: u64) -> Duration {
    let whole = 1000 << draw.below(doublings);
    Duration::from_nanos(whole + draw.below(whole))
}

/// How long an operation may wait.
pub fn some_patience(draw: &mut Draw) -> Until {
    match draw.below(8) {
        0 => Until::After(Duration::ZERO),
        1..=4 => Until::After(some_time(draw, 15)),
        _ => Until::Forever,
    }
}
