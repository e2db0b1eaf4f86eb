//! Standard streams that are closed, signals wherever a command is blocked, the first process of a container, files that
//! are rotated.

mod common;
use common::*;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Ten messages that wait.
fn ten(test: &str) -> Name {
    let name = Name::new(test);
    ok(&run_with(&["send", &name.0, "--create", "--no-finish"], &lines(10)));
    name
}

fn counts(name: &Name) -> [u64; 3] {
    let seen = stat_over(name, "0s");
    ["sent_messages", "received_messages", "pending_messages"].map(|what| seen[what].as_u64().unwrap())
}

#[test]
fn nothing_is_taken_where_standard_output_is_closed_or_cannot_be_written() {
    let (name, input) = (ten("closed"), Temp::new("closed-in", b"x\n"));
    let (q, copy) = (&name.0, Name::new("closed-copy"));
    for command in [
        format!("recv {q} --count 5"),
        format!("recv {q} --ack"),
        format!("drain {q} --lines"),
        format!("drain {q} --json"),
        format!("copy {q} {} --move --json", copy.0),
        format!("pipe {q} --recv -- cat"),
        format!("dump {q}"),
        format!("stat {q}"),
        "ls".into(),
        format!("top {q} --once"),
        format!("doctor {q}"),
        "completions bash".into(),
        "man".into(),
        "demo --bytes 1".into(),
    ] {
        for (how, says) in [(">&-", "standard output is closed"), ("1</dev/null", "not open for writing")] {
            let output = Running::start(shell(&format!("exec shmq {command} {how}"))).finish();
            fails(&output, 1, says);
            assert_eq!(counts(&name), [10, 0, 10], "{command} {how}");
        }
    }
    assert!(!copy.path().exists());
    // Who writes nothing there needs none, and who writes elsewhere neither.
    let file = Temp::new("closed-out", b"");
    for command in [
        format!("send {q} {} --no-finish >&-", input.text()),
        format!("recv {q} --no-wait --output {} >&- <&-", file.text()),
        format!("create {}x >&- <&-", copy.0),
        format!("rm {}x >&- <&-", copy.0),
        format!("drain {q} >&- <&- 2>/dev/null"),
    ] {
        ok(&Running::start(shell(&format!("exec shmq {command}"))).finish());
    }
    assert_eq!(std::fs::read(&file.0).unwrap(), [&lines(10)[..], b"x\n"].concat());
}

#[test]
fn standard_input_and_error_that_are_closed_are_noticed_too() {
    let name = ten("closed-others");
    let q = &name.0;
    for command in [format!("send {q} <&-"), format!("send {q} - 0>/dev/null"), format!("recv {q} --ack <&-")]
    {
        fails(&Running::start(shell(&format!("exec shmq {command}"))).finish(), 1, "standard input");
        assert_eq!(counts(&name), [10, 0, 10], "{command}");
    }
    // What cannot be said shows in the exit code, and goes into no file that came to have that number.
    let output = Running::start(shell(&format!("exec shmq recv {q} --count 2 2>&-"))).finish();
    assert_eq!((code(&output), stdout(&output).as_str()), (0, "0\n1\n"));
    let output = Running::start(shell("exec shmq recv shmq-no-such-queue --no-wait 2>&-")).finish();
    assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
    let file = Temp::new("closed-stderr", b"");
    let script = format!("exec shmq recv {q} --output {} 2>&- >&-", file.text());
    assert_eq!(code(&Running::start(shell(&script)).finish()), 0);
    assert_eq!(std::fs::read(&file.0).unwrap(), &lines(10)[4..]);
}

/// What a command is blocked on.
struct Scene {
    /// More messages than a pipe holds.
    many: Name,
    full: Name,
    /// Full, and its receiver is stopped.
    held: Name,
    empty: Name,
    /// Nobody has opened it.
    fifo: Temp,
    _receiver: Running,
}

