//! A process that lacks something. Each case says in one line what came of it, or why it could not be made here.

use crate::attach::round;
use crate::{said, variant};
use shmq::{AttachError, CreateError, Inspector, Options, Queue, Role, Waiting};
use shmq_tests::process::limits::{Missing, become_nobody, limit, mount, own_mounts, without};
use shmq_tests::process::{LIMIT, switches};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub const MIB: u64 = 1 << 20;

/// What came of a case, or why there is no such thing here.
pub enum Trouble {
    Skipped(String),
    Wrong(String),
}

pub type Verdict = Result<String, Trouble>;

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

/// Something that the case needs, not something that it tests.
pub fn need<R>(what: &str, outcome: std::io::Result<R>) -> Result<R, Trouble> {
    outcome.map_err(|e| Trouble::Skipped(format!("{what}: {e}")))
}

pub fn resource(case: &str, directory: &str) -> crate::Outcome {
    let verdict = match case {
        "full" => full(directory),
        "full-meanwhile" => full_meanwhile(directory),
        "small-shm" => small_shm(),
        "disk" => disk(directory),
        "huge-pages" => huge_pages(directory),
        "truncated" => truncated(directory),
        "locked-memory" => locked_memory(directory),
        "file-size" => file_size(directory),
        "address-space" => address_space(directory),
        "read-only" => read_only(directory),
        "permission" => permission(directory),
        "descriptors" => descriptors(directory),
        "membarrier" => membarrier(directory),
        "inotify" => deaf(directory, libc::SYS_inotify_init1, libc::EMFILE),
        "no-poke" => deaf(directory, libc::SYS_pread64, libc::EPERM),
        "watches" => deaf(directory, libc::SYS_inotify_add_watch, libc::ENOSPC),
        "populate" => old_kernel(directory, libc::SYS_madvise, Some((2, !0, 23)), libc::EINVAL),
        "forbidden" => old_kernel(directory, libc::SYS_madvise, Some((2, !0, 23)), libc::EPERM),
        "no-advice" => no_advice(directory),
        "inodes" => inodes(directory),
        "holes" => holes(directory),
        "fallocate" => written_ahead(directory),
        "tmpfile" => {
            let bits = libc::O_TMPFILE as u32;
            old_kernel(directory, libc::SYS_openat, Some((2, bits, bits)), libc::EOPNOTSUPP)
        }
        "memfd" => missing(libc::SYS_memfd_create, None, libc::ENOSYS)
            .map(|()| made(Queue::anonymous(&Options::new()))),
        "locks" => locks(directory),
        _ => crate::kernel::case(case, directory)
            .or_else(|| crate::forks::case(case, directory))
            .or_else(|| crate::memory::case(case, directory))
            .or_else(|| crate::set::case(case, directory))
            .ok_or_else(|| format!("no case {case:?}"))?,
    };
    match verdict {
        Ok(outcome) => println!("{outcome}"),
        Err(Trouble::Skipped(why)) => println!("skipped: {why}"),
        Err(Trouble::Wrong(why)) => println!("{why}"),
    }
    Ok(())
}

pub fn options(bytes: u64) -> Options {
    Options::new().capacity(bytes).max_message(1000)
}

pub fn made(outcome: Result<Queue, CreateError>) -> String {
    match outcome {
        Ok(queue) => round(&queue).map_or_else(|why| why, |()| "works".into()),
        Err(error) => variant(&error),
    }
}

pub fn taken<R>(outcome: Result<R, AttachError>) -> String {
    outcome.map_or_else(|error| variant(&error), |_| "taken".into())
}

fn files(directory: &str) -> Result<usize, String> {
    Ok(std::fs::read_dir(directory).map_err(said)?.count())
}

fn tmpfs(directory: &str, size: &str) -> Result<(), Trouble> {
    need("a namespace of its own", own_mounts())?;
    need("a small tmpfs", mount("tmpfs", directory, 0, &format!("size={size}")))
}

