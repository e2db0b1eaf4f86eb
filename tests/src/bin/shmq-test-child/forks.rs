//! Children of a process that holds ends, and what becomes of memory of theirs that comes to lie where an end was mapped.

use crate::resource::{MIB, Trouble, Verdict, need, options};
use crate::said;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shmq::{Consumer, Inspector, Producer, Queue, StopHandle, WaitSet};
use shmq_tests::process::SlotMessage;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

type Outcome = Result<String, Trouble>;

/// An end of each shape.
enum Held {
    Producer(Producer),
    Consumer(Consumer),
    SlotProducer(shmq::slots::Producer<SlotMessage>),
    SlotConsumer(shmq::slots::Consumer<SlotMessage>),
    Writer(shmq_pool::Writer),
    Reader(shmq_pool::Reader),
    Cell(shmq_raw::Writer<u64>),
    Set(Box<Set>),
}

/// A set that sleeps as deeply as sets do, and what can wake it.
struct Set {
    rx: Consumer,
    tx: Producer,
    set: WaitSet,
    stop: StopHandle,
}

const KINDS: [&str; 8] =
    ["producer", "consumer", "slot-producer", "slot-consumer", "writer", "reader", "cell", "set"];

impl Held {
    fn take(kind: &str, path: &Path) -> Result<Self, String> {
        let queue = || Queue::create(path, &options(MIB)).map_err(said);
        let slots = || shmq::slots::Queue::create(path, 1000, &shmq::Options::new()).map_err(said);
        let pool = || shmq_pool::Pool::create(path, 4, 4096, &shmq::Options::new()).map_err(said);
        let region = || shmq_raw::Region::create(path, &shmq_raw::Options::new().bytes(4096)).map_err(said);
        Ok(match kind {
            "producer" => Self::Producer(queue()?.producer().map_err(said)?),
            "consumer" => Self::Consumer(queue()?.consumer().map_err(said)?),
            "slot-producer" => Self::SlotProducer(slots()?.producer().map_err(said)?),
            "slot-consumer" => Self::SlotConsumer(slots()?.consumer().map_err(said)?),
            "writer" => Self::Writer(pool()?.writer().map_err(said)?),
            "reader" => Self::Reader(pool()?.reader().map_err(said)?),
            "set" => Self::Set(Box::new(Set::of(&queue()?)?)),
            _ => Self::Cell(region()?.writer(0).map_err(said)?),
        })
    }

    /// Whether a call works.
    fn works(&mut self) -> bool {
        match self {
            Self::Producer(tx) => tx.try_send(b"work").is_ok(),
            Self::Consumer(rx) => matches!(rx.try_recv(), Err(shmq::TryRecvError::Empty)),
            Self::SlotProducer(tx) => tx.try_send(&[1, 2]).is_ok(),
            Self::SlotConsumer(rx) => matches!(rx.try_recv(), Err(shmq::TryRecvError::Empty)),
            Self::Writer(tx) => tx.try_loan().is_ok_and(|loan| loan.send(1).is_ok()),
            Self::Reader(rx) => matches!(rx.try_read(), Err(shmq_pool::TryRecvError::Empty)),
            Self::Cell(cell) => cell.write(&7) > 0,
            Self::Set(set) => set.works(),
        }
    }
}

impl Set {
    fn of(queue: &Queue) -> Result<Self, String> {
        let (mut rx, tx) = (queue.consumer().map_err(said)?, queue.producer().map_err(said)?);
        let (mut set, stop) = (WaitSet::new().map_err(said)?, StopHandle::new().map_err(said)?);
        set.set_stop(&stop);
        // Long enough for a wait that goes on from here to sleep deeply at once.
        match set.wait(&mut (&mut rx,), &mut Vec::new(), Duration::from_millis(250)) {
            Err(shmq::WaitSetError::TimedOut) => Ok(Self { rx, tx, set, stop }),
            other => Err(format!("{other:?}")),
        }
    }

    /// Whether it is stopped by nobody, and hears of a message.
    fn works(&mut self) -> bool {
        let Self { rx, tx, set, stop } = self;
        let mut events = Vec::new();
        let empty = matches!(rx.try_recv(), Err(shmq::TryRecvError::Empty));
        if !empty || set.poll(&mut (&mut *rx,), &mut events).is_err() || !events.is_empty() {
            return false;
        }
        let readable = |fd: BorrowedFd<'_>, seconds| {
            let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
            poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout)) == Ok(1)
        };
        !readable(stop.as_fd(), 0)
            && tx.try_send(b"tells").is_ok()
            && readable(set.as_fd(), 15)
            && rx.try_recv().is_ok()
    }

    /// What a child does to what it has inherited.
    fn trigger(&self) {
        self.stop.trigger();
    }
}

