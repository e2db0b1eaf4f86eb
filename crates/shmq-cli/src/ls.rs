//! `shmq ls`: the queues of a directory.

use crate::advice::{Level, State};
use crate::args::LsArgs;
use crate::paint::{Paint, Style};
use crate::stat::{print, style};
use crate::view::{End, Look, Subject, View, json};
use serde::Serialize;
use shmq::{OpenError, PeerState};
use shmq_tool::failure::{Failure, said_of};
use shmq_tool::units::{show_bytes, show_count, show_percent, show_rough, shown};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Where every queue with a bare name is.
pub const SHM: &str = "/dev/shm";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct List {
    schema: &'static str,
    directory: String,
    queues: Vec<View>,
    /// Queues that this program or this user cannot look into.
    unreadable: Vec<Unreadable>,
    /// Files that are something else.
    foreign_files: u64,
}

#[derive(Debug, Serialize)]
struct Unreadable {
    name: String,
    why: String,
    /// It is not the file that stands in the way, or who may read it: something failed.
    #[serde(skip)]
    failed: bool,
}

/// What lies in a directory.
#[derive(Debug, Default)]
pub struct Found {
    pub subjects: Vec<Subject>,
    unreadable: Vec<Unreadable>,
    foreign_files: u64,
}

impl Found {
    /// Queues that could not be opened, why, and whether that is a failure.
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.unreadable.iter().map(|it| (&it.name[..], &it.why[..], it.failed))
    }
}

/// The files of a directory, by name, as every command would be told of them: those in /dev/shm by their bare names.
pub fn names(directory: &Path) -> io::Result<Vec<OsString>> {
    let mut names: Vec<_> =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    let named = names.into_iter().map(|name| {
        let path = directory.join(&name);
        if directory == Path::new(SHM) && shmq::path_of(&name).is_some() {
            name
        } else if path.components().count() == 1 {
            // A path of one word would be taken for a name.
            Path::new(".").join(path).into_os_string()
        } else {
            path.into_os_string()
        }
    });
    Ok(named.collect())
}

/// Opens every queue of a directory, by name.
pub fn find(directory: &Path) -> Result<Found, Failure> {
    let failed = |e| Failure::io(format_args!("list {}", shown(directory)), &e);
    room_for_many();
    let mut found = Found::default();
    for name in names(directory).map_err(failed)? {
        let path = shmq::path_of(&name).unwrap_or_default();
        if !std::fs::symlink_metadata(&path).is_ok_and(|file| file.is_file()) {
            continue;
        }
        match Subject::open_damaged(&name) {
            Ok(subject) => found.subjects.push(subject),
            Err(OpenError::NotAQueue { .. }) => found.foreign_files += 1,
            // Gone meanwhile.
            Err(OpenError::NotFound { .. }) => {}
            Err(error) => found.unreadable.push(Unreadable {
                name: shown(&name),
                why: error.to_string(),
                failed: matches!(error, OpenError::Io { .. }),
            }),
        }
    }
    Ok(found)
}

/// As many open files as are allowed: each queue that is looked at is one, and the usual limit of 1024 is a soft one.
pub fn room_for_many() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // A sandbox may forbid either: then it stays as it is.
    // SAFETY: the argument is valid for both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// What each does, after one pause for all.
pub fn watch(subjects: &[Subject], interval: Duration) -> Vec<View> {
    let before: Option<Vec<Look>> =
        (!interval.is_zero()).then(|| subjects.iter().map(Subject::look).collect());
    if before.is_some() && !subjects.is_empty() {
        std::thread::sleep(interval);
    }
    let view = |(i, subject): (usize, &Subject)| {
        View::new(subject, before.as_ref().and_then(|looks| looks.get(i)), &subject.look())
    };
    subjects.iter().enumerate().map(view).collect()
}

pub fn run(args: &LsArgs) -> Result<(), Failure> {
    let found = find(&args.directory)?;
    let queues = watch(&found.subjects, args.sample);
    let skipped = found.unreadable.iter().filter(|it| it.failed).count() as u64;
    let list = List {
        schema: "shmq.ls/1",
        directory: shown(&args.directory),
        queues,
        unreadable: found.unreadable,
        foreign_files: found.foreign_files,
    };
    print(&if args.json { json(&list)? } else { table(&list, Paint::stdout()) })?;
    match skipped {
        0 => Ok(()),
        1 => Err(Failure::new("one file could not be looked at, see above")),
        n => Err(Failure::new(format!("{} files could not be looked at, see above", show_count(n)))),
    }
}

