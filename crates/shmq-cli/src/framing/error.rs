//! Why input could not be cut, and what to do about it.

use super::cut::Cut;
use std::fmt;
use std::io;

fn bytes(n: u64) -> String {
    format!("{n} byte{}", if n == 1 { "" } else { "s" })
}

fn bytes_are(n: u64) -> String {
    format!("{} {}", bytes(n), if n == 1 { "is" } else { "are" })
}

/// What became of the messages before a remainder, and what to do.
fn go_on_after(before: u64) -> String {
    match before {
        0 => "nothing was sent, so complete the input and send it again".into(),
        1 => "1 message before was sent, so complete the input and go on with --chunk --resume".into(),
        n => format!("{n} messages before were sent, so complete the input and go on with --chunk --resume"),
    }
}

/// Why input could not be cut.
#[derive(Debug)]
pub enum CutError {
    Read(io::Error),
    TooLong {
        cut: Cut,
        number: u64,
        largest: u64,
    },
    /// Not the one length that messages have; `at_least`: where the end was not looked for.
    OtherLength {
        cut: Cut,
        number: u64,
        len: u64,
        at_least: bool,
        size: u64,
    },
    /// What is left at the end does not fill a message.
    Remainder {
        before: u64,
        bytes: u64,
        size: u64,
    },
    Truncated {
        number: u64,
        missing: u64,
    },
}

impl fmt::Display for CutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot read the input: {error}"),
            Self::TooLong { cut, number, largest } => {
                write!(
                    f,
                    "{} {number} of the input has more than {largest} bytes, the most this queue takes; create the \
                     queue with a larger --max-message, or cut the input with --chunk",
                    cut.piece()
                )
            }
            Self::OtherLength { cut, number, len, at_least, size } => {
                let than = if *at_least { "more than " } else { "" };
                let remedy = match cut {
                    Cut::Lines => {
                        "make each line that long, or cut the input with --chunk whatever its lines"
                    }
                    _ => "make each that long",
                };
                write!(
                    f,
                    "{} {number} of the input has {than}{}, but every message of this queue has exactly {size}; {remedy}, \
                     or use a queue made without --slots",
                    cut.piece(),
                    bytes(*len)
                )
            }
            Self::Remainder { before, bytes: rest, size } => write!(
                f,
                "{} left at the end of the input, but every message of this queue has exactly {size}; {}",
                bytes_are(*rest),
                go_on_after(*before)
            ),
            Self::Truncated { number, missing } => write!(
                f,
                "the input ends inside message {number}, {} missing; is it really length-prefixed, and complete?",
                bytes_are(*missing)
            ),
        }
    }
}
