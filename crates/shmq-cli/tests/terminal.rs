//! `shmq top` in a terminal of its own: it gives back what it took, however it ends.
#![cfg(feature = "top")]

mod common;
use common::*;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// A terminal with a program in it, whose controlling terminal it is.
struct Terminal {
    running: Running,
    keyboard: Option<File>,
    /// Open as long as the test asks for settings: the last one to close it would reset them.
    slave: Option<OwnedFd>,
    screen: Arc<Mutex<String>>,
    before: Settings,
}

/// What of the settings a program in raw mode changes.
type Settings = [libc::tcflag_t; 4];

fn settings(slave: &OwnedFd) -> Settings {
    // SAFETY: plain data, and a descriptor that is open.
    let now = unsafe {
        let mut now: libc::termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(slave.as_raw_fd(), &mut now), 0);
        now
    };
    [now.c_iflag, now.c_oflag, now.c_cflag, now.c_lflag]
}

impl Terminal {
    fn start(args: &[&str], columns: u16, lines: u16) -> Self {
        let size = libc::winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut master, mut slave) = (-1, -1);
        // SAFETY: both are written, nothing else is asked for.
        let opened =
            unsafe { libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null(), &size) };
        assert_eq!(opened, 0);
        // SAFETY: just opened, owned by nobody else.
        let (master, slave) = unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        for fd in [&master, &slave] {
            // SAFETY: the descriptor is open. Other children of this test program are not to keep the terminal.
            unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        let before = settings(&slave);
        let mut command = shmq(args);
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(stdio()).stdout(stdio()).stderr(stdio()).env_remove("NO_COLOR").env("TERM", "xterm");
        // SAFETY: system calls alone, which are allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let running = Running::start(command);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, seen) = (File::from(master.try_clone().unwrap()), screen.clone());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // A terminal without a program gives an error.
            while let Ok(n @ 1..) = output.read(&mut piece) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..n]));
            }
        });
        Self { running, keyboard: Some(File::from(master)), slave: Some(slave), screen, before }
    }

    fn shows(&self, text: &str) {
        until(text, || self.screen.lock().unwrap().contains(text));
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    fn is_as_before(&self) -> bool {
        settings(self.slave.as_ref().unwrap()) == self.before
    }

    /// It has the terminal: the null control of [`Terminal::gave_back`].
    fn has_it(&self, queue: &str) {
        self.shows(queue);
        assert!(!self.is_as_before(), "the terminal was not even taken over");
    }

    fn gave_back(&self) {
        self.shows(LEAVE);
        until("the settings from before", || self.is_as_before());
        let screen = self.screen.lock().unwrap();
        assert_eq!(screen.matches(ENTER).count(), screen.matches(LEAVE).count(), "{screen:?}");
    }
}

fn queue(test: &str) -> Name {
    let name = Name::new(test);
    ok(&run(&["create", &name.0]));
    name
}

#[test]
fn a_key_ends_it_and_the_terminal_is_as_before() {
    let name = queue("top-key");
    for key in ["q", "\x03", "\x1b"] {
        let mut terminal = Terminal::start(&["top", &name.0, "--interval", "100ms"], 80, 24);
        terminal.has_it(&name.0[..12]);
        terminal.types(key);
        assert_eq!(terminal.running.wait().code(), Some(0), "{key:?}");
        terminal.gave_back();
    }
}

#[test]
fn a_terminal_of_any_size_is_drawn_on_and_may_change_it() {
    let name = queue("top-size");
    for (columns, lines) in [(u16::MAX, u16::MAX), (1, 1), (u16::MAX, 1)] {
        let mut terminal = Terminal::start(&["top", &name.0, "--interval", "50ms"], columns, lines);
        terminal.shows(ENTER);
        // The control: in a size that shows something, it does.
        let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the descriptor is open and the argument valid.
        let set =
            unsafe { libc::ioctl(terminal.slave.as_ref().unwrap().as_raw_fd(), libc::TIOCSWINSZ, &size) };
        assert_eq!(set, 0);
        terminal.has_it(&name.0[..12]);
        terminal.types("q");
        assert_eq!(terminal.running.wait().code(), Some(0), "{columns} x {lines}");
        terminal.gave_back();
    }
}

#[test]
fn a_signal_ends_it_as_that_signal_does_and_the_terminal_is_as_before() {
    let name = queue("top-signal");
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGBUS] {
        let mut terminal = Terminal::start(&["top", &name.0], 80, 24);
        terminal.has_it(&name.0[..12]);
        terminal.running.signal(signal);
        assert_eq!(terminal.running.wait().signal(), Some(signal));
        terminal.gave_back();
    }
}

#[test]
fn a_panic_is_seen_on_the_terminal_as_it_was_before() {
    let name = queue("top-panic");
    let mut terminal = Terminal::start(&["top", &name.0, "--interval", "100ms", "--plant-panic"], 80, 24);
    assert_eq!(terminal.running.wait().code(), Some(101));
    terminal.gave_back();
    let screen = terminal.screen.lock().unwrap().clone();
    let after = screen.rsplit(LEAVE).next().unwrap();
    assert!(after.contains("planted"), "{screen:?}");
}

#[test]
fn a_file_that_is_cut_short_is_told_and_ends_nothing() {
    let name = queue("top-short");
    let mut terminal = Terminal::start(&["top", &name.0, "--interval", "50ms"], 80, 24);
    terminal.has_it(&name.0[..12]);
    File::options().write(true).open(name.path()).unwrap().set_len(4096).unwrap();
    terminal.shows("truncated");
    terminal.types("q");
    assert_eq!(terminal.running.wait().code(), Some(0));
    terminal.gave_back();
}

#[test]
fn stopped_by_a_key_it_gives_the_terminal_back_and_takes_it_again() {
    let name = queue("top-stop");
    let mut terminal = Terminal::start(&["top", &name.0, "--interval", "100ms"], 80, 24);
    terminal.has_it(&name.0[..12]);
    terminal.types("\x1a");
    until("the process to stop", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", terminal.running.0.id())).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with('T')
    });
    terminal.gave_back();
    terminal.running.signal(libc::SIGCONT);
    until("the terminal to be taken again", || {
        terminal.screen.lock().unwrap().matches(ENTER).count() >= 2 && !terminal.is_as_before()
    });
    terminal.types("q");
    assert_eq!(terminal.running.wait().code(), Some(0));
    terminal.shows(LEAVE);
    until("the settings from before", || terminal.is_as_before());
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    let name = queue("top-closed");
    let mut terminal = Terminal::start(&["top", &name.0, "--interval", "100ms"], 80, 24);
    terminal.has_it(&name.0[..12]);
    // The reader's copy of the master keeps it open, so the line is hung up instead.
    let slave = terminal.slave.take().unwrap();
    // SAFETY: ends this process's use of the terminal and everybody else's; the descriptor is open.
    let hung_up = unsafe {
        libc::ioctl(slave.as_raw_fd(), 0x5437 /* TIOCVHANGUP */, 0)
    };
    drop(slave);
    if hung_up != 0 {
        // Not allowed here: the session's end does the same.
        terminal.running.signal(libc::SIGHUP);
    }
    terminal.running.wait();
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    fails(&run(&["top"]), 2, "--once");
}
