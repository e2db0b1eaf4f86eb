//! One queue, checked.

use super::finding::{Finding, Part, Verdict};
use crate::attach::quoted;
use crate::ls;
use crate::view::{Subject, View};
use rustix::fs;
use shmq::{Kind, OpenError, Outcome};
use shmq_tool::failure::Failure;
use shmq_tool::units::{show_bytes, shown};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

const SAMPLE: Duration = Duration::from_millis(250);
/// File systems that live in memory: tmpfs, ramfs, hugetlbfs.
const IN_MEMORY: [i64; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];

/// Every queue of a directory.
pub fn all(directory: &Path) -> Result<Vec<Part>, Failure> {
    let found = ls::find(directory)?;
    let mut parts = examine_all(&found.subjects);
    for (name, why, failed) in found.unreadable() {
        let verdict = if failed { Verdict::Trouble } else { Verdict::Unchecked };
        parts.push(Part::new(name.into(), vec![Finding::new("file", verdict, why)]));
    }
    Ok(parts)
}

/// Those of these names, in their order.
pub fn named(names: &[OsString]) -> Result<Vec<Part>, Failure> {
    ls::room_for_many();
    let opened = names.iter().map(|name| open(name)).collect::<Result<Vec<_>, _>>()?;
    let (mut subjects, mut unreadable) = (Vec::new(), Vec::new());
    for (i, one) in opened.into_iter().enumerate() {
        match one {
            Ok(subject) => subjects.push(subject),
            Err(part) => unreadable.push((i, part)),
        }
    }
    let mut parts = examine_all(&subjects);
    unreadable.into_iter().for_each(|(i, part)| parts.insert(i, part));
    Ok(parts)
}

/// The queue, or what there is to say instead.
fn open(name: &OsStr) -> Result<Result<Subject, Part>, Failure> {
    match Subject::open_damaged(name) {
        Ok(subject) => Ok(Ok(subject)),
        Err(error @ (OpenError::NotFound { .. } | OpenError::Name { .. } | OpenError::Denied { .. })) => {
            Err(Failure::from(error).of(name))
        }
        Err(error) => {
            let path = shmq::path_of(name).unwrap_or_default();
            // What is no file of bytes never was a queue.
            let file = std::fs::symlink_metadata(path).is_ok_and(|path| path.is_file());
            let verdict = if file { Verdict::Damaged } else { Verdict::Trouble };
            let finding = Finding::new("file", verdict, error.to_string())
                .todo("if it was a queue, nothing of it can be read; see that the name is right");
            Ok(Err(Part::new(shown(name), vec![finding])))
        }
    }
}

/// All at once, so that however many there are, it takes one pause.
fn examine_all(subjects: &[Subject]) -> Vec<Part> {
    let views = ls::watch(subjects, SAMPLE);
    subjects.iter().zip(&views).map(|(subject, view)| examine(subject, view)).collect()
}

fn examine(subject: &Subject, view: &View) -> Part {
    let name = quoted(OsStr::new(&subject.name));
    let mut findings = Vec::new();
    // Blocks are passed in place, so there is nothing to copy them into.
    let save = match subject.inspector.kind() {
        Kind::Pool => format!("`shmq dump {name} --length-prefixed` prints what can be read"),
        Kind::Raw => format!("`shmq dump {name}` shows what is there"),
        _ => format!("`shmq copy {name} OTHER` saves what can be read"),
    };
    for check in subject.inspector.check() {
        findings.push(match check.outcome {
            Outcome::Fine { said } => Finding::new(check.what, Verdict::Fine, said),
            Outcome::Unchecked { why } => Finding::new(check.what, Verdict::Unchecked, why),
            Outcome::Damaged { said } => Finding::new(check.what, Verdict::Damaged, said)
                .todo(format!("stop whoever uses it; {save}; then `shmq rm --force {name}`")),
            _ => continue,
        });
    }
    findings.extend(file(subject));
    let said = |code| matches!(code, "damaged" | "old_boot");
    let advice: Vec<_> = view.advice.iter().filter(|advice| !said(advice.code)).collect();
    if !view.has_ends() {
        let says = "raw memory has neither ends nor messages: what is in it, only its programs can tell";
        findings.push(Finding::new("contents", Verdict::Fine, says));
    } else if advice.is_empty() {
        findings.push(Finding::new("ends", Verdict::Fine, view.state.words()));
    }
    for advice in advice {
        let finding = Finding::new("ends", advice.level.into(), &advice.says);
        findings.push(Finding { todo: advice.todo.clone(), ..finding });
    }
    Part::new(subject.name.clone(), findings)
}

/// The file as the file system has it.
fn file(subject: &Subject) -> Vec<Finding> {
    let failed = |e: std::io::Error| vec![Finding::new("file", Verdict::Unchecked, e.to_string())];
    let (stat, system) = match (std::fs::metadata(&subject.path), fs::statfs(&subject.path)) {
        (Ok(stat), Ok(system)) => (stat, system),
        (Err(e), _) => return failed(e),
        (_, Err(e)) => return failed(e.into()),
    };
    if let Some(name) = subject.inspector.unshared() {
        let says = format!(
            "it is on {name}: no end can be taken there, as neither locks nor memory are the same for all who reach it"
        );
        return vec![
            Finding::new("file", Verdict::Trouble, says)
                .todo("move it to /dev/shm, a tmpfs or a local disk; for a container, a volume"),
        ];
    }
    let in_memory = IN_MEMORY.contains(&system.f_type);
    let mut findings = Vec::new();
    let allocated = stat.blocks() * 512;
    let (mode, length) = (stat.mode() & 0o777, show_bytes(stat.len()));
    // Huge pages are not counted in blocks the same way.
    if allocated < stat.len() && system.f_type != IN_MEMORY[2] {
        let says = format!(
            "only {} of its {length} have memory behind them: a copy, or holes were made",
            show_bytes(allocated)
        );
        let finding = Finding::new("file", Verdict::Warning, says);
        findings.push(finding.todo(
            "an end that touches the rest dies of SIGBUS when space runs out; use a queue made by `shmq create`",
        ));
    }
    if subject.inspector.wants_room() {
        let says = "it is copied on write (btrfs): each page that is written back wants new room";
        findings.push(
            Finding::new("file", Verdict::Warning, says)
                .todo("an end dies of SIGBUS when the disk is full; use a queue made by `shmq create`, not a copy of one"),
        );
    }
    if mode & 0o007 != 0 {
        let says = format!("mode {mode:04o}: everybody on this machine may open it");
        findings.push(Finding::new("file", Verdict::Warning, says).todo(format!(
            "who may write can spoil it, who may read can keep others from an end: `chmod o= {}`",
            quoted(subject.path.as_os_str())
        )));
    }
    if !in_memory {
        let says = format!("{length}, mode {mode:04o}, on a disk: pages are written back now and then");
        findings.push(
            Finding::new("file", Verdict::Note, says).todo("a queue in /dev/shm never waits for a disk"),
        );
    } else if findings.is_empty() {
        findings.push(Finding::new("file", Verdict::Fine, format!("{length} in memory, mode {mode:04o}")));
    }
    findings
}
