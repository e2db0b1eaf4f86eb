//! P8: every system call may fail.
//!
//! A child runs one operation of the library under ptrace, once as it is, and then once for each system call that it was
//! seen to make and each error that this call documents; the call is then not made, and fails. Whatever comes of it: an
//! error that names its cause, or none because the library does without. Nothing is lost (a queue with three messages),
//! nothing is left behind (descriptors, mappings, files), and the same operation then works (the child's `errno.rs`).
//! `--nocapture` prints the table. On x86-64 only: other machines have other registers, and emulators no ptrace.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::disallowed_types, reason = "a counter of this process, not shared bytes")]

use libc::*;
use shmq_tests::process::{Child, Scratch};
use std::collections::{BTreeMap, HashMap};
use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

/// Errors of system calls, from their manual pages; and EPERM or ENOSYS where a sandbox or an old kernel says so.
const TABLE: &[(c_long, &str, &[c_int])] = &[
    (
        SYS_openat,
        "openat",
        &[EACCES, EINTR, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, EPERM, EROFS, EOPNOTSUPP],
    ),
    (SYS_open, "open", &[EACCES, EINTR, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, EPERM, EROFS, EOPNOTSUPP]),
    (SYS_stat, "stat", &[EACCES, EIO, ENOENT, ENOMEM]),
    (SYS_lstat, "lstat", &[EACCES, EIO, ENOENT, ENOMEM]),
    (SYS_link, "link", &[EACCES, EDQUOT, EEXIST, EIO, ENOENT, ENOMEM, ENOSPC, EPERM, EROFS]),
    (SYS_close, "close", &[EINTR, EIO]),
    (SYS_fstat, "fstat", &[EIO, ENOMEM]),
    (SYS_newfstatat, "newfstatat", &[EACCES, EIO, ENOENT, ENOMEM]),
    (SYS_statx, "statx", &[EACCES, EIO, ENOMEM, ENOSYS]),
    (SYS_fstatfs, "fstatfs", &[EINTR, EIO, ENOMEM, ENOSYS]),
    (SYS_fallocate, "fallocate", &[EINTR, EFBIG, EIO, ENOSPC, ENOSYS, EOPNOTSUPP, EPERM]),
    (SYS_ftruncate, "ftruncate", &[EINTR, EFBIG, EIO, EPERM]),
    (SYS_fchmod, "fchmod", &[EIO, ENOMEM, EPERM, EROFS]),
    (SYS_linkat, "linkat", &[EACCES, EDQUOT, EEXIST, EINTR, EIO, ENOENT, ENOMEM, ENOSPC, EPERM, EROFS]),
    (SYS_unlink, "unlink", &[EACCES, EBUSY, EIO, ENOENT, ENOMEM, EPERM, EROFS]),
    (SYS_unlinkat, "unlinkat", &[EACCES, EBUSY, EIO, ENOENT, ENOMEM, EPERM, EROFS]),
    (SYS_readlink, "readlink", &[EACCES, EIO, ENOENT, ENOMEM]),
    (SYS_getdents64, "getdents64", &[ENOENT, EIO]),
    (SYS_lseek, "lseek", &[ESPIPE]),
    (SYS_read, "read", &[EAGAIN, EINTR, EIO]),
    (SYS_pread64, "pread64", &[EINTR, EIO]),
    (SYS_write, "write", &[EAGAIN, EINTR, EIO, ENOSPC]),
    (SYS_pwrite64, "pwrite64", &[EDQUOT, EINTR, EIO, ENOSPC]),
    (SYS_mmap, "mmap", &[EACCES, EAGAIN, ENFILE, ENODEV, ENOMEM, EPERM]),
    (SYS_madvise, "madvise", &[EACCES, EAGAIN, EFAULT, EINVAL, EIO, ENOMEM, EPERM]),
    (SYS_mlock, "mlock", &[EAGAIN, ENOMEM, EPERM]),
    (SYS_mlock2, "mlock2", &[EAGAIN, ENOMEM, ENOSYS, EPERM]),
    (SYS_msync, "msync", &[EBUSY, EIO, ENOMEM]),
    (SYS_fsync, "fsync", &[EDQUOT, EINTR, EIO, ENOSPC]),
    (SYS_fdatasync, "fdatasync", &[EDQUOT, EINTR, EIO, ENOSPC]),
    (SYS_fcntl, "fcntl", &[EACCES, EAGAIN, EINTR, EINVAL, ENOLCK, EPERM]),
    (SYS_memfd_create, "memfd_create", &[EINVAL, EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM]),
    (SYS_eventfd2, "eventfd2", &[EMFILE, ENFILE, ENODEV, ENOMEM]),
    (SYS_getrandom, "getrandom", &[EAGAIN, EINTR, ENOSYS]),
    (SYS_futex, "futex", &[EAGAIN, EINTR, ENOSYS, EPERM, ETIMEDOUT]),
    (SYS_futex_waitv, "futex_waitv", &[EAGAIN, EINTR, EINVAL, ENOSYS, EPERM, ETIMEDOUT]),
    (SYS_membarrier, "membarrier", &[EINVAL, ENOSYS, EPERM]),
    (SYS_inotify_init1, "inotify_init1", &[EMFILE, ENFILE, ENOMEM, ENOSYS]),
    (SYS_inotify_add_watch, "inotify_add_watch", &[EACCES, ENOENT, ENOMEM, ENOSPC]),
    (SYS_inotify_rm_watch, "inotify_rm_watch", &[EINVAL]),
    (SYS_epoll_create1, "epoll_create1", &[EMFILE, ENFILE, ENOMEM]),
    (SYS_epoll_ctl, "epoll_ctl", &[ENOENT, ENOMEM, ENOSPC, EPERM]),
    (SYS_epoll_wait, "epoll_wait", &[EINTR]),
    (SYS_epoll_pwait, "epoll_pwait", &[EINTR]),
    (SYS_epoll_pwait2, "epoll_pwait2", &[EINTR, ENOSYS]),
    (SYS_timerfd_create, "timerfd_create", &[EMFILE, ENFILE, ENODEV, ENOMEM]),
    (SYS_poll, "poll", &[EINTR, EINVAL, ENOMEM]),
    (SYS_ppoll, "ppoll", &[EINTR, EINVAL, ENOMEM]),
    (SYS_rt_sigaction, "rt_sigaction", &[EINVAL, EPERM]),
    (SYS_prctl, "prctl", &[EINVAL, EPERM]),
    (SYS_prlimit64, "prlimit64", &[EPERM, ENOSYS]),
    (SYS_sched_getaffinity, "sched_getaffinity", &[EINVAL, ENOSYS, EPERM]),
    (SYS_clock_nanosleep, "clock_nanosleep", &[EINTR]),
];

