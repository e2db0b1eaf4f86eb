//! `shmq doctor`: queues and their machine, checked, and what to do.

mod machine;
mod queue;

use crate::args::DoctorArgs;
use crate::diagnosis::Level;
use crate::failure::{Code, Failure};
use crate::ls::SHM;
use crate::paint::{Paint, Style};
use crate::stat::{print, style};
use crate::view::json;
use serde::Serialize;
use std::path::Path;

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
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Note => "note",
            Self::Unchecked => "not checked",
            Self::Warning => "warning",
            Self::Trouble => "trouble",
            Self::Damaged => "DAMAGED",
        }
    }

    fn style(self) -> Style {
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

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    worst: Verdict,
    machine: Part,
    queues: Vec<Part>,
}

pub fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let queues = match &args.names[..] {
        [] => queue::all(Path::new(SHM))?,
        names => queue::named(names)?,
    };
    let machine = Part::new("this machine".into(), machine::findings());
    let worst = queues.iter().map(|part| part.worst).fold(machine.worst, Verdict::max);
    let report = Report { schema: "shmq.doctor/1", worst, machine, queues };
    print(&if args.json { json(&report)? } else { people(&report, args.quiet, Paint::stdout()) })?;
    match report.worst {
        Verdict::Damaged => Err(Failure::Exit(Code::Corrupt as u8)),
        Verdict::Warning | Verdict::Trouble => Err(Failure::Exit(Code::Failure as u8)),
        Verdict::Fine | Verdict::Note | Verdict::Unchecked => Ok(()),
    }
}

fn people(report: &Report, quiet: bool, paint: Paint) -> String {
    let mut text = String::new();
    for part in report.queues.iter().chain([&report.machine]) {
        let shown = |finding: &&Finding| !quiet || finding.verdict >= Verdict::Warning;
        let findings: Vec<&Finding> = part.findings.iter().filter(shown).collect();
        if findings.is_empty() {
            continue;
        }
        text += &format!("{}\n", paint.style(Style::Bold, &part.name));
        for finding in findings {
            let word = finding.verdict.word();
            let space = " ".repeat(11 - word.len());
            text += &format!(
                "  {}{space}  {:<13} {}\n",
                paint.style(finding.verdict.style(), word),
                finding.what,
                finding.says
            );
            if let Some(todo) = &finding.todo {
                text += &format!("               -> {todo}\n");
            }
        }
    }
    if !quiet {
        text += match report.worst {
            Verdict::Damaged => "A queue is damaged; see above.\n",
            Verdict::Warning | Verdict::Trouble => "Something needs attention; see above.\n",
            _ => "Everything is fine.\n",
        };
    }
    text
}