impl Scene {
    fn new(test: &str) -> Self {
        let [many, full, held, empty] =
            ["many", "full", "held", "empty"].map(|what| Name::new(&format!("{test}-{what}")));
        ok(&run_with(&["send", &many.0, "--create", "--no-finish"], &lines(50_000)));
        ok(&run(&["create", &empty.0]));
        for name in [&full, &held] {
            ok(&run(&["create", &name.0, "--capacity", "4KiB", "--max-message", "8"]));
        }
        let receiver = Running::start(shmq(&["recv", &held.0]));
        until("a receiver", || stat_over(&held, "0s")["consumer"]["state"] == "attached");
        receiver.signal(libc::SIGSTOP);
        let fifo = fifo(test);
        Self { many, full, held, empty, fifo, _receiver: receiver }
    }

    /// Each command where it is blocked. Its output is a pipe that nobody reads, its input one that nobody writes.
    fn blocked(&self) -> Vec<String> {
        let [many, full, held, empty] = [&self.many, &self.full, &self.held, &self.empty].map(|name| &name.0);
        let fifo = self.fifo.text();
        vec![
            format!("recv {empty}-not-there"),
            format!("recv {empty}"),
            format!("recv {empty} --ack"),
            format!("send {empty}"),
            format!("send {full} /dev/zero --chunk 8"),
            format!("copy {many} {held} --timeout 1000s"),
            format!("pipe {empty} --recv -- sleep 1000"),
            format!("pipe {many} --recv --ack -- sleep 1000"),
            format!("pipe {empty} --send -- sleep 1000"),
            format!("pipe {full} --send --raw -- cat /dev/zero"),
            format!("stat {empty} --sample 1000s"),
            "ls /dev/shm --sample 1000s".into(),
            format!("top --once --interval 1000s {empty}"),
            format!("top --listen 127.0.0.1:0 {empty}"),
            format!("dump {many}"),
            format!("recv {many} --output {fifo}"),
            format!("send {empty} {fifo}"),
            format!("recv {many} --ack"),
            format!("drain {many} --lines"),
            // The last two take something.
            format!("recv {many}"),
        ]
    }
}

/// A FIFO, removed when dropped.
fn fifo(test: &str) -> Temp {
    let fifo = Temp::new(&format!("{test}-fifo"), b"");
    std::fs::remove_file(&fifo.0).unwrap();
    let path = std::ffi::CString::new(fifo.text()).unwrap();
    // SAFETY: a plain system call with a string that ends.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    fifo
}

/// Starts a command, which must end by a signal once it is blocked: its status, and what it had written. `within`: it
/// is a child of what is started.
fn ended_by(mut command: Command, within: bool, signal: i32) -> (ExitStatus, Vec<u8>) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running::start(command);
    let mut pid = running.0.id();
    if within {
        let children = format!("/proc/{pid}/task/{pid}/children");
        until("the process within", || {
            pid = std::fs::read_to_string(&children).unwrap().trim().parse().unwrap_or(pid);
            std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == b"shmq\n")
        });
    }
    let mut since = Instant::now();
    until("it to be blocked", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        if !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S")) {
            since = Instant::now();
        }
        since.elapsed() > Duration::from_millis(100)
    });
    // SAFETY: a plain system call; it is our child or our child's, and neither was waited for.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
    let status = running.wait();
    let mut written = Vec::new();
    running.0.stdout.take().unwrap().read_to_end(&mut written).unwrap();
    (status, written)
}

const SIGNALS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

#[test]
fn signals_end_every_command_wherever_it_is_blocked() {
    let scene = Scene::new("signals");
    for (i, line) in scene.blocked().iter().enumerate() {
        let args: Vec<_> = line.split(' ').collect();
        let signal = SIGNALS[i % 3];
        let before = counts(&scene.many)[1];
        let (status, written) = ended_by(shmq(&args), false, signal);
        assert_eq!(status.signal(), Some(signal), "{line}");
        // Nothing is taken that was not written, and with acknowledgements nothing that was not acknowledged.
        let taken = (counts(&scene.many)[1] - before) as usize;
        let whole = written.iter().filter(|byte| **byte == b'\n').count();
        if line == &format!("recv {}", scene.many.0) || line.starts_with("drain") {
            assert!(taken > 0 && taken == whole, "{taken} taken, {whole} written");
            assert_eq!(stat_over(&scene.many, "0s")["consumer"]["state"], "left");
        } else {
            assert_eq!(taken, 0, "{line}");
        }
    }
}

