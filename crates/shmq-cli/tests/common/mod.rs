//! Driving the real binary. Everything started here ends with the test, and every wait has a limit.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A name for a queue, whose file is removed at the end.
pub struct Name(pub String);

impl Name {
    pub fn new(test: &str) -> Self {
        Self(format!("shmq-cli-{test}-{}", std::process::id()))
    }

    pub fn path(&self) -> PathBuf {
        PathBuf::from("/dev/shm").join(&self.0)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
    }
}

/// A file with contents, removed at the end.
pub struct Temp(pub PathBuf);

impl Temp {
    pub fn new(test: &str, contents: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("shmq-cli-{test}-{}", std::process::id()));
        std::fs::write(&path, contents).unwrap();
        Self(path)
    }

    pub fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// One sentence on stderr, and the code.
#[track_caller]
pub fn fails(output: &Output, expected: i32, says: &str) {
    let text = stderr(output);
    assert_eq!(code(output), expected, "{text}");
    assert!(text.contains(says), "{text:?} does not say {says:?}");
    if !text.starts_with("error: ") {
        assert!(text.starts_with("shmq: ") && text.lines().count() == 1, "{text:?} is not one sentence");
    }
    assert_eq!(stdout(output), "");
}

/// The binary with arguments. It dies with the thread that starts it.
pub fn shmq(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmq"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    dies_with_us(&mut command);
    command
}

/// Another program that starts the binary. It dies with the thread that starts it.
pub fn within(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    dies_with_us(&mut command);
    command
}

/// The shell with the binary first in its path.
pub fn shell(script: &str) -> Command {
    let bin = PathBuf::from(env!("CARGO_BIN_EXE_shmq"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command.args(["-c", script]).env("PATH", format!("{}:{path}", bin.parent().unwrap().display()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    dies_with_us(&mut command);
    command
}

/// And minds signals, whoever started the tests: of `nohup` and of a script's `&` they are ignored ones.
fn dies_with_us(command: &mut Command) {
    // SAFETY: system calls that are allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
}

/// A process that is killed and waited for when dropped.
pub struct Running(pub Child);

impl Running {
    pub fn start(mut command: Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: a plain system call; the process was not waited for, so the id is its own.
        assert_eq!(unsafe { libc::kill(self.0.id() as i32, signal) }, 0);
    }

    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        until("a process to end", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits for the end, and what it wrote meanwhile.
    pub fn finish(mut self) -> Output {
        let reader = |pipe: Option<Box<dyn Read + Send>>| {
            std::thread::spawn(move || {
                let mut all = Vec::new();
                if let Some(mut pipe) = pipe {
                    pipe.read_to_end(&mut all).unwrap();
                }
                all
            })
        };
        let out = reader(self.0.stdout.take().map(|p| Box::new(p) as _));
        let err = reader(self.0.stderr.take().map(|p| Box::new(p) as _));
        let status = self.wait();
        Output { status, stdout: out.join().unwrap(), stderr: err.join().unwrap() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs it to its end.
pub fn run(args: &[&str]) -> Output {
    Running::start(shmq(args)).finish()
}

/// Runs it to its end with something on its standard input.
pub fn run_with(args: &[&str], input: &[u8]) -> Output {
    let mut command = shmq(args);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    let (mut stdin, input) = (running.0.stdin.take().unwrap(), input.to_vec());
    // It may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = running.finish();
    writer.join().unwrap();
    output
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
pub fn ok(output: &Output) {
    assert_eq!((code(output), stderr(output).as_str()), (0, ""), "{output:?}");
}

/// What `stat --json` says.
pub fn stat(name: &Name) -> serde_json::Value {
    stat_over(name, "250ms")
}

/// The same, of two looks this time apart.
pub fn stat_over(name: &Name, sample: &str) -> serde_json::Value {
    let output = run(&["stat", &name.0, "--json", "--sample", sample]);
    ok(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// So many numbered lines.
pub fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| format!("{i}\n").into_bytes()).collect()
}

/// Puts together what receivers, killed one after the other, wrote: each goes on where the one before was released, and
/// may repeat what that had written and not released. `Err`: the first number that is missing or out of place.
pub fn join(outputs: &[Vec<u8>], repeat_at_most: usize) -> Result<usize, usize> {
    let mut next = 0;
    for output in outputs {
        // A kill may cut the last line.
        let whole = output.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let numbers = output[..whole].split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let mut numbers = numbers.map(|line| std::str::from_utf8(line).unwrap().parse::<usize>().unwrap());
        let Some(first) = numbers.next() else { continue };
        if first > next || next - first > repeat_at_most {
            return Err(next);
        }
        let mut expected = first + 1;
        for number in numbers {
            if number != expected {
                return Err(expected);
            }
            expected += 1;
        }
        next = next.max(expected);
    }
    Ok(next)
}

/// Bytes without pattern, the same each time.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut x = 1u64;
    let mut next = || {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (x >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}
