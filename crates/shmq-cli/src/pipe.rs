//! `shmq pipe`: any program as one end of a queue.

use crate::args::{PipeArgs, QueueOptions, RecvArgs, SendArgs, Wait};
use crate::failure::{Failure, say};
use crate::progress::Progress;
use crate::recv;
use crate::send::Ready;
use crate::shape::Queue;
use crate::units::plain;
use crate::view::json;
use serde::Serialize;
use shmq::{OpenError, Options};
use std::fs::File;
use std::io::{self, Write, stderr};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

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
    let (ended, (messages, bytes), status) =
        if args.send { from_command(args)? } else { into_command(args)? };
    let code = code_of(status);
    if args.json {
        let end = if args.send { "producer" } else { "consumer" };
        let piped = Piped { schema: "shmq.pipe/1", end, messages, bytes, exit_code: code };
        let _ = stderr().write_all(json(&piped)?.as_bytes());
    }
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

fn waited(child: &mut Child) -> Result<ExitStatus, Failure> {
    child.wait().map_err(|e| Failure::io("wait for the command", &e))
}

/// What the command prints is sent.
fn from_command(args: &PipeArgs) -> Result<Ended, Failure> {
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
    let mut status = None;
    let (ended, done) =
        ready.send(&sending, File::from(OwnedFd::from(output)), Progress::new(None, true), || {
            let ended = child.wait();
            let good = ended.as_ref().is_ok_and(ExitStatus::success);
            status = ended.ok();
            good
        });
    let status = status.map_or_else(|| waited(&mut child), Ok)?;
    Ok((ended, done, status))
}

/// Messages are the command's input.
fn into_command(args: &PipeArgs) -> Result<Ended, Failure> {
    let receiving = RecvArgs {
        name: args.name.clone(),
        count: None,
        timeout: None,
        no_wait: false,
        follow: args.follow,
        lines: args.lines,
        raw: args.raw,
        length_prefixed: args.length_prefixed,
        tag: None,
        wait: Wait::Adaptive,
    };
    let mut child = start(command(args).stdin(Stdio::piped()))?;
    let Some(input) = child.stdin.take() else { return Err(Failure::new("the command has no input")) };
    // The input is closed with it, so that the command sees its end.
    let (ended, done) =
        recv::receive(&receiving, File::from(OwnedFd::from(input)), Progress::new(None, true));
    let status = waited(&mut child)?;
    Ok((ended, done, status))
}
