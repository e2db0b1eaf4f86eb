//! `shmq doctor`: queues and their machine, checked, and what to do.

mod finding;
mod machine;
mod queue;

use crate::args::DoctorArgs;
use crate::ls::SHM;
use crate::paint::{Paint, Style};
use crate::stat::print;
use crate::view::json;
use finding::{Finding, Part, Verdict};
use serde::Serialize;
use shmq_tool::failure::{Code, Failure};
use std::path::Path;

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
