//! One operation, one of whose system calls fails by the hand of the parent; then a look at what that left behind.
#![allow(clippy::disallowed_types, reason = "a flag of this process, not shared bytes")]

use crate::{Outcome, said};
use shmq::{
    Corruption, Event, Inspector, Interest, Options, Queue, Role, StopHandle, TrySendError, WaitSet, Waiting,
    What, slots,
};
use shmq_async::{Async, Reactor};
use shmq_pool::Pool;
use shmq_raw::Region;
use shmq_tests::process::{LIMIT, SlotMessage, eventually};
use shmq_tests::step::{be_traced, mark};
use std::error::Error;
use std::fs::{File, read_dir, read_link};
use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Refusal = Box<dyn Error>;

/// What an operation is to do to the folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Nothing,
    /// Makes the file `new`.
    Makes,
    /// Removes the queue `q`.
    Removes,
}

/// What an operation must leave as it was.
#[derive(PartialEq, Eq)]
struct Seen {
    descriptors: Vec<String>,
    mappings: Vec<String>,
    files: Vec<String>,
}

impl Seen {
    fn now(folder: &str) -> Self {
        let links =
            read_dir("/proc/self/fd").expect("/proc").flatten().filter_map(|e| read_link(e.path()).ok());
        let links = links.map(|link| link.display().to_string());
        // Not the folder that is being read here, nor what the library keeps for the next who waits for many ends.
        let counts = |link: &String| !link.ends_with("/fd") && link != "anon_inode:inotify";
        let mut descriptors: Vec<_> = links.filter(counts).collect();
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc");
        let queue = |line: &&str| line.contains(folder) || line.contains("memfd:");
        let mut mappings: Vec<_> = maps.lines().filter(queue).map(str::to_owned).collect();
        let names = read_dir(folder).expect("the folder").flatten();
        let mut files: Vec<_> = names.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        for all in [&mut descriptors, &mut mappings, &mut files] {
            all.sort();
        }
        Self { descriptors, mappings, files }
    }

    fn must_be(&self, before: &Self, when: &str) -> Outcome {
        let kinds = [
            ("descriptors", &before.descriptors, &self.descriptors),
            ("mappings", &before.mappings, &self.mappings),
            ("files", &before.files, &self.files),
        ];
        match kinds.into_iter().find(|(_, before, now)| before != now) {
            Some((what, before, now)) => Err(format!("{when}: {what} were {before:?} and are {now:?}")),
            None => Ok(()),
        }
    }
}

struct Trial<'a> {
    folder: &'a str,
    effect: Effect,
}

impl Trial<'_> {
    /// `prepare` what the operation needs, `run` it under the tracer, `settle` what must hold of it afterwards; then
    /// the same once more, and nothing fails.
    fn go<S, R>(
        &self,
        prepare: impl Fn() -> Result<S, Refusal>,
        run: impl Fn(&mut S) -> Result<R, Refusal>,
        settle: impl Fn(S) -> Outcome,
    ) -> Outcome {
        let before = Seen::now(self.folder);
        let mut state = prepare().map_err(said)?;
        be_traced().map_err(|e| format!("tracing is forbidden: {e}"))?;
        mark();
        let done = run(&mut state);
        mark();
        match &done {
            Ok(_) => println!("done"),
            Err(refusal) => println!("refused: {refusal}"),
        }
        let made = done.is_ok();
        drop(done);
        settle(state)?;
        self.undo(made)?;
        Seen::now(self.folder).must_be(&before, "after the call")?;
        let mut state = prepare().map_err(|e| format!("before the next call: {e}"))?;
        drop(run(&mut state).map_err(|e| format!("the next call fails as well: {e}"))?);
        settle(state)?;
        self.undo(true)?;
        Seen::now(self.folder).must_be(&before, "after the next call")?;
        nothing_is_lost(self.folder)
    }

    /// Makes the folder as it was, if the operation said that it changed it.
    fn undo(&self, made: bool) -> Outcome {
        match self.effect {
            Effect::Makes if made => std::fs::remove_file(format!("{}/new", self.folder))
                .map_err(|e| format!("what was made: {e}")),
            Effect::Removes if made => {
                if std::fs::exists(format!("{}/q", self.folder)).map_err(said)? {
                    return Err("what was removed is still there".into());
                }
                fill(self.folder).map_err(said)
            }
            _ => Ok(()),
        }
    }
}

