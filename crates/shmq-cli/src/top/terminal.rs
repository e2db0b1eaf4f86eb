//! Taking the terminal over, and giving it back whatever happens: at the end, on an error, on a panic, on a signal, when the
//! terminal itself goes away, and when a queue's file is cut short under its mapping.
//!
//! Giving back is two system calls on values that were stored before, so that it may be done from a signal handler. Only
//! SIGKILL leaves no time for it; `reset` then helps.

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::{Rect, Size};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use shmq_tool::failure::Failure;
use shmq_tool::interrupt;
use shmq_tool::signal::end_by;
use signal_hook::consts::{SIGBUS, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::low_level::emulate_default_handler;
use std::io::{self, IsTerminal, Stdout, Write, stdin, stdout};
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// Another screen, and no cursor on it; and back.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[2J\x1b[?25l";
const CLEAR: &[u8] = b"\x1b[2J";
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";
/// How long a signal that ends the process waits for it to end by itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the terminal was set to before.
static BEFORE: OnceLock<Termios> = OnceLock::new();
/// Whether it is taken over.
static TAKEN: AtomicBool = AtomicBool::new(false);

fn input() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

/// Gives it back, if it is taken over. Safe in a signal handler: no locks, no memory.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst)
        && let Some(before) = BEFORE.get()
    {
        // The settings first: writing may block where someone has stopped the output.
        let _ = tcsetattr(input(), OptionalActions::Now, before);
        let _ = rustix::io::write(rustix::stdio::stdout(), LEAVE);
    }
}

fn take() -> io::Result<()> {
    let before = match BEFORE.get() {
        Some(before) => before,
        None => {
            let now = tcgetattr(input())?;
            BEFORE.get_or_init(|| now)
        }
    };
    let mut raw = before.clone();
    raw.make_raw();
    TAKEN.store(true, Ordering::SeqCst);
    tcsetattr(input(), OptionalActions::Now, &raw)?;
    stdout().write_all(ENTER)?;
    stdout().flush()
}

/// What happened to the process, from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This signal asks it to end.
    End(i32),
    /// It is to stop, until someone lets it go on.
    Stop,
    /// It went on after someone had stopped it.
    GoOn,
}

/// The terminal, while it is ours.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// What of it is drawn on.
    area: Rect,
    events: Receiver<Event>,
}

impl Screen {
    pub fn new() -> Result<Self, Failure> {
        if !stdin().is_terminal() || !stdout().is_terminal() {
            return Err(Failure::usage("the live view needs a terminal; use --once for text, or --listen"));
        }
        let failed = |e| Failure::io("take over the terminal", &e);
        let events = watch_signals().map_err(failed)?;
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // First, so that what it says is seen.
            give_back();
            hook(panic);
        }));
        let (terminal, area) = of_its_size().map_err(failed)?;
        let mut screen = Self { terminal, area, events };
        screen.again().map_err(failed)?;
        Ok(screen)
    }

    /// Takes over, or once more, after somebody else had the terminal.
    fn again(&mut self) -> io::Result<()> {
        take()?;
        // A new one knows nothing of what was there before, and draws everything. To clear the old one would ask the
        // terminal where its cursor is, and not every one answers.
        (self.terminal, self.area) = of_its_size()?;
        Ok(())
    }

    /// Draws the picture, in the size that the terminal has by now.
    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if area_of(self.terminal.size()?) != self.area {
            stdout().write_all(CLEAR)?;
            (self.terminal, self.area) = of_its_size()?;
        }
        self.terminal.draw(picture).map(drop)
    }

    /// Gives the terminal back, stops as the signal would have done, and takes it over when it goes on.
    pub fn stop(&mut self) -> io::Result<()> {
        give_back();
        let _ = emulate_default_handler(SIGTSTP);
        self.again()
    }

    /// What happened meanwhile. Stopping is done here; `Some` is to end by.
    pub fn ended(&mut self) -> io::Result<Option<i32>> {
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::End(signal) => return Ok(Some(signal)),
                Event::Stop => self.stop()?,
                // Whoever had it meanwhile may have left it otherwise than it was.
                Event::GoOn => self.again()?,
            }
        }
        Ok(None)
    }
}

/// Nobody reads more than that, and each cell takes memory: a terminal may call itself 65 535 columns wide and as high.
const LARGEST: Size = Size { width: 1000, height: 500 };

fn area_of(size: Size) -> Rect {
    Rect::new(0, 0, size.width.min(LARGEST.width), size.height.min(LARGEST.height))
}

fn of_its_size() -> io::Result<(Terminal<CrosstermBackend<Stdout>>, Rect)> {
    let backend = CrosstermBackend::new(stdout());
    let area = area_of(backend.size()?);
    let options = TerminalOptions { viewport: Viewport::Fixed(area) };
    Ok((Terminal::with_options(backend, options)?, area))
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn watch_signals() -> io::Result<Receiver<Event>> {
    let restore_and_die = || {
        give_back();
        let _ = emulate_default_handler(SIGBUS);
    };
    // A file that is cut short while it is looked at, between the check and the look.
    // SAFETY: what is called is two system calls and the signal's own end, all allowed in a handler.
    unsafe { signal_hook::low_level::register(SIGBUS, restore_and_die)? };
    interrupt::leave_to_others();
    let (sender, receiver) = mpsc::channel();
    let mut signals =
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT])?;
    let watcher = move || {
        for signal in signals.forever() {
            let event = match signal {
                SIGTSTP => Event::Stop,
                SIGCONT => Event::GoOn,
                other => Event::End(other),
            };
            let sent = sender.send(event).is_ok();
            if let Event::End(signal) = event {
                // As a rule the process is gone by then. Not where writing to the terminal blocks.
                if sent {
                    std::thread::sleep(PATIENCE);
                }
                give_back();
                end_by(signal);
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watcher)?;
    Ok(receiver)
}
