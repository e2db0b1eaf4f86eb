//! Real processes for tests: unique names that clean up after themselves, children with a line protocol and hard time
//! limits, a few shared words that survive a SIGKILL, and a mapping that kills its own process at a chosen store.

pub mod cases;
pub mod going;
pub mod limits;
pub mod opener;
mod rigged;
pub mod storm;

pub use rigged::Rigged;

use memmap2::MmapOptions;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use shmq_core::{Map, Memory, Order, Site, layout};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::{Duration, Instant};

/// Nothing here waits longer than this.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A deterministic source of numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "an endless source, not an iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// What message number `i` contains: every eighth is empty, the rest have up to `max` bytes, all different.
pub fn content(i: u64, max: usize, into: &mut Vec<u8>) {
    let mut dice = Dice(i.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
    let len = if i % 8 == 7 { 0 } else { dice.below(max as u64 + 1) as usize };
    into.clear();
    while into.len() < len {
        into.extend_from_slice(&dice.next().to_le_bytes());
    }
    into.truncate(len);
}

/// A message of the tests with fixed-size messages.
pub type SlotMessage = [u64; 2];

/// Messages of a batch in those tests: more than a line takes.
pub const SLOTS_BATCH: u64 = 5;

/// What message number `i` is there.
pub fn slot_content(i: u64) -> SlotMessage {
    let mut dice = Dice(i.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x510f);
    std::array::from_fn(|_| dice.next())
}

/// Bytes of the raw block in the tests of regions.
pub const REGION_BLOCK: usize = 256 << 10;
/// What is sent as block number `i`, of at most `size` bytes: every eighth is empty.
pub fn block_content(i: u64, size: usize) -> Vec<u8> {
    let mut dice = Dice(i.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0xb10c);
    let len = if i % 8 == 7 { 0 } else { dice.below(size as u64 + 1) as usize };
    (0..len.div_ceil(8)).flat_map(|_| dice.next().to_le_bytes()).take(len).collect()
}

/// A unique name, and the removal of whatever came to be there.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A name in /dev/shm that nobody else uses.
    pub fn new(label: &str) -> Self {
        let mut unique = [0; 8];
        rustix::rand::getrandom(&mut unique[..], rustix::rand::GetRandomFlags::empty()).expect("randomness");
        let unique = u64::from_le_bytes(unique);
        Self { path: format!("/dev/shm/shmq-test-{label}-{}-{unique:016x}", std::process::id()).into() }
    }

    /// A name on a file system that outlives a start of the machine, if this one has a usable one.
    pub fn on_disk(label: &str) -> Option<Self> {
        let build = std::env::current_exe().ok()?;
        let at = build.parent()?;
        let file = File::open(at).ok()?;
        let usable = shmq_core::segment::is_durable(&file);
        let name = Self::new(label).path.file_name()?.to_owned();
        usable.then(|| Self { path: at.join(name) })
    }

    /// An empty directory of that name.
    pub fn directory(label: &str) -> Self {
        let this = Self::new(label);
        std::fs::create_dir(&this.path).expect("make a directory");
        this
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path as text, as queue names and arguments want it.
    pub fn name(&self) -> &str {
        self.path.to_str().expect("plain ASCII")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let is_directory = std::fs::symlink_metadata(&self.path).is_ok_and(|m| m.is_dir());
        let _ =
            if is_directory { std::fs::remove_dir_all(&self.path) } else { std::fs::remove_file(&self.path) };
    }
}

/// A child process that cannot outlive the test: it dies with the thread that made it, and with this value.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Child {
    /// Starts the helper binary (`env!("CARGO_BIN_EXE_shmq-test-child")`) with a script and its arguments.
    pub fn spawn(helper: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(helper);
        // It sees to its own end. So nothing has to run between fork and exec, and what forks of a process with an end do is left to
        // the tests that want it.
        command.args(arguments).env(PARENT, std::process::id().to_string());
        Self::of(command)
    }

    /// Starts any command.
    pub fn start(mut command: Command) -> Self {
        let parent = std::process::id();
        // SAFETY: `die_with_parent` makes two system calls, nothing else.
        unsafe { command.pre_exec(move || die_with_parent(parent)) };
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("start a child");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Self { input: process.stdin.take(), process, lines }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a line.
    pub fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().expect("open"), "{line}").expect("the child listens");
    }

    /// Its next line; `None` when it is gone.
    pub fn try_line(&self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the child said nothing for {LIMIT:?}"),
        }
    }

    /// Its next line, if it has said one already.
    pub fn said(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// Its next line.
    pub fn line(&self) -> String {
        self.try_line().expect("the child ended without a word")
    }

    /// Its next line must be this.
    #[track_caller]
    pub fn expect(&self, line: &str) {
        assert_eq!(self.try_line().as_deref(), Some(line));
    }

    /// Sends it a line; this must be its answer.
    #[track_caller]
    pub fn ask(&mut self, line: &str, answer: &str) {
        self.say(line);
        self.expect(answer);
    }

    /// Its next line if it has said one already; [`TryRecvError::Disconnected`] if it has ended and said no more.
    ///
    /// # Errors
    /// If there is none.
    pub fn heard(&self) -> Result<String, TryRecvError> {
        self.lines.try_recv()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the process is ours and not yet waited for, so the number is still its own.
        assert_eq!(unsafe { libc::kill(self.process.id() as libc::pid_t, signal) }, 0);
    }

    /// Stops it, and returns when it has stopped. It must not have ended by itself: what the test has set up says so.
    #[track_caller]
    pub fn stop(&self) {
        self.signal(libc::SIGSTOP);
        let begin = Instant::now();
        let state = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
            stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next())
        };
        while state() != Some('T') {
            assert!(state() != Some('Z'), "the child ended before it could be stopped");
            assert!(begin.elapsed() < LIMIT, "the child does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills it with SIGKILL, waits until it is gone, and returns what it had still said.
    pub fn kill(mut self) -> Vec<String> {
        let _ = self.process.kill();
        self.process.wait().expect("wait for a child");
        self.lines.iter().collect()
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> ExitStatus {
        self.input = None;
        let begin = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("wait for a child") {
                return status;
            }
            assert!(begin.elapsed() < LIMIT, "the child does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until it ends, which must be in order.
    #[track_caller]
    pub fn succeed(self) {
        let status = self.wait();
        assert!(status.success(), "the child ended with {status}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whose child the helper is.
const PARENT: &str = "SHMQ_TEST_PARENT";

/// What the helper does first.
pub fn die_with_test() -> std::io::Result<()> {
    match std::env::var(PARENT) {
        Ok(parent) => die_with_parent(parent.parse().map_err(std::io::Error::other)?),
        Err(_) => Ok(()),
    }
}

/// To be called in the child: it gets SIGKILL when its parent goes.
fn die_with_parent(parent: u32) -> std::io::Result<()> {
    // SAFETY: a plain system call.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // The parent may have died before the call.
    // SAFETY: as above.
    if unsafe { libc::getppid() } as u32 != parent {
        return Err(std::io::Error::other("the parent is gone"));
    }
    Ok(())
}

/// How often a thread has gone to sleep.
pub fn switches(thread: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

/// Polls until `done`, at most [`LIMIT`].
#[track_caller]
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < LIMIT, "it never came to this: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Takes a role again that this process has just given up. While another thread of it starts a child, a copy of the
/// description may live in that child between its fork and its exec, and hold the lock for that long.
pub fn patiently<R>(mut take: impl FnMut() -> Result<R, shmq::AttachError>) -> Result<R, shmq::AttachError> {
    let begin = Instant::now();
    loop {
        match take() {
            Err(shmq::AttachError::Busy { pid, .. })
                if pid == std::process::id().into() && begin.elapsed() < LIMIT =>
            {
                std::thread::sleep(Duration::from_micros(100));
            }
            done => return done,
        }
    }
}

fn map_file(file: &File, length: usize) -> Map {
    let own = file.try_clone().expect("one more descriptor");
    let raw = MmapOptions::new().len(length).map_raw(file).expect("map a test file");
    Map::new(raw).of_file(&Arc::new(own.into()))
}

/// Maps a whole queue file without taking a role: what a program with a bug, or a hostile one, has.
pub fn map_queue(path: &Path) -> (Map, shmq_core::Geometry) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("open the queue file");
    let header = std::fs::read(path).expect("read the queue file");
    let geometry = shmq_core::Geometry::parse(&header, header.len() as u64).expect("a queue");
    (map_file(&file, header.len()), geometry)
}

/// Locks the first byte of a role's page on a description of its own, as taking the role begins; `false`: it is held.
pub fn lock_role(file: &File, role: shmq::Role) -> bool {
    // SAFETY: `flock` is plain data, for which zero is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    (lock.l_type, lock.l_whence) = (libc::F_WRLCK as i16, libc::SEEK_SET as i16);
    let page = layout::Parts::standard(layout::MIN_CAPACITY).page(role);
    (lock.l_start, lock.l_len) = (page as i64, 1);
    // SAFETY: the descriptor is open and the argument valid.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &mut lock) == 0 }
}

const WITNESS: Site = Site { label: "WITNESS", order: Order::Release };
const WITNESS_FENCE: Site = Site { label: "WITNESS_FENCE", order: Order::SeqCst };

/// What the words of a witness mean in the tests that stream.
pub mod word {
    /// Messages whose sending returned.
    pub const SENT: usize = 0;
    /// Messages that the consumer has noted.
    pub const TAKEN: usize = 1;
    /// Where the drain that is going on began.
    pub const RUN: usize = 2;
    /// Not zero: finish now.
    pub const STOP: usize = 3;
    /// Messages seen a second time.
    pub const AGAIN: usize = 4;
    /// Largest message of this stream.
    pub const MAX_MESSAGE: usize = 5;
    /// Messages that share a commit word.
    pub const GROUP: usize = 6;
    /// Takeovers by a producer in the middle of such a group.
    pub const MID_LINE: usize = 7;
}

/// A few words in a file that all processes of a test share. A SIGKILL leaves what was stored.
#[derive(Debug)]
pub struct Witness {
    map: Map,
}

impl Witness {
    const WORDS: usize = 64;

    /// Makes it.
    pub fn create(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).expect("witness");
        file.set_len(8 * Self::WORDS as u64).expect("witness");
        Self { map: map_file(&file, 8 * Self::WORDS) }
    }

    /// Opens it in another process.
    pub fn open(path: impl AsRef<Path>) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(path).expect("witness");
        Self { map: map_file(&file, 8 * Self::WORDS) }
    }

    /// Word `i`.
    pub fn get(&self, i: usize) -> u64 {
        assert!(i < Self::WORDS);
        // SAFETY: aligned and inside.
        unsafe { self.map.load(8 * i, WITNESS) }
    }

    /// Sets word `i`. In a crash, it is there if and only if everything stored before is.
    pub fn set(&self, i: usize, value: u64) {
        assert!(i < Self::WORDS);
        // SAFETY: aligned and inside.
        unsafe { self.map.store(8 * i, value, WITNESS) }
        self.map.fence(WITNESS_FENCE);
    }

    /// Waits until word `i` is at least `value`, spinning politely.
    pub fn reach(&self, i: usize, value: u64) {
        let begin = Instant::now();
        let mut turns = 0u32;
        while self.get(i) < value {
            turns += 1;
            if turns.is_multiple_of(64) {
                std::thread::yield_now();
                assert!(begin.elapsed() < LIMIT, "the other process never came to word {i} = {value}");
            }
        }
    }
}

/// Sends a descriptor over a Unix socket (SCM_RIGHTS).
pub fn send_descriptor(socket: impl AsFd, fd: BorrowedFd<'_>) -> Result<(), String> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(socket, &[IoSlice::new(b"q")], &mut control, SendFlags::empty()).map_err(|e| e.to_string())?;
    Ok(())
}

/// Receives one.
pub fn receive_descriptor(socket: impl AsFd) -> Result<OwnedFd, String> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)
        .map_err(|e| e.to_string())?;
    let mut fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    fds.next().and_then(|mut fds| fds.next()).ok_or_else(|| "no descriptor came".into())
}
