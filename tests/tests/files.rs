//! P8: where a queue's file is, and what stands in it that no option says.

use shmq::{Options, Queue, path_of};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn p8_a_bare_name_is_in_dev_shm_and_what_has_a_slash_is_a_path() {
    let longest = "x".repeat(255);
    for name in ["a", "a.b", "a b", "-", &longest] {
        assert_eq!(path_of(name).as_deref(), Some(&*Path::new("/dev/shm").join(name)));
    }
    for path in ["/a", "./a", "a/b", "../.a", "a/.b", "a//b"] {
        assert_eq!(path_of(path).as_deref(), Some(Path::new(path)));
    }
    let too_long = "x".repeat(256);
    for neither in ["", ".", "..", ".hidden", "a/", "/", "./", "a\0b", "a/b\0", "\0", &too_long] {
        assert_eq!(path_of(neither), None, "{neither:?}");
    }
    let raw = OsStr::from_bytes(b"\xff");
    assert_eq!(path_of(raw).as_deref(), Some(&*Path::new("/dev/shm").join(raw)));
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64
}

#[test]
fn p8_each_queue_has_an_id_the_boot_it_was_made_in_and_its_time() {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a kernel that says it");
    let boot = u128::from_str_radix(&text.trim().replace('-', ""), 16).expect("hexadecimal").to_be_bytes();
    let mut ids = HashSet::new();
    for _ in 0..4 {
        let before = now_ns();
        let queue = Queue::anonymous(&Options::new()).expect("a queue");
        let after = now_ns();
        let inspector = queue.inspect().expect("it is there");
        let geometry = inspector.geometry();
        assert_eq!(geometry.boot_id, boot);
        assert!((before..=after).contains(&geometry.created_ns));
        // Random, all of it: a clock would leave the upper half empty.
        assert!(geometry.queue_id[8..] != [0; 8]);
        assert!(ids.insert(geometry.queue_id));
    }
}

/// A program that is executed must not hold a role for the one that was there before.
#[test]
fn p8_no_descriptor_outlives_its_program() {
    let name = format!("shmq-test-files-{}", std::process::id());
    let queues = [Queue::create(&name, &Options::new()), Queue::anonymous(&Options::new())];
    let queues = queues.map(|queue| queue.expect("a queue"));
    let ends =
        queues.each_ref().map(|queue| (queue.producer().expect("free"), queue.consumer().expect("free")));
    let file = std::fs::metadata(path_of(&name).expect("a name")).expect("a file");
    let (id, mut seen) = ((file.dev(), file.ino()), [0, 0]);
    for entry in std::fs::read_dir("/proc/self/fd").expect("/proc") {
        let Ok(entry) = entry else { continue };
        // Other tests open and close files meanwhile.
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        let target = target.to_string_lossy().into_owned();
        let Ok(file) = std::fs::metadata(entry.path()) else { continue };
        let of_a_queue = [(file.dev(), file.ino()) == id, target.contains("memfd:shmq")];
        if !of_a_queue.contains(&true) {
            continue;
        }
        let number = entry.file_name();
        let Ok(info) = std::fs::read_to_string(Path::new("/proc/self/fdinfo").join(number)) else { continue };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags");
        let flags = u32::from_str_radix(flags.trim(), 8).expect("octal");
        assert!(flags & 0o2_000_000 != 0, "close-on-exec: {target} {flags:o}");
        seen = [seen[0] + u32::from(of_a_queue[0]), seen[1] + u32::from(of_a_queue[1])];
    }
    assert!(
        seen.iter().all(|&descriptors| descriptors >= 2),
        "the queue's own, and those of its ends: {seen:?}"
    );
    drop(ends);
    let [named, _] = queues;
    named.remove().expect("it is there");
}
