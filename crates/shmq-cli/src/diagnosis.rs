//! Who is stuck, why, and what to do: the sentences for whoever is called at night.
//!
//! Everything here is derived from a [`View`]. The kernel's locks say who is alive; what /proc says of a process is told as
//! such. A time is given only where something proves it: a wait that an end noted itself, a count that has not moved since its
//! holder came, or the time between two looks.

use crate::attach::quoted;
use crate::units::{show_count, show_messages, show_percent, show_rough};
use crate::view::{End, View};
use serde::Serialize;
use shmq::PeerState::{Attached, Left, Lost, NeverAttached};
use std::ffi::OsStr;
use std::time::Duration;

/// What a queue is doing, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Messages move.
    Flowing,
    /// Nothing waits, nothing moves.
    Idle,
    /// Messages wait, and none moved between two looks, or there was only one look.
    Waiting,
    /// Nobody takes what waits, and somebody ought to: an end is stopped, blocked or missing.
    Stuck,
    /// The end of data was declared; messages still wait.
    Finished,
    /// The end of data was declared, and everything was taken.
    Done,
    /// No end was ever taken.
    Unused,
    /// It contradicts itself, or the file is not what it says.
    Damaged,
    /// From before the machine last started, and not left cleanly.
    OldBoot,
    /// Not a queue of messages.
    Memory,
}

impl State {
    pub fn words(self) -> &'static str {
        match self {
            Self::Flowing => "flowing",
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Stuck => "stuck",
            Self::Finished => "finished",
            Self::Done => "done",
            Self::Unused => "unused",
            Self::Damaged => "damaged",
            Self::OldBoot => "old boot",
            Self::Memory => "memory",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Note,
    /// May become trouble.
    Warning,
    /// Somebody waits for somebody.
    Trouble,
}

/// One thing to know about a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub level: Level,
    /// Stable, for alerts.
    pub code: &'static str,
    pub says: String,
    /// What to do about it.
    pub todo: Option<String>,
}

/// Nearly full from here on.
const NEARLY: f64 = 0.9;
/// An end that waits for less than this is not worth a word.
const BRIEF_NS: u64 = 1_000_000_000;

/// The state, and what to know, the worst first.
pub fn of(view: &View) -> (State, Vec<Advice>) {
    let mut advice = Vec::new();
    let state = if view.damage.is_some() {
        damaged(view, &mut advice);
        State::Damaged
    } else if !view.has_messages() {
        State::Memory
    } else if is_old(&view.producer) || is_old(&view.consumer) {
        old_boot(view, &mut advice);
        State::OldBoot
    } else {
        let state = living(view, &mut advice);
        notes(view, &mut advice);
        state
    };
    advice.sort_by_key(|advice| std::cmp::Reverse(advice.level));
    (state, advice)
}

fn is_old(end: &End) -> bool {
    end.from_another_boot && end.peer != Attached
}

fn add(to: &mut Vec<Advice>, level: Level, code: &'static str, says: String, todo: Option<String>) {
    to.push(Advice { level, code, says, todo });
}

fn damaged(view: &View, advice: &mut Vec<Advice>) {
    let says = format!("the file is damaged: {}", view.damage.as_deref().unwrap_or_default());
    let name = name_of(view);
    let todo =
        format!("`shmq dump {name}` shows what can still be read; `shmq rm --force {name}` removes it");
    add(advice, Level::Trouble, "damaged", says, Some(todo));
}

fn old_boot(view: &View, advice: &mut Vec<Advice>) {
    let says = "it is from before the machine last started and was not left cleanly: what it holds may be any mix of old and \
                new, and nobody can take an end of it any more";
    let name = name_of(view);
    let todo = format!(
        "`shmq dump {name}` shows what can be read; then `shmq rm --force {name}` and create it anew"
    );
    add(advice, Level::Trouble, "old_boot", says.into(), Some(todo));
}

fn name_of(view: &View) -> String {
    quoted(OsStr::new(&view.name))
}

