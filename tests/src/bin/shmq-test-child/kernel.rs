//! What the kernel, or a stranger who is on good terms with it, can do to a process that has a queue.

use crate::attach::round;
use crate::resource::{MIB, Trouble, Verdict, made, need, options, taken};
use crate::{said, variant};
use shmq::{Inspector, Queue};
use shmq_tests::process::Scratch;
use shmq_tests::process::limits::own_mounts;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

pub fn case(case: &str, directory: &str) -> Option<Verdict> {
    Some(match case {
        "own-table" => own_table(directory),
        "moved-table" => moved_table(directory),
        "chdir" => chdir(directory),
        "stolen-number" => stolen_number(directory),
        "signals" => signals(directory),
        "container-boot" => container_boot(directory),
        "quota" => crate::stop::quota(true),
        "no-quota" => crate::stop::quota(false),
        _ => return None,
    })
}

/// A table of descriptors of this thread's own.
fn own_descriptors() -> Result<(), Trouble> {
    // SAFETY: a plain system call.
    let done = unsafe { libc::unshare(libc::CLONE_FILES) };
    need("descriptors of one's own", if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) })
}

fn duplicate(file: &File, number: i32) -> Result<(), String> {
    // SAFETY: a plain system call; what has the number is the test's to spoil.
    match unsafe { libc::dup2(file.as_raw_fd(), number) } {
        -1 => Err(said(std::io::Error::last_os_error())),
        _ => Ok(()),
    }
}

/// A file of somebody else's, as large as any queue here.
fn foreign(directory: &str) -> Result<(File, impl Fn() -> Result<&'static str, String>), String> {
    let path = format!("{directory}/foreign");
    std::fs::write(&path, vec![7; 4 << 20]).map_err(said)?;
    let file = OpenOptions::new().read(true).write(true).open(&path).map_err(said)?;
    let whole = move || {
        let whole = std::fs::read(&path).map_err(said)?.iter().all(|&byte| byte == 7);
        Ok(if whole { "untouched" } else { "spoiled" })
    };
    Ok((file, whole))
}

/// A queue is made and used in a thread with a table of its own, whose number means another file to the main thread.
fn own_table(directory: &str) -> Verdict {
    let (file, whole) = foreign(directory)?;
    let (number, numbers) = std::sync::mpsc::channel();
    let (taken, ready) = std::sync::mpsc::channel();
    let name = format!("{directory}/queue");
    let other = std::thread::spawn(move || -> Result<(), Trouble> {
        own_descriptors()?;
        let queues = [Queue::anonymous(&options(MIB)), Queue::create(name, &options(MIB))];
        let region = shmq_raw::Region::anonymous(&shmq_raw::Options::new().bytes(4096)).map_err(said)?;
        for queue in queues {
            let queue = queue.map_err(said)?;
            let _ = number.send(Some(queue.as_fd().as_raw_fd()));
            let _ = ready.recv();
            round(&queue)?;
        }
        let _ = number.send(region.fd().map(|fd| fd.as_raw_fd()));
        let _ = ready.recv();
        region.writer::<u64>(0).map_err(said)?.write(&1);
        let latest = region.reader::<u64>(0).map_err(said)?.latest();
        if latest == 1 { Ok(()) } else { Err("written elsewhere".to_owned().into()) }
    });
    for number in numbers.iter().flatten() {
        duplicate(&file, number)?;
        let _ = taken.send(());
    }
    other.join().map_err(|_| "a panic".to_owned())??;
    Ok(format!("works, {}", whole()?))
}

/// A queue is taken to a thread where its number means another file.
fn moved_table(directory: &str) -> Verdict {
    let (file, whole) = foreign(directory)?;
    let (queue, queues) = std::sync::mpsc::channel();
    let name = format!("{directory}/queue");
    let other = std::thread::spawn(move || -> Result<(), Trouble> {
        own_descriptors()?;
        for made in [Queue::anonymous(&options(MIB)), Queue::create(name, &options(MIB))] {
            let _ = queue.send(made.map_err(said)?);
        }
        // Its table goes with it.
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    });
    let mut outcomes = Vec::new();
    for queue in queues {
        duplicate(&file, queue.as_fd().as_raw_fd())?;
        outcomes.push(taken(queue.producer()));
        outcomes.push(queue.inspect().map_or_else(|e| variant(&e), |_| "seen".into()));
        // Its number is not its own here.
        std::mem::forget(queue);
    }
    other.join().map_err(|_| "a panic".to_owned())??;
    Ok(format!("{}, {}", outcomes.join(", "), whole()?))
}

/// A path that was relative when it was given means the same after a change of the directory.
fn chdir(directory: &str) -> Verdict {
    let go = |to: &str| std::env::set_current_dir(Path::new(directory).join(to)).map_err(said);
    for name in ["run", "other"] {
        std::fs::create_dir(format!("{directory}/{name}")).map_err(said)?;
    }
    go("run")?;
    let mut rx = shmq::Consumer::create("./queue", &options(MIB)).map_err(said)?;
    let region = shmq_raw::Region::create("./region", &shmq_raw::Options::new().bytes(64)).map_err(said)?;
    go("other")?;
    let waited = rx.recv(Duration::from_millis(20)).err().map(|e| variant(&e)).unwrap_or_default();
    drop(rx);
    go("run")?;
    let queue = Queue::open("./queue").map_err(said)?;
    let look = Inspector::open("./queue").map_err(said)?;
    go("other")?;
    // Another one of the same name must neither be taken for it nor be removed in its place.
    let decoy = Queue::create("./queue", &options(MIB)).map_err(said)?;
    let (tx, rx) = (taken(queue.producer()), taken(queue.consumer()));
    let seen = look.snapshot().pending_messages;
    queue.remove().map_err(said)?;
    region.remove().map_err(said)?;
    let left =
        |name: &str| std::fs::read_dir(format!("{directory}/{name}")).map(Iterator::count).map_err(said);
    let left = format!("{} and {} left", left("run")?, left("other")?);
    decoy.remove().map_err(said)?;
    Ok(format!("{waited}, {tx}, {rx}, {seen} pending, {left}"))
}