/// Those that are not made to fail, and why.
const NEVER: &[(c_long, &str)] = &[
    (SYS_munmap, "wants memory only to split a mapping, and the library unmaps whole ones"),
    (SYS_timerfd_settime, "all that it documents is a wrong argument"),
    (SYS_getpid, "documents no error"),
    (SYS_gettid, "documents no error"),
    (SYS_getuid, "documents no error"),
    (SYS_geteuid, "documents no error"),
    (SYS_sched_yield, "documents no error on Linux"),
    (SYS_clock_gettime, "documents wrong clocks alone; and the kernel is seldom asked for it"),
    (SYS_restart_syscall, "the kernel's own"),
    (SYS_rt_sigprocmask, "of the marks of the test, and of threads: documents wrong arguments alone"),
    (SYS_rt_sigreturn, "back from the handler: documents no error"),
    (SYS_tgkill, "of a panic, and of the marks of the test"),
    (SYS_sched_getscheduler, "of the standard library, for a new thread"),
    (SYS_brk, "the allocator's: a program without memory is ended by it"),
    (SYS_mremap, "the allocator's, likewise"),
    (SYS_mprotect, "the allocator's, likewise"),
];

/// What a text claims, and the errors of which that is true. (EFAULT is what populating says where there is no room.)
const CLAIMS: &[(&str, &[c_int])] = &[
    ("is corrupt", &[]),
    ("is not a queue", &[]),
    ("truncated", &[]),
    ("Bad address", &[EFAULT]),
    ("a living process", &[EAGAIN, EACCES]),
    ("removed or replaced", &[ENOENT]),
    ("there is no queue at", &[ENOENT]),
    ("there is no folder", &[ENOENT]),
    ("not sealed", &[EINVAL]),
    ("exists already", &[EEXIST]),
    ("no room", &[ENOSPC, EDQUOT, ENOMEM, EFBIG, EFAULT]),
    ("no memory", &[ENOMEM, EFAULT, ENOSPC]),
    ("not allowed to", &[EACCES, EPERM]),
    ("read-only", &[EROFS]),
    ("RLIMIT_MEMLOCK", &[EAGAIN, ENOMEM, EPERM, ENOSYS]),
    ("RLIMIT_FSIZE", &[]),
    ("keep a lock on the file system", &[]),
    ("/proc is not mounted", &[ENOENT]),
];

