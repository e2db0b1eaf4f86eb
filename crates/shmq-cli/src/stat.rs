//! `shmq stat`: a look at a queue, for people or as JSON.

use crate::args::StatArgs;
use crate::failure::Failure;
use crate::units::{show_bytes, show_count, show_duration, show_messages};
use serde::Serialize;
use shmq::{EndSnapshot, Inspector, Kind, PeerState, Snapshot};
use std::io::{self, Write, stdout};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What `--json` prints. Names and units are part of the schema.
#[derive(Debug, Serialize)]
struct Stat {
    schema: &'static str,
    path: String,
    kind: String,
    queue_id: String,
    tag: String,
    created_ns: u64,
    from_another_boot: bool,
    file_bytes: u64,
    capacity_bytes: u64,
    max_message_bytes: u64,
    max_messages: Option<u64>,
    /// Of fixed-size messages: how long each is, and how many fit.
    message_bytes: Option<u64>,
    depth: Option<u64>,
    sent_messages: u64,
    received_messages: u64,
    pending_messages: u64,
    pending_bytes: u64,
    used_bytes: u64,
    tail_position: u64,
    read_position: u64,
    free_position: u64,
    finished: bool,
    producer: End,
    consumer: End,
}

#[derive(Debug, Serialize)]
struct End {
    state: &'static str,
    epoch: u64,
    pid: u64,
    since_ns: u64,
    sleeps: u64,
    wakes: u64,
    stalls: u64,
    refused: u64,
    stalled_since_monotonic_ns: Option<u64>,
}

impl End {
    fn new(end: &EndSnapshot) -> Self {
        Self {
            state: match end.state {
                PeerState::NeverAttached => "never_attached",
                PeerState::Attached => "attached",
                PeerState::Left => "left",
                PeerState::Lost => "lost",
            },
            epoch: end.epoch,
            pid: end.pid,
            since_ns: end.since_ns,
            sleeps: end.sleeps,
            wakes: end.wakes,
            stalls: end.stalls,
            refused: end.refused,
            stalled_since_monotonic_ns: end.stalled_since_ns,
        }
    }
}

pub fn run(args: &StatArgs) -> Result<(), Failure> {
    let inspector = Inspector::open(&args.name)?;
    let seen = inspector.snapshot();
    let path = shmq::path_of(&args.name).unwrap_or_default().display().to_string();
    let text = if args.json { json(&inspector, &seen, path)? } else { people(&inspector, &seen, &path) };
    print(&text)
}

/// Prints to standard output; that nobody reads it is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    match stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("write to standard output", &e)),
        _ => Ok(()),
    }
}

fn tag_of(inspector: &Inspector) -> String {
    String::from_utf8_lossy(&inspector.tag()).trim_end_matches('\0').into()
}

fn json(inspector: &Inspector, seen: &Snapshot, path: String) -> Result<String, Failure> {
    let limits = inspector.limits();
    let fixed = inspector.kind() == Kind::Slots;
    let stat = Stat {
        schema: "shmq.stat/1",
        path,
        kind: inspector.kind().to_string(),
        queue_id: inspector.queue_id().iter().map(|byte| format!("{byte:02x}")).collect(),
        tag: tag_of(inspector),
        created_ns: inspector.created_ns(),
        from_another_boot: inspector.is_from_another_boot(),
        file_bytes: inspector.length(),
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
        tail_position: seen.tail,
        read_position: seen.read,
        free_position: seen.free,
        finished: seen.finished,
        producer: End::new(&seen.producer),
        consumer: End::new(&seen.consumer),
    };
    let text = serde_json::to_string(&stat).map_err(|e| Failure::new(format!("cannot write JSON: {e}")))?;
    Ok(text + "\n")
}

fn people(inspector: &Inspector, seen: &Snapshot, path: &str) -> String {
    let limits = inspector.limits();
    let mut lines = vec![path.to_string()];
    if inspector.kind() == Kind::Raw {
        return region(inspector, lines);
    }
    let mut line = |what: &str, text: String| lines.push(format!("  {what:<9} {text}"));
    let fixed = inspector.kind() == Kind::Slots;
    let most = limits.max_messages.map_or(String::new(), |n| format!(", at most {} waiting", show_count(n)));
    line(
        "limits",
        format!(
            "messages {} {}{most}, in a ring of {}",
            if fixed { "of exactly" } else { "up to" },
            show_bytes(limits.max_message),
            show_bytes(limits.capacity)
        ),
    );
    if !tag_of(inspector).is_empty() {
        line("tag", tag_of(inspector));
    }
    line("created", ago(inspector.created_ns()));
    if inspector.is_from_another_boot() {
        line("warning", "made before the machine last started".into());
    }
    let waiting = show_messages(seen.pending_messages);
    let percent = |used: u64, of: u64| 100.0 * used as f64 / of as f64;
    line(
        "waiting",
        match limits.max_messages.filter(|_| fixed) {
            Some(depth) => format!("{waiting} ({:.0} % full)", percent(seen.pending_messages, depth)),
            None => format!(
                "{waiting} in {} of the ring ({:.0} % in use)",
                show_bytes(seen.pending_bytes),
                percent(seen.used_bytes, limits.capacity)
            ),
        },
    );
    line("sent", show_messages(seen.sent));
    line("received", show_messages(seen.received));
    line("data", if seen.finished { "end of data declared" } else { "open, no end declared" }.into());
    line("producer", end(&seen.producer));
    line("consumer", end(&seen.consumer));
    lines.join("\n") + "\n"
}

/// Raw memory: no ends, no messages.
fn region(inspector: &Inspector, mut lines: Vec<String>) -> String {
    let limits = inspector.limits();
    let mut line = |what: &str, text: String| lines.push(format!("  {what:<9} {text}"));
    let bytes = show_bytes(limits.capacity);
    line(
        "region",
        match limits.max_message {
            0 => format!("{bytes} of raw memory"),
            element => {
                let count = show_count(limits.capacity / element);
                format!("{bytes} of raw memory, {count} elements of {}", show_bytes(element))
            }
        },
    );
    if !tag_of(inspector).is_empty() {
        line("tag", tag_of(inspector));
    }
    line("created", ago(inspector.created_ns()));
    if inspector.is_from_another_boot() {
        line("warning", "made before the machine last started".into());
    }
    lines.join("\n") + "\n"
}

fn end(end: &EndSnapshot) -> String {
    let came = ago(end.since_ns);
    let mut text = match end.state {
        PeerState::NeverAttached => return "never attached".into(),
        PeerState::Attached => format!("attached, pid {}, came {came}", end.pid),
        PeerState::Left => format!("left; was pid {}, came {came}", end.pid),
        PeerState::Lost => format!("lost, died without leaving; was pid {}, came {came}", end.pid),
    };
    text += &format!("; taken {}", times(end.epoch));
    if end.stalled_since_ns.is_some() && end.state == PeerState::Attached {
        text += "; asleep, waiting";
    }
    if end.refused > 0 {
        text += &format!("; refused {}", times(end.refused));
    }
    text
}

fn times(n: u64) -> String {
    if n == 1 { "once".into() } else { format!("{} times", show_count(n)) }
}

/// How long ago something was.
fn ago(since_1970_ns: u64) -> String {
    let then = UNIX_EPOCH + Duration::from_nanos(since_1970_ns);
    match SystemTime::now().duration_since(then) {
        Ok(ago) => format!("{} ago", show_duration(ago)),
        Err(_) => "in the future, says the clock".into(),
    }
}
