//! `shmq pipe`: any program as one end of a queue.

use crate::acks::Acks;
use crate::args::{PipeArgs, QueueOptions, RecvArgs, SendArgs, Wait};
use crate::output::Output;
use crate::progress::Progress;
use crate::recv;
use crate::send::Ready;
use crate::shape::Queue;
use crate::view::json;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde::Serialize;
use shmq::{OpenError, Options};
use shmq_tool::failure::{Failure, say};
use shmq_tool::interrupt::Interrupt;
use shmq_tool::units::plain;
use std::fs::File;
use std::io::{self, Read, Write, stderr};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(5);
/// After a signal, the command has so long to come to an end with the input that it has; then the signal is passed on.
const FLUSH: Duration = Duration::from_millis(500);

/// What `--json` says.
#[derive(Debug, Serialize)]
struct Piped {
    schema: &'static str,
    end: &'static str,
    messages: u64,
    bytes: u64,
    exit_code: u8,
}

pub fn run(args: &PipeArgs) -> Result<(), Failure> {
    // Before the command is started for nothing.
    if let Err(error @ OpenError::WrongKind { .. }) = Queue::open(&args.name, &Options::new()) {
        return Err(error.into());
    }
    let interrupt = Interrupt::catch()?;
    let (ended, (messages, bytes), status) =
        if args.send { from_command(args, &interrupt)? } else { into_command(args, &interrupt)? };
    let code = code_of(status);
    if args.json {
        let end = if args.send { "producer" } else { "consumer" };
        let piped = Piped { schema: "shmq.pipe/1", end, messages, bytes, exit_code: code };
        let _ = stderr().write_all(json(&piped)?.as_bytes());
    }
    // What the command made of it counts less.
    interrupt.check()?;
    match ended {
        Err(failure) if code == 0 => Err(failure),
        ended => {
            if let Err(Failure::Said(_, text)) = ended {
                say(&text);
            }
            if code == 0 { Ok(()) } else { Err(Failure::Exit(code)) }
        }
    }
}

type Ended = (Result<(), Failure>, (u64, u64), ExitStatus);

fn code_of(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code as u8,
        (None, Some(signal)) => 128u8.saturating_add(signal as u8),
        (None, None) => 1,
    }
}

fn command(args: &PipeArgs) -> Command {
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    command
}

fn start(command: &mut Command) -> Result<Child, Failure> {
    command.spawn().map_err(|e| {
        let name = plain(&command.get_program().to_string_lossy());
        let missing = e.kind() == io::ErrorKind::NotFound;
        say(&format!("cannot start {name}: {e}{}", if missing { "; check its name and PATH" } else { "" }));
        Failure::Exit(127)
    })
}

/// Waits for the command. Once a signal came, it is to end, too: by that signal, unless it does within `patience`.
fn waited(child: &mut Child, interrupt: &Interrupt, patience: Duration) -> Result<ExitStatus, Failure> {
    let failed = |e: io::Error| Failure::io("wait for the command", &e);
    let pid = Pid::from_child(child);
    let end = loop {
        if let Err(end) = interrupt.check() {
            break end;
        }
        // The standard library's wait lets no signal through.
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(_) => return child.wait().map_err(failed),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(failed(e.into())),
        }
    };
    let begin = Instant::now();
    while begin.elapsed() < patience {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status);
        }
        std::thread::sleep(LOOK);
    }
    if let Failure::Signal(signal) = end
        && let Some(signal) = Signal::from_named_raw(signal)
    {
        // It was not waited for, so the number is its own.
        let _ = kill_process(pid, signal);
    }
    child.wait().map_err(failed)
}

/// What the command prints, until a signal comes.
struct Printed<'a>(File, &'a Interrupt);

impl Read for Printed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.1.check().is_err() {
                return Err(io::Error::other("a signal came"));
            }
            match self.0.read(into) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

/// What the command prints is sent.
fn from_command(args: &PipeArgs, interrupt: &Interrupt) -> Result<Ended, Failure> {
    let sending = SendArgs {
        name: args.name.clone(),
        file: None,
        create: args.create,
        no_finish: false,
        resume: false,
        lines: args.lines,
        chunk: args.chunk.map(Some),
        raw: args.raw,
        length_prefixed: args.length_prefixed,
        timeout: None,
        need_consumer: false,
        wait: Wait::Adaptive,
        options: QueueOptions::default(),
    };
    // First, so that no command is started for a queue that cannot be used.
    let Some(ready) = Ready::new(&sending)? else { return Err(Failure::new("nothing to send")) };
    let mut child = start(command(args).stdout(Stdio::piped()))?;
    let Some(output) = child.stdout.take() else { return Err(Failure::new("the command has no output")) };
    let output = Printed(OwnedFd::from(output).into(), interrupt);
    let mut status = None;
    let (ended, done) = ready.send(&sending, output, Progress::new(None, true), interrupt, || {
        let ended = waited(&mut child, interrupt, Duration::ZERO);
        let good = ended.as_ref().is_ok_and(ExitStatus::success);
        status = Some(ended);
        good
    });
    let status = status.unwrap_or_else(|| waited(&mut child, interrupt, Duration::ZERO))?;
    Ok((ended, done, status))
}

/// Messages are the command's input.
fn into_command(args: &PipeArgs, interrupt: &Interrupt) -> Result<Ended, Failure> {
    let receiving = RecvArgs {
        name: args.name.clone(),
        count: None,
        timeout: None,
        no_wait: false,
        follow: args.follow,
        lines: args.lines,
        raw: args.raw,
        length_prefixed: args.length_prefixed,
        ack: args.ack,
        output: None,
        tag: None,
        wait: Wait::Adaptive,
    };
    let mut command = command(args);
    if args.ack {
        command.stdout(Stdio::piped());
    }
    let mut child = start(command.stdin(Stdio::piped()))?;
    let Some(input) = child.stdin.take() else { return Err(Failure::new("the command has no input")) };
    let acks = child.stdout.take().map(|answers| Acks::read(answers, recv::frame(&receiving))).transpose()?;
    // The input is closed with it, so that the command sees its end.
    let out = Output::to(File::from(OwnedFd::from(input)));
    let (ended, done) = recv::receive(&receiving, out, acks, interrupt, Progress::new(None, true));
    let status = waited(&mut child, interrupt, FLUSH)?;
    Ok((ended, done, status))
}