fn full(directory: &str) -> Verdict {
    tmpfs(directory, "64m")?;
    let path = format!("{directory}/queue");
    let large = made(Queue::create(&path, &options(128 * MIB)));
    let lazy = made(Queue::create(&path, &options(128 * MIB).prefault(false)));
    let left = files(directory)?;
    Ok(format!(
        "{large}, {lazy}, {left} files left, then one that fits {}",
        made(Queue::create(&path, &options(MIB)))
    ))
}

/// Whatever the moment at which the other one takes the last page.
fn full_meanwhile(directory: &str) -> Verdict {
    tmpfs(directory, "4m")?;
    let (path, other) = (format!("{directory}/queue"), format!("{directory}/other"));
    std::thread::spawn(move || {
        loop {
            let mut file = File::create(&other).expect("another file");
            while file.write_all(&[1; 16 << 10]).is_ok() {}
        }
    });
    let (mut works, mut refused, begin) = (0, 0, Instant::now());
    while (works < 20 || refused < 20) && begin.elapsed() < Duration::from_secs(20) {
        match &made(Queue::create(&path, &options(MIB)))[..] {
            "works" => works += 1,
            "NoSpace" => refused += 1,
            other => return Err(format!("after {works} and {refused}: {other}").into()),
        }
        let _ = std::fs::remove_file(&path);
    }
    if works < 20 || refused < 20 {
        return Err(Trouble::Skipped(format!("{works} times there was room, {refused} times not")));
    }
    Ok("works or NoSpace".into())
}

/// A sandbox that keeps a mapping from being held back from forked children, which must not be done without.
fn no_advice(directory: &str) -> Verdict {
    missing(libc::SYS_madvise, Some((2, !0, libc::MADV_DONTFORK as u32)), libc::EPERM)?;
    let path = format!("{directory}/queue");
    match Queue::create(&path, &options(MIB)) {
        Err(error) if error.to_string().contains("madvise") && error.to_string().contains(&path) => {
            Ok(format!("{}, {} files left", variant(&error), files(directory)?))
        }
        other => Err(format!("{other:?}").into()),
    }
}

fn inodes(directory: &str) -> Verdict {
    need("a namespace of its own", own_mounts())?;
    need("a small tmpfs", mount("tmpfs", directory, 0, "size=16m,nr_inodes=4"))?;
    let create = |name: &str| made(Queue::create(format!("{directory}/{name}"), &options(64 << 10)));
    // Its folder is one.
    Ok(["1", "2", "3", "4", "no/5"].map(create).join(", "))
}

/// A copy with holes, and no room to fill them.
fn holes(directory: &str) -> Verdict {
    tmpfs(directory, "8m")?;
    let (path, copy) = (format!("{directory}/queue"), format!("{directory}/copy"));
    drop(Queue::create(&path, &options(4 * MIB)).map_err(said)?);
    let whole = std::fs::read(&path).map_err(said)?;
    let mut sparse = File::create(&copy).map_err(said)?;
    sparse.write_all(&whole[..4 * 4096]).map_err(said)?;
    sparse.set_len(whole.len() as u64).map_err(said)?;
    let mut other = File::create(format!("{directory}/other")).map_err(said)?;
    while other.write_all(&[1; 4096]).is_ok() {}
    let queue = Queue::open(&copy).map_err(said)?;
    let ends = [taken(queue.producer()), taken(queue.consumer())].join(", ");
    let lazy = Queue::open_with(&copy, &Options::new().prefault(false)).map_err(said)?;
    Ok(format!("{ends}, later {}", taken(lazy.consumer())))
}

fn small_shm() -> Verdict {
    tmpfs("/dev/shm", "64m")?;
    let options = options(16 * MIB);
    let outcomes: Vec<String> = (0..4).map(|n| made(Queue::create(format!("queue-{n}"), &options))).collect();
    Ok(format!("{}; {} files", outcomes.join(", "), files("/dev/shm")?))
}

