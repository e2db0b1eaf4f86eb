//! Standard input and output as the process got them. The standard library puts /dev/null in the place of those that are
//! closed, before `main`, and takes a write to one that is not open for writing for done: so messages would be taken
//! that went nowhere. What they were is noted before that.

use crate::args::Command;
use shmq_tool::failure::Failure;
use std::sync::atomic::{AtomicI32, Ordering};

/// The flags of each, -1 if it is closed.
static FLAGS: [AtomicI32; 2] = [const { AtomicI32::new(0) }; 2];

#[used]
// SAFETY: the C library calls what this section lists, in the one thread there is, before `main`; the function makes
// system calls only.
#[unsafe(link_section = ".init_array")]
static NOTE: extern "C" fn() = note;

extern "C" fn note() {
    for (fd, flags) in (0..).zip(&FLAGS) {
        // SAFETY: a plain system call, which may be made on any number.
        flags.store(unsafe { libc::fcntl(fd, libc::F_GETFL) }, Ordering::Relaxed);
    }
}

/// Whether the command can read and write what it will, before it does anything.
pub fn check(command: &Command) -> Result<(), Failure> {
    let (reads, writes) = match command {
        Command::Send(args) => (args.reads_stdin(), false),
        Command::Recv(args) => (args.ack, args.output.is_none()),
        Command::Drain(args) => (false, args.prints()),
        Command::Copy(args) => (false, args.json),
        // The program's own, unless it says there what it has finished.
        Command::Pipe(args) => (false, args.recv && !args.ack),
        Command::Create(_) | Command::Rm(_) | Command::DemoPart(_) => (false, false),
        Command::Top(args) => (false, args.listen.is_none()),
        Command::Man(args) => (false, args.dir.is_none()),
        Command::Ls(_)
        | Command::Stat(_)
        | Command::Dump(_)
        | Command::Doctor(_)
        | Command::Demo(_)
        | Command::Completions(_) => (false, true),
    };
    if reads {
        usable(0, libc::O_WRONLY, "input", "reading")?;
    }
    if writes {
        usable(1, libc::O_RDONLY, "output", "writing")?;
    }
    Ok(())
}

fn usable(fd: usize, other_way: i32, stream: &str, for_what: &str) -> Result<(), Failure> {
    let flags = FLAGS[fd].load(Ordering::Relaxed);
    let fault = match flags {
        -1 => "closed".into(),
        _ if flags & libc::O_ACCMODE == other_way || flags & libc::O_PATH != 0 => {
            format!("not open for {for_what}")
        }
        _ => return Ok(()),
    };
    Err(Failure::new(format!(
        "standard {stream} is {fault}, so nothing was done; name a file or /dev/null for it"
    )))
}