/// The queue `q`, with three messages.
fn fill(folder: &str) -> Result<(), Refusal> {
    let queue = Queue::create(format!("{folder}/q"), &Options::new().capacity(4096))?;
    let mut tx = queue.producer()?;
    for i in 0..3_u64 {
        tx.try_send(&i.to_le_bytes())?;
    }
    Ok(())
}

fn nothing_is_lost(folder: &str) -> Outcome {
    let queue = Queue::open(format!("{folder}/q")).map_err(said)?;
    let mut rx = queue.consumer().map_err(said)?;
    for i in 0..3_u64 {
        let message = rx.try_recv().map_err(|e| format!("message {i}: {e}"))?;
        if message != i.to_le_bytes() {
            return Err(format!("message {i} is {message:?}"));
        }
    }
    match rx.try_recv() {
        Err(shmq::TryRecvError::Empty) => Ok(()),
        other => Err(format!("one too many: {other:?}")),
    }
}

/// A thread at the other end of a queue, which the parent does not trace.
struct Peer<R> {
    go: Arc<AtomicBool>,
    thread: JoinHandle<R>,
}

impl<R: Send + 'static> Peer<R> {
    /// `act` is called once the operation has begun, and gets its thread's id out by the channel.
    fn new(act: impl FnOnce(&dyn Fn()) -> R + Send + 'static) -> Self {
        let go = Arc::new(AtomicBool::new(false));
        let flag = go.clone();
        let wait = move || {
            while !flag.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        Self { go, thread: std::thread::spawn(move || act(&wait)) }
    }

    fn join(self) -> Result<R, String> {
        self.go.store(true, Ordering::Release);
        self.thread.join().map_err(|_| "the peer panicked".into())
    }
}

/// Waits until some other thread sleeps in one of these system calls.
fn until_asleep(calls: &[i64]) {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let sleeps = |tid: &str| {
        let call = std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).unwrap_or_default();
        calls.iter().any(|nr| call.starts_with(&format!("{nr} ")))
    };
    eventually("the peer sleeps", || {
        let threads = read_dir("/proc/self/task").expect("/proc").flatten();
        let mut names = threads.map(|e| e.file_name().to_string_lossy().into_owned());
        names.any(|tid| tid != own && sleeps(&tid))
    });
}

const HELLO: &[u8] = b"hello";

fn hello(message: Result<Vec<u8>, String>) -> Outcome {
    match message {
        Ok(message) if message == HELLO => Ok(()),
        other => Err(format!("the peer received {other:?}")),
    }
}

/// Sends to a receiver that sleeps in one of these calls.
fn send_to_a_sleeper(trial: &Trial<'_>, waiting: fn() -> Waiting, calls: &[i64]) -> Outcome {
    let prepare = || {
        let queue = Queue::anonymous(&Options::new().capacity(4096))?;
        let tx = queue.producer()?;
        let mut rx = queue.consumer()?;
        rx.set_waiting(waiting().across_restarts(true));
        let peer = Peer::new(move |_| rx.recv(LIMIT).map_err(said));
        until_asleep(calls);
        Ok((tx, peer))
    };
    trial.go(prepare, |(tx, _)| Ok(tx.send(HELLO, LIMIT)?), |(_tx, peer)| hello(peer.join()?))
}

/// Receives from a sender that lets it wait.
fn sleep_until_sent(trial: &Trial<'_>, waiting: fn() -> Waiting, delay: Duration, stop: bool) -> Outcome {
    let prepare = || {
        let queue = Queue::anonymous(&Options::new().capacity(4096))?;
        let mut tx = queue.producer()?;
        let mut rx = queue.consumer()?;
        rx.set_waiting(waiting().across_restarts(true));
        let handle = if stop { Some(StopHandle::new()?) } else { None };
        rx.set_stop(handle.as_ref());
        let peer = Peer::new(move |wait| {
            wait();
            std::thread::sleep(delay);
            tx.try_send(HELLO).map_err(said).map(|_| tx)
        });
        Ok((rx, peer, handle))
    };
    let run = |(rx, peer, _): &mut (shmq::Consumer, Peer<_>, _)| {
        peer.go.store(true, Ordering::Release);
        let message = rx.recv(LIMIT)?;
        assert_eq!(message, HELLO);
        Ok(())
    };
    trial.go(prepare, run, |(_rx, peer, _)| peer.join()?.map(drop))
}