const OPERATIONS: &[&str] = &[
    "queue.create",
    "ready.create",
    "queue.open",
    "open_or.create",
    "queue.open_or_open",
    "queue.anonymous",
    "queue.from_fd",
    "queue.producer",
    "queue.consumer",
    "ready.consumer",
    "queue.inspect",
    "inspector.open",
    "queue.remove",
    "producer.drop",
    "consumer.drop",
    "producer.finish",
    "producer.send_to_futex",
    "producer.send_to_deep",
    "consumer.recv_futex",
    "consumer.recv_stoppable",
    "consumer.recv_deep",
    "consumer.recv_deep_stoppable",
    "set.new",
    "set.drop",
    "set.sleep_on_bells",
    "set.sleep",
    "set.others",
    "async.recv",
    TRUNCATES,
    "stop.new",
    "stop.trigger",
    "sigbus.install",
    "pair.new",
    "slots.create",
    "slots.producer",
    "pool.create",
    "pool.anonymous",
    "pool.from_fd",
    "pool.writer",
    "pool.reader",
    "region.create",
    "region.anonymous",
    "region.private",
    "region.open",
    "region.open_read_only",
    "pool.open",
    "region.from_fd",
    "region.sync",
    "region.writer",
    "named.writer",
    "named.reader",
    "named.cell",
    "named.sync",
];

/// Those of a file that has a name: whatever is refused of it, the text says of which. (The folder's name begins so.)
fn is_of_a_file(operation: &str) -> bool {
    const OF_A_FILE: &[&str] = &[
        "queue.open",
        "queue.open_or_open",
        "queue.producer",
        "queue.consumer",
        "queue.inspect",
        "queue.remove",
        "ready.consumer",
        "inspector.open",
        "pool.open",
        "region.open",
        "region.open_read_only",
        "named.writer",
        "named.reader",
        "named.cell",
        "named.sync",
    ];
    operation.ends_with(".create") || OF_A_FILE.contains(&operation)
}

/// A call that is to fail: which one, the how many-th of its kind, and how.
#[derive(Clone, Copy, Debug)]
struct Failing {
    call: c_long,
    nth: usize,
    errno: c_int,
}

impl std::fmt::Display for Failing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = TABLE.iter().find(|(call, ..)| *call == self.call).map_or("?", |(_, name, _)| name);
        let errno = std::io::Error::from_raw_os_error(self.errno);
        write!(f, "{name} {}: {errno}", self.nth + 1)
    }
}

/// What the folder of a run is called, more or less.
const FOLDER: &str = "errno";

/// What came of a run.
#[derive(Debug, Default)]
struct Run {
    /// How often each call was made.
    calls: BTreeMap<c_long, usize>,
    failed: bool,
    /// `None`: it was done.
    refusal: Option<String>,
    violation: Option<String>,
}

fn ptrace_call(request: c_uint, child: &Child, data: *mut c_void) {
    // SAFETY: the child is traced by this thread, and `data` is what the request asks for.
    let done = unsafe { ptrace(request, child.id() as pid_t, std::ptr::null_mut::<c_void>(), data) };
    assert_eq!(done, 0, "ptrace: {}", std::io::Error::last_os_error());
}

fn registers(child: &Child) -> user_regs_struct {
    // SAFETY: plain numbers, for which zero is a value.
    let mut registers: user_regs_struct = unsafe { std::mem::zeroed() };
    ptrace_call(PTRACE_GETREGS, child, (&raw mut registers).cast());
    registers
}

/// Waits for the next stop: its signal, or the status with which it ended.
fn stop(child: &Child) -> Result<c_int, String> {
    let mut status = 0;
    // SAFETY: the argument is valid; the child is ours.
    let pid = unsafe { waitpid(child.id() as pid_t, &mut status, __WALL) };
    assert!(pid > 0, "waitpid: {}", std::io::Error::last_os_error());
    if WIFSTOPPED(status) { Ok(WSTOPSIG(status)) } else { Err(died_of(status)) }
}

/// Of a signal, or with what else `waitpid` says.
fn died_of(status: c_int) -> String {
    format!("it ended with status {status:#x}")
}

