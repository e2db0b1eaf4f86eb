//! Where messages go: unbuffered, so that what was written is written, and so that a signal ends the wait for a reader.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use shmq_tool::failure::Failure;
use shmq_tool::interrupt::Interrupt;
use shmq_tool::units::shown;
use std::fs::File;
use std::io::{self, IsTerminal, Seek, Write, stdout};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// An output that did not take everything.
#[derive(Debug)]
pub struct Broken {
    /// So many bytes went out before.
    pub written: usize,
    why: io::Error,
}

impl Broken {
    /// Nothing went out.
    pub fn new(why: io::Error) -> Self {
        Self { written: 0, why }
    }

    /// What is to be said: nothing if a reader went away, or the signal that came.
    pub fn explain(self, output: &Output, interrupt: &Interrupt) -> Result<(), Failure> {
        interrupt.check()?;
        match self.why.kind() {
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(Failure::io(format_args!("write to {}", output.called()), &self.why)),
        }
    }
}

/// An output.
#[derive(Debug)]
pub struct Output {
    /// `None` once it was closed.
    file: Option<File>,
    /// Of a file that is opened here, and can be opened anew.
    path: Option<PathBuf>,
    /// Whether it is the standard output of this process.
    standard: bool,
}

impl Output {
    pub fn standard() -> Result<Self, Failure> {
        let file = stdout().as_fd().try_clone_to_owned();
        let file = file.map_err(|e| Failure::io("write to standard output", &e))?.into();
        Ok(Self { file: Some(file), path: None, standard: true })
    }

    /// The input of a program.
    pub fn to(file: File) -> Self {
        Self { file: Some(file), path: None, standard: false }
    }

    /// A file, which is made or added to.
    pub fn file(path: &Path, interrupt: &Interrupt) -> Result<Self, Failure> {
        Ok(Self { file: Some(open(path, interrupt)?), path: Some(path.into()), standard: false })
    }

    pub fn is_terminal(&self) -> bool {
        self.file.as_ref().is_some_and(File::is_terminal)
    }

    fn called(&self) -> String {
        match &self.path {
            Some(path) => shown(path),
            None if self.standard => "standard output".into(),
            None => "the command".into(),
        }
    }

    /// Opens its file anew: the one before may have been renamed, as log rotation does.
    pub fn reopen(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        if let Some(path) = &self.path {
            self.file = Some(open(path, interrupt)?);
        }
        Ok(())
    }

    /// Writes it all, or as much as can be, or until a signal asks for the end.
    pub fn write(&mut self, bytes: &[u8], interrupt: &Interrupt) -> Result<(), Broken> {
        let mut written = 0;
        let why = loop {
            let Some(file) = self.file.as_mut() else { break io::ErrorKind::BrokenPipe.into() };
            if written == bytes.len() {
                return Ok(());
            }
            if interrupt.check().is_err() {
                break io::ErrorKind::Interrupted.into();
            }
            match file.write(&bytes[written..]) {
                Ok(0) => break io::ErrorKind::WriteZero.into(),
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let _ = poll(&mut [PollFd::new(file, PollFlags::OUT)], None);
                }
                Err(e) => break e,
            }
        };
        Err(Broken { written, why })
    }

    /// Takes the last bytes back that were written to a file of its own: part of a message, which will come again whole.
    /// Does nothing where it cannot.
    pub fn take_back(&mut self, bytes: usize) {
        if let (Some(file), Some(_)) = (self.file.as_mut(), &self.path)
            && let (Ok(end), Ok(known)) = (file.stream_position(), file.metadata())
            && known.is_file()
            && known.len() == end
        {
            let _ = file.set_len(end.saturating_sub(bytes as u64));
        }
    }

    /// Whether it is a pipe or socket that was closed at the other end.
    pub fn nobody_reads(&self) -> bool {
        let Some(file) = &self.file else { return true };
        let mut fds = [PollFd::new(file, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok_and(|n| n > 0) && fds[0].revents().contains(PollFlags::ERR)
    }

    /// Shows its reader the end.
    pub fn close(&mut self) {
        let Some(file) = self.file.take() else { return };
        // A socket may have copies, of which the reader's answers come in.
        let _ = rustix::net::shutdown(&file, rustix::net::Shutdown::Write);
        if self.standard
            && let Ok(null) = File::options().write(true).open("/dev/null")
        {
            let _ = rustix::stdio::dup2_stdout(&null);
        }
    }
}

/// Waits for the reader of a FIFO, unless a signal asks for the end: the standard library would go on waiting.
fn open(path: &Path, interrupt: &Interrupt) -> Result<File, Failure> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
    loop {
        interrupt.check()?;
        match rustix::fs::open(path, flags, Mode::from_raw_mode(0o666)) {
            Ok(fd) => return Ok(fd.into()),
            Err(Errno::INTR) => {}
            Err(e) => return Err(Failure::io(format_args!("write to {}", shown(path)), &e.into())),
        }
    }
}
