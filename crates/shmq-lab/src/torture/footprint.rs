//! What a process holds: memory of its own, and descriptors.

use rustix::process::Pid;
use serde::Serialize;
use shmq_tool::failure::Failure;
use std::path::Path;

/// Where `/proc` says that the descriptor of an inotify instance leads.
const EAR: &str = "anon_inode:inotify";

/// One look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Footprint {
    /// Memory that is neither shared nor a file's.
    pub private_bytes: u64,
    /// Not counted: one inotify instance, which an end keeps from its first deep sleep on, whenever that is.
    pub descriptors: u64,
    /// Files with the names of this torture.
    pub files: u64,
}

impl Footprint {
    pub fn of_this_process() -> Result<Self, Failure> {
        Self::look("self").ok_or_else(|| Failure::new("cannot read /proc/self; is /proc mounted?"))
    }

    /// Another process; `None` if it is gone.
    pub fn of(pid: Pid) -> Option<Self> {
        Self::look(&pid.as_raw_nonzero().to_string())
    }

    fn look(process: &str) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        let open = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
        let (watches, others): (Vec<_>, Vec<_>) =
            open.partition(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to == Path::new(EAR)));
        let descriptors = (others.len() + watches.len().saturating_sub(1)) as u64;
        let ours = format!("{}{}-", super::storm::PREFIX, std::process::id());
        let files = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
        let files = files.filter(|file| file.file_name().to_string_lossy().starts_with(&ours)).count() as u64;
        Some(Self { private_bytes: kib << 10, descriptors, files })
    }
}

/// Memory that a process may have gained between two looks before it counts as a leak: allocators and stacks grow a little.
pub const SLACK: u64 = 2 << 20;

/// The first look at something and the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Growth {
    pub first: Footprint,
    pub last: Footprint,
}

impl Growth {
    /// What has grown, in words.
    pub fn complaint(&self, of: &str) -> Option<String> {
        let Self { first, last } = self;
        if last.private_bytes > first.private_bytes + SLACK {
            return Some(format!(
                "memory of {of} grew from {} to {} bytes",
                first.private_bytes, last.private_bytes
            ));
        }
        if last.descriptors > first.descriptors {
            let (before, after) = (first.descriptors, last.descriptors);
            return Some(format!("descriptors of {of} grew from {before} to {after}"));
        }
        (last.files > first.files)
            .then(|| format!("files of {of} grew from {} to {}", first.files, last.files))
    }
}
