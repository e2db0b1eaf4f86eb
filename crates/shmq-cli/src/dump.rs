//! `shmq dump`: what waits, without taking it; also what is left of a queue; and what stands in raw memory.

mod blocks;
mod region;

use crate::args::DumpArgs;
use crate::attach::quoted;
use crate::failure::{Code, Failure, say};
use crate::progress::Progress;
use crate::units::{plain, shown};
use crate::view::{Subject, Words, json};
use serde::Serialize;
use shmq::{Damage, Kind, PendingEnd};
use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write, stdout};

/// A message in JSON.
#[derive(Debug, Serialize)]
struct Message<'a> {
    schema: &'static str,
    sequence: u64,
    position: u64,
    bytes: u64,
    /// Of a pool: which block it is, and where.
    block: Option<u32>,
    place: Option<&'static str>,
    /// So many of its bytes follow.
    shown_bytes: usize,
    text: Option<&'a str>,
    hex: String,
}

/// What the last line of JSON says.
#[derive(Debug, Serialize)]
struct Summary {
    schema: &'static str,
    path: String,
    path_hex: Option<String>,
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

/// One thing that waits: a message, or a block.
struct Entry<'a> {
    sequence: u64,
    position: u64,
    len: u64,
    block: Option<(u32, &'static str)>,
    /// As many of its bytes as are wanted.
    bytes: &'a [u8],
}

/// How it ended.
struct End {
    shown: u64,
    skipped: u64,
    /// `None`: as many as were asked for.
    why: Option<PendingEnd>,
}

pub fn run(args: &DumpArgs) -> Result<(), Failure> {
    let subject = Subject::open_damaged(&args.name)?;
    if let Some(damage) = subject.inspector.damage() {
        say(&format!("{}: {damage}", quoted(&args.name)));
    }
    if subject.inspector.kind() == Kind::Raw {
        return region::run(args, &subject);
    }
    let mut out = BufWriter::new(stdout().lock());
    let ended = match subject.inspector.pool() {
        Some(pool) => blocks::show_all(args, pool, &mut out),
        None => show_all(args, &subject, &mut out),
    };
    let finished = ended.and_then(|end| {
        if args.json {
            let line = json(&summary(&subject, &end)).map_err(|_| io::ErrorKind::InvalidData)?;
            out.write_all(line.as_bytes())?;
        }
        out.flush()?;
        Ok(end)
    });
    // What was not written to a pipe that is closed need not be tried again.
    let _ = out.into_parts();
    let Some(end) = unless_nobody_reads(finished)? else { return Ok(()) };
    if end.skipped > 0 {
        let by = subject_words(&subject).consumer;
        say(&format!("{} left out: the {by} took them meanwhile", count(&subject, end.skipped)));
    }
    verdict(&subject, &end)
}

/// That nobody reads standard output any more is no failure.
fn unless_nobody_reads<T>(outcome: io::Result<T>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(e) => Err(Failure::io("write to standard output", &e)),
    }
}

fn subject_words(subject: &Subject) -> &'static Words {
    Words::of(subject.inspector.kind())
}

fn count(subject: &Subject, n: u64) -> String {
    subject_words(subject).count(n)
}

/// How many bytes of each are wanted, of so many at first sight.
fn wanted(args: &DumpArgs, by_default: u64) -> u64 {
    match args.bytes {
        // These are for programs, which want all of it.
        _ if args.lines || args.length_prefixed => u64::MAX,
        Some(bytes) => bytes,
        None => by_default,
    }
}

/// The messages of a queue.
fn show_all(args: &DumpArgs, subject: &Subject, out: &mut impl Write) -> io::Result<End> {
    let seen = subject.inspector.snapshot();
    let mut progress = Progress::new(Some(seen.pending_bytes), stdout().is_terminal());
    let mut pending = subject.inspector.pending();
    let (mut shown, limit) = (0, args.limit.unwrap_or(u64::MAX));
    let most = usize::try_from(wanted(args, u64::MAX)).unwrap_or(usize::MAX);
    while shown < limit
        && let Some(message) = pending.next()
    {
        let len = message.bytes.len();
        let bytes = &message.bytes[..len.min(most)];
        let (sequence, position) = (message.sequence, message.position);
        show(args, &Entry { sequence, position, len: len as u64, block: None, bytes }, out)?;
        shown += 1;
        progress.add(1, len as u64);
    }
    Ok(End { shown, skipped: pending.skipped(), why: pending.end().cloned() })
}