/// Two ends of a queue, and a thread that sends to one of them when it is told to, and some time later.
type Awaited = (WaitSet, shmq::Consumer, Peer<Result<shmq::Producer, String>>);

fn awaited(waiting: fn() -> Waiting, delay: Duration) -> Result<Awaited, Refusal> {
    let queue = Queue::anonymous(&Options::new().capacity(4096))?;
    let (mut tx, rx) = (queue.producer()?, queue.consumer()?);
    let mut set = WaitSet::new()?;
    set.set_waiting(waiting());
    let peer = Peer::new(move |wait| {
        wait();
        std::thread::sleep(delay);
        tx.try_send(HELLO).map_err(said).map(|_| tx)
    });
    Ok((set, rx, peer))
}

fn must_be(events: &[Event], key: usize, what: What) -> Result<(), Refusal> {
    match events {
        [event] if (event.key, event.what) == (key, what) => Ok(()),
        other => Err(format!("the set tells of {other:?}").into()),
    }
}

/// Waits for an end of which the other one sends after a while.
fn set_sleeps(trial: &Trial<'_>, waiting: fn() -> Waiting, delay: Duration) -> Outcome {
    let run = |(set, rx, peer): &mut Awaited| {
        peer.go.store(true, Ordering::Release);
        let mut events = Vec::new();
        set.wait(&mut (&mut *rx,), &mut events, LIMIT)?;
        must_be(&events, 0, What::Ready)
    };
    let settle = |(_set, mut rx, peer): Awaited| {
        drop(peer.join()?);
        // Whatever the set said, the message is there.
        hello(rx.try_recv().map(|message| message.to_vec()).map_err(said))
    };
    trial.go(|| awaited(waiting, delay), run, settle)
}

/// Waits for a socket, a deadline and a pair between threads, one after the other.
fn set_of_others(trial: &Trial<'_>) -> Outcome {
    let prepare = || {
        let (tx, rx) = shmq::pair(&Options::new().capacity(4096))?;
        let (here, there) = UnixStream::pair()?;
        let mut set = WaitSet::new()?;
        set.set_waiting(Waiting::low_power());
        Ok((set, tx, rx, here, there))
    };
    type Others = (WaitSet, shmq::Producer, shmq::Consumer, UnixStream, UnixStream);
    let run = |(set, tx, rx, _, there): &mut Others| {
        let mut events = Vec::new();
        set.add_fd(1, &*there, Interest::Write)?;
        set.wait(&mut (&mut *rx,), &mut events, LIMIT)?;
        must_be(&events, 1, What::Descriptor { readable: false, writable: true })?;
        // It says whether it did.
        let _ = set.remove_fd(&*there);
        set.set_deadline(2, Some(Instant::now() + Duration::from_millis(5)));
        set.wait(&mut (&mut *rx,), &mut events, LIMIT)?;
        must_be(&events, 2, What::Deadline)?;
        set.poll(&mut (&mut *rx,), &mut events)?;
        if !events.is_empty() {
            return Err(format!("the set tells of {events:?}").into());
        }
        tx.try_send(HELLO)?;
        set.wait(&mut (&mut *rx,), &mut events, LIMIT)?;
        must_be(&events, 0, What::Ready)?;
        hello(rx.try_recv().map(|message| message.to_vec()).map_err(said)).map_err(Into::into)
    };
    trial.go(prepare, run, |_| Ok(()))
}

