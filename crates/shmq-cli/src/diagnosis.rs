//! Who is stuck, why, and what to do: the sentences for whoever is called at night.
//!
//! Everything here is derived from a [`View`]. The kernel's locks say who is alive; what /proc says of a process is told as
//! such. A time is given only where something proves it: a wait that an end noted itself, a count that has not moved since its
//! holder came, or the time between two looks.

use crate::advice::{Advice, Level, State};
use crate::attach::quoted;
use crate::view::{End, Look, Subject, View};
use shmq::PeerState::{Attached, Left, Lost, NeverAttached};
use shmq::Role;
use shmq_tool::units::{show_count, show_percent, show_rough};
use std::ffi::OsStr;
use std::time::Duration;

/// Nearly full from here on.
const NEARLY: f64 = 0.9;
/// An end that waits for less than this is not worth a word.
const BRIEF_NS: u64 = 1_000_000_000;

impl Subject {
    /// Two looks so far apart.
    pub fn watch(&self, interval: Duration) -> View {
        let before = self.look();
        if interval.is_zero() {
            return View::new(self, None, &before);
        }
        std::thread::sleep(interval);
        View::new(self, Some(&before), &self.look())
    }
}

impl View {
    /// What one look says, or two, and what follows from it.
    pub fn new(subject: &Subject, before: Option<&Look>, now: &Look) -> Self {
        let mut view = Self::measured(subject, before, now);
        (view.state, view.advice) = of(&view);
        view
    }
}

/// The state, and what to know, the worst first.
pub fn of(view: &View) -> (State, Vec<Advice>) {
    let mut advice = Vec::new();
    let state = if view.damage.is_some() {
        damaged(view, &mut advice);
        State::Damaged
    } else if !view.has_ends() {
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
    let returned = view.pool.map_or(0, |pool| pool.returned_meanwhile);
    let moved = view.sample.map(|sample| {
        // A hostile end counts what it likes.
        let moved = sample.sent_messages.saturating_add(sample.received_messages);
        moved.saturating_add(returned)
    });
    let waiting = view.pending_messages > 0;
    if producer.epoch == 0 && consumer.epoch == 0 {
        return State::Unused;
    }
    stopped(view, Role::Producer, advice);
    stopped(view, Role::Consumer, advice);
    let held_by_the_dead = (!waiting || moved.is_some_and(|moved| moved > 0)) && dead_hold(view, advice);
    if view.finished && !waiting {
        return if held_by_the_dead { State::Stuck } else { State::Done };
    }
    if moved.is_some_and(|moved| moved > 0) {
        if view.fill_ratio >= NEARLY {
            add(advice, Level::Warning, "nearly_full", nearly_full(view), Some(sizing(view).into()));
        }
        return State::Flowing;
    }
    let stuck = match waiting {
        true => nobody_takes(view, advice) || takes_nothing(view, advice),
        false => held_by_the_dead || keeps_all(view, advice) || waits_for_nothing(view, advice),
    };
    match (stuck, waiting) {
        (true, _) => State::Stuck,
        (false, true) if view.finished => State::Finished,
        (false, true) => State::Waiting,
        (false, false) => State::Idle,
    }
}

fn nearly_full(view: &View) -> String {
    let full = show_percent(view.fill_ratio);
    match &view.pool {
        None => format!("the queue is {full} full: the producer sends faster than the consumer takes"),
        Some(pool) => format!(
            "{} of {} blocks are under way or with the reader: the writer sends faster than they come back",
            show_count(pool.gone()),
            show_count(pool.blocks)
        ),
    }
}

fn sizing(view: &View) -> &'static str {
    match &view.pool {
        None => {
            "make the consumer faster, or the queue larger: `shmq copy` moves what waits into a larger one"
        }
        Some(_) => "make the reader give blocks back sooner, or create the pool with more of them",
    }
}

/// A reader died and has no successor, and blocks were in its hands.
fn dead_hold(view: &View, advice: &mut Vec<Advice>) -> bool {
    let reader = &view.consumer;
    let Some(pool) = view.pool.filter(|pool| pool.held_blocks > 0 && reader.peer != Attached) else {
        return false;
    };
    let how = if reader.peer == Lost { "ended without leaving" } else { "left" };
    let held = view.words().count(pool.held_blocks);
    let pid = reader.pid;
    let says = format!("the reader (was pid {pid}) {how} with {held} in its hands{}", blocked(view));
    let hurts = reader.peer == Lost || view.producer.stalled_for_ns.is_some();
    let level = if hurts { Level::Trouble } else { Level::Warning };
    let todo = "start the reader: it sees again, first of all, what the one before held; nothing is lost";
    add(advice, level, "blocks_held_by_the_dead", says, Some(todo.into()));
    hurts
}