/// Where the file is mapped for writing.
fn place(path: &Path) -> Result<(usize, usize), String> {
    let maps = std::fs::read_to_string("/proc/self/maps").map_err(said)?;
    let inode = std::fs::metadata(path).map_err(said)?.ino().to_string();
    let is_it = |line: &&str| line.split(' ').nth(4) == Some(&inode) && line.contains(" rw-s ");
    let line = maps.lines().find(is_it);
    let (from, to) = line.and_then(|line| line.split(' ').next()?.split_once('-')).ok_or("not mapped")?;
    let number = |text| usize::from_str_radix(text, 16).map_err(said);
    Ok((number(from)?, number(to)? - number(from)?))
}

/// Memory of this process's own, if it can be had there.
fn mine(at: usize, len: usize) -> Option<*mut u8> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a plain system call, which takes nothing away from anybody.
    let got = unsafe { libc::mmap(at as *mut libc::c_void, len, protection, flags, -1, 0) };
    (got as usize == at).then_some(got.cast())
}

/// Runs `act` in a child, and says how that ended.
fn child(bare: bool, act: impl FnOnce() -> bool) -> Result<String, String> {
    // SAFETY: this process has one thread; without a stack of its own, the child goes on with a copy of this one.
    let pid = unsafe {
        match bare {
            true => libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t,
            false => libc::fork(),
        }
    };
    if pid == 0 {
        // SAFETY: plain system calls; nothing is dropped.
        unsafe {
            libc::alarm(60);
            libc::_exit(i32::from(!act()))
        }
    }
    let mut status = 0;
    // SAFETY: plain; the child is ours.
    if unsafe { libc::waitpid(pid, &mut status, 0) } != pid {
        return Err(said(std::io::Error::last_os_error()));
    }
    Ok(if libc::WIFSIGNALED(status) {
        format!("signal {}", libc::WTERMSIG(status))
    } else {
        format!("code {}", libc::WEXITSTATUS(status))
    })
}

/// Each kind of end, in a child that first tries to have memory of its own there. `bare`: no handlers run.
fn each(directory: &str, bare: bool, act: impl Fn(&mut Option<Held>) -> bool) -> Outcome {
    let mut outcomes = Vec::new();
    for kind in KINDS {
        let path = Path::new(directory).join(kind);
        let mut held = Some(Held::take(kind, &path)?);
        let (at, len) = place(&path)?;
        let ended = child(bare, || {
            let own = mine(at, len);
            // SAFETY: mapped just now, by us.
            own.inspect(|&own| unsafe { own.write_bytes(7, len) });
            let done = act(&mut held);
            // SAFETY: as above; where it is not ours any more, this ends the child.
            let whole = own.is_none_or(|own| (0..len).all(|i| unsafe { own.add(i).read_volatile() } == 7));
            done && whole
        })?;
        let parent =
            if held.as_mut().is_some_and(Held::works) { "" } else { ", and the parent's is spoiled" };
        if outcomes.last() != Some(&format!("{ended}{parent}")) {
            outcomes.push(format!("{ended}{parent}"));
        }
        drop(held);
        std::fs::remove_file(&path).map_err(said)?;
    }
    Ok(outcomes.join(", "))
}

pub fn case(case: &str, directory: &str) -> Option<Verdict> {
    let drops = |held: &mut Option<Held>| {
        if let Some(Held::Set(set)) = held {
            set.trigger();
        }
        held.take().is_some()
    };
    Some(match case {
        "fork-uses" => each(directory, false, |held| held.as_mut().is_some_and(Held::works)),
        "fork-drops" => each(directory, false, drops),
        "clone-drops" => each(directory, true, drops),
        "namespace-drops" => namespace(directory, drops),
        "fork-looks" => looks(directory),
        "fork-again" => again(directory),
        "fork-pair" => pair(),
        _ => return None,
    })
}

