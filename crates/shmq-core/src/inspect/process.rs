//! What the kernel tells of the process behind an end.
//!
//! Whether an end is alive, its lock decides. Here that is only decorated, and a wrong guess must not be made: a process id
//! means something in its own PID namespace alone. So a process counts as the holder only if it came before it took the
//! role, and, where we may look, has the queue's file among its open descriptors (a holder keeps one to ask after its
//! peer).

use super::inspector::{EndSnapshot, Inspector};
use crate::layout::Role;
use crate::role::{PeerState, Probe};
use rustix::fs::{self, AtFlags, StatxFlags};
use std::os::fd::{AsFd, BorrowedFd};

impl Inspector {
    /// What the kernel tells of the process that holds an end, if it can be found here: for people, decides nothing.
    /// `None` for an end that nobody holds, and for a holder in another container.
    ///
    /// Reads files under /proc: of the process itself, its descriptors, its command. Does not touch the process.
    ///
    /// ```
    /// # let name = format!("shmq-doc-process-{}", std::process::id());
    /// let queue = shmq::Queue::create(&name, &shmq::Options::new())?;
    /// let tx = queue.producer()?;
    /// let it = queue.inspect()?;
    /// let process = it.process(shmq::Role::Producer).expect("it is this one");
    /// assert!(process.sure && u32::try_from(process.pid) == Ok(std::process::id()));
    /// assert_ne!(process.condition, shmq::Condition::Stopped);
    /// assert_eq!(it.process(shmq::Role::Consumer), None);
    /// # drop(tx); queue.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn process(&self, role: Role) -> Option<Process> {
        let Probe::File(file, _) = &self.probe else { return None };
        let end = self.end(role);
        (end.state == PeerState::Attached).then(|| Process::find(file.as_fd(), &end)).flatten()
    }
}

/// What a process is doing, as the kernel schedules it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// It runs, or waits for a processor only.
    Running,
    /// It sleeps and waits for something: a message, a file, another process, the time.
    Sleeping,
    /// It waits for a disk or a network file system, and cannot be interrupted.
    Uninterruptible,
    /// It was stopped, by SIGSTOP or from a terminal; SIGCONT lets it go on.
    Stopped,
    /// A debugger holds it.
    Traced,
    /// It has died or is just dying.
    Dying,
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Sleeping => "sleeping",
            Self::Uninterruptible => "uninterruptible",
            Self::Stopped => "stopped",
            Self::Traced => "traced",
            Self::Dying => "dying",
        })
    }
}

/// A process that holds an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id, which is one of this PID namespace.
    pub pid: u64,
    /// The name of its program, as the kernel has it: at most 15 bytes, and the process can change it.
    pub command: String,
    /// What its first thread is doing.
    pub condition: Condition,
    /// Processor time it has used so far, all threads together, in nanoseconds.
    pub cpu_ns: u64,
    /// Whether its open descriptors prove it; otherwise we are not allowed to look, and only its id and age fit.
    pub sure: bool,
}

/// Descriptors looked at: a process with more than this stays unproved.
const DESCRIPTORS: usize = 4096;
/// /proc counts time in this unit on both architectures, whatever the kernel's own tick is.
const TICK_NS: u64 = 10_000_000;
/// What clocks may differ by.
const SLACK_NS: u64 = 2_000_000_000;

impl Process {
    /// The process that an end's page names, if it is to be found here.
    pub(super) fn find(file: BorrowedFd<'_>, end: &EndSnapshot) -> Option<Self> {
        let pid = end.pid;
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name is in parentheses and may itself hold any byte, parentheses too.
        let (head, tail) = stat.rsplit_once(')')?;
        let (_, command) = head.split_once('(')?;
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        let number = |i: usize| fields.get(i)?.parse::<u64>().ok();
        // Counted from `state`, which is field 3 of proc_pid_stat(5): utime 14, stime 15, starttime 22.
        let (user, system, start) = (number(11)?, number(12)?, number(19)?);
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let up = up.tv_sec as u64 * 1_000_000_000 + up.tv_nsec as u64;
        let age = up.saturating_sub(start.saturating_mul(TICK_NS));
        let held_for = crate::segment::now_ns().saturating_sub(end.since_ns);
        if age.saturating_add(SLACK_NS) < held_for {
            return None;
        }
        let condition = match fields.first()? {
            &"R" => Condition::Running,
            &"D" => Condition::Uninterruptible,
            &"T" => Condition::Stopped,
            &"t" => Condition::Traced,
            &"Z" | &"X" | &"x" => Condition::Dying,
            _ => Condition::Sleeping,
        };
        let sure = has_open(pid, file)?;
        let cpu_ns = user.saturating_add(system).saturating_mul(TICK_NS);
        Some(Self { pid, command: command.to_owned(), condition, cpu_ns, sure })
    }
}

/// Whether a process has a file open; `Some(false)` if that cannot be told, `None` if it surely has not.
fn has_open(pid: u64, file: BorrowedFd<'_>) -> Option<bool> {
    // What the kernel knows already: asking a file server that is gone would take for ever.
    let flags = AtFlags::STATX_DONT_SYNC;
    let identity = |stat: fs::Statx| (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
    let own = fs::statx(file, "", flags | AtFlags::EMPTY_PATH, StatxFlags::INO).map(identity).ok()?;
    // Not that of `std`, which panics if closing it fails.
    let way = fs::OFlags::RDONLY | fs::OFlags::DIRECTORY | fs::OFlags::CLOEXEC;
    let folder = fs::open(format!("/proc/{pid}/fd"), way, fs::Mode::empty());
    let Some((folder, entries)) =
        folder.ok().and_then(|fd| fs::Dir::read_from(&fd).ok().map(|dir| (fd, dir)))
    else {
        return Some(false);
    };
    let mut seen = 0;
    for entry in entries.take(DESCRIPTORS) {
        let Ok(entry) = entry else { return Some(false) };
        seen += 1;
        let other = fs::statx(&folder, entry.file_name(), flags, StatxFlags::INO).map(identity);
        if other == Ok(own) {
            return Some(true);
        }
    }
    if seen == DESCRIPTORS { Some(false) } else { None }
}
