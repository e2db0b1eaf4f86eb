//! What was found, and how bad it is.

use crate::advice::Level;
use crate::paint::Style;
use crate::stat::style;
use serde::Serialize;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Fine,
    /// Good to know.
    Note,
    /// Could not be looked at.
    Unchecked,
    Warning,
    Trouble,
    Damaged,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Note => "note",
            Self::Unchecked => "not checked",
            Self::Warning => "warning",
            Self::Trouble => "trouble",
            Self::Damaged => "DAMAGED",
        }
    }

    pub fn style(self) -> Style {
        match self {
            Self::Fine => Style::Green,
            Self::Note | Self::Unchecked => Style::Plain,
            Self::Warning => style(Level::Warning),
            Self::Trouble | Self::Damaged => style(Level::Trouble),
        }
    }
}

impl From<Level> for Verdict {
    fn from(level: Level) -> Self {
        match level {
            Level::Note => Self::Note,
            Level::Warning => Self::Warning,
            Level::Trouble => Self::Trouble,
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub what: String,
    pub verdict: Verdict,
    pub says: String,
    pub todo: Option<String>,
}

impl Finding {
    pub fn new(what: &str, verdict: Verdict, says: impl Into<String>) -> Self {
        Self { what: what.into(), verdict, says: says.into(), todo: None }
    }

    pub fn todo(self, todo: impl Into<String>) -> Self {
        Self { todo: Some(todo.into()), ..self }
    }
}

/// A queue, or the machine.
#[derive(Debug, Serialize)]
pub struct Part {
    pub name: String,
    pub worst: Verdict,
    pub findings: Vec<Finding>,
}

impl Part {
    pub fn new(name: String, findings: Vec<Finding>) -> Self {
        let worst = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Fine);
        Self { name, worst, findings }
    }
}