/// Memory of the allocator or of a new thread, whose lack is not the library's to answer. The page by which a process
/// knows itself has this length; and what is put in the place of something else is no ordinary memory.
fn is_ordinary_memory(registers: &user_regs_struct) -> bool {
    let is_fixed = registers.r10 as c_int & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0;
    let is_anonymous = registers.orig_rax as c_long == SYS_mmap && registers.r8 as c_int == -1;
    is_anonymous && registers.rsi != 4096 && !is_fixed
}

/// The operation in which the file of a queue is truncated.
const TRUNCATES: &str = "sigbus.handled";

/// Runs the operation in a child; one call fails.
fn run(operation: &str, failing: Option<Failing>) -> Run {
    let folder = Scratch::directory(FOLDER);
    let child = Child::spawn(HELPER, &["errno", operation, folder.name()]);
    let mut outcome = Run::default();
    match stop(&child) {
        Ok(SIGSTOP) => {}
        other => panic!(
            "{operation} did not begin: {other:?}, {:?}; is ptrace forbidden (kernel.yama.ptrace_scope, seccomp)?",
            child.said()
        ),
    }
    let options = (PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) as usize;
    ptrace_call(PTRACE_SETOPTIONS, &child, std::ptr::without_provenance_mut(options));
    let (mut inside, mut now) = (false, false);
    let mut pass_on = 0;
    loop {
        ptrace_call(PTRACE_SYSCALL, &child, std::ptr::without_provenance_mut(std::mem::take(&mut pass_on)));
        match stop(&child) {
            Ok(signal) if signal == SIGTRAP | 0x80 => {
                inside = !inside;
                let mut registers = registers(&child);
                let call = registers.orig_rax as c_long;
                if inside && !is_ordinary_memory(&registers) {
                    let nth = outcome.calls.entry(call).or_default();
                    now = failing.is_some_and(|failing| (failing.call, failing.nth) == (call, *nth));
                    *nth += 1;
                    // Even if it fails, the descriptor is closed: close(2).
                    if now && call != SYS_close {
                        registers.orig_rax = u64::MAX;
                        ptrace_call(PTRACE_SETREGS, &child, (&raw mut registers).cast());
                    }
                } else if !inside && std::mem::take(&mut now) {
                    registers.rax = -i64::from(failing.map_or(0, |failing| failing.errno)) as u64;
                    ptrace_call(PTRACE_SETREGS, &child, (&raw mut registers).cast());
                    outcome.failed = true;
                }
            }
            Ok(SIGSTOP) => break,
            Ok(SIGALRM) => {
                outcome.violation = Some("it hangs".into());
                return outcome;
            }
            Ok(SIGBUS) if operation == TRUNCATES => pass_on = SIGBUS as usize,
            Ok(signal) => {
                outcome.violation = Some(format!("it got signal {signal}"));
                return outcome;
            }
            Err(end) => {
                // Without memory to put in the place of what is lost, the handler does what would have been done without it.
                let lacked = failing.filter(|failing| operation == TRUNCATES && failing.call == SYS_mmap);
                match lacked.filter(|_| end == died_of(SIGBUS)) {
                    Some(failing) => {
                        outcome.refusal = Some(format!(
                            "it dies of SIGBUS, as without a handler (os error {})",
                            failing.errno
                        ));
                    }
                    None => outcome.violation = Some(child.try_line().unwrap_or(end)),
                }
                return outcome;
            }
        }
    }
    ptrace_call(PTRACE_DETACH, &child, std::ptr::null_mut());
    match child.try_line() {
        Some(line) if line == "done" => {}
        Some(line) => match line.strip_prefix("refused: ") {
            Some(why) => outcome.refusal = Some(why.to_owned()),
            None => outcome.violation = Some(line),
        },
        None => outcome.violation = Some("it said nothing".into()),
    }
    outcome.violation = outcome.violation.or_else(|| child.try_line());
    let status = child.wait();
    if !status.success() && outcome.violation.is_none() {
        let signal = status.signal();
        outcome.violation =
            Some(if signal == Some(SIGALRM) { "it hangs".into() } else { status.to_string() });
    }
    outcome
}

