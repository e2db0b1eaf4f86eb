//! The files and processes of a demo, which go when it does.

use crate::args::{Fault, Part};
use shmq_tool::actor::{self, Actor};
use shmq_tool::failure::Failure;
use std::path::PathBuf;

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

/// Starts a process of the demo.
pub fn start(part: Part, brief: &Brief) -> Result<Actor, Failure> {
    let name = match part {
        Part::Producer => "producer",
        Part::Consumer => "consumer",
        Part::Echo => "echo",
    };
    let mut command = actor::this_program("shmq");
    command.args(["demo-part", name, "--scene", &brief.scene]);
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
    Actor::start(name, &mut command)
}
