//! The machine: shared memory, and what its kernel offers.

use super::finding::{Finding, Verdict};
use memmap2::{Advice, MmapOptions};
use rustix::fs;
use rustix::thread::{MembarrierQuery, membarrier_query};
use shmq::{Options, PeerState, Queue, Role};
use shmq_tool::units::{plain, show_bytes, show_percent};

const TMPFS: i64 = 0x0102_1994;
/// What container engines give unless told otherwise.
const CONTAINER: u64 = 64 << 20;

pub fn findings() -> Vec<Finding> {
    let mut findings = shared_memory();
    findings.push(kernel());
    findings.push(roles());
    findings.push(membarrier());
    findings.push(populate());
    findings.push(huge_pages());
    findings
}

fn shared_memory() -> Vec<Finding> {
    let what = "/dev/shm";
    let (Ok(system), Ok(space)) = (fs::statfs(what), fs::statvfs(what)) else {
        let finding =
            Finding::new(what, Verdict::Trouble, "it is not there, so queues of a plain name cannot be made");
        return vec![finding.todo("mount a tmpfs there, or name queues by a path with a slash")];
    };
    let (total, free) = (space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize);
    let says = format!("{} free of {}", show_bytes(free), show_bytes(total));
    if system.f_type != TMPFS {
        let finding = Finding::new(
            what,
            Verdict::Warning,
            format!("{says}, and it is no tmpfs: messages may go to a disk"),
        );
        return vec![finding.todo("mount a tmpfs there")];
    }
    let full = 1.0 - free as f64 / total.max(1) as f64;
    let mut findings = Vec::new();
    if full > 0.9 || space.f_files > 0 && space.f_favail == 0 {
        let finding = Finding::new(what, Verdict::Warning, format!("{says}: {} full", show_percent(full)));
        findings.push(finding.todo("remove what is not needed (`shmq ls`, `ls -l /dev/shm`), or `mount -o remount,size=... /dev/shm`"));
    } else {
        findings.push(Finding::new(what, Verdict::Fine, says));
    }
    if total == CONTAINER {
        let finding =
            Finding::new(what, Verdict::Note, "its size of 64 MiB is what container engines give by default");
        findings.push(
            finding.todo(
                "`docker run --shm-size=1g`, or share another one: `--ipc=host`, `-v /dev/shm:/dev/shm`",
            ),
        );
    }
    findings
}

fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let says = format!("Linux {} on {}", release.trim(), std::env::consts::ARCH);
    Finding::new("kernel", Verdict::Fine, plain(&says))
}

/// Tried out: an anonymous queue, both ends, a message, and whether the locks tell of the ends.
fn roles() -> Finding {
    let attempt = || -> Result<bool, shmq::Error> {
        let queue = Queue::anonymous(&Options::new().capacity(4096).prefault(false))?;
        let it = queue.inspect()?;
        let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
        tx.try_send(b"?")?;
        let there = it.state(Role::Producer) == PeerState::Attached && rx.try_recv()? == b"?"[..];
        drop((tx, rx));
        Ok(there && it.state(Role::Producer) == PeerState::Left)
    };
    match attempt() {
        Ok(true) => Finding::new(
            "roles",
            Verdict::Fine,
            "an anonymous queue was made, its ends taken and left, a message passed",
        ),
        Ok(false) => {
            let says = "the kernel's locks (F_OFD_SETLK) do not tell who holds an end";
            Finding::new("roles", Verdict::Trouble, says)
                .todo("Linux 3.15 is needed, and a sandbox that allows fcntl")
        }
        Err(error) => {
            Finding::new("roles", Verdict::Trouble, format!("no anonymous queue can be used: {error}")).todo(
                "anonymous queues need /proc and memfd_create; queues with a name may work all the same",
            )
        }
    }
}

fn membarrier() -> Finding {
    let needed = MembarrierQuery::GLOBAL_EXPEDITED | MembarrierQuery::REGISTER_GLOBAL_EXPEDITED;
    if membarrier_query().contains(needed) {
        return Finding::new(
            "membarrier",
            Verdict::Fine,
            "there: sending to an awake consumer costs no fence",
        );
    }
    Finding::new(
        "membarrier",
        Verdict::Warning,
        "not there: each message costs a fence, and sleepers look up 1000 times a second",
    )
    .todo("Linux 4.16 is needed, and a sandbox (seccomp) that allows membarrier")
}

fn populate() -> Finding {
    let works =
        MmapOptions::new().len(4096).map_anon().is_ok_and(|map| map.advise(Advice::PopulateWrite).is_ok());
    if works {
        return Finding::new(
            "populate",
            Verdict::Fine,
            "MADV_POPULATE_WRITE: no page faults after an end is taken",
        );
    }
    Finding::new("populate", Verdict::Note, "no MADV_POPULATE_WRITE: pages fault in one by one at first use")
        .todo("Linux 5.14 has it")
}

fn huge_pages() -> Finding {
    let shmem =
        std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/shmem_enabled").unwrap_or_default();
    let chosen = shmem.split(['[', ']']).nth(1).unwrap_or("unknown").to_owned();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free =
        memory.lines().find_map(|line| line.strip_prefix("HugePages_Free:")).unwrap_or("0").trim().to_owned();
    let says = format!("shared memory: {chosen}; {free} free in the pool");
    Finding::new("huge pages", Verdict::Fine, plain(&says))
}