const HEADINGS: [&str; 8] = ["NAME", "KIND", "STATE", "PENDING", "FULL", "PRODUCER", "CONSUMER", "SIZE"];
/// Columns of numbers.
const RIGHT: [usize; 3] = [3, 4, 7];

fn table(list: &List, paint: Paint) -> String {
    let mut text = String::new();
    if !list.queues.is_empty() {
        let rows: Vec<[String; 8]> = list.queues.iter().map(row).collect();
        let width = |i: usize| {
            let cells = rows.iter().map(|row| row[i].chars().count());
            cells.chain([HEADINGS[i].len()]).max().unwrap_or(0)
        };
        let widths: [usize; 8] = std::array::from_fn(width);
        text += &line(&HEADINGS.map(String::from), &widths, |_| Style::Bold, paint);
        for (row, view) in rows.iter().zip(&list.queues) {
            let worst = view.advice.first().map_or(Level::Note, |advice| advice.level);
            let colour = |i| if i == 2 { state_style(view.state, worst) } else { Style::Plain };
            text += &line(row, &widths, colour, paint);
        }
    }
    for Unreadable { name, why, .. } in &list.unreadable {
        text += &format!("{}\n", said_of(name, why));
    }
    if list.queues.is_empty() {
        text += &format!("there are no queues in {}", list.directory);
        text += &match list.foreign_files {
            0 => "\n".into(),
            1 => " (one file there is something else)\n".into(),
            n => format!(" ({} files there are something else)\n", show_count(n)),
        };
    }
    for view in &list.queues {
        if let Some(advice) = view.advice.first().filter(|advice| advice.level == Level::Trouble) {
            let name = crate::attach::quoted(std::ffi::OsStr::new(&view.name));
            text += &format!(
                "{} {}; see `shmq stat {name}`\n",
                paint.style(Style::Red, &format!("{}:", view.name)),
                advice.says
            );
        }
    }
    text
}

fn state_style(state: State, worst: Level) -> Style {
    match (state, worst) {
        (State::Flowing, Level::Note) => Style::Green,
        (State::Idle | State::Done | State::Unused, Level::Note) => Style::Dim,
        (_, worst) => style(worst),
    }
}

fn line(cells: &[String; 8], widths: &[usize; 8], style: impl Fn(usize) -> Style, paint: Paint) -> String {
    let mut line = String::new();
    for (i, cell) in cells.iter().enumerate() {
        let space = " ".repeat(widths[i] - cell.chars().count());
        let (before, after) =
            if RIGHT.contains(&i) { (space, String::new()) } else { (String::new(), space) };
        line += &format!("{before}{}{after}  ", paint.style(style(i), cell));
    }
    line.trim_end().to_owned() + "\n"
}

fn row(view: &View) -> [String; 8] {
    let queue = view.has_ends();
    let only = |text: String| if queue { text } else { "-".into() };
    [
        view.name.clone(),
        view.kind.clone(),
        view.state.words().into(),
        only(show_count(view.pending_messages)),
        only(show_percent(view.fill_ratio)),
        only(end(&view.producer)),
        only(end(&view.consumer)),
        show_bytes(view.file_bytes),
    ]
}

/// `4711 worker, 3 min 5 s`.
fn end(end: &End) -> String {
    let age = || {
        let age = Duration::from_nanos(crate::diagnosis::since_1970(end.since_ns));
        show_rough(Duration::from_secs(age.as_secs()).max(Duration::from_secs(1)))
    };
    let command = end.command.as_deref().map_or(String::new(), |command| format!(" {command}"));
    match (end.peer, end.condition.as_deref()) {
        (PeerState::NeverAttached, _) => "-".into(),
        (PeerState::Left, _) => "left".into(),
        (PeerState::Lost, _) => format!("lost (was {})", end.pid),
        (PeerState::Attached, Some("stopped")) => format!("{}{command}, stopped", end.pid),
        (PeerState::Attached, _) => format!("{}{command}, {}", end.pid, age()),
    }
}