/// Awaits a message at a reactor that this thread turns.
fn awaits(trial: &Trial<'_>) -> Outcome {
    type Held = (shmq::Producer, Option<shmq::Consumer>);
    let prepare = || {
        let queue = Queue::anonymous(&Options::new().capacity(4096))?;
        Ok((queue.producer()?, Some(queue.consumer()?)))
    };
    let run = |(tx, rx): &mut Held| {
        let reactor = Reactor::new()?;
        let mut rx = Async::with_reactor(rx.take().ok_or("taken")?, &reactor)?;
        let mut task = pin!(rx.recv());
        let mut context = Context::from_waker(Waker::noop());
        if task.as_mut().poll(&mut context).is_ready() {
            return Err("nothing was sent".into());
        }
        tx.try_send(HELLO)?;
        let begin = Instant::now();
        while begin.elapsed() < LIMIT {
            reactor.turn()?;
            if let Poll::Ready(message) = task.as_mut().poll(&mut context) {
                return hello(message.map(|message| message.to_vec()).map_err(said)).map_err(Into::into);
            }
        }
        Err("it was never woken".into())
    };
    trial.go(prepare, run, |_| Ok(()))
}

/// Meets a truncated file, so that the handler has work to do.
fn truncated(trial: &Trial<'_>, folder: &str) -> Outcome {
    let path = &format!("{folder}/cut");
    let prepare = || {
        shmq::sigbus::install()?;
        let tx = Queue::create(path, &Options::new().capacity(4096))?.producer()?;
        let file = File::options().write(true).open(path)?;
        file.set_len(0)?;
        Ok(tx)
    };
    let run = |tx: &mut shmq::Producer| match tx.try_send(HELLO) {
        Err(TrySendError::Corrupt { what: Corruption::Truncated }) => Ok(()),
        other => Err(format!("a send into a truncated file: {other:?}").into()),
    };
    trial.go(prepare, run, |_tx| std::fs::remove_file(path).map_err(said))
}

/// Looks at all there is to be seen from outside.
fn look(it: &Inspector) -> Result<(), Refusal> {
    it.snapshot();
    it.process(Role::Producer);
    it.check();
    match it.pending().count() {
        3 => Ok(()),
        n => Err(format!("{n} messages of 3 are pending").into()),
    }
}

/// Faults in an operation, to be found.
fn planted(trial: &Trial<'_>, fault: &str, path: &str) -> Outcome {
    let run = |_: &mut ()| {
        let file = File::open(path)?;
        if let Err(e) = rustix::fs::fstatfs(&file) {
            match fault {
                "leaks" => std::mem::forget(file),
                "lies" => return Err("the queue is corrupt: a word of it; recreate it".into()),
                "panics" => panic!("planted"),
                _ => return Err("something failed".into()),
            }
            return Err(format!("cannot ask for the file system: {e}").into());
        }
        Ok(())
    };
    trial.go(|| Ok(()), run, |()| Ok(()))
}

