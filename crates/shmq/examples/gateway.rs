//! A gateway in one thread: many queues in, one queue out, TCP connections, a timer, and an orderly end at SIGTERM.
//!
//! ```text
//! gateway PREFIX COUNT ADDRESS      the queues are PREFIX-0, PREFIX-1 and so on, and PREFIX-out
//! gateway                           shows itself, with twelve queues
//! ```
//!
//! What comes out of the queues is written to every connection, as lines of the queue, the sequence number and the message. Lines that
//! come in by a connection go to the queue out, and are answered: `ok 17` says that this connection's first 17 lines are there.
//!
//! * **Nothing is acknowledged before it was handed on.** A message stays in its queue until every connection's socket has
//!   it, and there was one. A line is answered when it is in the queue out. So a gateway that is killed loses nothing: its
//!   successor sends some messages again, and clients send again what was not answered. Without a kill everything comes exactly once.
//! * **Backpressure.** While the queue out is full no socket is read, so the clients' writes block. While a batch of a queue is not with
//!   every connection, that queue is not read, so its producer waits. A connection that has not taken a batch for two seconds is cut.
//! * **Fairness.** A turn takes a bounded batch from each queue and each connection.

use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::process::{Pid, Signal, kill_process};
use shmq::{
    Consumer, Event, Interest, Options, Producer, RecvError, StopHandle, TryRecvError, TrySendError, Until,
    WaitSet, WaitSetError, What, each,
};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Messages of one queue in a turn.
const BATCH: usize = 64;
/// Bytes of one connection in a turn.
const READ: usize = 16 << 10;
/// What the kernel may hold for a connection: little, so that a slow one is seen.
const SOCKET: usize = 64 << 10;
/// A connection that has not taken a batch for so long is cut.
const GRACE: Duration = Duration::from_secs(2);
/// After SIGTERM, for what was read already.
const DRAIN: Duration = Duration::from_secs(5);

/// Keys: queues have their positions, and these are behind them.
const OUT: usize = 1 << 20;
const LISTENER: usize = OUT + 1;
const TICK: usize = OUT + 2;
const FIRST_CONNECTION: usize = OUT + 3;

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args[..] {
        [prefix, count, address] => serve(prefix, count.parse()?, address),
        [] => show(),
        _ => Err("usage: gateway PREFIX COUNT ADDRESS".into()),
    }
}

/// Runs until SIGTERM.
pub fn serve(prefix: &str, count: usize, address: &str) -> Outcome {
    let stop = StopHandle::new()?;
    let handle = stop.clone();
    // SAFETY: to trigger is async-signal-safe.
    unsafe { signal_hook::low_level::register(libc::SIGTERM, move || handle.trigger())? };
    let mut gateway = Gateway::open(prefix, count, address, &stop)?;
    println!("{}", gateway.listener.local_addr()?);
    gateway.run(&stop)?;
    gateway.finish()
}

/// Lines for connections. Each connection that has not written them yet keeps a reference.
struct Batch {
    lines: Vec<u8>,
    made: Instant,
    /// At least one connection has written all of it.
    is_written: Cell<bool>,
}

impl Batch {
    fn new(lines: Vec<u8>) -> Rc<Self> {
        Rc::new(Self { lines, made: Instant::now(), is_written: Cell::new(false) })
    }
}

struct Inlet {
    rx: Consumer,
    /// Messages that connections have not all written yet, and how many they are. They are not acknowledged.
    under_way: Option<(Rc<Batch>, usize)>,
    is_over: bool,
}

struct Connection {
    socket: TcpStream,
    /// What was read and is not in the queue out yet.
    input: Vec<u8>,
    /// Lines in the queue out.
    handed_on: u64,
    output: VecDeque<Rc<Batch>>,
    /// Bytes of the first of them that the socket has.
    written: usize,
    /// Nothing more comes from it.
    is_closing: bool,
    is_broken: bool,
    interest: Option<Interest>,
}

