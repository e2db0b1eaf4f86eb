//! `shmq stat`: the full picture of a queue, for people or as JSON.

use crate::advice::Level;
use crate::args::StatArgs;
use crate::diagnosis::{since_1970, who};
use crate::paint::{Paint, Style};
use crate::prometheus;
use crate::view::{Blocks, Sample, Subject, View, json};
use shmq::{OpenError, PeerState, Role};
use shmq_tool::failure::{Code, Failure};
use shmq_tool::units::{
    show_bytes, show_count, show_duration, show_messages, show_percent, show_rough, shown,
};
use std::time::Duration;

pub fn run(args: &StatArgs) -> Result<(), Failure> {
    let subject = Subject::open(&args.name).map_err(|error| hint(error, args))?;
    if args.prometheus {
        let queue = shown(&subject.path);
        let readings = subject.readings(&subject.look());
        let readings = Some(readings).filter(|_| !subject.inspector.is_torn());
        return print(&prometheus::text(&[prometheus::Scrape { queue, readings }]));
    }
    let view = subject.watch(args.sample);
    let text = if args.json { json(&view)? } else { people(&view, &Paint::stdout()) };
    print(&text)
}

/// A file that cannot be used may still be read.
fn hint(error: OpenError, args: &StatArgs) -> Failure {
    let of_queue = matches!(error, OpenError::Truncated { .. } | OpenError::NotAQueue { .. });
    let damaged = of_queue && Subject::open_damaged(&args.name).is_ok();
    let failure = Failure::from(error);
    match failure {
        Failure::Said(_, text) if damaged => {
            let name = crate::attach::quoted(&args.name);
            Failure::Said(Code::Corrupt, format!("{text}; `shmq dump {name}` shows what can still be read"))
        }
        other => other,
    }
}

/// Prints to standard output; that nobody reads it is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    shmq_tool::print::out(text).map(drop)
}

/// The colour of a level.
pub fn style(level: Level) -> Style {
    match level {
        Level::Note => Style::Plain,
        Level::Warning => Style::Yellow,
        Level::Trouble => Style::Red,
    }
}

fn people(view: &View, paint: &Paint) -> String {
    let worst = view.advice.first().map_or(Level::Note, |advice| advice.level);
    let state = if worst == Level::Note { Style::Green } else { style(worst) };
    let mut lines =
        vec![format!("{}  {}", paint.style(Style::Bold, &view.path), paint.style(state, view.state.words()))];
    for advice in &view.advice {
        lines.push(format!(
            "  {} {}",
            paint.style(style(advice.level), mark(advice.level)),
            sentence(&advice.says)
        ));
        lines.extend(advice.todo.as_ref().map(|todo| format!("    -> {todo}")));
    }
    let mut line = |what: &str, text: String| lines.push(format!("  {what:<9} {text}"));
    line("kind", kind(view));
    match &view.pool {
        Some(pool) => blocks(view, pool, &mut line),
        None if view.has_ends() => contents(view, &mut line),
        None => {}
    }
    if let Some(mark) = &view.mark {
        line("mark", format!("{} with message {}", mark.note, show_count(mark.sequence)));
    }
    if let Some(origin) = &view.origin {
        let next = show_count(origin.next);
        line("continues", format!("the queue of id {}, from its message {next} on", origin.queue_id));
    }
    if !view.tag.is_empty() {
        line("tag", view.tag.clone());
    }
    let file = format!("{}, mode {}", show_bytes(view.file_bytes), view.mode);
    line("file", format!("{file}, created {} ago", ago(view.created_ns)));
    if view.has_ends() {
        let (words, taken) = (view.words(), if view.pool.is_some() { "received" } else { "taken" });
        line(words.producer, end(view, Role::Producer, "sent"));
        line(words.consumer, end(view, Role::Consumer, taken));
    }
    lines.join("\n") + "\n"
}