/// What is wrong with the text of a refusal.
fn misleading(text: &str, errno: c_int) -> Option<String> {
    for (claim, true_of) in CLAIMS {
        if text.contains(claim) && !true_of.contains(&errno) {
            return Some(format!("it claims {claim:?}: {text}"));
        }
    }
    if text.contains(" of:") || text.contains(" at:") || text.contains(" for:") {
        return Some(format!("it is not a sentence: {text}"));
    }
    if text == std::io::Error::from_raw_os_error(errno).to_string() {
        return Some(format!("it does not say what failed: {text}"));
    }
    let cause = format!("(os error {errno})");
    let named = text.contains(&cause) || CLAIMS.iter().any(|(claim, _)| text.contains(claim));
    (!named).then(|| format!("it does not name the cause: {text}"))
}

/// What is wrong with what came of a failing call.
fn judge(operation: &str, outcome: &Run, failing: Failing) -> Option<String> {
    let text = outcome.refusal.as_deref().and_then(|text| {
        let nameless = is_of_a_file(operation) && !text.contains(FOLDER);
        let nameless = nameless.then(|| format!("it does not say of which file: {text}"));
        nameless.or_else(|| misleading(text, failing.errno))
    });
    outcome.violation.clone().or(text)
}

/// All errors of all calls that an operation was seen to make.
fn failures(operation: &str) -> Vec<Failing> {
    let seen = run(operation, None);
    assert!(seen.violation.is_none() && seen.refusal.is_none(), "{operation} as it is: {seen:?}");
    let mut all = Vec::new();
    for (&call, &times) in &seen.calls {
        let Some((.., errors)) = TABLE.iter().find(|(known, ..)| *known == call) else {
            let never = NEVER.iter().any(|(known, _)| *known == call);
            assert!(never, "{operation} makes system call {call}, which is not in the table");
            continue;
        };
        // A loop makes the same call again and again.
        for nth in 0..times.min(MOST_OF_A_KIND) {
            all.extend(errors.iter().map(|&errno| Failing { call, nth, errno }));
        }
    }
    all
}

/// So many calls of a kind fail in turn, in one operation.
const MOST_OF_A_KIND: usize = 8;

/// Does something for all of these, in a few threads: each traces its own children.
fn for_all<T: Sync>(all: &[T], act: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // More than there are processors: most of the time they wait.
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(it) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    act(it);
                }
            });
        }
    });
}

#[test]
fn p8_every_system_call_may_fail() {
    let cases = Mutex::new(Vec::new());
    for_all(OPERATIONS, |&operation| {
        let all = failures(operation);
        cases.lock().unwrap().extend(all.into_iter().map(|failing| (operation, failing)));
    });
    let cases = cases.into_inner().unwrap();
    let (rows, wrong) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    for_all(&cases, |&(operation, failing)| {
        let outcome = run(operation, Some(failing));
        if let Some(why) = judge(operation, &outcome, failing) {
            wrong.lock().unwrap().push(format!("{operation}, {failing}: {why}"));
        }
        let came = match outcome.refusal {
            _ if !outcome.failed => "was not made this time".to_owned(),
            None => "done without".to_owned(),
            Some(text) => text,
        };
        rows.lock().unwrap().push((operation, failing.to_string(), came));
    });
    let (mut rows, wrong) = (rows.into_inner().unwrap(), wrong.into_inner().unwrap());
    rows.sort();
    let mut counts = HashMap::<&str, usize>::new();
    for (operation, failing, came) in &rows {
        println!("{operation:30} {failing:70} {came}");
        *counts
            .entry(if came == "done without" || came.starts_with("was not") { came } else { "refused" })
            .or_default() += 1;
    }
    println!("{} operations, {} failing calls: {counts:?}", OPERATIONS.len(), rows.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    let missed = counts.get("was not made this time").copied().unwrap_or(0);
    assert!(rows.len() > 800 && missed < rows.len() / 10, "hardly anything failed: {counts:?}");
}

#[test]
fn null_control_what_a_failing_call_leaves_behind_is_found() {
    let failing = Failing { call: SYS_fstatfs, nth: 0, errno: EIO };
    for (fault, finds) in [
        ("leaks", "descriptors were"),
        ("lies", "it claims \"is corrupt\""),
        ("says nothing", "it does not name the cause"),
        ("panics", "it ended with status"),
    ] {
        let as_it_is = run(fault, None);
        assert!(as_it_is.violation.is_none() && as_it_is.refusal.is_none(), "{fault}: {as_it_is:?}");
        let outcome = run(fault, Some(failing));
        let found = judge(fault, &outcome, failing).unwrap_or_default();
        assert!(outcome.failed && found.contains(finds), "{fault}: {found:?} of {outcome:?}");
    }
}
