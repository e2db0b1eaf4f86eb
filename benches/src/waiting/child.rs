//! The other process: this program again, with an errand.

use super::streams::Stream;
use super::{death, idle, wire};
use crate::pin;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use shmq::Waiting;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// The first argument of a child; then come the parent's process id and the errand.
pub const ARGUMENT: &str = "--child";

/// The arguments before that, by which the program comes to this.
static AGAIN: OnceLock<Vec<String>> = OnceLock::new();

/// Says what arguments lead this program to the benchmarks.
pub fn set_again(arguments: &[&str]) {
    let _ = AGAIN.set(arguments.iter().map(|&argument| argument.to_owned()).collect());
}

/// Nothing here takes nearly as long.
const LIMIT: Duration = Duration::from_secs(120);

/// What the other process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub enum Errand {
    /// Send back every message.
    Echo(wire::Medium),
    /// Send a stream.
    Send {
        /// What and how.
        stream: Stream,
        /// The queue.
        name: String,
    },
    /// Wait for what does not come, and say what that cost.
    Wait {
        /// How.
        wait: idle::Wait,
        /// The queue.
        name: String,
    },
    /// Send one message and hold the role until killed.
    Hold {
        /// The queue.
        name: String,
    },
    /// Take the role as soon as it is free, and send when that was.
    Succeed {
        /// The queue.
        name: String,
    },
}

/// The presets of [`Waiting`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Preset {
    Default,
    SharedCore,
    LowPower,
    DedicatedCore,
}

impl Preset {
    /// The preset itself.
    pub fn waiting(self) -> Waiting {
        match self {
            Self::Default => Waiting::new(),
            Self::SharedCore => Waiting::shared_core(),
            Self::LowPower => Waiting::low_power(),
            Self::DedicatedCore => Waiting::dedicated_core(),
        }
    }
}

/// A child; killed when dropped.
pub struct Child(std::process::Child);

impl Child {
    /// Sends a child on its errand.
    pub fn start(errand: &Errand) -> Self {
        Self::start_with(errand, Stdio::null(), Stdio::null())
    }

    /// As [`Child::start`], with something to inherit.
    pub fn start_with(errand: &Errand, stdin: Stdio, stdout: Stdio) -> Self {
        let child = Command::new("/proc/self/exe")
            .args(AGAIN.get().map_or(&[][..], Vec::as_slice))
            .arg(ARGUMENT)
            .arg(std::process::id().to_string())
            .arg(serde_json::to_string(errand).expect("plain data"))
            .stdin(stdin)
            .stdout(stdout)
            .spawn();
        Self(child.expect("start this program again"))
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.0.kill().expect("kill the child");
    }

    /// Waits until it has written a byte: that it is ready.
    pub fn ready(&mut self) {
        let stdout = self.0.stdout.as_mut().expect("started with a pipe");
        stdout.read_exact(&mut [0]).expect("a byte from the child");
    }

    /// Waits for its end, and gives back what it wrote.
    pub fn answer(mut self) -> String {
        let stdout = self.0.stdout.take().expect("started with a pipe");
        let answer = std::io::read_to_string(stdout).expect("the child's answer");
        assert!(self.0.wait().expect("wait for the child").success(), "the child failed");
        answer
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a child does instead of `main`.
pub fn run(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let parent = arguments.next().expect("the parent's process id");
    set_parent_process_death_signal(Some(Signal::KILL)).expect("to die with the parent");
    // It may have died before that.
    if getppid().is_none_or(|id| id.as_raw_nonzero().to_string() != parent) {
        return ExitCode::FAILURE;
    }
    pin(1);
    let errand = arguments.next().expect("an errand");
    match serde_json::from_str(&errand).expect("an errand that was written by this program") {
        Errand::Echo(medium) => wire::echo(&medium),
        Errand::Send { stream, name } => stream.send(&name),
        Errand::Wait { wait, name } => wait.run(&name),
        Errand::Hold { name } => death::hold(&name),
        Errand::Succeed { name } => death::succeed(&name),
    }
    ExitCode::SUCCESS
}

/// Ends everything, and leaves no files, when nothing has happened for [`LIMIT`].
pub fn watch(alive: Receiver<String>) {
    std::thread::spawn(move || {
        let mut last = String::new();
        loop {
            match alive.recv_timeout(LIMIT) {
                Ok(what) => last = what,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        eprintln!("{last}: a sample has not ended within {LIMIT:?}; giving up");
        sweep(&prefix());
        std::process::exit(1);
    });
}

fn prefix() -> String {
    format!("shmq-bench-{}-", std::process::id())
}

/// Removes what has a name in `/dev/shm` that begins like this.
pub fn sweep(begins: &str) {
    let files = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    for file in files.filter(|file| file.file_name().to_string_lossy().starts_with(begins)) {
        let _ = std::fs::remove_file(file.path());
    }
}

/// The name of a queue, removed when dropped.
pub struct Name(String);

impl Name {
    /// One that nobody else has.
    pub fn fresh() -> Self {
        Self(format!("{}{}", prefix(), now_ns()))
    }

    /// As the library wants it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(Path::new("/dev/shm").join(&self.0));
    }
}

/// A clock that all processes share.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
