//! What the keys do.

use super::cells::worst;
use super::watch::Row;
use crate::advice::Level;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::cmp::Reverse;
use std::time::Duration;

const FASTEST: Duration = Duration::from_millis(50);
const SLOWEST: Duration = Duration::from_secs(60);

/// What the rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Trouble,
    Name,
    Fill,
    Rate,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Trouble => Self::Name,
            Self::Name => Self::Fill,
            Self::Fill => Self::Rate,
            Self::Rate => Self::Trouble,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Trouble => "trouble first",
            Self::Name => "by name",
            Self::Fill => "fullest first",
            Self::Rate => "fastest first",
        }
    }
}

/// What the user chose.
#[derive(Clone, Debug)]
pub struct Ui {
    pub interval: Duration,
    pub sort: Sort,
    /// The queue that is chosen, by name: rows come and go, and change places.
    pub chosen: Option<String>,
    /// Whether what is well is hidden.
    pub only_trouble: bool,
    /// Whether the chosen queue has the whole screen.
    pub wide: bool,
    pub paused: bool,
    pub help: bool,
    pub colours: bool,
}

/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    GoOn,
    Stop,
    Quit,
}

impl Ui {
    pub fn new(interval: Duration) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            interval,
            sort: Sort::Trouble,
            chosen: None,
            only_trouble: false,
            wide: false,
            paused: false,
            help: false,
            colours: !no_colour,
        }
    }

    /// The rows to show, in order.
    pub fn shown<'a>(&self, rows: &'a [Row]) -> Vec<&'a Row> {
        let in_trouble = |row: &&Row| worst(row) > Some(Level::Note);
        let mut shown: Vec<_> = rows.iter().filter(|row| !self.only_trouble || in_trouble(row)).collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        let rate = |row: &Row| row.now().sent_per_second.max(row.now().received_per_second);
        match self.sort {
            Sort::Name => {}
            Sort::Trouble => shown.sort_by_key(|row| Reverse(worst(row))),
            Sort::Fill => shown.sort_by(|a, b| b.now().fill_ratio.total_cmp(&a.now().fill_ratio)),
            Sort::Rate => shown.sort_by(|a, b| rate(b).total_cmp(&rate(a))),
        }
        shown
    }

    /// Which of those shown is chosen: the first, unless one was.
    pub fn index(&self, shown: &[&Row]) -> usize {
        shown.iter().position(|row| Some(&row.name) == self.chosen.as_ref()).unwrap_or(0)
    }

    fn choose(&mut self, rows: &[Row], step: isize) {
        let shown = self.shown(rows);
        let index = self.index(&shown).saturating_add_signed(step).min(shown.len().saturating_sub(1));
        self.chosen = shown.get(index).map(|row| row.name.clone());
    }

    pub fn key(&mut self, key: KeyEvent, rows: &[Row]) -> Then {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Then::Quit,
            KeyCode::Char('z') if control => return Then::Stop,
            KeyCode::Char('q') => return Then::Quit,
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Esc if self.wide => self.wide = false,
            KeyCode::Esc => return Then::Quit,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Down | KeyCode::Char('j') => self.choose(rows, 1),
            KeyCode::Up | KeyCode::Char('k') => self.choose(rows, -1),
            KeyCode::PageDown => self.choose(rows, 10),
            KeyCode::PageUp => self.choose(rows, -10),
            KeyCode::Home => self.choose(rows, isize::MIN),
            KeyCode::End => self.choose(rows, isize::MAX),
            KeyCode::Enter => self.wide = !self.wide,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('a') => self.only_trouble = !self.only_trouble,
            KeyCode::Char(' ' | 'p') => self.paused = !self.paused,
            KeyCode::Char('+') => self.interval = (self.interval / 2).max(FASTEST),
            KeyCode::Char('-') => self.interval = (self.interval * 2).min(SLOWEST),
            _ => {}
        }
        Then::GoOn
    }
}