/// A writer waits for a block, none is under way, and both live: somebody keeps them.
fn keeps_all(view: &View, advice: &mut Vec<Advice>) -> bool {
    let (writer, reader) = (&view.producer, &view.consumer);
    let Some(pool) = view.pool else { return false };
    let Some(time) = writer.stalled_for_ns.filter(|_| writer.peer == Attached) else { return false };
    let waits = format!("the writer ({}) has been waiting for a free block for {}", who(writer), ns(time));
    let level = if time > BRIEF_NS { Level::Trouble } else { Level::Warning };
    let mut stuck = false;
    if pool.home_blocks > 0 {
        let says = format!(
            "{waits}, although it has {} itself: on loan to its own program",
            view.words().count(pool.home_blocks)
        );
        let todo = "its program must send or drop what it has on loan before it asks for more";
        add(advice, level, "writer_keeps_blocks", says, Some(todo.into()));
        stuck = true;
    }
    if pool.held_blocks > 0 && reader.peer == Attached {
        let says = format!(
            "the reader ({}) holds {} of {} blocks and has given none back in the last {}, while {waits}",
            who(reader),
            show_count(pool.held_blocks),
            show_count(pool.blocks),
            ns(time.min(since_1970(reader.since_ns)))
        );
        let (_, todo) = what_it_does(reader, "pool", "");
        add(advice, level, "reader_keeps_blocks", says, todo);
        stuck = true;
    }
    stuck && level == Level::Trouble
}

