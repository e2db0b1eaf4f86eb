//! A queue as every command shows it: one struct, from which come the text of `ls` and `stat`, and all JSON.
//!
//! A [`Subject`] is a queue that is open for looking; a [`Look`] is what it was like at one moment; a [`View`] is what two
//! looks say together; what follows from it, [`crate::diagnosis`] adds. Names and units of the fields are part of the schema.

use crate::advice::{Advice, State};
use serde::Serialize;
use shmq::{EndSnapshot, Inspector, Kind, OpenError, PeerState, Process, Reading, Role, Snapshot};
use shmq_tool::failure::Failure;
use shmq_tool::units::{plain, show_count, shown};
use std::ffi::OsStr;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A queue that is open for looking.
#[derive(Debug)]
pub struct Subject {
    /// As it was asked for.
    pub name: String,
    pub path: PathBuf,
    pub inspector: Looker,
    mode: u32,
    uid: u32,
    inode: (u64, u64),
}

/// What looks: at a pool, there is more to see.
#[derive(Debug)]
pub enum Looker {
    Queue(Box<Inspector>),
    Pool(Box<shmq_pool::Inspector>),
}

impl Looker {
    fn of(inspector: Inspector, path: &OsStr) -> Result<Self, OpenError> {
        if inspector.kind() != Kind::Pool {
            return Ok(Self::Queue(Box::new(inspector)));
        }
        match shmq_pool::Inspector::of(inspector) {
            Ok(pool) => Ok(Self::Pool(Box::new(pool))),
            // Its first page is as it should be, and its sizes are impossible: shown as far as any file is.
            Err(damage) => {
                let queue = Inspector::open_damaged(path)?.damaged_by(damage);
                Ok(Self::Queue(Box::new(queue)))
            }
        }
    }

    pub fn pool(&self) -> Option<&shmq_pool::Inspector> {
        match self {
            Self::Queue(_) => None,
            Self::Pool(pool) => Some(pool),
        }
    }

    pub fn check(&self) -> Vec<shmq::Check> {
        self.pool().map_or_else(|| Inspector::check(self), shmq_pool::Inspector::check)
    }
}

/// What any file has.
impl Deref for Looker {
    type Target = Inspector;

    fn deref(&self) -> &Inspector {
        match self {
            Self::Queue(queue) => queue,
            Self::Pool(pool) => pool.queue(),
        }
    }
}

/// One look.
#[derive(Clone, Debug)]
pub struct Look {
    pub monotonic_ns: u64,
    pub seen: Snapshot,
    pub blocks: Option<shmq_pool::Snapshot>,
    pub producer: Option<Process>,
    pub consumer: Option<Process>,
}

impl Subject {
    pub fn open(name: &OsStr) -> Result<Self, OpenError> {
        Self::of(name, Inspector::open(name)?)
    }

    /// Also what is left of a queue, see [`Inspector::open_damaged`].
    pub fn open_damaged(name: &OsStr) -> Result<Self, OpenError> {
        Self::of(name, Inspector::open_damaged(name)?)
    }

    fn of(name: &OsStr, inspector: Inspector) -> Result<Self, OpenError> {
        let inspector = Looker::of(inspector, name)?;
        let path = shmq::path_of(name).unwrap_or_default();
        let failed = |source| OpenError::Io { doing: format!("look at {}", shown(&path)), source };
        let file = std::fs::symlink_metadata(&path).map_err(failed)?;
        Ok(Self {
            name: shown(name),
            path,
            inspector,
            mode: file.mode() & 0o7777,
            uid: file.uid(),
            inode: (file.dev(), file.ino()),
        })
    }

    /// What is wrong with the file itself, so far.
    pub fn damage(&self) -> Option<String> {
        let torn = || self.inspector.is_torn().then(|| TORN.to_owned());
        self.inspector.damage().map(ToString::to_string).or_else(torn)
    }

    /// The bytes of a path that can only be shown in quotes.
    pub fn path_hex(&self) -> Option<String> {
        let bytes = self.path.as_os_str().as_bytes();
        (shown(&self.path).as_bytes() != bytes)
            .then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Permission bits of the file.
    pub fn mode(&self) -> u32 {
        self.mode & 0o777
    }

    /// Whether the name still leads to this file; if not, it was removed or replaced.
    pub fn is_current(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.inode)
    }

    pub fn look(&self) -> Look {
        let seen = self.inspector.snapshot();
        Look {
            monotonic_ns: monotonic_ns(),
            seen,
            blocks: self.inspector.pool().map(shmq_pool::Inspector::snapshot),
            producer: self.inspector.process(Role::Producer),
            consumer: self.inspector.process(Role::Consumer),
        }
    }

