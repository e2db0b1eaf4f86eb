//! Bytes to messages and back. Every framing carries any bytes; lines alone say nothing about line ends inside a message.

mod cut;
mod error;

pub use cut::Cut;
pub use error::CutError;

use crate::shape::{Length, Message};
use std::io::{self, Read};
use std::ops::Range;

const FIRST_BUFFER: usize = 256 << 10;
/// The end of a line that is too long is looked for so far, to say how long it is.
const LOOK_FOR_END: u64 = 64 << 10;

/// Cuts what a reader yields into messages. What has arrived is handed out before more is read.
#[derive(Debug)]
pub struct Cutter<R> {
    input: R,
    cut: Cut,
    length: Length,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not yet handed out.
    rest: Range<usize>,
    /// So much of `rest` is known to hold no line end.
    scanned: usize,
    ended: bool,
    number: u64,
}

impl<R: Read> Cutter<R> {
    /// `length`: which messages the queue takes.
    pub fn new(input: R, cut: Cut, length: Length) -> Self {
        let buffer = vec![0; FIRST_BUFFER];
        Self { input, cut, length, buffer, rest: 0..0, scanned: 0, ended: false, number: 0 }
    }

    /// The next message; `None` at the end of the input.
    pub fn next(&mut self) -> Result<Option<&[u8]>, CutError> {
        self.number += 1;
        let found = match self.cut {
            Cut::Lines => self.line(),
            Cut::Chunk(bytes) => self.chunk(bytes),
            Cut::Raw => self.raw(),
            Cut::LengthPrefixed => self.prefixed(),
        }?;
        Ok(found.map(|range| &self.buffer[range]))
    }

    /// A message of so many bytes, or at least so many, is refused.
    fn refused(&self, len: u64, at_least: bool) -> CutError {
        let (cut, number) = (self.cut, self.number);
        match self.length {
            Length::UpTo(largest) => CutError::TooLong { cut, number, largest },
            Length::Exactly(size) => CutError::OtherLength { cut, number, len, at_least, size },
        }
    }

    fn line(&mut self) -> Result<Option<Range<usize>>, CutError> {
        loop {
            let start = self.rest.start;
            let unseen = start + self.scanned..self.rest.end;
            let end = memchr::memchr(b'\n', &self.buffer[unseen]).map(|i| start + self.scanned + i);
            let len = end.unwrap_or(self.rest.end) - start;
            let enough = match self.length {
                Length::UpTo(most) => most,
                Length::Exactly(size) => size + LOOK_FOR_END,
            };
            if len as u64 > enough {
                return Err(self.refused(enough, true));
            }
            self.scanned = len;
            if end.is_some() || self.ended && len > 0 {
                if !self.length.allows(len as u64) {
                    return Err(self.refused(len as u64, false));
                }
                self.scanned = 0;
            }
            match end {
                Some(end) => {
                    self.rest.start = end + 1;
                    return Ok(Some(start..end));
                }
                None if self.ended => return Ok(self.hand_out(len)),
                None => self.read_more()?,
            }
        }
    }

    fn chunk(&mut self, bytes: u64) -> Result<Option<Range<usize>>, CutError> {
        if bytes > self.length.longest() {
            return Err(self.refused(bytes, false));
        }
        let there = self.gather(bytes as usize)?.min(bytes as usize) as u64;
        if let Length::Exactly(size) = self.length
            && there > 0
            && there != size
        {
            return Err(CutError::Remainder { before: self.number - 1, bytes: there, size });
        }
        Ok(self.hand_out(bytes as usize))
    }

    fn raw(&mut self) -> Result<Option<Range<usize>>, CutError> {
        self.gather(1)?;
        Ok(self.hand_out(self.length.longest().min(self.buffer.len() as u64) as usize))
    }

    fn prefixed(&mut self) -> Result<Option<Range<usize>>, CutError> {
        let truncated = |number, missing| CutError::Truncated { number, missing };
        let there = self.gather(4)?;
        if there == 0 {
            return Ok(None);
        }
        let Some(prefix) = self.buffer[self.rest.clone()].first_chunk::<4>() else {
            return Err(truncated(self.number, 4 - there as u64));
        };
        let len = u32::from_le_bytes(*prefix);
        if !self.length.allows(len.into()) {
            return Err(self.refused(len.into(), false));
        }
        let whole = 4 + len as usize;
        let there = self.gather(whole)?;
        if there < whole {
            return Err(truncated(self.number, (whole - there) as u64));
        }
        let start = self.rest.start;
        self.rest.start += whole;
        Ok(Some(start + 4..start + whole))
    }