/// Somebody closes all descriptors of the queue, which are not his, and gets their numbers for a file of his own.
fn stolen_number(directory: &str) -> Verdict {
    let (file, _) = foreign(directory)?;
    let path = format!("{directory}/queue");
    let queue = Queue::create(&path, &options(MIB)).map_err(said)?;
    let (mut tx, mut rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
    for entry in std::fs::read_dir("/proc/self/fd").map_err(said)?.flatten() {
        if std::fs::read_link(entry.path()).is_ok_and(|to| to == Path::new(&path)) {
            let number = entry.file_name().to_string_lossy().parse::<i32>().map_err(said)?;
            duplicate(&file, number)?;
        }
    }
    let peers = format!("{}, {}", tx.peer(), rx.peer());
    tx.try_send(b"still here").map_err(said)?;
    let message = rx.try_recv().map_err(said)?.to_vec();
    let quiet = rx.recv(Duration::from_millis(50)).err().map(|e| variant(&e)).unwrap_or_default();
    Ok(format!("{peers}, {}, {quiet}", String::from_utf8_lossy(&message)))
}

extern "C" fn ignore(_: libc::c_int) {}

/// A signal with a handler, every so often.
pub fn alarms(every: Duration) {
    // SAFETY: the handler does nothing; plain system calls with valid arguments.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as *const () as usize;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        let every = libc::timeval { tv_sec: 0, tv_usec: every.as_micros() as i64 };
        let timer = libc::itimerval { it_interval: every, it_value: every };
        libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
    }
}

/// More of them than one system call for all of the memory gets through.
fn signals(directory: &str) -> Verdict {
    alarms(Duration::from_micros(500));
    let large = options(64 * MIB);
    let named = made(Queue::create(format!("{directory}/queue"), &large));
    let anonymous = made(Queue::anonymous(&large));
    alarms(Duration::ZERO);
    Ok(format!("{named}, {anonymous}"))
}

/// Kills a consumer that has just come.
fn killed_consumer(path: &str) -> Result<(), String> {
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            let code = match Queue::open(path)
                .map_err(said)
                .and_then(|queue| queue.consumer().map(std::mem::forget).map_err(|e| variant(&e)))
            {
                Ok(()) => 0,
                Err(why) => {
                    println!("{why}");
                    1
                }
            };
            // SAFETY: a plain system call; nothing is dropped.
            unsafe { libc::_exit(code) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: plain; the child is ours.
            unsafe { libc::waitpid(pid, &mut status, 0) };
            if status == 0 { Ok(()) } else { Err(format!("the consumer ended with {status:#x}")) }
        }
    }
}

/// A container that is shown another boot id than its host, and the queue they share. Of memory, a boot id means nothing; on a disk a
/// living end proves that the machine is still up, and where there is none, nothing does.
fn container_boot(directory: &str) -> Verdict {
    let boot = "/proc/sys/kernel/random/boot_id";
    let own = format!("{directory}/boot_id");
    std::fs::write(&own, "01234567-89ab-4cde-8f01-23456789abcd\n").map_err(said)?;
    let Some(disk) = Scratch::on_disk("boot") else {
        return Err(Trouble::Skipped("no directory on a disk".into()));
    };
    let mut paths = vec![format!("{directory}/queue")];
    paths.push(format!("{}", disk.path().display()));
    let mut ends = Vec::new();
    for path in &paths {
        ends.push(Queue::create(path, &options(MIB)).map_err(said)?.producer().map_err(said)?);
    }
    need("a namespace of its own", own_mounts())?;
    let mounted = std::process::Command::new("mount").args(["--bind", &own, boot]).status();
    if !need("mount", mounted)?.success() {
        return Err(Trouble::Skipped("the boot id cannot be replaced".into()));
    }
    for path in &paths {
        killed_consumer(path)?;
    }
    if !std::process::Command::new("umount").arg(boot).status().is_ok_and(|status| status.success()) {
        return Err(Trouble::Skipped("the boot id cannot be put back".into()));
    }
    let mut outcomes = Vec::new();
    for path in &paths {
        let queue = Queue::open(path).map_err(said)?;
        let told = queue.inspect().map_err(said)?.snapshot().consumer.from_another_boot;
        outcomes.push(format!("{}{}", taken(queue.consumer()), if told { " told" } else { "" }));
        killed_consumer(path)?;
    }
    // Now the last of them are from the container, and nobody lives.
    ends.into_iter().for_each(drop);
    let patched: [u8; 16] = [7; 16];
    for path in &paths {
        let file = OpenOptions::new().write(true).open(path).map_err(said)?;
        let page = shmq_core::layout::Parts::standard(MIB).page(shmq::Role::Consumer) as u64;
        let at = page + shmq::Role::Consumer.words().boot[0].offset() as u64;
        std::os::unix::fs::FileExt::write_all_at(&file, &patched, at).map_err(said)?;
        let queue = Queue::open(path).map_err(said)?;
        let told = queue.inspect().map_err(said)?.snapshot().consumer.from_another_boot;
        outcomes.push(format!("{}{}", taken(queue.consumer()), if told { " told" } else { "" }));
    }
    Ok(outcomes.join(", "))
}