#[test]
fn signals_end_every_command_also_as_the_first_process_of_a_container() {
    let namespace = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let possible = Command::new("unshare").args(namespace).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("SHMQ_NO_SKIPS").is_none(), "no PID namespace may be made here");
        eprintln!("NOT RUN: no PID namespace may be made here");
        return;
    }
    let scene = Scene::new("first");
    for (i, line) in scene.blocked().iter().enumerate() {
        let args: Vec<_> = line.split(' ').collect();
        let signal = SIGNALS[i % 3];
        let command = within("unshare", &[&namespace, &[env!("CARGO_BIN_EXE_shmq")][..], &args].concat());
        let (status, _) = ended_by(command, true, signal);
        assert_eq!(status.code(), Some(128 + signal), "{line}: {status}");
    }
}

/// Not only when it has been given up, which takes a second.
#[test]
fn a_signal_ends_the_wait_for_the_reader_of_a_fifo_at_once() {
    let (name, fifo) = (ten("fifo"), fifo("fifo"));
    let quickest = (0..3).map(|_| {
        let receiver = Running::start(shmq(&["recv", &name.0, "--output", fifo.text()]));
        let call = format!("/proc/{}/syscall", receiver.0.id());
        let opens = format!("{} ", libc::SYS_openat);
        until("it to open the FIFO", || {
            let seen = std::fs::read_to_string(&call).unwrap_or_default();
            seen.starts_with(&opens) || seen.starts_with("2 ")
        });
        let begin = Instant::now();
        receiver.signal(libc::SIGTERM);
        assert_eq!(receiver.finish().status.signal(), Some(libc::SIGTERM));
        begin.elapsed()
    });
    let quickest = quickest.min().unwrap();
    assert!(quickest < Duration::from_millis(700), "{quickest:?}");
    // With a reader it is an output as any other.
    let mut reader = Command::new("cat");
    reader.arg(fifo.text()).stdout(Stdio::piped());
    let reader = Running::start(reader);
    ok(&run(&["recv", &name.0, "--no-wait", "--output", fifo.text()]));
    assert_eq!(reader.finish().stdout, lines(10));
}

#[test]
fn what_drain_has_printed_is_not_printed_again_when_its_reader_goes_away() {
    let name = Name::new("drain-cut");
    ok(&run_with(&["send", &name.0, "--create", "--no-finish"], &lines(50_000)));
    let mut command = shmq(&["drain", &name.0, "--lines"]);
    command.stdout(Stdio::piped());
    let mut drain = Running::start(command);
    let mut out = drain.0.stdout.take().unwrap();
    let mut first = vec![0; 100_000];
    out.read_exact(&mut first).unwrap();
    // What it wrote it cannot take back, but it ends as one whose reader has seen enough.
    drop(out);
    drain.wait();
    let taken = counts(&name)[1] as usize;
    let rest = run(&["drain", &name.0, "--lines"]).stdout;
    assert_eq!(rest, lines(50_000)[lines(taken).len()..]);
    assert!(lines(taken).len() + 2 * (64 << 10) > first.len(), "{taken}");
}

#[test]
fn what_nohup_ignores_stays_ignored() {
    let name = Name::new("nohup");
    ok(&run(&["create", &name.0]));
    let mut receiver = Running::start(shell(&format!("trap '' HUP; exec shmq recv {}", name.0)));
    until("the receiver", || stat_over(&name, "0s")["consumer"]["state"] == "attached");
    receiver.signal(libc::SIGHUP);
    ok(&run_with(&["send", &name.0], b"after\n"));
    assert!(receiver.wait().success());
    assert_eq!(stdout(&receiver.finish()), "after\n");
}

