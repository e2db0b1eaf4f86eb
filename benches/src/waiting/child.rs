//! The other process: this program again, with an errand.

use super::errand::Errand;
use rustix::time::{ClockId, clock_gettime};
use shmq_tool::interrupt::put_away_first;
use shmq_tool::print;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
        print::err(format_args!("{last}: a sample has not ended within {LIMIT:?}; giving up"));
        sweep(&prefix());
        std::process::exit(1);
    });
}

/// A signal that asks for the end leaves no files either.
pub fn sweep_on_signals() {
    put_away_first(|| sweep(&prefix()));
}

fn prefix() -> String {
    format!("shmq-bench-{}-", std::process::id())
}

/// Removes what has a name in `/dev/shm`, or the folder for temporary files, that begins like this.
pub fn sweep(begins: &str) {
    let folders = [PathBuf::from("/dev/shm"), std::env::temp_dir()];
    let files = folders.iter().flat_map(std::fs::read_dir).flatten().flatten();
    for file in files.filter(|file| file.file_name().to_string_lossy().starts_with(begins)) {
        let _ = std::fs::remove_file(file.path()).or_else(|_| std::fs::remove_dir_all(file.path()));
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