    /// The numbers of a look, for Prometheus.
    pub fn readings(&self, look: &Look) -> Vec<Reading> {
        match (&self.inspector, &look.blocks) {
            (Looker::Pool(pool), Some(blocks)) => pool.readings(blocks).collect(),
            (looker, _) => looker.readings(&look.seen).collect(),
        }
    }
}

const TORN: &str = "it was truncated while it was looked at, by whoever may write it";

/// Whoever may write a file may truncate it while it is mapped here; that is then told, and ends nothing. Behind all other
/// handlers of SIGBUS. Where the kernel refuses it, everything else still works.
pub fn guard() {
    let _ = shmq::sigbus::install();
}

/// Nanoseconds of the clock that never jumps.
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A queue, as it was and as it is.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    pub schema: &'static str,
    pub name: String,
    pub path: String,
    /// Its bytes, where `path` is not the path itself but how a shell would be told of it.
    pub path_hex: Option<String>,
    pub kind: String,
    pub state: State,
    /// The worst first; empty if all is well.
    pub advice: Vec<Advice>,
    /// What is wrong with the file itself.
    pub damage: Option<String>,
    pub queue_id: String,
    pub tag: String,
    pub created_ns: u64,
    pub from_another_boot: bool,
    /// The name is gone, or leads to another file by now.
    pub removed: bool,
    /// Octal, as text.
    pub mode: String,
    pub owner_uid: u32,
    pub file_bytes: u64,
    pub capacity_bytes: u64,
    pub max_message_bytes: u64,
    pub max_messages: Option<u64>,
    /// Of fixed-size messages: how long each is, and how many fit.
    pub message_bytes: Option<u64>,
    pub depth: Option<u64>,
    pub sent_messages: u64,
    pub received_messages: u64,
    pub pending_messages: u64,
    pub pending_bytes: u64,
    pub used_bytes: u64,
    /// From 0 to 1: of the ring, or of the most messages, whichever is nearer to its limit.
    pub fill_ratio: f64,
    /// The largest backlog that is known of: noted when an end comes, leaves or begins to wait.
    pub most_pending_messages: u64,
    pub tail_position: u64,
    pub read_position: u64,
    pub free_position: u64,
    pub finished: bool,
    /// What the producer noted with the last message that it marked.
    pub mark: Option<Mark>,
    /// Which queue this one continues.
    pub origin: Option<Origin>,
    pub producer: End,
    pub consumer: End,
    /// Of a pool: where its blocks are.
    pub pool: Option<Blocks>,
    /// What happened between two looks; `null` if there was only one.
    pub sample: Option<Sample>,
}

/// Where the blocks of a pool are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Blocks {
    pub blocks: u64,
    pub block_bytes: u64,
    /// With the writer: free, or on loan to its program.
    pub home_blocks: u64,
    /// Sent and not received.
    pub under_way_blocks: u64,
    /// With the reader, or with one that died.
    pub held_blocks: u64,
    /// Given back, and not yet taken by the writer.
    pub returning_blocks: u64,
    /// Given back since the pool was made.
    pub returned_blocks: u64,
    /// Given back between two looks; 0 if there was only one.
    #[serde(skip)]
    pub returned_meanwhile: u64,
}

impl Blocks {
    fn of(pool: &shmq_pool::Inspector, seen: &shmq_pool::Snapshot) -> Self {
        Self {
            blocks: pool.blocks(),
            block_bytes: pool.block_size(),
            home_blocks: seen.at_home,
            under_way_blocks: seen.under_way,
            held_blocks: seen.held,
            returning_blocks: seen.coming_back,
            returned_blocks: seen.returned,
            returned_meanwhile: 0,
        }
    }

    /// Those that the writer cannot have: under way, or with the reader.
    pub fn gone(&self) -> u64 {
        self.under_way_blocks.saturating_add(self.held_blocks).min(self.blocks)
    }
}

/// What a producer noted with a message.
#[derive(Clone, Debug, Serialize)]
pub struct Mark {
    /// Of that message.
    pub sequence: u64,
    /// 16 bytes, as hexadecimal digits.
    pub note: String,
}

/// Which queue another one continues.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    pub queue_id: String,
    /// Number there of the message that comes next.
    pub next: u64,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What happened between two looks.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    pub ns: u64,
    pub sent_messages: u64,
    pub received_messages: u64,
    pub sent_per_second: f64,
    pub received_per_second: f64,
}

