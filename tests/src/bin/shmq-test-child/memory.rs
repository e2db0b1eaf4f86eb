//! Files with holes, huge pages, and file systems that are not as others.

use crate::attach::round;
use crate::kernel::alarms;
use crate::resource::{MIB, Trouble, Verdict, made, need, options, taken};
use crate::{said, variant};
use rustix::fs::{FallocateFlags, fallocate};
use shmq::{Outcome, Queue, Role};
use shmq_tests::process::limits::{Missing, mount, own_mounts, without};
use shmq_tests::process::{Scratch, SlotMessage};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::{Duration, Instant};

pub fn case(case: &str, directory: &str) -> Option<Verdict> {
    Some(match case {
        "hollow" => hollow_files(directory),
        "overlay-cell" => overlay_cell(directory),
        "huge" => huge(directory),
        "btrfs" => btrfs(directory),
        "write-back" => write_back(),
        _ => return None,
    })
}

const LARGE: u64 = 128 * MIB;

/// Makes all of a file but its first page a hole.
fn hollow(file: &File) -> Result<(), String> {
    let length = file.metadata().map_err(said)?.len();
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(file, flags, 4096, length - 4096).map_err(said)
}

fn open(path: &str) -> Result<File, String> {
    File::options().read(true).write(true).open(path).map_err(said)
}

fn descriptor(fd: impl AsFd) -> Result<std::os::fd::OwnedFd, String> {
    fd.as_fd().try_clone_to_owned().map_err(said)
}

/// A page of a stranger's memory, and a length of many: whoever takes an end of it gets no more memory on his account than he uses.
fn hollow_files(directory: &str) -> Verdict {
    let small = |what: &str, file: &File| {
        let mib = file.metadata().map_err(said)?.blocks() * 512 / MIB;
        if mib < 8 { Ok(()) } else { Err(format!("{what}: {mib} MiB")) }
    };
    let (plain, raw) = (shmq::Options::new(), shmq_raw::Options::new());
    let path = |name: &str| format!("{directory}/{name}");
    for common in [plain.clone(), plain.clone().lock(true)] {
        let queue = Queue::create(path("queue"), &options(LARGE)).map_err(said)?;
        let slots =
            shmq::slots::Queue::<SlotMessage>::create(path("slots"), LARGE / 16, &plain).map_err(said)?;
        let pool = shmq_pool::Pool::create(path("pool"), 128, 1 << 20, &plain).map_err(said)?;
        drop((queue, slots, pool));
        let files = ["queue", "slots", "pool"].map(|name| open(&path(name)));
        for file in &files {
            hollow(file.as_ref().map_err(Clone::clone)?)?;
        }
        let queue = Queue::open_with(path("queue"), &common).map_err(said)?;
        let slots = shmq::slots::Queue::<SlotMessage>::open_with(path("slots"), &common).map_err(said)?;
        let pool = shmq_pool::Pool::open_with(path("pool"), &common).map_err(said)?;
        if matches!(queue.producer(), Err(shmq::AttachError::Lock { .. })) {
            return Err(Trouble::Skipped("so much memory may not be locked".into()));
        }
        let ends = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
        let more = (slots.producer().map_err(said)?, slots.consumer().map_err(said)?);
        let last = (pool.writer().map_err(said)?, pool.reader().map_err(said)?);
        let checks = slots.inspect().map_err(said)?.check();
        if !checks.iter().any(|check| matches!(check.outcome, Outcome::Unchecked { .. })) {
            return Err("a check went through all of it".to_owned().into());
        }
        for (name, file) in ["queue", "slots", "pool"].iter().zip(&files) {
            small(name, file.as_ref().map_err(Clone::clone)?)?;
            std::fs::remove_file(path(name)).map_err(said)?;
        }
        drop((ends, more, last));
    }
    // By descriptor, sealed; and raw memory.
    let queue = Queue::anonymous(&options(LARGE)).map_err(said)?;
    let file = File::from(descriptor(&queue)?);
    hollow(&file)?;
    let there = Queue::from_fd(descriptor(&queue)?, &plain).map_err(said)?;
    let rx = there.consumer().map_err(said)?;
    small("anonymous", &file)?;
    drop(rx);
    let large = raw.clone().bytes(LARGE);
    drop(shmq_raw::Region::create(path("region"), &large).map_err(said)?);
    let file = open(&path("region"))?;
    hollow(&file)?;
    let region = shmq_raw::Region::open(path("region"), &raw).map_err(said)?;
    let look = shmq_raw::Region::open_read_only(path("region"), &raw).map_err(said)?;
    small("region", &file)?;
    drop((region, look));
    // The control: what has its memory is all touched, by the process that takes an end of it.
    let queue = Queue::create(path("whole"), &options(LARGE)).map_err(said)?;
    let shared = || -> Result<u64, String> {
        let statm = std::fs::read_to_string("/proc/self/statm").map_err(said)?;
        let pages = statm.split(' ').nth(2).ok_or("statm")?;
        Ok(pages.parse::<u64>().map_err(said)? * 4096 / MIB)
    };
    let before = shared()?;
    let rx = queue.consumer().map_err(said)?;
    let touched = shared()? - before >= LARGE / MIB - 8;
    drop(rx);
    Ok(format!("small, and the whole one {}", if touched { "touched" } else { "not touched" }))
}