fn mark(level: Level) -> &'static str {
    match level {
        Level::Note => "note:",
        Level::Warning => "warning:",
        Level::Trouble => "trouble:",
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn kind(view: &View) -> String {
    let ring = show_bytes(view.capacity_bytes);
    let most =
        |what| view.max_messages.map_or(String::new(), |n| format!(", at most {} {what}", show_count(n)));
    match view.kind.as_str() {
        "records" => {
            format!(
                "messages up to {}{}, in a ring of {ring}",
                show_bytes(view.max_message_bytes),
                most("waiting")
            )
        }
        "slots" => {
            format!(
                "messages of exactly {}{}, in a ring of {ring}",
                show_bytes(view.max_message_bytes),
                most("waiting")
            )
        }
        "raw" => match view.max_message_bytes {
            0 => format!("{ring} of raw memory, no queue of messages"),
            element => format!(
                "{ring} of raw memory, {} elements of {}, no queue of messages",
                show_count(view.capacity_bytes / element),
                show_bytes(element)
            ),
        },
        "pool" => match &view.pool {
            Some(pool) => {
                let blocks = view.words().count(pool.blocks);
                format!("{blocks} of {}, passed in place", show_bytes(pool.block_bytes))
            }
            None => "blocks, passed in place".into(),
        },
        other => format!("{other}, no queue of messages"),
    }
}

fn contents(view: &View, line: &mut impl FnMut(&str, String)) {
    let waiting = show_messages(view.pending_messages);
    let full = format!("{} full", show_percent(view.fill_ratio));
    let used = match view.depth {
        Some(_) => full,
        None => format!("{} of the ring, {full}", show_bytes(view.used_bytes)),
    };
    line(
        "waiting",
        format!("{waiting}, {used}; {} at most, that is known of", show_count(view.most_pending_messages)),
    );
    let rate = |rate: f64| format!(" ({} a second)", show_count(rate.round() as u64));
    let (sent, taken) = match view.sample {
        Some(sample) => (rate(sample.sent_per_second), rate(sample.received_per_second)),
        None => Default::default(),
    };
    let end = if view.finished { "; end of data declared" } else { "" };
    line("sent", format!("{}{sent}{end}", show_messages(view.sent_messages)));
    line("taken", format!("{}{taken}", show_messages(view.received_messages)));
}

/// Where the blocks of a pool are.
fn blocks(view: &View, pool: &Blocks, line: &mut impl FnMut(&str, String)) {
    let rate =
        |n: u64, ns: u64| format!(" ({} a second)", show_count((n as f64 * 1e9 / ns as f64).round() as u64));
    let per_second = |n: fn(&Sample, &Blocks) -> u64| {
        view.sample.map_or(String::new(), |sample| rate(n(&sample, pool), sample.ns))
    };
    let returning = match pool.returning_blocks {
        0 => String::new(),
        n => format!(", {} on the way back", show_count(n)),
    };
    line(
        "blocks",
        format!(
            "{} full and waiting, {} with the reader{returning}, {} with the writer (free or on loan)",
            show_count(pool.under_way_blocks),
            show_count(pool.held_blocks),
            show_count(pool.home_blocks)
        ),
    );
    let end = if view.finished { "; end of data declared" } else { "" };
    let count = |n| view.words().count(n);
    line(
        "sent",
        format!("{}{}{end}", count(view.sent_messages), per_second(|sample, _| sample.sent_messages)),
    );
    line(
        "received",
        format!("{}{}", count(view.received_messages), per_second(|sample, _| sample.received_messages)),
    );
    line(
        "returned",
        format!("{}{}", count(pool.returned_blocks), per_second(|_, pool| pool.returned_meanwhile)),
    );
}

/// How long ago.
fn ago(since_1970_ns: u64) -> String {
    show_duration(Duration::from_nanos(since_1970(since_1970_ns)))
}

fn end(view: &View, role: Role, done: &str) -> String {
    let end = view.end(role);
    let came = ago(end.since_ns);
    let mut text = match end.peer {
        PeerState::NeverAttached => return "never attached".into(),
        PeerState::Attached => format!("attached ({}), came {came} ago", who(end)),
        PeerState::Left => format!("left; was pid {}, came {came} ago", end.pid),
        PeerState::Lost => format!("lost, ended without leaving; was pid {}, came {came} ago", end.pid),
    };
    let rough = |ns: u64| show_rough(Duration::from_nanos(ns));
    if let Some(condition) = &end.condition {
        text += &format!("; {condition}");
        if let Some(cpu) = end.cpu_ratio.filter(|cpu| *cpu > 0.0) {
            text += &format!(", {} of a processor", show_percent(cpu));
        }
    }
    if let Some(time) = end.stalled_for_ns {
        text += &format!("; asleep on the {} for {}", view.words().file(), rough(time));
    }
    text += &format!("\n            {} {done} since it came", show_count(end.messages_since_it_came));
    if end.takeovers > 0 {
        text += &format!(", as holder number {}", show_count(end.epoch));
    }
    if end.stalls > 0 {
        text += &format!("; waited {}, {} in all", times(end.stalls), rough(end.stalled_total_ns));
    }
    if end.sleeps > 0 {
        text += &format!("; slept {}", times(end.sleeps));
    }
    // Whoever comes rings once.
    if end.wakes > end.epoch {
        text += &format!("; woke its peer {}", times(end.wakes - end.epoch));
    }
    if end.refused > 0 {
        text += &format!("; refused {}", times(end.refused));
    }
    text
}

pub fn times(n: u64) -> String {
    match n {
        1 => "once".into(),
        n => format!("{} times", show_count(n)),
    }
}