/// One end.
#[derive(Clone, Debug, Serialize)]
pub struct End {
    pub state: &'static str,
    /// How often the role was taken; all but the first are takeovers.
    pub epoch: u64,
    pub takeovers: u64,
    /// In the PID namespace of the process itself.
    pub pid: u64,
    pub since_ns: u64,
    /// Of the process, if it can be found here.
    pub command: Option<String>,
    pub condition: Option<String>,
    /// Whether its open files prove that it is the right process; otherwise id and age only fit.
    pub process_sure: bool,
    pub cpu_ns: Option<u64>,
    /// Of one processor, between two looks.
    pub cpu_ratio: Option<f64>,
    /// Sent or taken since this holder came.
    pub messages_since_it_came: u64,
    pub sleeps: u64,
    pub wakes: u64,
    pub stalls: u64,
    pub refused: u64,
    pub stalled_since_monotonic_ns: Option<u64>,
    /// How long it has been waiting, if it is and lives.
    pub stalled_for_ns: Option<u64>,
    /// How long ago it last came out of waiting.
    pub stalled_until_ago_ns: Option<u64>,
    /// All such waits together, the present one too.
    pub stalled_total_ns: u64,
    pub most_pending_messages: u64,
    pub from_another_boot: bool,
    #[serde(skip)]
    pub peer: PeerState,
}

impl End {
    fn new(end: &EndSnapshot, process: Option<&Process>, count: u64) -> Self {
        let lives = end.state == PeerState::Attached;
        let since = |then: Option<u64>| then.filter(|_| lives).and_then(|then| end.now_ns.checked_sub(then));
        let stalled_for_ns = since(end.stalled_since_ns);
        Self {
            state: match end.state {
                PeerState::NeverAttached => "never_attached",
                PeerState::Attached => "attached",
                PeerState::Left => "left",
                PeerState::Lost => "lost",
            },
            epoch: end.epoch,
            takeovers: end.epoch.saturating_sub(1),
            pid: end.pid,
            since_ns: end.since_ns,
            command: process.map(|process| plain(&process.command)),
            condition: process.map(|process| process.condition.to_string()),
            process_sure: process.is_some_and(|process| process.sure),
            cpu_ns: process.map(|process| process.cpu_ns),
            cpu_ratio: None,
            messages_since_it_came: if end.epoch == 0 { 0 } else { count.saturating_sub(end.began) },
            sleeps: end.sleeps,
            wakes: end.wakes,
            stalls: end.stalls,
            refused: end.refused,
            stalled_since_monotonic_ns: end.stalled_since_ns,
            stalled_for_ns,
            stalled_until_ago_ns: since(end.stalled_until_ns),
            stalled_total_ns: end.stalled_ns.saturating_add(stalled_for_ns.unwrap_or(0)),
            most_pending_messages: end.most_pending,
            from_another_boot: end.from_another_boot,
            peer: end.state,
        }
    }
}

impl View {
    /// What one look says, or two, without what follows from it.
    pub fn measured(subject: &Subject, before: Option<&Look>, now: &Look) -> Self {
        let (it, seen) = (&subject.inspector, &now.seen);
        let limits = it.limits();
        let fixed = it.kind() == Kind::Slots;
        let mut view = Self {
            schema: "shmq.stat/1",
            name: subject.name.clone(),
            path: shown(&subject.path),
            path_hex: subject.path_hex(),
            kind: it.kind().to_string(),
            state: State::Idle,
            advice: Vec::new(),
            damage: subject.damage(),
            queue_id: hex(&it.queue_id()),
            tag: plain(String::from_utf8_lossy(&it.tag()).trim_end_matches('\0')),
            created_ns: it.created_ns(),
            from_another_boot: it.is_from_another_boot(),
            removed: !subject.is_current(),
            mode: format!("{:04o}", subject.mode),
            owner_uid: subject.uid,
            file_bytes: it.length(),
            capacity_bytes: limits.capacity,
            max_message_bytes: limits.max_message,
            max_messages: limits.max_messages,
            message_bytes: fixed.then_some(limits.max_message),
            depth: limits.max_messages.filter(|_| fixed),
            sent_messages: seen.sent,
            received_messages: seen.received,
            pending_messages: seen.pending_messages,
            pending_bytes: seen.pending_bytes,
            used_bytes: seen.used_bytes,
            fill_ratio: fill(it, seen),
            most_pending_messages: seen.most_pending,
            tail_position: seen.tail,
            read_position: seen.read,
            free_position: seen.free,
            finished: seen.finished,
            mark: seen.mark.map(|mark| Mark { sequence: mark.sequence, note: hex(&mark.note) }),
            origin: seen.origin.map(|origin| Origin { queue_id: hex(&origin.queue_id), next: origin.next }),
            producer: End::new(&seen.producer, now.producer.as_ref(), seen.sent),
            consumer: End::new(&seen.consumer, now.consumer.as_ref(), seen.received),
            pool: it.pool().zip(now.blocks.as_ref()).map(|(pool, blocks)| Blocks::of(pool, blocks)),
            sample: None,
        };
        if let Some(pool) = &view.pool {
            // What its rings hold are handles; what counts are the blocks.
            view.capacity_bytes = pool.blocks.saturating_mul(pool.block_bytes);
            view.pending_bytes = pool.under_way_blocks.saturating_mul(pool.block_bytes);
            view.used_bytes = pool.gone().saturating_mul(pool.block_bytes);
            view.fill_ratio = pool.gone() as f64 / pool.blocks.max(1) as f64;
        }
        if let Some(before) = before {
            view.compare(before, now);
        }
        view
    }

