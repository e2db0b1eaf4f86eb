//! The files and processes of a demo, which go when it does.

use crate::args::{Fault, Part};
use crate::failure::Failure;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The queue of the stream, those of the round trips, and the page.
pub const STREAM: &str = "stream";
pub const THERE: &str = "there";
pub const BACK: &str = "back";
pub const SLOTS_THERE: &str = "slots-there";
pub const SLOTS_BACK: &str = "slots-back";
pub const PAGE: &str = "page";

/// Names of a demo's files.
#[derive(Debug)]
pub struct Scene {
    base: String,
    /// Whether it removes them.
    owner: bool,
}

impl Scene {
    /// New names, removed at the end.
    pub fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { base: format!("shmq-demo-{}-{:x}", std::process::id(), now.subsec_nanos()), owner: true }
    }

    /// The scene that the parent made.
    pub fn of_parent(base: &str) -> Self {
        Self { base: base.into(), owner: false }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// Name of a queue.
    pub fn queue(&self, what: &str) -> String {
        format!("{}-{what}", self.base)
    }

    pub fn path(&self, what: &str) -> PathBuf {
        shmq::path_of(self.queue(what)).unwrap_or_default()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if self.owner {
            for what in [STREAM, THERE, BACK, SLOTS_THERE, SLOTS_BACK, PAGE] {
                let _ = std::fs::remove_file(self.path(what));
            }
        }
    }
}

/// What every process of a demo is told.
#[derive(Clone, Debug)]
pub struct Brief {
    pub scene: String,
    pub input: PathBuf,
    pub input_bytes: u64,
    pub seed: u64,
    pub messages: u64,
    pub slots: bool,
    pub plant: Option<Fault>,
}

/// A process of the demo. Killed and waited for when dropped; the kernel kills it, should this process die first.
#[derive(Debug)]
pub struct Actor {
    process: std::process::Child,
    part: &'static str,
}

impl Actor {
    pub fn start(part: Part, brief: &Brief) -> Result<Self, Failure> {
        let name = match part {
            Part::Producer => "producer",
            Part::Consumer => "consumer",
            Part::Echo => "echo",
        };
        // The very file that runs here, even if its name leads elsewhere by now.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("shmq").args(["demo-part", name, "--scene", &brief.scene]);
        command.arg("--input").arg(&brief.input);
        command.arg("--input-bytes").arg(brief.input_bytes.to_string());
        command.arg("--seed").arg(brief.seed.to_string());
        command.arg("--messages").arg(brief.messages.to_string());
        command.arg("--parent").arg(std::process::id().to_string());
        if brief.slots {
            command.arg("--slots");
        }
        match brief.plant {
            None => {}
            Some(Fault::Torn) => drop(command.args(["--plant", "torn"])),
            Some(Fault::Lost) => drop(command.args(["--plant", "lost"])),
            Some(Fault::Skipped) => drop(command.args(["--plant", "skipped"])),
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // Ctrl-C is for the parent alone: it then ends the others and removes the files.
        command.process_group(0);
        let process = command.spawn().map_err(|e| Failure::io(format_args!("start the {name}"), &e))?;
        Ok(Self { process, part: name })
    }

    /// Whether it has done its work. An error if it ended in any other way.
    pub fn is_done(&mut self) -> Result<bool, Failure> {
        let failed = |e| Failure::io("wait for a process", &e);
        match self.process.try_wait().map_err(failed)? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(Failure::new(format!("the {} of the demo failed: {status}", self.part))),
        }
    }

    /// Kills it with SIGKILL; whether that was what it died of.
    pub fn kill(&mut self) -> Result<bool, Failure> {
        let failed = |e| Failure::io("kill a process", &e);
        self.process.kill().map_err(failed)?;
        let status = self.process.wait().map_err(failed)?;
        Ok(status.signal() == Some(signal_hook::consts::SIGKILL))
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// To be called first in a process of the demo: it ends with its parent.
pub fn die_with_parent(parent: i32) -> Result<(), Failure> {
    let failed = |e: rustix::io::Errno| Failure::io("tie this process to its parent", &e.into());
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(failed)?;
    // It may have died before that.
    match rustix::process::getppid() {
        Some(pid) if pid.as_raw_nonzero().get() == parent => Ok(()),
        _ => Err(Failure::new("this is a part of `shmq demo`, which starts it by itself")),
    }
}
