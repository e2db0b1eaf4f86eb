//! Where it was measured.

use serde::{Deserialize, Serialize};
use std::process::Command;

/// The machine, as far as it tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Its name in the kernel's list.
    pub processor: Option<String>,
    /// How many of them this process may use.
    pub processors: Option<usize>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// What this program is compiled for.
    pub architecture: String,
    /// Size of the second-level cache in bytes.
    pub second_level_cache: usize,
    /// Before the first sample; over one minute. Above zero, others were at work.
    pub load_average: Option<f64>,
    /// Seconds since 1970.
    pub time: u64,
    /// The commit of the sources, with `-dirty` where they were changed since; as git says it where they were compiled.
    pub commit: Option<String>,
}

impl Machine {
    /// Looks.
    pub fn look() -> Self {
        let read = |path| std::fs::read_to_string(path).ok();
        let processor = read("/proc/cpuinfo").and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            processor,
            processors: std::thread::available_parallelism().ok().map(Into::into),
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            architecture: std::env::consts::ARCH.to_owned(),
            second_level_cache: second_level_cache(),
            load_average: read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
            time: now.map_or(0, |now| now.as_secs()),
            commit: commit(),
        }
    }
}

fn commit() -> Option<String> {
    let describe = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
    let git = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(describe).output().ok()?;
    let text = String::from_utf8(git.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| git.status.success() && !text.is_empty())
}

/// Bytes; 512 KiB if the kernel does not say.
fn second_level_cache() -> usize {
    let read =
        |file| std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index2/{file}")).ok();
    let size = read("size").and_then(|text| text.trim().strip_suffix('K')?.parse::<usize>().ok());
    size.map_or(512 << 10, |kib| kib << 10)
}
