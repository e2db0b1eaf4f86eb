//! Standard output and standard error, whose reader may be gone: `| head` has seen enough before its writer is done.
//!
//! `println!` panics then. The programs say everything through here; the lints `print_stdout` and `print_stderr` hold them to it.

use crate::failure::Failure;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Writes to standard output. `false`: nobody reads it any more, which is no failure; who only prints may end.
///
/// # Errors
/// Anything else that the system said, a full disk for one.
pub fn out(text: impl Display) -> Result<bool, Failure> {
    write(&mut io::stdout(), &text.to_string())
}

/// One line on standard error, unless nobody listens.
pub fn err(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn write(to: &mut impl Write, text: &str) -> Result<bool, Failure> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::io("write to standard output", &e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure_and_a_full_disk_is() {
        assert!(write(&mut Vec::new(), "text").expect("room"));
        assert!(!write(&mut Broken(ErrorKind::BrokenPipe), "text").expect("no failure"));
        assert!(write(&mut Broken(ErrorKind::StorageFull), "text").is_err());
    }
}