    /// The next `len` bytes, or what is left; `None` if nothing is.
    fn hand_out(&mut self, len: usize) -> Option<Range<usize>> {
        let start = self.rest.start;
        self.rest.start += len.min(self.rest.len());
        (start < self.rest.start).then_some(start..self.rest.start)
    }

    /// Reads until `len` bytes are there, or the input ends; says how many are.
    fn gather(&mut self, len: usize) -> Result<usize, CutError> {
        while self.rest.len() < len && !self.ended {
            self.read_more()?;
        }
        Ok(self.rest.len())
    }

    fn read_more(&mut self) -> Result<(), CutError> {
        if self.rest.start > 0 && self.rest.end == self.buffer.len() || self.rest.is_empty() {
            self.buffer.copy_within(self.rest.clone(), 0);
            self.rest = 0..self.rest.len();
        }
        if self.rest.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.rest.end..]) {
                Ok(0) => self.ended = true,
                Ok(n) => self.rest.end += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(CutError::Read(e)),
            }
            return Ok(());
        }
    }
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    Lines,
    Raw,
    LengthPrefixed,
}

impl Frame {
    /// Appends a message in its frame.
    pub fn append(self, message: &Message<'_>, to: &mut Vec<u8>) {
        if self == Self::LengthPrefixed {
            // A message of 4 GiB does not fit the frame; `recv` refuses queues that could hold one.
            to.extend_from_slice(&(message.len() as u32).to_le_bytes());
        }
        message.append_to(to);
        if self == Self::Lines {
            to.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Consumer;

    /// Yields at most `step` bytes at a time.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(into.len());
            self.0.read(&mut into[..n])
        }
    }

    fn cut(input: &[u8], step: usize, cut: Cut, largest: u64) -> Result<Vec<Vec<u8>>, String> {
        pieces(input, step, cut, Length::UpTo(largest)).1
    }

    /// As long as it goes: how many pieces, and all of them or the error.
    fn pieces(input: &[u8], step: usize, cut: Cut, length: Length) -> (usize, Result<Vec<Vec<u8>>, String>) {
        let mut cutter = Cutter::new(Slowly(input, step), cut, length);
        let mut messages = Vec::new();
        loop {
            match cutter.next() {
                Ok(Some(message)) => messages.push(message.to_vec()),
                Ok(None) => return (messages.len(), Ok(messages)),
                Err(error) => return (messages.len(), Err(error.to_string())),
            }
        }
    }

    /// What comes before the error, and the error, for messages of exactly 4 bytes.
    #[track_caller]
    fn exactly_4(input: &[u8], cut: Cut, before: usize, says: &str) {
        for step in [1, 3, 1000] {
            match pieces(input, step, cut, Length::Exactly(4)) {
                (there, Ok(_)) => assert!(there == before && says.is_empty(), "{there} and no error"),
                (there, Err(error)) => {
                    assert!(there == before && !says.is_empty() && error.contains(says), "{there}, {error:?}")
                }
            }
        }
    }

    #[test]
    fn fixed_size_lines_have_that_length() {
        exactly_4(b"", Cut::Lines, 0, "");
        exactly_4(b"abcd\nefgh", Cut::Lines, 2, "");
        exactly_4(b"abcd\nefgh\n", Cut::Lines, 2, "");
        exactly_4(b"abcd\n\nefgh\n", Cut::Lines, 1, "line 2 of the input has 0 bytes, but");
        exactly_4(b"abcd\nefghi\n", Cut::Lines, 1, "line 2 of the input has 5 bytes, but");
        exactly_4(b"a\n", Cut::Lines, 0, "has 1 byte, but every message of this queue has exactly 4; make");
        exactly_4(b"abcd\nefg", Cut::Lines, 1, "line 2 of the input has 3 bytes");
        let endless = vec![b'x'; 100_000];
        exactly_4(&endless, Cut::Lines, 0, "line 1 of the input has more than 65540 bytes");
    }

    #[test]
    fn fixed_size_pieces_leave_nothing_over() {
        exactly_4(b"", Cut::Chunk(4), 0, "");
        exactly_4(b"abcdefgh", Cut::Chunk(4), 2, "");
        exactly_4(b"abcdefghi", Cut::Chunk(4), 2, "1 byte is left at the end of the input");
        exactly_4(b"abc", Cut::Chunk(4), 0, "exactly 4; nothing was sent, so");
        exactly_4(b"abcdef", Cut::Chunk(4), 1, "2 bytes are left at the end of the input, but every message");
        exactly_4(b"\x04\0\0\0abcd", Cut::LengthPrefixed, 1, "");
        exactly_4(
            b"\x04\0\0\0abcd\x03\0\0\0abc",
            Cut::LengthPrefixed,
            1,
            "message 2 of the input has 3 bytes",
        );
        exactly_4(b"\x04\0\0\0abcd\x05\0\0\0", Cut::LengthPrefixed, 1, "message 2 of the input has 5 bytes");
    }

