//! What a column says about a queue: the same in text and on the screen.

use super::watch::Row;
#[cfg(feature = "top")]
use crate::advice::Level;
use crate::advice::State;
use crate::view::{End, View};
use shmq::PeerState;
use shmq_tool::units::show_short;

/// What an end does, in at most seven letters.
pub fn end(end: &End, role: shmq::Role) -> &'static str {
    match (end.peer, end.condition.as_deref()) {
        (PeerState::NeverAttached, _) => "-",
        (PeerState::Left, _) => "left",
        (PeerState::Lost, _) => "LOST",
        (PeerState::Attached, Some("stopped")) => "STOPPED",
        (PeerState::Attached, Some("traced")) => "TRACED",
        (PeerState::Attached, _) if end.stalled_for_ns.is_none() => "busy",
        (PeerState::Attached, _) if role == shmq::Role::Producer => "blocked",
        (PeerState::Attached, _) => "waiting",
    }
}

/// The state in one word; loud where something is wrong.
pub fn state(view: &View) -> String {
    match view.state {
        State::Stuck | State::Damaged | State::OldBoot => view.state.words().to_uppercase(),
        other => other.words().into(),
    }
}

/// The columns of one row, without its name and its bar.
pub struct Cells {
    pub state: String,
    pub percent: String,
    pub waiting: String,
    pub sent: String,
    pub received: String,
    pub producer: &'static str,
    pub consumer: &'static str,
}

impl Cells {
    /// `None` if the queue cannot be read.
    pub fn of(row: &Row) -> Option<Self> {
        let view = row.view.as_ref().ok()?;
        let now = row.now();
        if !view.has_ends() {
            let none = || "-".to_owned();
            return Some(Self {
                state: state(view),
                percent: none(),
                waiting: none(),
                sent: none(),
                received: none(),
                producer: "-",
                consumer: "-",
            });
        }
        Some(Self {
            state: state(view),
            percent: percent(view.fill_ratio),
            waiting: show_short(view.pending_messages as f64),
            sent: show_short(now.sent_per_second),
            received: show_short(now.received_per_second),
            producer: end(&view.producer, shmq::Role::Producer),
            consumer: end(&view.consumer, shmq::Role::Consumer),
        })
    }
}

/// `83%`. Neither empty nor full is said of what is only nearly so.
pub fn percent(ratio: f64) -> String {
    let whole = (ratio * 100.0).round();
    match ratio {
        r if r > 0.0 && whole < 1.0 => "<1%".into(),
        r if r < 1.0 && whole > 99.0 => "99%".into(),
        _ => format!("{whole:.0}%"),
    }
}

/// How bad the worst of a row is.
#[cfg(feature = "top")]
pub fn worst(row: &Row) -> Option<Level> {
    match &row.view {
        Ok(view) => view.advice.iter().map(|advice| advice.level).max(),
        Err(_) => Some(Level::Trouble),
    }
}

/// A bar of so many cells, each of them in eighths.
#[cfg(feature = "top")]
pub fn bar(ratio: f64, width: usize) -> String {
    const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (ratio.clamp(0.0, 1.0) * 8.0 * width as f64).round() as usize;
    let part = match eighths % 8 {
        0 if eighths == 0 && ratio > 0.0 && width > 0 => "▏".to_owned(),
        0 => String::new(),
        n => EIGHTHS[n - 1].to_string(),
    };
    let drawn = "█".repeat(eighths / 8) + &part;
    let blank = width.saturating_sub(drawn.chars().count());
    drawn + &" ".repeat(blank)
}

/// The newest values, one column each, the newest at the right; the highest is as high as a column can be.
#[cfg(feature = "top")]
pub fn spark(values: &[f64], width: usize, most: f64) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let newest = &values[values.len().saturating_sub(width)..];
    let column = |&value: &f64| match value {
        v if v <= 0.0 || most <= 0.0 => ' ',
        v => HEIGHTS[((v / most * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    " ".repeat(width - newest.len()) + &newest.iter().map(column).collect::<String>()
}

#[cfg(all(test, feature = "top"))]
mod tests {
    use super::*;

    #[test]
    fn nearly_full_is_not_full_and_nearly_empty_not_empty() {
        let shown: Vec<_> = [0.0, 0.001, 0.5, 0.999, 1.0].map(percent).into();
        assert_eq!(shown, ["0%", "<1%", "50%", "99%", "100%"]);
    }

    #[test]
    fn bars_and_columns_are_as_wide_as_asked() {
        assert_eq!(bar(0.5, 4), "██  ");
        assert_eq!(bar(0.0001, 4), "▏   ");
        assert_eq!((bar(1.0, 3), bar(0.0, 3), bar(7.0, 2)), ("███".into(), "   ".into(), "██".into()));
        assert_eq!(spark(&[9.0, 0.0, 1.0, 8.0], 3, 8.0), " ▁█");
        assert_eq!(spark(&[4.0], 3, 8.0), "  ▄");
        assert_eq!((spark(&[], 2, 0.0), spark(&[0.0], 1, 0.0)), ("  ".into(), " ".into()));
    }
}