fn disk(directory: &str) -> Verdict {
    need("a namespace of its own", own_mounts())?;
    let (image, at) = (format!("{directory}/image"), format!("{directory}/disk"));
    need("an image", File::create(&image).and_then(|file| file.set_len(16 * MIB)))?;
    need("a directory", std::fs::create_dir(&at))?;
    let run = |command: &mut Command| {
        need(
            "a disk",
            command.output().and_then(|output| match output.status.success() {
                true => Ok(()),
                false => Err(std::io::Error::other(
                    String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "),
                )),
            }),
        )
    };
    run(Command::new("mkfs.ext4").args(["-q", "-m", "0", &image]))?;
    run(Command::new("mount").args(["-o", "loop", &image, &at]))?;
    let inside = format!("{at}/inside");
    need("a directory", std::fs::create_dir(&inside))?;
    let path = format!("{inside}/queue");
    let large = made(Queue::create(&path, &options(32 * MIB)));
    let small = made(Queue::create(&path, &options(MIB)));
    let mut other = need("another file", File::create(format!("{at}/other")))?;
    while other.write_all(&[1; 4096]).is_ok() {}
    let full = made(Queue::create(format!("{inside}/second"), &options(MIB)));
    let reopened = Queue::open(&path).map_err(said)?;
    let again = taken(reopened.consumer());
    let left = files(&inside)?;
    drop((reopened, other));
    let _ = Command::new("umount").arg(&at).status();
    Ok(format!("{large}, {small}, {full}, {again}, {left} files"))
}

fn huge_pages(directory: &str) -> Verdict {
    let wish = made(Queue::anonymous(&options(4 * MIB).huge_pages(true)));
    need("a namespace of its own", own_mounts())?;
    need("a file system of huge pages", mount("hugetlbfs", directory, 0, "pagesize=2M"))?;
    let free = std::fs::read_to_string("/proc/sys/vm/nr_hugepages").map_err(said)?;
    if free.trim() != "0" {
        return Err(Trouble::Skipped("there are huge pages".into()));
    }
    let named = made(Queue::create(format!("{directory}/queue"), &options(4 * MIB)));
    Ok(format!("as a wish it {wish}, as a file {named}, {} files left", files(directory)?))
}

/// Without the guard, whoever touches a truncated file is killed.
fn truncated(directory: &str) -> Verdict {
    let path = format!("{directory}/queue");
    let queue = Queue::create(&path, &options(MIB)).map_err(said)?;
    let mut tx = queue.producer().map_err(said)?;
    let file = OpenOptions::new().write(true).open(&path).map_err(said)?;
    file.set_len(4096).map_err(said)?;
    println!("{}", Queue::open(&path).map_or_else(|e| variant(&e), |_| "opened".into()));
    Ok(format!("alive: {:?}", tx.try_send(b"into nothing")))
}

fn locked_memory(directory: &str) -> Verdict {
    std::fs::set_permissions(directory, PermissionsExt::from_mode(0o777)).map_err(said)?;
    need("a user without rights", become_nobody())?;
    limit(libc::RLIMIT_MEMLOCK, 64 << 10).map_err(said)?;
    let path = format!("{directory}/queue");
    let locked = options(MIB).lock(true);
    let create = made(Queue::create(&path, &locked));
    let anonymous = made(Queue::anonymous(&locked));
    let left = files(directory)?;
    drop(Queue::create(&path, &options(MIB)).map_err(said)?);
    let take = taken(Queue::open_with(&path, &locked).map_err(said)?.consumer());
    let queue = Queue::open(&path).map_err(said)?;
    Ok(format!("{create}, {anonymous}, {left} files left, {take}, without it {}", taken(queue.consumer())))
}

fn file_size(directory: &str) -> Verdict {
    limit(libc::RLIMIT_FSIZE, MIB).map_err(said)?;
    let path = format!("{directory}/queue");
    let large = made(Queue::create(&path, &options(16 * MIB)));
    let anonymous = made(Queue::anonymous(&options(16 * MIB)));
    let left = files(directory)?;
    let small = made(Queue::create(&path, &options(MIB / 2)));
    let length = std::fs::metadata(&path).map_err(said)?.len();
    let of_limit = |bytes| -> Result<String, String> {
        limit(libc::RLIMIT_FSIZE, bytes).map_err(said)?;
        Ok(made(Queue::create(format!("{directory}/{bytes}"), &options(MIB / 2))))
    };
    let bounds = format!("just within {}, just over {}", of_limit(length)?, of_limit(length - 1)?);
    Ok(format!("{large}, {anonymous}, {left} files left, one within the limit {small}, {bounds}"))
}