/// A queue that can go on.
fn living(view: &View, advice: &mut Vec<Advice>) -> State {
    let (producer, consumer) = (&view.producer, &view.consumer);
    let moved = view.sample.map(|sample| sample.sent_messages + sample.received_messages);
    let waiting = view.pending_messages > 0;
    if producer.epoch == 0 && consumer.epoch == 0 {
        return State::Unused;
    }
    stopped(producer, "producer", advice);
    stopped(consumer, "consumer", advice);
    if view.finished && !waiting {
        return State::Done;
    }
    if moved.is_some_and(|moved| moved > 0) {
        if view.fill_ratio >= NEARLY {
            let says = format!(
                "the queue is {} full: the producer sends faster than the consumer takes",
                show_percent(view.fill_ratio)
            );
            add(advice, Level::Warning, "nearly_full", says, Some(SIZING.into()));
        }
        return State::Flowing;
    }
    let stuck = waiting && (nobody_takes(view, advice) || takes_nothing(view, advice))
        || !waiting && waits_for_nothing(view, advice);
    match (stuck, waiting) {
        (true, _) => State::Stuck,
        (false, true) if view.finished => State::Finished,
        (false, true) => State::Waiting,
        (false, false) => State::Idle,
    }
}

const SIZING: &str =
    "make the consumer faster, or the queue larger: `shmq copy` moves what waits into a larger one";

/// An end whose process does not run because someone stopped it.
fn stopped(end: &End, role: &'static str, advice: &mut Vec<Advice>) {
    let (code, says, todo) = match end.condition.as_deref() {
        Some("stopped") => (
            "stopped",
            format!("the {role} ({}) is stopped, by a signal or from a terminal", who(end)),
            format!("`kill -CONT {}` lets it go on; nothing is lost meanwhile", end.pid),
        ),
        Some("traced") => (
            "traced",
            format!("the {role} ({}) is held by a debugger", who(end)),
            "let it go on in the debugger, or detach".into(),
        ),
        _ => return,
    };
    let code = match (role, code) {
        ("producer", "stopped") => "producer_stopped",
        ("producer", _) => "producer_traced",
        (_, "stopped") => "consumer_stopped",
        _ => "consumer_traced",
    };
    add(advice, Level::Trouble, code, says, Some(todo));
}

/// `pid 4711, worker`, or what can be said instead.
pub fn who(end: &End) -> String {
    match &end.command {
        Some(command) if end.process_sure => format!("pid {}, {command}", end.pid),
        Some(command) => format!("pid {}, probably {command}", end.pid),
        None => format!("pid {}", end.pid),
    }
}

fn ns(ns: u64) -> String {
    show_rough(Duration::from_nanos(ns))
}

/// `3 812 messages wait`.
fn wait(messages: u64) -> String {
    format!("{} wait{}", show_messages(messages), if messages == 1 { "s" } else { "" })
}

/// What a producer that waits for room adds to a sentence.
fn blocked(view: &View) -> String {
    match (view.producer.peer, view.producer.stalled_for_ns) {
        (Attached, Some(time)) => format!(
            "; the producer ({}) has been blocked on a full queue for {}",
            who(&view.producer),
            ns(time)
        ),
        _ => String::new(),
    }
}

/// Messages wait and there is no consumer.
fn nobody_takes(view: &View, advice: &mut Vec<Advice>) -> bool {
    let consumer = &view.consumer;
    let (code, what) = match consumer.peer {
        Attached => return false,
        NeverAttached => ("no_consumer", "no consumer ever came".to_owned()),
        Left => ("consumer_left", format!("the consumer (was pid {}) has left", consumer.pid)),
        Lost => ("consumer_lost", format!("the consumer (was pid {}) died without leaving", consumer.pid)),
    };
    let says = format!("{}, and {what}{}", wait(view.pending_messages), blocked(view));
    let hurts = view.producer.stalled_for_ns.is_some() || view.fill_ratio >= NEARLY || consumer.peer == Lost;
    let level = if hurts { Level::Trouble } else { Level::Warning };
    let todo = "start the consumer: it goes on where the one before was, nothing is lost";
    add(advice, level, code, says, Some(todo.into()));
    hurts
}

