//! One thing that waits, as text or JSON.

use crate::args::DumpArgs;
use serde::Serialize;
use shmq::PendingEnd;
use shmq_tool::failure::Failure;
use shmq_tool::units::plain;
use std::fmt::Write as _;
use std::io::{self, Write};

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
pub struct Summary {
    pub schema: &'static str,
    pub path: String,
    pub path_hex: Option<String>,
    pub kind: String,
    pub messages: u64,
    /// Taken by the consumer before they could be shown.
    pub skipped: u64,
    pub stopped: &'static str,
    pub why: String,
    pub position: Option<u64>,
    pub file_offset: Option<u64>,
    pub expected: Option<String>,
    pub found: Option<String>,
    /// What is wrong with the file as a whole.
    pub damage: Option<String>,
}

/// One thing that waits: a message, or a block.
pub struct Entry<'a> {
    pub sequence: u64,
    pub position: u64,
    pub len: u64,
    pub block: Option<(u32, &'static str)>,
    /// As many of its bytes as are wanted.
    pub bytes: &'a [u8],
}

/// How it ended.
pub struct End {
    pub shown: u64,
    pub skipped: u64,
    /// `None`: as many as were asked for.
    pub why: Option<PendingEnd>,
}

/// How many bytes of each are wanted, of so many at first sight.
pub fn wanted(args: &DumpArgs, by_default: u64) -> u64 {
    match args.bytes {
        // These are for programs, which want all of it.
        _ if args.lines || args.length_prefixed => u64::MAX,
        Some(bytes) => bytes,
        None => by_default,
    }
}

pub fn show(args: &DumpArgs, entry: &Entry<'_>, out: &mut impl Write) -> io::Result<()> {
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
pub fn hex_line(offset: u64, line: &[u8], out: &mut impl Write) -> io::Result<()> {
    let hex: Vec<String> = line
        .chunks(8)
        .map(|half| half.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x} ")))
        .collect();
    let shown: String =
        line.iter().map(|&b| if (0x20..0x7f).contains(&b) { b as char } else { '.' }).collect();
    writeln!(out, "  {offset:08x}  {:<49} |{shown}|", hex.join(" "))
}

/// Two digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
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

pub fn length(bytes: u64) -> String {
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

/// That nobody reads standard output any more is no failure.
pub fn unless_nobody_reads<T>(outcome: io::Result<T>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(e) => Err(Failure::io("write to standard output", &e)),
    }
}
