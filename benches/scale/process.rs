//! What this process holds, as the kernel says it.

use crate::heap;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

/// One look, or the difference of two.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Held {
    /// On the heap, as it was asked for.
    pub heap_bytes: i64,
    /// Memory that is neither shared nor a file's, in use.
    pub private_bytes: i64,
    /// Shared memory in use by this process.
    pub shared_bytes: i64,
    /// Addresses that are mapped, in use or not.
    pub mapped_bytes: i64,
    /// Mappings.
    pub mappings: i64,
    /// Open descriptors.
    pub descriptors: i64,
}

impl Held {
    /// Now.
    pub fn now() -> Self {
        // Before the files are read: that takes some heap.
        let heap_bytes = heap::bytes() as i64;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"));
            line.and_then(|kib| kib.trim().parse::<i64>().ok()).unwrap_or(0) << 10
        };
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as i64 - 1);
        Self {
            heap_bytes,
            private_bytes: kib("RssAnon:"),
            shared_bytes: kib("RssShmem:"),
            mapped_bytes: kib("VmSize:"),
            mappings: maps.lines().count() as i64,
            descriptors,
        }
    }

    /// What has come since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            heap_bytes: self.heap_bytes - before.heap_bytes,
            private_bytes: self.private_bytes - before.private_bytes,
            shared_bytes: self.shared_bytes - before.shared_bytes,
            mapped_bytes: self.mapped_bytes - before.mapped_bytes,
            mappings: self.mappings - before.mappings,
            descriptors: self.descriptors - before.descriptors,
        }
    }
}

/// As many descriptors as this process may have at all.
pub fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it is refused, the report says how far it came.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