    #[test]
    fn lines_need_no_end_at_the_end_and_may_be_empty() {
        for step in [1, 2, 3, 1000] {
            let lines = |input: &[u8]| cut(input, step, Cut::Lines, 5).unwrap();
            assert_eq!(lines(b""), Vec::<Vec<u8>>::new());
            assert_eq!(lines(b"\n"), [b""]);
            assert_eq!(lines(b"a\n\nb\n"), [&b"a"[..], b"", b"b"]);
            assert_eq!(lines(b"a\nb"), [b"a", b"b"]);
            assert_eq!(lines(b"12345\n\r\0\xff\n"), [&b"12345"[..], b"\r\0\xff"]);
            let error = cut(b"a\n123456\n", step, Cut::Lines, 5).unwrap_err();
            assert!(error.starts_with("line 2 of the input has more than 5 bytes"), "{error}");
            assert!(cut(b"123456", step, Cut::Lines, 5).is_err());
        }
    }

    #[test]
    fn chunks_are_full_but_the_last() {
        for step in [1, 3, 1000] {
            assert_eq!(cut(b"abcdefg", step, Cut::Chunk(3), 3).unwrap(), [&b"abc"[..], b"def", b"g"]);
            assert_eq!(cut(b"abcdef", step, Cut::Chunk(3), 9).unwrap(), [b"abc", b"def"]);
            assert_eq!(cut(b"", step, Cut::Chunk(3), 9).unwrap(), Vec::<Vec<u8>>::new());
        }
    }

    #[test]
    fn raw_is_the_same_bytes_however_they_arrive() {
        let input: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
        for step in [1, 7, 4096, 1 << 20] {
            let messages = cut(&input, step, Cut::Raw, 1000).unwrap();
            assert!(messages.iter().all(|m| (1..=1000).contains(&m.len())));
            assert_eq!(messages.concat(), input);
        }
    }

    #[test]
    fn length_prefixes_are_four_bytes_little_endian() {
        let input = b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0\n";
        for step in [1, 5, 1000] {
            let prefixed = |input: &[u8]| cut(input, step, Cut::LengthPrefixed, 5);
            assert_eq!(prefixed(input).unwrap(), [&b"ab"[..], b"", b"\n"]);
            assert_eq!(prefixed(b"").unwrap(), Vec::<Vec<u8>>::new());
            assert!(prefixed(&input[..5]).unwrap_err().contains("message 1, 1 byte is missing"));
            assert!(prefixed(&input[..8]).unwrap_err().contains("message 2, 2 bytes are missing"));
            assert!(
                prefixed(b"\x06\0\0\0abcdef").unwrap_err().contains("message 1 of the input has more than 5")
            );
        }
    }

    #[test]
    fn a_message_may_be_longer_than_the_first_buffer() {
        let long = vec![b'x'; FIRST_BUFFER * 3];
        let input = [&b"short\n"[..], &long, b"\nshort"].concat();
        let lines = cut(&input, 100_000, Cut::Lines, u64::MAX).unwrap();
        assert_eq!(lines, [&b"short"[..], &long, b"short"]);
    }

    #[test]
    fn frames_are_what_the_cutter_reads() {
        let name = format!("shmq-framing-{}", std::process::id());
        let queue = shmq::Queue::create(&name, &shmq::Options::new()).unwrap();
        let (mut tx, rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
        std::fs::remove_file(queue.path().unwrap()).unwrap();
        let mut rx = Consumer::Records(rx);
        let messages = [&b"a"[..], b"", b"\0\xff\n", &[7; 1000]];
        for (frame, expected) in [(Frame::Raw, 1004), (Frame::Lines, 1008), (Frame::LengthPrefixed, 1020)] {
            tx.try_send_batch(&messages).unwrap();
            let mut out = Vec::new();
            let mut run = rx.run(usize::MAX, shmq::Until::Forever).unwrap();
            while let Some(message) = run.next() {
                frame.append(&message, &mut out);
            }
            assert_eq!(run.acknowledge(), 4);
            assert_eq!(out.len(), expected);
            if frame == Frame::LengthPrefixed {
                assert_eq!(cut(&out, 100, Cut::LengthPrefixed, 1000).unwrap(), messages);
            }
        }
    }
}
