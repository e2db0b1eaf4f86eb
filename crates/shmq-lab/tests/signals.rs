//! A signal ends every program at once, and nothing with a name stays behind.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// Killed and waited for when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LIMIT, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Names that begin in this way.
fn left(begins: &str) -> Vec<String> {
    let folders = ["/dev/shm".into(), std::env::temp_dir()];
    let files = folders.iter().flat_map(std::fs::read_dir).flatten().flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(begins)).collect()
}

#[test]
fn a_signal_ends_a_benchmark_and_leaves_no_files() {
    for (workload, signal) in
        [("wake", libc::SIGTERM), ("death", libc::SIGINT), ("stream", libc::SIGHUP), ("idle", libc::SIGTERM)]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shmq-lab"));
        command.args(["bench", "--rounds", "1000000", workload]);
        // SAFETY: signal(2) may be called between fork and exec.
        unsafe {
            // Whoever started the tests may ignore them (`nohup`, a script's `&`), and so would the child.
            command.pre_exec(move || {
                libc::signal(signal, libc::SIG_DFL);
                Ok(())
            });
        }
        let mut bench = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let begins = format!("shmq-bench-{}-", bench.0.id());
        if workload == "stream" {
            std::thread::sleep(Duration::from_millis(300));
        } else {
            until("a queue with a name", || !left(&begins).is_empty());
        }
        let begin = Instant::now();
        // SAFETY: a plain system call; the process was not waited for, so the id is its own.
        assert_eq!(unsafe { libc::kill(bench.0.id() as i32, signal) }, 0);
        let mut status = None;
        until("the end", || {
            status = bench.0.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().signal(), Some(signal), "{workload}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{workload}: {:?}", begin.elapsed());
        assert!(left(&begins).is_empty(), "{workload}: {:?}", left(&begins));
    }
}