pub fn errno(operation: &str, folder: &str) -> Outcome {
    // Whatever goes wrong, it ends.
    // SAFETY: a plain system call.
    unsafe { libc::alarm(30) };
    fill(folder).map_err(said)?;
    let effect = match operation.rsplit('.').next() {
        Some("create") => Effect::Makes,
        Some("remove") => Effect::Removes,
        _ => Effect::Nothing,
    };
    let trial = Trial { folder, effect };
    let (old, new) = (&format!("{folder}/q"), &format!("{folder}/new"));
    let small = &Options::new().capacity(4096);
    let nothing = || Ok(());
    fn over<S>(_: S) -> Outcome {
        Ok(())
    }
    let passed = || -> Result<Option<OwnedFd>, Refusal> {
        Ok(Some(Queue::anonymous(small)?.as_fd().try_clone_to_owned()?))
    };
    let opened = || Ok(Queue::open(old)?);
    let regions = &shmq_raw::Options::new().bytes(4096);
    let low = Waiting::low_power;
    match operation {
        "queue.create" => trial.go(nothing, |()| Ok(Queue::create(new, small)?), over),
        "ready.create" => {
            let ready = small.clone().prefault(true).lock(true).huge_pages(true);
            trial.go(nothing, |()| Ok(Queue::create(new, &ready)?), over)
        }
        "queue.open" => trial.go(nothing, |()| Ok(Queue::open(old)?), over),
        "open_or.create" => trial.go(nothing, |()| Ok(Queue::open_or_create(new, small)?), over),
        "queue.open_or_open" => trial.go(nothing, |()| Ok(Queue::open_or_create(old, small)?), over),
        "queue.anonymous" => trial.go(nothing, |()| Ok(Queue::anonymous(small)?), over),
        "queue.from_fd" => {
            trial.go(passed, |fd| Ok(Queue::from_fd(fd.take().ok_or("taken")?, &Options::new())?), over)
        }
        "queue.producer" => trial.go(opened, |queue| Ok(queue.producer()?), over),
        "queue.consumer" => trial.go(opened, |queue| Ok(queue.consumer()?), over),
        "ready.consumer" => {
            let ready = Options::new().prefault(true).lock(true).huge_pages(true);
            trial.go(|| Ok(Queue::open_with(old, &ready)?), |queue| Ok(queue.consumer()?), over)
        }
        "queue.inspect" => {
            let held = || {
                let queue = Queue::open(old)?;
                let tx = queue.producer()?;
                Ok((queue, tx))
            };
            trial.go(held, |(queue, _)| look(&queue.inspect()?), over)
        }
        "inspector.open" => trial.go(nothing, |()| look(&Inspector::open(old)?), over),
        "queue.remove" => {
            trial.go(|| Ok(Some(Queue::open(old)?)), |queue| Ok(queue.take().ok_or("taken")?.remove()?), over)
        }
        "producer.drop" => trial.go(
            || Ok(Some(Queue::open(old)?.producer()?)),
            |tx| {
                tx.take();
                Ok(())
            },
            over,
        ),
        "consumer.drop" => trial.go(
            || Ok(Some(Queue::open(old)?.consumer()?)),
            |rx| {
                rx.take();
                Ok(())
            },
            over,
        ),
        "producer.finish" => {
            let held = || Ok(Some(Queue::anonymous(small)?.producer()?));
            trial.go(held, |tx| Ok(tx.take().ok_or("taken")?.finish()?), over)
        }
        "producer.send_to_futex" => send_to_a_sleeper(&trial, Waiting::new, &[libc::SYS_futex]),
        "producer.send_to_deep" => send_to_a_sleeper(&trial, low, &[libc::SYS_poll, libc::SYS_ppoll]),
        "consumer.recv_futex" => sleep_until_sent(&trial, Waiting::new, Duration::from_millis(20), false),
        "consumer.recv_stoppable" => sleep_until_sent(&trial, Waiting::new, Duration::from_millis(20), true),
        "consumer.recv_deep" => sleep_until_sent(&trial, low, Duration::from_millis(150), false),
        "consumer.recv_deep_stoppable" => sleep_until_sent(&trial, low, Duration::from_millis(150), true),
        "set.new" => trial.go(nothing, |()| Ok(WaitSet::new()?), over),
        "set.drop" => {
            let armed = || {
                let queue = Queue::anonymous(small)?;
                let (tx, mut rx) = (queue.producer()?, queue.consumer()?);
                let (mut set, mut events) = (WaitSet::new()?, Vec::new());
                set.poll(&mut (&mut rx,), &mut events)?;
                Ok((Some(set), tx, rx))
            };
            let run = |(set, ..): &mut (Option<WaitSet>, _, _)| {
                set.take();
                Ok(())
            };
            trial.go(armed, run, over)
        }
        "set.sleep_on_bells" => set_sleeps(&trial, Waiting::new, Duration::from_millis(20)),
        "set.sleep" => set_sleeps(&trial, low, Duration::from_millis(200)),
        "set.others" => set_of_others(&trial),
        "async.recv" => awaits(&trial),
        "sigbus.handled" => truncated(&trial, folder),
        "stop.new" => trial.go(nothing, |()| Ok(StopHandle::new()?), over),
        "stop.trigger" => trial.go(
            || Ok(StopHandle::new()?),
            |stop| {
                stop.trigger();
                Ok(())
            },
            |stop| {
                if stop.is_triggered() { Ok(()) } else { Err("it is not triggered".into()) }
            },
        ),
        "sigbus.install" => trial.go(nothing, |()| Ok(shmq::sigbus::install()?), over),
        "pair.new" => trial.go(nothing, |()| Ok(shmq::pair(small)?), over),
        "slots.create" => {
            trial.go(nothing, |()| Ok(slots::Queue::<SlotMessage>::create(new, 16, &Options::new())?), over)
        }
        "slots.producer" => {
            let made = || Ok(slots::Queue::<SlotMessage>::anonymous(16, &Options::new())?);
            trial.go(made, |queue| Ok(queue.producer()?), over)
        }
        "pool.create" => trial.go(nothing, |()| Ok(Pool::create(new, 4, 1024, &pool_options())?), over),
        "pool.anonymous" => trial.go(nothing, |()| Ok(Pool::anonymous(4, 1024, &pool_options())?), over),
        "pool.open" => {
            let there = format!("{folder}/p");
            let made = || Ok(Pool::create(&there, 4, 1024, &pool_options())?);
            let gone = |_: Pool| std::fs::remove_file(&there).map_err(said);
            trial.go(made, |_| Ok(Pool::open(&there)?), gone)
        }
        "pool.from_fd" => {
            let passed =
                || Ok(Some(Pool::anonymous(4, 1024, &pool_options())?.as_fd().try_clone_to_owned()?));
            trial.go(passed, |fd| Ok(Pool::from_fd(fd.take().ok_or("taken")?, &pool_options())?), over)
        }
        "pool.writer" => trial.go(pool, |pool| Ok(pool.writer()?), over),
        "pool.reader" => trial.go(pool, |pool| Ok(pool.reader()?), over),
        "region.create" => trial.go(nothing, |()| Ok(Region::create(new, regions)?), over),
        "region.anonymous" => trial.go(nothing, |()| Ok(Region::anonymous(regions)?), over),
        "region.private" => trial.go(nothing, |()| Ok(Region::private(regions)?), over),
        "region.from_fd" => {
            let passed = || {
                let region = Region::anonymous(regions)?;
                Ok(Some(region.fd().ok_or("no descriptor")?.try_clone_to_owned()?))
            };
            trial.go(passed, |fd| Ok(Region::from_fd(fd.take().ok_or("taken")?, regions)?), over)
        }
        "region.open" | "region.open_read_only" => {
            let there = format!("{folder}/r");
            let made = || Ok(Region::create(&there, regions)?);
            let gone = |_: Region| std::fs::remove_file(&there).map_err(said);
            if operation.ends_with("only") {
                trial.go(made, |_| Ok(Region::open_read_only(&there, regions)?), gone)
            } else {
                trial.go(made, |_| Ok(Region::open(&there, regions)?), gone)
            }
        }
        "region.sync" => trial.go(|| Ok(Region::anonymous(regions)?), |region| Ok(region.sync()?), over),
        "region.writer" => {
            trial.go(|| Ok(Region::anonymous(regions)?), |region| Ok(region.writer::<u64>(0)?), over)
        }
        "named.writer" | "named.reader" => {
            let there = format!("{folder}/p");
            let made = || Ok(Pool::create(&there, 4, 1024, &pool_options())?);
            let gone = |_: Pool| std::fs::remove_file(&there).map_err(said);
            if operation.ends_with("writer") {
                trial.go(made, |pool| Ok(pool.writer()?), gone)
            } else {
                trial.go(made, |pool| Ok(pool.reader()?), gone)
            }
        }
        "named.cell" | "named.sync" => {
            let there = format!("{folder}/r");
            let made = || Ok(Region::create(&there, regions)?);
            let gone = |_: Region| std::fs::remove_file(&there).map_err(said);
            if operation.ends_with("cell") {
                trial.go(made, |region| Ok(region.writer::<u64>(0)?), gone)
            } else {
                trial.go(made, |region| Ok(region.sync()?), gone)
            }
        }
        fault => planted(&trial, fault, old),
    }
}

fn pool_options() -> shmq_pool::Options {
    shmq_pool::Options::new()
}

fn pool() -> Result<Pool, Refusal> {
    Ok(Pool::anonymous(4, 1024, &pool_options())?)
}
