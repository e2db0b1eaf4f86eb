//! The loop of looking, drawing and listening to the keys.

use super::draw::draw;
use super::terminal::Screen;
use super::ui::{Then, Ui};
use super::watch::Watch;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use shmq_tool::failure::Failure;
use std::io;
use std::time::{Duration, Instant};

/// Longest wait for a key without a look at what else happened.
const SLICE: Duration = Duration::from_millis(100);

/// Looks, draws and listens until a key, a signal or the terminal's end.
pub fn run(mut watch: Watch, interval: Duration, plant_panic: bool) -> Result<(), Failure> {
    let mut screen = Screen::new()?;
    crate::view::guard();
    assert!(!plant_panic, "planted");
    let ended = watch_until_the_end(&mut screen, &mut watch, Ui::new(interval));
    drop(screen);
    match ended {
        Ok(None) => Ok(()),
        Ok(Some(signal)) => Err(Failure::Signal(signal)),
        Err(error) => Err(Failure::io("use the terminal", &error)),
    }
}

/// The signal that ended it, if one did.
fn watch_until_the_end(screen: &mut Screen, watch: &mut Watch, mut ui: Ui) -> io::Result<Option<i32>> {
    let mut due = Instant::now();
    loop {
        if let Some(signal) = screen.ended()? {
            return Ok(Some(signal));
        }
        if !ui.paused && Instant::now() >= due {
            watch.look();
            due = Instant::now() + ui.interval;
        }
        let rows = watch.rows();
        screen.draw(|frame| draw(frame, rows, &ui))?;
        let left = due.saturating_duration_since(Instant::now());
        if !event::poll(if ui.paused { SLICE } else { left.min(SLICE) })? {
            continue;
        }
        // Anything else, such as a new size, is drawn at once by the next turn.
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            match ui.key(key, rows) {
                Then::Quit => return Ok(None),
                Then::Stop => screen.stop()?,
                Then::GoOn => due = due.min(Instant::now() + ui.interval),
            }
        }
    }
}
