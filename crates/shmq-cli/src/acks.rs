//! What a reader has finished, as it says itself: counts of messages, as lines or as numbers of 4 bytes.

use crate::framing::Frame;
use shmq_tool::failure::Failure;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A line is not longer than a number.
const LONGEST: u64 = 64;

/// The answers of a reader. A thread of their own reads them, so that a reader that waits until they are read does not
/// wait for one that waits until its input is.
#[derive(Debug)]
pub struct Acks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Known {
    /// Finished since the last look.
    finished: u64,
    /// Once there will be no more answers: why, if something is wrong.
    end: Option<Result<(), String>>,
}

/// What there is of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// So many more messages are finished.
    Finished(u64),
    /// None for now.
    None,
    /// There will be none.
    End,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Acks {
    pub fn read(input: impl Read + Send + 'static, frame: Frame) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::default());
        let ours = Self(shared.clone());
        let reader = move || {
            let mut input = BufReader::new(UntilReset(input));
            loop {
                let answer = next(&mut input, frame);
                let mut known = shared.lock();
                match answer {
                    Ok(Some(count)) => known.finished = known.finished.saturating_add(count),
                    Ok(None) => known.end = Some(Ok(())),
                    Err(text) => known.end = Some(Err(text)),
                }
                let last = known.end.is_some();
                drop(known);
                shared.changed.notify_one();
                if last {
                    return;
                }
            }
        };
        let spawned = std::thread::Builder::new().name("acks".into()).spawn(reader);
        spawned.map_err(|e| Failure::io("start a thread", &e))?;
        Ok(ours)
    }

    /// What was answered since the last call, waiting that long for something.
    ///
    /// # Errors
    /// An answer makes no sense, or cannot be read. Those before it are told first.
    pub fn next(&self, within: Duration) -> Result<Answer, Failure> {
        let nothing = |known: &mut Known| known.finished == 0 && known.end.is_none();
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), within, nothing);
        let (mut known, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (std::mem::take(&mut known.finished), &known.end) {
            (0, None) => Ok(Answer::None),
            (0, Some(Ok(()))) => Ok(Answer::End),
            (0, Some(Err(text))) => Err(Failure::new(text.clone())),
            (count, _) => Ok(Answer::Finished(count)),
        }
    }
}

/// A socket that is closed before all was read of it ends for its peer with an error: here, it just ends.
struct UntilReset<R>(R);

impl<R: Read> Read for UntilReset<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            done => done,
        }
    }
}

fn next(input: &mut impl BufRead, frame: Frame) -> Result<Option<u64>, String> {
    let failed = |e: io::Error| format!("cannot read what the reader acknowledges: {e}");
    if frame == Frame::LengthPrefixed {
        let mut count = Vec::new();
        input.by_ref().take(4).read_to_end(&mut count).map_err(failed)?;
        return match count.first_chunk::<4>() {
            Some(count) => Ok(Some(u32::from_le_bytes(*count).into())),
            None if count.is_empty() => Ok(None),
            None => Err("the reader ended within an acknowledgement, which has 4 bytes".into()),
        };
    }
    let mut line = Vec::new();
    input.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(failed)?;
    let Some(line) = line.strip_suffix(b"\n") else {
        // Whoever dies within a line may have meant a larger number.
        return if line.len() as u64 == LONGEST { Err(nonsense(&line)) } else { Ok(None) };
    };
    let text = line.trim_ascii();
    let count = if text.is_empty() { Some(1) } else { digits(text) };
    count.map(Some).ok_or_else(|| nonsense(line))
}

fn digits(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn nonsense(line: &[u8]) -> String {
    let line = shmq_tool::units::plain(&String::from_utf8_lossy(line));
    format!(
        "the reader acknowledges {line:?}, which is no number of messages; each line is one, and an empty line is 1"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of what comes, and how it ends.
    fn all(input: &'static [u8], frame: Frame) -> (u64, Result<(), String>) {
        let acks = Acks::read(input, frame).unwrap();
        let mut sum = 0u64;
        loop {
            match acks.next(Duration::from_secs(60)) {
                Ok(Answer::Finished(count)) => sum = sum.saturating_add(count),
                Ok(Answer::End) => return (sum, Ok(())),
                Ok(Answer::None) => panic!("a reader that has ended keeps us waiting"),
                Err(Failure::Said(_, text)) => return (sum, Err(text)),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn lines_are_counts_and_half_a_line_is_none() {
        assert_eq!(all(b"", Frame::Lines), (0, Ok(())));
        assert_eq!(all(b"1\n\n 37\r\n0\n12", Frame::Lines), (39, Ok(())));
        assert_eq!(all(b"18446744073709551615\n18446744073709551615\n", Frame::Lines), (u64::MAX, Ok(())));
        for wrong in [&b"ok\n"[..], b"-1\n", b"+1\n", b"18446744073709551616\n", b"1.5\n", b"\xff\n"] {
            let input = [b"2\n", wrong].concat().leak();
            let (sum, ended) = all(input, Frame::Lines);
            assert!(sum == 2 && ended.unwrap_err().contains("no number of messages"), "{wrong:?}");
        }
        assert!(all(&[b'7'; 1000], Frame::Lines).1.unwrap_err().contains("no number"));
    }

    #[test]
    fn numbers_have_four_bytes() {
        assert_eq!(all(b"\x01\0\0\0\0\x01\0\0", Frame::LengthPrefixed), (257, Ok(())));
        let (sum, ended) = all(b"\x02\0\0\0\x01\0", Frame::LengthPrefixed);
        assert!(sum == 2 && ended.unwrap_err().contains("4 bytes"));
    }
}