impl Connection {
    fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        set_socket_send_buffer_size(&socket, SOCKET)?;
        Ok(Self {
            socket,
            input: Vec::new(),
            handed_on: 0,
            output: VecDeque::new(),
            written: 0,
            is_closing: false,
            is_broken: false,
            interest: None,
        })
    }

    /// Reads once.
    fn read(&mut self) {
        let mut bytes = [0; READ];
        match self.socket.read(&mut bytes) {
            Ok(0) => self.is_closing = true,
            Ok(n) => self.input.extend_from_slice(&bytes[..n]),
            Err(e) => self.is_broken |= is_failure(&e),
        }
    }

    /// Sends the lines that are whole; the length of the first one for which there is no room.
    fn hand_on(&mut self, out: &mut Producer, max: u64) -> Result<Option<usize>, TrySendError> {
        let (mut done, before) = (0, self.handed_on);
        let wanted = loop {
            let rest = &self.input[done..];
            let Some(len) = rest.iter().position(|&byte| byte == b'\n') else {
                self.is_broken |= rest.len() as u64 > max;
                break None;
            };
            match out.try_send(&rest[..len]) {
                Ok(_) => (done, self.handed_on) = (done + len + 1, self.handed_on + 1),
                Err(TrySendError::Full) => break Some(len),
                Err(TrySendError::TooLarge { .. }) => {
                    self.is_broken = true;
                    break None;
                }
                Err(broken) => return Err(broken),
            }
        };
        self.input.drain(..done);
        if self.handed_on > before {
            self.output.push_back(Batch::new(format!("ok {}\n", self.handed_on).into_bytes()));
        }
        Ok(wanted)
    }

    /// Writes what the socket takes.
    fn write(&mut self) {
        while let Some(batch) = self.output.front() {
            match self.socket.write(&batch.lines[self.written..]) {
                Ok(n) => self.written += n,
                Err(e) => {
                    self.is_broken |= is_failure(&e);
                    return;
                }
            }
            if self.written == batch.lines.len() {
                batch.is_written.set(true);
                self.output.pop_front();
                self.written = 0;
            }
        }
    }

    /// Whether it is to be kept. Late is who has not taken a batch although it was just asked to.
    fn is_open(&self, now: Instant) -> bool {
        let is_late =
            self.output.front().is_some_and(|batch| now.saturating_duration_since(batch.made) > GRACE);
        let is_done = self.is_closing && self.output.is_empty() && !self.input.contains(&b'\n');
        !self.is_broken && !is_late && !is_done
    }

    /// Watches the socket for what can be done with it now. Whoever does not read is not read either.
    fn watch(&mut self, set: &mut WaitSet, key: usize, may_read: bool) -> Result<(), WaitSetError> {
        let interest = if !self.output.is_empty() {
            Some(Interest::Write)
        } else {
            (may_read && !self.is_closing).then_some(Interest::Read)
        };
        if interest != self.interest {
            set.remove_fd(&self.socket);
            if let Some(interest) = interest {
                set.add_fd(key, &self.socket, interest)?;
            }
            self.interest = interest;
        }
        Ok(())
    }
}