/// Where a mapping does not keep a lock, nobody gets one, however many try at the same moment.
fn overlay_cell(directory: &str) -> Verdict {
    need("a namespace of its own", own_mounts())?;
    for name in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(format!("{directory}/{name}")).map_err(said)?;
    }
    let layers = format!("lowerdir={directory}/lower,upperdir={directory}/upper,workdir={directory}/work");
    let merged = format!("{directory}/merged");
    need("an overlay", mount("overlay", &merged, 0, &layers))?;
    let path = format!("{merged}/region");
    let options = shmq_raw::Options::new().bytes(4096);
    let region = shmq_raw::Region::create(&path, &options).map_err(said)?;
    let begin = Instant::now();
    let contend = || {
        let mut taken = 0;
        while begin.elapsed() < Duration::from_secs(3) {
            for _ in 0..100 {
                taken += u32::from(region.writer::<u64>(0).is_ok());
            }
        }
        taken
    };
    let taken: u32 = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(contend)).collect();
        all.into_iter().map(|one| one.join().unwrap_or(u32::MAX)).sum()
    });
    let why = region.writer::<u64>(0).err().map(|e| variant(&e)).unwrap_or_default();
    Ok(format!("{taken} taken, {why}"))
}

/// More pages of the kernel's pool, for as long as this lives.
struct HugePages {
    more: u64,
    _alone: File,
}

const POOL: &str = "/proc/sys/vm/nr_hugepages";

fn pool_of() -> Result<u64, String> {
    std::fs::read_to_string(POOL).map_err(said)?.trim().parse().map_err(said)
}

impl HugePages {
    fn reserve(more: u64) -> Result<Self, Trouble> {
        let alone = need("a lock", File::create("/dev/shm/shmq-test-huge-pages.lock"))?;
        need("a lock", alone.lock())?;
        let before = pool_of()?;
        need("to reserve huge pages", std::fs::write(POOL, (before + more).to_string()))?;
        let this = Self { more: pool_of()?.saturating_sub(before), _alone: alone };
        if this.more < more {
            return Err(Trouble::Skipped("the kernel has no huge pages to spare".into()));
        }
        Ok(this)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if let Ok(now) = pool_of() {
            let _ = std::fs::write(POOL, now.saturating_sub(self.more).to_string());
        }
        let _ = std::fs::remove_file("/dev/shm/shmq-test-huge-pages.lock");
    }
}

/// Huge pages: what was asked for is had, or said, in spite of signals; and nobody gets a stranger's, which can be taken back.
fn huge(directory: &str) -> Verdict {
    let wish = options(4 * MIB).huge_pages(true);
    let plain = Queue::anonymous(&options(4 * MIB)).map_err(said)?.page_size();
    need("a namespace of its own", own_mounts())?;
    need("a file system of huge pages", mount("hugetlbfs", directory, 0, "pagesize=2M"))?;
    let pages = HugePages::reserve(2 * 20)?;
    let large = options(32 * MIB).huge_pages(true);
    alarms(Duration::from_micros(200));
    let mut outcomes = Vec::new();
    for i in 0..10 {
        let path = format!("{directory}/queue-{i}");
        outcomes.push(made(Queue::create(&path, &large)));
        let _ = std::fs::remove_file(path);
        let queue = Queue::anonymous(&large).map_err(said)?;
        outcomes.push(format!("{} MiB", queue.page_size() / MIB));
    }
    alarms(Duration::ZERO);
    outcomes.sort();
    outcomes.dedup();
    let queue = Queue::anonymous(&wish).map_err(said)?;
    let stranger = |options| {
        let opened = descriptor(&queue).and_then(|fd| Queue::from_fd(fd, options).map_err(|e| variant(&e)));
        opened.map_or_else(|why| why, |queue| taken(queue.consumer()))
    };
    let (refused, asked) = (stranger(&shmq::Options::new()), stranger(&wish));
    round(&queue)?;
    drop(pages);
    Ok(format!("{plain}; {}; {refused}, {asked}", outcomes.join(", ")))
}