#[test]
fn a_command_of_pipe_may_finish_what_it_has_and_gets_the_signal_if_it_does_not() {
    let name = ten("pipe-signal");
    let file = Temp::new("pipe-signal", b"");
    let out = file.text();
    for (command, written) in [
        // As one that compresses, it writes at the end of its input.
        (format!("echo ready > {out}; exec sort -r -o {out}"), "9\n8\n7\n6\n5\n4\n3\n2\n1\n0\n"),
        (
            format!(
                "trap 'echo signal > {out}; exit' TERM; echo ready > {out}; while sleep 0.01; do :; done"
            ),
            "signal\n",
        ),
    ] {
        std::fs::write(&file.0, b"").unwrap();
        let args = ["pipe", &name.0, "--recv", "--follow", "--", "sh", "-c", &command];
        let mut pipe = Running::start(shmq(&args));
        let read = || std::fs::read_to_string(&file.0).unwrap();
        until("it to take all", || counts(&name)[2] == 0 && read() == "ready\n");
        pipe.signal(libc::SIGTERM);
        assert_eq!(pipe.wait().signal(), Some(libc::SIGTERM));
        assert_eq!(read(), written);
    }
}

#[test]
fn an_output_file_is_added_to_and_opened_anew_when_it_was_rotated() {
    let name = Name::new("rotate");
    let (log, old) = (Temp::new("rotate", b"before\n"), Temp::new("rotate-old", b""));
    ok(&run(&["create", &name.0]));
    let receiver = Running::start(shmq(&["recv", &name.0, "--follow", "--output", log.text()]));
    let mut sender = shmq(&["send", &name.0]);
    sender.stdin(Stdio::piped());
    let mut sender = Running::start(sender);
    let mut input = sender.0.stdin.take().unwrap();
    let read = |file: &Temp| std::fs::read_to_string(&file.0).unwrap();
    input.write_all(b"1\n").unwrap();
    until("the first line", || read(&log) == "before\n1\n");
    std::fs::rename(&log.0, &old.0).unwrap();
    input.write_all(b"2\n").unwrap();
    until("a line in the old file", || read(&old) == "before\n1\n2\n");
    receiver.signal(libc::SIGHUP);
    until("a new file", || log.0.exists());
    input.write_all(b"3\n").unwrap();
    drop(input);
    assert!(sender.wait().success());
    ok(&receiver.finish());
    assert_eq!((read(&old).as_str(), read(&log).as_str()), ("before\n1\n2\n", "3\n"));
    // A place where nothing can be written takes nothing.
    ok(&run(&["rm", &name.0]));
    let name = ten("rotate-full");
    fails(&run(&["recv", &name.0, "--output", "/no/such/folder/log"]), 1, "/no/such/folder/log");
    fails(&run(&["recv", &name.0, "--output", "/dev/full"]), 1, "/dev/full");
    assert_eq!(counts(&name), [10, 0, 10]);
}

#[test]
fn a_file_that_cannot_grow_keeps_no_part_of_a_message() {
    let name = Name::new("cut-short");
    ok(&run(&["create", &name.0]));
    ok(&run_with(&["send", &name.0, "--no-finish", "--chunk", "1000"], &noise(10_000)));
    let file = Temp::new("cut-short", b"");
    // Files of this process may have 3 KiB: two messages and a part of the third.
    let script =
        format!("trap '' XFSZ; ulimit -f 3; exec shmq recv {} --raw --output {}", name.0, file.text());
    let output = Running::start(shell(&script)).finish();
    fails(&output, 1, file.text());
    let written = std::fs::read(&file.0).unwrap();
    let taken = counts(&name)[1] as usize;
    assert!(
        (1..10).contains(&taken) && written == noise(10_000)[..1000 * taken],
        "{taken}, {}",
        written.len()
    );
    ok(&run(&["recv", &name.0, "--raw", "--no-wait", "--output", file.text()]));
    assert!(std::fs::read(&file.0).unwrap() == noise(10_000));
}