fn is_failure(error: &io::Error) -> bool {
    !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

struct Gateway {
    set: WaitSet,
    queues: Vec<Inlet>,
    out: Producer,
    largest: u64,
    listener: TcpListener,
    connections: BTreeMap<usize, Connection>,
    next_key: usize,
    /// The queue out has no room for a line of so many bytes. No socket is read until it has.
    wanted: Option<usize>,
    is_stopping: bool,
    messages: u64,
}

impl Gateway {
    fn open(prefix: &str, count: usize, address: &str, stop: &StopHandle) -> Outcome<Self> {
        let options = Options::new();
        let queues = (0..count).map(|n| {
            let rx = Consumer::open_or_create(format!("{prefix}-{n}"), &options)?;
            Ok(Inlet { rx, under_way: None, is_over: false })
        });
        let queues = queues.collect::<Result<_, shmq::Error>>()?;
        let out = shmq::Queue::open_or_create(format!("{prefix}-out"), &options)?;
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let mut set = WaitSet::new()?;
        set.set_stop(stop);
        set.set_deadline(TICK, Some(Instant::now()));
        Ok(Self {
            set,
            queues,
            largest: out.limits().max_message,
            out: out.producer()?,
            listener,
            connections: BTreeMap::new(),
            next_key: FIRST_CONNECTION,
            wanted: None,
            is_stopping: false,
            messages: 0,
        })
    }

    fn run(&mut self, stop: &StopHandle) -> Outcome {
        let mut events = Vec::new();
        // A wait that finds something at once does not ask the handle.
        while !stop.is_triggered() {
            match self.wait(&mut events, Until::Forever) {
                Ok(()) => self.turn(&events)?,
                Err(WaitSetError::Stopped) => break,
                Err(broken) => return Err(broken.into()),
            }
        }
        Ok(())
    }

    /// Hands on what was read, and takes nothing new.
    fn finish(mut self) -> Outcome {
        let (mut events, end) = (Vec::new(), Instant::now() + DRAIN);
        self.is_stopping = true;
        self.set.set_stop(None);
        self.set.remove_fd(&self.listener);
        self.turn(&[])?;
        while self.wanted.is_some() || self.connections.values().any(|one| !one.output.is_empty()) {
            match self.wait(&mut events, end) {
                Ok(()) => self.turn(&events)?,
                Err(WaitSetError::TimedOut) => {
                    eprintln!("gateway: somebody did not take what was there in {DRAIN:?}");
                    break;
                }
                Err(broken) => return Err(broken.into()),
            }
        }
        self.out.finish()?;
        for connection in self.connections.values() {
            let _ = connection.socket.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// Waits for what can be handed on now: queues of which nothing is under way, if anybody is there to have it; room, if a line wants it.
    fn wait(&mut self, events: &mut Vec<Event>, until: impl Into<Until>) -> Result<(), WaitSetError> {
        let Self { set, queues, out, wanted, .. } = self;
        let is_heard = !self.is_stopping && self.connections.values().any(|one| !one.is_closing);
        let mut ends = each(|visit| {
            for (key, inlet) in queues.iter_mut().enumerate().filter(|_| is_heard) {
                if inlet.under_way.is_none() && !inlet.is_over {
                    visit(key, &mut inlet.rx);
                }
            }
            if let Some(len) = *wanted {
                visit(OUT, &mut out.room_for(len));
            }
        });
        set.wait(&mut ends, events, until)
    }

    fn turn(&mut self, events: &[Event]) -> Outcome {
        for event in events {
            match (event.key, event.what) {
                (TICK, _) => self.tick()?,
                (LISTENER, _) => self.accept(),
                (OUT, What::Ready) => self.wanted = None,
                (queue, What::Ready) => self.take(queue),
                (connection, What::Descriptor { readable: true, .. }) => self.read(connection)?,
                (_, What::Descriptor { .. }) => {} // it is written to below
                (OUT, what) => eprintln!("gateway: the queue out: {what:?}"),
                (queue, what) => eprintln!("gateway: queue {queue}: {what:?}"),
            }
        }
        for connection in self.connections.values_mut() {
            if self.wanted.is_none() {
                self.wanted = connection.hand_on(&mut self.out, self.largest)?;
            }
        }
        let (now, set) = (Instant::now(), &mut self.set);
        let may_read = self.wanted.is_none() && !self.is_stopping;
        self.connections.retain(|&key, one| {
            one.write();
            let stays = one.is_open(now) && one.watch(set, key, may_read).is_ok();
            if !stays {
                set.remove_fd(&one.socket);
            }
            stays
        });
        self.acknowledge();
        Ok(())
    }

    /// Looks at a batch of a queue and gives it to every connection.
    fn take(&mut self, queue: usize) {
        let inlet = &mut self.queues[queue];
        let (mut lines, mut messages) = (Vec::new(), 0);
        match inlet.rx.try_run(BATCH) {
            Ok(mut run) => {
                while let Some(message) = run.next() {
                    lines.extend_from_slice(format!("{queue} {} ", message.sequence()).as_bytes());
                    lines.extend_from_slice(&message.to_vec());
                    lines.push(b'\n');
                    messages += 1;
                }
            } // dropped, and not acknowledged
            Err(TryRecvError::Empty) => return,
            Err(over) => {
                eprintln!("gateway: queue {queue}: {over}");
                inlet.is_over = true;
                return;
            }
        }
        let batch = Batch::new(lines);
        for connection in self.connections.values_mut().filter(|one| !one.is_closing) {
            connection.output.push_back(batch.clone());
        }
        inlet.under_way = Some((batch, messages));
    }

    /// Acknowledges what every connection has. What none of them has is looked at once more when there is another.
    fn acknowledge(&mut self) {
        for inlet in &mut self.queues {
            let Some((batch, messages)) = inlet.under_way.take_if(|(batch, _)| Rc::strong_count(batch) == 1)
            else {
                continue;
            };
            if batch.is_written.get() {
                match inlet.rx.try_drain(messages, |_| {}) {
                    Ok(taken) => self.messages += taken as u64,
                    Err(_) => inlet.is_over = true,
                }
            }
        }
    }

    fn read(&mut self, key: usize) -> Outcome {
        if let Some(connection) = self.connections.get_mut(&key) {
            // Another line may have filled the queue out in this very turn.
            if self.wanted.is_none() && connection.interest == Some(Interest::Read) {
                connection.read();
                self.wanted = connection.hand_on(&mut self.out, self.largest)?;
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept().and_then(|(socket, _)| Connection::new(socket)) {
                Ok(connection) => {
                    self.connections.insert(self.next_key, connection);
                    self.next_key += 1;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => {
                    // Too many open files, say. The next tick tries again.
                    eprintln!("gateway: {e}");
                    self.set.remove_fd(&self.listener);
                    return;
                }
            }
        }
    }

    fn tick(&mut self) -> Outcome {
        let lines: u64 = self.connections.values().map(|one| one.handed_on).sum();
        let waiting = if self.wanted.is_some() { ", the queue out is full" } else { "" };
        eprintln!(
            "gateway: {} messages out, {lines} lines in by {} connections{waiting}",
            self.messages,
            self.connections.len()
        );
        self.set.set_deadline(TICK, Some(Instant::now() + Duration::from_secs(1)));
        if !self.is_stopping {
            self.set.remove_fd(&self.listener);
            self.set.add_fd(LISTENER, &self.listener, Interest::Read)?;
        }
        Ok(())
    }
}

/// Ends with whoever made it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A gateway as another process, twelve threads that send, one that receives, and a client.
fn show() -> Outcome {
    const QUEUES: usize = 12;
    const EACH: usize = 1000;
    let prefix = format!("shmq-example-gateway-{}", std::process::id());
    let mut command = Command::new(std::env::current_exe()?);
    command.args([&prefix, &QUEUES.to_string(), "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut gateway = Process(command.spawn()?);
    let mut address = String::new();
    BufReader::new(gateway.0.stdout.take().ok_or("no output")?).read_line(&mut address)?;

    let senders = (0..QUEUES).map(|n| {
        let name = format!("{prefix}-{n}");
        thread::spawn(move || -> Result<(), shmq::Error> {
            let mut tx = Producer::open_or_create(name, &Options::new())?;
            for i in 0..EACH {
                tx.send(format!("message {i}").as_bytes(), Until::Forever)?;
            }
            tx.finish()?;
            Ok(())
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut rx = Consumer::open_or_create(format!("{prefix}-out"), &Options::new())?;
    let receiver = thread::spawn(move || {
        let mut lines = 0;
        loop {
            match rx.recv(Until::Forever) {
                Ok(_) => lines += 1,
                Err(RecvError::Finished) => return Ok(lines),
                Err(gone) => return Err(gone),
            }
        }
    });

    let client = TcpStream::connect(address.trim())?;
    let mut upstream = client.try_clone()?;
    let writer = thread::spawn(move || (0..EACH).try_for_each(|i| writeln!(upstream, "line {i}")));
    let (mut messages, mut answered) = (0, 0);
    for line in BufReader::new(client).lines() {
        match line?.strip_prefix("ok ") {
            Some(count) => answered = count.parse()?,
            None => messages += 1,
        }
        if (messages, answered) == (QUEUES * EACH, EACH) {
            break;
        }
    }
    kill_process(Pid::from_child(&gateway.0), Signal::TERM)?;
    let status = gateway.0.wait()?;
    for sender in senders {
        sender.join().map_err(|_| "a sender panicked")??;
    }
    writer.join().map_err(|_| "the writer panicked")??;
    let lines = receiver.join().map_err(|_| "the receiver panicked")??;
    assert!(status.success() && lines == EACH);
    println!("{messages} messages of {QUEUES} queues came by TCP, and {lines} lines by the queue out");
    for n in 0..QUEUES {
        shmq::Queue::open(format!("{prefix}-{n}"))?.remove()?;
    }
    shmq::Queue::open(format!("{prefix}-out"))?.remove()?;
    Ok(())
}