/// What a disk did not take is not marked as left in order.
fn write_back() -> Verdict {
    let Some(disk) = Scratch::on_disk("write-back") else {
        return Err(Trouble::Skipped("no directory on a disk".into()));
    };
    let queue = Queue::create(disk.path(), &options(MIB)).map_err(said)?;
    let look = queue.inspect().map_err(said)?;
    drop(queue.producer().map_err(said)?);
    let before = look.state(Role::Producer);
    let tx = queue.producer().map_err(said)?;
    need(
        "a filter of system calls",
        without(Missing { call: libc::SYS_msync, only: None, errno: libc::EIO }),
    )?;
    drop(tx);
    let after = look.state(Role::Producer);
    Ok(format!("{before}, then {after}, then {}", taken(queue.producer())))
}

/// A disk that copies on write, and is full.
fn btrfs(directory: &str) -> Verdict {
    need("a namespace of its own", own_mounts())?;
    let (image, at) = (format!("{directory}/image"), format!("{directory}/disk"));
    need("an image", File::create(&image).and_then(|file| file.set_len(160 * MIB)))?;
    need("a directory", std::fs::create_dir(&at))?;
    let run = |program: &str, arguments: &[&str]| {
        let done = need(program, Command::new(program).args(arguments).output())?;
        let why = String::from_utf8_lossy(&done.stderr).trim().replace('\n', " ");
        if done.status.success() { Ok(()) } else { Err(Trouble::Skipped(format!("{program}: {why}"))) }
    };
    run("mkfs.btrfs", &["-q", &image])?;
    run("mount", &["-o", "loop", &image, &at])?;
    let outcome = full_btrfs(&at);
    let _ = Command::new("umount").arg(&at).status();
    outcome
}

/// Twice round the ring.
fn traffic(queue: &Queue) -> Result<(), String> {
    let (mut tx, mut rx) = (queue.producer().map_err(said)?, queue.consumer().map_err(said)?);
    for _ in 0..2 * queue.limits().capacity / 1000 {
        tx.try_send(&[7; 1000]).map_err(said)?;
        rx.try_recv().map_err(said)?;
    }
    Ok(())
}

fn full_btrfs(at: &str) -> Verdict {
    let path = format!("{at}/queue");
    let queue = Queue::create(&path, &options(16 << 10)).map_err(said)?;
    // Whatever is written back has its place from now on.
    traffic(&queue)?;
    open(&path)?.sync_all().map_err(said)?;
    let wants = queue.inspect().map_err(said)?.wants_room();
    // Contents that cannot be compressed, so that the disk gets full.
    let mut noise = vec![0; 1 << 20];
    rustix::rand::getrandom(&mut noise[..], rustix::rand::GetRandomFlags::empty()).map_err(said)?;
    let mut other = File::create(format!("{at}/other")).map_err(said)?;
    for piece in [1 << 20, 4096] {
        use std::io::Write as _;
        while other.write_all(&noise[..piece]).is_ok() {}
        let _ = other.sync_all();
    }
    // Each page is written again and again, and written back in between.
    for _ in 0..2 {
        traffic(&queue)?;
        open(&path)?.sync_all().map_err(said)?;
    }
    let again = taken(Queue::open(&path).map_err(said)?.consumer());
    // A copy of it, as others make one, is told.
    drop(other);
    std::fs::remove_file(format!("{at}/other")).map_err(said)?;
    std::fs::write(format!("{at}/copy"), std::fs::read(&path).map_err(said)?).map_err(said)?;
    let copy = shmq::Inspector::open(format!("{at}/copy")).map_err(said)?.wants_room();
    Ok(format!("{wants}, {again} on a full disk, {copy}"))
}