    fn compare(&mut self, before: &Look, now: &Look) {
        let ns = now.monotonic_ns.saturating_sub(before.monotonic_ns).max(1);
        let per_second = |n: u64| n as f64 * 1e9 / ns as f64;
        // A takeover may set a count back by what was never stored.
        let sent = self.sent_messages.saturating_sub(before.seen.sent);
        let received = self.received_messages.saturating_sub(before.seen.received);
        self.sample = Some(Sample {
            ns,
            sent_messages: sent,
            received_messages: received,
            sent_per_second: per_second(sent),
            received_per_second: per_second(received),
        });
        if let (Some(pool), Some(before)) = (&mut self.pool, &before.blocks) {
            pool.returned_meanwhile = pool.returned_blocks.saturating_sub(before.returned);
        }
        let used = |a: &Option<Process>, b: &Option<Process>| {
            let (a, b) = (a.as_ref()?, b.as_ref()?);
            (a.pid == b.pid).then(|| b.cpu_ns.saturating_sub(a.cpu_ns) as f64 / ns as f64)
        };
        self.producer.cpu_ratio = used(&before.producer, &now.producer);
        self.consumer.cpu_ratio = used(&before.consumer, &now.consumer);
    }

    /// Whether it has ends, and something that waits: messages, or a pool's blocks.
    pub fn has_ends(&self) -> bool {
        self.kind != Kind::Raw.to_string()
    }

    /// One of the two ends.
    pub fn end(&self, role: Role) -> &End {
        match role {
            Role::Producer => &self.producer,
            Role::Consumer => &self.consumer,
        }
    }

    /// What things are called.
    pub fn words(&self) -> &'static Words {
        Words::of(if self.kind == Kind::Pool.to_string() { Kind::Pool } else { Kind::Records })
    }
}

fn fill(it: &Inspector, seen: &Snapshot) -> f64 {
    let limits = it.limits();
    let of = |used: u64, all: u64| if all == 0 { 0.0 } else { (used as f64 / all as f64).min(1.0) };
    let messages = limits.max_messages.map_or(0.0, |most| of(seen.pending_messages, most));
    match it.kind() {
        Kind::Slots => messages,
        // Eight bytes always stay free.
        Kind::Records => of(seen.used_bytes, limits.capacity.saturating_sub(8)).max(messages),
        _ => 0.0,
    }
}

/// One JSON object on a line.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|e| Failure::new(format!("cannot write JSON: {e}")))?;
    Ok(text + "\n")
}

/// What the parts of a file of one kind are called.
#[derive(Debug)]
pub struct Words {
    pub producer: &'static str,
    pub consumer: &'static str,
    file: &'static str,
    thing: &'static str,
}

impl Words {
    const QUEUE: Self = Self { producer: "producer", consumer: "consumer", file: "queue", thing: "message" };
    const POOL: Self = Self { producer: "writer", consumer: "reader", file: "pool", thing: "block" };

    /// Of a file of this kind.
    pub fn of(kind: Kind) -> &'static Self {
        if kind == Kind::Pool { &Self::POOL } else { &Self::QUEUE }
    }

    pub fn end(&self, role: Role) -> &'static str {
        match role {
            Role::Producer => self.producer,
            Role::Consumer => self.consumer,
        }
    }

    /// `queue`, or `pool`.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// `message`, or `block`.
    pub fn thing(&self) -> &'static str {
        self.thing
    }

    /// `3 812 messages`.
    pub fn count(&self, n: u64) -> String {
        format!("{} {}{}", show_count(n), self.thing, if n == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p5_an_end_that_counts_what_it_likes_between_two_looks_is_shown_as_it_says() {
        let name = format!("shmq-cli-counts-{}", std::process::id());
        let queue = shmq::Queue::create(&name, &shmq::Options::new()).unwrap();
        drop(queue.producer().unwrap());
        let subject = Subject::open(OsStr::new(&name)).unwrap();
        queue.remove().unwrap();
        let (before, mut now) = (subject.look(), subject.look());
        (now.seen.sent, now.seen.received) = (u64::MAX, u64::MAX);
        let view = View::new(&subject, Some(&before), &now);
        assert_eq!((view.state, view.sample.unwrap().sent_messages), (State::Flowing, u64::MAX));
    }
}
