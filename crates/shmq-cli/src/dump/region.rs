//! Raw memory, as it stands.

use super::show::{Summary, hex, hex_line, length, unless_nobody_reads};
use crate::args::DumpArgs;
use crate::attach::quoted;
use crate::view::{Subject, json};
use serde::Serialize;
use shmq_tool::failure::{Code, Failure, say};
use shmq_tool::units::shown;
use std::io::{self, BufWriter, Write, stdout};

/// Bytes that are read at a time, and of an object of JSON.
const PIECE: u64 = 4096;

/// A piece in JSON.
#[derive(Debug, Serialize)]
struct Piece {
    schema: &'static str,
    offset: u64,
    bytes: usize,
    hex: String,
}

pub fn run(args: &DumpArgs, subject: &Subject) -> Result<(), Failure> {
    let name = quoted(&args.name);
    if args.lines || args.length_prefixed {
        return Err(Failure::usage(format!(
            "{name} is raw memory, which holds no messages; `shmq dump {name} --hex` shows what is in it"
        )));
    }
    let limits = subject.inspector.limits();
    let wanted = match (args.limit, limits.max_message) {
        (Some(_), 0) => {
            return Err(Failure::usage(format!(
                "{name} is raw memory that is not divided into elements; say how many bytes, with --bytes"
            )));
        }
        (Some(elements), size) => elements.saturating_mul(size),
        (None, _) => u64::MAX,
    };
    let most = wanted.min(args.bytes.unwrap_or(u64::MAX)).min(limits.capacity);
    say("nobody waits for anybody in raw memory: what is written meanwhile may be half there");
    let mut out = BufWriter::new(stdout().lock());
    let done = show_all(args, subject, most, &mut out).and_then(|end| {
        if args.json {
            let line = json(&summary(subject, most, end)).map_err(|_| io::ErrorKind::InvalidData)?;
            out.write_all(line.as_bytes())?;
        }
        out.flush().map(|()| end)
    });
    let _ = out.into_parts();
    match unless_nobody_reads(done)? {
        Some(end) if end < most => {
            Err(Failure::Said(Code::Corrupt, format!("stopped after {}: the file ends there", length(end))))
        }
        _ if subject.damage().is_some() => Err(Failure::Exit(Code::Corrupt as u8)),
        _ => Ok(()),
    }
}

/// Shows so many bytes; how many there were.
fn show_all(args: &DumpArgs, subject: &Subject, most: u64, out: &mut impl Write) -> io::Result<u64> {
    let mut piece = vec![0; PIECE as usize];
    let (mut at, mut before, mut starred) = (0, None::<Vec<u8>>, false);
    while at < most {
        let len = subject.inspector.read_region(at, &mut piece[..PIECE.min(most - at) as usize]);
        if subject.inspector.is_torn() {
            break;
        }
        let bytes = &piece[..len];
        if args.json && len > 0 {
            let line = Piece { schema: "shmq.region/1", offset: at, bytes: len, hex: hex(bytes) };
            serde_json::to_writer(&mut *out, &line)?;
            out.write_all(b"\n")?;
        }
        for (i, line) in bytes.chunks(16).enumerate().filter(|_| !args.json) {
            let offset = at + 16 * i as u64;
            // Lines like the one before are left out, but for the last.
            if before.as_deref() == Some(line) && offset + 16 < most {
                if !starred {
                    writeln!(out, "  *")?;
                }
                starred = true;
                continue;
            }
            hex_line(offset, line, out)?;
            (before, starred) = (Some(line.to_vec()), false);
        }
        at += len as u64;
        if len == 0 {
            break;
        }
    }
    Ok(at)
}

fn summary(subject: &Subject, most: u64, end: u64) -> Summary {
    let (stopped, why) = match subject.inspector.limits().capacity {
        _ if end < most => ("damaged", "the file ends there"),
        all if end < all => ("limit", "as many as were asked for"),
        _ => ("end_of_region", "that is all of it"),
    };
    Summary {
        schema: "shmq.dump/1",
        path: shown(&subject.path),
        path_hex: subject.path_hex(),
        kind: subject.inspector.kind().to_string(),
        messages: 0,
        skipped: 0,
        stopped,
        why: why.into(),
        position: None,
        file_offset: None,
        expected: None,
        found: None,
        damage: subject.damage(),
    }
}
