//! Which queues there are, looked at again and again; and what they were like before.

use crate::ls;
use crate::prometheus::Scrape;
use crate::view::{Look, Subject, View};
use shmq::OpenError;
use shmq_tool::units::shown;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Looks remembered: more than any screen is wide.
const MEMORY: usize = 512;

/// What happened between one look and the next.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    pub sent_per_second: f64,
    pub received_per_second: f64,
    pub fill_ratio: f64,
}

/// A queue as it is shown.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    /// What it is like, or why that cannot be said.
    pub view: Result<View, String>,
    /// The newest last.
    pub history: VecDeque<Moment>,
}

impl Row {
    /// The last moment.
    pub fn now(&self) -> Moment {
        self.history.back().copied().unwrap_or_default()
    }
}

/// A queue that is watched.
struct Watched {
    name: OsString,
    subject: Option<Subject>,
    /// There is no queue of that name, or none for us.
    gone: bool,
    /// The look before.
    last: Option<Look>,
    /// The first of all looks since which no message was sent or taken.
    still: Option<Look>,
}

/// The queues that are watched: those named, or all there are. [`Watch::rows`] shows them in the same order.
pub struct Watch {
    all: bool,
    queues: Vec<Watched>,
    rows: Vec<Row>,
    /// Files that are no queues, by inode, as they were: not opened again and again.
    foreign: HashMap<(u64, u64), (u64, i64, i64)>,
}

impl Watch {
    /// Of no names: all that are in /dev/shm, also those that come later.
    pub fn new(names: &[OsString]) -> Self {
        let mut watch =
            Self { all: names.is_empty(), queues: Vec::new(), rows: Vec::new(), foreign: HashMap::new() };
        ls::room_for_many();
        for name in names {
            if !watch.queues.iter().any(|queue| queue.name == *name) {
                watch.add(name.clone(), None);
            }
        }
        watch
    }

    fn add(&mut self, name: OsString, subject: Option<Subject>) {
        let shown = shown(&name);
        self.rows.push(Row { name: shown, view: Err("not looked at yet".into()), history: VecDeque::new() });
        self.queues.push(Watched { name, subject, gone: false, last: None, still: None });
    }

    /// Looks at all of them, and for new ones.
    pub fn look(&mut self) {
        if self.all {
            self.discover();
        }
        for (queue, row) in self.queues.iter_mut().zip(&mut self.rows) {
            queue.look(row);
        }
        if self.all {
            // Removed in between, or none of our business: nobody asked for it by name.
            let gone: Vec<_> = self.queues.iter().map(|queue| queue.gone).collect();
            let mut keep = gone.iter().map(|gone| !gone);
            self.queues.retain(|_| keep.next().unwrap_or(true));
            let mut keep = gone.iter().map(|gone| !gone);
            self.rows.retain(|_| keep.next().unwrap_or(true));
        }
    }

    fn discover(&mut self) {
        // A folder that cannot be read is as one without queues.
        let Ok(names) = ls::names(Path::new(ls::SHM)) else { return };
        let mut foreign = HashMap::new();
        for name in names {
            let path = shmq::path_of(&name).unwrap_or_default();
            let Some(file) = std::fs::symlink_metadata(path).ok().filter(|file| file.is_file()) else {
                continue;
            };
            let inode = (file.dev(), file.ino());
            // One that is being copied there may become a queue.
            let written = (file.len(), file.mtime(), file.mtime_nsec());
            if self.foreign.get(&inode) == Some(&written) {
                foreign.insert(inode, written);
                continue;
            }
            if self.queues.iter().any(|queue| queue.name == name) {
                continue;
            }
            match Subject::open_damaged(&name) {
                Ok(subject) => self.add(name, Some(subject)),
                Err(OpenError::NotAQueue { .. }) => _ = foreign.insert(inode, written),
                // What others keep to themselves is no trouble; it may be readable next time.
                Err(OpenError::NotFound { .. } | OpenError::Denied { .. }) => {}
                // It is there, and tried again each time.
                Err(_) => self.add(name, None),
            }
        }
        self.foreign = foreign;
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The numbers of each, for Prometheus, of a look that is taken now.
    pub fn scrape(&mut self) -> Vec<Scrape> {
        self.look();
        let scrapes = self.queues.iter().zip(&self.rows).map(|(queue, row)| {
            let path = shmq::path_of(&queue.name).map(shown);
            let known = queue.subject.as_ref().zip(queue.last.as_ref());
            let known = known.filter(|(subject, _)| !subject.inspector.is_torn());
            Scrape {
                queue: path.unwrap_or(row.name.clone()),
                readings: known.map(|(subject, look)| subject.readings(look)),
            }
        });
        scrapes.collect()
    }
}

impl Watched {
    fn look(&mut self, row: &mut Row) {
        if self.subject.as_ref().is_some_and(|subject| !is_whole(subject)) {
            (self.subject, self.last, self.still) = (None, None, None);
        }
        let subject = match self.subject.take().map_or_else(|| Subject::open_damaged(&self.name), Ok) {
            Ok(subject) => subject,
            Err(error) => {
                use OpenError::{Denied, NotAQueue, NotFound};
                self.gone = matches!(error, NotFound { .. } | NotAQueue { .. } | Denied { .. });
                row.view = Err(error.to_string());
                return;
            }
        };
        self.gone = false;
        let now = subject.look();
        let moment = self.last.as_ref().map(|last| View::new(&subject, Some(last), &now));
        let counts = |look: &Look| (look.seen.sent, look.seen.received);
        let still = self.still.take().filter(|still| counts(still) == counts(&now));
        // The longer nothing has moved, the more can be said.
        let view = match &still {
            Some(still) => View::new(&subject, Some(still), &now),
            None => moment.clone().unwrap_or_else(|| View::new(&subject, None, &now)),
        };
        let sample = moment.and_then(|view| view.sample);
        if row.history.len() == MEMORY {
            row.history.pop_front();
        }
        row.history.push_back(Moment {
            sent_per_second: sample.map_or(0.0, |sample| sample.sent_per_second),
            received_per_second: sample.map_or(0.0, |sample| sample.received_per_second),
            fill_ratio: view.fill_ratio,
        });
        row.view = Ok(view);
        self.still = Some(still.unwrap_or_else(|| now.clone()));
        self.last = Some(now);
        self.subject = Some(subject);
    }
}

/// Whether the name still leads to the file that was opened, and all of it is there: what is cut off from a mapping
/// must not be touched.
fn is_whole(subject: &Subject) -> bool {
    let long_enough = || {
        let file = std::fs::metadata(&subject.path);
        file.is_ok_and(|file| {
            subject.inspector.damage().is_some() || file.len() >= subject.inspector.length()
        })
    };
    !subject.inspector.is_torn() && subject.is_current() && long_enough()
}
