//! Processes that a program starts of itself, to kill them.

use crate::failure::Failure;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

/// A command that runs this program again: the very file, even if its name leads elsewhere by now.
pub fn this_program(arg0: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(arg0).stdin(Stdio::null()).stdout(Stdio::null());
    // Ctrl-C is for the parent alone: it then ends the others and removes the files.
    command.process_group(0);
    command
}

/// To be called first in such a process: it ends with its parent.
///
/// # Errors
/// If it has another parent, or none any more.
pub fn die_with_parent(parent: i32) -> Result<(), Failure> {
    let failed = |e: rustix::io::Errno| Failure::io("tie this process to its parent", &e.into());
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    // It may have died before that.
    match rustix::process::getppid() {
        Some(pid) if pid.as_raw_nonzero().get() == parent => Ok(()),
        _ => Err(Failure::new("this is a part of `shmq demo` or `shmq-lab`, which start it by themselves")),
    }
}

/// A process. Killed and waited for when dropped; the kernel kills it, should this process die first.
#[derive(Debug)]
pub struct Actor {
    process: Child,
    part: &'static str,
}

impl Actor {
    /// Starts it; `part` is what it is called.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(part: &'static str, command: &mut Command) -> Result<Self, Failure> {
        let process = command.spawn().map_err(|e| Failure::io(format_args!("start the {part}"), &e))?;
        Ok(Self { process, part })
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Whether it has done its work.
    ///
    /// # Errors
    /// If it ended in any other way.
    pub fn is_done(&mut self) -> Result<bool, Failure> {
        let failed = |e| Failure::io("wait for a process", &e);
        match self.process.try_wait().map_err(failed)? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(Failure::new(format!("the {} failed: {status}", self.part))),
        }
    }

    /// Stops it, and waits until it has stopped; `false` if it has ended instead.
    ///
    /// # Errors
    /// What the system said.
    pub fn stop(&mut self) -> Result<bool, Failure> {
        let failed = |e: Errno| Failure::io("stop a process", &e.into());
        if !self.signal(Signal::STOP).map_err(failed)? {
            return Ok(false);
        }
        let events = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::Pid(self.pid()), events) {
                Err(Errno::INTR) => {}
                seen => return Ok(seen.map_err(failed)?.is_some_and(|seen| seen.stopped())),
            }
        }
    }

    /// Lets it go on. One that has ended needs no leave.
    ///
    /// # Errors
    /// What the system said.
    pub fn go_on(&mut self) -> Result<(), Failure> {
        self.signal(Signal::CONT).map(drop).map_err(|e| Failure::io("let a process go on", &e.into()))
    }

    /// Whether there was still somebody to get it. Once it was waited for, its number may be another's.
    fn signal(&mut self, signal: Signal) -> Result<bool, Errno> {
        match self.process.try_wait() {
            Ok(Some(_)) => Ok(false),
            _ => kill_process(self.pid(), signal).map(|()| true),
        }
    }

    /// Kills it with SIGKILL; whether that was what it died of.
    ///
    /// # Errors
    /// What the system said.
    pub fn kill(&mut self) -> Result<bool, Failure> {
        let failed = |e| Failure::io("kill a process", &e);
        self.process.kill().map_err(failed)?;
        let status = self.process.wait().map_err(failed)?;
        Ok(status.signal() == Some(Signal::KILL.as_raw()))
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn start(script: &str) -> Actor {
        Actor::start("part", Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn one_that_has_ended_can_be_stopped_continued_and_killed() {
        for (script, waited) in [("exit 0", false), ("exit 0", true), ("exit 3", true)] {
            let mut actor = start(script);
            let begin = Instant::now();
            // Ended, and waited for or not.
            while waited && matches!(actor.is_done(), Ok(false)) {
                assert!(begin.elapsed() < Duration::from_secs(60));
            }
            if !waited {
                let ends = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                waitid(WaitId::Pid(actor.pid()), ends).unwrap();
            }
            assert!(!actor.stop().unwrap());
            actor.go_on().unwrap();
            assert!(!actor.kill().unwrap());
            assert!(!actor.stop().unwrap());
        }
    }

    #[test]
    fn one_that_lives_is_stopped_and_goes_on() {
        let mut actor = start("exec sleep 1000");
        assert!(actor.stop().unwrap());
        actor.go_on().unwrap();
        assert!(actor.stop().unwrap() && actor.kill().unwrap());
    }
}