fn address_space(directory: &str) -> Verdict {
    let path = format!("{directory}/queue");
    drop(Queue::create(format!("{directory}/large"), &options(256 * MIB).prefault(false)).map_err(said)?);
    let statm = std::fs::read_to_string("/proc/self/statm").map_err(said)?;
    let pages: u64 = statm.split(' ').next().and_then(|n| n.parse().ok()).ok_or("statm".to_owned())?;
    limit(libc::RLIMIT_AS, pages * 4096 + 128 * MIB).map_err(said)?;
    let create = made(Queue::create(&path, &options(256 * MIB)));
    let left = files(directory)?;
    let take = taken(Queue::open(format!("{directory}/large")).map_err(said)?.producer());
    Ok(format!("{create}, {left} file, {take}, a smaller one {}", made(Queue::create(&path, &options(MIB)))))
}

fn read_only(directory: &str) -> Verdict {
    tmpfs(directory, "8m")?;
    let path = format!("{directory}/queue");
    round(&Queue::create(&path, &options(MIB)).map_err(said)?)?;
    need("a remount", mount("tmpfs", directory, libc::MS_REMOUNT | libc::MS_RDONLY, ""))?;
    let create = made(Queue::create(format!("{directory}/second"), &options(MIB)));
    let open = Queue::open(&path).map_or_else(|e| variant(&e), |_| "opened".into());
    let state = Inspector::open(&path).map_err(said)?.state(Role::Producer);
    Ok(format!("{create}, {open}, its producer has {state}"))
}

fn permission(directory: &str) -> Verdict {
    let path = format!("{directory}/queue");
    drop(Queue::create(&path, &options(MIB)).map_err(said)?);
    // SAFETY: a plain system call.
    if unsafe { libc::getuid() } != 0 {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).map_err(said)?;
    }
    std::fs::set_permissions(directory, PermissionsExt::from_mode(0o555)).map_err(said)?;
    need("a user without rights", become_nobody())?;
    let create = made(Queue::create(format!("{directory}/second"), &options(MIB)));
    let open = Queue::open(&path).map_or_else(|e| variant(&e), |_| "opened".into());
    let look = Inspector::open(&path).map_or_else(|e| variant(&e), |_| "seen".into());
    // SAFETY: a plain system call.
    if unsafe { libc::geteuid() } != 65534 {
        // Our own directory: it must be possible to remove it.
        std::fs::set_permissions(directory, PermissionsExt::from_mode(0o755)).map_err(said)?;
    }
    Ok(format!("{create}, {open}, {look}"))
}

