//! Log shipping that survives a restart of either side.
//!
//! An application sends numbered lines; a shipper appends them to a file. A supervisor kills each of them
//! with SIGKILL in mid-stream, twice, and starts it again. The application resumes at `next_sequence`; the shipper acknowledges a
//! message only after its line is written, and after a restart skips what the file already has. In the end every line is
//! there once, in order.

use rustix::process::{Signal, set_parent_process_death_signal};
use shmq::{AttachError, Consumer, Error as Shmq, Inspector, Options, Producer, Queue, RecvError, Snapshot};
use shmq::{Until, Waiting};
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub(crate) const LINES: u64 = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if !args.is_empty() {
        // A child must not outlive its supervisor.
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    match args[..] {
        ["application", name, _] => application(name),
        ["shipper", name, file] => shipper(name, Path::new(file)),
        _ => supervise(&format!("shmq-example-log-{}", std::process::id())),
    }
}

pub(crate) fn line(sequence: u64) -> String {
    format!("{sequence} something worth a line happened")
}

pub(crate) fn application(name: &str) -> Result<(), Box<dyn Error>> {
    let mut tx = match Producer::open(name) {
        Err(Shmq::Attach(AttachError::Finished { .. })) => return Ok(()),
        opened => opened?,
    };
    tx.set_waiting(Waiting::new().across_restarts(true));
    for sequence in tx.next_sequence()..LINES {
        tx.send(line(sequence).as_bytes(), Until::Forever)?;
    }
    tx.finish()?;
    Ok(())
}

pub(crate) fn shipper(name: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    // What is there: whole lines, and half of one perhaps, which is cut off.
    let (mut shipped, mut bytes) = (0, 0);
    for text in BufReader::new(&file).split(b'\n') {
        let end = bytes + text?.len() as u64 + 1;
        if end <= file.metadata()?.len() {
            (shipped, bytes) = (shipped + 1, end);
        }
    }
    file.set_len(bytes)?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;

    let mut rx = Consumer::open(name)?;
    rx.set_waiting(Waiting::new().across_restarts(true));
    loop {
        match rx.read(Until::Forever) {
            Ok(message) if message.sequence() < shipped => message.acknowledge(),
            Ok(message) => {
                let mut text = message.to_vec();
                text.push(b'\n');
                // An error here, or a kill, and the next shipper is shown the message again.
                file.write_all(&text)?;
                message.acknowledge();
            }
            Err(RecvError::Finished) => return Ok(()),
            Err(other) => return Err(other.into()),
        }
    }
}

fn supervise(name: &str) -> Result<(), Box<dyn Error>> {
    let file = std::env::temp_dir().join(format!("{name}.txt"));
    let _files = Scratch([format!("/dev/shm/{name}"), file.display().to_string()]);
    Queue::create(name, &Options::new().capacity(64 << 10).max_message(1024))?;
    let inspector = Inspector::open(name)?;
    let start =
        |what| Command::new(std::env::current_exe()?).args([what, name, &file.to_string_lossy()]).spawn();
    let mut application = start("application")?;
    let mut shipper = start("shipper")?;
    let mut killed = 0;
    for kill_at in [LINES / 8, LINES / 4] {
        wait_for(&inspector, |seen| seen.sent >= kill_at)?;
        killed += kill(&mut application)?;
        application = start("application")?;
        wait_for(&inspector, |seen| seen.received >= kill_at + LINES / 16)?;
        killed += kill(&mut shipper)?;
        shipper = start("shipper")?;
    }
    assert!(application.wait()?.success() && shipper.wait()?.success());

    let mut lines = 0;
    for text in BufReader::new(std::fs::File::open(&file)?).lines() {
        assert_eq!(text?, line(lines));
        lines += 1;
    }
    assert_eq!(lines, LINES);
    println!("{lines} lines, each once and in order, after {killed} kills");
    Ok(())
}

fn kill(child: &mut Child) -> std::io::Result<u32> {
    child.kill()?;
    Ok(u32::from(child.wait()?.signal() == Some(Signal::KILL.as_raw())))
}

fn wait_for(inspector: &Inspector, done: impl Fn(&Snapshot) -> bool) -> Result<(), Box<dyn Error>> {
    let limit = Instant::now() + Duration::from_secs(30);
    while !done(&inspector.snapshot()) {
        if Instant::now() > limit {
            return Err("no progress for 30 seconds".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Removes its files at the end, however it comes.
struct Scratch([String; 2]);

impl Drop for Scratch {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