/// An end whose process does not run because someone stopped it.
fn stopped(view: &View, which: Role, advice: &mut Vec<Advice>) {
    let (end, role) = (view.end(which), view.words().end(which));
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
    let code = match (which, code) {
        (Role::Producer, "stopped") => "producer_stopped",
        (Role::Producer, _) => "producer_traced",
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
fn wait(view: &View) -> String {
    let n = view.pending_messages;
    let full = if view.pool.is_some() { "full " } else { "" };
    let (s, verb) = if n == 1 { ("", "waits") } else { ("s", "wait") };
    format!("{} {full}{}{s} {verb}", show_count(n), view.words().thing())
}

/// What a producer that waits for room adds to a sentence.
fn blocked(view: &View) -> String {
    match (view.producer.peer, view.producer.stalled_for_ns) {
        (Attached, Some(time)) => {
            let (role, end) = (view.words().producer, who(&view.producer));
            let on = if view.pool.is_some() { "waiting for a free block" } else { "blocked on a full queue" };
            format!("; the {role} ({end}) has been {on} for {}", ns(time))
        }
        _ => String::new(),
    }
}

/// Messages wait and there is no consumer.
fn nobody_takes(view: &View, advice: &mut Vec<Advice>) -> bool {
    let (consumer, role) = (&view.consumer, view.words().consumer);
    let (code, what) = match consumer.peer {
        Attached => return false,
        NeverAttached => ("no_consumer", format!("no {role} ever came")),
        Left => ("consumer_left", format!("the {role} (was pid {}) has left", consumer.pid)),
        Lost => ("consumer_lost", format!("the {role} (was pid {}) ended without leaving", consumer.pid)),
    };
    let held = match &view.pool {
        Some(pool) if pool.held_blocks > 0 => {
            format!(" with {} in its hands", view.words().count(pool.held_blocks))
        }
        _ => String::new(),
    };
    let says = format!("{}, and {what}{held}{}", wait(view), blocked(view));
    let hurts = view.producer.stalled_for_ns.is_some() || view.fill_ratio >= NEARLY || consumer.peer == Lost;
    let level = if hurts { Level::Trouble } else { Level::Warning };
    let todo = format!("start the {role}: it goes on where the one before was, nothing is lost");
    add(advice, level, code, says, Some(todo));
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
    let role = view.words().consumer;
    let mut says = format!(
        "the {role} ({}) is attached but has taken nothing {since} while {}",
        who(consumer),
        wait(view)
    );
    if let Some(pool) = view.pool.filter(|pool| pool.held_blocks > 0) {
        says += &format!(", and holds {} already", view.words().count(pool.held_blocks));
    }
    says += &blocked(view);
    if let Some(ago) = consumer.stalled_until_ago_ns.filter(|&ago| ago > BRIEF_NS) {
        says += &format!("; the {role} last woke for a {} {} ago", view.words().thing(), ns(ago));
    }
    let blocked = view.producer.stalled_for_ns.is_some_and(|time| time > BRIEF_NS);
    let (code, todo) = if consumer.stalled_for_ns.is_some_and(|time| time > sample.ns)
        && !matches!(consumer.condition.as_deref(), Some("stopped" | "traced"))
    {
        let todo = format!(
            "it sleeps although {}s wait, which must not happen: run `shmq doctor` and report it",
            view.words().thing()
        );
        ("consumer_asleep", Some(todo))
    } else {
        what_it_does(consumer, view.words().file(), "consumer_takes_nothing")
    };
    let level = if blocked || todo.is_none() { Level::Trouble } else { Level::Warning };
    add(advice, level, code, says, todo);
    blocked || matches!(consumer.condition.as_deref(), Some("stopped" | "traced"))
}

/// Why an end that lives does nothing, as far as its process shows it: a code, and where to look. `otherwise`: where it
/// does not show, or was said already.
fn what_it_does(end: &End, file: &str, otherwise: &'static str) -> (&'static str, Option<String>) {
    let pid = end.pid;
    match end.condition.as_deref() {
        Some("stopped" | "traced") => (otherwise, None),
        Some("running") => {
            let todo = format!(
                "it is running: busy with what it took before, or in a loop; \
                 look with `top -Hp {pid}` or `gdb -p {pid}`"
            );
            ("consumer_busy", Some(todo))
        }
        Some("uninterruptible") => {
            let todo = format!(
                "it waits for a disk or a network file system; look at `cat /proc/{pid}/wchan` and the storage"
            );
            ("consumer_blocked", Some(todo))
        }
        Some(_) => {
            let todo = format!(
                "it sleeps, but not on this {file}: it waits for something else; \
                 look with `strace -p {pid}` or `gdb -p {pid}`"
            );
            ("consumer_blocked", Some(todo))
        }
        None => {
            let todo = format!(
                "its process cannot be seen from here: pid {pid} is one of another container or user; look there"
            );
            (otherwise, Some(todo))
        }
    }
}

/// Nothing waits, and the consumer waits for a producer that cannot send.
fn waits_for_nothing(view: &View, advice: &mut Vec<Advice>) -> bool {
    let (producer, consumer) = (&view.producer, &view.consumer);
    // A reader that holds every block waits for none.
    let holds_all = view.pool.is_some_and(|pool| pool.held_blocks >= pool.blocks);
    if consumer.peer != Attached || view.finished || holds_all {
        return false;
    }
    if matches!(producer.condition.as_deref(), Some("stopped" | "traced")) {
        return true;
    }
    let how = consumer.stalled_for_ns.map_or(String::new(), |time| format!(" ({} already)", ns(time)));
    let words = view.words();
    let todo = Some(format!("start the {}: it goes on where the one before was", words.producer));
    let (level, code, what) = match producer.peer {
        Lost => (
            Level::Trouble,
            "producer_lost",
            "ended before it declared the end of data, killed or on purpose",
        ),
        Left => (Level::Note, "producer_left", "has left without declaring the end of data"),
        NeverAttached => (Level::Note, "no_producer", "has not come yet"),
        Attached => return false,
    };
    let says =
        format!("the {} ({}) waits{how} for a {} that {what}", words.consumer, who(consumer), words.producer);
    add(advice, level, code, says, todo);
    level == Level::Trouble
}

/// What is good to know, whatever else.
fn notes(view: &View, advice: &mut Vec<Advice>) {
    for which in [Role::Producer, Role::Consumer] {
        let (end, role, sends) = (view.end(which), view.words().end(which), which == Role::Producer);
        if end.refused > 0 {
            let n = end.refused;
            let why = match (sends, &view.pool) {
                (true, None) => "a full queue or a message too large",
                (true, Some(_)) => "no free block, or more bytes than a block has",
                (false, _) => "a buffer too small",
            };
            let times = if n == 1 { "once".into() } else { format!("{} times", show_count(n)) };
            let says = format!("the {role} was refused {times}: {why}");
            add(advice, Level::Note, if sends { "sends_refused" } else { "receives_refused" }, says, None);
        }
    }
    if view.producer.peer == Lost && view.consumer.peer != Attached && !view.finished {
        let (role, pid) = (view.words().producer, view.producer.pid);
        let says = format!(
            "the {role} (was pid {pid}) ended before it declared the end of data, killed or on purpose"
        );
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