fn descriptors(directory: &str) -> Verdict {
    let path = format!("{directory}/queue");
    let queue = Queue::create(&path, &options(MIB)).map_err(said)?;
    let (mut tx, mut rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
    let spare = Queue::create(format!("{directory}/spare"), &options(MIB)).map_err(said)?;
    limit(libc::RLIMIT_NOFILE, 64).map_err(said)?;
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    let create = made(Queue::create(format!("{directory}/second"), &options(MIB)));
    let anonymous = made(Queue::anonymous(&options(MIB)));
    let open = Queue::open(&path).map_or_else(|e| variant(&e), |_| "opened".into());
    let take = taken(spare.producer());
    // With one left, the second description that a role needs is missing.
    hoard.pop();
    let half = taken(spare.producer());
    tx.try_send(b"still here").map_err(said)?;
    let message = rx.recv(LIMIT).map_err(said)?;
    let peer = rx.peer();
    drop(tx);
    let left = rx.recv(LIMIT).err().map(|e| variant(&e)).unwrap_or_default();
    let files = files(directory);
    drop(hoard);
    let (files, again) = (files.or_else(|_| self::files(directory))?, taken(spare.producer()));
    Ok(format!(
        "{create}, {anonymous}, {open}, {take}, {half}, {} while {peer}, then {left}; {files} files, later {again}",
        String::from_utf8_lossy(&message)
    ))
}

fn missing(call: libc::c_long, only: Option<(u32, u32, u32)>, errno: i32) -> Result<(), Trouble> {
    need("a filter of system calls", without(Missing { call, only, errno }))
}

/// Where this call fails, queues work all the same.
fn old_kernel(directory: &str, call: libc::c_long, only: Option<(u32, u32, u32)>, errno: i32) -> Verdict {
    missing(call, only, errno)?;
    let named = made(Queue::create(format!("{directory}/queue"), &options(MIB)));
    let anonymous = made(Queue::anonymous(&options(MIB)));
    Ok(format!("{named}, {anonymous}, {} file", files(directory)?))
}

/// Where blocks cannot be allocated, zeros are written, as many as it takes.
fn written_ahead(directory: &str) -> Verdict {
    drop(Queue::create(format!("{directory}/before"), &options(MIB)).map_err(said)?);
    let made = old_kernel(directory, libc::SYS_fallocate, None, libc::EOPNOTSUPP)?;
    let length = |name| std::fs::metadata(format!("{directory}/{name}")).map(|file| file.len()).map_err(said);
    let same = length("queue")? == length("before")?;
    Ok(format!("{made}s, {}", if same { "equally long" } else { "of different lengths" }))
}

/// Sleepers are woken, or wake up by themselves soon enough.
fn membarrier(directory: &str) -> Verdict {
    missing(libc::SYS_membarrier, None, libc::ENOSYS)?;
    let queue = Queue::create(format!("{directory}/queue"), &options(MIB)).map_err(said)?;
    round(&queue)?;
    let queue = Queue::create(format!("{directory}/second"), &options(MIB)).map_err(said)?;
    let (mut tx, mut rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
    rx.set_waiting(Waiting::low_power());
    let receiver = std::thread::spawn(move || (0..100).filter(|_| rx.recv(LIMIT).is_ok()).count());
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(2));
        tx.try_send(b"wake up").map_err(said)?;
    }
    let came = receiver.join().map_err(|_| "the receiver panicked".to_owned())?;
    Ok(format!("{came} of 100 came"))
}

/// Where an end cannot listen it sleeps in slices, and is woken and told as ever.
fn deaf(directory: &str, call: libc::c_long, errno: i32) -> Verdict {
    missing(call, None, errno)?;
    let queue = Queue::create(format!("{directory}/queue"), &options(MIB)).map_err(said)?;
    let (mut tx, mut rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
    rx.set_waiting(Waiting::low_power());
    // SAFETY: a plain system call.
    let own = unsafe { libc::gettid() };
    let before = switches(own);
    let asleep = rx.recv(Duration::from_secs(1)).err().map(|e| variant(&e)).unwrap_or_default();
    let how = if switches(own) - before > 50 { "slices" } else { "deeply" };
    let receiver = std::thread::spawn(move || {
        let came = (0..10).filter(|_| rx.recv(LIMIT).is_ok()).count();
        (came, rx.recv(LIMIT).err().map(|e| variant(&e)).unwrap_or_default())
    });
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(150));
        tx.try_send(b"wake up").map_err(said)?;
    }
    std::thread::sleep(Duration::from_millis(150));
    drop(tx);
    let (came, told) = receiver.join().map_err(|_| "the receiver panicked".to_owned())?;
    Ok(format!("{asleep} after {how}, {came} of 10 came, then {told}"))
}

fn locks(directory: &str) -> Verdict {
    let queue = Queue::create(Path::new(directory).join("queue"), &options(MIB)).map_err(said)?;
    missing(libc::SYS_fcntl, Some((1, !0, libc::F_OFD_SETLK as u32)), libc::EINVAL)?;
    Ok(taken(queue.producer()))
}