/// Messages wait, and the consumer, which lives, took none between two looks.
fn takes_nothing(view: &View, advice: &mut Vec<Advice>) -> bool {
    let (Some(sample), consumer) = (view.sample, &view.consumer) else { return false };
    if consumer.peer != Attached {
        return false;
    }
    let since = if consumer.messages_since_it_came == 0 {
        format!("since it came, {} ago,", ns(since_1970(consumer.since_ns)))
    } else {
        match view.producer.stalled_for_ns.filter(|_| view.producer.peer == Attached) {
            // No room came back for so long: at most the rest of a run may have been taken.
            Some(time) if time > sample.ns => format!("for {}", ns(time)),
            _ => format!("in the last {}", ns(sample.ns)),
        }
    };
    let mut says = format!(
        "the consumer ({}) is attached but has taken nothing {since} while {}",
        who(consumer),
        wait(view.pending_messages)
    );
    says += &blocked(view);
    if let Some(ago) = consumer.stalled_until_ago_ns.filter(|&ago| ago > BRIEF_NS) {
        says += &format!("; the consumer last woke for a message {} ago", ns(ago));
    }
    let blocked = view.producer.stalled_for_ns.is_some_and(|time| time > BRIEF_NS);
    let (code, todo) = match consumer.condition.as_deref() {
        // Said already.
        Some("stopped" | "traced") => ("consumer_takes_nothing", None),
        _ if consumer.stalled_for_ns.is_some_and(|time| time > sample.ns) => (
            "consumer_asleep",
            Some(
                "it sleeps although messages wait, which must not happen: run `shmq doctor` and report it"
                    .into(),
            ),
        ),
        Some("running") => (
            "consumer_busy",
            Some(format!(
                "it is running: busy with what it took before, or in a loop; look with `top -Hp {0}` or `gdb -p {0}`",
                consumer.pid
            )),
        ),
        Some("uninterruptible") => (
            "consumer_blocked",
            Some(format!(
                "it waits for a disk or a network file system; look at `cat /proc/{}/wchan` and the storage",
                consumer.pid
            )),
        ),
        Some(_) => (
            "consumer_blocked",
            Some(format!(
                "it sleeps, but not on this queue: it waits for something else; look with `strace -p {0}` or `gdb -p {0}`",
                consumer.pid
            )),
        ),
        None => (
            "consumer_takes_nothing",
            Some(format!(
                "its process cannot be seen from here: pid {} is one of another container or user; look there",
                consumer.pid
            )),
        ),
    };
    let level = if blocked || todo.is_none() { Level::Trouble } else { Level::Warning };
    add(advice, level, code, says, todo);
    blocked || matches!(consumer.condition.as_deref(), Some("stopped" | "traced"))
}

/// Nothing waits, and the consumer waits for a producer that cannot send.
fn waits_for_nothing(view: &View, advice: &mut Vec<Advice>) -> bool {
    let (producer, consumer) = (&view.producer, &view.consumer);
    if consumer.peer != Attached || view.finished {
        return false;
    }
    if matches!(producer.condition.as_deref(), Some("stopped" | "traced")) {
        return true;
    }
    let how = consumer.stalled_for_ns.map_or(String::new(), |time| format!(" ({} already)", ns(time)));
    let todo = Some("start the producer: it goes on where the one before was".to_owned());
    let (level, code, what) = match producer.peer {
        Lost => (Level::Trouble, "producer_lost", "died before it declared the end of data"),
        Left => (Level::Note, "producer_left", "has left without declaring the end of data"),
        NeverAttached => (Level::Note, "no_producer", "has not come yet"),
        Attached => return false,
    };
    let says = format!("the consumer ({}) waits{how} for a producer that {what}", who(consumer));
    add(advice, level, code, says, todo);
    level == Level::Trouble
}

/// What is good to know, whatever else.
fn notes(view: &View, advice: &mut Vec<Advice>) {
    for (end, role) in [(&view.producer, "producer"), (&view.consumer, "consumer")] {
        if end.refused > 0 {
            let n = end.refused;
            let why =
                if role == "producer" { "a full queue or a message too large" } else { "a buffer too small" };
            let times = if n == 1 { "once".into() } else { format!("{} times", show_count(n)) };
            let says = format!("the {role} was refused {times}: {why}");
            add(
                advice,
                Level::Note,
                if role == "producer" { "sends_refused" } else { "receives_refused" },
                says,
                None,
            );
        }
    }
    if view.producer.peer == Lost && view.consumer.peer != Attached && !view.finished {
        let says =
            format!("the producer (was pid {}) died before it declared the end of data", view.producer.pid);
        add(
            advice,
            Level::Note,
            "producer_lost",
            says,
            Some("start it again: it goes on where it was".into()),
        );
    }
    if view.removed {
        let says = "the file was removed: who has it open goes on, nobody else can come".to_owned();
        add(advice, Level::Warning, "removed", says, None);
    }
    if view.from_another_boot {
        let says = "it was made before the machine last started, and left cleanly".to_owned();
        add(advice, Level::Note, "from_another_boot", says, None);
    }
}

/// Nanoseconds since then.
pub fn since_1970(then_ns: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    (now.map_or(0, |now| now.as_nanos() as u64)).saturating_sub(then_ns)
}