/// In a PID namespace of its own a child may have its parent's id.
fn namespace(directory: &str, act: impl Fn(&mut Option<Held>) -> bool) -> Outcome {
    let unshare = || {
        // SAFETY: plain system calls.
        let own = if unsafe { libc::getuid() } == 0 { 0 } else { libc::CLONE_NEWUSER };
        // SAFETY: as above.
        match unsafe { libc::unshare(libc::CLONE_NEWPID | own) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    need("a PID namespace", unshare())?;
    let (mut outcome, path) = (String::new(), Path::new(directory).join("outcome"));
    let first = child(false, || {
        let all = || -> Outcome {
            need("a PID namespace", unshare())?;
            // One child only can be the first of a namespace, so all kinds are in it.
            let mut held = Vec::new();
            for kind in KINDS {
                let path = Path::new(directory).join(kind);
                held.push((Held::take(kind, &path)?, place(&path)?));
            }
            let ended = child(false, || {
                let same = std::process::id() == 1;
                held.drain(..).fold(same, |fine, (held, (at, len))| {
                    let own = mine(at, len);
                    let done = act(&mut Some(held));
                    // SAFETY: mapped just now, by us; where it is not ours any more, this ends the child.
                    own.inspect(|&own| unsafe { own.write_volatile(7) });
                    fine && done
                })
            })?;
            let works = held.iter_mut().all(|(held, _)| held.works());
            Ok(format!("{ended}{}", if works { "" } else { ", and the parent's are spoiled" }))
        };
        let said = all().unwrap_or_else(|trouble| match trouble {
            Trouble::Skipped(why) => format!("skipped: {why}"),
            Trouble::Wrong(why) => why,
        });
        std::fs::write(&path, said).is_ok()
    })?;
    if first == "code 0" {
        outcome = std::fs::read_to_string(&path).map_err(said)?;
    }
    Ok(if outcome.is_empty() { first } else { outcome })
}

/// What is for looking, and raw memory, can be used in a child; and the guard works there.
fn looks(directory: &str) -> Outcome {
    shmq::sigbus::install().map_err(said)?;
    let path = format!("{directory}/queue");
    let queue = Queue::create(&path, &options(MIB)).map_err(said)?;
    let mut tx = queue.producer().map_err(said)?;
    tx.try_send(b"one").map_err(said)?;
    let look = Inspector::open(&path).map_err(said)?;
    let raw = shmq_raw::Options::new().bytes(8192);
    let region = shmq_raw::Region::create(format!("{directory}/region"), &raw).map_err(said)?;
    let ended = child(false, || {
        let seen = look.snapshot().pending_messages == 1;
        let took = queue.consumer().is_ok_and(|mut rx| rx.try_recv().is_ok_and(|m| m.to_vec() == b"one"));
        let wrote = region.write_at(0, b"child").is_ok();
        let cut = |name: &str| std::fs::File::options().write(true).open(format!("{directory}/{name}"));
        let cut = |name| cut(name).and_then(|file| file.set_len(4096)).is_ok();
        let mut bytes = [1; 5];
        let whole = !look.is_torn() && !region.is_torn() && cut("queue") && cut("region");
        look.snapshot();
        let torn = region.read_at(4096, &mut bytes).is_ok() && look.is_torn() && region.is_torn();
        seen && took && wrote && whole && torn && bytes == [0; 5]
    })?;
    Ok(ended)
}

/// A pair is memory of one process alone: a child has a copy of both ends, and whatever it does to them its parent does not see.
fn pair() -> Outcome {
    let (mut tx, mut rx) = shmq::pair(&options(MIB)).map_err(said)?;
    tx.try_send(b"one").map_err(said)?;
    let mut held = Some((tx, rx));
    let uses = child(false, || {
        held.as_mut().is_some_and(|(tx, rx)| {
            let one = rx.try_recv().is_ok_and(|message| message.to_vec() == b"one");
            let sent = tx.try_send(b"the child's") == Ok(1);
            one && sent && rx.try_recv().is_ok_and(|message| message.to_vec() == b"the child's")
        })
    })?;
    let drops = child(false, || held.take().is_some())?;
    (tx, rx) = held.ok_or_else(|| "the parent has none".to_owned())?;
    let one = rx.try_recv().is_ok_and(|message| message.to_vec() == b"one");
    let two = tx.try_send(b"two") == Ok(1) && rx.try_recv().is_ok_and(|message| message.to_vec() == b"two");
    Ok(format!("{uses}, {drops}, {}", if one && two { "untouched" } else { "spoiled" }))
}

/// A child takes an end of its own and has a child.
fn again(directory: &str) -> Outcome {
    let path = Path::new(directory).join("queue");
    let queue = Queue::create(&path, &options(MIB)).map_err(said)?;
    let mut tx = queue.producer().map_err(said)?;
    let ended = child(false, || {
        let Ok(mut rx) = queue.consumer() else { return false };
        let works = matches!(rx.try_recv(), Err(shmq::TryRecvError::Empty));
        let Ok((at, len)) = place(&path) else { return false };
        let mut grandchild = |act: fn(&mut Consumer, &mut Producer)| {
            child(false, || {
                mine(at, len);
                act(&mut rx, &mut tx);
                true
            })
        };
        let both = [
            |rx: &mut Consumer, _: &mut Producer| drop(rx.try_recv()),
            |_: &mut Consumer, tx: &mut Producer| {
                let _ = tx.try_send(b"no");
            },
        ]
        .map(|act: fn(&mut Consumer, &mut Producer)| {
            grandchild(act) == Ok(format!("signal {}", libc::SIGSEGV))
        });
        works && both == [true; 2] && matches!(rx.try_recv(), Err(shmq::TryRecvError::Empty))
    })?;
    Ok(ended)
}