/// The last word, and the exit code.
fn verdict(subject: &Subject, end: &End) -> Result<(), Failure> {
    let shown = count(subject, end.shown);
    match &end.why {
        Some(PendingEnd::Damaged(damage)) => {
            let text = format!("stopped after {shown}, because it cannot be read any further: {damage}");
            Err(Failure::Said(Code::Corrupt, text))
        }
        // Of a pool whose parts cannot be where they ought to be.
        Some(PendingEnd::NoMessages) => Err(Failure::Exit(Code::Corrupt as u8)),
        Some(stop @ PendingEnd::NoMemory { .. }) => {
            Err(Failure::new(format!("stopped after {shown}: {stop}")))
        }
        stop => {
            if let Some(stop @ (PendingEnd::Finished | PendingEnd::Overtaken)) = stop {
                say(&format!("{shown}, then {stop}"));
            } else if end.shown == 0 {
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

fn show(args: &DumpArgs, entry: &Entry<'_>, out: &mut impl Write) -> io::Result<()> {
    let Entry { sequence, position, len, block, bytes } = *entry;
    if args.json {
        let line = Message {
            schema: "shmq.message/1",
            sequence,
            position,
            bytes: len,
            block: block.map(|(block, _)| block),
            place: block.map(|(_, place)| place),
            shown_bytes: bytes.len(),
            text: text_of(bytes, (bytes.len() as u64) < len),
            hex: hex(bytes),
        };
        return serde_json::to_writer(&mut *out, &line)
            .map_err(io::Error::from)
            .and_then(|()| out.write_all(b"\n"));
    }
    if args.lines {
        return out.write_all(bytes).and_then(|()| out.write_all(b"\n"));
    }
    if args.length_prefixed {
        let Ok(len) = u32::try_from(len) else {
            return Err(io::Error::other("a message is too long for a 4-byte length"));
        };
        return out.write_all(&len.to_le_bytes()).and_then(|()| out.write_all(bytes));
    }
    let more = len - bytes.len() as u64;
    let at = match block {
        Some((block, "held")) => format!("block {block}, with the reader"),
        Some((block, _)) => format!("block {block}"),
        None => format!("at position {position}"),
    };
    if !args.hex {
        let place = if block.is_some() { format!("{at}  ") } else { String::new() };
        let rest = if more > 0 { " ..." } else { "" };
        return writeln!(out, "{sequence}  {place}{}  {}{rest}", length(len), text(bytes));
    }
    let thing = if block.is_some() { "number" } else { "message" };
    writeln!(out, "{thing} {sequence}, {}, {at}", length(len))?;
    for (i, line) in bytes.chunks(16).enumerate() {
        hex_line(16 * i as u64, line, out)?;
    }
    if more > 0 {
        writeln!(out, "  ... {} more", length(more))?;
    }
    Ok(())
}

/// 16 bytes, or fewer, in hexadecimal and as text.
fn hex_line(offset: u64, line: &[u8], out: &mut impl Write) -> io::Result<()> {
    let hex: Vec<String> = line
        .chunks(8)
        .map(|half| half.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x} ")))
        .collect();
    let shown: String =
        line.iter().map(|&b| if (0x20..0x7f).contains(&b) { b as char } else { '.' }).collect();
    writeln!(out, "  {offset:08x}  {:<49} |{shown}|", hex.join(" "))
}

/// Two digits for each byte.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Bytes as the text that they are; where they were `cut`, the last character may be missing.
fn text_of(bytes: &[u8], cut: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(e) if cut && e.error_len().is_none() => std::str::from_utf8(&bytes[..e.valid_up_to()]).ok(),
        Err(_) => None,
    }
}

fn length(bytes: u64) -> String {
    if bytes == 1 { "1 byte".into() } else { format!("{bytes} bytes") }
}

/// Bytes as text that steers no terminal: what is not UTF-8 as `\xff`.
fn text(bytes: &[u8]) -> String {
    bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
        // Blocks have many zeros.
        text += &chunk.valid().split('\0').map(plain).collect::<Vec<_>>().join("\\0");
        chunk.invalid().iter().fold(text, |text, byte| text + &format!("\\x{byte:02x}"))
    })
}

fn summary(subject: &Subject, end: &End) -> Summary {
    let End { shown: messages, skipped, why: ref ended } = *end;
    let (stopped, why) = match ended {
        None => ("limit", "as many as were asked for".into()),
        Some(ended) => (
            match ended {
                PendingEnd::CaughtUp => "caught_up",
                PendingEnd::Finished => "finished",
                PendingEnd::Overtaken => "overtaken",
                PendingEnd::NoMemory { .. } => "no_memory",
                PendingEnd::Damaged(_) => "damaged",
                _ => "no_messages",
            },
            ended.to_string(),
        ),
    };
    let damage: Option<&Damage> = match ended {
        Some(PendingEnd::Damaged(damage)) => Some(damage),
        _ => None,
    };
    Summary {
        schema: "shmq.dump/1",
        path: shown(&subject.path),
        path_hex: subject.path_hex(),
        kind: subject.inspector.kind().to_string(),
        messages,
        skipped,
        stopped,
        why,
        position: damage.map(|damage| damage.position),
        file_offset: damage.map(|damage| damage.file_offset),
        expected: damage.map(|damage| damage.expected.clone()),
        found: damage.map(|damage| damage.found.clone()),
        damage: subject.damage(),
    }
}
