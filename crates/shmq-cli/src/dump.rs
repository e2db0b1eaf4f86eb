//! `shmq dump`: what waits, without taking it; also what is left of a queue.

use crate::args::DumpArgs;
use crate::attach::quoted;
use crate::failure::{Code, Failure, say};
use crate::progress::Progress;
use crate::units::{plain, show_messages};
use crate::view::{Subject, json};
use serde::Serialize;
use shmq::{Damage, PendingMessage, Stop};
use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write, stdout};

/// A message in JSON.
#[derive(Debug, Serialize)]
struct Message<'a> {
    schema: &'static str,
    sequence: u64,
    position: u64,
    bytes: usize,
    text: Option<&'a str>,
    hex: String,
}

/// What the last line of JSON says.
#[derive(Debug, Serialize)]
struct Summary {
    schema: &'static str,
    path: String,
    kind: String,
    messages: u64,
    /// Taken by the consumer before they could be shown.
    skipped: u64,
    stopped: &'static str,
    why: String,
    position: Option<u64>,
    file_offset: Option<u64>,
    expected: Option<String>,
    found: Option<String>,
    /// What is wrong with the file as a whole.
    damage: Option<String>,
}

pub fn run(args: &DumpArgs) -> Result<(), Failure> {
    let subject = Subject::open_damaged(&args.name)?;
    if let Some(damage) = subject.inspector.damage() {
        say(&format!("{}: {damage}", quoted(&args.name)));
    }
    let seen = subject.inspector.snapshot();
    let mut progress = Progress::new(Some(seen.pending_bytes), stdout().is_terminal());
    let mut out = BufWriter::new(stdout().lock());
    let mut pending = subject.inspector.pending();
    let mut shown = 0;
    let limit = args.limit.unwrap_or(u64::MAX);
    while shown < limit
        && let Some(message) = pending.next()
    {
        match show(args, &message, &mut out) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(e) => return Err(Failure::io("write to standard output", &e)),
            Ok(()) => {}
        }
        shown += 1;
        progress.add(1, message.bytes.len() as u64);
    }
    drop(progress);
    let (stop, skipped) = (pending.stop().cloned(), pending.skipped());
    if args.json {
        let line = json(&summary(&subject, shown, skipped, stop.as_ref()))?;
        let _ = out.write_all(line.as_bytes());
    }
    match out.flush() {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            return Err(Failure::io("write to standard output", &e));
        }
        _ => {}
    }
    drop(out);
    if skipped > 0 {
        say(&format!("{} left out: the consumer took them meanwhile", show_messages(skipped)));
    }
    verdict(&subject, shown, stop)
}

/// The last word, and the exit code.
fn verdict(subject: &Subject, shown: u64, stop: Option<Stop>) -> Result<(), Failure> {
    let messages = show_messages(shown);
    match stop {
        Some(Stop::Damaged(damage)) => {
            let text = format!("stopped after {messages}, because it cannot be read any further: {damage}");
            Err(Failure::Said(Code::Corrupt, text))
        }
        Some(Stop::NoMessages) => Err(Failure::new(format!(
            "{} is a file of kind {}, which holds no messages; `shmq stat` tells what it is",
            subject.path.display(),
            subject.inspector.kind()
        ))),
        Some(stop @ Stop::NoMemory { .. }) => Err(Failure::new(format!("stopped after {messages}: {stop}"))),
        stop => {
            if let Some(stop @ (Stop::Finished | Stop::Overtaken)) = stop {
                say(&format!("{messages}, then {stop}"));
            } else if shown == 0 {
                say("nothing waits");
            }
            if subject.inspector.damage().is_some() {
                Err(Failure::Exit(Code::Corrupt as u8))
            } else {
                Ok(())
            }
        }
    }
}

fn show(args: &DumpArgs, message: &PendingMessage, out: &mut impl Write) -> io::Result<()> {
    let PendingMessage { sequence, position, bytes } = message;
    if args.json {
        let text = std::str::from_utf8(bytes).ok();
        let hex = bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let (sequence, position, schema) = (*sequence, *position, "shmq.message/1");
        let line = Message { schema, sequence, position, bytes: bytes.len(), text, hex };
        return serde_json::to_writer(&mut *out, &line)
            .map_err(io::Error::from)
            .and_then(|()| out.write_all(b"\n"));
    }
    if args.lines {
        return out.write_all(bytes).and_then(|()| out.write_all(b"\n"));
    }
    if args.length_prefixed {
        let Ok(len) = u32::try_from(bytes.len()) else {
            return Err(io::Error::other("a message is too long for a 4-byte length"));
        };
        return out.write_all(&len.to_le_bytes()).and_then(|()| out.write_all(bytes));
    }
    if !args.hex {
        return writeln!(out, "{sequence}  {}  {}", length(bytes.len()), text(bytes));
    }
    writeln!(out, "message {sequence}, {}, at position {position}", length(bytes.len()))?;
    for (i, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = line
            .chunks(8)
            .map(|half| half.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x} ")))
            .collect();
        let shown: String =
            line.iter().map(|&b| if (0x20..0x7f).contains(&b) { b as char } else { '.' }).collect();
        writeln!(out, "  {:08x}  {:<49} |{shown}|", 16 * i, hex.join(" "))?;
    }
    Ok(())
}

fn length(bytes: usize) -> String {
    if bytes == 1 { "1 byte".into() } else { format!("{bytes} bytes") }
}

/// Bytes as text that steers no terminal: what is not UTF-8 as `\xff`.
fn text(bytes: &[u8]) -> String {
    bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text += &plain(chunk.valid());
        chunk.invalid().iter().fold(text, |text, byte| text + &format!("\\x{byte:02x}"))
    })
}

fn summary(subject: &Subject, messages: u64, skipped: u64, stop: Option<&Stop>) -> Summary {
    let (stopped, why) = match stop {
        None => ("limit", "as many as were asked for".into()),
        Some(stop) => (
            match stop {
                Stop::CaughtUp => "caught_up",
                Stop::Finished => "finished",
                Stop::Overtaken => "overtaken",
                Stop::NoMemory { .. } => "no_memory",
                Stop::Damaged(_) => "damaged",
                _ => "no_messages",
            },
            stop.to_string(),
        ),
    };
    let damage: Option<&Damage> = match stop {
        Some(Stop::Damaged(damage)) => Some(damage),
        _ => None,
    };
    Summary {
        schema: "shmq.dump/1",
        path: plain(&subject.path.to_string_lossy()),
        kind: subject.inspector.kind().to_string(),
        messages,
        skipped,
        stopped,
        why,
        position: damage.map(|damage| damage.position),
        file_offset: damage.map(|damage| damage.file_offset),
        expected: damage.map(|damage| damage.expected.clone()),
        found: damage.map(|damage| damage.found.clone()),
        damage: subject.inspector.damage().map(ToString::to_string),
    }
}
