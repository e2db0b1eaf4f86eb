//! `shmq dump`: what waits, without taking it; also what is left of a queue; and what stands in raw memory.

mod blocks;
mod region;
mod show;

use crate::args::DumpArgs;
use crate::attach::quoted;
use crate::progress::Progress;
use crate::view::{Subject, Words, json};
use shmq::{Damage, Kind, PendingEnd};
use shmq_tool::failure::{Code, Failure, said_of, say};
use shmq_tool::units::shown;
use show::{End, Entry, Summary, show, unless_nobody_reads, wanted};
use std::io::{self, BufWriter, IsTerminal, Write, stdout};

pub fn run(args: &DumpArgs) -> Result<(), Failure> {
    let subject = Subject::open_damaged(&args.name)?;
    if let Some(damage) = subject.inspector.damage() {
        say(&said_of(&quoted(&args.name), &damage.to_string()));
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

fn subject_words(subject: &Subject) -> &'static Words {
    Words::of(subject.inspector.kind())
}

fn count(subject: &Subject, n: u64) -> String {
    subject_words(subject).count(n)
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
